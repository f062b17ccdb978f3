//! Names that are spelled like another one.

/// How many are suggested.
const SUGGESTED: usize = 3;
/// Names that are compared: those of a large model; comparing takes time.
const COMPARED: usize = 20_000;
/// Characters of a name that are compared.
const LONGEST: usize = 100;

/// The names that are spelled most like `name`, the most alike first: those that contain it, or that few letters tell
/// from it, whole or behind their last `/`, `.` or `:`. Case does not count, nor do the signs of globs and regular
/// expressions.
pub(super) fn near<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let signs: &[char] = &['*', '?', '^', '$', '\\', '[', ']', '(', ')'];
    let wanted = name.trim_start_matches("re:").replace(signs, "").to_lowercase();
    let wanted: String = wanted.chars().take(LONGEST).collect();
    if wanted.is_empty() {
        return Vec::new();
    }
    let mut alike: Vec<(usize, &str)> =
        known.take(COMPARED).filter_map(|it| Some((unlike(&wanted, it)?, it))).collect();
    alike.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| a.1.len().cmp(&b.1.len())).then_with(|| a.1.cmp(b.1)));
    alike.into_iter().take(SUGGESTED).map(|(_, name)| name).collect()
}

/// How many letters tell a name from the wanted one; `None` if it is another name.
fn unlike(wanted: &str, name: &str) -> Option<usize> {
    let lower: String = name.to_lowercase().chars().take(LONGEST).collect();
    let last = lower.rsplit(['/', '.', ':']).next().unwrap_or_default();
    let letters = wanted.chars().count();
    let most = (letters / 3).max(1);
    let distance = |text: &str| {
        let near = text.chars().count().abs_diff(letters) <= most;
        near.then(|| strsim::osa_distance(wanted, text)).filter(|&edits| edits <= most)
    };
    let contained = || (letters >= 3 && lower.contains(wanted)).then_some(most);
    distance(&lower).or_else(|| distance(last)).or_else(contained)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_alike_come_first() {
        let known = ["Conv", "ConvTranspose", "MatMul", "/layer1/conv2/Conv", "encoder.weight", "Gemm"];
        let near = |name| near(name, known.into_iter());
        assert_eq!(near("Convv"), ["Conv", "/layer1/conv2/Conv"]);
        assert_eq!(near("matmull"), ["MatMul"]);
        assert_eq!(near("*/conv2/*"), ["/layer1/conv2/Conv"]);
        assert_eq!(near("encoder.wieght"), ["encoder.weight"]);
        assert!(near("xyz").is_empty() && near("*").is_empty());
    }
}
