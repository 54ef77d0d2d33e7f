//! The queues of trouble to come, one for each endpoint.

use std::collections::VecDeque;

use super::{ArchiveTrouble, CreateTrouble, EventTrouble, Trouble};

/// What is still to go wrong.
#[derive(Debug, Default)]
pub(crate) struct Script {
    create: VecDeque<CreateTrouble>,
    event: VecDeque<EventTrouble>,
    archive: VecDeque<ArchiveTrouble>,
}

impl Script {
    pub(crate) fn add(&mut self, trouble: Trouble) {
        match trouble {
            Trouble::Create(trouble) => self.create.push_back(trouble),
            Trouble::Event(trouble) => self.event.push_back(trouble),
            Trouble::Archive(trouble) => self.archive.push_back(trouble),
        }
    }

    pub(crate) fn next_create(&mut self) -> CreateTrouble {
        self.create.pop_front().unwrap_or(CreateTrouble::Nothing)
    }

    pub(crate) fn next_event(&mut self) -> EventTrouble {
        self.event.pop_front().unwrap_or(EventTrouble::Nothing)
    }

    pub(crate) fn next_archive(&mut self) -> ArchiveTrouble {
        self.archive.pop_front().unwrap_or(ArchiveTrouble::Nothing)
    }

    /// Puts back a trouble that befalls more than one request.
    pub(crate) fn archive_again(&mut self, trouble: ArchiveTrouble) {
        self.archive.push_front(trouble);
    }
}
