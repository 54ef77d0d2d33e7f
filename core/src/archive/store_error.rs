//! What an object store says when it refuses: the code and the message of its XML, as S3 and its likes send it.

use alloc::{boxed::Box, string::String};

use crate::redact::excerpt;

/// Returns `CODE: MESSAGE` of a store's XML, or the code alone, or `None` if there is no code.
///
/// The code tells an address that has expired (`AccessDenied: Request has expired`, `ExpiredToken`) from a wrong one
/// (`SignatureDoesNotMatch`) and from an archive that is not there (`NoSuchKey`).
pub(crate) fn store_error(body: &[u8]) -> Option<Box<str>> {
    let body = body.get(..MAX_READ).unwrap_or(body);
    let text = String::from_utf8_lossy(body);
    let code = element(&text, "<Code>").filter(|code| is_code(code))?;
    Some(match element(&text, "<Message>").map(|message| excerpt(message.as_bytes(), MAX_MESSAGE)) {
        Some(message) if !message.is_empty() => [code, ": ", message.trim_end_matches('.')].concat().into(),
        _ => code.into(),
    })
}

/// The text between a tag and the next one.
fn element<'t>(text: &'t str, tag: &str) -> Option<&'t str> {
    let (_, content) = text.split_once(tag)?;
    Some(content.split_once('<')?.0.trim())
}

fn is_code(text: &str) -> bool {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    (1..=MAX_CODE).contains(&text.len()) && is_plain
}

const MAX_READ: usize = 8 << 10;
const MAX_CODE: usize = 64;
const MAX_MESSAGE: usize = 120;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_and_the_message_of_a_store_are_found() {
        for (body, error) in [
            (
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>AccessDenied</Code>\
                 <Message>Request has expired</Message><Expires>2026-11-27T12:00:00Z</Expires></Error>",
                Some("AccessDenied: Request has expired"),
            ),
            ("<Error><Code>NoSuchKey</Code></Error>", Some("NoSuchKey")),
            ("<Error><Code> NoSuchKey\n</Code><Message/></Error>", Some("NoSuchKey")),
            (
                "\u{feff}<Error><Message>The provided token has expired.</Message><Code>ExpiredToken</Code></Error>",
                Some("ExpiredToken: The provided token has expired"),
            ),
            ("<Error><Code>a b</Code></Error>", None),
            ("<Error><Code></Code></Error>", None),
            ("<Error><Code>NoSuchKey", None),
            ("<html>", None),
            ("", None),
        ] {
            assert_eq!(store_error(body.as_bytes()).as_deref(), error, "{body}");
        }
    }
}
