//! A job, its clock, its disk, and a driver that keeps to the rules of saving, until it crashes.
//!
//! Every letter is carried out here, and after every one the rules are checked that hold at all times.

use std::{
    collections::hash_map::DefaultHasher,
    fmt::{self, Write},
    hash::Hasher,
    sync::Arc,
    time::Duration,
};

use abyssale_core::{Disposition, Export, Input, Notice, Output, Snapshot, Timestamp};

use super::{
    Checked,
    alphabet::{Address, Answer, Letter, Story, downloaded, interrupted, invented, progress},
    ledger::Ledger,
    rule,
    settings::Setting,
};

#[derive(Clone, Debug)]
pub(crate) struct World {
    pub setting: Setting,
    pub config: Arc<abyssale_core::Config>,
    pub export: Export,
    pub now: Timestamp,
    pub ledger: Ledger,
    disk: Arc<Snapshot>,
    saved_revision: u64,
    /// How far the deadline was when the job was saved.
    saved_time_left: Duration,
}

impl World {
    pub(crate) fn new(setting: Setting, now: Timestamp) -> Checked<Self> {
        let config = setting.config();
        // A small seed: the fingerprint takes large numbers for moments.
        let export = Export::new(config.clone(), setting.order(), now).with_seed(7);
        // A job is saved when it is taken on: before that, nobody was promised anything.
        let (disk, saved_revision) = (Arc::new(export.snapshot()), export.revision());
        let (ledger, saved_time_left) = (Ledger::new(), Duration::ZERO);
        let mut world = Self { setting, config, export, now, ledger, disk, saved_revision, saved_time_left };
        world.settle()?;
        Ok(world)
    }

    /// Lets a letter happen.
    pub(crate) fn step(&mut self, letter: Letter) -> Checked {
        match letter {
            Letter::Deadline => self.time(self.export.poll_timeout().unwrap_or(self.now))?,
            Letter::JustBefore => {
                let almost = self.export.poll_timeout().map_or(0, |deadline| deadline.as_millis() - 1);
                let almost = Timestamp::from_millis(almost).max(self.now);
                let before = self.export.revision();
                self.time(almost)?;
                rule!(self.export.revision() == before, "something ended before its time");
            }
            Letter::Pass(duration) => self.time(self.now.saturating_add(duration))?,
            Letter::ClockBack => {
                let back = Timestamp::from_millis(self.now.as_millis() - 3_600_000);
                self.changing_nothing(|export, _| export.handle(back, Input::Tick), Disposition::Accepted)?;
            }
            Letter::PollOnce => _ = self.poll()?,
            Letter::PollAll => self.poll_all()?,
            Letter::Answer(answer) => self.answer(answer)?,
            Letter::AnswerAtDeadline => self.answer_at_deadline()?,
            Letter::Stale => self.stale()?,
            Letter::Event(story, address) => {
                self.event(story, address)?;
                self.save_if_moved();
                rule!(self.ledger.may_acknowledge(), "acknowledged, though a crash would lose it");
            }
            Letter::Progress => {
                if self.hear_download(|export, now, call| export.handle(now, progress(call)))? {
                    self.ledger.progressed(self.now);
                }
            }
            Letter::Interrupted => {
                if self.hear_download(|export, now, call| export.handle(now, interrupted(call)))? {
                    self.ledger.broke_off();
                }
            }
            Letter::Downloaded => {
                if self.hear_download(|export, now, call| export.handle(now, downloaded(call)))? {
                    self.ledger.was_downloaded();
                }
            }
            Letter::Cancel => {
                if self.export.is_done() {
                    self.changing_nothing(
                        |export, now| export.handle(now, Input::Cancel),
                        Disposition::Stale,
                    )?;
                } else {
                    self.tell(|export, now| export.handle(now, Input::Cancel), Disposition::Accepted)?;
                    self.ledger.cancelled();
                }
            }
            Letter::Crash => self.crash()?,
            Letter::CrashAfterPoll => {
                // Whatever it is, nobody has acted on it.
                let _ = self.export.poll_output();
                self.crash()?;
            }
            Letter::CrashAfterEvent => {
                // Not acknowledged, so the service will deliver it again.
                self.event(Story::Right, Address::Ours)?;
                self.crash()?;
            }
        }
        self.settle()
    }

    /// What holds after every letter, and what the eager driver does then.
    fn settle(&mut self) -> Checked {
        rule!(!self.ledger.is_over(self.setting) || self.export.is_done(), "the job should be over");
        if self.setting.eager {
            self.poll_all()?;
        }
        self.has_a_future()
    }

    fn has_a_future(&self) -> Checked {
        match self.export.poll_timeout() {
            None if self.export.is_done() => Ok(()),
            Some(at) if at > self.now && !self.export.is_done() => Ok(()),
            at => Err(format!("a deadline at {at:?}, now {}", self.now)),
        }
    }
}

/// Outputs.
impl World {
    pub(crate) fn poll_all(&mut self) -> Checked {
        for _ in 0..MAX_OUTPUTS {
            if !self.poll()? {
                let forgotten = self.ledger.flight.filter(|flight| flight.over);
                rule!(forgotten.is_none(), "not aborted: {forgotten:?}");
                return Ok(());
            }
        }
        Err("polling does not end".into())
    }

    /// Polls once: saves, then acts. Whether there was anything.
    fn poll(&mut self) -> Checked<bool> {
        let before = self.export.clone();
        let Some(output) = self.export.poll_output() else { return Ok(false) };
        self.revision_is_honest(&before)?;
        rule!(!self.ledger.done_given, "something is said after the end: {output:?}");
        if matches!(output, Output::Call { .. }) {
            self.ledger.will_call();
        }
        self.save_if_moved();
        let Self { setting, now, ref mut ledger, .. } = *self;
        match output {
            Output::Call { call, request, deadline } => {
                rule!(request.carries_key(), "a request without the key");
                rule!(Some(deadline) == self.export.poll_timeout(), "two opinions of the deadline");
                ledger.called(setting, now, call, deadline)?;
            }
            Output::Download { call, transfer, limits, .. } => {
                let request = transfer.request();
                rule!(!request.carries_key(), "the key goes to the archive's host");
                ledger.downloads(setting, now, call, request.url().as_str(), limits.first_byte_timeout)?;
                // It was due since the state began, not since this poll.
                if let (Some(flight), Some(deadline)) = (&mut ledger.flight, self.export.poll_timeout()) {
                    rule!(deadline <= flight.deadline, "the download's deadline is too late");
                    flight.deadline = deadline;
                }
            }
            Output::Abort(call) => ledger.aborted(call)?,
            Output::Notice(Notice::ConflictingEvent(_)) => ledger.reported(),
            Output::Notice(Notice::Retrying { at, .. } | Notice::OutcomeUnknown { until: at, .. }) => {
                rule!(at.as_millis() > 0, "a notice without a time");
            }
            Output::Notice(_) => {}
            Output::Done(result) => ledger.done(setting, &result)?,
            _ => return Err(format!("an unknown output: {output:?}")),
        }
        Ok(true)
    }

    fn save_if_moved(&mut self) {
        if self.export.revision() != self.saved_revision {
            self.disk = Arc::new(self.export.snapshot());
            self.saved_revision = self.export.revision();
            self.saved_time_left = self.time_left();
            self.ledger.saved = self.ledger.memory.clone();
        }
    }
}

/// Inputs.
impl World {
    fn time(&mut self, now: Timestamp) -> Checked {
        self.now = now;
        self.tell(|export, now| export.handle(now, Input::Tick), Disposition::Accepted)?;
        self.ledger.time_passed(now);
        Ok(())
    }

    fn answer(&mut self, answer: Answer) -> Checked {
        let call = self.ledger.newest.unwrap_or_else(|| invented(0));
        if self.ledger.hears(answer) {
            self.tell(|export, now| answer.to(export, now, call), Disposition::Accepted)?;
            self.ledger.answered(self.setting, self.now, answer);
            Ok(())
        } else {
            self.changing_nothing(|export, now| answer.to(export, now, call), Disposition::Stale)
        }
    }

    fn answer_at_deadline(&mut self) -> Checked {
        let (call, heard) = (self.ledger.newest.unwrap_or_else(|| invented(0)), self.ledger.live().is_some());
        self.now = self.export.poll_timeout().unwrap_or(self.now);
        let expected = if heard { Disposition::Accepted } else { Disposition::Stale };
        self.tell(|export, now| Answer::Accepted.to(export, now, call), expected)?;
        if heard {
            self.ledger.answered(self.setting, self.now, Answer::Accepted);
        }
        self.ledger.time_passed(self.now);
        Ok(())
    }

    fn stale(&mut self) -> Checked {
        let call = self.ledger.older.unwrap_or_else(|| invented(1 << 40));
        let ways: [fn(&mut Export, Timestamp, _) -> Disposition; 6] = [
            |export, now, call| Answer::Accepted.to(export, now, call),
            |export, now, call| Answer::Throttled.to(export, now, call),
            |export, now, call| Answer::NotSent.to(export, now, call),
            |export, now, call| export.handle(now, progress(call)),
            |export, now, call| export.handle(now, interrupted(call)),
            |export, now, call| export.handle(now, downloaded(call)),
        ];
        ways.into_iter().try_for_each(|tell| {
            self.changing_nothing(|export, now| tell(export, now, call), Disposition::Stale)
        })
    }

    fn event(&mut self, story: Story, address: Address) -> Checked {
        let expected = self.ledger.fate_of(self.setting, self.export.is_done(), story, address);
        let tell = |export: &mut Export, now| story.to(export, now, address);
        match expected {
            Disposition::Accepted | Disposition::Held | Disposition::Conflicting => self.tell(tell, expected),
            _ => self.changing_nothing(tell, expected),
        }?;
        self.ledger.delivered(story, expected);
        Ok(())
    }

    fn hear_download(
        &mut self,
        tell: impl FnOnce(&mut Export, Timestamp, abyssale_core::CallId) -> Disposition,
    ) -> Checked<bool> {
        let call = self.ledger.newest.unwrap_or_else(|| invented(0));
        let heard = self.ledger.hears_download();
        if heard {
            self.tell(|export, now| tell(export, now, call), Disposition::Accepted)?;
        } else {
            self.changing_nothing(|export, now| tell(export, now, call), Disposition::Stale)?;
        }
        Ok(heard)
    }

    fn crash(&mut self) -> Checked {
        let downtime = Duration::from_secs(600);
        self.now = self.now.saturating_add(downtime);
        let snapshot = Snapshot::from_json(&self.disk.to_json()).map_err(|error| error.to_string())?;
        self.export =
            Export::restore(self.config.clone(), snapshot, self.now).map_err(|error| error.to_string())?;
        self.saved_revision = 0;
        // What was under way is now in doubt, which has a time of its own.
        let kept = self.ledger.was_calling() || self.time_left() >= self.saved_time_left;
        rule!(kept, "downtime was counted: {:?} of {:?} are left", self.time_left(), self.saved_time_left);
        self.ledger.crashed();
        Ok(())
    }

    fn time_left(&self) -> Duration {
        let deadline = self.export.poll_timeout().unwrap_or(self.now);
        deadline.saturating_duration_since(self.now)
    }

    /// Tells the machine something that has this disposition.
    fn tell(
        &mut self,
        tell: impl FnOnce(&mut Export, Timestamp) -> Disposition,
        expected: Disposition,
    ) -> Checked {
        let before = self.export.clone();
        let disposition = tell(&mut self.export, self.now);
        rule!(disposition == expected, "{disposition:?} instead of {expected:?}");
        rule!(!before.is_done() || self.export.is_done(), "a job came back to life");
        self.revision_is_honest(&before)
    }

    /// Tells the machine something that must not change it.
    fn changing_nothing(
        &mut self,
        tell: impl FnOnce(&mut Export, Timestamp) -> Disposition,
        expected: Disposition,
    ) -> Checked {
        let before = (self.export.snapshot(), self.export.revision(), self.export.poll_timeout());
        let disposition = tell(&mut self.export, self.now);
        rule!(disposition == expected, "{disposition:?} instead of {expected:?}");
        let after = (self.export.snapshot(), self.export.revision(), self.export.poll_timeout());
        rule!(before == after, "{disposition:?}, and yet it changed {before:?} to {after:?}");
        Ok(())
    }

    /// A snapshot that is worth saving comes with a new revision.
    fn revision_is_honest(&self, before: &Export) -> Checked {
        let (then, now) = (before.revision(), self.export.revision());
        rule!(then <= now, "the revision went from {then} to {now}");
        if then == now && before.snapshot() != self.export.snapshot() {
            let (before, after) = (lasting(&before.snapshot()), lasting(&self.export.snapshot()));
            rule!(before == after, "unsaved: {before} became {after}");
        }
        Ok(())
    }
}

/// The part of a snapshot whose loss would matter: not the present time, nor how far a download is.
fn lasting(snapshot: &Snapshot) -> serde_json::Value {
    let mut value = serde_json::to_value(snapshot).unwrap();
    for passing in ["/saved_at", "/state/fetching/deadline", "/state/fetching/sent"] {
        if let Some(value) = value.pointer_mut(passing) {
            value.take();
        }
    }
    value
}

/// Telling moments apart.
impl World {
    /// A number that two worlds share only if nothing can tell their futures apart.
    ///
    /// It is drawn from everything that a step reads: the machine as `Debug` shows it, field by field
    /// and what is pending included; the disk; the ledger. Of moments it takes the distance from now,
    /// since neither the machine nor the ledger does anything with moments but to compare and to add,
    /// and of the revision what is asked of it: whether it has moved since the last save.
    /// What `Debug` shortens (bodies, the token) cannot differ where the rest is the same.
    pub(crate) fn fingerprint(&self) -> u128 {
        let mut hashing = Hashing {
            now: self.now,
            saved_revision: self.saved_revision,
            after_revision: false,
            halves: [DefaultHasher::new(), DefaultHasher::new()],
        };
        hashing.halves[1].write_u8(1);
        let _ = write!(hashing, "{:?}{:?}{:?}", self.export, self.disk, self.ledger);
        let [high, low] = hashing.halves.map(|half| u128::from(half.finish()));
        high << 64 | low
    }
}

struct Hashing {
    now: Timestamp,
    saved_revision: u64,
    after_revision: bool,
    halves: [DefaultHasher; 2],
}

impl Write for Hashing {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let number = text.parse::<u64>().ok();
        match number {
            Some(revision) if self.after_revision => self.write(&[u8::from(revision != self.saved_revision)]),
            // No other number is as large as a millisecond of this century.
            Some(moment) if moment > 1_000_000_000_000 => {
                self.write(&moment.wrapping_sub(self.now.as_millis()).to_le_bytes());
            }
            _ => self.write(text.as_bytes()),
        }
        self.after_revision = text == "revision" || (self.after_revision && number.is_none() && text == ": ");
        Ok(())
    }
}

impl Hashing {
    fn write(&mut self, bytes: &[u8]) {
        for half in &mut self.halves {
            half.write(bytes);
        }
    }
}

/// One abort, five kinds of notices, and a call, a download or the end.
const MAX_OUTPUTS: usize = 8;
