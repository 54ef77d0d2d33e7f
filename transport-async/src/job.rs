//! A job of an exporter: one export, from the order to the archive.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use abyssale_core::{BannerId, Finished, Goal, Order, webhook::NewExport};
use abyssale_host::{Error, MissingBanners, Observer, Progress, RunningJob, StoredJob};

use crate::{Exporter, drive::drive};

/// An order that one of the methods below carries out.
///
/// Carried out means: asked for, its event awaited, and its archive downloaded, all in the calling
/// task. Several tasks may carry out jobs of one [`Exporter`] at the same time. Dropping the future
/// cancels: the connection is closed, and nothing but what can be resumed is left behind. With a
/// [store](crate::ExporterBuilder::store) the job is not cancelled, but kept, to be [resumed](Exporter::resumed).
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

    /// Sets the observer, which is told of notices, retries and the progress of the download.
    pub fn observe(mut self, observer: impl Observer + 'e) -> Self {
        self.observer = Some(Box::new(observer));
        self
    }

    /// Returns the order, with its callback URL.
    pub fn order(&self) -> &Order {
        &self.order
    }

    /// Carries out the job and saves the archive to a file, replacing the file that is there.
    ///
    /// The file appears whole or not at all.
    pub async fn save_to(self, path: impl AsRef<Path>) -> Result<Archive, Error> {
        let path = path.as_ref();
        match self.run(Goal::Archive, Some(path)).await? {
            Outcome::Archive(archive) => Ok(archive),
            Outcome::Event(_) => unreachable!("a job with this goal ends with an archive"),
        }
    }

    /// Carries out the job as far as the event, which names the archive's URL.
    pub async fn wait(self) -> Result<NewExport, Error> {
        match self.run(Goal::Event, None).await? {
            Outcome::Event(event) => Ok(event),
            Outcome::Archive(_) => unreachable!("a job with this goal ends with its event"),
        }
    }

    async fn run(mut self, goal: Goal, target: Option<&Path>) -> Result<Outcome, Error> {
        let banners = self.order.distinct_ids();
        let order = self.order.with_goal(goal);
        let running = self.exporter.jobs().submit(&order, target.map(Path::to_owned))?;
        carry_out(
            self.exporter,
            running,
            target.unwrap_or(Path::new("")),
            &banners,
            self.observer.as_deref_mut().map(|observer| observer as &mut dyn Observer),
        )
        .await
    }
}

impl fmt::Debug for Job<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job").field("order", &self.order).finish_non_exhaustive()
    }
}

/// A job from the [store](crate::ExporterBuilder::store) that can be resumed.
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

    /// Sets the observer.
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
    pub async fn carry_out(mut self) -> Result<Outcome, Error> {
        let banners = self.order().distinct_ids();
        let target = self.target().map(Path::to_owned).unwrap_or_default();
        let running = self.stored.resume();
        carry_out(
            self.exporter,
            running,
            &target,
            &banners,
            self.observer.as_deref_mut().map(|observer| observer as &mut dyn Observer),
        )
        .await
    }

    /// Cancels the job and removes it from the store. An export that was accepted is made all the same.
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

/// The result of a resumed job.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// The archive was saved.
    Archive(Archive),
    /// The event arrived, and the job ends with it.
    Event(NewExport),
}

async fn carry_out(
    exporter: &Exporter,
    running: RunningJob<'_>,
    target: &Path,
    banners: &[BannerId],
    observer: Option<&mut dyn Observer>,
) -> Result<Outcome, Error> {
    let wanted = Some((exporter.jobs(), banners));
    let (finished, missing) = drive(exporter.client(), running, target, wanted, observer).await?;
    Ok(match finished {
        Finished::Archive { event, bytes } => {
            let asked_for = banners.len();
            Outcome::Archive(Archive { path: target.to_owned(), bytes, event, asked_for, missing })
        }
        Finished::Event(event) => Outcome::Event(event),
        other => unreachable!("no job of an exporter ends there: {other:?}"),
    })
}

/// A saved archive.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Archive {
    path: PathBuf,
    bytes: u64,
    event: NewExport,
    asked_for: usize,
    missing: MissingBanners,
}

impl Archive {
    /// Returns its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns its size in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns the event that named it.
    pub fn event(&self) -> &NewExport {
        &self.event
    }

    /// Returns the number of distinct banners in the order. The archive may hold fewer: the service leaves out those that
    /// it does not know.
    pub fn asked_for(&self) -> usize {
        self.asked_for
    }

    /// Returns which banners the archive lacks, if it holds fewer files than the order has distinct banners.
    ///
    /// The service was asked about each, or about as many as [`Settings::banner_lookups`](crate::Settings::banner_lookups)
    /// says. Without the feature `unpack` nothing is known to be missing.
    pub fn missing(&self) -> &MissingBanners {
        &self.missing
    }

    /// Unpacks it into a folder, which must be absent or empty, with the default options.
    ///
    /// The folder appears at once, when all that can be unpacked is in it. What cannot be is reported in
    /// [`skipped`](crate::unpack::Unpacked::skipped).
    #[cfg(feature = "unpack")]
    pub async fn unpack_into(&self, folder: impl AsRef<Path>) -> Result<crate::unpack::Unpacked, Error> {
        self.unpack_observed(folder, crate::unpack::Options::default(), |_: Progress<'_>| {}).await
    }

    /// The same with other options, and watched: entry by entry, and whether there are fewer files in it than
    /// banners were asked for ([`Progress::PartialArchive`]). The observer is called on a thread for blocking work.
    ///
    /// Dropping the future does not stop the unpacking, which goes on to its end.
    #[cfg(feature = "unpack")]
    pub async fn unpack_observed(
        &self,
        folder: impl AsRef<Path>,
        options: crate::unpack::Options,
        mut observer: impl Observer + 'static,
    ) -> Result<crate::unpack::Unpacked, Error> {
        let (archive, folder, asked_for) = (self.path.clone(), folder.as_ref().to_owned(), self.asked_for);
        let unpacking = tokio::task::spawn_blocking(move || {
            crate::unpack::unpack(&archive, &folder, options, asked_for, &mut observer)
        });
        match unpacking.await {
            Ok(unpacked) => Ok(unpacked?),
            // The runtime is shutting down, or unpacking panicked: the archive is there all the same.
            Err(error) => Err(crate::unpack::UnpackError::Archive { reason: error.to_string() }.into()),
        }
    }
}
