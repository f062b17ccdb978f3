//! Models in the ONNX text syntax, without the numbers that do not matter.

/// The text with a header, unless it has one, and [with numbers](with_numbers).
pub fn model_text(opset: i64, text: &str) -> String {
    match text.starts_with('<') {
        true => with_numbers(text),
        false => with_numbers(&format!("<ir_version: 8, opset_import: [\"\": {opset}]>\n{text}")),
    }
}

/// The text with numbers: `{?}` stands for as many between -1 and 1 as the shape before it asks for, `{+}` for positive
/// ones.
pub fn with_numbers(text: &str) -> String {
    let mut state = 1u64;
    let mut number = || {
        // Knuth's linear congruential generator (MMIX); the upper bits are the random ones.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f64 / f64::from(1 << 23) - 1.0
    };
    let mut parts = text.split_inclusive("{?}").flat_map(|part| part.split_inclusive("{+}"));
    let mut whole = String::new();
    for part in &mut parts {
        let Some((before, positive)) =
            part.strip_suffix("{?}").map(|part| (part, false)).or(part.strip_suffix("{+}").map(|part| (part, true)))
        else {
            whole.push_str(part);
            continue;
        };
        let dims = before.rsplit_once('[').and_then(|(_, dims)| dims.split_once(']')).map_or("", |(dims, _)| dims);
        let count: usize = dims.split(',').map(|size| size.trim().parse::<usize>().expect("a size")).product();
        let numbers: Vec<String> =
            (0..count).map(|_| number()).map(|x| format!("{:.6}", if positive { x.abs() + 0.1 } else { x })).collect();
        whole.push_str(&format!("{before}{{{}}}", numbers.join(", ")));
    }
    whole
}
