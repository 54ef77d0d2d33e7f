//! One export through whatever happens to it, in whatever order, with whatever a peer says: it never panics, never asks
//! twice unless it was told to, always has a time at which it goes on, and comes back from its snapshot.

use std::sync::Arc;

use abyssale_core::{
    ApiKey, CallError, CallId, Config, Disposition, Endpoint, Export, Goal, Input, Order, Output, Sent,
    Snapshot, Timestamp, Token, TokenPlacement, UnknownOutcome, download::DownloadError, http::Response,
    webhook::NewExport,
};

/// A byte for the settings, then steps: a byte for each, and after it what it needs.
///
/// # Panics
/// If what has to hold does not.
pub fn export_machine(data: &[u8]) {
    let mut data = Recorded(data);
    let settings = data.byte().unwrap_or_default();
    let mut machine = Machine::new(settings);
    while let Some(step) = data.byte() {
        machine.step(step, &mut data);
        machine.check();
    }
    machine.clone().ends_by_time_alone();
    machine.survives(|json| json);
}

/// What a fuzzer recorded: bytes, and pieces with a byte for their length.
struct Recorded<'d>(&'d [u8]);

impl<'d> Recorded<'d> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn piece(&mut self) -> &'d [u8] {
        let length = usize::from(self.byte().unwrap_or_default()).min(self.0.len());
        let (piece, rest) = self.0.split_at(length);
        self.0 = rest;
        piece
    }

    fn number(&mut self) -> u64 {
        (0..8).fold(0, |number, _| number << 8 | u64::from(self.byte().unwrap_or_default()))
    }
}

#[derive(Clone)]
struct Machine {
    config: Arc<Config>,
    export: Export,
    now: Timestamp,
    /// What was saved last, and at which revision.
    disk: Snapshot,
    saved: u64,
    calls: Vec<CallId>,
    /// The request that is under way.
    post: Option<CallId>,
    /// Whether the service may have taken the order.
    may_be_taken: bool,
    done_was_given: bool,
}

impl Machine {
    fn new(settings: u8) -> Self {
        let endpoint = ApiKey::new("key").ok().and_then(|key| Endpoint::new("https://h", key).ok());
        let mut config = Config::new(endpoint.unwrap_or_else(|| unreachable!()));
        config.unknown_outcome = match settings & 3 {
            0 => UnknownOutcome::Fail,
            1 => UnknownOutcome::AskAgain,
            _ => UnknownOutcome::default(),
        };
        config.retry.max_retries = u32::from(settings >> 2 & 3);
        let goal = match settings >> 4 & 3 {
            0 => Goal::Acceptance,
            1 => Goal::Event,
            _ => Goal::Archive,
        };
        let order = Order::new(["64238d01-d402-474b-8c2d-fbc957e9d290"], "https://hooks.example.com");
        let mut order = order.unwrap_or_else(|error| panic!("{error}")).with_goal(goal);
        if settings & 64 == 0 {
            let with_token = order.with_token(token(7), TokenPlacement::PathSegment);
            order = with_token.unwrap_or_else(|error| panic!("{error}"));
        }
        let config = Arc::new(config);
        let now = Timestamp::from_secs(1_755_561_234);
        let export = Export::new(Arc::clone(&config), order, now);
        let (disk, saved) = (export.snapshot(), export.revision());
        let (calls, post, may_be_taken, done_was_given) = (Vec::new(), None, false, false);
        Self { config, export, now, disk, saved, calls, post, may_be_taken, done_was_given }
    }

    fn step(&mut self, step: u8, data: &mut Recorded<'_>) {
        match step % 15 {
            0 => _ = self.poll(),
            1 => self.poll_all(),
            2 => {
                self.now = self.export.poll_timeout().unwrap_or(self.now);
                let _ = self.export.handle(self.now, Input::Tick);
            }
            3 => {
                let millis = u64::from(data.byte().unwrap_or_default()).pow(3);
                self.now = Timestamp::from_millis(self.now.as_millis().saturating_add(millis));
                let _ = self.export.handle(self.now, Input::Tick);
            }
            // Time as it may be: back, or at its end.
            4 => {
                let now = Timestamp::from_millis(data.number());
                let _ = self.export.handle(now, Input::Tick);
                self.now = self.now.max(now);
            }
            5 => self.answer(data),
            6 => {
                let call = self.call(data);
                let sent = if step & 128 == 0 { Sent::Never } else { Sent::Maybe };
                let reason = String::from_utf8_lossy(data.piece()).into();
                let error = CallError { sent, reason };
                let heard = self.tell(call, Input::CallFailed { call, error });
                self.heard(heard, call, sent == Sent::Maybe);
            }
            7 => self.event(data),
            8 => {
                let call = self.call(data);
                self.tell(call, Input::Progress { call, received: data.number(), total: None });
            }
            9 => {
                let call = self.call(data);
                self.tell(call, Input::Downloaded { call, bytes: data.number() });
            }
            10 => {
                let call = self.call(data);
                let reason = String::from_utf8_lossy(data.piece());
                let error = match step & 128 {
                    0 => DownloadError::Interrupted(reason.into()),
                    _ => DownloadError::Storage(reason.into()),
                };
                self.tell(call, Input::DownloadFailed { call, error });
            }
            11 => _ = self.export.handle(self.now, Input::Cancel),
            12 => {
                // The clock may be set back in between.
                let back = if step & 128 == 0 { 0 } else { 3_600_000 };
                self.now = Timestamp::from_millis(self.now.as_millis().saturating_sub(back));
                self.crash();
            }
            13 => {
                // Polled, but neither saved nor acted on.
                let _ = self.export.poll_output();
                self.crash();
            }
            _ => {
                let (at, byte) = (usize::from(data.byte().unwrap_or_default()), data.byte());
                self.survives(|mut json| {
                    let at = at * 4 % json.len();
                    json.splice(at..=at, byte.filter(u8::is_ascii));
                    json
                });
            }
        }
        self.save();
    }

    fn save(&mut self) {
        if self.export.revision() != self.saved {
            self.disk = self.export.snapshot();
            self.saved = self.export.revision();
        }
    }

    fn poll_all(&mut self) {
        for _ in 0..8 {
            if !self.poll() {
                return;
            }
        }
        panic!("polling does not end");
    }

    fn poll(&mut self) -> bool {
        let Some(output) = self.export.poll_output() else { return false };
        assert!(!self.done_was_given, "after the end: {output:?}");
        self.save();
        match output {
            Output::Call { call, .. } => {
                let asks_again = self.config.unknown_outcome == UnknownOutcome::AskAgain;
                assert!(!self.may_be_taken || asks_again, "asked for again, though it may be taken");
                assert!(self.post.is_none() && self.is_new(call));
                self.post = Some(call);
            }
            Output::Download { call, transfer, .. } => {
                assert!(!transfer.request().carries_key() && self.is_new(call));
            }
            Output::Abort(call) => {
                assert!(self.calls.contains(&call));
                self.may_be_taken |= self.post.take_if(|post| *post == call).is_some();
            }
            Output::Done(_) => self.done_was_given = true,
            _ => {}
        }
        true
    }

    fn is_new(&mut self, call: CallId) -> bool {
        let is_new = self.calls.last().is_none_or(|last| *last < call);
        self.calls.push(call);
        is_new
    }

    /// The newest attempt, an older one, or one that was never made.
    fn call(&self, data: &mut Recorded<'_>) -> CallId {
        let nth = data.byte().unwrap_or_default();
        let call = self.calls.iter().rev().nth(usize::from(nth >> 4)).copied();
        call.unwrap_or_else(|| serde_json::from_value(u64::MAX.into()).unwrap_or_else(|_| unreachable!()))
    }

    /// Only the newest attempt is heard; whatever else is stale changes nothing.
    fn tell(&mut self, call: CallId, input: Input) -> bool {
        let before = (self.export.snapshot(), self.export.poll_timeout());
        let disposition = self.export.handle(self.now, input);
        let heard = disposition == Disposition::Accepted;
        assert!(heard || disposition == Disposition::Stale, "{disposition:?}");
        assert!(!heard || self.calls.last() == Some(&call), "{call} is not the newest");
        if !heard && before.1.is_none_or(|deadline| deadline > self.now) {
            let after = self.export.snapshot();
            assert!(
                after == before.0 || after.saved_at() != before.0.saved_at(),
                "stale, and yet it changed {before:?} to {after:?}"
            );
        }
        heard
    }

    fn heard(&mut self, heard: bool, call: CallId, may_be_taken: bool) {
        if heard && self.post.take_if(|post| *post == call).is_some() {
            self.may_be_taken |= may_be_taken;
        }
    }

    fn answer(&mut self, data: &mut Recorded<'_>) {
        let call = self.call(data);
        let status = match data.byte().unwrap_or_default() {
            0..=63 => 200,
            64..=95 => 429,
            96..=127 => 503,
            other => u16::from(other) * 4,
        };
        let headers = [("retry-after", data.piece()), ("x-ratelimit-reset", data.piece())];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_vec())).to_vec();
        let body = match data.piece() {
            [] => br#"{"export_id":"e"}"#,
            body => body,
        };
        let response = Response { status, headers, body: body.to_vec() };
        let heard = self.tell(call, Input::Response { call, response });
        self.heard(heard, call, (200..300).contains(&status) || status >= 500);
    }

    fn event(&mut self, data: &mut Recorded<'_>) {
        let kind = data.byte().unwrap_or_default();
        let id = if kind & 1 == 0 { "e".into() } else { String::from_utf8_lossy(data.piece()) };
        let url = match kind & 2 {
            0 => "https://h/a.zip".into(),
            _ => String::from_utf8_lossy(data.piece()),
        };
        let event = serde_json::json!({ "export_id": id, "archive_url": url });
        let Ok(event) = serde_json::from_value::<NewExport>(event) else { return };
        let token = match kind >> 2 & 3 {
            0 => None,
            1 => Some(token(8)),
            _ => Some(token(7)),
        };
        let had_event = self.export.took_event();
        let disposition = self.export.handle(self.now, Input::Event { event, token });
        assert!(!had_event || disposition != Disposition::Accepted, "two events were taken");
    }

    /// Another process goes on from what was saved.
    fn crash(&mut self) {
        self.may_be_taken |= self.post.take().is_some();
        let json = self.disk.to_json();
        let read = Snapshot::from_json(&json).unwrap_or_else(|error| panic!("{error}: {json}"));
        let restored = Export::restore(Arc::clone(&self.config), read, self.now);
        self.export = restored.unwrap_or_else(|error| panic!("{error}: {json}"));
        self.saved = u64::MAX;
        self.done_was_given = false;
    }

    /// A snapshot that was damaged is refused, or becomes a job that ends.
    fn survives(&self, damage: impl FnOnce(Vec<u8>) -> Vec<u8>) {
        let damaged = damage(self.export.snapshot().to_json().into_bytes());
        let Ok(json) = String::from_utf8(damaged) else { return };
        let Ok(snapshot) = Snapshot::from_json(&json) else { return };
        assert_eq!(Snapshot::from_json(&snapshot.to_json()).as_ref(), Ok(&snapshot));
        if let Ok(export) = Export::restore(Arc::clone(&self.config), snapshot, self.now) {
            let mut machine = self.clone();
            (machine.export, machine.post, machine.done_was_given) = (export, None, false);
            // What a damaged snapshot says of requests is not what happened.
            (machine.may_be_taken, machine.calls) = (false, Vec::new());
            machine.ends_by_time_alone();
        }
    }

    fn check(&self) {
        match self.export.poll_timeout() {
            None => assert!(self.export.is_done()),
            Some(at) => assert!(!self.export.is_done() && (at > self.now || at == Timestamp::MAX)),
        }
    }

    fn ends_by_time_alone(mut self) {
        for _ in 0..=4 * (self.config.retry.max_retries + 1) + 1 {
            self.poll_all();
            let Some(deadline) = self.export.poll_timeout() else { return };
            self.now = self.now.max(deadline);
            let _ = self.export.handle(deadline, Input::Tick);
        }
        panic!("still alive: {:?}", self.export);
    }
}

fn token(byte: u8) -> Token {
    Token::from_random([byte; 16])
}
