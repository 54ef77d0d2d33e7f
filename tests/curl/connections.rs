//! What becomes of a connection: which body is not even sent, which connection serves a second delivery, and which one
//! is ended.

use crate::{
    command::Curl,
    deliveries::{EVENT, LIMIT},
    listeners::{PATH, SECRET, Standing, signature},
};

/// A signature that is none: without one, nothing of a body is read.
const CLAIM: &str = "X-Abyssale-Signature: t=1,v1=2";

/// A client that asks first, as curl does by itself with a body of this size, is spared sending it.
pub(crate) fn refused_before_sent(curl: &Curl) {
    let body = vec![b' '; LIMIT + 1];
    for standing in Standing::both() {
        let url = format!("{}{PATH}", standing.url);
        let options = ["-H", "Expect: 100-continue", "-H", CLAIM, "--data-binary", "@-"];
        let answer = curl.send(&url, &options, &body);
        assert_eq!((answer.status, &*answer.interim, answer.sent), (413, &[][..], 0), "{}", standing.name);
        let asked = curl.send(&url, &options, &body[1..]);
        assert_eq!((asked.status, &*asked.interim), (401, &[100][..]), "{}", standing.name);
        let unsigned = curl.send(&url, &["-H", "Expect: 100-continue", "--data-binary", "@-"], &body[1..]);
        assert_eq!(
            (unsigned.status, &*unsigned.interim, unsigned.sent),
            (401, &[][..], 0),
            "{}",
            standing.name
        );
    }
}

/// One that does not ask must get its answer all the same, rather than a reset while it is sending. Whether it would is
/// a matter of timing, so it is tried more than once.
pub(crate) fn refused_while_sent(curl: &Curl) {
    for standing in Standing::both() {
        let url = format!("{}{PATH}", standing.url);
        for size in [LIMIT + 1, 2 * LIMIT, 4 * LIMIT] {
            for framing in ["Transfer-Encoding:", "Transfer-Encoding: chunked"] {
                let options = ["-H", "Expect:", "-H", CLAIM, "-H", framing, "--data-binary", "@-"];
                for _ in 0..5 {
                    let answer = curl.send(&url, &options, &vec![b' '; size]);
                    assert_eq!(answer.status, 413, "{} {size} {framing}", standing.name);
                }
            }
        }
        assert!(standing.received().is_empty());
    }
}

/// Both keep a connection after what was acknowledged.
pub(crate) fn second_delivery(curl: &Curl) {
    for standing in Standing::both() {
        let url = format!("{}{PATH}", standing.url);
        let signature = signature(SECRET, EVENT.as_bytes(), 0);
        let options = ["-H", signature.as_str(), "--data-binary", "@-"];
        let answers = curl.send_each(&[&url, &url], &options, EVENT.as_bytes());
        let found: Vec<_> = answers.iter().map(|answer| (answer.status, answer.connects)).collect();
        assert_eq!(found, [(200, 1), (200, 0)], "{}", standing.name);
        assert_eq!(standing.received().len(), 2, "{}", standing.name);
    }
}

pub(crate) fn refusal_ends_it(curl: &Curl) {
    for standing in Standing::both() {
        let url = format!("{}{PATH}", standing.url);
        let answers = curl.send_each(&[&url, &url], &["--data-binary", "@-"], EVENT.as_bytes());
        let found: Vec<_> = answers.iter().map(|answer| (answer.status, answer.connects)).collect();
        assert_eq!(found, [(401, 1), (401, 1)], "{}", standing.name);
        assert_eq!(answers[0].header("connection"), Some("close"), "{}", standing.name);
    }
}

pub(crate) fn http_1_0(curl: &Curl) {
    for standing in Standing::both() {
        let url = format!("{}{PATH}", standing.url);
        let signature = signature(SECRET, EVENT.as_bytes(), 0);
        let options = ["--http1.0", "-H", signature.as_str(), "--data-binary", "@-"];
        let answers = curl.send_each(&[&url, &url], &options, EVENT.as_bytes());
        let found: Vec<_> = answers.iter().map(|answer| (answer.status, answer.connects)).collect();
        assert_eq!(found, [(200, 1), (200, 1)], "{}", standing.name);
    }
}
