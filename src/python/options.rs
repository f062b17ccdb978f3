//! Options as Python gives them: those of the command, under the same names with underscores. There is one list of them,
//! the command's.

use clap::ArgAction;
use pyo3::PyResult;
use serde_json::{Map, Value};

use super::{cli::settings::Settings, errors::option_error};

/// The options by their names in Python, and whether each takes a list.
pub fn names() -> Vec<(String, bool)> {
    let command = <Settings as clap::Args>::augment_args(clap::Command::new("options"));
    let arguments = command.get_arguments().filter_map(|argument| {
        let takes_list = matches!(argument.get_action(), ArgAction::Append);
        Some((argument.get_long()?.replace('-', "_"), takes_list))
    });
    arguments.chain([("rule".to_owned(), true)]).collect()
}

/// Options that were given as a JSON object.
///
/// # Errors
/// One is none, or its value is none of it; the exception names it.
pub fn parse(json: &str) -> PyResult<Settings> {
    let wrong = |error: serde_json::Error| option_error("config", &error.to_string());
    let given: Map<String, Value> = serde_json::from_str(json).map_err(wrong)?;
    let known = names();
    let mut options = Map::new();
    for (name, value) in given {
        let Some((_, takes_list)) = known.iter().find(|(known, _)| *known == name) else {
            return Err(unknown(&name, &known));
        };
        let value = if *takes_list && !value.is_array() { Value::Array(vec![value]) } else { value };
        let (key, only) = (name.replace('_', "-"), value.clone());
        // One by one, so that it is known which is wrong.
        let checked = serde_json::from_value::<Settings>(Value::Object(Map::from_iter([(key.clone(), only)])));
        checked.map_err(|error| option_error("config", &format!("option '{name}': {error}")))?;
        options.insert(key, value);
    }
    serde_json::from_value(Value::Object(options)).map_err(wrong)
}

fn unknown(name: &str, known: &[(String, bool)]) -> pyo3::PyErr {
    const ALIKE: f64 = 0.7;
    let mut near: Vec<(f64, &str)> =
        known.iter().map(|(known, _)| (strsim::jaro_winkler(name, known), known.as_str())).collect();
    near.retain(|(likeness, _)| *likeness >= ALIKE);
    near.sort_by(|one, other| other.0.total_cmp(&one.0));
    let message = match near.first() {
        Some(_) => {
            let near: Vec<String> = near.iter().take(3).map(|(_, name)| format!("'{name}'")).collect();
            format!("there is no option '{name}'; spelled like it: {}", near.join(", "))
        }
        None => {
            let names: Vec<&str> = known.iter().map(|(name, _)| name.as_str()).collect();
            format!("there is no option '{name}'; the options are {}", names.join(", "))
        }
    };
    option_error("unknown-option", &message)
}
