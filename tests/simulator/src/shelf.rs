//! The archives that can be asked for: where each one is, what opens it, and what it will hold. An archive is made when
//! it is first asked for, since many never are, and the last few are kept.

use std::collections::{HashMap, VecDeque};
use std::time::SystemTime;

use crate::archive::{Archive, Contents};
use crate::{pack, synthetic};

/// What is known of one archive before it is made.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    /// The only query that opens it.
    pub(crate) query: String,
    pub(crate) ids: Vec<String>,
    pub(crate) contents: Contents,
    pub(crate) since: SystemTime,
}

/// All archives, by path.
#[derive(Debug, Default)]
pub(crate) struct Shelf {
    stored: HashMap<String, Stored>,
    /// Paths in the order they came, so that the oldest can go.
    order: VecDeque<String>,
    made: VecDeque<(String, Archive)>,
}

impl Shelf {
    pub(crate) fn put(&mut self, path: String, stored: Stored) {
        if self.order.len() >= STORED
            && let Some(oldest) = self.order.pop_front()
        {
            self.stored.remove(&oldest);
        }
        self.order.push_back(path.clone());
        self.stored.insert(path, stored);
    }

    pub(crate) fn find(&self, path: &str) -> Option<Stored> {
        self.stored.get(path).cloned()
    }

    pub(crate) fn made(&self, path: &str) -> Option<Archive> {
        self.made.iter().find(|(of, _)| of == path).map(|(_, archive)| archive.clone())
    }

    pub(crate) fn keep(&mut self, path: &str, archive: Archive) {
        if self.made.len() >= MADE {
            self.made.pop_front();
        }
        self.made.push_back((path.to_owned(), archive));
    }
}

impl Stored {
    /// Makes the archive. Draws and compresses: for threads that may block.
    pub(crate) fn make(&self) -> Option<Archive> {
        match &self.contents {
            Contents::Pictures => pack::pack(&self.ids).ok().map(Archive::whole),
            Contents::Synthetic(size) => Some(synthetic::archive(*size)),
            Contents::Given(bytes) => Some(Archive::whole(bytes.clone())),
        }
    }
}

const STORED: usize = 200_000;
const MADE: usize = 32;
