//! Runs programs that are not ours, each with an end to it. A program that hangs is killed and reported, so that it
//! can fail a test but never hold one up.

use std::{
    io::{self, Read, Write as _},
    process::{Child, Command, Output, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, Instant},
};

/// Runs `command` with `input` on its standard input, and returns what it wrote; kills it when `patience` is over.
pub fn run(command: &mut Command, input: &[u8], patience: Duration) -> io::Result<Output> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let finished = exchange(&mut child, input, Instant::now() + patience);
    if finished.is_err() {
        // It may have ended in this very moment, which is as good.
        let _ended = child.kill();
    }
    let status = child.wait()?;
    finished.map(|(stdout, stderr)| Output { status, stdout, stderr })
}

/// The last line a program wrote that says something: the reason, for most programs that fail.
pub fn last_words(output: &Output) -> String {
    let said = [&output.stderr, &output.stdout].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    let line = said.iter().find_map(|text| text.lines().rev().find(|line| !line.trim().is_empty()));
    line.map_or_else(|| output.status.to_string(), |line| line.trim().to_owned())
}

/// Feeds the program and collects what it writes, until it has closed both of its outputs.
fn exchange(child: &mut Child, input: &[u8], deadline: Instant) -> io::Result<(Vec<u8>, Vec<u8>)> {
    if let Some(mut stdin) = child.stdin.take() {
        let input = input.to_vec();
        // A program that does not want all of its input closes it, and that is its business.
        thread::spawn(move || stdin.write_all(&input));
    }
    let [stdout, stderr] = [child.stdout.take().map(collect), child.stderr.take().map(collect)];
    let wait = |pipe: Option<Receiver<io::Result<Vec<u8>>>>| match pipe {
        Some(pipe) => pipe
            .recv_timeout(deadline.saturating_duration_since(Instant::now()))
            .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "it did not end in time"))?,
        None => Ok(Vec::new()),
    };
    Ok((wait(stdout)?, wait(stderr)?))
}

/// Reads a pipe on a thread of its own: two pipes read in turn can fill up and block the program. The thread is not
/// joined, because a grandchild may keep a pipe open beyond the program's end.
fn collect(mut pipe: impl Read + Send + 'static) -> Receiver<io::Result<Vec<u8>>> {
    let (outbox, inbox) = channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let read = pipe.read_to_end(&mut bytes).map(|_| bytes);
        // Nobody listens any more if the patience was over first.
        let _unheard = outbox.send(read);
    });
    inbox
}
