//! The quantized model with every operator given the float model's numbers: what it makes of them is the error that the
//! operators since the last compared values add by themselves. One run shows that of all of them at once.

use std::collections::HashMap;

use super::points::{Matched, Point, dequantizers};
use crate::{
    analysis::Facts,
    ir::{DataType, Model, NewOp, Use, ValueId},
    targets::{is_dequantizer, is_quantizer},
};

/// The quantized model, cut at the compared values.
pub(super) struct Isolated {
    pub model: Model,
    /// The inputs that it has in their places: the index of a point, and the input's name.
    pub feeds: Vec<(usize, String)>,
}

/// Cuts the quantized model at every compared value. Those of If bodies are inputs of the main graph too: bodies read
/// outer values.
pub(super) fn isolated(matched: &Matched) -> Isolated {
    let mut model = matched.quantized.clone();
    let facts = Facts::as_stated(&matched.quantized);
    let mut feeds = Vec::new();
    for (index, point) in matched.points.iter().enumerate() {
        if let Some(input) = cut(&mut model, &facts, point) {
            feeds.push((index, model.value(input).name().to_owned()));
        }
    }
    Isolated { model, feeds }
}

/// Gives the readers of a value a new input instead, if it has any.
fn cut(model: &mut Model, facts: &Facts, point: &Point) -> Option<ValueId> {
    let given = point.given().filter(|_| !point.is_integer)?;
    // Doubles are few, and half floats become float32 when the model is observed.
    let dtype = facts.float_dtype(given).unwrap_or(DataType::Float);
    if dtype == DataType::Double {
        return None;
    }
    let scale_types_differ = point.integers.is_some_and(|it| facts.dtype(it.scale).is_some_and(|ty| ty != dtype));
    let integers = point.integers.map(|it| it.value);
    let mut moves: Vec<(ValueId, Vec<Use>)> = vec![(given, model.uses(given))];
    if let Some(integers) = integers {
        for op in dequantizers(model, integers) {
            let others = model.outputs(op).into_iter().flatten().filter(|&value| value != given);
            moves.extend(others.collect::<Vec<_>>().into_iter().map(|value| (value, model.uses(value))));
        }
        // What reads the value as it was before its rounding is given the same.
        if let Some(before) = point.before.filter(|&before| before != given) {
            let reads_floats = |&it: &Use| !is_quantizer(model, it);
            moves.push((before, model.uses(before).into_iter().filter(reads_floats).collect()));
        }
    }
    let of_integers: Vec<Use> = integers.map_or_else(Vec::new, |value| model.uses(value));
    let of_integers: Vec<Use> = of_integers.into_iter().filter(|it| !is_dequantizer(model, it.op)).collect();
    let has_readers = moves.iter().any(|(_, uses)| !uses.is_empty()) || !of_integers.is_empty();
    if !has_readers || (!of_integers.is_empty() && scale_types_differ) {
        return None;
    }
    let input = model.new_input(&format!("{}_of_float", point.name), dtype);
    for (value, uses) in moves {
        model.move_uses(value, &uses.into_iter().map(|it| (it, input)).collect::<HashMap<_, _>>());
    }
    if let Some(integers) = point.integers.filter(|_| !of_integers.is_empty()) {
        let name = format!("{}_requantized", point.name);
        let scope = model.value(integers.value).scope();
        let output = model.new_value(scope, &name);
        let inputs = [input, integers.scale].into_iter().chain(integers.zero_point).collect();
        let behind = model.producer(integers.value).and_then(|op| model.op_after(op));
        let new = NewOp { op_type: "QuantizeLinear", name, inputs, output, attributes: vec![] };
        model.insert_op(scope, behind, new);
        model.move_uses(integers.value, &of_integers.into_iter().map(|it| (it, output)).collect::<HashMap<_, _>>());
    }
    Some(input)
}
