//! One day: a program that keeps to the rules of saving, its store, and everything that happens to it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use abyssale_core::{
    CallError, CallId, Change, Config, Disposition, Exports, Input, JobId, Output, Sent, Snapshot, Timestamp,
    TokenPlacement,
    download::DownloadError,
    http::Response,
    webhook::{CallbackEndpoint, Verifier},
};

use super::{
    Halt,
    books::{Books, Checked, Figures},
    dice::Dice,
    rule,
    service::{self, Answer, Download},
    setting::{START, Setting, token},
};

pub(crate) struct World {
    dice: Dice,
    setting: Setting,
    config: Arc<Config>,
    now: Timestamp,
    to_come: BTreeMap<(Timestamp, u64), Happening>,
    numbered: u64,
    exports: Exports,
    /// Which process this is, and since when it runs.
    life: u32,
    up_since: Timestamp,
    store: BTreeMap<JobId, Snapshot>,
    /// What is to be removed from the store once it was acted on.
    over: Vec<JobId>,
    books: Books,
    is_told: bool,
}

/// Something that will happen.
#[derive(Clone, Copy, Debug)]
enum Happening {
    /// A customer comes with an order.
    Order,
    Cancel(usize),
    Answer {
        life: u32,
        job: JobId,
        call: CallId,
        answer: Answer,
    },
    Progress {
        life: u32,
        job: JobId,
        call: CallId,
    },
    Landing {
        life: u32,
        job: JobId,
        call: CallId,
        download: Download,
    },
    Delivery {
        nth: usize,
        call: CallId,
        archive: u64,
        attempt: usize,
    },
    /// A delivery that is nobody's.
    Stray,
}

impl World {
    pub(crate) fn new(seed: u64, is_told: bool) -> Self {
        let mut dice = Dice::new(seed);
        let setting = Setting::draw(&mut dice);
        let config = setting.config();
        let exports = Exports::new(config.clone(), setting.limits);
        let books = Books::new(setting.clone());
        let mut world = Self {
            dice,
            setting,
            config,
            now: START,
            to_come: BTreeMap::new(),
            numbered: 0,
            exports,
            life: 0,
            up_since: START,
            store: BTreeMap::new(),
            over: Vec::new(),
            books,
            is_told,
        };
        world.say(|world| format!("{:#?}", world.setting));
        for _ in 0..world.setting.orders {
            let delay = world.dice.delay(Duration::from_secs(60));
            world.later(delay, Happening::Order);
        }
        world
    }

    /// Lives through the day, to its end.
    pub(crate) fn live(mut self) -> Result<Figures, String> {
        loop {
            match self.step() {
                Ok(true) => {}
                Ok(false) => break,
                Err(Halt::Crash) => self.restart().map_err(Self::broken)?,
                Err(halt) => return Err(Self::broken(halt)),
            }
            self.books.figures.steps += 1;
            if self.books.figures.steps > 20_000 {
                return Err("the day does not end".into());
            }
        }
        self.evening().map_err(Self::broken)?;
        self.books.figures.orders = self.books.orders.len() as u64;
        Ok(self.books.figures)
    }

    fn broken(halt: Halt) -> String {
        match halt {
            Halt::Broken(rule) => rule,
            Halt::Crash => "a crash within a crash".into(),
        }
    }

    /// Everybody was told, nothing is left behind.
    fn evening(&mut self) -> Checked {
        for record in &self.books.orders {
            rule!(record.is_told || !record.is_promised, "{} never ended: {record:?}", record.job);
        }
        rule!(self.exports.is_empty(), "{} jobs are left", self.exports.len());
        rule!(self.store.is_empty(), "left in the store: {:?}", self.store.keys());
        let inside = format!("{:?}", self.exports);
        for empty in [
            "jobs: {}",
            "timers: {}",
            "ready: []",
            "calls: SendQueue { waiting: {}",
            "by_token: {}",
            "by_export: {}",
            "unnamed: 0",
            "changed: {}",
        ] {
            rule!(inside.contains(empty), "not {empty}: {inside}");
        }
        rule!(inside.matches("waiting: {}").count() == 2, "somebody waits: {inside}");
        rule!(inside.matches("under_way: 0").count() == 2, "something is under way: {inside}");
        Ok(())
    }

    /// What is due next happens. Whether there was anything.
    fn step(&mut self) -> Checked<bool> {
        let timer = self.exports.poll_timeout();
        let happening = self.to_come.first_key_value().map(|((at, _), _)| *at);
        let Some(at) = timer.into_iter().chain(happening).min() else { return Ok(false) };
        self.now = self.now.max(at);
        if timer.is_some_and(|timer| timer <= self.now) {
            if self.dice.chance(50) {
                self.now = self.now.saturating_add(self.dice.delay(Duration::from_secs(90)));
            }
            self.exports.handle_timeout(self.now);
        } else if let Some((_, happening)) = self.to_come.pop_first() {
            self.say(|_| format!("{happening:?}"));
            self.happen(happening)?;
        }
        // A busy program does not always come to polling in between.
        if self.dice.chance(900) || self.to_come.is_empty() {
            self.poll()?;
        }
        Ok(true)
    }

    fn later(&mut self, delay: Duration, happening: Happening) {
        self.numbered += 1;
        self.to_come.insert((self.now.saturating_add(delay), self.numbered), happening);
    }

    fn say(&self, what: impl FnOnce(&Self) -> String) {
        if self.is_told {
            println!("{} in process {}: {}", self.now, self.life, what(self));
        }
    }
}

/// The program.
impl World {
    fn poll(&mut self) -> Checked {
        let mut said = Vec::new();
        loop {
            let batch = 1 + self.dice.below(6);
            let mut outputs = Vec::new();
            for _ in 0..batch {
                let Some((job, output)) = self.exports.poll_output() else { break };
                self.books.polled(self.now, job, &output)?;
                let waits = matches!(output, Output::Call { .. } | Output::Download { .. });
                said.push((job, waits));
                outputs.push((job, output));
            }
            rule!(said.len() < 10_000, "polling does not end");
            if outputs.is_empty() {
                return take_turns(&said);
            }
            self.save()?;
            for (job, output) in outputs {
                self.may_crash()?;
                self.act(job, output)?;
            }
            self.may_crash()?;
            for job in std::mem::take(&mut self.over) {
                self.store.remove(&job);
                if let Some(nth) = self.books.nth(job) {
                    self.books.orders[nth].is_removed = true;
                }
            }
        }
    }

    fn save(&mut self) -> Checked {
        let changes: Vec<_> = self.exports.take_changes().collect();
        for (job, change) in changes {
            self.may_crash()?;
            match change {
                Change::Save(snapshot) => {
                    self.store.insert(job, *snapshot);
                    self.books.saved(job);
                }
                Change::Remove => self.over.push(job),
                other => return Err(Halt::Broken(format!("an unknown change: {other:?}"))),
            }
        }
        Ok(())
    }

    fn act(&mut self, job: JobId, output: Output) -> Checked {
        self.say(|_| format!("{job}: {output:?}"));
        let life = self.life;
        let trouble = self.setting.trouble;
        match output {
            Output::Call { call, .. } => {
                let fate = service::fate(&mut self.dice, trouble);
                self.books.asks(job, fate.is_made)?;
                if let Some(answer) = fate.answer {
                    let delay = self.dice.delay(Duration::from_secs(60));
                    self.later(delay, Happening::Answer { life, job, call, answer });
                }
                if fate.is_made {
                    self.deliver(job, call);
                }
            }
            Output::Download { call, .. } => {
                let mut delay = Duration::ZERO;
                for _ in 0..self.dice.below(3) {
                    delay += self.dice.delay(Duration::from_secs(40));
                    self.later(delay, Happening::Progress { life, job, call });
                }
                let download = service::download(&mut self.dice, trouble);
                delay += self.dice.delay(Duration::from_secs(40));
                self.later(delay, Happening::Landing { life, job, call, download });
            }
            Output::Abort(_) => self.books.aborted(job),
            Output::Done(result) => self.books.told(job, &result)?,
            _ => {}
        }
        Ok(())
    }

    /// The service has made an export, and tells of it: soon or late, once or twice, and sometimes wrongly.
    fn deliver(&mut self, job: JobId, call: CallId) {
        let Some(nth) = self.books.nth(job) else { return };
        let times = 1 + self.dice.below(2);
        for _ in 0..times {
            let archive = u64::from(self.dice.chance(self.setting.trouble / 4));
            let delay = self.dice.delay(Duration::from_secs(2400));
            self.later(delay, Happening::Delivery { nth, call, archive, attempt: 0 });
        }
        if self.dice.chance(100) {
            let delay = self.dice.delay(Duration::from_secs(600));
            self.later(delay, Happening::Stray);
        }
    }

    fn may_crash(&mut self) -> Checked {
        if self.setting.crashes > 0 && self.dice.chance(self.setting.crash) {
            self.setting.crashes -= 1;
            return Err(Halt::Crash);
        }
        Ok(())
    }

    /// Another process begins, from what was saved.
    fn restart(&mut self) -> Checked {
        self.say(|_| "the process ends".into());
        let downtime = self.dice.delay(Duration::from_secs(7200));
        self.now = self.now.saturating_add(downtime);
        (self.life, self.up_since) = (self.life + 1, self.now);
        self.books.crashed();
        self.over.clear();
        self.exports = Exports::new(self.config.clone(), self.setting.limits);
        // Stores have an order of their own.
        let mut jobs: Vec<_> = self.store.clone().into_iter().collect();
        if self.dice.chance(500) {
            jobs.reverse();
        }
        for (job, snapshot) in jobs {
            let json = snapshot.to_json();
            let snapshot =
                Snapshot::from_json(&json).map_err(|error| Halt::Broken(format!("{error}: {json}")))?;
            let restored = self.exports.restore(self.now, job, snapshot);
            rule!(restored.is_ok(), "{job}: {restored:?}");
            self.books.queued(job);
        }
        // Whose order was never saved was told so, and comes again.
        let lost = self.books.orders.iter_mut().filter(|record| !record.is_promised && !record.is_told);
        let lost: Vec<_> = lost.map(|record| std::mem::replace(&mut record.is_told, true)).collect();
        for _ in lost {
            self.later(Duration::from_secs(1), Happening::Order);
        }
        match self.poll() {
            Err(Halt::Crash) => self.restart(),
            polled => polled,
        }
    }
}

/// What happens to it.
impl World {
    fn happen(&mut self, happening: Happening) -> Checked {
        match happening {
            Happening::Order => self.order(),
            Happening::Cancel(nth) => {
                let job = self.books.orders[nth].job;
                let disposition = self.exports.handle(self.now, job, Input::Cancel);
                if disposition == Disposition::Accepted {
                    self.books.orders[nth].is_cancelled = true;
                }
                Ok(())
            }
            Happening::Answer { life, job, call, answer } => {
                let disposition = self.answer(job, call, answer);
                rule!(life == self.life || disposition == Disposition::Stale, "an answer to another process");
                if disposition == Disposition::Accepted {
                    self.books.heard(self.now, job, call, answer)?;
                }
                Ok(())
            }
            Happening::Progress { life, job, call } => {
                let input = Input::Progress { call, received: 1, total: None };
                let disposition = self.exports.handle(self.now, job, input);
                rule!(life == self.life || disposition == Disposition::Stale, "progress in another process");
                Ok(())
            }
            Happening::Landing { life, job, call, download } => {
                if download == Download::Silence {
                    self.exports.handle_timeout(self.now);
                    return Ok(());
                }
                let disposition = self.land(job, call, download);
                rule!(
                    life == self.life || disposition == Disposition::Stale,
                    "a download of another process"
                );
                if disposition == Disposition::Accepted {
                    self.books.landed(job, call)?;
                }
                Ok(())
            }
            Happening::Delivery { nth, call, archive, attempt } => self.delivery(nth, call, archive, attempt),
            Happening::Stray => self.stray(),
        }
    }

    fn order(&mut self) -> Checked {
        let nth = self.books.orders.len();
        let order = self.setting.order(&mut self.dice, nth as u64);
        let (has_token, goal) = (order.token().is_some(), order.goal());
        let Ok(job) = self.exports.submit(self.now, order) else {
            return Err(Halt::Broken("no room".into()));
        };
        self.books.submitted(job, has_token, goal)?;
        self.save()?;
        // Only now the customer is told that it was taken.
        self.books.orders[nth].is_promised = true;
        self.may_crash()?;
        if self.dice.chance(self.setting.cancels) {
            let delay = self.dice.delay(Duration::from_secs(1200));
            self.later(delay, Happening::Cancel(nth));
        }
        Ok(())
    }

    fn answer(&mut self, job: JobId, call: CallId, answer: Answer) -> Disposition {
        let secs = match answer {
            Answer::Throttled { secs } => secs.to_string(),
            _ => String::new(),
        };
        let patience = [("retry-after", &*secs)];
        let id = format!(r#"{{"export_id":"{}"}}"#, export_id(job, call));
        let (status, headers, body): (u16, &[(&str, &str)], &[u8]) = match answer {
            Answer::Accepted => (200, &[], id.as_bytes()),
            Answer::Garbled => (200, &[], b"<html>"),
            Answer::Throttled { .. } => (429, &patience, br#"{"id":"request_rate_limited"}"#),
            Answer::BareThrottled => (429, &[], b""),
            Answer::NotInPlan => (429, &[("retry-after", "1")], br#"{"id":"feature_not_in_plan"}"#),
            Answer::Fault => (502, &[], b"<html>"),
            Answer::Refused => (401, &[], br#"{"id":"unauthorized"}"#),
            Answer::NotSent | Answer::Lost => {
                let sent = if answer == Answer::Lost { Sent::Maybe } else { Sent::Never };
                return self.exports.handle(
                    self.now,
                    job,
                    Input::CallFailed { call, error: CallError { sent, reason: "reset".into() } },
                );
            }
        };
        self.exports.handle(
            self.now,
            job,
            Input::Response { call, response: Response::new(status, headers, body) },
        )
    }

    fn land(&mut self, job: JobId, call: CallId, download: Download) -> Disposition {
        let status = |status| Err(DownloadError::Refused(Response::new(status, &[], b"")));
        let result = match download {
            Download::Whole => Ok(22),
            Download::BreaksOff => Err(DownloadError::Interrupted("reset".into())),
            Download::DiskFull => Err(DownloadError::Storage("no space".into())),
            Download::Busy => status(503),
            Download::Gone => status(404),
            Download::Silence => return Disposition::Stale,
        };
        self.exports.handle(self.now, job, Input::of_download(call, result))
    }

    fn delivery(&mut self, nth: usize, call: CallId, archive: u64, attempt: usize) -> Checked {
        // A process that is not there acknowledges nothing, and an acknowledgement may be lost on the way, too.
        let is_there = self.now >= self.up_since;
        let received = if is_there { self.receive(nth, call, archive) } else { Ok(false) };
        if !matches!(received, Ok(true)) || self.dice.chance(self.setting.trouble / 2) {
            self.books.figures.delivered_again += 1;
            if let Some(pause) = service::redelivery(attempt) {
                self.later(pause, Happening::Delivery { nth, call, archive, attempt: attempt + 1 });
            }
        }
        received.map(|_| ())
    }

    /// Whether it was acknowledged.
    fn receive(&mut self, nth: usize, call: CallId, archive: u64) -> Checked<bool> {
        let record = &self.books.orders[nth];
        let (export_id, has_token) = (export_id(record.job, call), record.has_token);
        let body = format!(
            r#"{{"export_id":"{export_id}","archive_url":"https://store.example.com/{export_id}-{archive}.zip"}}"#
        );
        let (placement, target) = if has_token {
            (Some(TokenPlacement::PathSegment), format!("/abyssale/{}", token(nth as u64).as_str()))
        } else {
            (None, "/abyssale".into())
        };
        let endpoint = CallbackEndpoint::new(Verifier::new([]).accept_unsigned()).token(placement);
        let delivery = endpoint.receive(self.now, "POST", &target, &(), body.as_bytes());
        let delivery = delivery.map_err(|reply| Halt::Broken(format!("{reply:?}")))?;
        let reply = self.exports.handle_delivery(self.now, &delivery);
        self.say(|_| format!("{reply:?}"));
        self.save()?;
        self.may_crash()?;
        if reply.status() == 200 {
            self.books.acknowledged(nth, call)?;
        }
        Ok(reply.status() == 200)
    }

    fn stray(&mut self) -> Checked {
        let endpoint = CallbackEndpoint::new(Verifier::new([]).accept_unsigned());
        let target = format!("/abyssale/{}", token(u64::MAX).as_str());
        let body = br#"{"export_id":"nobodys","archive_url":"https://store.example.com/a.zip"}"#;
        let delivery = endpoint
            .receive(self.now, "POST", &target, &(), body)
            .map_err(|r| Halt::Broken(r.to_string()))?;
        let status = self.exports.handle_delivery(self.now, &delivery).status();
        rule!(status == 404, "what is nobody's is answered {status}");
        Ok(())
    }
}

/// Taking turns: nobody says its third before all who had something to say have said their first. What waits for a
/// turn to send is apart.
fn take_turns(said: &[(JobId, bool)]) -> Checked {
    let mut counts: BTreeMap<JobId, Vec<usize>> = BTreeMap::new();
    for (place, (job, _)) in said.iter().enumerate() {
        counts.entry(*job).or_default().push(place);
    }
    for (place, (job, waits)) in said.iter().enumerate().filter(|(_, (_, waits))| !waits) {
        let before = |job: &JobId| counts[job].iter().filter(|other| **other < place).count();
        let mine = before(job);
        let greedy = counts.keys().find(|other| before(other) > mine + 2);
        rule!(greedy.is_none(), "{greedy:?} says three things more than {job} ({waits}): {said:?}");
    }
    Ok(())
}

fn export_id(job: JobId, call: CallId) -> String {
    format!("export-{job}-{call}")
}
