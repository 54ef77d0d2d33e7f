//! The tokens of JSON, read in place: strings, numbers, literals, and how to pass over a value.
//!
//! Why not `serde_json`: it recurses and therefore stops at a nesting of 128, refuses lone
//! surrogates and `NaN`, both of which Python's encoder prints, and forgets what it read when a body
//! breaks off. Behind all that, the problems are still there to be read. What is valid JSON is read
//! as `serde_json` reads it, which the tests check against it.

use alloc::{borrow::Cow, string::String};

use super::scan::plain_run;

/// A place in a JSON text.
#[derive(Clone)]
pub(crate) struct Json<'a> {
    text: &'a str,
    at: usize,
}

/// The text breaks off, or is not what it should be. What was read until then counts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Broken;

/// A string as it stands in the text, without its quotes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Raw<'a> {
    /// There are no escapes in it.
    Plain(&'a str),
    /// There are, and they were checked.
    Escaped(&'a str),
}

impl<'a> Json<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// The next byte that is not white space, without taking it.
    #[inline]
    pub(crate) fn peek(&mut self) -> Option<u8> {
        let rest = self.text.as_bytes().get(self.at..)?;
        // Most of the time there is none, or a single blank.
        let blank = rest.iter().position(|byte| !matches!(byte, b' ' | b'\n' | b'\r' | b'\t'))?;
        self.at += blank;
        rest.get(blank).copied()
    }

    /// Takes the next byte that is not white space if it is this one.
    #[inline]
    pub(crate) fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// A byte that has to come next.
    #[inline]
    pub(crate) fn expect(&mut self, byte: u8) -> Result<(), Broken> {
        self.take(byte).then_some(()).ok_or(Broken)
    }

    /// The key of a member, and its colon.
    #[inline]
    pub(crate) fn key(&mut self) -> Result<Raw<'a>, Broken> {
        let key = self.string()?;
        self.expect(b':')?;
        Ok(key)
    }

    /// A string, with its escapes checked and still in place.
    pub(crate) fn string(&mut self) -> Result<Raw<'a>, Broken> {
        match self.string_or_beginning() {
            (text, true) => Ok(text),
            (_, false) => Err(Broken),
        }
    }

    /// A string and `true`, or as much as there is of one that breaks off.
    pub(crate) fn string_or_beginning(&mut self) -> (Raw<'a>, bool) {
        if !self.take(b'"') {
            return (Raw::Plain(""), false);
        }
        let start = self.at;
        let mut escaped = false;
        loop {
            let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
            self.at += plain_run(rest, b'"');
            let whole = match self.text.as_bytes().get(self.at) {
                Some(b'"') => true,
                Some(b'\\') => {
                    escaped = true;
                    match self.text.get(self.at..).and_then(escape) {
                        Some((_, len)) => {
                            self.at += len;
                            continue;
                        }
                        None => false,
                    }
                }
                // A control character, or the end.
                _ => false,
            };
            let raw = self.text.get(start..self.at).unwrap_or_default();
            self.at += usize::from(whole);
            return (if escaped { Raw::Escaped(raw) } else { Raw::Plain(raw) }, whole);
        }
    }

    /// A number or a literal, as it is spelled. Python's encoder also prints `NaN` and `Infinity`.
    pub(crate) fn scalar(&mut self) -> Result<&'a str, Broken> {
        self.peek();
        let rest = self.text.get(self.at..).unwrap_or_default();
        let len =
            rest.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte)).count();
        let word = rest.get(..len).unwrap_or_default();
        // At the end of the text there may have been more digits.
        if len == rest.len() || !(LITERALS.contains(&word) || is_number(word.as_bytes())) {
            return Err(Broken);
        }
        self.at += len;
        Ok(word)
    }

    /// Passes over a value, and gives its text. Brackets are counted and not matched with each
    /// other: nothing here is judged, it is only left out.
    pub(crate) fn skip(&mut self) -> Result<&'a str, Broken> {
        self.peek();
        let start = self.at;
        let mut depth = 0_usize;
        loop {
            match self.peek().ok_or(Broken)? {
                b'"' => drop(self.string()?),
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                }
                b'}' | b']' if depth > 0 => {
                    depth -= 1;
                    self.at += 1;
                }
                b',' | b':' if depth > 0 => self.at += 1,
                _ => drop(self.scalar()?),
            }
            if depth == 0 {
                return self.text.get(start..self.at).ok_or(Broken);
            }
        }
    }
}

impl<'a> Raw<'a> {
    /// The string itself.
    pub(crate) fn decode(self) -> Cow<'a, str> {
        match self {
            Self::Plain(text) => Cow::Borrowed(text),
            Self::Escaped(text) => {
                let mut out = String::with_capacity(text.len());
                unescape(text, &mut out);
                Cow::Owned(out)
            }
        }
    }
}

/// Appends what a string stands for. Escapes were checked; at one that is not valid, it ends.
pub(crate) fn unescape(mut raw: &str, out: &mut String) {
    while let Some(at) = raw.find('\\') {
        let (plain, rest) = raw.split_at_checked(at).unwrap_or((raw, ""));
        out.push_str(plain);
        let Some((c, len)) = escape(rest) else { return };
        out.push(c);
        raw = rest.get(len..).unwrap_or_default();
    }
    out.push_str(raw);
}

/// The character an escape stands for, and how long the escape is. A lone surrogate, which no text
/// can hold, is replaced.
fn escape(text: &str) -> Option<(char, usize)> {
    let simple = match text.as_bytes().get(1)? {
        b'"' => '"',
        b'\\' => '\\',
        b'/' => '/',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return unicode_escape(text),
        _ => return None,
    };
    Some((simple, 2))
}

fn unicode_escape(text: &str) -> Option<(char, usize)> {
    let first = hex(text.get(2..6)?)?;
    if let Some(c) = char::from_u32(first) {
        return Some((c, 6));
    }
    let second = text.get(6..12).and_then(|rest| hex(rest.strip_prefix("\\u")?));
    match second {
        Some(second @ 0xDC00..=0xDFFF) if first < 0xDC00 => {
            let c = char::from_u32(0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00))?;
            Some((c, 12))
        }
        _ => Some((char::REPLACEMENT_CHARACTER, 6)),
    }
}

/// The value of hexadecimal digits and nothing else; `from_str_radix` takes a sign as well.
pub(crate) fn hex(digits: &str) -> Option<u32> {
    digits.bytes().try_fold(0_u32, |value, byte| Some((value << 4) | char::from(byte).to_digit(16)?))
}

fn is_number(word: &[u8]) -> bool {
    let word = word.strip_prefix(b"-").unwrap_or(word);
    let (whole, word) = digits(word);
    if whole.is_empty() || (whole.len() > 1 && whole.first() == Some(&b'0')) {
        return false;
    }
    let word = match word.strip_prefix(b".") {
        Some(word) => match digits(word) {
            ([], _) => return false,
            (_, word) => word,
        },
        None => word,
    };
    match word {
        [] => true,
        [b'e' | b'E', b'+' | b'-', exponent @ ..] | [b'e' | b'E', exponent @ ..] => {
            !exponent.is_empty() && digits(exponent).1.is_empty()
        }
        _ => false,
    }
}

fn digits(word: &[u8]) -> (&[u8], &[u8]) {
    let len = word.iter().take_while(|byte| byte.is_ascii_digit()).count();
    word.split_at_checked(len).unwrap_or((word, &[]))
}

const LITERALS: [&str; 6] = ["null", "true", "false", "NaN", "Infinity", "-Infinity"];
