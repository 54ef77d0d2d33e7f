//! Lowercase hexadecimal digits: the only spelling that the service uses in signatures and ids.

use alloc::string::String;

/// Writes two digits for each byte.
pub(crate) fn encode(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|nibble| char::from_digit(nibble.into(), 16))
        .collect()
}

/// Reads `N` bytes from exactly twice as many lowercase digits.
pub(crate) fn decode<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let (pairs, []) = digits.as_chunks() else { return None };
    if pairs.len() != N {
        return None;
    }
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = nibble(*high)? << 4 | nibble(*low)?;
    }
    Some(bytes)
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_read_back_and_no_other_spelling_is() {
        assert_eq!(encode(&[0x00, 0x9a, 0xff, 0x10]), "009aff10");
        assert_eq!(decode(b"009aff10"), Some([0x00, 0x9a, 0xff, 0x10]));
        for other in
            [&b"009aff1"[..], b"009aff100", b"009aff1000", b"009AFF10", b"009aff1g", b"009aff1/", b"009aff1`"]
        {
            assert_eq!(decode::<4>(other), None, "{other:?}");
        }
    }
}
