//! How much memory this process has resident, as Linux tells it; 0 where nobody tells.

use std::fs;

/// Now, in KiB. The peak is counted from here.
pub(crate) fn resident() -> u64 {
    // A process that was started without a copy of its parent's memory begins with its parent's peak.
    let _ = fs::write("/proc/self/clear_refs", "5");
    field("VmRSS:")
}

/// At most so far, in KiB.
pub(crate) fn peak() -> u64 {
    field("VmHWM:")
}

fn field(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.trim().strip_suffix(" kB")?.trim().parse().ok()).unwrap_or_default()
}
