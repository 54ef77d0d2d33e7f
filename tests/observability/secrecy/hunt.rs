//! The search: what is looked for, all that was heard, and what may be in which part of it.

use std::{error::Error, fmt::Debug};

use abyssale_observability::{Needle, Record};

/// A search through all that was heard.
pub(crate) struct Hunt {
    needles: Vec<(Secret, Needle)>,
    heard: Vec<Heard>,
}

/// A kind of secret.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Secret {
    Key,
    Signing,
    Token,
    Query,
}

struct Heard {
    from: String,
    text: String,
    /// What belongs there.
    may_hold: Vec<Secret>,
}

impl Hunt {
    /// For these secrets.
    pub(crate) fn new() -> Self {
        let mut hunt = Self { needles: Vec::new(), heard: Vec::new() };
        hunt.seek(Secret::Key, crate::KEY);
        hunt.seek(Secret::Key, crate::WRONG_KEY);
        hunt.seek(Secret::Signing, crate::SECRET);
        hunt.seek(Secret::Query, crate::QUERY);
        hunt
    }

    /// And for this one.
    pub(crate) fn seek(&mut self, kind: Secret, secret: &str) {
        self.needles.push((kind, Needle::new(&format!("{kind:?}"), secret)));
    }

    /// Something that must not hold any.
    pub(crate) fn hear(&mut self, from: impl Into<String>, text: impl Into<String>) {
        self.hear_where(from, text, &[]);
    }

    /// Something that may hold some.
    pub(crate) fn hear_where(
        &mut self,
        from: impl Into<String>,
        text: impl Into<String>,
        may_hold: &[Secret],
    ) {
        self.heard.push(Heard { from: from.into(), text: text.into(), may_hold: may_hold.to_vec() });
    }

    /// What `Debug` shows of something, on one line and on many.
    pub(crate) fn hear_debug(&mut self, from: &str, shown: &impl Debug) {
        self.hear(format!("Debug of {from}"), format!("{shown:?}"));
        self.hear(format!("Debug of {from}, on many lines"), format!("{shown:#?}"));
    }

    /// An error, and what caused it.
    pub(crate) fn hear_error(&mut self, from: &str, error: &dyn Error) {
        let mut cause = Some(error);
        while let Some(error) = cause {
            self.hear(format!("error of {from}"), error.to_string());
            self.hear_debug(&format!("an error of {from}"), &error);
            cause = error.source();
        }
    }

    /// What was logged. Of what ureq says at TRACE the module's page tells.
    pub(crate) fn hear_records(&mut self, from: &str, records: &[Record]) {
        for record in records {
            let may_hold: &[Secret] = if is_trace_of_ureq(record) { &[Secret::Query] } else { &[] };
            // As a text and as its parts: quoting what is quoted already would hide something.
            self.hear_where(format!("log of {from}"), format!("{record:?}"), may_hold);
            for (_, value) in &record.fields {
                self.hear_where(format!("field in the log of {from}"), value.as_str(), may_hold);
            }
            self.hear_where(format!("message in the log of {from}"), record.what.as_str(), may_hold);
        }
    }

    /// All that was found where it does not belong, and where.
    pub(crate) fn leaks(&self) -> Vec<String> {
        let mut leaks = Vec::new();
        for Heard { from, text, may_hold } in &self.heard {
            for (kind, needle) in &self.needles {
                if let (false, Some(found)) = (may_hold.contains(kind), needle.find(text)) {
                    leaks.push(format!("{found} in the {from}: {text:.300}"));
                }
            }
        }
        leaks
    }

    /// That much was heard, and nothing was found.
    pub(crate) fn assert_clean(&self, at_least: usize) {
        assert!(self.heard.len() >= at_least, "it was searched where nothing is: {}", self.heard.len());
        let leaks = self.leaks();
        assert!(leaks.is_empty(), "{} leaks:\n{}", leaks.len(), leaks.join("\n"));
    }
}

/// ureq logs the address of its request at DEBUG, and leaves the path out unless TRACE is on.
pub(crate) fn is_trace_of_ureq(record: &Record) -> bool {
    record.target.starts_with("ureq")
}

#[test]
fn a_secret_that_is_planted_is_found_wherever_it_is_said() {
    // Only with the one that is installed does `log` reach any.
    abyssale_observability::Recorder::installed();
    let recorder = abyssale_observability::Recorder::default();
    recorder.hear(|| {
        tracing::info_span!("planted", secret = crate::SECRET).in_scope(|| tracing::trace!("here"));
        tracing::warn!(key = crate::KEY, "planted");
        log::info!("planted {:?}", crate::SECRET);
    });
    let records = recorder.since(0);
    assert_eq!(records.len(), 4);
    let mut hunt = Hunt::new();
    hunt.hear_records("what is planted", &records);
    hunt.hear_debug("bytes", &crate::SECRET.as_bytes());
    hunt.hear_error("the system", &std::io::Error::other(crate::KEY));
    let leaks = hunt.leaks();
    for found in ["Signing", "Key"] {
        for place in ["log of what is planted", "field in the log"] {
            assert!(
                leaks.iter().any(|leak| leak.starts_with(found) && leak.contains(place)),
                "{found}, {place}: {leaks:#?}"
            );
        }
    }
    for place in
        ["message in the log", "Debug of bytes:", "Debug of bytes, on many lines", "error of the system"]
    {
        assert!(leaks.iter().any(|leak| leak.contains(place)), "{place}: {leaks:#?}");
    }
}
