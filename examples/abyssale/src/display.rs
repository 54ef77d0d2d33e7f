//! What is seen of an export: a moving line on a terminal, plain lines anywhere else, a table at the end.

use std::{
    io::{self, IsTerminal as _, Write as _},
    path::Path,
    time::Duration,
};

use abyssale_core::Notice;
use abyssale_host::{Observer, Progress, unpack::Unpacked};
use indicatif::{HumanBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Shows an export as it goes.
#[derive(Debug)]
pub struct Display {
    /// `None` where nobody would see it move.
    bar: Option<ProgressBar>,
    phase: Phase,
}

/// What the moving line shows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Phase {
    Waiting,
    Downloading,
    Unpacking,
}

impl Display {
    /// A display on standard error.
    pub fn new() -> Self {
        let bar = io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            bar.set_style(style("{spinner:.cyan} {msg} {elapsed:.dim}"));
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        Self { bar, phase: Phase::Waiting }
    }

    /// Says what is happening now.
    pub fn say(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.set_message(text.to_owned()),
            None => complain(text),
        }
    }

    /// Says what has happened, in a line that stays.
    pub fn keep(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(text),
            None => complain(text),
        }
    }

    fn measure(&mut self, phase: Phase, position: u64, length: Option<u64>) {
        let Some(bar) = &self.bar else { return };
        if self.phase != phase {
            bar.set_style(style(match phase {
                Phase::Waiting => "{spinner:.cyan} {msg} {elapsed:.dim}",
                Phase::Downloading => {
                    "{spinner:.cyan} downloading [{bar:30.cyan}] {bytes}/{total_bytes} {bytes_per_sec:.dim}"
                }
                Phase::Unpacking => "{spinner:.cyan} unpacking [{bar:30.cyan}] {pos}/{len} {msg:.dim}",
            }));
            self.phase = phase;
        }
        if let Some(length) = length {
            bar.set_length(length);
        }
        bar.set_position(position);
    }
}

impl Default for Display {
    fn default() -> Self {
        Self::new()
    }
}

impl Observer for Display {
    fn observe(&mut self, progress: Progress<'_>) {
        match progress {
            Progress::Requesting => self.say("asking for the export"),
            Progress::Notice(notice) => {
                self.measure(Phase::Waiting, 0, None);
                self.keep(&notice.to_string());
                match notice {
                    Notice::Accepted { .. } | Notice::OutcomeUnknown { .. } => {
                        self.say("waiting for the call that it is ready");
                    }
                    Notice::EventReceived(_) => self.say("fetching the archive"),
                    _ => {}
                }
            }
            Progress::Downloading { received, total, .. } => {
                self.measure(Phase::Downloading, received, total);
            }
            Progress::Saved { bytes, .. } => self.keep(&format!("{} downloaded", HumanBytes(bytes))),
            Progress::Unpacked { entry, number, of } => {
                if let Some(bar) = &self.bar {
                    bar.set_message(entry.written.clone());
                }
                self.measure(Phase::Unpacking, number as u64, Some(of as u64));
            }
            Progress::Skipped(skipped) => self.keep(&skipped.to_string()),
            Progress::PartialArchive { asked_for, found } => {
                self.keep(&format!("{found} files for the {asked_for} banners asked for"));
            }
            _ => {}
        }
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Prints what came, and where it is. Whoever closes the pipe has read enough.
pub fn print_table(unpacked: &Unpacked, asked_for: usize, images: &Path) -> io::Result<()> {
    match write_table(&mut io::stdout().lock(), unpacked, asked_for, images) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

fn write_table(
    out: &mut impl io::Write,
    unpacked: &Unpacked,
    asked_for: usize,
    images: &Path,
) -> io::Result<()> {
    let entries = &unpacked.entries;
    let width = entries.iter().map(|entry| entry.written.chars().count()).max().unwrap_or(0).clamp(4, 60);
    writeln!(out, "{:width$}  {:5}  {:>11}  {:>10}", "file", "kind", "pixels", "size")?;
    let mut total = 0;
    for entry in entries {
        let pixels = entry.dimensions.map(|(w, h)| format!("{w} × {h}")).unwrap_or_default();
        writeln!(
            out,
            "{:width$}  {:5}  {pixels:>11}  {:>10}",
            entry.written,
            entry.kind,
            HumanBytes(entry.bytes).to_string()
        )?;
        total += entry.bytes;
    }
    let files = if entries.len() == 1 { "file" } else { "files" };
    writeln!(out, "{} {files}, {}, in {}", entries.len(), HumanBytes(total), images.display())?;
    if unpacked.is_partial() {
        writeln!(out, "{} more could not be unpacked:", unpacked.skipped.len())?;
    }
    for skipped in &unpacked.skipped {
        writeln!(out, "{skipped}")?;
    }
    let missing = asked_for.saturating_sub(entries.len() + unpacked.skipped.len());
    if missing > 0 {
        writeln!(
            out,
            "{missing} of the {asked_for} banners asked for are missing: the service leaves out those it does not know"
        )?;
    }
    Ok(())
}

/// One line on standard error. If that is closed, there is nobody to tell.
pub(crate) fn complain(text: &str) {
    let _closed = writeln!(io::stderr(), "{text}");
}

/// The templates are constants of this file; one that does not parse would show the default.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
