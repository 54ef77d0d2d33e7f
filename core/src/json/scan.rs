//! The inner loop of both readers: how far a text goes on before something in it matters.

/// How many bytes come before the first that is `quote`, a backslash or a control character.
///
/// Eight bytes at a time, for texts are most of a body.
#[inline]
pub(crate) fn plain_run(bytes: &[u8], quote: u8) -> usize {
    let (words, rest) = bytes.as_chunks::<8>();
    for (at, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let special = zero_bytes(word ^ (EACH * u64::from(quote)))
            | zero_bytes(word ^ (EACH * u64::from(b'\\')))
            | (word.wrapping_sub(EACH * u64::from(b' ')) & !word & TOP_BITS);
        if special != 0 {
            return at * 8 + special.trailing_zeros() as usize / 8;
        }
    }
    let is_special = |byte: &u8| *byte == quote || *byte == b'\\' || *byte < b' ';
    bytes.len() - rest.len() + rest.iter().position(is_special).unwrap_or(rest.len())
}

/// The top bit of each byte that is zero. Above the first of them others may be set as well, because
/// subtraction borrows, so only the first one counts.
#[inline]
fn zero_bytes(word: u64) -> u64 {
    word.wrapping_sub(EACH) & !word & TOP_BITS
}

const EACH: u64 = 0x0101_0101_0101_0101;
const TOP_BITS: u64 = 0x8080_8080_8080_8080;

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    #[test]
    fn every_byte_is_told_at_every_place() {
        for len in 0..20 {
            assert_eq!(plain_run(&vec![b'x'; len], b'"'), len);
            for place in 0..len {
                for byte in 0..=u8::MAX {
                    let mut bytes = vec![b'x'; len];
                    bytes[place] = byte;
                    let is_special = byte < 0x20 || byte == b'\'' || byte == b'\\';
                    assert_eq!(
                        plain_run(&bytes, b'\''),
                        if is_special { place } else { len },
                        "{byte} at {place}"
                    );
                    // What comes behind the first one does not matter.
                    bytes[len - 1] = 0;
                    assert_eq!(plain_run(&bytes, b'\''), if is_special { place } else { len - 1 });
                }
            }
        }
    }
}
