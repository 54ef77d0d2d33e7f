//! One export that is to be carried out, and the archive that comes of it.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use abyssale_core::{Finished, Goal, Order, webhook::NewExport};
use abyssale_host::{Error, Observer, Progress, RunningJob, StoredJob};

use crate::{Exporter, drive::drive};

/// An export that waits to be carried out by one of the methods that take it.
///
/// Carried out means: asked for, its event awaited, and its archive downloaded, all in the calling
/// thread. Several threads may carry out jobs of one [`Exporter`] at the same time.
#[must_use = "nothing is asked for before the job is carried out"]
pub struct Job<'e> {
    exporter: &'e Exporter,
    order: Order,
    observer: Option<Box<dyn Observer + 'e>>,
}

impl<'e> Job<'e> {
    pub(crate) fn new(exporter: &'e Exporter, order: Order) -> Self {
        Self { exporter, order, observer: None }
    }

    /// Watches the job: what was accepted, what is repeated and why, how the download goes.
    pub fn observe(mut self, observer: impl Observer + 'e) -> Self {
        self.observer = Some(Box::new(observer));
        self
    }

    /// The order, with the callback address that the service will be told.
    pub fn order(&self) -> &Order {
        &self.order
    }

    /// Carries it out, and saves the archive to a file, replacing what is there.
    ///
    /// The file appears whole or not at all.
    pub fn save_to(self, path: impl AsRef<Path>) -> Result<Archive, Error> {
        let path = path.as_ref();
        match self.run(Goal::Archive, Some(path))? {
            Outcome::Archive(archive) => Ok(archive),
            Outcome::Event(_) => unreachable!("a job with this goal ends with an archive"),
        }
    }

    /// Carries it out as far as the event, which tells where the archive is.
    pub fn wait(self) -> Result<NewExport, Error> {
        match self.run(Goal::Event, None)? {
            Outcome::Event(event) => Ok(event),
            Outcome::Archive(_) => unreachable!("a job with this goal ends with its event"),
        }
    }

    fn run(mut self, goal: Goal, target: Option<&Path>) -> Result<Outcome, Error> {
        let asked_for = self.order.ids().len();
        let order = self.order.with_goal(goal);
        let running = self.exporter.jobs().submit(&order, target.map(Path::to_owned))?;
        carry_out(
            self.exporter,
            running,
            target.unwrap_or(Path::new("")),
            asked_for,
            self.observer.as_deref_mut().map(|observer| observer as &mut dyn Observer),
        )
    }
}

impl fmt::Debug for Job<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job").field("order", &self.order).finish_non_exhaustive()
    }
}

/// A job from the [store](crate::ExporterBuilder::store), to be gone on with from where it stands.
///
/// Dropped, it stays in the store, and is one of those that are [resumed](Exporter::resumed) again.
#[must_use = "nothing goes on before the job is carried out"]
pub struct Resumed<'e> {
    exporter: &'e Exporter,
    stored: StoredJob<'e>,
    observer: Option<Box<dyn Observer + 'e>>,
}

impl<'e> Resumed<'e> {
    pub(crate) fn new(exporter: &'e Exporter, stored: StoredJob<'e>) -> Self {
        Self { exporter, stored, observer: None }
    }

    /// Watches the job, as a new one is watched.
    pub fn observe(mut self, observer: impl Observer + 'e) -> Self {
        self.observer = Some(Box::new(observer));
        self
    }

    /// The order, with the callback address that the service was told.
    pub fn order(&self) -> &Order {
        self.stored.order()
    }

    /// Where the archive goes: what [`Job::save_to`] was told, as an absolute path. `None` for a job that
    /// [waits](Job::wait) for its event only.
    pub fn target(&self) -> Option<&Path> {
        self.stored.target()
    }

    /// Carries it out, as far as it was meant to go from the beginning.
    ///
    /// A request that was under way when the earlier process ended is not repeated: the job waits for its event, as after
    /// any other request whose fate is unknown.
    pub fn carry_out(mut self) -> Result<Outcome, Error> {
        let asked_for = self.order().ids().len();
        let target = self.target().map(Path::to_owned).unwrap_or_default();
        let running = self.stored.resume();
        carry_out(
            self.exporter,
            running,
            &target,
            asked_for,
            self.observer.as_deref_mut().map(|observer| observer as &mut dyn Observer),
        )
    }

    /// Gives it up, and removes it from the store. An export that was asked for is made all the same.
    pub fn cancel(self) {
        self.stored.cancel();
    }
}

impl fmt::Debug for Resumed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resumed")
            .field("order", self.order())
            .field("target", &self.target())
            .finish_non_exhaustive()
    }
}

/// What came of a job that was resumed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// The archive is here.
    Archive(Archive),
    /// The event has come, and no more was wanted.
    Event(NewExport),
}

fn carry_out(
    exporter: &Exporter,
    running: RunningJob<'_>,
    target: &Path,
    asked_for: usize,
    observer: Option<&mut dyn Observer>,
) -> Result<Outcome, Error> {
    Ok(match drive(exporter.client(), running, target, observer)? {
        Finished::Archive { event, bytes } => {
            Outcome::Archive(Archive { path: target.to_owned(), bytes, event, asked_for })
        }
        Finished::Event(event) => Outcome::Event(event),
        other => unreachable!("no job of an exporter ends there: {other:?}"),
    })
}

/// An archive on the disk.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Archive {
    path: PathBuf,
    bytes: u64,
    event: NewExport,
    asked_for: usize,
}

impl Archive {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its size in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The event that said where it was.
    pub fn event(&self) -> &NewExport {
        &self.event
    }

    /// How many banners were asked for. There may be fewer in it: the service leaves out unknown ones.
    pub fn asked_for(&self) -> usize {
        self.asked_for
    }

    /// Unpacks it into a folder, which must be absent or empty, with the default options.
    ///
    /// The folder appears at once, when all that can be unpacked is in it. What cannot be is reported in
    /// [`skipped`](crate::unpack::Unpacked::skipped).
    #[cfg(feature = "unpack")]
    pub fn unpack_into(&self, folder: impl AsRef<Path>) -> Result<crate::unpack::Unpacked, Error> {
        self.unpack_observed(folder, crate::unpack::Options::default(), |_: Progress<'_>| {})
    }

    /// The same with other options, and watched: entry by entry, and whether there are fewer files in it than
    /// banners were asked for ([`Progress::PartialArchive`]).
    #[cfg(feature = "unpack")]
    pub fn unpack_observed(
        &self,
        folder: impl AsRef<Path>,
        options: crate::unpack::Options,
        mut observer: impl Observer,
    ) -> Result<crate::unpack::Unpacked, Error> {
        Ok(crate::unpack::unpack(&self.path, folder.as_ref(), options, self.asked_for, &mut observer)?)
    }
}
