//! The tokens of a repr: all values that contain no other values.

use crate::validation::{
    bounds::Stop,
    escapes::{plain_len, python_escape_len},
    text::Text,
};

/// A position in a repr.
#[derive(Clone)]
pub(super) struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

/// A value without other values in it, or the beginning of a container.
#[derive(Clone, Copy)]
pub(super) enum ReprToken<'a> {
    Str(Text<'a>),
    Int(&'a str),
    /// A value that JSON spells differently, in the spelling of JSON.
    Renamed(&'a str),
    /// A value that is kept as it is spelled: bytes, a float, a complex number, or another object.
    Spelled(&'a str),
    /// `{`, `[` or `(`.
    Open(u8),
    /// `name(`.
    Call(Callee),
}

/// A type whose repr is a call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Callee {
    Set,
    Frozenset,
    Defaultdict,
    OrderedDict,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.at == self.text.len()
    }

    pub(super) fn source(&self, start: usize, end: usize) -> &'a str {
        self.text.get(start..end).unwrap_or_default()
    }

    /// Skips white space, and returns the next byte without taking it.
    #[inline]
    pub(super) fn peek(&mut self) -> Option<u8> {
        let rest = self.text.as_bytes().get(self.at..)?;
        let blank = rest.iter().position(|byte| !matches!(byte, b' ' | b'\n' | b'\r' | b'\t'))?;
        self.at += blank;
        rest.get(blank).copied()
    }

    /// Skips white space, and takes the next byte if it is this one.
    #[inline]
    pub(super) fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// Skips white space, and takes a byte that has to come next.
    #[inline]
    pub(super) fn expect(&mut self, byte: u8) -> Result<(), Stop> {
        self.take(byte).then_some(()).ok_or(Stop::Broken)
    }

    /// Takes the next token.
    pub(super) fn token(&mut self) -> Result<ReprToken<'a>, Stop> {
        match self.peek().ok_or(Stop::Broken)? {
            b'\'' | b'"' => self.string().map(ReprToken::Str),
            b'0'..=b'9' | b'-' => self.number(),
            b'(' => match self.complex() {
                Some(spelled) => Ok(ReprToken::Spelled(spelled)),
                None => Ok(self.open(b'(')),
            },
            byte @ (b'{' | b'[') => Ok(self.open(byte)),
            b'<' => self.object().map(ReprToken::Spelled),
            b'.' if self.rest().starts_with("...") => {
                // A container that contains itself.
                self.at += 3;
                Ok(ReprToken::Renamed("Ellipsis"))
            }
            b'A'..=b'Z' | b'a'..=b'z' | b'_' => self.name(),
            _ => Err(Stop::Broken),
        }
    }

    /// Takes the factory of a `defaultdict`: `<class 'dict'>`, or `None`.
    pub(super) fn factory(&mut self) -> Result<(), Stop> {
        match self.token()? {
            ReprToken::Spelled(_) | ReprToken::Renamed(_) => Ok(()),
            _ => Err(Stop::Broken),
        }
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn open(&mut self, byte: u8) -> ReprToken<'a> {
        self.at += 1;
        ReprToken::Open(byte)
    }

    fn string(&mut self) -> Result<Text<'a>, Stop> {
        let quote = *self.text.as_bytes().get(self.at).ok_or(Stop::Broken)?;
        self.at += 1;
        let start = self.at;
        let mut escaped = false;
        loop {
            let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
            self.at += plain_len(rest, quote);
            match self.text.as_bytes().get(self.at) {
                Some(b'\\') => {
                    escaped = true;
                    self.at += python_escape_len(self.rest()).ok_or(Stop::Broken)?;
                }
                Some(byte) if *byte == quote => break,
                // A control character, which is never printed raw, or the end.
                _ => return Err(Stop::Broken),
            }
        }
        let raw = self.source(start, self.at);
        self.at += 1;
        Ok(if escaped { Text::Python(raw) } else { Text::Plain(raw) })
    }

    /// Takes `-?` and an int, a float, `1j`, `inf` or `nan`.
    fn number(&mut self) -> Result<ReprToken<'a>, Stop> {
        let (kind, len) = number(self.rest()).ok_or(Stop::Broken)?;
        let spelled = self.source(self.at, self.at + len);
        self.at += len;
        // `12x` is not a number, and `12+` is a complex number that was cut off.
        if self
            .text
            .as_bytes()
            .get(self.at)
            .is_some_and(|byte| byte.is_ascii_alphanumeric() || b"_+-.".contains(byte))
        {
            return Err(Stop::Broken);
        }
        Ok(match kind {
            Number::Int => ReprToken::Int(spelled),
            Number::Float | Number::Imaginary => {
                json_spelling(spelled).map_or(ReprToken::Spelled(spelled), ReprToken::Renamed)
            }
        })
    }

    /// Takes `(1+2j)`, which is one value although it has parentheses.
    fn complex(&mut self) -> Option<&'a str> {
        let inside = self.rest().strip_prefix('(')?;
        let (Number::Int | Number::Float, real) = number(inside)? else { return None };
        let rest = inside.get(real..)?;
        let imaginary = rest.strip_prefix('+').unwrap_or(rest);
        if imaginary.len() == rest.len() && !rest.starts_with('-') {
            return None;
        }
        let (Number::Imaginary, len) = number(imaginary)? else { return None };
        let end = self.at + self.rest().len() - imaginary.get(len..)?.strip_prefix(')')?.len();
        let spelled = self.source(self.at, end);
        self.at = end;
        Some(spelled)
    }

    fn name(&mut self) -> Result<ReprToken<'a>, Stop> {
        let start = self.at;
        let len = self.rest().bytes().take_while(|b| b.is_ascii_alphanumeric() || b"_.".contains(b)).count();
        self.at += len;
        let name = self.source(start, self.at);
        if let Some(&(_, json)) = CONSTANTS.iter().find(|(python, _)| *python == name) {
            return Ok(ReprToken::Renamed(json));
        }
        match (name, self.text.as_bytes().get(self.at)) {
            ("inf" | "nan", _) => json_spelling(name).map(ReprToken::Renamed).ok_or(Stop::Broken),
            ("b", Some(b'\'' | b'"')) => {
                self.string()?;
                let spelled = self.source(start, self.at);
                if spelled.is_ascii() { Ok(ReprToken::Spelled(spelled)) } else { Err(Stop::Broken) }
            }
            // The repr of a text that Babel translates when it is shown.
            ("l", Some(b'\'' | b'"')) => self.string().map(ReprToken::Str),
            (_, Some(b'(')) => {
                if let Some(&(_, callee)) = CALLEES.iter().find(|(callee, _)| *callee == name) {
                    self.at += 1;
                    return Ok(ReprToken::Call(callee));
                }
                self.balanced(b'(', b')')?;
                Ok(ReprToken::Spelled(self.source(start, self.at)))
            }
            _ => Err(Stop::Broken),
        }
    }

    /// Takes `<Color.red: 'r'>` or `<object at 0x7f…>`.
    fn object(&mut self) -> Result<&'a str, Stop> {
        let start = self.at;
        self.balanced(b'<', b'>')?;
        Ok(self.source(start, self.at))
    }

    /// Skips everything between two brackets, strings included.
    fn balanced(&mut self, open: u8, close: u8) -> Result<(), Stop> {
        let mut depth = 0_usize;
        loop {
            match *self.text.as_bytes().get(self.at).ok_or(Stop::Broken)? {
                b'\'' | b'"' => {
                    self.string()?;
                    continue;
                }
                byte if byte == open => depth += 1,
                byte if byte == close => depth -= 1,
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                return Ok(());
            }
        }
    }
}

impl<'a> ReprToken<'a> {
    /// Returns the value as an element of a path, and whether it is an index.
    pub(super) fn key(self) -> Option<(Text<'a>, bool)> {
        match self {
            Self::Str(text) => Some((text, false)),
            Self::Int(digits) => Some((Text::Plain(digits), digits.parse::<i64>().is_ok())),
            Self::Renamed(text) | Self::Spelled(text) => Some((Text::Plain(text), false)),
            Self::Open(_) | Self::Call(_) => None,
        }
    }

    /// Returns the value as a message.
    pub(super) fn message(self) -> Option<Text<'a>> {
        self.key().map(|(text, _)| text)
    }
}

enum Number {
    Int,
    Float,
    Imaginary,
}

/// Returns the number at the beginning of a text, and its length.
fn number(text: &str) -> Option<(Number, usize)> {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let sign = text.len() - unsigned.len();
    let (kind, len) = match unsigned.as_bytes() {
        [b'i', b'n', b'f', ..] | [b'n', b'a', b'n', ..] => (Number::Float, 3),
        bytes => decimal(bytes)?,
    };
    let is_imaginary = unsigned.as_bytes().get(len) == Some(&b'j');
    let kind = if is_imaginary { Number::Imaginary } else { kind };
    Some((kind, sign + len + usize::from(is_imaginary)))
}

fn decimal(bytes: &[u8]) -> Option<(Number, usize)> {
    let whole = digits(bytes, 0);
    if whole == 0 || (whole > 1 && bytes.first() == Some(&b'0')) {
        return None;
    }
    let mut at = whole;
    if bytes.get(at) == Some(&b'.') {
        let fraction = digits(bytes, at + 1);
        if fraction == 0 {
            return None;
        }
        at += 1 + fraction;
    }
    if bytes.get(at) == Some(&b'e') {
        let sign = usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
        let exponent = digits(bytes, at + 1 + sign);
        if exponent == 0 {
            return None;
        }
        at += 1 + sign + exponent;
    }
    Some((if at == whole { Number::Int } else { Number::Float }, at))
}

fn digits(bytes: &[u8], from: usize) -> usize {
    bytes.get(from..).unwrap_or_default().iter().take_while(|byte| byte.is_ascii_digit()).count()
}

/// Returns JSON's spelling of the floats that are not numbers.
fn json_spelling(python: &str) -> Option<&'static str> {
    match python {
        "nan" | "-nan" => Some("NaN"),
        "inf" => Some("Infinity"),
        "-inf" => Some("-Infinity"),
        _ => None,
    }
}

const CONSTANTS: [(&str, &str); 5] = [
    ("True", "true"),
    ("False", "false"),
    ("None", "null"),
    ("Ellipsis", "Ellipsis"),
    ("NotImplemented", "NotImplemented"),
];

const CALLEES: [(&str, Callee); 4] = [
    ("set", Callee::Set),
    ("frozenset", Callee::Frozenset),
    ("defaultdict", Callee::Defaultdict),
    ("OrderedDict", Callee::OrderedDict),
];
