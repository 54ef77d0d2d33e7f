//! The books of a day: what was asked for, made, delivered, acknowledged and told, and what follows from it.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::AddAssign,
    time::Duration,
};

use abyssale_core::{CallId, Failure, Finished, Goal, JobId, Output, Timestamp};

use super::{
    Halt, rule,
    service::Answer,
    setting::{Policy, Setting},
};

pub(crate) type Checked<T = ()> = Result<T, Halt>;

/// Everything that is known of one order.
// Facts that are independent of each other on purpose: the machine's states are not to be copied here.
#[expect(clippy::struct_excessive_bools)]
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub job: JobId,
    pub has_token: bool,
    goal: Goal,
    /// Whether it was saved before its customer was told that it was taken.
    pub is_promised: bool,
    posts: u32,
    last_post: Post,
    /// The request that was answered with a yes.
    named_by: Option<CallId>,
    made: u32,
    /// Whether a delivery was acknowledged in its name.
    is_acknowledged: bool,
    pub is_cancelled: bool,
    /// Whether its result was told, in any process.
    pub is_told: bool,
    told_in_this_life: bool,
    pub is_removed: bool,
    /// Its place among those that have never wanted to ask for anything.
    fresh: Option<u64>,
    has_wanted: bool,
}

/// What this program can know of the last request of an order.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Post {
    None,
    UnderWay,
    NotTaken,
    Taken { is_saved: bool },
    Unknown,
}

#[derive(Debug)]
pub(crate) struct Books {
    setting: Setting,
    pub orders: Vec<Record>,
    by_job: BTreeMap<JobId, usize>,
    /// What this process has under way: whether it is a call.
    flights: BTreeMap<(JobId, CallId), bool>,
    /// When its last calls were made.
    calls: VecDeque<Timestamp>,
    /// Nobody may call before this.
    closed_until: Timestamp,
    queue: u64,
    last_in_queue: Option<u64>,
    pub figures: Figures,
}

impl Books {
    pub(crate) fn new(setting: Setting) -> Self {
        Self {
            setting,
            orders: Vec::new(),
            by_job: BTreeMap::new(),
            flights: BTreeMap::new(),
            calls: VecDeque::new(),
            closed_until: Timestamp::default(),
            queue: 0,
            last_in_queue: None,
            figures: Figures::default(),
        }
    }

    pub(crate) fn submitted(&mut self, job: JobId, has_token: bool, goal: Goal) -> Checked {
        rule!(!self.by_job.contains_key(&job), "{job} is the name of two jobs");
        self.by_job.insert(job, self.orders.len());
        self.orders.push(Record {
            job,
            has_token,
            goal,
            is_promised: false,
            posts: 0,
            last_post: Post::None,
            named_by: None,
            made: 0,
            is_acknowledged: false,
            is_cancelled: false,
            is_told: false,
            told_in_this_life: false,
            is_removed: false,
            fresh: None,
            has_wanted: false,
        });
        self.queued(job);
        Ok(())
    }

    pub(crate) fn queued(&mut self, job: JobId) {
        let place = self.queue;
        self.queue += 1;
        if let Some(record) = self.of(job).filter(|record| !record.has_wanted) {
            record.fresh = Some(place);
        }
    }

    fn of(&mut self, job: JobId) -> Option<&mut Record> {
        self.by_job.get(&job).map(|nth| &mut self.orders[*nth])
    }

    pub(crate) fn nth(&self, job: JobId) -> Option<usize> {
        self.by_job.get(&job).copied()
    }

    /// The job was given something to do or to tell; nobody has acted on it yet.
    pub(crate) fn polled(&mut self, now: Timestamp, job: JobId, output: &Output) -> Checked {
        let Some(record) = self.of(job) else { return Err(Halt::Broken(format!("{job} never was"))) };
        rule!(!record.told_in_this_life, "{job} says something after its end: {output:?}");
        rule!(!record.is_removed, "{job} says something after it was removed: {output:?}");
        match output {
            Output::Call { call, deadline, .. } => {
                record.has_wanted = true;
                let fresh = record.fresh.take();
                rule!(*deadline > now, "a call without time");
                self.flights.insert((job, *call), true);
                self.turn(now, fresh)?;
            }
            Output::Download { call, .. } => _ = self.flights.insert((job, *call), false),
            Output::Abort(call) => {
                let flight = self.flights.remove(&(job, *call));
                rule!(flight.is_some(), "{job} aborts {call}, which is not under way");
            }
            Output::Done(_) => {
                record.told_in_this_life = true;
                let open = self.flights.range((job, lowest())..).next().filter(|((of, _), _)| *of == job);
                rule!(open.is_none(), "{job} is over, and {open:?} was not aborted");
            }
            _ => {}
        }
        let count = |is_call| self.flights.values().filter(|flight| **flight == is_call).count();
        rule!(count(true) <= self.setting.limits.calls, "{} calls at once", count(true));
        rule!(count(false) <= self.setting.limits.downloads, "{} downloads at once", count(false));
        Ok(())
    }

    /// A call is made now: the budget allows it, and nobody was overtaken.
    fn turn(&mut self, now: Timestamp, fresh: Option<u64>) -> Checked {
        rule!(now >= self.closed_until, "a call, though the service asked for patience");
        let most = usize::try_from(self.setting.limits.requests_per_second).unwrap();
        if self.calls.len() == most
            && let Some(first) = self.calls.pop_front()
        {
            let apart = now.saturating_duration_since(first);
            rule!(apart >= Duration::from_secs(1), "{} calls within {apart:?}", most + 1);
        }
        self.calls.push_back(now);
        if fresh.is_some() {
            rule!(self.last_in_queue < fresh, "{fresh:?} after {:?}", self.last_in_queue);
            self.last_in_queue = fresh;
        }
        Ok(())
    }

    /// A request is sent.
    pub(crate) fn asks(&mut self, job: JobId, is_made: bool) -> Checked {
        let Setting { policy, max_retries, .. } = self.setting;
        let Some(record) = self.of(job) else { return Ok(()) };
        let may_ask = match record.last_post {
            Post::None | Post::NotTaken => true,
            Post::Unknown => policy == Policy::AskAgain,
            Post::UnderWay | Post::Taken { .. } => false,
        };
        rule!(may_ask, "{job} asks again, though the last request is {:?}", record.last_post);
        record.posts += 1;
        rule!(record.posts <= 1 + max_retries, "{job} asks {} times", record.posts);
        record.last_post = Post::UnderWay;
        record.made += u32::from(is_made);
        rule!(record.made <= 1 || policy == Policy::AskAgain, "{job} was made {} times", record.made);
        self.figures.posts += 1;
        self.figures.made += u64::from(is_made);
        Ok(())
    }

    /// The machine took an answer for what it waited for.
    pub(crate) fn heard(&mut self, now: Timestamp, job: JobId, call: CallId, answer: Answer) -> Checked {
        rule!(
            self.flights.remove(&(job, call)) == Some(true),
            "{job} heard of {call}, which was not under way"
        );
        if let Answer::Throttled { secs } = answer {
            let closed = now.saturating_add(Duration::from_secs(secs.min(30)));
            self.closed_until = self.closed_until.max(closed);
        }
        if answer == Answer::BareThrottled {
            self.closed_until = self.closed_until.max(now.saturating_add(Duration::from_secs(1)));
        }
        if let Some(record) = self.of(job) {
            record.named_by = (answer == Answer::Accepted).then_some(call);
            record.last_post = match answer {
                Answer::Accepted => Post::Taken { is_saved: false },
                answer if answer.says_no() => Post::NotTaken,
                _ => Post::Unknown,
            };
        }
        Ok(())
    }

    pub(crate) fn landed(&mut self, job: JobId, call: CallId) -> Checked {
        rule!(self.flights.remove(&(job, call)) == Some(false), "{call} of {job} was not under way");
        Ok(())
    }

    pub(crate) fn aborted(&mut self, job: JobId) {
        if let Some(record) = self.of(job).filter(|record| record.last_post == Post::UnderWay) {
            record.last_post = Post::Unknown;
        }
    }

    pub(crate) fn saved(&mut self, job: JobId) {
        if let Some(record) = self.of(job)
            && let Post::Taken { is_saved } = &mut record.last_post
        {
            *is_saved = true;
        }
    }

    /// The event of the export that a request has made was acknowledged.
    pub(crate) fn acknowledged(&mut self, nth: usize, call: CallId) -> Checked {
        let record = &mut self.orders[nth];
        let is_alive = !record.is_told && !record.is_cancelled && record.goal != Goal::Acceptance;
        if record.has_token {
            record.is_acknowledged |= is_alive;
        } else if is_alive {
            // Nobody else is in this workspace, but the program cannot know.
            rule!(record.last_post != Post::UnderWay, "an event that was early is gone: {record:?}");
            record.is_acknowledged |=
                matches!(record.last_post, Post::Taken { .. }) && record.named_by == Some(call);
        }
        self.figures.acknowledged += 1;
        Ok(())
    }

    /// Whoever wanted the archive was told.
    pub(crate) fn told(&mut self, job: JobId, result: &Result<Finished, Box<Failure>>) -> Checked {
        let Some(record) = self.of(job) else { return Ok(()) };
        let has_event = match result {
            Ok(finished) => finished.event().is_some(),
            Err(failure) => failure.event().is_some(),
        };
        let settled = has_event || record.is_cancelled || record.goal == Goal::Acceptance;
        rule!(settled || !record.is_acknowledged, "{job} took a delivery and lost it: {result:?}");
        record.is_told = true;
        let figures = &mut self.figures;
        let count = match result {
            Ok(_) => &mut figures.finished,
            Err(failure) => match **failure {
                Failure::Refused(_) => &mut figures.refused,
                Failure::Unreachable { .. } => &mut figures.unreachable,
                Failure::Unknown(_) => &mut figures.unknown,
                Failure::NoEvent { .. } => &mut figures.without_event,
                Failure::Cancelled => &mut figures.cancelled,
                _ => &mut figures.without_archive,
            },
        };
        *count += 1;
        Ok(())
    }

    /// The process ended: what it had under way is in doubt, and what it had not saved it never knew.
    pub(crate) fn crashed(&mut self) {
        for record in &mut self.orders {
            record.told_in_this_life = false;
            record.fresh = None;
            if matches!(record.last_post, Post::UnderWay | Post::Taken { is_saved: false }) {
                record.last_post = Post::Unknown;
            }
        }
        self.flights.clear();
        self.calls.clear();
        self.closed_until = Timestamp::default();
        (self.queue, self.last_in_queue) = (0, None);
        self.figures.crashes += 1;
    }
}

fn lowest() -> CallId {
    serde_json::from_value(0.into()).unwrap()
}

macro_rules! figures {
    ($($name:ident),+ $(,)?) => {
        /// How often things happened, so that no rule is kept by there being no occasion to break it.
        #[derive(Clone, Debug, Default)]
        pub(crate) struct Figures {
            $(pub $name: u64),+
        }

        impl Figures {
            fn all(&mut self) -> impl Iterator<Item = &mut u64> {
                [$(&mut self.$name),+].into_iter()
            }
        }
    };
}

figures! {
    orders, steps, crashes, posts, made, acknowledged, delivered_again, finished, refused, unreachable, unknown,
    without_event, without_archive, cancelled,
}

impl Figures {
    pub(crate) fn cover_everything(&mut self) {
        assert!(self.all().all(|figure| *figure >= 100), "something hardly ever happens: {self:#?}");
    }
}

impl AddAssign for Figures {
    fn add_assign(&mut self, mut other: Self) {
        self.all().zip(other.all()).for_each(|(sum, figure)| *sum += *figure);
    }
}
