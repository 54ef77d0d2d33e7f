//! From deliveries to the jobs that wait for them, in one process.

use std::{
    fmt,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use abyssale_core::{
    ExportId, Timestamp, Token,
    exports::{Routed, Routes},
    webhook::{Delivery, Event, NewExport, Reply},
};

/// Who takes genuine deliveries. Every `Fn(Timestamp, Delivery) -> Reply` is one.
///
/// [`Reply::Acknowledged`] ends the delivery, so it is given only once the event cannot be lost any
/// more; after anything else the service comes again.
pub trait Handler: Send + Sync + 'static {
    /// Takes a delivery. Called by several threads or tasks at once; must not block for long.
    fn handle(&self, now: Timestamp, delivery: Delivery) -> Reply;
}

impl<F: Fn(Timestamp, Delivery) -> Reply + Send + Sync + 'static> Handler for F {
    fn handle(&self, now: Timestamp, delivery: Delivery) -> Reply {
        self(now, delivery)
    }
}

/// Where a waiting job takes its events: the sending end of a channel.
pub trait Mailbox: Clone + Send + 'static {
    /// Hands over an event, without waiting. `false` if there is no room or nobody there any more.
    fn post(&self, event: NewExport, token: Option<Token>) -> bool;
}

/// The jobs of one process that wait for their events.
///
/// A [`Handler`]: what belongs to one of its jobs goes there, what repeats an event of a finished job
/// or is of another kind is acknowledged, and a token that nobody waits for is not found.
pub struct Switchboard<M> {
    routes: Mutex<Routes<M>>,
    closed: AtomicBool,
}

impl<M: Mailbox> Switchboard<M> {
    /// No jobs yet.
    pub fn new() -> Self {
        Self { routes: Mutex::new(Routes::new()), closed: AtomicBool::new(false) }
    }

    /// Registers a job, before its request is sent, for as long as the registration lives.
    pub fn register(&self, token: Option<Token>, mailbox: M) -> Registration<'_, M> {
        self.routes().add(token.as_ref(), mailbox.clone());
        Registration { board: self, token, export_id: None, mailbox, took_event: false }
    }

    /// How many jobs are waiting.
    pub fn len(&self) -> usize {
        self.routes().len()
    }

    /// Whether no job is waiting.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// From now on every delivery is answered with 503, so that it comes again after the restart.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    fn routes(&self) -> MutexGuard<'_, Routes<M>> {
        // No panic can leave the maps half changed: nothing of ours runs while they are locked.
        self.routes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A job's place on the [`Switchboard`], until it is dropped.
#[derive(Debug)]
pub struct Registration<'b, M: Mailbox> {
    board: &'b Switchboard<M>,
    token: Option<Token>,
    export_id: Option<ExportId>,
    mailbox: M,
    took_event: bool,
}

impl<M: Mailbox> Registration<'_, M> {
    /// The job has taken its event: what comes of it after the job is over is a repetition, and acknowledged. Of a job
    /// that ends without its event nothing is acknowledged.
    pub fn took_event(&mut self) {
        self.took_event = true;
    }

    /// Makes the job's export id known. A job without a token is found by it from now on; if its event
    /// came before, it is posted now.
    pub fn name(&mut self, now: Timestamp, export_id: &ExportId) {
        if self.export_id.is_some() {
            return;
        }
        self.export_id = Some(export_id.clone());
        if self.token.is_none()
            && let Some(event) = self.board.routes().name(now, export_id, self.mailbox.clone())
        {
            // The job has had no other event before, so there is room.
            let _posted = self.mailbox.post(event, None);
        }
    }
}

impl<M: Mailbox> Drop for Registration<'_, M> {
    fn drop(&mut self) {
        self.board.routes().remove(self.token.as_ref(), self.export_id.as_ref(), self.took_event);
    }
}

impl<M: Mailbox + Sync> Handler for Switchboard<M> {
    fn handle(&self, now: Timestamp, delivery: Delivery) -> Reply {
        if self.closed.load(Ordering::Acquire) {
            return Reply::Unavailable;
        }
        // Locked until the event is posted: a job that ends in between would be acknowledged and not told.
        let mut routes = self.routes();
        match (routes.route(now, &delivery), delivery.event) {
            (Routed::Job(mailbox), Event::NewExport(event)) => {
                if mailbox.post(event, delivery.token) {
                    Reply::Acknowledged
                } else {
                    Reply::NoRoom
                }
            }
            (Routed::NoRoom, _) => Reply::NoRoom,
            (Routed::Unknown, Event::NewExport(_)) if delivery.token.is_some() => Reply::NotFound,
            _ => Reply::Acknowledged,
        }
    }
}

impl<M: Mailbox> Default for Switchboard<M> {
    fn default() -> Self {
        Self::new()
    }
}

impl<M: Mailbox> fmt::Debug for Switchboard<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Switchboard").field("jobs", &self.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

    use abyssale_core::webhook::{Hook, Verifier};

    use super::*;

    #[derive(Clone, Debug)]
    struct Box1(SyncSender<NewExport>);

    impl Mailbox for Box1 {
        fn post(&self, event: NewExport, _: Option<Token>) -> bool {
            self.0.try_send(event).is_ok()
        }
    }

    fn mailbox() -> (Box1, Receiver<NewExport>) {
        let (sender, receiver) = sync_channel(1);
        (Box1(sender), receiver)
    }

    fn deliver(board: &Switchboard<Box1>, body: &str, token: Option<Token>) -> u16 {
        let hook = Hook::new(Verifier::new([]).accept_unsigned()).token(None);
        let mut delivery = hook.receive(Timestamp::default(), "POST", "/", &(), body.as_bytes()).unwrap();
        delivery.token = token;
        board.handle(Timestamp::default(), delivery).status()
    }

    const EVENT: &str = r#"{"export_id":"e","archive_url":"https://h/a.zip"}"#;

    #[test]
    fn an_event_reaches_the_job_that_waits_for_it() {
        let (board, token) = (Switchboard::new(), Token::from_random([1; 16]));
        let (sender, receiver) = mailbox();
        let mut registration = board.register(Some(token), sender);
        assert_eq!(deliver(&board, EVENT, Some(token)), 200);
        assert_eq!(receiver.try_recv().unwrap().export_id.as_str(), "e");
        registration.took_event();
        drop(registration);
        assert!(board.is_empty());
        assert_eq!(deliver(&board, EVENT, Some(token)), 200, "a repetition");
    }

    #[test]
    fn the_event_of_a_job_that_gave_up_is_not_acknowledged() {
        let (board, token) = (Switchboard::new(), Token::from_random([1; 16]));
        drop(board.register(Some(token), mailbox().0));
        assert_eq!(deliver(&board, EVENT, Some(token)), 404);
    }

    #[test]
    fn a_mailbox_without_room_lets_the_event_come_again() {
        let (board, token) = (Switchboard::new(), Token::from_random([1; 16]));
        let (sender, receiver) = mailbox();
        let _registration = board.register(Some(token), sender);
        assert_eq!(deliver(&board, EVENT, Some(token)), 200);
        assert_eq!(deliver(&board, EVENT, Some(token)), 429);
        drop(receiver);
        assert_eq!(deliver(&board, EVENT, Some(token)), 429);
    }

    #[test]
    fn what_is_nobodys_is_answered_by_what_it_is() {
        let board = Switchboard::<Box1>::new();
        assert_eq!(deliver(&board, EVENT, Some(Token::from_random([2; 16]))), 404);
        assert_eq!(deliver(&board, EVENT, None), 200, "an export of somebody else in the same workspace");
        assert_eq!(deliver(&board, r#"{"event_type":"NEW_BANNER"}"#, None), 200);
        board.close();
        assert_eq!(deliver(&board, EVENT, None), 503);
    }

    #[test]
    fn an_early_event_is_posted_when_its_job_is_named() {
        let board = Switchboard::new();
        let (sender, receiver) = mailbox();
        let mut registration = board.register(None, sender);
        assert_eq!(deliver(&board, EVENT, None), 200);
        registration.name(Timestamp::default(), &"e".parse().unwrap());
        assert_eq!(receiver.try_recv().unwrap().export_id.as_str(), "e");
    }
}
