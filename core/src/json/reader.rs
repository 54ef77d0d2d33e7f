//! The tokens of JSON, read in place: strings, numbers, literals, and how to pass over a value.
//!
//! Why not `serde_json`: it recurses and therefore stops at a nesting of 128, refuses lone
//! surrogates and `NaN`, both of which Python's encoder prints, and forgets what it read when a body
//! breaks off. Behind all that, the problems are still there to be read. What is valid JSON is read
//! as `serde_json` reads it, which the tests check against it.

use alloc::vec::Vec;

use super::{
    escape::{Raw, escape},
    scan::{digit_run, plain_run},
};

/// A place in a JSON text.
#[derive(Clone)]
pub(crate) struct Json<'a> {
    text: &'a str,
    at: usize,
}

/// The text breaks off, or is not what it should be. What was read until then counts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Broken;

impl<'a> Json<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// The next byte that is not white space, without taking it.
    #[inline]
    pub(crate) fn peek(&mut self) -> Option<u8> {
        let text = self.text.as_bytes();
        loop {
            match *text.get(self.at)? {
                b' ' | b'\n' | b'\r' | b'\t' => self.at += 1,
                byte => return Some(byte),
            }
        }
    }

    /// Takes the next byte that is not white space if it is this one.
    #[inline]
    pub(crate) fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// Takes the key that comes next if it is this one in quotes, and spelled without an escape.
    #[inline]
    pub(crate) fn take_key(&mut self, quoted: &str) -> bool {
        let found =
            self.text.as_bytes().get(self.at..).is_some_and(|rest| rest.starts_with(quoted.as_bytes()));
        self.at += if found { quoted.len() } else { 0 };
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
    #[inline]
    pub(crate) fn string(&mut self) -> Result<Raw<'a>, Broken> {
        // Hardly one has escapes.
        if self.peek() == Some(b'"')
            && let Some(rest) = self.text.get(self.at + 1..)
            && let len = plain_run(rest.as_bytes(), b'"')
            && rest.as_bytes().get(len) == Some(&b'"')
            && let Some(plain) = rest.get(..len)
        {
            self.at += len + 2;
            return Ok(Raw::Plain(plain));
        }
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
    #[inline]
    pub(crate) fn scalar(&mut self) -> Result<&'a str, Broken> {
        self.peek();
        let rest = self.text.get(self.at..).unwrap_or_default();
        // Most numbers are moments and sizes: digits, and then something that is part of no number.
        let digits = digit_run(rest.as_bytes());
        let word = match rest.as_bytes().get(digits) {
            Some(b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t')
                if digits > 0 && !(digits > 1 && rest.starts_with('0')) =>
            {
                rest.get(..digits)
            }
            _ => word(rest),
        };
        let word = word.ok_or(Broken)?;
        self.at += word.len();
        Ok(word)
    }

    /// How many bytes come before this place.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// Passes over a value, every bracket and comma of it checked. A level takes a byte, and no recursion.
    pub(crate) fn value(&mut self) -> Result<(), Broken> {
        let mut open = Vec::new();
        loop {
            match self.peek() {
                Some(b'"') => drop(self.string()?),
                Some(b'{') => {
                    self.at += 1;
                    if !self.take(b'}') {
                        self.key()?;
                        open.push(b'}');
                        continue;
                    }
                }
                Some(b'[') => {
                    self.at += 1;
                    if !self.take(b']') {
                        open.push(b']');
                        continue;
                    }
                }
                _ => drop(self.scalar()?),
            }
            // The value is read; now for what it is in.
            loop {
                let Some(&close) = open.last() else { return Ok(()) };
                if self.take(b',') {
                    if close == b'}' {
                        self.key()?;
                    }
                    break;
                }
                self.expect(close)?;
                open.pop();
            }
        }
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

/// The number or the literal that a text begins with.
fn word(text: &str) -> Option<&str> {
    let len = text.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte)).count();
    // At the end of the text there may have been more digits.
    let word = text.get(..len).filter(|word| word.len() < text.len())?;
    (LITERALS.contains(&word) || is_number(word.as_bytes())).then_some(word)
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

#[cfg(test)]
mod tests {
    use alloc::{
        format,
        string::{String, ToString},
    };

    use proptest::prelude::*;
    use serde::de::IgnoredAny;

    use super::*;

    fn is_value(text: &str) -> bool {
        let mut json = Json::new(text);
        json.value().is_ok() && json.peek().is_none()
    }

    #[test]
    fn brackets_have_to_match_and_commas_to_separate() {
        for text in ["[]", "{}", "[[],{}]", r#"{"a":[{"b":{}}],"c":[1,"]",null]}"#, " [ 1 , 2 ] "] {
            assert!(is_value(text), "{text}");
        }
        for text in [
            "[}",
            "{]",
            "[1,]",
            "{,}",
            "[,1]",
            r#"{"a"}"#,
            r#"{"a":1,}"#,
            "[1 2]",
            "[1]]",
            "[[1]",
            "{1:2}",
            "{a\":1}",
            "[",
        ] {
            assert!(!is_value(text), "{text}");
        }
    }

    #[test]
    fn a_number_has_no_zero_in_front_and_a_digit_wherever_one_belongs() {
        for text in ["0", "-0", "0.5", "-0.0", "0e1", "10", "10.01", "1E+2", "1e-05", "-9.9e9"] {
            assert!(is_value(&format!("[{text}]")) && is_value(&format!("[{text},{text} ]")), "{text}");
        }
        for text in [
            "00", "-00", "01", "-01", "00.5", "01e1", "", "-", ".5", "1.", "1.e1", "1e", "1e+", "+1", "1e1.0",
        ] {
            assert!(!is_value(&format!("[{text}]x")) && !is_value(&format!("[{text},1]")), "{text}");
        }
    }

    #[test]
    fn a_key_is_taken_where_it_stands_and_nowhere_else() {
        let mut json = Json::new(r#""ab":1"#);
        assert!(!json.take_key("\"a\"") && !json.take_key("\"abc\"") && json.at() == 0);
        assert!(json.take_key("\"ab\"") && json.at() == 4);
        assert!(!json.take_key("\"ab\""));
    }

    #[test]
    fn a_value_is_passed_over_and_nothing_that_is_none() {
        for text in ["1", "null", r#""]\"""#, "[]", r#"{"a":[{"b":"}"},2]}"#, "[1 , 2]"] {
            for behind in [",", "}", "]", " "] {
                let whole = format!(" {text}{behind}");
                let mut json = Json::new(&whole);
                assert_eq!(json.skip(), Ok(text), "{whole}");
                assert_eq!(json.at(), 1 + text.len());
            }
        }
        for text in ["", " ", ",", ":", "}", "]", "]1,", "[1", "[\"", "{\"a\":", "nul,", "01,"] {
            assert_eq!(Json::new(text).skip(), Err(Broken), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_json_is_what_another_reader_says(
            parts in prop::collection::vec(
                prop::sample::select(&[
                    "{", "}", "[", "]", ",", ":", "\"a\"", "\"a\":", "\"", "\\", "\\n", "\\u00e9", "é", " ", "\t", "\u{1}",
                    "0", "1", "-", ".", "e", "E+", "12", "null", "true", "false", "nul", "{}", "[]", "[1]", "{\"b\":2}",
                ]),
                0..12,
            ),
        ) {
            let text = format!("[{}]", parts.concat());
            prop_assert_eq!(is_value(&text), serde_json::from_str::<IgnoredAny>(&text).is_ok(), "{}", text);
        }

        #[test]
        fn a_number_is_a_number_to_both(text in "[-+.eE0-9]{1,8}") {
            let text = format!("[{text}]");
            prop_assert_eq!(is_value(&text), serde_json::from_str::<IgnoredAny>(&text).is_ok(), "{}", text);
        }

        #[test]
        fn a_string_is_read_back(text: String) {
            let written = serde_json::Value::from(text.clone()).to_string();
            let mut json = Json::new(&written);
            prop_assert_eq!(json.string().unwrap().decode(), text);
            prop_assert_eq!(json.at(), written.len());
        }
    }
}
