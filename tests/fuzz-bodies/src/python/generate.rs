//! Values made from the bytes of a fuzzer or of proptest.

use std::collections::BTreeSet;

use arbitrary::{Arbitrary as _, Result, Unstructured};

use super::{OrderedSpelling, Value, number::float};

type Bytes<'b, 'a> = &'b mut Unstructured<'a>;

impl Value {
    /// A tree, with a mapping at its root as every collection of problems has.
    pub fn generate(data: Bytes<'_, '_>) -> Result<Self> {
        Ok(Self::Dict(pairs(data, MAX_DEPTH)?))
    }

    fn any(data: Bytes<'_, '_>, depth: u8) -> Result<Self> {
        let Some(deeper) = depth.checked_sub(1) else { return Self::hashable(data, 0) };
        Ok(match u8::arbitrary(data)? % 16 {
            // Mostly what validators collect.
            0..=3 => Self::Dict(pairs(data, deeper)?),
            4..=6 => Self::List(items(data, |data| Self::any(data, deeper))?),
            7 => Self::Tuple(items(data, |data| Self::any(data, deeper))?),
            8 => Self::Set(distinct(items(data, |data| Self::hashable(data, deeper))?)),
            9 => Self::DefaultDict(pairs(data, deeper)?),
            10 => {
                let spelling =
                    if bool::arbitrary(data)? { OrderedSpelling::Dict } else { OrderedSpelling::Pairs };
                Self::OrderedDict(pairs(data, deeper)?, spelling)
            }
            _ => Self::hashable(data, deeper)?,
        })
    }

    /// What may be a key or a member of a set.
    fn hashable(data: Bytes<'_, '_>, depth: u8) -> Result<Self> {
        Ok(match u8::arbitrary(data)? % 24 {
            0 => Self::None,
            1 => Self::Bool(bool::arbitrary(data)?),
            2..=6 => Self::Int(i16::arbitrary(data)?.to_string()),
            7 => Self::Int((i128::arbitrary(data)? >> (u8::arbitrary(data)? % 128)).to_string()),
            8 => Self::Float(*data.choose(&FLOATS)?),
            9 => Self::Float(without_a_tie(f64::arbitrary(data)?)),
            10 => Self::Bytes(items(data, byte)?),
            11 => Self::Complex(finite(data)?, finite(data)?),
            12 => Self::Ellipsis,
            13 | 14 if depth > 0 => Self::Tuple(items(data, |data| Self::hashable(data, depth - 1))?),
            15 if depth > 0 => {
                Self::Frozenset(distinct(items(data, |data| Self::hashable(data, depth - 1))?))
            }
            _ => Self::Str(items(data, unit)?),
        })
    }

    /// The same for what Python takes for one key: `1`, `1.0` and `True`.
    fn identity(&self) -> String {
        match self {
            Self::Bool(value) => Self::Float(f64::from(u8::from(*value))).identity(),
            Self::Int(digits) => match digits.parse::<f64>() {
                Ok(value) if value.abs() < 9e15 => Self::Float(value).identity(),
                _ => digits.clone(),
            },
            // -0.0 is 0, and 1e22 is an integer like any other.
            Self::Float(value) if value.fract() == 0.0 && value.abs() < 9e15 => {
                float(value.abs()) + if *value < 0.0 { "-" } else { "" }
            }
            Self::Float(value) if value.is_finite() && value.fract() == 0.0 => format!("{value:.0}"),
            Self::Complex(real, imaginary) if *imaginary == 0.0 => Self::Float(*real).identity(),
            Self::Complex(real, imaginary) => format!("{real}{imaginary}j").replace("-0", "0"),
            Self::Tuple(items) => items.iter().map(|item| item.identity() + ",").collect(),
            Self::Frozenset(items) => {
                let identities: BTreeSet<_> = items.iter().map(Self::identity).collect();
                format!("{identities:?}")
            }
            other => other.repr(),
        }
    }
}

fn pairs(data: Bytes<'_, '_>, depth: u8) -> Result<Vec<(Value, Value)>> {
    let mut seen = BTreeSet::new();
    let mut pairs = items(data, |data| {
        let key = if data.ratio(1, 4)? {
            Value::hashable(data, depth.min(2))?
        } else {
            Value::Str(items(data, unit)?)
        };
        Ok((key, Value::any(data, depth)?))
    })?;
    pairs.retain(|(key, _)| seen.insert(key.identity()));
    Ok(pairs)
}

fn distinct(mut items: Vec<Value>) -> Vec<Value> {
    let mut seen = BTreeSet::new();
    items.retain(|item| seen.insert(item.identity()));
    items
}

fn items<T>(data: Bytes<'_, '_>, mut item: impl FnMut(Bytes<'_, '_>) -> Result<T>) -> Result<Vec<T>> {
    let mut items = Vec::new();
    // Like the lists of `arbitrary`: a bit each for whether there is another.
    while items.len() < MAX_ITEMS && !data.is_empty() && u8::arbitrary(data)? % 4 != 0 {
        items.push(item(data)?);
    }
    Ok(items)
}

fn byte(data: Bytes<'_, '_>) -> Result<u8> {
    u8::arbitrary(data)
}

/// A code point: ASCII, or one that a reader might stumble over.
fn unit(data: Bytes<'_, '_>) -> Result<u32> {
    match u8::arbitrary(data)? {
        ascii @ 0..=0x7f => Ok(u32::from(ascii)),
        _ => data.choose(&UNITS).copied(),
    }
}

/// Of two shortest spellings that are equally close, Rust takes another one than Python. That happens
/// where a float has one digit more than is needed, and the digit is a 5.
fn without_a_tie(value: f64) -> f64 {
    if (5e14..1e19).contains(&value.abs()) { value * 1e-30 } else { value }
}

fn finite(data: Bytes<'_, '_>) -> Result<f64> {
    Ok(f64::from(i32::arbitrary(data)?) / 8.0)
}

const MAX_DEPTH: u8 = 12;
const MAX_ITEMS: usize = 12;

const FLOATS: [f64; 12] =
    [0.0, -0.5, 1.5, 1e16, 1e15, 1e-4, 1e-5, 1e22, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX];

const UNITS: [u32; 28] = [
    0x80, 0x85, 0x9f, 0xa0, 0xad, 0xe9, 0xff, 0x130, 0x2028, 0x2029, 0x200b, 0x65e5, 0x5d0, 0xd800, 0xd83d,
    0xdbff, 0xdc00, 0xde00, 0xdfff, 0xe000, 0xfdd0, 0xfeff, 0xfffd, 0xffff, 0x1_f600, 0x2_0000, 0xe_0001,
    0x10_ffff,
];
