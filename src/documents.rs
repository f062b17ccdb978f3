//! What is reported as JSON: written and read back in one way, each kind with the version of its form.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::error::{Error, Result};

/// A document as JSON, with a line break at its end.
pub(crate) fn to_json<T: Serialize>(document: &T) -> String {
    let mut json = serde_json::to_string_pretty(document).expect("what is reported has names for keys");
    json.push('\n');
    json
}

/// Reads a document back; `what` is what it is to be, `version` the one that is known.
///
/// # Errors
/// It is no JSON of that form, or of another version.
pub(crate) fn from_json<T: DeserializeOwned>(json: &str, what: &str, version: u32) -> Result<T> {
    /// What all documents have.
    #[derive(Deserialize)]
    struct Header {
        version: u32,
    }

    let wrong = |error: serde_json::Error| Error::config(format!("this is no {what}: {error}"));
    let found = serde_json::from_str::<Header>(json).map_err(wrong)?.version;
    if found != version {
        return Err(Error::config(format!("this is {what} of version {found}, and only {version} is known here")));
    }
    serde_json::from_str(json).map_err(wrong)
}

#[cfg(test)]
mod tests {
    use schemars::{Schema, schema_for};

    use crate::{
        Config, Model,
        compare::{self, Comparison},
        explain::{self, Explanation, explain},
        inspect::{self, Inspection, inspect},
        quantize,
        report::{self, Report, Sensitivity},
    };

    fn model() -> Model {
        Model::load("testdata/kws_dscnn.onnx").expect("it loads")
    }

    /// The schema that the documentation shows is that of the type; `BLESS=1` writes it anew.
    fn assert_documented(schema: Schema, shown: &str, file: &str) {
        let is = serde_json::to_string_pretty(&schema).expect("a schema is JSON") + "\n";
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(file, &is).expect("it can be written");
        } else {
            assert!(is == shown, "{file} is out of date; BLESS=1 writes it anew");
        }
    }

    #[test]
    fn schemas_are_those_of_the_types() {
        assert_documented(schema_for!(Report), report::SCHEMA, "src/report/schema.json");
        assert_documented(schema_for!(Sensitivity), report::SENSITIVITY_SCHEMA, "src/report/sensitivity.json");
        assert_documented(schema_for!(Explanation), explain::SCHEMA, "src/explain/schema.json");
        assert_documented(schema_for!(Comparison), compare::SCHEMA, "src/compare/schema.json");
        assert_documented(schema_for!(Inspection), inspect::SCHEMA, "src/inspect/schema.json");
    }

    #[test]
    fn what_was_written_is_read_back() {
        let mut quantized = model();
        let report = quantize(&mut quantized, &Config::default().with_measure_error(true)).expect("it is quantized");
        assert_eq!(Report::from_json(&report.to_json()).expect("a report"), report);
        let explanation = explain(&quantized, &Default::default()).expect("it can be explained");
        assert_eq!(Explanation::from_json(&explanation.to_json()).expect("an explanation"), explanation);
        let inspection = inspect(&quantized, &Default::default());
        assert_eq!(Inspection::from_json(&inspection.to_json()).expect("an inspection"), inspection);
    }

    #[test]
    fn nothing_lost_is_infinite_in_json_too() {
        let mut report = quantize(&mut model(), &Config::default().with_measure_error(true)).expect("it is quantized");
        report.quantized[0].copies[0].sqnr_db = Some(f64::INFINITY);
        report.quantized[1].copies[0].sqnr_db = None;
        assert_eq!(Report::from_json(&report.to_json()).expect("a report"), report);
    }

    #[test]
    fn what_is_no_report_or_a_later_one_is_said() {
        let error = |json: &str| Report::from_json(json).expect_err("it is none").to_string();
        assert!(error("{}").contains("no report: missing field `version`"), "{}", error("{}"));
        assert!(error("{\"version\": 9}").contains("version 9"), "{}", error("{\"version\": 9}"));
    }
}
