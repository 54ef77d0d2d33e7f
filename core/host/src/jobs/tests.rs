//! What is done and acknowledged is saved before, whatever the store does, and nobody's job is lost on the way.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    sync::mpsc::{Receiver, Sender, channel},
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use abyssale_core::{
    ApiKey, CallId, Endpoint, Goal, Input, Notice, StoreError, Token, TokenPlacement, Write,
    http::Response,
    webhook::{CallbackEndpoint, Verifier},
};

use super::*;
use crate::MemoryStore;

/// Far longer than anything here takes; only a failing test meets it.
const PATIENCE: Duration = Duration::from_secs(30);
const ID: &str = "64238d01-d402-474b-8c2d-fbc957e9d290";

/// Sends a message for each wake-up.
struct SendOnWake(Sender<()>);

impl Wake for SendOnWake {
    fn wake(self: Arc<Self>) {
        let _nobody_waits = self.0.send(());
    }
}

type TestJobs = Arc<Jobs>;

fn open(store: Option<Box<dyn Store>>) -> TestJobs {
    let endpoint = Endpoint::new("https://api.example.com", ApiKey::new("key").unwrap()).unwrap();
    let config = Arc::new(Config::new(endpoint));
    Arc::new(Jobs::open(config, Limits::default(), Clock::new(), store).unwrap())
}

fn token(n: u8) -> Token {
    Token::from_random([n; 16])
}

fn order(n: u8) -> Order {
    let order = Order::new([ID], "https://hooks.example.com/abyssale").unwrap();
    order.with_token(token(n), TokenPlacement::PathSegment).unwrap()
}

fn delivery(n: u8) -> Delivery {
    let body = format!(r#"{{"export_id":"e{n}","archive_url":"https://store.example.com/{n}.zip"}}"#);
    let endpoint = CallbackEndpoint::new(Verifier::new([]).accept_unsigned()).token(None);
    let mut delivery = endpoint.receive(Timestamp::default(), "POST", "/", &(), body.as_bytes()).unwrap();
    delivery.token = Some(token(n));
    delivery
}

fn deliver(jobs: &TestJobs, n: u8) -> Reply {
    jobs.handle(jobs.shared.clock.now(), delivery(n))
}

/// A job's thread.
struct Worker<'j> {
    running: RefCell<RunningJob<'j>>,
    waker: Waker,
    woken: Receiver<()>,
}

impl<'j> Worker<'j> {
    fn submit(jobs: &'j TestJobs, order: &Order) -> Self {
        Self::new(jobs.submit(order, Some("banners.zip".into())).unwrap())
    }

    fn resume(stored: StoredJob<'j>) -> Self {
        Self::new(stored.resume())
    }

    fn new(running: RunningJob<'j>) -> Self {
        let (sender, woken) = channel();
        Self { running: RefCell::new(running), waker: Arc::new(SendOnWake(sender)).into(), woken }
    }

    fn poll(&self) -> Option<Result<Output, Error>> {
        match self.running.borrow_mut().poll_output(&mut Context::from_waker(&self.waker)) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        }
    }

    fn next(&self) -> Result<Output, Error> {
        loop {
            match self.poll() {
                // There is nothing to do about a notice.
                Some(Ok(Output::Notice(_))) => {}
                Some(output) => return output,
                None => self.woken.recv_timeout(PATIENCE).unwrap(),
            }
        }
    }

    fn not_saved(&self) {
        loop {
            match self.poll() {
                Some(Ok(Output::Notice(Notice::NotSaved(StoreError::Refused(_))))) => return,
                Some(Ok(Output::Notice(_))) => {}
                Some(output) => panic!("{output:?}"),
                None => self.woken.recv_timeout(PATIENCE).unwrap(),
            }
        }
    }

    fn is_idle(&self) -> bool {
        let outputs: Vec<_> = std::iter::from_fn(|| self.poll()).collect();
        outputs.iter().all(|output| matches!(output, Ok(Output::Notice(_))))
    }

    fn tell(&self, input: Input) {
        self.running.borrow_mut().tell(input);
    }

    fn call(&self) -> CallId {
        match self.next() {
            Ok(Output::Call { call, .. }) => call,
            other => panic!("{other:?}"),
        }
    }

    fn accept(&self, n: u8) {
        let call = self.call();
        let body = format!(r#"{{"export_id":"e{n}"}}"#);
        self.tell(Input::Response { call, response: Response::new(200, &[], body.as_bytes()) });
    }

    fn download(&self) -> CallId {
        match self.next() {
            Ok(Output::Download { call, .. }) => call,
            other => panic!("{other:?}"),
        }
    }

    fn done(self) {
        match self.next() {
            Ok(Output::Done(Ok(finished))) => self.running.into_inner().finish(&Ok(finished)),
            other => panic!("{other:?}"),
        }
    }
}

/// A store that waits for leave before each write, and says what it was asked to write.
struct Slow {
    asked: Sender<Batch>,
    leave: Receiver<Written>,
}

type Batch = BTreeMap<JobId, Write>;
type Written = Result<(), StoreError>;

impl Slow {
    fn new() -> (Self, Receiver<Batch>, Sender<Written>) {
        let (asked, was_asked) = channel();
        let (give, leave) = channel();
        (Self { asked, leave }, was_asked, give)
    }
}

impl Store for Slow {
    fn load(&mut self) -> Result<Vec<(JobId, Vec<u8>)>, StoreError> {
        Ok(Vec::new())
    }

    fn write(&mut self, batch: &[(JobId, Write)]) -> Result<(), StoreError> {
        let _over = self.asked.send(batch.iter().cloned().collect());
        self.leave.recv().unwrap_or_else(|_| Err(StoreError::refused("the test is over")))
    }
}

fn full() -> Result<(), StoreError> {
    Err(StoreError::refused("the disk is full"))
}

#[test]
fn a_job_that_waits_for_its_store_is_told_each_time_saving_fails() {
    // Dropped last: it waits for its store, which waits for leave.
    let jobs;
    let (store, asked, leave) = Slow::new();
    jobs = open(Some(Box::new(store)));
    let worker = Worker::submit(&jobs, &order(1));
    for _ in 0..2 {
        leave.send(Ok(())).unwrap();
    }
    worker.accept(1);
    for _ in 0..2 {
        asked.recv_timeout(PATIENCE).unwrap();
    }
    std::thread::scope(|scope| {
        let delivering = scope.spawn(|| deliver(&jobs, 1));
        for _ in 0..2 {
            asked.recv_timeout(PATIENCE).unwrap();
            leave.send(full()).unwrap();
            worker.not_saved();
        }
        assert_eq!(delivering.join().unwrap(), Reply::Unavailable);
    });
    leave.send(Ok(())).unwrap();
    worker.download();
}

fn goes_all_the_way(jobs: &TestJobs) {
    let worker = Worker::submit(jobs, &order(1));
    worker.accept(1);
    assert_eq!(deliver(jobs, 1), Reply::Acknowledged);
    let call = worker.download();
    worker.tell(Input::Downloaded { call, bytes: 7 });
    worker.done();
    assert!(jobs.is_empty());
    assert_eq!(deliver(jobs, 1), Reply::Acknowledged, "a repetition");
}

#[test]
fn a_job_goes_all_the_way_with_and_without_a_store() {
    goes_all_the_way(&open(None));
    let store = MemoryStore::new();
    let jobs = open(Some(Box::new(store.clone())));
    goes_all_the_way(&jobs);
    jobs.close();
    assert!(store.is_empty(), "{store:?}");
}

#[test]
fn nothing_is_asked_for_before_it_is_saved() {
    // Dropped last: it waits for its store, which waits for leave.
    let jobs;
    let (store, asked, leave) = Slow::new();
    jobs = open(Some(Box::new(store)));
    let worker = Worker::submit(&jobs, &order(1));
    assert_eq!(asked.recv_timeout(PATIENCE).unwrap().len(), 1);
    assert!(worker.poll().is_none());
    leave.send(Ok(())).unwrap();
    worker.call();
}

#[test]
fn what_happens_during_a_write_shares_the_next_one() {
    // Dropped last: it waits for its store, which waits for leave.
    let jobs;
    let (store, asked, leave) = Slow::new();
    jobs = open(Some(Box::new(store)));
    let first = Worker::submit(&jobs, &order(0));
    asked.recv_timeout(PATIENCE).unwrap();
    let others: Vec<_> = (1..10).map(|n| Worker::submit(&jobs, &order(n))).collect();
    leave.send(Ok(())).unwrap();
    assert_eq!(asked.recv_timeout(PATIENCE).unwrap().len(), 9);
    leave.send(Ok(())).unwrap();
    for worker in others.iter().chain([&first]) {
        worker.call();
    }
}

#[test]
fn a_delivery_is_acknowledged_once_it_is_saved_and_refused_if_it_is_not() {
    // Dropped last: it waits for its store, which waits for leave.
    let jobs;
    let (store, asked, leave) = Slow::new();
    jobs = open(Some(Box::new(store)));
    let worker = Worker::submit(&jobs, &order(1));
    for _ in 0..2 {
        leave.send(Ok(())).unwrap();
    }
    worker.accept(1);
    for _ in 0..2 {
        asked.recv_timeout(PATIENCE).unwrap();
    }
    let (sender, replies) = channel();
    let deliver = || {
        let sender = sender.clone();
        let answer = Box::new(move |reply| drop(sender.send(reply)));
        jobs.handle_later(jobs.shared.clock.now(), delivery(1), answer);
    };
    deliver();
    assert_eq!(asked.recv_timeout(PATIENCE).unwrap().len(), 1);
    assert!(replies.try_recv().is_err() && worker.is_idle());
    leave.send(full()).unwrap();
    assert_eq!(replies.recv_timeout(PATIENCE).unwrap(), Reply::Unavailable);
    // It is tried again by itself, and a repetition that comes meanwhile waits for that.
    deliver();
    assert_eq!(asked.recv_timeout(PATIENCE).unwrap().len(), 1);
    assert!(replies.try_recv().is_err() && worker.is_idle());
    leave.send(Ok(())).unwrap();
    worker.download();
    // It came before that write or during it; if during, there is nothing left to write for it.
    assert_eq!(replies.recv_timeout(PATIENCE).unwrap(), Reply::Acknowledged);
}

#[test]
fn a_new_job_that_cannot_be_saved_is_given_up_and_was_never_asked_for() {
    // Dropped last: it waits for its store, which waits for leave.
    let jobs;
    let (store, asked, leave) = Slow::new();
    jobs = open(Some(Box::new(store)));
    let worker = Worker::submit(&jobs, &order(1));
    leave.send(full()).unwrap();
    asked.recv_timeout(PATIENCE).unwrap();
    assert!(matches!(worker.next(), Err(Error::Store(StoreError::Refused(_)))));
    drop(worker);
    assert!(jobs.is_empty() && jobs.resume().is_empty());
    assert_eq!(deliver(&jobs, 1), Reply::NotFound);
    // The next job is not affected.
    let next = Worker::submit(&jobs, &order(2));
    leave.send(Ok(())).unwrap();
    next.call();
}

#[test]
fn a_store_that_panics_is_one_that_refuses() {
    struct Panics;
    impl Store for Panics {
        fn load(&mut self) -> Result<Vec<(JobId, Vec<u8>)>, StoreError> {
            Ok(Vec::new())
        }
        fn write(&mut self, _: &[(JobId, Write)]) -> Result<(), StoreError> {
            panic!("as a database does that finds its file damaged");
        }
    }
    let jobs = open(Some(Box::new(Panics)));
    assert!(matches!(Worker::submit(&jobs, &order(1)).next(), Err(Error::Store(_))));
}

#[test]
fn a_job_without_a_handle_takes_its_event_and_can_be_resumed() {
    let store = MemoryStore::new();
    let jobs = open(Some(Box::new(store.clone())));
    let worker = Worker::submit(&jobs, &order(1));
    worker.accept(1);
    drop(worker);
    assert_eq!(deliver(&jobs, 1), Reply::Acknowledged);
    let mut all = jobs.resume();
    assert!(jobs.resume().is_empty(), "each is given once");
    let stored = all.pop().unwrap().unwrap();
    assert!(stored.target().unwrap().is_absolute());
    drop((stored, all));
    // In another process.
    drop(jobs);
    let jobs = open(Some(Box::new(store.clone())));
    assert_eq!(deliver(&jobs, 1), Reply::Acknowledged, "a repetition, though nobody carries it out yet");
    let worker = Worker::resume(jobs.resume().pop().unwrap().unwrap());
    let call = worker.download();
    worker.tell(Input::Downloaded { call, bytes: 7 });
    worker.done();
    drop(jobs);
    assert!(store.is_empty());
}

#[test]
fn without_a_store_a_job_ends_with_its_handle() {
    let jobs = open(None);
    drop(Worker::submit(&jobs, &order(1)));
    assert!(jobs.is_empty());
    assert_eq!(deliver(&jobs, 1), Reply::NotFound);
}

#[test]
fn a_result_that_nobody_has_taken_is_given_again() {
    let store = MemoryStore::new();
    let jobs = open(Some(Box::new(store.clone())));
    let worker = Worker::submit(&jobs, &order(1).with_goal(Goal::Event));
    worker.accept(1);
    assert_eq!(deliver(&jobs, 1), Reply::Acknowledged);
    // The process ends between the acknowledgement and the moment in which the event is taken.
    drop(worker);
    drop(jobs);
    let jobs = open(Some(Box::new(store.clone())));
    let worker = Worker::resume(jobs.resume().pop().unwrap().unwrap());
    worker.done();
    drop(jobs);
    assert!(store.is_empty());
}

#[test]
fn a_job_that_is_cancelled_is_forgotten() {
    let store = MemoryStore::new();
    let jobs = open(Some(Box::new(store.clone())));
    let worker = Worker::submit(&jobs, &order(1));
    worker.accept(1);
    drop(worker);
    jobs.resume().pop().unwrap().unwrap().cancel();
    assert!(jobs.is_empty());
    drop(jobs);
    assert!(store.is_empty());
}

#[test]
fn what_cannot_be_read_is_named_and_does_not_keep_the_others_back() {
    let mut store = MemoryStore::new();
    let jobs = open(Some(Box::new(store.clone())));
    let worker = Worker::submit(&jobs, &order(1));
    worker.accept(1);
    drop(worker);
    drop(jobs);
    let [damaged, newer] = [3, u64::MAX / 2].map(JobId::from_u64);
    let broken = [(damaged, Write::Save(b"{".into())), (newer, Write::Save(br#"{"version":99}"#.into()))];
    store.write(&broken).unwrap();
    let jobs = open(Some(Box::new(store.clone())));
    let found = jobs.resume();
    let errors: Vec<_> = found.iter().filter_map(|stored| stored.as_ref().err()).collect();
    assert!(
        matches!(&errors[..], [
            Error::Record { job: first, source: RestoreError::Damaged { .. } },
            Error::Record { job: second, source: RestoreError::Newer { found: 99 } },
        ] if (*first, *second) == (damaged, newer)),
        "{errors:?}"
    );
    assert_eq!(found.len(), 3);
    drop(found);
    // A new job does not take the name of one that is there.
    Worker::submit(&jobs, &order(2)).call();
    drop(jobs);
    assert_eq!(store.len(), 4);
}

#[test]
fn no_delivery_is_taken_after_closing() {
    let jobs = open(None);
    let worker = Worker::submit(&jobs, &order(1));
    jobs.close();
    assert_eq!(deliver(&jobs, 1), Reply::Unavailable);
    drop(worker);
}

#[test]
fn time_passes_without_anybody_looking() {
    let endpoint = Endpoint::new("https://api.example.com", ApiKey::new("key").unwrap()).unwrap();
    let mut config = Config::new(endpoint);
    config.event_timeout = Duration::from_millis(20);
    let jobs = Arc::new(Jobs::open(Arc::new(config), Limits::default(), Clock::new(), None).unwrap());
    let worker = Worker::submit(&jobs, &order(1));
    worker.accept(1);
    let output = worker.next();
    assert!(matches!(output, Ok(Output::Done(Err(_)))), "{output:?}");
}

#[test]
fn an_output_of_a_dropped_handle_is_not_given_to_the_next_one() {
    // Dropped last: it waits for its store, which waits for leave.
    let jobs;
    let (store, asked, leave) = Slow::new();
    jobs = open(Some(Box::new(store)));
    let worker = Worker::submit(&jobs, &order(1));
    // Its request waits for the write that has begun.
    asked.recv_timeout(PATIENCE).unwrap();
    drop(worker);
    let worker = Worker::resume(jobs.resume().pop().unwrap().unwrap());
    for _ in 0..2 {
        leave.send(Ok(())).unwrap();
    }
    // The outcome of that request is unknown, so only the event can settle it.
    let acknowledging = std::thread::scope(|scope| {
        let delivering = scope.spawn(|| deliver(&jobs, 1));
        for _ in 0..2 {
            let _one_write_may_do = leave.send(Ok(()));
        }
        delivering.join().unwrap()
    });
    assert_eq!(acknowledging, Reply::Acknowledged);
    worker.download();
}
