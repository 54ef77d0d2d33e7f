//! How Python's JSON encoder prints values.

use std::fmt::Write as _;

use super::{Value, number::float};

impl Value {
    /// `json.dumps(value, ensure_ascii=ascii)`, if the encoder takes the value.
    pub fn json(&self, ascii: bool) -> Option<String> {
        Some(match self {
            Self::None => "null".to_owned(),
            Self::Bool(value) => value.to_string(),
            Self::Int(digits) => digits.clone(),
            Self::Float(value) => float(*value).replace("nan", "NaN").replace("inf", "Infinity"),
            Self::Str(units) => json_string(units, ascii),
            Self::List(items) | Self::Tuple(items) => {
                let items = items.iter().map(|item| item.json(ascii)).collect::<Option<Vec<_>>>()?;
                format!("[{}]", items.join(", "))
            }
            Self::Dict(pairs) | Self::DefaultDict(pairs) | Self::OrderedDict(pairs, _) => {
                let pairs = pairs
                    .iter()
                    .map(|(key, value)| Some(format!("{}: {}", key.json_key(ascii)?, value.json(ascii)?)));
                format!("{{{}}}", pairs.collect::<Option<Vec<_>>>()?.join(", "))
            }
            Self::Bytes(_) | Self::Complex(..) | Self::Ellipsis | Self::Set(_) | Self::Frozenset(_) => {
                return None;
            }
        })
    }

    fn json_key(&self, ascii: bool) -> Option<String> {
        match self {
            Self::Str(units) => Some(json_string(units, ascii)),
            Self::None | Self::Bool(_) | Self::Int(_) | Self::Float(_) => {
                Some(format!("\"{}\"", self.json(ascii)?))
            }
            _ => None,
        }
    }
}

/// A text in JSON. Surrogates are escaped even where the rest is not: bytes cannot hold them.
pub fn json_string(units: &[u32], ascii: bool) -> String {
    let mut out = String::from('"');
    for &unit in units {
        match char::from_u32(unit) {
            Some(c @ ('"' | '\\')) => out.extend(['\\', c]),
            Some('\n') => out.push_str("\\n"),
            Some('\t') => out.push_str("\\t"),
            Some(c) if c >= ' ' && (c.is_ascii() || !ascii) => out.push(c),
            Some(c) => {
                let mut buffer = [0; 2];
                for unit in c.encode_utf16(&mut buffer) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
            None => {
                let _ = write!(out, "\\u{unit:04x}");
            }
        }
    }
    out.push('"');
    out
}
