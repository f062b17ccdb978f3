//! Releases of a runtime, and ranges of them.

use std::{fmt, str::FromStr};

use serde::Deserialize;

/// A release: `1.32` is all of 1.32.0, 1.32.1, ...
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct Release {
    /// The first number.
    pub major: u32,
    /// The second.
    pub minor: u32,
}

/// Why a text is no release.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no release: it is two numbers with a dot between, like 1.32")]
pub struct NoRelease(String);

impl FromStr for Release {
    type Err = NoRelease;

    /// Reads `1.32`; what follows a second dot does not count.
    fn from_str(text: &str) -> Result<Self, NoRelease> {
        let mut numbers = text.splitn(3, '.').map(|number| number.parse::<u32>().ok());
        match (numbers.next().flatten(), numbers.next().flatten()) {
            (Some(major), Some(minor)) => Ok(Self { major, minor }),
            _ => Err(NoRelease(text.to_owned())),
        }
    }
}

impl TryFrom<String> for Release {
    type Error = NoRelease;

    fn try_from(text: String) -> Result<Self, NoRelease> {
        text.parse()
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// From one release to another, both included; open where nothing is said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Releases {
    /// The first, or all from the beginning.
    pub since: Option<Release>,
    /// The last, or all to come.
    pub until: Option<Release>,
}

impl Releases {
    /// Whether a release is one of them.
    pub fn contains(&self, release: Release) -> bool {
        self.since.is_none_or(|since| since <= release) && self.until.is_none_or(|until| release <= until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_ordered_as_numbers() {
        let release = |text: &str| text.parse::<Release>().expect("a release");
        assert!(release("1.9") < release("1.32") && release("1.32") < release("2026.4.1"));
        assert_eq!(release("1.32.1").to_string(), "1.32");
        assert!("1".parse::<Release>().is_err() && "one.two".parse::<Release>().is_err());
        let range = Releases { since: Some(release("1.21")), until: Some(release("1.26")) };
        assert!(
            range.contains(release("1.26")) && !range.contains(release("1.27")) && !range.contains(release("1.20"))
        );
    }
}
