//! Whatever an archive's server says, in whatever order and over however many attempts: no loop, no hole in the file,
//! and no address that the policy does not allow.

use abyssale_core::{
    archive::ArchivePolicy,
    download::{Receive, ResumeState, Step, Transfer},
    http::{Scheme, Url},
};

/// Text, so that a person can read the corpus: what lies beside the file (a state, or `tag` for one that fits, behind
/// `list ` or `only ` where the policy has a list), how many bytes are there, and then the answers: a status, fields as
/// `name:value`, and a line without a colon after each, which is what comes of the body before the connection breaks.
///
/// # Panics
/// If what has to hold does not.
pub fn archive_headers(data: &[u8]) {
    let mut lines = data.split(|byte| *byte == b'\n');
    let (policy, state) = policy(lines.next().unwrap_or_default());
    let mut world = World { policy, file: lines.next().and_then(number).unwrap_or_default(), part: None };
    world.part = if state == b"tag" { fitting_part(world.fresh()) } else { ResumeState::from_json(state) };
    let (mut transfer, mut again) = (world.resumed(), 0);
    while let Some(status) = lines.next().and_then(number) {
        let status = u16::try_from(status).unwrap_or(u16::MAX);
        let mut fields = Vec::new();
        let body = loop {
            match lines.next().map(|line| field(line).ok_or(line)) {
                Some(Ok(field)) => fields.push(field),
                Some(Err(body)) => break body,
                None => break b"",
            }
        };
        world.check_request(&transfer);
        let begun = transfer.resumes_from();
        match transfer.handle_head(status, &fields) {
            Step::Again => again += 1,
            Step::Receive(receive) => {
                assert!(receive.from == 0 || (receive.from == begun && status == 206));
                assert_eq!(receive.from, transfer.resumes_from());
                world.receive(&receive, body);
                (transfer, again) = (world.resumed(), 0);
            }
            _ => (transfer, again) = (world.resumed(), 0),
        }
        assert!(again <= 6, "{again} times");
    }
}

/// What is kept between two attempts to download into a file.
struct World {
    policy: ArchivePolicy,
    /// How many bytes are there.
    file: u64,
    part: Option<ResumeState>,
}

impl World {
    fn fresh(&self) -> Transfer {
        Transfer::new(url("https://h/a.zip?s=x"), self.policy.clone(), url("https://api.h"))
    }

    fn resumed(&self) -> Transfer {
        let Some(part) = &self.part else { return self.fresh() };
        // As a file beside the archive, which the next process reads.
        assert_eq!(ResumeState::from_json(part.to_json().as_bytes()).as_ref(), Some(part));
        let transfer = self.fresh().resume(part.clone(), self.file);
        assert!([0, self.file].contains(&transfer.resumes_from()));
        transfer
    }

    fn check_request(&self, transfer: &Transfer) {
        let request = transfer.request();
        let address = request.url().as_str();
        assert!(request.url().scheme() == Scheme::Https && !request.carries_key());
        // The first one was checked by whoever began, and is not on the list.
        assert!(request.url().host() == "h" || self.policy.check(address, &url("https://api.h")).is_ok());
        let visible = |value: &str| value.bytes().all(|byte| (0x20..0x7f).contains(&byte));
        assert!(request.headers().all(|(_, value)| visible(value)), "{request:?}");
        let header = |name: &str| request.headers().find(|(field, _)| *field == name).map(|(_, value)| value);
        let range = (transfer.resumes_from() > 0).then(|| format!("bytes={}-", transfer.resumes_from()));
        assert_eq!(header("range"), range.as_deref());
        // Never a range without a condition, and never a weak one.
        assert_eq!(header("if-range").is_some(), range.is_some());
        assert!(header("if-range").is_none_or(|validator| !validator.starts_with("W/")));
    }

    /// What a file would be after this body, which breaks off where `body` ends.
    fn receive(&mut self, receive: &Receive, body: &[u8]) {
        assert!(receive.until.is_none_or(|until| until >= receive.from));
        assert!(receive.until.zip(receive.total).is_none_or(|(until, total)| until <= total));
        if let Some(until) = receive.until {
            assert_eq!(receive.check_room(until), Ok(()));
            assert!(receive.check_room(until.saturating_add(1)).is_err() || until == u64::MAX);
        }
        if let (Some(part), Some(total)) = (&receive.resume_state, receive.total) {
            assert_eq!(part.total(), Some(total));
        }
        self.file = receive.from.saturating_add(body.len() as u64);
        self.part = receive.resume_state.clone().filter(|_| receive.check_room(self.file).is_ok());
        assert!(
            receive.check_end(self.file).is_err() || receive.total.is_none_or(|total| total == self.file)
        );
    }
}

fn policy(line: &[u8]) -> (ArchivePolicy, &[u8]) {
    let listed = || {
        let places = ["store.internal", "10.20.0.0/16"];
        ArchivePolicy::default().allow(places).unwrap_or_else(|error| panic!("{error}"))
    };
    if let Some(state) = line.strip_prefix(b"list ") {
        return (listed(), state);
    }
    if let Some(state) = line.strip_prefix(b"only ") {
        let mut policy = listed();
        policy.only_allowed = true;
        return (policy, state);
    }
    (ArchivePolicy::default(), line)
}

fn fitting_part(mut transfer: Transfer) -> Option<ResumeState> {
    match transfer.handle_head(200, &[("etag", "\"a\""), ("content-length", "1000")]) {
        Step::Receive(body) => body.resume_state,
        other => panic!("{other:?}"),
    }
}

fn url(text: &str) -> Url {
    text.parse().unwrap_or_else(|error| panic!("{error}"))
}

fn number(line: &[u8]) -> Option<u64> {
    str::from_utf8(line).ok()?.parse().ok()
}

fn field(line: &[u8]) -> Option<(&str, &[u8])> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let (name, value) = line.split_at_checked(colon)?;
    Some((str::from_utf8(name).ok()?, value.get(1..)?))
}
