//! Patterns that choose weights and operators by name or type.

use std::{fmt, str::FromStr};

use globset::{GlobBuilder, GlobMatcher};
use regex::Regex;
use serde::Deserialize;

use crate::error::{Error, Result};

/// What begins a regular expression.
const REGEX: &str = "re:";

/// A pattern over names of nodes and tensors and over operator types: a glob that must match the
/// whole name (`*` matches `/` too), or after `re:` a regular expression that matches anywhere. A name that
/// is written out matches itself, whatever characters of globs it has.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub struct Pattern {
    text: String,
    matcher: Matcher,
}

#[derive(Debug, Clone)]
enum Matcher {
    Glob(GlobMatcher),
    Regex(Regex),
}

impl Pattern {
    /// The pattern that matches this name and no other: the name itself, if it has none of the characters that mean
    /// something in a list of patterns.
    ///
    /// # Errors
    /// The name is too long for a regular expression.
    pub fn exactly(name: &str) -> Result<Self> {
        let plain = |c: char| c.is_alphanumeric() || "/._-:@".contains(c);
        match name.chars().all(plain) && !name.is_empty() && !name.starts_with(REGEX) {
            true => name.parse(),
            false => format!("{REGEX}^{}$", regex::escape(name)).parse(),
        }
    }

    /// The patterns of a list with commas between them. A comma in braces, in brackets or behind a backslash
    /// belongs to a glob, and a regular expression goes on to the end of the text.
    ///
    /// ```
    /// use onnx_quant::Pattern;
    /// let list = Pattern::list("conv, */{up,down}/*, re:layer{1,2}")?;
    /// let texts: Vec<String> = list.iter().map(ToString::to_string).collect();
    /// assert_eq!(texts, ["conv", "*/{up,down}/*", "re:layer{1,2}"]);
    /// # Ok::<(), onnx_quant::Error>(())
    /// ```
    ///
    /// # Errors
    /// One of them is no pattern; or there is none, or nothing between two commas.
    pub fn list(text: &str) -> Result<Vec<Self>> {
        let mut patterns = Vec::new();
        let mut rest = Some(text);
        while let Some(left) = rest {
            let left = left.trim_start();
            let end = if left.starts_with(REGEX) { None } else { comma(left) };
            let (pattern, behind) = match end {
                Some(end) => (left[..end].trim_end(), Some(&left[end + 1..])),
                None => (left.trim_end(), None),
            };
            if pattern.is_empty() {
                return Err(Error::config(format!("pattern '{text}' is empty, or has a comma too many")));
            }
            patterns.push(pattern.parse()?);
            rest = behind;
        }
        Ok(patterns)
    }

    /// Whether the pattern matches a name.
    ///
    /// ```
    /// use onnx_quant::Pattern;
    /// let glob: Pattern = "encoder/*".parse()?;
    /// assert!(glob.matches("encoder/layer.0/MatMul") && !glob.matches("decoder/encoder/x"));
    /// let regex: Pattern = "re:layer\\.[0-3]/".parse()?;
    /// assert!(regex.matches("encoder/layer.0/MatMul"));
    /// # Ok::<(), onnx_quant::Error>(())
    /// ```
    pub fn matches(&self, name: &str) -> bool {
        match &self.matcher {
            Matcher::Glob(glob) => glob.is_match(name) || self.text == name,
            Matcher::Regex(regex) => regex.is_match(name),
        }
    }

    /// The same where upper and lower case are one, unless it is a regular expression, which says itself what
    /// case counts.
    #[must_use]
    pub(crate) fn in_any_case(&self) -> Self {
        let glob = GlobBuilder::new(&self.text).literal_separator(false).case_insensitive(true).build();
        match (&self.matcher, glob) {
            (Matcher::Glob(_), Ok(glob)) => {
                Self { text: self.text.clone(), matcher: Matcher::Glob(glob.compile_matcher()) }
            }
            _ => self.clone(),
        }
    }
}

/// The first comma of a glob that is no part of it.
fn comma(glob: &str) -> Option<usize> {
    let (mut braces, mut brackets, mut escaped) = (0_usize, false, false);
    for (index, character) in glob.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '[' => brackets = true,
            ']' => brackets = false,
            '{' => braces += 1,
            '}' => braces = braces.saturating_sub(1),
            ',' if braces == 0 && !brackets => return Some(index),
            _ => {}
        }
    }
    None
}

impl FromStr for Pattern {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        // The last of several lines says what is wrong; those above draw where.
        let wrong = |kind: &str, error: String| {
            let said = error.lines().last().unwrap_or_default();
            Error::config(format!("pattern '{text}' is no {kind}: {}", said.trim_start_matches("error: ")))
        };
        let matcher = match text.strip_prefix(REGEX) {
            Some(expression) => {
                let regex = Regex::new(expression).map_err(|error| wrong("regular expression", error.to_string()))?;
                Matcher::Regex(regex)
            }
            None => {
                let glob = GlobBuilder::new(text).literal_separator(false).build();
                Matcher::Glob(glob.map_err(|error| wrong("glob", error.to_string()))?.compile_matcher())
            }
        };
        Ok(Self { text: text.to_owned(), matcher })
    }
}

impl TryFrom<String> for Pattern {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}
