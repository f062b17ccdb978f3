//! The walls between the modules, as the crate's documentation states them.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Which other modules of the crate each module's files may name.
const MAY_KNOW: &[(&str, &[&str])] = &[
    ("numeric", &[]),
    ("proto", &[]),
    ("findings", &[]),
    ("error", &["findings"]),
    ("config", &["error", "findings", "ir", "targets"]),
    ("ir", &["error", "proto"]),
    ("file", &["error", "ir", "proto"]),
    ("text", &["ir", "proto"]),
    ("operators", &["ir"]),
    ("calibration", &["config", "error", "file", "ir", "numeric", "proto"]),
    ("targets", &["error", "ir", "numeric", "operators"]),
    ("plan", &["calibration", "config", "error", "findings", "ir", "numeric", "operators", "targets"]),
    ("analysis", &["ir", "numeric", "operators", "proto"]),
    ("passes", &["analysis", "error", "ir", "numeric", "operators", "plan", "proto"]),
    ("explain", &["analysis", "error", "findings", "ir", "operators", "passes", "plan", "targets"]),
    ("report", &["config", "error", "findings", "ir", "numeric", "plan"]),
    ("quantize", &["calibration", "config", "error", "findings", "ir", "passes", "plan", "report"]),
];

#[test]
fn modules_know_only_those_below_them() {
    let mut crossed = Vec::new();
    for file in rust_files(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))) {
        let inside = file.strip_prefix(concat!(env!("CARGO_MANIFEST_DIR"), "/src")).expect("a file of src");
        let module = inside.iter().next().and_then(|first| first.to_str()).expect("a name").trim_end_matches(".rs");
        if matches!(module, "lib" | "main" | "cli") {
            continue;
        }
        let (_, allowed) =
            MAY_KNOW.iter().find(|(name, _)| *name == module).unwrap_or_else(|| panic!("module {module} has no walls"));
        for other in named_modules(&fs::read_to_string(&file).expect("readable source")) {
            if other != module && !allowed.contains(&other.as_str()) {
                crossed.push(format!("{} names {other}", inside.display()));
            }
        }
    }
    assert!(crossed.is_empty(), "{crossed:#?}");
}

/// The modules after `crate::`, also in braces; tests in a file may use what they like.
fn named_modules(source: &str) -> Vec<String> {
    let source = source.split("#[cfg(test)]").next().unwrap_or_default();
    let mut modules = Vec::new();
    for (start, _) in source.match_indices("crate::") {
        let line_start = source[..start].rfind('\n').map_or(0, |end| end + 1);
        // Links in documentation are no dependencies.
        if source[line_start..start].trim_start().starts_with("//") {
            continue;
        }
        let rest = &source[start + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(list) => modules.extend(top_level_names(list)),
            None => modules.extend(first_name(rest)),
        }
    }
    modules.retain(|name| MAY_KNOW.iter().any(|(module, _)| module == name));
    modules
}

/// The names at the outer level of a braced use list, whose opening brace was taken off.
fn top_level_names(list: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut depth = 0;
    let mut item_starts = true;
    for (index, character) in list.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => item_starts = true,
            c if c.is_whitespace() => {}
            _ if depth == 0 && item_starts => {
                names.extend(first_name(&list[index..]));
                item_starts = false;
            }
            _ => {}
        }
    }
    names
}

fn first_name(text: &str) -> Option<String> {
    let name: String = text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    (!name.is_empty()).then_some(name)
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("a folder entry").path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}
