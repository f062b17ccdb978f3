//! The walls between the modules, as the crate's documentation states them.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

/// Which other modules of the crate each module's files may name.
const MAY_KNOW: &[(&str, &[&str])] = &[
    ("numeric", &[]),
    ("proto", &[]),
    ("findings", &[]),
    ("error", &["findings"]),
    ("documents", &["error"]),
    ("setters", &[]),
    ("config", &["error", "findings", "ir", "setters", "targets"]),
    ("ir", &["error", "proto"]),
    ("file", &["error", "ir", "proto", "setters", "text"]),
    ("text", &["error", "ir", "proto", "setters"]),
    ("operators", &["ir"]),
    ("calibration", &["config", "error", "file", "ir", "numeric", "proto", "setters"]),
    ("targets", &["error", "ir", "numeric", "operators"]),
    ("plan", &["analysis", "calibration", "config", "error", "findings", "ir", "numeric", "operators", "targets"]),
    ("analysis", &["ir", "numeric", "operators", "proto"]),
    ("passes", &["analysis", "error", "ir", "numeric", "operators", "plan", "proto"]),
    ("explain", &["analysis", "documents", "error", "findings", "ir", "operators", "passes", "plan", "targets"]),
    ("compare", &["analysis", "calibration", "documents", "error", "explain", "findings", "ir", "setters", "targets"]),
    ("inspect", &["documents", "error", "ir", "operators", "targets"]),
    ("report", &["config", "documents", "error", "findings", "ir", "numeric", "plan"]),
    (
        "quantize",
        &[
            "analysis",
            "calibration",
            "compare",
            "config",
            "error",
            "explain",
            "findings",
            "ir",
            "numeric",
            "passes",
            "plan",
            "report",
            "targets",
        ],
    ),
];

fn modules_know_only_those_below_them() {
    let mut crossed = Vec::new();
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src"));
    let known = Known::read(&root.join("lib.rs"));
    for file in rust_files(root) {
        let inside = file.strip_prefix(root).expect("a file of src");
        let module = inside.iter().next().and_then(|first| first.to_str()).expect("a name").trim_end_matches(".rs");
        if matches!(module, "lib" | "main" | "cli" | "python") {
            continue;
        }
        let (_, allowed) =
            MAY_KNOW.iter().find(|(name, _)| *name == module).unwrap_or_else(|| panic!("module {module} has no walls"));
        let source = fs::read_to_string(&file).expect("readable source");
        for name in named_at_the_root(&source, depth(inside)) {
            let other = known.module_of(&name).unwrap_or_else(|| panic!("{}: what is '{name}'?", inside.display()));
            if other != module && !allowed.contains(&other.as_str()) {
                crossed.push(format!("{} names {name} of {other}", inside.display()));
            }
        }
    }
    assert!(crossed.is_empty(), "{crossed:#?}");
}

/// How many steps of `super` lead from a file to the root of the crate.
fn depth(inside: &Path) -> usize {
    let parts: Vec<&str> = inside.iter().filter_map(|part| part.to_str()).collect();
    parts.len() - usize::from(parts.last() == Some(&"mod.rs"))
}

/// What there is at the root of the crate: modules, and names that it has from them.
struct Known(HashMap<String, String>);

impl Known {
    fn read(lib: &Path) -> Self {
        let source = fs::read_to_string(lib).expect("readable source");
        let mut known = HashMap::new();
        for statement in source.split(';') {
            // Comments first: they have the letters that statements begin with.
            let lines = source_lines(statement);
            let lines = lines.trim_start_matches(|c: char| c != 'p' && c != 'm');
            if let Some(uses) = lines.strip_prefix("pub use ") {
                let (module, names) = uses.split_once("::").expect("a name of a module");
                match names.strip_prefix('{') {
                    Some(list) => known.extend(top_level_names(list).into_iter().map(|name| (name, module.to_owned()))),
                    None => drop(known.insert(names.to_owned(), module.to_owned())),
                }
            } else if let Some(module) = lines.strip_prefix("pub mod ").or_else(|| lines.strip_prefix("mod ")) {
                known.insert(module.to_owned(), module.to_owned());
            }
        }
        assert!(known.get("Error").is_some_and(|module| module == "error"), "{known:?}");
        Self(known)
    }

    fn module_of(&self, name: &str) -> Option<String> {
        self.0.get(name).cloned()
    }
}

/// Without comments and attributes, in one line.
fn source_lines(text: &str) -> String {
    let code = text.lines().map(str::trim).filter(|line| !line.starts_with("//") && !line.starts_with("#["));
    code.collect::<Vec<_>>().join(" ").trim().to_owned()
}

/// The names after `crate::`, or after as many `super::` as lead there, also in braces; tests in a file may use what
/// they like.
fn named_at_the_root(source: &str, depth: usize) -> Vec<String> {
    let source = source.split("#[cfg(test)]").next().unwrap_or_default();
    let ways = ["crate::".to_owned(), "super::".repeat(depth)];
    let mut names = Vec::new();
    for way in &ways {
        for (start, _) in source.match_indices(way.as_str()) {
            let line_start = source[..start].rfind('\n').map_or(0, |end| end + 1);
            // Links in documentation are no dependencies, and of `$crate::` and longer names this is the end.
            let before = source[..start].chars().next_back().unwrap_or(' ');
            let comment = source[line_start..start].trim_start().starts_with("//");
            if comment || before.is_alphanumeric() || matches!(before, '_' | '$' | ':') {
                continue;
            }
            let rest = &source[start + way.len()..];
            match rest.strip_prefix('{') {
                Some(list) => names.extend(top_level_names(list)),
                None => names.extend(first_name(rest)),
            }
        }
    }
    names
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

crate::tests![modules_know_only_those_below_them];
