//! What part of an archive a request asks for: single byte ranges of RFC 9110, and nothing cleverer.

/// What a `Range` header comes to for a body of known length.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Wanted {
    /// Everything: no range, several, or one that makes no sense, which the RFC says to ignore.
    Whole,
    /// From the first of these to the last, both included.
    Part(u64, u64),
    /// A range that lies outside the body.
    Nothing,
}

/// Reads a `Range` header.
pub(crate) fn wanted(header: Option<&str>, len: u64) -> Wanted {
    let Some((first, last)) =
        header.and_then(|text| text.strip_prefix("bytes=")).and_then(|r| r.split_once('-'))
    else {
        return Wanted::Whole;
    };
    match (number(first), number(last)) {
        (None, Some(0)) => Wanted::Nothing,
        (None, Some(_)) if !first.is_empty() || len == 0 => Wanted::Whole,
        (None, Some(count)) => Wanted::Part(len.saturating_sub(count), len - 1),
        (Some(first), Some(last)) if first > last => Wanted::Whole,
        (Some(first), _) if first >= len => Wanted::Nothing,
        (Some(first), Some(last)) => Wanted::Part(first, last.min(len - 1)),
        (Some(first), None) if last.is_empty() => Wanted::Part(first, len - 1),
        _ => Wanted::Whole,
    }
}

fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_ranges_are_read_and_everything_else_is_the_whole() {
        for (header, meaning) in [
            ("bytes=0-", Wanted::Part(0, 99)),
            ("bytes=10-19", Wanted::Part(10, 19)),
            ("bytes=90-900", Wanted::Part(90, 99)),
            ("bytes=-10", Wanted::Part(90, 99)),
            ("bytes=-900", Wanted::Part(0, 99)),
            ("bytes=100-", Wanted::Nothing),
            ("bytes=-0", Wanted::Nothing),
            ("bytes=9-3", Wanted::Whole),
            ("bytes=0-1,5-9", Wanted::Whole),
            ("bytes=+1-2", Wanted::Whole),
            ("bytes=x-2", Wanted::Whole),
            ("lines=1-2", Wanted::Whole),
        ] {
            assert_eq!(wanted(Some(header), 100), meaning, "{header}");
        }
        assert_eq!(wanted(None, 100), Wanted::Whole);
    }
}
