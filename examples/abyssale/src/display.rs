//! What is seen of an export: a moving line on a terminal, plain lines anywhere else, a table at the end.

use std::{
    io::{self, Write as _},
    path::Path,
    time::Duration,
};

use abyssale_core::Notice;
use abyssale_host::{
    MissingBanners, Observer, Progress,
    unpack::{Entry, Unpacked},
};
use console::Term;
use indicatif::{HumanBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::interrupt::{Reached, on_ctrl_c};

/// Shows an export as it goes.
#[derive(Debug)]
pub struct Display {
    /// `None` where a moving line is not drawn: in a file, in a pipe, on a terminal that is `dumb`.
    bar: Option<ProgressBar>,
    phase: Phase,
    reached: Reached,
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
        let bar = new_bar(Phase::Waiting, 0, None);
        Self { bar: (!bar.is_hidden()).then_some(bar), phase: Phase::Waiting, reached: Reached::default() }
    }

    /// Ends the program at Ctrl-C, and says what becomes of the export. `then` is called before the end.
    pub fn end_at_ctrl_c(&self, name: &str, then: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let (bar, name) = (self.bar.clone(), name.to_owned());
        on_ctrl_c(self.reached.clone(), move |words| {
            if let Some(bar) = bar {
                bar.finish_and_clear();
            }
            then();
            complain(&format!("{name}: {words}"));
        })
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
        let Some(bar) = &mut self.bar else { return };
        if self.phase == phase {
            if let Some(length) = length {
                bar.set_length(length);
            }
            bar.set_position(position);
        } else {
            self.phase = phase;
            // Another bar, since the figures of one phase mean nothing in the next.
            bar.finish_and_clear();
            *bar = new_bar(phase, position, length);
        }
    }
}

impl Default for Display {
    fn default() -> Self {
        Self::new()
    }
}

impl Observer for Display {
    fn observe(&mut self, progress: Progress<'_>) {
        self.reached.observe(&progress);
        match progress {
            Progress::Requesting => self.say("asking for the export"),
            Progress::Notice(notice) => {
                self.measure(Phase::Waiting, 0, None);
                self.keep(&notice.to_string());
                match notice {
                    Notice::Accepted { .. } | Notice::OutcomeUnknown { .. } => {
                        self.say("waiting for the event");
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
                self.measure(Phase::Unpacking, number as u64, Some(of as u64));
                if let Some(bar) = &self.bar {
                    bar.set_message(entry.written.clone());
                }
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

fn new_bar(phase: Phase, position: u64, length: Option<u64>) -> ProgressBar {
    let is_narrow = Term::stderr().size_checked().is_some_and(|(_, columns)| columns < 70);
    let template = match (phase, is_narrow) {
        (Phase::Waiting, _) => "{spinner:.cyan} {wide_msg} {elapsed:.dim}",
        (Phase::Downloading, false) => {
            "{spinner:.cyan} downloading [{bar:30.cyan}] {bytes}/{total_bytes} {bytes_per_sec:.dim}"
        }
        (Phase::Downloading, true) => "{spinner:.cyan} {wide_bar:.cyan} {bytes}/{total_bytes}",
        (Phase::Unpacking, false) => "{spinner:.cyan} unpacking [{bar:30.cyan}] {pos}/{len} {wide_msg:.dim}",
        (Phase::Unpacking, true) => "{spinner:.cyan} {pos}/{len} {wide_msg:.dim}",
    };
    // The templates are constants; one that does not parse would show the default.
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::stderr());
    let bar = bar.with_style(style).with_position(position);
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

/// Prints what came, and where it is. A reader that closes the pipe has read enough.
pub fn print_table(
    unpacked: &Unpacked,
    asked_for: usize,
    lacks: &MissingBanners,
    images: &Path,
) -> io::Result<()> {
    let columns = Term::stdout().size_checked().map(|(_, columns)| usize::from(columns));
    match write_table(&mut io::stdout().lock(), columns, unpacked, asked_for, lacks, images) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

fn write_table(
    out: &mut impl io::Write,
    columns: Option<usize>,
    unpacked: &Unpacked,
    asked_for: usize,
    lacks: &MissingBanners,
    images: &Path,
) -> io::Result<()> {
    let entries = &unpacked.entries;
    let width = entries.iter().map(|entry| entry.written.chars().count()).max().unwrap_or(0).clamp(4, 60);
    let is_narrow = columns.is_some_and(|columns| columns < width + BESIDE_NAME);
    if !is_narrow {
        writeln!(out, "{:width$}  {:5}  {:>11}  {:>10}", "file", "kind", "pixels", "size")?;
    }
    let mut total = 0;
    for Entry { written, kind, dimensions, bytes, .. } in entries {
        let pixels = dimensions.map(|(w, h)| format!("{w} × {h}")).unwrap_or_default();
        let size = HumanBytes(*bytes).to_string();
        if is_narrow {
            writeln!(out, "{written}\n    {kind:5}  {pixels:>11}  {size:>10}")?;
        } else {
            writeln!(out, "{written:width$}  {kind:5}  {pixels:>11}  {size:>10}")?;
        }
        total += bytes;
    }
    let files = if entries.len() == 1 { "file" } else { "files" };
    writeln!(out, "{} {files}, {}, in {}", entries.len(), HumanBytes(total), images.display())?;
    if unpacked.is_partial() {
        writeln!(out, "{} more could not be unpacked:", unpacked.skipped.len())?;
    }
    for skipped in &unpacked.skipped {
        writeln!(out, "{skipped}")?;
    }
    let missing = missing(unpacked, asked_for);
    if missing > 0 {
        let are = if missing == 1 { "is" } else { "are" };
        writeln!(out, "{missing} of the {asked_for} banners asked for {are} missing")?;
    }
    for id in &lacks.unknown {
        writeln!(out, "missing: {id}, which the service does not know")?;
    }
    if missing > 0 && lacks.unchecked > 0 {
        writeln!(out, "{} banners could not be looked up", lacks.unchecked)?;
    }
    Ok(())
}

/// Returns how many of the banners asked for have no entry in the archive.
pub(crate) fn missing(unpacked: &Unpacked, asked_for: usize) -> usize {
    asked_for.saturating_sub(unpacked.entries.len() + unpacked.skipped.len())
}

/// One line on standard error. If that is closed, there is nobody to tell.
pub(crate) fn complain(text: &str) {
    let _closed = writeln!(io::stderr(), "{}", text.trim_end());
}

/// The columns of the table but for the name.
const BESIDE_NAME: usize = 34;
