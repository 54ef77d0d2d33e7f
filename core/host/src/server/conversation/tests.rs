use super::*;

const REQUEST: &str = "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}";

/// A conversation without a socket: what is sent to it, what it says, and a clock that is moved by hand.
struct Talk {
    conversation: Conversation,
    counters: Arc<Counters>,
    now: Instant,
    said: String,
    handled: Vec<Request>,
    reply: Reply,
    admit: Result<(), Reply>,
    finished: bool,
}

/// What it waits for when there is nothing left to do.
#[derive(Debug, Eq, PartialEq)]
enum Rest {
    /// For bytes, so many seconds at most.
    Waits(u64),
    Closed,
}

impl Talk {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut ListenerSettings)) -> Self {
        let mut settings = ListenerSettings::default();
        change(&mut settings);
        let (now, counters) = (Instant::now(), Arc::<Counters>::default());
        let memory = Memory::new(&settings);
        let conversation = Conversation::new(Arc::new(settings), Arc::clone(&counters), memory, now);
        let (said, handled, reply, admit) = (String::new(), Vec::new(), Reply::Acknowledged, Ok(()));
        Self { conversation, counters, now, said, handled, reply, admit, finished: false }
    }

    fn rest(&mut self) -> Rest {
        loop {
            match self.conversation.next(self.now, |_| self.admit.clone()) {
                Step::Read { until } => return Rest::Waits((until - self.now).as_secs()),
                Step::Handle(request) => {
                    self.handled.push(request);
                    self.conversation.answer(self.now, &self.reply);
                }
                Step::Write { bytes, .. } => self.said.push_str(&String::from_utf8(bytes).unwrap()),
                Step::Finish => {
                    assert!(!self.finished);
                    self.finished = true;
                }
                Step::Close => return Rest::Closed,
            }
        }
    }

    fn send(&mut self, text: impl AsRef<[u8]>) -> Rest {
        self.conversation.received(text.as_ref());
        self.rest()
    }

    fn wait(&mut self, secs: u64) -> Rest {
        self.now += Duration::from_secs(secs);
        self.rest()
    }

    fn end(&mut self) -> Rest {
        self.conversation.ended();
        self.rest()
    }

    fn statuses(&self) -> Vec<&str> {
        self.said.split("HTTP/1.1 ").skip(1).map(|answer| &answer[..3]).collect()
    }

    fn says_close(&self) -> bool {
        self.said.contains("\r\nconnection: close\r\n")
    }
}

#[test]
fn a_connection_is_kept_after_what_was_acknowledged() {
    let mut talk = Talk::new();
    for _ in 0..3 {
        assert_eq!(talk.send(REQUEST), Rest::Waits(30));
        assert!(!talk.said.contains("close"));
    }
    assert_eq!(talk.statuses(), ["200", "200", "200"]);
    assert_eq!((talk.handled[2].body.as_slice(), talk.handled[2].head.target()), (&b"{}"[..], "/a"));
    assert_eq!(talk.wait(30), Rest::Closed);
    assert_eq!(talk.statuses().len(), 3, "without another word");
}

#[test]
fn requests_that_come_together_are_answered_in_their_order() {
    let mut talk = Talk::new();
    let three = REQUEST.repeat(3);
    for piece in three.as_bytes().chunks(7) {
        talk.send(piece);
    }
    assert_eq!(talk.statuses(), ["200"; 3]);
    let mut talk = Talk::new();
    assert_eq!(talk.send(three), Rest::Waits(30));
    assert_eq!((talk.statuses(), talk.handled.len()), (vec!["200"; 3], 3));
}

#[test]
fn what_hides_behind_a_request_is_refused_and_ends_it() {
    for behind in ["garbage\r\n\r\n", "\r\n", "\n", "\0\0\0", "GET http://h/ HTTP/1.1\r\nHost: h\r\n\r\n"] {
        let mut talk = Talk::new();
        talk.send(format!("{REQUEST}{behind}"));
        talk.end();
        let expected = if behind == "\0\0\0" { vec!["200"] } else { vec!["200", "400"] };
        assert_eq!((talk.statuses(), talk.handled.len()), (expected, 1), "{behind:?}");
    }
}

#[test]
fn nothing_is_read_behind_a_request_that_was_refused() {
    for reply in [Reply::NotFound, Reply::BadEvent(event_error()), Reply::NoRoom, Reply::Unavailable] {
        let mut talk = Talk::new();
        talk.reply = reply.clone();
        talk.send(REQUEST.repeat(3));
        assert_eq!((talk.statuses().len(), talk.handled.len()), (1, 1), "{reply:?}");
        assert!(talk.says_close() && talk.finished);
    }
    let mut talk = Talk::new();
    talk.admit = Err(Reply::MethodNotAllowed);
    assert_eq!(talk.send(REQUEST.repeat(3)), Rest::Waits(1), "what is still sent is thrown away");
    assert_eq!((talk.statuses(), talk.handled.len()), (vec!["405"], 0));
    assert!(talk.said.contains("\r\nallow: POST\r\n"));
    assert_eq!(talk.wait(1), Rest::Closed);
}

fn event_error() -> abyssale_core::webhook::EventError {
    abyssale_core::webhook::EventError::Unusable { field: "export_id" }
}

#[test]
fn who_asks_first_is_told_to_go_on_only_if_it_is_worth_it() {
    let head = "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n";
    let mut talk = Talk::new();
    assert_eq!(talk.send(head), Rest::Waits(20));
    assert_eq!(talk.statuses(), ["100"]);
    talk.send("{}");
    assert_eq!(talk.statuses(), ["100", "200"]);
    let mut eager = Talk::new();
    eager.send(format!("{head}{{}}"));
    assert_eq!(eager.statuses(), ["200"], "the body is there already");
    let mut refused = Talk::new();
    refused.admit = Err(Reply::NotFound);
    refused.send(head);
    assert_eq!(refused.statuses(), ["404"]);
}

#[test]
fn dribbling_does_not_help_against_a_deadline() {
    let mut silent = Talk::new();
    assert_eq!(silent.rest(), Rest::Waits(10));
    assert_eq!(silent.wait(10), Rest::Closed);
    assert_eq!(silent.said, "", "who says nothing is told nothing");

    let mut head = Talk::new();
    for byte in 0..9 {
        head.send(&REQUEST[byte..=byte]);
        assert_eq!(head.wait(1), Rest::Waits(9 - byte as u64));
    }
    head.wait(1);
    assert_eq!((head.statuses(), head.finished), (vec!["408"], true));

    let mut body = Talk::new();
    assert_eq!(body.send(&REQUEST[..REQUEST.len() - 2]), Rest::Waits(20));
    body.wait(19);
    assert_eq!(body.send("{"), Rest::Waits(1));
    body.wait(1);
    assert_eq!(body.statuses(), ["408"]);
    assert_eq!(body.counters.read().too_slow, 1);

    let mut second = Talk::new();
    second.send(REQUEST);
    assert_eq!(second.wait(29), Rest::Waits(1));
    assert_eq!(second.send("P"), Rest::Waits(10), "counted from the first byte");
}

#[test]
fn limits_are_the_operators() {
    let mut last = Talk::with(|settings| settings.requests_per_connection = 2);
    last.send(REQUEST.repeat(3));
    assert_eq!((last.statuses(), last.says_close()), (vec!["200"; 2], true));

    let mut body = Talk::with(|settings| settings.body_bytes = 1);
    body.send(REQUEST);
    assert_eq!(body.statuses(), ["413"]);
    let mut chunked = Talk::with(|settings| settings.body_bytes = 1);
    chunked.send("POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n");
    assert_eq!(chunked.statuses(), ["413"]);

    let mut bytes = Talk::with(|settings| settings.head_bytes = 40);
    bytes.send(REQUEST);
    assert_eq!(bytes.statuses(), ["431"]);
    let mut fields = Talk::with(|settings| settings.head_fields = 1);
    fields.send(REQUEST);
    assert_eq!(fields.statuses(), ["431"]);

    let mut patient = Talk::with(|settings| settings.head_timeout = Duration::MAX);
    assert!(matches!(patient.rest(), Rest::Waits(secs) if secs > 1_000_000));
}

#[test]
fn large_bodies_share_what_memory_there_is_and_small_ones_need_none_of_it() {
    let sized = |size: usize| {
        format!("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: {size}\r\n\r\n{}", "x".repeat(size))
    };
    let large = 70_000;
    let mut talk = Talk::with(|settings| settings.body_memory = 2 * large);
    assert_eq!(talk.send(sized(large)), Rest::Waits(30));
    // It is being handled, and counts for as long.
    assert_eq!(talk.send(sized(64 << 10)), Rest::Waits(30));
    talk.send(sized(large));
    assert_eq!(talk.statuses(), ["200", "200", "429"]);
    assert!(talk.says_close() && talk.counters.read().no_room == 1);

    let mut talk = Talk::with(|settings| settings.body_memory = 2 * large);
    for _ in 0..3 {
        assert_eq!(talk.send(sized(large)), Rest::Waits(30));
        talk.handled.clear();
    }
    let chunked = format!("{:x}\r\n{}\r\n0\r\n\r\n", large + 1, "x".repeat(large + 1));
    talk.send(format!("POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n{chunked}"));
    assert_eq!(talk.statuses(), ["200", "200", "200", "429"]);
}

#[test]
fn a_delivery_without_a_length_is_asked_for_one() {
    let mut talk = Talk::new();
    talk.send("POST /a HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!((talk.statuses(), talk.handled.len()), (vec!["411"], 0));
    let mut empty = Talk::new();
    empty.send("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(empty.handled.len(), 1, "that there is nothing is for the receiver to judge");
}

#[test]
fn shutting_down_finishes_what_has_begun() {
    let mut begun = Talk::new();
    begun.send(&REQUEST[..30]);
    begun.conversation.shut_down();
    assert_eq!(begun.rest(), Rest::Waits(10));
    begun.send(&REQUEST[30..]);
    assert_eq!((begun.statuses(), begun.says_close()), (vec!["200"], true));

    let mut idle = Talk::new();
    idle.send(REQUEST);
    idle.conversation.shut_down();
    assert_eq!(idle.rest(), Rest::Closed);

    let mut silent = Talk::new();
    silent.conversation.shut_down();
    assert_eq!(silent.rest(), Rest::Closed);
}

#[test]
fn an_end_in_the_middle_is_the_end() {
    for at in [0, 1, 30, REQUEST.len() - 1] {
        let mut talk = Talk::new();
        talk.send(&REQUEST[..at]);
        assert_eq!((talk.end(), &*talk.said), (Rest::Closed, ""), "{at}");
    }
    let mut whole = Talk::new();
    whole.conversation.ended();
    assert_eq!(whole.send(REQUEST), Rest::Closed);
    assert_eq!(whole.statuses(), ["200"], "who has said everything still gets an answer");
}
