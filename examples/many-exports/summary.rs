//! What is told at the end.

use std::{
    fs,
    io::{self, Write as _},
    time::Duration,
};

use indicatif::{HumanBytes, HumanCount};

pub(crate) struct Summary {
    transport: String,
    took: Duration,
    /// From the order to the archive, the shortest first.
    latencies: Vec<Duration>,
}

impl Summary {
    pub(crate) fn new(transport: &str, took: Duration, mut latencies: Vec<Duration>) -> Self {
        latencies.sort_unstable();
        Self { transport: transport.to_owned(), took, latencies }
    }

    pub(crate) fn print(&self) -> io::Result<()> {
        let count = self.latencies.len();
        let rate = count as u128 * 1000 / self.took.as_millis().max(1);
        let [median, most, nearly_all, all] = [50, 95, 99, 100].map(|percent| self.percentile(percent));
        let memory = peak_memory().map_or("unknown".into(), |bytes| HumanBytes(bytes).to_string());
        let mut out = io::stdout().lock();
        writeln!(
            out,
            "{:9}  {} exports in {:.1} s: {rate} a second",
            self.transport,
            HumanCount(count as u64),
            self.took.as_secs_f64()
        )?;
        writeln!(
            out,
            "           from order to archive: half within {median:.2?}, 95% {most:.2?}, 99% {nearly_all:.2?}, all {all:.2?}"
        )?;
        writeln!(out, "           at most {memory} of memory")
    }

    fn percentile(&self, percent: usize) -> Duration {
        let rank = (self.latencies.len() * percent).div_ceil(100).max(1);
        self.latencies.get(rank - 1).copied().unwrap_or_default()
    }
}

/// The most memory that this process has had, where the system tells.
fn peak_memory() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}
