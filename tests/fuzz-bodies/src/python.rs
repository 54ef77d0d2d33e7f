//! Values of Python, as a validator may collect them: how Python prints them, how its JSON encoder
//! does, and which problems they stand for.
//!
//! The counterpart of the reader in `abyssale_core::validation`, written from the other side. The
//! rules of flattening are those of `tests/oracle/README.md`.

mod generate;
mod json;
mod number;
mod repr;

pub use json::json_string;

/// A value.
#[derive(Clone, Debug)]
pub enum Value {
    /// `None`
    None,
    /// `True`, `False`
    Bool(bool),
    /// An int of any size, in decimal.
    Int(String),
    /// A float.
    Float(f64),
    /// A text: its code points, among which surrogates may be.
    Str(Vec<u32>),
    /// `b'…'`
    Bytes(Vec<u8>),
    /// `(1+2j)`
    Complex(f64, f64),
    /// `...`
    Ellipsis,
    /// `[…]`
    List(Vec<Self>),
    /// `(…)`
    Tuple(Vec<Self>),
    /// `{…}` or `set()`
    Set(Vec<Self>),
    /// `frozenset({…})`
    Frozenset(Vec<Self>),
    /// `{…: …}`
    Dict(Vec<(Self, Self)>),
    /// `defaultdict(<class 'dict'>, {…: …})`
    DefaultDict(Vec<(Self, Self)>),
    /// `OrderedDict({…: …})`, or a list of pairs as before Python 3.12.
    OrderedDict(Vec<(Self, Self)>, OrderedSpelling),
}

/// How an `OrderedDict` is printed.
#[derive(Clone, Copy, Debug)]
pub enum OrderedSpelling {
    /// Since Python 3.12.
    Dict,
    /// Before.
    Pairs,
}

/// A step of a path.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Element {
    /// A key.
    Key(String),
    /// An integer.
    Index(i64),
}

impl Element {
    /// The step as a key of a JSON object.
    pub fn text(&self) -> String {
        match self {
            Self::Key(key) => key.clone(),
            Self::Index(index) => index.to_string(),
        }
    }
}

impl Value {
    /// The problems this stands for.
    pub fn leaves(&self) -> Vec<(Vec<Element>, String)> {
        let mut leaves = Vec::new();
        self.flatten(&mut Vec::new(), &mut leaves);
        leaves
    }

    /// Whether a surrogate is anywhere in it.
    pub fn has_surrogates(&self) -> bool {
        match self {
            Self::Str(units) => units.iter().any(|unit| (0xD800..0xE000).contains(unit)),
            Self::List(items) | Self::Tuple(items) | Self::Set(items) | Self::Frozenset(items) => {
                items.iter().any(Self::has_surrogates)
            }
            Self::Dict(pairs) | Self::DefaultDict(pairs) | Self::OrderedDict(pairs, _) => {
                pairs.iter().any(|(key, value)| key.has_surrogates() || value.has_surrogates())
            }
            _ => false,
        }
    }

    fn flatten(&self, path: &mut Vec<Element>, leaves: &mut Vec<(Vec<Element>, String)>) {
        match self {
            Self::Dict(pairs) | Self::DefaultDict(pairs) | Self::OrderedDict(pairs, _) => {
                for (key, value) in pairs {
                    path.push(key.element());
                    value.flatten(path, leaves);
                    path.pop();
                }
            }
            Self::List(items) | Self::Tuple(items) => {
                for item in items {
                    item.flatten(path, leaves);
                }
            }
            Self::Set(items) | Self::Frozenset(items) => {
                let mut items: Vec<_> = items.iter().collect();
                items.sort_by_key(|item| item.repr());
                for item in items {
                    item.flatten(path, leaves);
                }
            }
            scalar => leaves.push((path.clone(), scalar.message())),
        }
    }

    fn element(&self) -> Element {
        match self {
            Self::Int(digits) => match digits.parse() {
                Ok(index) => Element::Index(index),
                Err(_) => Element::Key(digits.clone()),
            },
            Self::Str(_) | Self::None | Self::Bool(_) | Self::Float(_) => Element::Key(self.message()),
            other => Element::Key(other.repr()),
        }
    }

    /// A scalar as it is shown.
    fn message(&self) -> String {
        match self {
            Self::Str(units) => units
                .iter()
                .map(|&unit| char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER))
                .collect(),
            Self::None | Self::Bool(_) | Self::Float(_) => self.json(true).unwrap_or_default(),
            other => other.repr(),
        }
    }
}
