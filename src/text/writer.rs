//! Lines of text: indentation, and comments at their ends. Knows nothing of models.

use super::push_readable;

/// Text as it grows, line by line.
#[derive(Default)]
pub(super) struct Writer {
    text: String,
    line: String,
    notes: Vec<String>,
    depth: usize,
}

impl Writer {
    /// Adds to the current line.
    pub fn push(&mut self, text: &str) {
        self.line.push_str(text);
    }

    /// Adds a comment that goes behind the current line when it ends.
    pub fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// Ends the current line.
    pub fn end_line(&mut self) {
        if !self.line.is_empty() || !self.notes.is_empty() {
            self.text.push_str(&"  ".repeat(self.depth));
        }
        self.line.chars().for_each(|character| push_readable(&mut self.text, character));
        if !self.notes.is_empty() {
            // A comment reaches to the end of its line, so it has one line only.
            let notes = self.notes.join("; ").replace('\n', "\\n").replace('\r', "\\r");
            self.text.push_str(if self.line.is_empty() { "# " } else { "  # " });
            notes.trim_end().chars().for_each(|character| push_readable(&mut self.text, character));
        }
        self.text.push('\n');
        self.line.clear();
        self.notes.clear();
    }

    /// Writes a line.
    pub fn line(&mut self, text: &str) {
        self.push(text);
        self.end_line();
    }

    /// Writes a line that is a comment.
    pub fn comment(&mut self, text: &str) {
        self.note(text);
        self.end_line();
    }

    /// Writes a line for each item of a list, with commas between them and `end` behind the last.
    pub fn lines(&mut self, items: &[String], end: &str) {
        for (index, item) in items.iter().enumerate() {
            self.push(item);
            self.push(if index + 1 < items.len() { "," } else { end });
            self.end_line();
        }
    }

    /// Writes something one step further to the right.
    pub fn indented(&mut self, write: impl FnOnce(&mut Self)) {
        self.indent();
        write(self);
        self.outdent();
    }

    pub fn indent(&mut self) {
        self.depth += 1;
    }

    pub fn outdent(&mut self) {
        self.depth -= 1;
    }

    /// How far to the right the current line has come.
    pub fn column(&self) -> usize {
        self.depth * 2 + self.line.chars().count()
    }

    /// The text. Every line must have been ended.
    pub fn finish(self) -> String {
        debug_assert!(self.line.is_empty(), "the last line is not ended: {}", self.line);
        self.text
    }
}
