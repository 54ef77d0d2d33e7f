//! Finds the job of a delivery, by token or by export id.
//!
//! Tokens are looked up by their digest, so that the time a look-up takes reveals nothing about a token. All maps are
//! ordered, so that a peer who chooses the keys cannot slow them down.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use core::time::Duration;

use sha2::{Digest, Sha256};

use super::JobId;
use crate::{id::ExportId, time::Timestamp, token::Token, webhook::NewExport};

/// The jobs that deliveries can belong to.
///
/// A job is registered under its token before its request is sent. A job without a token is registered under its
/// export id once the service has assigned one; an event that arrives earlier is kept until then.
#[derive(Clone, Debug, Default)]
pub(super) struct Routes {
    by_token: BTreeMap<Key, JobId>,
    by_export: BTreeMap<ExportId, JobId>,
    /// How many jobs without a token have no export id yet.
    unnamed: usize,
    /// Events that may belong to one of these jobs, and until when each is kept.
    early: VecDeque<(Timestamp, NewExport)>,
    recent: RecentlyFinished,
}

/// The result of a look-up.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Routed {
    /// The event belongs to this job.
    Job(JobId),
    /// The event belongs to a job that is over: the delivery is a repetition.
    Over,
    /// The event may belong to a job whose export id is not known yet. It is kept.
    Kept,
    /// The event may belong to such a job, but no more events can be kept.
    NoRoom,
    /// No job here waits for the event.
    Unknown,
}

impl Routes {
    /// Registers a job before its request is sent.
    ///
    /// A job without a token must be [named](Self::name) or [removed](Self::remove) later.
    pub(super) fn add(&mut self, token: Option<&Token>, job: JobId) {
        match token {
            Some(token) => drop(self.by_token.insert(key_of(token), job)),
            None => self.unnamed += 1,
        }
    }

    /// Registers the export id of a job without a token. Returns the event, if it came early.
    pub(super) fn name(&mut self, now: Timestamp, export_id: &ExportId, job: JobId) -> Option<NewExport> {
        self.unnamed = self.unnamed.saturating_sub(1);
        self.by_export.insert(export_id.clone(), job);
        self.expire(now);
        let at = self.early.iter().position(|(_, event)| event.export_id == *export_id)?;
        self.early.remove(at).map(|(_, event)| event)
    }

    /// Removes a job that is over.
    ///
    /// If the job took its event, repetitions of the event are recognised from then on. If it did not, nobody here
    /// received the event, so its delivery is not acknowledged.
    pub(super) fn remove(&mut self, token: Option<&Token>, export_id: Option<&ExportId>, took_event: bool) {
        let by_token = token.map(key_of);
        if let Some(key) = by_token {
            self.by_token.remove(&key);
            if took_event {
                self.recent.remember(key);
            }
        }
        match export_id {
            Some(id) => {
                self.by_export.remove(id);
                if took_event {
                    self.recent.remember(key_of_export(id));
                }
            }
            None if by_token.is_none() => self.unnamed = self.unnamed.saturating_sub(1),
            None => {}
        }
    }

    /// Finds the job whose callback URL has this token.
    pub(super) fn job_of(&self, token: &Token) -> Option<JobId> {
        self.by_token.get(&key_of(token)).copied()
    }

    /// Finds the job that an event belongs to: by the token of its delivery if there is one, else by its export id.
    pub(super) fn route(&mut self, now: Timestamp, token: Option<&Token>, event: &NewExport) -> Routed {
        let (key, job) = if let Some(token) = token {
            let key = key_of(token);
            (key, self.by_token.get(&key))
        } else {
            (key_of_export(&event.export_id), self.by_export.get(&event.export_id))
        };
        match job {
            Some(job) => Routed::Job(*job),
            None if self.recent.known.contains(&key) => Routed::Over,
            None if token.is_none() && self.unnamed > 0 => self.keep(now, event),
            None => Routed::Unknown,
        }
    }

    fn keep(&mut self, now: Timestamp, event: &NewExport) -> Routed {
        self.expire(now);
        if self.early.iter().any(|(_, kept)| kept == event) {
            return Routed::Kept;
        }
        if self.early.len() >= MAX_EARLY {
            return Routed::NoRoom;
        }
        self.early.push_back((now.saturating_add(EARLY_FOR), event.clone()));
        Routed::Kept
    }

    fn expire(&mut self, now: Timestamp) {
        while self.early.front().is_some_and(|(until, _)| *until <= now) {
            self.early.pop_front();
        }
    }
}

/// The last jobs that took their event, so that a repeated delivery is acknowledged and not refused.
#[derive(Clone, Debug, Default)]
struct RecentlyFinished {
    order: VecDeque<Key>,
    known: BTreeSet<Key>,
}

impl RecentlyFinished {
    fn remember(&mut self, key: Key) {
        if self.known.insert(key) {
            self.order.push_back(key);
        }
        if self.order.len() > MAX_FINISHED
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}

type Key = [u8; 16];

fn key_of(token: &Token) -> Key {
    digest(token.as_str())
}

fn key_of_export(id: &ExportId) -> Key {
    digest(&id.as_str().to_ascii_lowercase())
}

fn digest(text: &str) -> Key {
    let digest: [u8; 32] = Sha256::digest(text).into();
    digest.first_chunk().copied().unwrap_or_default()
}

/// The most early events that are kept, each of at most about 8 KiB.
const MAX_EARLY: usize = 1024;

/// How long an early event is kept: 10 min.
const EARLY_FOR: Duration = Duration::from_secs(600);

/// Enough for a day of busy traffic, in about 1 MB.
const MAX_FINISHED: usize = 16_384;

#[cfg(test)]
impl Routes {
    pub(super) fn len(&self) -> usize {
        self.by_token.len() + self.by_export.len() + self.unnamed
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_755_561_234);

    fn event(id: &str) -> NewExport {
        let event = format!(r#"{{"export_id":"{id}","archive_url":"https://h/{id}.zip"}}"#);
        serde_json::from_str(&event).unwrap()
    }

    fn route(routes: &mut Routes, id: &str, token: Option<Token>) -> Routed {
        routes.route(NOW, token.as_ref(), &event(id))
    }

    fn id(text: &str) -> ExportId {
        text.parse().unwrap()
    }

    #[test]
    fn a_token_finds_its_job_whatever_the_export_id() {
        let token = Token::from_random([1; 16]);
        let mut routes = Routes::default();
        routes.add(Some(&token), JobId(7));
        assert_eq!(route(&mut routes, "e", Some(token)), Routed::Job(JobId(7)));
        assert_eq!(route(&mut routes, "e", Some(Token::from_random([2; 16]))), Routed::Unknown);
        routes.remove(Some(&token), Some(&id("e")), true);
        assert_eq!(route(&mut routes, "e", Some(token)), Routed::Over);
        assert_eq!(routes.len(), 0);
    }

    #[test]
    fn without_a_token_an_early_event_waits_for_the_answer() {
        let mut routes = Routes::default();
        assert_eq!(route(&mut routes, "e", None), Routed::Unknown);
        routes.add(None, JobId(7));
        assert_eq!(route(&mut routes, "e", None), Routed::Kept);
        assert_eq!(route(&mut routes, "e", None), Routed::Kept);
        assert_eq!(routes.name(NOW, &id("e"), JobId(7)).unwrap().export_id, id("e"));
        assert_eq!(route(&mut routes, "e", None), Routed::Job(JobId(7)));
        assert_eq!(route(&mut routes, "E", None), Routed::Job(JobId(7)), "a UUID has no case");
        routes.remove(None, Some(&id("e")), true);
        assert_eq!(route(&mut routes, "e", None), Routed::Over);
        assert_eq!(route(&mut routes, "E", None), Routed::Over);
    }

    #[test]
    fn a_job_is_counted_with_a_token_with_an_export_id_and_with_neither() {
        let token = Token::from_random([1; 16]);
        let mut routes = Routes::default();
        routes.add(Some(&token), JobId(1));
        routes.add(Some(&Token::from_random([2; 16])), JobId(2));
        routes.add(None, JobId(3));
        routes.add(None, JobId(4));
        routes.name(NOW, &id("e"), JobId(3));
        assert_eq!(routes.len(), 4);

        // A job with a token that ended before it had an export id leaves the count of unnamed jobs alone.
        routes.remove(Some(&token), None, false);
        assert_eq!(route(&mut routes, "f", None), Routed::Kept, "it may be the fourth job's");
        routes.remove(None, None, false);
        assert_eq!(route(&mut routes, "g", None), Routed::Unknown, "no job waits for an export id any more");
        assert_eq!(routes.len(), 2);
    }

    #[test]
    fn an_event_that_its_job_did_not_take_is_no_repetition() {
        let token = Token::from_random([1; 16]);
        let mut routes = Routes::default();
        routes.add(Some(&token), JobId(7));
        routes.remove(Some(&token), Some(&id("e")), false);
        assert_eq!(route(&mut routes, "e", Some(token)), Routed::Unknown);
    }

    #[test]
    fn early_events_are_bounded_and_expire() {
        let mut routes = Routes::default();
        routes.add(None, JobId(7));
        for n in 0..MAX_EARLY {
            assert_eq!(route(&mut routes, &format!("e{n}"), None), Routed::Kept);
        }
        assert_eq!(route(&mut routes, "late", None), Routed::NoRoom);
        let later = NOW.saturating_add(EARLY_FOR);
        assert_eq!(routes.route(later, None, &event("late")), Routed::Kept);
        assert_eq!(routes.name(later, &id("e0"), JobId(7)), None);
    }

    #[test]
    fn the_memory_of_finished_jobs_is_bounded() {
        let mut recent = RecentlyFinished::default();
        let key = |n: usize| digest(&format!("{n}"));
        for n in 0..=MAX_FINISHED {
            recent.remember(key(n));
        }
        assert_eq!(recent.known.len(), MAX_FINISHED);
        assert!(!recent.known.contains(&key(0)));
        assert!(recent.known.contains(&key(MAX_FINISHED)));
    }
}
