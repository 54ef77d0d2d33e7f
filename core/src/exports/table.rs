//! Tables by names that are our own: of jobs, and digests of the tokens that we gave out.
//!
//! A look-up touches one place in memory, where that in an ordered map of a million touches several. No seed is needed:
//! a peer can ask for any name, but what is in a table, and so how full a part of it is, peers do not choose. What is
//! kept by a peer's own names is kept in ordered maps.

use core::hash::{BuildHasherDefault, Hasher};

pub(super) type Table<K, V> = hashbrown::HashMap<K, V, BuildHasherDefault<Mixer>>;

/// Spreads numbers that follow each other: the product with an odd constant, folded.
#[derive(Clone, Debug, Default)]
pub(super) struct Mixer(u64);

impl Hasher for Mixer {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for piece in bytes.chunks(8) {
            let mut number = [0; 8];
            number.iter_mut().zip(piece).for_each(|(to, from)| *to = *from);
            self.write_u64(u64::from_le_bytes(number));
        }
    }

    fn write_u64(&mut self, number: u64) {
        let product = u128::from(self.0 ^ number).wrapping_mul(u128::from(ODD));
        let [low, high] = [product, product >> 64].map(|half| half & u128::from(u64::MAX));
        self.0 = u64::try_from(low ^ high).unwrap_or_default();
    }

    fn write_usize(&mut self, _length: usize) {
        // All keys of a table have the same.
    }
}

const ODD: u64 = 0x9e37_79b9_7f4a_7c15;

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    #[test]
    fn every_part_of_a_longer_name_counts() {
        let hash = |halves: [u64; 2]| {
            let mut mixer = Mixer::default();
            for half in halves {
                mixer.write(&half.to_le_bytes());
            }
            mixer.finish()
        };
        for other in [0, 1, u64::MAX] {
            assert_ne!(hash([7, other]), hash([8, other]));
            assert_ne!(hash([other, 7]), hash([other, 8]));
        }
    }

    #[test]
    fn neighbours_are_spread_over_the_whole_table() {
        let hash = |number: u64| {
            let mut mixer = Mixer::default();
            mixer.write_u64(number);
            mixer.finish()
        };
        let first = 1_755_561_234_000_u64 << 20;
        // What a table looks at: the low bits for the place, the high ones for a first comparison.
        for shift in [0, 57] {
            let mut places = vec![0_u32; 128];
            for number in first..first + 12_800 {
                *places.get_mut(usize::try_from((hash(number) >> shift) & 127).unwrap()).unwrap() += 1;
            }
            assert!(places.iter().all(|count| (50..200).contains(count)), "{places:?}");
        }
    }

    #[test]
    fn each_byte_of_a_digest_counts() {
        let hash = |bytes: [u8; 16]| {
            let mut mixer = Mixer::default();
            mixer.write(&bytes);
            mixer.finish()
        };
        let zero = hash([0; 16]);
        for at in 0..16 {
            let mut bytes = [0; 16];
            *bytes.get_mut(at).unwrap() = 1;
            assert_ne!(hash(bytes), zero, "{at}");
        }
    }
}
