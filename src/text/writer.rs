//! Lines of text: indentation, and comments at their ends. Knows nothing of models.

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
        push_readable(&mut self.text, &self.line);
        if !self.notes.is_empty() {
            // A comment reaches to the end of its line, so it has one line only.
            let notes = self.notes.join("; ").replace('\n', "\\n").replace('\r', "\\r");
            self.text.push_str(if self.line.is_empty() { "# " } else { "  # " });
            push_readable(&mut self.text, notes.trim_end());
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

/// Adds a text in which nothing steers a terminal: a name may hold any character. Line breaks and tabs
/// inside of strings stay, as the parser reads them so; it has no escapes for others.
fn push_readable(text: &mut String, line: &str) {
    for character in line.chars() {
        match character {
            '\n' | '\t' => text.push(character),
            character if character.is_control() => text.extend(character.escape_unicode()),
            character => text.push(character),
        }
    }
}
