//! Ctrl-C during an export: the program says how far it was, and ends with the status that shells expect of it.

use std::{
    io,
    path::PathBuf,
    process,
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use abyssale_core::{ExportId, Notice};
use abyssale_host::Progress;

/// How far an export is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reached(Arc<Mutex<Step>>);

#[derive(Clone, Debug, Default)]
enum Step {
    #[default]
    Nothing,
    Requested,
    Accepted(ExportId),
    Ready(ExportId),
    Saved(PathBuf),
}

impl Reached {
    pub(crate) fn observe(&self, progress: &Progress<'_>) {
        let step = match progress {
            Progress::Requesting => Step::Requested,
            Progress::Notice(Notice::Accepted { export_id }) => Step::Accepted(export_id.clone()),
            Progress::Notice(Notice::EventReceived(event)) => Step::Ready(event.export_id.clone()),
            Progress::Saved { path, .. } => Step::Saved((*path).to_owned()),
            _ => return,
        };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = step;
    }

    /// Says what becomes of the export when the program ends now.
    fn words(&self) -> String {
        match &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Step::Nothing => "interrupted; no export was requested".into(),
            Step::Requested => {
                "interrupted; if the export was accepted, it goes on at Abyssale, and its event is not taken here"
                .into()
            }
            Step::Accepted(id) => {
                format!("interrupted; export {id} goes on at Abyssale, and its event is not taken here")
            }
            Step::Ready(id) => {
                format!("interrupted; export {id} is ready at Abyssale, and its archive is not downloaded")
            }
            Step::Saved(path) => {
                format!("interrupted; the archive is in {}, and not unpacked", path.display())
            }
        }
    }
}

/// Ends the program at the first Ctrl-C: calls `say` with the last words.
pub(crate) fn on_ctrl_c(reached: Reached, say: impl FnOnce(&str) + Send + 'static) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    thread::Builder::new().name("ctrl-c".into()).spawn(move || {
        // Where no signal can be listened for, the system's own way of ending remains.
        if runtime.block_on(tokio::signal::ctrl_c()).is_ok() {
            say(&reached.words());
            process::exit(INTERRUPTED);
        }
    })?;
    Ok(())
}

/// 128 and the number of the signal.
const INTERRUPTED: i32 = 130;
