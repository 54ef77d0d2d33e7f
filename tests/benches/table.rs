//! Several ways to do one thing, done in turn, and a table of what they took.

use std::time::Duration;

use crate::timed;

/// One way, and what it has taken so far.
pub(crate) struct Column<'c> {
    name: &'static str,
    /// Does it once; returns the KiB of memory that it took, where that is known.
    work: Box<dyn FnMut() -> Option<u64> + 'c>,
    times: Vec<Duration>,
    /// What its processes took of the processors, user and system, in seconds.
    cpu: Vec<f64>,
    kib: Option<u64>,
}

impl<'c> Column<'c> {
    pub(crate) fn new(name: &'static str, work: impl FnMut() -> Option<u64> + 'c) -> Self {
        Self { name, work: Box::new(work), times: Vec::new(), cpu: Vec::new(), kib: None }
    }

    fn seconds(&self) -> Vec<f64> {
        self.times.iter().map(Duration::as_secs_f64).collect()
    }
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_unstable_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or(f64::NAN)
}

/// How many times as fast `ours` is as `theirs`: the median of what the rounds say, since what disturbs a round disturbs
/// all that is in it.
fn times_as_fast(ours: &[f64], theirs: &[f64]) -> f64 {
    median(theirs.iter().zip(ours).map(|(theirs, ours)| theirs / ours).collect())
}

/// Does everything `rounds` times, forwards and backwards by turns, so that what comes first or last has no favour.
pub(crate) fn run(
    what: &str,
    bytes: u64,
    rounds: usize,
    columns: &mut [Column<'_>],
    mut between: impl FnMut(),
) {
    for round in 0..=rounds {
        let mut order: Vec<_> = columns.iter_mut().collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for column in order {
            between();
            let cpu = cpu_of_children();
            let (kib, time) = timed(&mut column.work);
            let cpu = cpu_of_children() - cpu;
            // The first round warms everything up.
            if round > 0 {
                column.times.push(time);
                column.cpu.push(cpu);
                column.kib = column.kib.max(kib);
            }
        }
    }
    between();
    print(what, bytes, rounds, columns);
}

fn print(what: &str, bytes: u64, rounds: usize, columns: &[Column<'_>]) {
    let others: Vec<_> = columns.iter().filter(|column| column.kib.is_none()).collect();
    print!("\n| {what} (median of {rounds}) | s | MB/s | CPU s |");
    for other in &others {
        print!(" × {0} | CPU × {0} |", other.name);
    }
    println!(" memory above start |");
    println!("|---|--:|--:|--:|{}--:|", "--:|--:|".repeat(others.len()));
    for column in columns {
        let (time, cpu) = (median(column.seconds()), median(column.cpu.clone()));
        #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52 bytes")]
        let rate = bytes as f64 / time / 1e6;
        print!("| {} | {time:.3} | {rate:.0} | {cpu:.2} |", column.name);
        for other in &others {
            let wall = times_as_fast(&column.seconds(), &other.seconds());
            print!(" {wall:.2} | {:.2} |", times_as_fast(&column.cpu, &other.cpu));
        }
        #[expect(clippy::cast_precision_loss, reason = "some megabytes")]
        let memory = column.kib.map_or("–".to_owned(), |kib| format!("{:.1} MiB", kib as f64 / 1024.0));
        println!(" {memory} |");
    }
}

/// What the processes that have ended took of the processors, as Linux tells it: in hundredths of a second.
fn cpu_of_children() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // Behind the name, which may have anything in it: state, and then numbers; `cutime` and `cstime` are the 14th and
    // the 15th.
    let fields = stat.rsplit_once(')').map(|(_, fields)| fields).unwrap_or_default().split_ascii_whitespace();
    let ticks: f64 = fields.skip(13).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
    ticks / 100.0
}
