//! What is wrong with a text, and where: line, column, and the line itself with a mark below it.

use crate::{
    error::{Error, ErrorKind},
    text::push_readable,
};

/// What a part of the grammar gives.
pub(super) type Read<T> = Result<T, Fault>;

/// Something that is not as the syntax demands, at a byte of the text.
#[derive(Debug)]
pub(super) struct Fault {
    pub offset: usize,
    pub message: String,
}

/// How much of a line is shown on each side of a fault.
const SHOWN: usize = 60;

impl Fault {
    pub fn in_text(self, text: &str) -> Error {
        let before = &text[..self.offset];
        let start = before.rfind('\n').map_or(0, |end| end + 1);
        let line = text[start..].lines().next().unwrap_or_default();
        let left: Vec<char> = text[start..self.offset].chars().collect();
        let right: Vec<char> = line.get(self.offset - start..).unwrap_or_default().chars().collect();
        ErrorKind::Text {
            line: before.matches('\n').count() + 1,
            column: left.len() + 1,
            message: self.message,
            excerpt: excerpt(&left, &right),
        }
        .into()
    }
}

/// The line around a fault, and a caret below it; a tab is a space, so that the caret stands where it
/// belongs.
fn excerpt(left: &[char], right: &[char]) -> String {
    let cut_left = left.len().saturating_sub(SHOWN);
    let spaced = |character: &char| if *character == '\t' { ' ' } else { *character };
    let mut shown = String::from(if cut_left > 0 { "..." } else { "" });
    left[cut_left..].iter().for_each(|character| push_readable(&mut shown, spaced(character)));
    let column = shown.chars().count();
    right.iter().take(SHOWN).for_each(|character| push_readable(&mut shown, spaced(character)));
    shown.push_str(if right.len() > SHOWN { "..." } else { "" });
    format!("  | {}\n  | {}^", shown.trim_end(), " ".repeat(column))
}
