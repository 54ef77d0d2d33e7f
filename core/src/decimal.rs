//! Decimal numbers as peers write them: ASCII digits, and nothing else.

/// Parses ASCII digits. `None` if there are none, if there is any other byte, or if the number exceeds 64 bits.
pub(crate) fn decimal(digits: &[u8]) -> Option<u64> {
    fold(digits, |number, digit| number.checked_mul(10)?.checked_add(digit))
}

/// Parses ASCII digits like [`decimal`], but returns [`u64::MAX`] for a number that exceeds 64 bits.
pub(crate) fn saturating_decimal(digits: &[u8]) -> Option<u64> {
    fold(digits, |number, digit| Some(number.saturating_mul(10).saturating_add(digit)))
}

fn fold(digits: &[u8], append: impl Fn(u64, u64) -> Option<u64>) -> Option<u64> {
    let digits = Some(digits).filter(|digits| !digits.is_empty())?;
    digits
        .iter()
        .try_fold(0, |number, byte| byte.is_ascii_digit().then(|| append(number, u64::from(byte - b'0')))?)
}

#[cfg(test)]
mod tests {
    use alloc::{string::ToString, vec};

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_byte_is_judged_at_every_place() {
        for len in 1..=19 {
            for place in 0..len {
                for byte in 0..=u8::MAX {
                    let mut text = vec![b'1'; len];
                    text[place] = byte;
                    assert_eq!(decimal(&text).is_some(), byte.is_ascii_digit(), "{byte} at {place} of {len}");
                }
            }
        }
    }

    #[test]
    fn the_largest_number_is_read_and_the_next_is_not() {
        assert_eq!(decimal(b"18446744073709551615"), Some(u64::MAX));
        assert_eq!(decimal(b"018446744073709551615"), Some(u64::MAX));
        for beyond in
            [&b"18446744073709551616"[..], b"99999999999999999999", b"100000000000000000000", &[b'9'; 5000]]
        {
            assert_eq!(decimal(beyond), None);
            assert_eq!(saturating_decimal(beyond), Some(u64::MAX));
        }
        assert_eq!((decimal(b""), saturating_decimal(b"")), (None, None));
    }

    proptest! {
        #[test]
        fn a_number_is_read_as_it_was_written(number: u64) {
            prop_assert_eq!(decimal(number.to_string().as_bytes()), Some(number));
        }

        #[test]
        fn numbers_are_read_as_the_standard_library_reads_them(text in "[0-9+:/ -]{0,24}") {
            // It takes a plus sign, too.
            let theirs = if text.contains('+') { None } else { text.parse().ok() };
            prop_assert_eq!(decimal(text.as_bytes()), theirs);
        }
    }
}
