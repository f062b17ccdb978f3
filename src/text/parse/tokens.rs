//! The words of the syntax: blanks, comments, names, strings and numbers. The counterpart of `syntax.rs`.

use winnow::{
    LocatingSlice, ModalResult, Parser as _,
    ascii::{alpha1, digit0, digit1},
    combinator::{alt, delimited, opt, preceded, repeat},
    stream::Location as _,
    token::{any, one_of, take_till, take_while},
};

use super::{Fault, Read, Reader};

pub(super) type Input<'a> = LocatingSlice<&'a str>;

const BLANKS: [char; 6] = [' ', '\t', '\n', '\r', '\x0b', '\x0c'];

/// White space, and comments from `#` to the end of a line.
pub(super) fn blank(input: &mut Input) -> ModalResult<()> {
    repeat(0.., alt((take_while(1.., BLANKS).void(), ('#', take_till(0.., '\n')).void()))).parse_next(input)
}

/// A letter or `_`, and more of these and digits behind it.
fn identifier<'a>(input: &mut Input<'a>) -> ModalResult<&'a str> {
    let word = |c: char| c == '_' || c.is_ascii_alphanumeric();
    (one_of(|c: char| c == '_' || c.is_ascii_alphabetic()), take_while(0.., word)).take().parse_next(input)
}

/// A string in quotes. A backslash stands before what is meant as it is; `\u{1b}` is a control character, which the
/// printer writes so.
fn quoted(input: &mut Input) -> ModalResult<String> {
    let control = delimited("u{", take_while(1..=6, |c: char| c.is_ascii_hexdigit()), '}')
        .verify_map(|digits: &str| char::from_u32(u32::from_str_radix(digits, 16).ok()?));
    let piece =
        alt((take_till(1.., ['"', '\\']).map(Piece::Run), preceded('\\', alt((control, any))).map(Piece::Character)));
    let content = repeat(0.., piece).fold(String::new, |mut text, piece| {
        match piece {
            Piece::Run(run) => text.push_str(run),
            Piece::Character(character) => text.push(character),
        }
        text
    });
    delimited('"', content, '"').parse_next(input)
}

enum Piece<'a> {
    Run(&'a str),
    Character(char),
}

/// Digits, with or without a point and an exponent.
fn number<'a>(input: &mut Input<'a>) -> ModalResult<&'a str> {
    let exponent = (one_of(['e', 'E']), opt(one_of(['+', '-'])), digit1);
    (opt('-'), digit1, opt(('.', digit0)), opt(exponent)).take().parse_next(input)
}

/// `nan`, `inf` or `infinity`, however it is spelled.
fn special<'a>(input: &mut Input<'a>) -> ModalResult<&'a str> {
    let is_special = |word: &str| ["nan", "inf", "infinity"].iter().any(|name| word.eq_ignore_ascii_case(name));
    (opt('-'), identifier_of_letters.verify(is_special)).take().parse_next(input)
}

fn identifier_of_letters<'a>(input: &mut Input<'a>) -> ModalResult<&'a str> {
    identifier.verify(|word: &str| alpha1::<_, winnow::error::EmptyError>.parse(word).is_ok()).parse_next(input)
}

/// A number as it is written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Number<'a> {
    pub text: &'a str,
    pub offset: usize,
}

impl Number<'_> {
    /// Whether it has neither a point nor an exponent.
    pub fn is_integer(self) -> bool {
        self.text.trim_start_matches('-').bytes().all(|byte| byte.is_ascii_digit())
    }

    /// Its value, if the type has it; what is finite as written must not become infinite.
    pub fn parse<T: std::str::FromStr>(self, what: &str) -> Read<T> {
        self.text.parse().map_err(|_| self.does_not_fit(what))
    }

    pub fn float(self) -> Read<f32> {
        let number: f32 = self.parse("a float")?;
        if number.is_infinite() && self.is_finite() { Err(self.does_not_fit("a float")) } else { Ok(number) }
    }

    pub fn double(self) -> Read<f64> {
        let number: f64 = self.parse("a double")?;
        if number.is_infinite() && self.is_finite() { Err(self.does_not_fit("a double")) } else { Ok(number) }
    }

    pub fn does_not_fit(self, what: &str) -> Fault {
        Fault { offset: self.offset, message: format!("{} is not {what}", self.text) }
    }

    fn is_finite(self) -> bool {
        self.text.bytes().any(|byte| byte.is_ascii_digit())
    }
}

impl<'a> Reader<'a> {
    /// Skips blanks; where the next word begins.
    pub fn here(&mut self) -> usize {
        let _ = blank.parse_next(&mut self.input);
        self.input.current_token_start()
    }

    /// What is still to be read, from the next word on.
    pub fn rest(&mut self) -> &'a str {
        let here = self.here();
        &self.text[here..]
    }

    pub fn next_is(&mut self, text: &str) -> bool {
        self.rest().starts_with(text)
    }

    /// Skips a sign of the syntax if it is next.
    pub fn skip(&mut self, sign: &str) -> bool {
        self.here();
        winnow::token::literal::<_, _, winnow::error::EmptyError>(sign).parse_next(&mut self.input).is_ok()
    }

    pub fn expect(&mut self, sign: &str) -> Read<()> {
        if self.skip(sign) { Ok(()) } else { Err(self.expected(&format!("'{sign}'"))) }
    }

    /// What was expected where something else is.
    pub fn expected(&mut self, what: &str) -> Fault {
        const SHOWN: usize = 20;
        let offset = self.here();
        let rest = &self.text[offset..];
        let word = rest.find(|c: char| c != '_' && !c.is_ascii_alphanumeric()).unwrap_or(rest.len()).min(SHOWN);
        let found = match rest.chars().next() {
            None => "the end of the text".to_owned(),
            Some(_) if word > 0 => format!("'{}'", &rest[..word]),
            Some(character) => format!("'{}'", character.escape_debug()),
        };
        Fault { offset, message: format!("expected {what}, found {found}") }
    }

    /// An identifier, if one is next.
    pub fn word(&mut self) -> Option<&'a str> {
        self.here();
        let before = self.input;
        identifier.parse_next(&mut self.input).inspect_err(|_| self.input = before).ok()
    }

    pub fn peek_word(&mut self) -> Option<&'a str> {
        let before = self.input;
        let word = self.word();
        self.input = before;
        word
    }

    /// An identifier or a string, if one is next.
    pub fn optional_name(&mut self) -> Read<Option<String>> {
        if self.next_is("\"") { self.string().map(Some) } else { Ok(self.word().map(str::to_owned)) }
    }

    pub fn name(&mut self, what: &str) -> Read<String> {
        self.optional_name()?.ok_or_else(|| self.expected(&format!("{what}: an identifier, or a string in quotes")))
    }

    pub fn string(&mut self) -> Read<String> {
        if !self.next_is("\"") {
            return Err(self.expected("a string in quotes"));
        }
        let offset = self.here();
        let unended = |_| Fault { offset, message: "the string that begins here has no closing quote".to_owned() };
        quoted.parse_next(&mut self.input).map_err(unended)
    }

    /// A number, if one is next.
    pub fn optional_number(&mut self) -> Option<Number<'a>> {
        let offset = self.here();
        let before = self.input;
        let text = alt((number, special)).parse_next(&mut self.input);
        text.map(|text| Number { text, offset }).inspect_err(|_| self.input = before).ok()
    }

    pub fn number(&mut self, what: &str) -> Read<Number<'a>> {
        self.optional_number().ok_or_else(|| self.expected(what))
    }

    pub fn integer(&mut self) -> Read<i64> {
        self.number("an integer")?.parse("an integer of 64 bits")
    }

    /// Items with commas between them.
    pub fn list<T>(&mut self, mut item: impl FnMut(&mut Self) -> Read<T>) -> Read<Vec<T>> {
        let mut items = vec![item(self)?];
        while self.skip(",") {
            items.push(item(self)?);
        }
        Ok(items)
    }

    /// The same between an opening and a closing sign; there may be no items.
    pub fn enclosed<T>(&mut self, open: &str, close: &str, item: impl FnMut(&mut Self) -> Read<T>) -> Read<Vec<T>> {
        self.expect(open)?;
        if self.skip(close) {
            return Ok(Vec::new());
        }
        let items = self.list(item)?;
        if self.skip(close) { Ok(items) } else { Err(self.expected(&format!("',' or '{close}'"))) }
    }
}
