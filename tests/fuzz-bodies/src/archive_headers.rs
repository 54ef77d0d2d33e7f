//! Whatever an archive's server says, in whatever order: no loop, no hole in the file, and no address that the policy
//! does not allow.

use abyssale_core::{
    ArchivePolicy,
    download::{Part, Step, Transfer},
    http::Url,
};

/// Text, so that a person can read the corpus: what lies beside the file (a state, or `tag` for one that fits), how many
/// bytes are there, and then the answers: a status, fields as `name:value`, and an empty line after each.
///
/// # Panics
/// If what has to hold does not.
pub fn archive_headers(data: &[u8]) {
    let mut lines = data.split(|byte| *byte == b'\n');
    let state = lines.next().unwrap_or_default();
    let len = lines.next().and_then(number).unwrap_or_default();
    let url = |text: &str| text.parse::<Url>().unwrap_or_else(|error| panic!("{error}"));
    let fresh = || Transfer::new(url("https://h/a.zip?s=x"), ArchivePolicy::default(), url("https://api.h"));
    let part = if state == b"tag" { fitting_part(fresh()) } else { Part::from_json(state) };
    let mut transfer = match part {
        Some(part) => {
            assert_eq!(Part::from_json(part.to_json().as_bytes()), Some(part.clone()));
            fresh().resume(part, len)
        }
        None => fresh(),
    };
    let mut again = 0;
    while let Some(status) = lines.next().and_then(number) {
        let status = u16::try_from(status).unwrap_or(u16::MAX);
        let fields: Vec<_> = lines.by_ref().map_while(field).collect();
        let request = transfer.request();
        assert!(request.url().as_str().starts_with("https://") && !request.carries_key());
        let visible = |value: &str| value.bytes().all(|byte| (0x20..0x7f).contains(&byte));
        assert!(request.headers().all(|(_, value)| visible(value)), "{request:?}");
        let begun = transfer.resumes_from();
        match transfer.handle_head(status, &fields) {
            Step::Again => again += 1,
            Step::Receive(body) => {
                assert!(body.from == 0 || (body.from == begun && status == 206));
                assert_eq!(body.from, transfer.resumes_from());
                assert!(body.total.is_none_or(|total| total >= body.from));
                return;
            }
            _ => return,
        }
    }
    assert!(again <= 6, "{again} times");
}

fn fitting_part(mut transfer: Transfer) -> Option<Part> {
    match transfer.handle_head(200, &[("etag", "\"a\""), ("content-length", "1000")]) {
        Step::Receive(body) => body.part,
        other => panic!("{other:?}"),
    }
}

fn number(line: &[u8]) -> Option<u64> {
    str::from_utf8(line).ok()?.parse().ok()
}

fn field(line: &[u8]) -> Option<(&str, &[u8])> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let (name, value) = line.split_at_checked(colon)?;
    Some((str::from_utf8(name).ok()?, value.get(1..)?))
}
