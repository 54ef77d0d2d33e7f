//! What a run was bounded by: the processors' time of the client and of the simulator, and waiting.

use std::{fs, thread, time::Instant};

/// The processors' time of this process and of the children that have ended, in seconds, where the system tells.
#[derive(Clone, Copy)]
pub(crate) struct Load {
    at: Instant,
    used: Option<(f64, f64)>,
}

impl Load {
    pub(crate) fn now() -> Self {
        Self { at: Instant::now(), used: used() }
    }

    pub(crate) fn at(self) -> Instant {
        self.at
    }

    /// Returns in words what has been used since then, of all that there is.
    pub(crate) fn since(self, before: Self) -> String {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        #[expect(clippy::cast_precision_loss, reason = "a number of processors")]
        let all = self.at.duration_since(before.at).as_secs_f64() * cores as f64;
        match (self.used, before.used) {
            (Some((own, children)), Some((own_before, children_before))) => {
                let percent = |seconds: f64| 100.0 * seconds / all;
                let (client, simulator) = (percent(children - children_before), percent(own - own_before));
                let waiting = (100.0 - client - simulator).max(0.0);
                format!(
                    "of {cores} processors the client took {client:.0} %, the simulator {simulator:.0} %; {waiting:.0} % waited"
                )
            }
            _ => "how busy the processors were is unknown".to_owned(),
        }
    }
}

/// User and system time, of the process and of its children, as Linux tells them: in hundredths.
fn used() -> Option<(f64, f64)> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    let ticks: Vec<f64> =
        fields.split_ascii_whitespace().skip(11).take(4).filter_map(|field| field.parse().ok()).collect();
    match ticks[..] {
        [user, system, children_user, children_system] => {
            Some(((user + system) / 100.0, (children_user + children_system) / 100.0))
        }
        _ => None,
    }
}
