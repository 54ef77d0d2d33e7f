//! A reader for the tokens of JSON: strings, numbers and literals, and a way to skip a value.
//!
//! `serde_json` cannot read what is read here: it recurses and therefore stops at 128 levels of nesting, it refuses lone
//! surrogates and `NaN`, both of which Python's encoder prints, and it discards what it has read when a body breaks off.
//! Valid JSON is read as `serde_json` reads it, which the tests check.

use super::{
    bounds::Stop,
    escapes::{json_escape_len, plain_len},
    text::Text,
};

/// A position in a JSON text.
#[derive(Clone)]
pub(super) struct Json<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Json<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// Skips white space, and returns the next byte without taking it.
    pub(super) fn peek(&mut self) -> Option<u8> {
        let rest = self.bytes();
        let blank = rest.iter().position(|byte| !matches!(byte, b' ' | b'\n' | b'\r' | b'\t'))?;
        let next = rest.get(blank).copied();
        self.at += blank;
        next
    }

    /// Skips white space, and takes the next byte if it is this one.
    pub(super) fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// Skips white space, and takes a byte that has to come next.
    pub(super) fn expect(&mut self, byte: u8) -> Result<(), Stop> {
        self.take(byte).then_some(()).ok_or(Stop::Broken)
    }

    /// Takes the key of a member, and its colon.
    pub(super) fn key(&mut self) -> Result<Text<'a>, Stop> {
        let key = self.string()?;
        self.expect(b':')?;
        Ok(key)
    }

    /// Takes a string.
    pub(super) fn string(&mut self) -> Result<Text<'a>, Stop> {
        match self.string_or_beginning() {
            (text, true) => Ok(text),
            (_, false) => Err(Stop::Broken),
        }
    }

    /// Takes a string and returns it with `true`, or the beginning of a string that breaks off with `false`.
    pub(super) fn string_or_beginning(&mut self) -> (Text<'a>, bool) {
        if !self.take(b'"') {
            return (Text::Plain(""), false);
        }
        let start = self.at;
        let mut has_escapes = false;
        let is_whole = loop {
            self.at += plain_len(self.bytes(), b'"');
            match self.bytes().first() {
                Some(b'"') => break true,
                Some(b'\\') => has_escapes = true,
                // A control character, or the end.
                _ => break false,
            }
            match json_escape_len(self.rest()) {
                Some(len) => self.at += len,
                None => break false,
            }
        };
        let raw = self.text.get(start..self.at).unwrap_or_default();
        self.at += usize::from(is_whole);
        (if has_escapes { Text::Json(raw) } else { Text::Plain(raw) }, is_whole)
    }

    /// Takes a number or a literal, and returns it as it is spelled.
    pub(super) fn scalar(&mut self) -> Result<&'a str, Stop> {
        self.peek();
        let rest = self.rest();
        let len =
            rest.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte)).count();
        // At the end of a text that breaks off, there may have been more digits.
        let word = rest.get(..len).filter(|word| word.len() < rest.len()).ok_or(Stop::Broken)?;
        if !LITERALS.contains(&word) && !is_number(word.as_bytes()) {
            return Err(Stop::Broken);
        }
        self.at += len;
        Ok(word)
    }

    /// Skips a value, and returns its text.
    ///
    /// Brackets are counted and not matched: the value is omitted, so it need not be valid.
    pub(super) fn skip(&mut self) -> Result<&'a str, Stop> {
        self.peek();
        let start = self.at;
        let mut depth = 0_usize;
        loop {
            match self.peek().ok_or(Stop::Broken)? {
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
                return self.text.get(start..self.at).ok_or(Stop::Broken);
            }
        }
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn bytes(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }
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

/// The last three are Python's.
const LITERALS: [&str; 6] = ["null", "true", "false", "NaN", "Infinity", "-Infinity"];

#[cfg(test)]
mod tests {
    use alloc::{
        format,
        string::{String, ToString},
    };

    use proptest::prelude::*;
    use serde::de::IgnoredAny;

    use super::*;

    /// Whether a reader takes all of a list with this one value in it.
    fn is_scalar(text: &str) -> bool {
        let list = format!("{text}]");
        let mut json = Json::new(&list);
        json.scalar().is_ok() && json.take(b']') && json.peek().is_none()
    }

    #[test]
    fn a_number_has_no_zero_in_front_and_a_digit_wherever_one_belongs() {
        for text in ["0", "-0", "0.5", "-0.0", "0e1", "10", "10.01", "1E+2", "1e-05", "-9.9e9"] {
            assert!(is_scalar(text), "{text}");
        }
        for text in [
            "00", "-00", "01", "-01", "00.5", "01e1", "", "-", ".5", "1.", "1.e1", "1e", "1e+", "+1", "1e1.0",
        ] {
            assert!(!is_scalar(text), "{text}");
        }
    }

    #[test]
    fn a_value_is_passed_over_and_nothing_that_is_none() {
        for text in ["1", "null", r#""]\"""#, "[]", r#"{"a":[{"b":"}"},2]}"#, "[1 , 2]"] {
            for behind in [",", "}", "]", " "] {
                let whole = format!(" {text}{behind}");
                let mut json = Json::new(&whole);
                assert_eq!(json.skip(), Ok(text), "{whole}");
                assert_eq!(json.at, 1 + text.len());
            }
        }
        for text in ["", " ", ",", ":", "}", "]", "]1,", "[1", "[\"", "{\"a\":", "nul,", "01,"] {
            assert_eq!(Json::new(text).skip(), Err(Stop::Broken), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_number_is_a_number_to_both(text in "[-+.eE0-9]{1,8}") {
            let list = format!("[{text}]");
            prop_assert_eq!(is_scalar(&text), serde_json::from_str::<IgnoredAny>(&list).is_ok(), "{}", text);
        }

        #[test]
        fn a_string_is_read_back(text: String) {
            let written = serde_json::Value::from(text.clone()).to_string();
            let mut json = Json::new(&written);
            prop_assert_eq!(json.string().unwrap().decode(), text);
            prop_assert_eq!(json.at, written.len());
        }
    }
}
