//! Makes up whatever nobody may guess: export ids, archive tokens, delivery ids, secrets. All come from one seed, so
//! that a seeded simulator repeats itself exactly.

use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest, Sha256};

/// A source of unguessable names.
#[derive(Debug)]
pub(crate) struct Mint {
    seed: [u8; 32],
    minted: AtomicU64,
}

impl Mint {
    /// A mint that repeats itself for a given seed, and never without one.
    pub(crate) fn new(seed: Option<[u8; 32]>) -> Result<Self, getrandom::Error> {
        let mut drawn = [0; 32];
        match seed {
            Some(seed) => drawn = seed,
            None => getrandom::fill(&mut drawn)?,
        }
        Ok(Self { seed: drawn, minted: AtomicU64::new(0) })
    }

    /// 64 lowercase hex digits.
    pub(crate) fn token(&self) -> String {
        hex(&self.bytes())
    }

    /// A random (version 4) UUID in hyphenated form.
    pub(crate) fn uuid(&self) -> String {
        let marked = self.bytes().into_iter().take(16).enumerate().map(|(at, byte)| match at {
            6 => (byte & 0x0f) | 0x40,
            8 => (byte & 0x3f) | 0x80,
            _ => byte,
        });
        let mut text = hex(&marked.collect::<Vec<_>>());
        for at in HYPHENS {
            text.insert(at, '-');
        }
        text
    }

    /// A signing secret as the service spells them.
    pub(crate) fn secret(&self) -> String {
        format!("whsec_{}", self.token())
    }

    fn bytes(&self) -> [u8; 32] {
        let number = self.minted.fetch_add(1, Ordering::Relaxed);
        Sha256::new().chain_update(self.seed).chain_update(number.to_be_bytes()).finalize().into()
    }
}

/// Whether `text` is a UUID in hyphenated form, of any version and in either case.
pub(crate) fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text
            .bytes()
            .enumerate()
            .all(|(at, byte)| if HYPHENS.contains(&at) { byte == b'-' } else { byte.is_ascii_hexdigit() })
}

/// Lowercase hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 0x0f])
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect()
}

const HYPHENS: [usize; 4] = [8, 13, 18, 23];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minted_ids_are_uuids_and_a_seed_repeats_them() {
        let (first, second) = (Mint::new(Some([7; 32])).unwrap(), Mint::new(Some([7; 32])).unwrap());
        let id = first.uuid();
        assert!(is_uuid(&id), "{id}");
        assert_eq!(id, second.uuid());
        assert_ne!(id, first.uuid());
    }
}
