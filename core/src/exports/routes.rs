//! From a delivery to the job that it belongs to, by token and by export id.
//!
//! Holds handles of jobs, not jobs. What peers name is in ordered maps, so that nobody who chooses the keys can
//! slow it down, and tokens are looked up by their digest, so that the time of a look-up tells
//! nothing about a token.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use core::time::Duration;

use sha2::{Digest, Sha256};

use super::table::Table;
use crate::{
    ExportId, Timestamp, Token,
    webhook::{Delivery, Event, NewExport},
};

/// Finds the job, of type `J`, that a delivery belongs to.
///
/// A job is registered under its token before its request is sent. One without a token is
/// registered under its export id once that is known; an event that comes earlier waits in a pen.
#[derive(Clone, Debug)]
pub struct Routes<J> {
    by_token: Table<Key, J>,
    by_export: BTreeMap<ExportId, J>,
    /// How many jobs without a token still wait for the answer that tells their export id.
    nameless: usize,
    early: VecDeque<(Timestamp, NewExport)>,
    over: Memory,
}

/// Where a delivery belongs.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Routed<J> {
    /// To this job.
    Job(J),
    /// To a job that is over; the delivery is a repetition.
    Over,
    /// Perhaps to a job whose export id is not known yet; the event is kept.
    Held,
    /// Perhaps to such a job, but there is no room to keep the event.
    NoRoom,
    /// To nobody here.
    Unknown,
}

impl<J: Clone> Routes<J> {
    /// No jobs.
    pub fn new() -> Self {
        Self {
            by_token: Table::default(),
            by_export: BTreeMap::new(),
            nameless: 0,
            early: VecDeque::new(),
            over: Memory::default(),
        }
    }

    /// Registers a job before its request is sent. A job without a token must be [named](Self::name)
    /// or [removed](Self::remove) later.
    pub fn add(&mut self, token: Option<&Token>, job: J) {
        match token {
            Some(token) => drop(self.by_token.insert(key(token), job)),
            None => self.nameless += 1,
        }
    }

    /// Registers the export id of a job without a token, and hands out the event if it came early.
    pub fn name(&mut self, now: Timestamp, export_id: &ExportId, job: J) -> Option<NewExport> {
        self.nameless = self.nameless.saturating_sub(1);
        self.by_export.insert(export_id.clone(), job);
        self.expire(now);
        let at = self.early.iter().position(|(_, event)| event.export_id == *export_id)?;
        self.early.remove(at).map(|(_, event)| event)
    }

    /// Forgets a job that is over. If it took its event, what comes of it again is known to be a repetition; if it
    /// ended without, the event is not acknowledged in its name.
    pub fn remove(&mut self, token: Option<&Token>, export_id: Option<&ExportId>, took_event: bool) {
        let by_token = token.map(key);
        if let Some(key) = by_token {
            self.by_token.remove(&key);
            if took_event {
                self.over.remember(key);
            }
        }
        match export_id {
            Some(id) => {
                self.by_export.remove(id);
                if took_event {
                    self.over.remember(digest(id.as_str().as_bytes()));
                }
            }
            None if by_token.is_none() => self.nameless = self.nameless.saturating_sub(1),
            None => {}
        }
    }

    /// Finds the job that a delivery belongs to: by its token if it has one, else by its export id.
    pub fn route(&mut self, now: Timestamp, delivery: &Delivery) -> Routed<J> {
        let Event::NewExport(event) = &delivery.event else { return Routed::Unknown };
        let (name, job) = if let Some(token) = &delivery.token {
            let name = key(token);
            (name, self.by_token.get(&name))
        } else {
            (digest(event.export_id.as_str().as_bytes()), self.by_export.get(&event.export_id))
        };
        match job {
            Some(job) => Routed::Job(job.clone()),
            None if self.over.knows(&name) => Routed::Over,
            None if delivery.token.is_none() && self.nameless > 0 => self.hold(now, event),
            None => Routed::Unknown,
        }
    }

    /// How many jobs are registered.
    pub fn len(&self) -> usize {
        self.by_token.len() + self.by_export.len() + self.nameless
    }

    /// Whether no job is registered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All jobs that can be reached.
    pub fn jobs(&self) -> impl Iterator<Item = &J> {
        self.by_token.values().chain(self.by_export.values())
    }

    fn hold(&mut self, now: Timestamp, event: &NewExport) -> Routed<J> {
        self.expire(now);
        if self.early.iter().any(|(_, held)| held == event) {
            return Routed::Held;
        }
        if self.early.len() >= MAX_EARLY {
            return Routed::NoRoom;
        }
        self.early.push_back((now.saturating_add(EARLY_FOR), event.clone()));
        Routed::Held
    }

    fn expire(&mut self, now: Timestamp) {
        while self.early.front().is_some_and(|(until, _)| *until <= now) {
            self.early.pop_front();
        }
    }
}

impl<J: Clone> Default for Routes<J> {
    fn default() -> Self {
        Self::new()
    }
}

/// The last jobs that are over, so that a repeated delivery is acknowledged and not refused.
#[derive(Clone, Debug, Default)]
struct Memory {
    order: VecDeque<Key>,
    known: BTreeSet<Key>,
}

impl Memory {
    fn remember(&mut self, key: Key) {
        if self.known.insert(key) {
            self.order.push_back(key);
        }
        if self.order.len() > MAX_OVER
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }

    fn knows(&self, key: &Key) -> bool {
        self.known.contains(key)
    }
}

type Key = [u8; 16];

fn key(token: &Token) -> Key {
    digest(token.as_str().as_bytes())
}

fn digest(text: &[u8]) -> Key {
    let digest: [u8; 32] = Sha256::digest(text).into();
    digest.first_chunk().copied().unwrap_or_default()
}

/// The pen's size, as `DESIGN.md` proposes it.
const MAX_EARLY: usize = 1024;

/// How long an event waits for the answer that makes it somebody's: 10 min.
const EARLY_FOR: Duration = Duration::from_secs(600);

/// A day's worth of busy traffic for about 1 MB.
const MAX_OVER: usize = 16_384;

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_755_561_234);

    fn delivery(id: &str, token: Option<Token>) -> Delivery {
        let body = format!(r#"{{"export_id":"{id}","archive_url":"https://h/{id}.zip"}}"#);
        let verifier = crate::webhook::Verifier::new([]).accept_unsigned();
        let endpoint = crate::webhook::CallbackEndpoint::new(verifier).token(None);
        let mut delivery = endpoint.receive(NOW, "POST", "/", &(), body.as_bytes()).unwrap();
        delivery.token = token;
        delivery
    }

    fn id(text: &str) -> ExportId {
        text.parse().unwrap()
    }

    #[test]
    fn a_token_finds_its_job_whatever_the_export_id() {
        let token = Token::from_random([1; 16]);
        let mut routes = Routes::new();
        routes.add(Some(&token), 7);
        assert_eq!(routes.route(NOW, &delivery("e", Some(token))), Routed::Job(7));
        assert_eq!(routes.route(NOW, &delivery("e", Some(Token::from_random([2; 16])))), Routed::Unknown);
        routes.remove(Some(&token), Some(&id("e")), true);
        assert_eq!(routes.route(NOW, &delivery("e", Some(token))), Routed::Over);
        assert!(routes.is_empty());
    }

    #[test]
    fn without_a_token_an_early_event_waits_for_the_answer() {
        let mut routes = Routes::new();
        assert_eq!(routes.route(NOW, &delivery("e", None)), Routed::Unknown);
        routes.add(None, 7);
        assert_eq!(routes.route(NOW, &delivery("e", None)), Routed::Held);
        assert_eq!(routes.route(NOW, &delivery("e", None)), Routed::Held);
        assert_eq!(routes.name(NOW, &id("e"), 7).unwrap().export_id, id("e"));
        assert_eq!(routes.route(NOW, &delivery("e", None)), Routed::Job(7));
        routes.remove(None, Some(&id("e")), true);
        assert_eq!(routes.route(NOW, &delivery("e", None)), Routed::Over);
    }

    #[test]
    fn every_job_is_counted_under_whatever_it_can_be_reached() {
        let token = Token::from_random([1; 16]);
        let mut routes = Routes::new();
        routes.add(Some(&token), 1);
        routes.add(Some(&Token::from_random([2; 16])), 2);
        routes.add(None, 3);
        routes.add(None, 4);
        routes.name(NOW, &id("e"), 3);
        assert_eq!(routes.len(), 4);
        let mut jobs: alloc::vec::Vec<_> = routes.jobs().copied().collect();
        jobs.sort_unstable();
        assert_eq!(jobs, [1, 2, 3], "the fourth has no name yet");

        // One that ended before it had an export id leaves those without a token alone.
        routes.remove(Some(&token), None, false);
        assert_eq!(routes.route(NOW, &delivery("f", None)), Routed::Held, "it may be the fourth's");
        routes.remove(None, None, false);
        assert_eq!(routes.route(NOW, &delivery("g", None)), Routed::Unknown, "nobody waits for one any more");
        assert_eq!(routes.len(), 2);
        assert!(!routes.is_empty());
    }

    #[test]
    fn an_event_that_its_job_did_not_wait_for_is_not_taken_for_a_repetition() {
        let token = Token::from_random([1; 16]);
        let mut routes = Routes::new();
        routes.add(Some(&token), 7);
        routes.remove(Some(&token), Some(&id("e")), false);
        assert_eq!(routes.route(NOW, &delivery("e", Some(token))), Routed::Unknown);
    }

    #[test]
    fn the_pen_is_bounded_and_expires() {
        let mut routes = Routes::new();
        routes.add(None, 7);
        for n in 0..MAX_EARLY {
            assert_eq!(routes.route(NOW, &delivery(&format!("e{n}"), None)), Routed::Held);
        }
        assert_eq!(routes.route(NOW, &delivery("late", None)), Routed::NoRoom);
        let later = NOW.saturating_add(EARLY_FOR);
        assert_eq!(routes.route(later, &delivery("late", None)), Routed::Held);
        assert_eq!(routes.name(later, &id("e0"), 7), None);
    }

    #[test]
    fn the_memory_of_what_is_over_is_bounded() {
        let mut memory = Memory::default();
        for n in 0..=MAX_OVER {
            memory.remember(digest(&n.to_le_bytes()));
        }
        assert_eq!(memory.known.len(), MAX_OVER);
        assert!(!memory.knows(&digest(&0usize.to_le_bytes())));
        assert!(memory.knows(&digest(&MAX_OVER.to_le_bytes())));
    }
}
