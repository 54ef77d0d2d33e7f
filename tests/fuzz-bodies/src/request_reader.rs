//! Whatever comes to a listener: no panic, no more kept than was allowed, the same request however the bytes are cut,
//! and none that says in two ways where it ends.

use abyssale_core::{
    http::Headers as _,
    http1::{BodyReader, Framing, Head, HeadReader, Malformed},
};

/// What came of it: a request, its body, and how many bytes were left over; or why not; or nothing yet.
type Outcome = Result<Option<(Head, Vec<u8>, usize)>, Malformed>;

/// The bytes of a connection.
///
/// # Panics
/// If what has to hold does not.
pub fn request_reader(data: &[u8]) {
    let whole = read(data, data.len().max(1));
    for step in [1, 2, 7, 64] {
        assert_eq!(read(data, step), whole, "in pieces of {step}");
    }
    let Ok(Some((head, body, left))) = whole else { return };
    assert!(body.len() <= LIMIT && left <= data.len());
    let count = |name: &str| (0..=16).take_while(|n| head.nth(name, *n).is_some()).count();
    assert!(head.target().starts_with('/') && count("host") <= 1);
    match head.framing {
        Framing::Absent => {
            assert_eq!((count("content-length"), count("transfer-encoding"), body.len()), (0, 0, 0));
        }
        Framing::Length(length) => {
            assert_eq!((count("content-length"), count("transfer-encoding")), (1, 0));
            assert_eq!(body.len() as u64, length);
        }
        Framing::Chunked => assert_eq!((count("content-length"), count("transfer-encoding")), (0, 1)),
    }
    // What was read up to there is enough: nothing behind it changes it.
    let used = data.get(..data.len() - left).unwrap_or_default();
    assert_eq!(read(used, 3), Ok(Some((head, body, 0))));
    let text = used.split(|byte| *byte == b'\n').next().unwrap_or_default();
    assert!(text.ends_with(b"\r"), "a line ends in one way only");
}

fn read(data: &[u8], step: usize) -> Outcome {
    let (mut reader, mut begun) = (HeadReader::new(4096, 16), None::<(Head, BodyReader)>);
    let mut left = data.len();
    for piece in data.chunks(step) {
        let mut bytes = piece;
        if begun.is_none() {
            let Some((head, used)) = reader.feed(piece)? else {
                left -= piece.len();
                continue;
            };
            left -= used;
            let body = BodyReader::new(head.framing, LIMIT)?;
            begun = Some((head, body));
            bytes = piece.get(used..).unwrap_or_default();
        }
        let Some((_, body)) = &mut begun else { continue };
        left -= body.feed(bytes)?;
        if body.is_done() {
            break;
        }
    }
    Ok(begun.filter(|(_, body)| body.is_done()).map(|(head, body)| (head, body.into_body(), left)))
}

const LIMIT: usize = 1000;
