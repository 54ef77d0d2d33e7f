//! The inner loop of both readers: how far a text goes on before something in it matters.

/// How many bytes come before the first that is `quote`, a backslash or a control character.
///
/// A word at a time for as long as keys and messages are, then as many as the processor takes at once.
#[inline]
pub(crate) fn plain_run(bytes: &[u8], quote: u8) -> usize {
    let short = bytes.get(..SHORT).unwrap_or(bytes);
    let (words, rest) = short.as_chunks::<8>();
    for (at, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let special = zero_bytes(word ^ (EACH * u64::from(quote)))
            | zero_bytes(word ^ (EACH * u64::from(b'\\')))
            | (word.wrapping_sub(EACH * u64::from(b' ')) & !word & TOP_BITS);
        if special != 0 {
            return at * 8 + special.trailing_zeros() as usize / 8;
        }
    }
    if let Some(long) = bytes.get(SHORT..) {
        return SHORT + long_run(long, quote);
    }
    let is_special = |byte: &u8| *byte == quote || *byte == b'\\' || *byte < b' ';
    short.len() - rest.len() + rest.iter().position(is_special).unwrap_or(rest.len())
}

#[inline(never)]
fn long_run(bytes: &[u8], quote: u8) -> usize {
    let end = memchr::memchr2(quote, b'\\', bytes).unwrap_or(bytes.len());
    let run = bytes.get(..end).unwrap_or(bytes);
    // The least of all bytes is found without a branch, many at a time.
    if run.iter().fold(u8::MAX, |least, byte| least.min(*byte)) >= b' ' {
        return end;
    }
    run.iter().position(|byte| *byte < b' ').unwrap_or(end)
}

/// How many bytes come before the first that is no decimal digit.
#[inline]
pub(crate) fn digit_run(bytes: &[u8]) -> usize {
    let (words, rest) = bytes.as_chunks::<8>();
    for (at, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        // What is above a digit passes 0x7f, what is below it passes zero; the next byte's bit may go wrong then.
        let other = (word.wrapping_add(EACH * 0x46) | word.wrapping_sub(EACH * 0x30) | word) & TOP_BITS;
        if other != 0 {
            return at * 8 + other.trailing_zeros() as usize / 8;
        }
    }
    bytes.len() - rest.len() + rest.iter().take_while(|byte| byte.is_ascii_digit()).count()
}

/// The top bit of each byte that is zero. Above the first of them others may be set as well, because
/// subtraction borrows, so only the first one counts.
#[inline]
fn zero_bytes(word: u64) -> u64 {
    word.wrapping_sub(EACH) & !word & TOP_BITS
}

/// An id and its quote fit in.
const SHORT: usize = 40;
const EACH: u64 = 0x0101_0101_0101_0101;
const TOP_BITS: u64 = 0x8080_8080_8080_8080;

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    #[test]
    fn a_digit_is_told_from_every_other_byte() {
        for place in 0..20 {
            for byte in 0..=u8::MAX {
                let mut bytes = [b'0' + u8::try_from(place % 10).unwrap(); 20];
                bytes[place] = byte;
                let is_digit = byte.is_ascii_digit();
                assert_eq!(digit_run(&bytes), if is_digit { 20 } else { place }, "{byte} at {place}");
                // What comes behind the first one does not matter.
                bytes[19] = byte;
                assert_eq!(digit_run(&bytes), if is_digit { 20 } else { place });
            }
        }
    }

    #[test]
    fn every_byte_is_told_at_every_place() {
        for len in (0..20).chain(60..100) {
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
