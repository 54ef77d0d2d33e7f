//! The books: what was sent, answered, delivered, acknowledged and saved, and what follows from it.
//!
//! Written from the contract and without a look at the machine's states. It foretells what becomes of
//! every answer and every event, and objects to every request that must not be made.

use std::time::Duration;

use abyssale_core::{CallId, Disposition, Failure, Finished, Goal, Timestamp, UnknownCause};

use super::{
    Checked,
    alphabet::{Address, Answer, EXPORT, Story},
    rule,
    settings::{Policy, Setting},
};

#[derive(Clone, Debug)]
pub(crate) struct Ledger {
    /// The last attempt that was acted on, in any process.
    pub newest: Option<CallId>,
    /// The one before it.
    pub older: Option<CallId>,
    /// The attempt that this process is carrying out.
    pub flight: Option<Flight>,
    pub memory: Memory,
    /// The memory as of the last snapshot that was saved.
    pub saved: Memory,
    /// Whether this process was told the result.
    pub done_given: bool,
    posts: u32,
    /// Of this process.
    downloads: u32,
    /// Whether the service may have taken the order, which no crash undoes.
    maybe_taken: bool,
    /// Whether a contradiction is to be reported.
    report_due: bool,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Flight {
    pub call: CallId,
    pub is_post: bool,
    /// When the machine gives it up.
    pub deadline: Timestamp,
    /// Whether the machine has given it up, or lost interest.
    pub over: bool,
}

/// What the process knows; what was not saved is forgotten in a crash.
// Facts that are independent of each other on purpose: the machine's states are not to be copied here.
#[expect(clippy::struct_excessive_bools)]
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Memory {
    /// A POST is under way.
    calling: bool,
    /// The fate of a POST is unknown.
    doubt: bool,
    /// The service said yes.
    accepted: bool,
    /// The event that was accepted.
    pub obeyed: Option<Story>,
    /// Events that were held.
    pub held: Vec<Story>,
    /// The archive is here.
    downloaded: bool,
    cancelled: bool,
    /// An answer came after which nothing is to be tried.
    refused: bool,
    /// How many 429 without `Retry-After` the POST met.
    bare: u32,
    /// When the next POST may be made at the earliest.
    not_before: Option<Timestamp>,
}

impl Ledger {
    pub(crate) fn new() -> Self {
        Self {
            newest: None,
            older: None,
            flight: None,
            memory: Memory::default(),
            saved: Memory::default(),
            done_given: false,
            posts: 0,
            downloads: 0,
            maybe_taken: false,
            report_due: false,
        }
    }

    /// The attempt under way, if the machine still waits for it.
    pub(crate) fn live(&self) -> Option<Flight> {
        self.flight.filter(|flight| !flight.over)
    }

    /// Whether the job must be over by now.
    pub(crate) fn is_over(&self, setting: Setting) -> bool {
        let Memory { accepted, obeyed, downloaded, cancelled, refused, .. } = &self.memory;
        *downloaded
            || *cancelled
            || *refused
            || (obeyed.is_some() && setting.goal != Goal::Archive)
            || (*accepted && setting.goal == Goal::Acceptance)
    }

    /// Whether no answer is expected any more, and only the event can settle the matter.
    fn awaits_event_only(&self, setting: Setting) -> bool {
        self.memory.doubt && setting.waits()
    }

    fn known_id(&self) -> Option<&'static str> {
        let Memory { accepted, obeyed, cancelled, .. } = self.memory;
        match obeyed {
            _ if cancelled => None,
            Some(story) => Some(story.export_id()),
            None => accepted.then_some(EXPORT),
        }
    }
}

/// What the machine asks for.
impl Ledger {
    /// Before the save that precedes the sending.
    pub(crate) fn will_call(&mut self) {
        self.memory.calling = true;
    }

    pub(crate) fn called(
        &mut self,
        setting: Setting,
        now: Timestamp,
        call: CallId,
        deadline: Timestamp,
    ) -> Checked {
        self.attempted(call)?;
        let Memory { accepted, obeyed, bare, not_before, .. } = self.memory;
        rule!(self.saved.calling, "a request is acted on, and a restored job would not know");
        rule!(!self.is_over(setting), "a request of a job that is over");
        rule!(!accepted && obeyed.is_none(), "asked for again after it was taken");
        rule!(
            !self.maybe_taken || setting.unknown == Policy::AskAgain,
            "asked for again, though it may have been taken"
        );
        rule!(bare < 2, "a second probe after a bare 429");
        rule!(not_before.is_none_or(|earliest| now >= earliest), "the wait was cut short");
        rule!(deadline > now, "the call's deadline is not in the future");
        self.posts += 1;
        rule!(self.posts <= 1 + setting.max_retries, "{} POSTs", self.posts);
        self.flight = Some(Flight { call, is_post: true, deadline, over: false });
        Ok(())
    }

    pub(crate) fn downloads(
        &mut self,
        setting: Setting,
        now: Timestamp,
        call: CallId,
        url: &str,
        first_byte: Duration,
    ) -> Checked {
        self.attempted(call)?;
        rule!(!self.is_over(setting), "a download of a job that is over");
        let right = self.memory.obeyed.is_some_and(|story| *story.event().archive_url == *url);
        rule!(right, "fetches {url}, after {:?}", self.memory.obeyed);
        self.downloads += 1;
        rule!(self.downloads <= 1 + setting.max_retries, "{} downloads", self.downloads);
        self.flight =
            Some(Flight { call, is_post: false, deadline: now.saturating_add(first_byte), over: false });
        Ok(())
    }

    fn attempted(&mut self, call: CallId) -> Checked {
        rule!(self.flight.is_none(), "two attempts at once: {:?} and {call}", self.flight);
        rule!(self.newest.is_none_or(|newest| newest < call), "{call} was used before");
        self.older = self.newest.replace(call);
        Ok(())
    }

    pub(crate) fn aborted(&mut self, call: CallId) -> Checked {
        let aborted = self.flight.take();
        rule!(
            aborted.is_some_and(|flight| flight.call == call && flight.over),
            "aborts {call}, but what is under way is {aborted:?}"
        );
        Ok(())
    }

    pub(crate) fn reported(&mut self) {
        self.report_due = false;
    }

    pub(crate) fn done(&mut self, setting: Setting, result: &Result<Finished, Box<Failure>>) -> Checked {
        rule!(!self.report_due, "a contradiction was not reported");
        self.done_given = true;
        let Memory { accepted, obeyed, downloaded, cancelled, doubt, .. } = self.memory;
        let promised = obeyed.map(Story::event);
        rule!(
            !cancelled || matches!(result, Err(f) if **f == Failure::Cancelled),
            "cancelled, and {result:?}"
        );
        match result {
            Ok(Finished::Accepted { export_id }) => {
                rule!(setting.goal == Goal::Acceptance, "stops at the acceptance");
                rule!(Some(export_id.as_str()) == self.known_id(), "accepted as {export_id}");
            }
            Ok(Finished::Event(event)) => {
                rule!(setting.goal == Goal::Event, "stops at the event");
                rule!(Some(event) == promised, "ends with {event:?}");
            }
            Ok(Finished::Archive { event, bytes: 22 }) => {
                rule!(setting.goal == Goal::Archive && downloaded, "no archive was downloaded");
                rule!(Some(event) == promised, "ends with {event:?}");
            }
            Err(failure) => match &**failure {
                Failure::Cancelled => rule!(cancelled, "cancelled by nobody"),
                Failure::Refused(_) | Failure::Unreachable { .. } => {
                    rule!(!self.maybe_taken, "claims that nothing was made: {failure}");
                    rule!(!accepted && obeyed.is_none(), "refused after it was taken");
                }
                Failure::Unknown(cause) => {
                    rule!(doubt, "nothing is unknown: {cause}");
                    rule!(!accepted && obeyed.is_none(), "settled, and fails as unknown");
                    let interrupted = matches!(cause, UnknownCause::Interrupted);
                    rule!(!interrupted || self.saved.doubt || self.saved.calling, "was not interrupted");
                }
                Failure::NoEvent { export_id, .. } => {
                    rule!(accepted && export_id.as_str() == EXPORT, "no event of {export_id} was promised");
                    rule!(obeyed.is_none(), "an event was accepted, and lost: {failure}");
                }
                Failure::Download { event, .. } | Failure::ArchiveGone { event, .. } => {
                    rule!(Some(event) == promised, "fails for {event:?}");
                }
                _ => return Err(format!("nothing led to this: {failure}")),
            },
            Ok(_) => return Err(format!("an unknown end: {result:?}")),
        }
        Ok(())
    }
}

/// What the machine is told.
impl Ledger {
    /// Whether an answer must be heard; if not, it is stale.
    pub(crate) fn hears(&self, answer: Answer) -> bool {
        self.live()
            // A download is never reported as a call that failed.
            .is_some_and(|flight| flight.is_post || !matches!(answer, Answer::NotSent | Answer::Lost))
    }

    pub(crate) fn hears_download(&self) -> bool {
        self.live().is_some_and(|flight| !flight.is_post)
    }

    pub(crate) fn answered(&mut self, setting: Setting, now: Timestamp, answer: Answer) {
        let Some(flight) = self.flight.take() else { return };
        if flight.is_post {
            self.memory.calling = false;
            let after = |secs| Some(now.saturating_add(Duration::from_secs(secs)));
            match answer {
                Answer::Accepted => self.accepted(setting),
                Answer::Throttled => self.memory.not_before = after(2),
                Answer::BareThrottled => {
                    self.memory.bare += 1;
                    self.memory.not_before = after(1);
                }
                Answer::NotSent => self.memory.not_before = after(1),
                Answer::Unreadable | Answer::Fault | Answer::Lost => self.doubted(),
                Answer::Invalid | Answer::Unauthorized | Answer::NotFound => self.memory.refused = true,
            }
        } else {
            match answer {
                // A 2xx is a sign of life.
                Answer::Accepted | Answer::Unreadable => {
                    self.flight = Some(flight);
                    self.progressed(now);
                }
                Answer::Invalid | Answer::Unauthorized | Answer::NotFound => self.memory.refused = true,
                _ => {}
            }
        }
    }

    fn accepted(&mut self, setting: Setting) {
        self.maybe_taken = true;
        self.memory.accepted = true;
        if setting.goal != Goal::Acceptance {
            let mut ours = self.memory.held.iter().copied().filter(|story| story.export_id() == EXPORT);
            self.memory.obeyed = ours.next();
            self.report_due |= ours.next().is_some();
        }
        self.memory.held.clear();
    }

    fn doubted(&mut self) {
        self.maybe_taken = true;
        self.memory.doubt = true;
        self.memory.calling = false;
    }

    pub(crate) fn progressed(&mut self, now: Timestamp) {
        if let Some(flight) = &mut self.flight {
            flight.deadline = now.saturating_add(Duration::from_secs(30));
        }
    }

    pub(crate) fn broke_off(&mut self) {
        self.flight = None;
    }

    pub(crate) fn was_downloaded(&mut self) {
        self.flight = None;
        self.memory.downloaded = true;
    }

    pub(crate) fn cancelled(&mut self) {
        self.memory.cancelled = true;
        self.lose_interest();
    }

    fn lose_interest(&mut self) {
        self.memory.calling = false;
        if let Some(flight) = &mut self.flight {
            flight.over = true;
        }
    }

    /// What must become of an event.
    pub(crate) fn fate_of(
        &self,
        setting: Setting,
        is_done: bool,
        story: Story,
        address: Address,
    ) -> Disposition {
        let Memory { accepted, obeyed, doubt, .. } = self.memory;
        match address {
            Address::Foreign => return Disposition::Unrelated,
            Address::Ours if !setting.token => return Disposition::Unrelated,
            Address::Ours => {}
            Address::Bare => match self.known_id() {
                Some(id) if id == story.export_id() => {}
                // While the answer is expected, it may be the one that the answer will name.
                None if !is_done && !self.awaits_event_only(setting) => {
                    let again = self.memory.held.contains(&story);
                    return if again { Disposition::Duplicate } else { Disposition::Held };
                }
                _ => return Disposition::Unrelated,
            },
        }
        let succeeded = self.memory.downloaded || setting.goal == Goal::Event;
        match obeyed {
            _ if is_done && !(obeyed.is_some() && succeeded) => Disposition::Stale,
            Some(first) if first == story => Disposition::Duplicate,
            Some(_) => Disposition::Conflicting,
            // Where it was asked for twice on purpose, the export that is ready first is good enough.
            None if accepted && story.export_id() != EXPORT && !doubt => Disposition::Conflicting,
            None => Disposition::Accepted,
        }
    }

    pub(crate) fn delivered(&mut self, story: Story, disposition: Disposition) {
        match disposition {
            Disposition::Accepted => {
                self.memory.obeyed = Some(story);
                self.memory.held.clear();
                self.lose_interest();
            }
            Disposition::Held => self.memory.held.push(story),
            Disposition::Conflicting => self.report_due |= !self.done_given,
            _ => {}
        }
    }

    /// Whether what is acknowledged would survive a crash.
    pub(crate) fn may_acknowledge(&self) -> bool {
        self.memory.obeyed == self.saved.obeyed && self.memory.held == self.saved.held
    }

    /// Whether the last snapshot is of a job with a POST under way.
    pub(crate) fn was_calling(&self) -> bool {
        self.saved.calling
    }

    pub(crate) fn time_passed(&mut self, now: Timestamp) {
        let Some(flight) = self.live() else { return };
        if now >= flight.deadline {
            if flight.is_post {
                self.doubted();
            }
            self.lose_interest();
        }
    }

    pub(crate) fn crashed(&mut self) {
        self.maybe_taken |= self.flight.take().is_some_and(|flight| flight.is_post);
        self.memory = self.saved.clone();
        if self.memory.calling {
            self.doubted();
        }
        self.done_given = false;
        self.downloads = 0;
        self.report_due = false;
    }
}
