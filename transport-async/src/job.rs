//! One export that is to be carried out, and the archive that comes of it.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use abyssale_core::{Export, Finished, Goal, Order, webhook::NewExport};
use abyssale_host::{Error, Observer, Progress};
use tokio::sync::mpsc;

use crate::{Exporter, drive::drive, exporter::Post};

/// An export that waits to be carried out by one of the methods that take it.
///
/// Carried out means: asked for, its event awaited, and its archive downloaded, all in the calling
/// task. Several tasks may carry out jobs of one [`Exporter`] at the same time. Dropping the future
/// cancels: the connection is closed, and nothing but what can be resumed is left behind.
#[must_use = "nothing is asked for before the job is carried out"]
pub struct Job<'e> {
    exporter: &'e Exporter,
    order: Order,
    observer: Box<dyn Observer + 'e>,
}

impl<'e> Job<'e> {
    pub(crate) fn new(exporter: &'e Exporter, order: Order) -> Self {
        Self { exporter, order, observer: Box::new(|_: Progress<'_>| {}) }
    }

    /// Watches the job: what was accepted, what is repeated and why, how the download goes.
    pub fn observe(mut self, observer: impl Observer + 'e) -> Self {
        self.observer = Box::new(observer);
        self
    }

    /// The order, with the callback address that the service will be told.
    pub fn order(&self) -> &Order {
        &self.order
    }

    /// Carries it out, and saves the archive to a file, replacing what is there.
    ///
    /// The file appears whole or not at all.
    pub async fn save_to(self, path: impl AsRef<Path>) -> Result<Archive, Error> {
        let path = path.as_ref();
        let asked_for = self.order.ids().len();
        match self.run(Goal::Archive, path).await? {
            Finished::Archive { event, bytes } => {
                Ok(Archive { path: path.to_owned(), bytes, event, asked_for })
            }
            other => unreachable!("a job with this goal ends with an archive: {other:?}"),
        }
    }

    /// Carries it out as far as the event, which tells where the archive is.
    pub async fn wait(self) -> Result<NewExport, Error> {
        match self.run(Goal::Event, Path::new("")).await? {
            Finished::Event(event) => Ok(event),
            other => unreachable!("a job with this goal ends with its event: {other:?}"),
        }
    }

    async fn run(mut self, goal: Goal, target: &Path) -> Result<Finished, Error> {
        let (client, board) = (self.exporter.client(), self.exporter.board());
        let order = self.order.with_goal(goal);
        let (sender, mut mailbox) = mpsc::channel(MAILBOX);
        let mut registration = board.register(order.token().copied(), Post(sender));
        let mut export = Export::new(Arc::clone(client.config()), order, client.clock().now());
        let mut named = |id: &_| registration.name(client.clock().now(), id);
        let result = drive(client, &mut export, &mut mailbox, target, &mut *self.observer, &mut named).await;
        if export.took_event() {
            registration.took_event();
        }
        Ok(result?)
    }
}

impl fmt::Debug for Job<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job").field("order", &self.order).finish_non_exhaustive()
    }
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

    /// Unpacks it into a folder, which must be absent or empty, within the default limits.
    ///
    /// The folder appears whole or not at all.
    #[cfg(feature = "unpack")]
    pub async fn unpack_into(&self, folder: impl AsRef<Path>) -> Result<Vec<crate::unpack::Entry>, Error> {
        self.unpack_observed(folder, crate::unpack::Limits::default(), |_: Progress<'_>| {}).await
    }

    /// The same within limits of your own, and watched: entry by entry, and whether there are fewer files in it than
    /// banners were asked for ([`Progress::PartialArchive`]). The observer is called on a thread for blocking work.
    ///
    /// Dropping the future does not stop the unpacking, which goes on to its end.
    #[cfg(feature = "unpack")]
    pub async fn unpack_observed(
        &self,
        folder: impl AsRef<Path>,
        limits: crate::unpack::Limits,
        mut observer: impl Observer + 'static,
    ) -> Result<Vec<crate::unpack::Entry>, Error> {
        let (archive, folder, asked_for) = (self.path.clone(), folder.as_ref().to_owned(), self.asked_for);
        let unpacking = tokio::task::spawn_blocking(move || {
            crate::unpack::unpack(&archive, &folder, limits, asked_for, &mut observer)
        });
        match unpacking.await {
            Ok(unpacked) => Ok(unpacked?),
            // The runtime is shutting down, or unpacking panicked: the archive is there all the same.
            Err(error) => Err(crate::unpack::UnpackError::Archive { reason: error.to_string() }.into()),
        }
    }
}

/// Room for the event and its repetitions while the job is busy with a call.
const MAILBOX: usize = 16;
