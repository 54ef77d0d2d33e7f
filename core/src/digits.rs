//! Decimal digits, eight at a time: the moments of a delivery are most of the work of reading it.

/// The number that these ASCII digits spell; `None` if there are none or others, or if it is beyond 64 bits.
#[inline]
pub(crate) fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    let (head, eights) = digits.as_rchunks::<8>();
    let mut number = 0_u64;
    for digit in head {
        number = number * 10 + u64::from(digit.is_ascii_digit().then(|| digit - b'0')?);
    }
    for digits in eights {
        number = number.checked_mul(100_000_000)?.checked_add(eight(*digits)?)?;
    }
    Some(number)
}

/// Pairs, then pairs of pairs, then pairs of those: three multiplications instead of eight in a row.
#[inline]
fn eight(digits: [u8; 8]) -> Option<u64> {
    let digits = u64::from_le_bytes(digits);
    // What has the same upper half as a digit, and still has it when six more is added, is one.
    let upper = |digits: u64| digits & (EACH * 0xF0);
    if upper(digits) != EACH * 0x30 || upper(digits.wrapping_add(EACH * 6)) != EACH * 0x30 {
        return None;
    }
    let ones = digits & (EACH * 0x0F);
    let pairs = (ones * 10 + (ones >> 8)) & 0x00FF_00FF_00FF_00FF;
    let fours = (pairs * 100 + (pairs >> 16)) & 0x0000_FFFF_0000_FFFF;
    Some((fours * 10_000 + (fours >> 32)) & 0xFFFF_FFFF)
}

const EACH: u64 = 0x0101_0101_0101_0101;

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
        }
        assert_eq!(decimal(b""), None);
    }

    proptest! {
        #[test]
        fn a_number_is_read_as_it_was_written(number: u64) {
            prop_assert_eq!(decimal(number.to_string().as_bytes()), Some(number));
        }

        #[test]
        fn what_the_standard_library_reads_is_read_alike(text in "[0-9+:/ -]{0,24}") {
            // It takes a plus sign, too.
            let theirs = if text.contains('+') { None } else { text.parse().ok() };
            prop_assert_eq!(decimal(text.as_bytes()), theirs);
        }
    }
}
