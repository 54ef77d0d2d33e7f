//! Watching a job: one interface, the same in both transports.

use std::path::Path;

use abyssale_core::Notice;

/// Something that happened to a job on its way.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Progress<'a> {
    /// A request is being sent to the service: the first, or a retry.
    Requesting,
    /// What the job's machine has to say: accepted, retrying, outcome unknown, event received.
    Notice(&'a Notice),
    /// The archive is being downloaded.
    Downloading {
        /// Bytes that are here so far, those of earlier attempts included.
        received: u64,
        /// Bytes there will be in all, where the server says so.
        total: Option<u64>,
        /// How many bytes were here when this attempt began: 0 unless it resumes an earlier one.
        resumed_from: u64,
    },
    /// The archive is whole and under its final name.
    Saved {
        /// Where it is.
        path: &'a Path,
        /// Its size in bytes.
        bytes: u64,
    },
    /// An entry of the archive is unpacked. It appears under its final name together with all others.
    #[cfg(feature = "unpack")]
    Unpacked {
        /// The entry.
        entry: &'a crate::unpack::Entry,
        /// Its place in the archive, counted from 1.
        number: usize,
        /// How many entries the archive has, folders included.
        of: usize,
    },
    /// An entry of the archive cannot be unpacked.
    #[cfg(feature = "unpack")]
    Skipped(&'a crate::unpack::Skipped),
    /// The archive holds fewer files than banners were asked for: the service leaves out ids that it does not know.
    #[cfg(feature = "unpack")]
    PartialArchive {
        /// How many banners were asked for.
        asked_for: usize,
        /// How many files there are.
        found: usize,
    },
}

/// Who watches a job. Every `FnMut(Progress<'_>) + Send` is one.
pub trait Observer: Send {
    /// Called in the job's own thread or task: whatever takes long here delays the job.
    fn observe(&mut self, progress: Progress<'_>);
}

impl<F: FnMut(Progress<'_>) + Send> Observer for F {
    fn observe(&mut self, progress: Progress<'_>) {
        self(progress);
    }
}
