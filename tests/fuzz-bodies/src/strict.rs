//! The same reading of a JSON tree by `serde_json`, to compare with: one pass that keeps the order
//! and doubled keys.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

/// A path and a message.
pub(crate) type Leaf = (Vec<String>, Message);

/// A message, or a number whose spelling `serde_json` does not keep.
#[derive(Debug)]
pub(crate) enum Message {
    Text(String),
    Number(f64),
}

/// The leaves of a tree, if `serde_json` takes it for JSON.
pub(crate) fn leaves(tree: &[u8]) -> Result<Vec<Leaf>, serde_json::Error> {
    let mut reading = Reading::default();
    let mut deserializer = serde_json::Deserializer::from_slice(tree);
    Node(&mut reading).deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(reading.leaves)
}

#[derive(Default)]
struct Reading {
    path: Vec<String>,
    leaves: Vec<Leaf>,
}

struct Node<'r>(&'r mut Reading);

impl Node<'_> {
    fn leaf(self, message: Message) {
        self.0.leaves.push((self.0.path.clone(), message));
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a tree")
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.leaf(Message::Text(text.to_owned()));
        Ok(())
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.leaf(Message::Text(value.to_string()));
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.leaf(Message::Text("null".to_owned()));
        Ok(())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.leaf(Message::Text(value.to_string()));
        Ok(())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.leaf(Message::Text(value.to_string()));
        Ok(())
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.leaf(Message::Number(value));
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(Node(self.0))?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key()? {
            self.0.path.push(key);
            if self.0.path.len() > 1000 {
                return Err(A::Error::custom("deeper than serde_json reads"));
            }
            map.next_value_seed(Node(self.0))?;
            self.0.path.pop();
        }
        Ok(())
    }
}
