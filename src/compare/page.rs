//! The comparison as one page: data and a script that draws them, nothing from elsewhere.

use super::comparison::Comparison;

const PAGE: &str = include_str!("page.html");

/// The page. What comes from models goes into it as data and is shown as text, never as markup.
pub(super) fn page(comparison: &Comparison, title: &str) -> String {
    let data = serde_json::json!({ "title": title, "comparison": comparison }).to_string();
    // Nothing in the data ends the script element that it lies in.
    PAGE.replacen("{{data}}", &data.replace('<', "\\u003c"), 1)
}
