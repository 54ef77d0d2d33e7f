//! A problem as the oracle writes it: `[["media", "ids", 0], "Length must be 36."]`.

use abyssale_core::validation::{Problems, Segment};
use serde::Deserialize;

#[derive(Clone, Debug, Deserialize, PartialEq)]
pub(crate) struct Leaf(pub(crate) Vec<Element>, pub(crate) String);

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(untagged)]
pub(crate) enum Element {
    Index(i64),
    Key(String),
}

impl Leaf {
    pub(crate) fn all(problems: &Problems) -> Vec<Self> {
        let element = |segment: Segment<'_>| match segment {
            Segment::Index(index) => Element::Index(index),
            Segment::Key(key) => Element::Key(key.to_owned()),
            other => panic!("an unknown segment: {other:?}"),
        };
        let leaf = |problem: abyssale_core::validation::Problem<'_>| {
            // Unless it was left in the path, the location is its first element.
            let location = problem.location().map(|location| Element::Key(location.to_owned()));
            let path = location.into_iter().chain(problem.path().segments().map(element));
            Self(path.collect(), problem.message().to_owned())
        };
        problems.iter().map(leaf).collect()
    }

    /// The same with a path of nothing but keys, as JSON has it.
    pub(crate) fn as_in_json(&self) -> Self {
        let text = |element: &Element| match element {
            Element::Index(index) => Element::Key(index.to_string()),
            key @ Element::Key(_) => key.clone(),
        };
        Self(self.0.iter().map(text).collect(), self.1.clone())
    }
}

/// Floats may be spelled in more than one way, so they are compared as numbers.
pub(crate) fn agree(found: &[Leaf], expected: &[Leaf]) -> bool {
    let same = |a: &Leaf, b: &Leaf| {
        let numbers = || Some((a.1.parse::<f64>().ok()?, b.1.parse::<f64>().ok()?));
        a.0 == b.0 && (a.1 == b.1 || numbers().is_some_and(|(a, b)| a.to_bits() == b.to_bits()))
    };
    found.len() == expected.len() && found.iter().zip(expected).all(|(a, b)| same(a, b))
}
