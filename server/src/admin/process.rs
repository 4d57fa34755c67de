//! What the operating system says about this process.

use std::fs;

use rustix::time::{ClockId, clock_gettime};

use crate::clock::Clock;
use crate::metrics::{LimitUse, Page, Section};

/// Memory, processor time and open files, under the names that every dashboard knows.
#[derive(Debug)]
pub(super) struct Process {
    clock: Clock,
    started_s: i64,
    /// Open files that the process may have; it does not change while it runs.
    open_files_max: Option<u64>,
}

impl Process {
    pub(super) fn new(clock: Clock) -> Self {
        let up_ms = i64::try_from(clock.monotonic_ms()).unwrap_or(0);
        let started_s = (crate::clock::wall_ms() - up_ms) / 1_000;
        let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
        Self { clock, started_s, open_files_max: field(&limits, "Max open files") }
    }
}

impl Section for Process {
    fn write(&self, page: &mut Page) {
        let version = env!("CARGO_PKG_VERSION");
        page.gauges("pitwall_build_info", "Which version this is.", "version", &[(version, 1)]);
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let bytes = field(&status, "VmRSS:").map(|kib| kib * 1_024);
        let help = "Memory of the process in use.";
        page.gauge("process_resident_memory_bytes", help, bytes.and_then(signed));
        let help = "Processor time that the process has used.";
        page.counter_of_seconds("process_cpu_seconds_total", help, processor_us());
        let help = "Open files, sockets among them.";
        page.gauge("process_open_fds", help, open_files().and_then(signed));
        let help = "Open files that the process may have.";
        page.gauge("process_max_fds", help, self.open_files_max.and_then(signed));
        let help = "When the process started, in seconds since 1970.";
        page.gauge("process_start_time_seconds", help, Some(self.started_s));
        let uptime_s = self.clock.monotonic_ms() / 1_000;
        page.gauge("pitwall_uptime_seconds", "Since the start.", signed(uptime_s));
    }

    fn limits(&self) -> Vec<LimitUse> {
        let both = open_files().zip(self.open_files_max);
        let limit = both.map(|(used, allowed)| LimitUse { name: "RLIMIT_NOFILE", used, allowed });
        limit.into_iter().collect()
    }
}

/// The first number behind a name at the beginning of a line.
fn field(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}

fn processor_us() -> u64 {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    let us = used.tv_sec.saturating_mul(1_000_000).saturating_add(used.tv_nsec / 1_000);
    u64::try_from(us).unwrap_or(0)
}

/// Newer kernels give the count as the directory's size; listing 100,000 files takes milliseconds.
fn open_files() -> Option<u64> {
    let counted = fs::metadata("/proc/self/fd").ok()?.len();
    if counted > 0 {
        return Some(counted);
    }
    Some(fs::read_dir("/proc/self/fd").ok()?.count() as u64)
}

fn signed(value: u64) -> Option<i64> {
    i64::try_from(value).ok()
}

#[cfg(test)]
mod tests {
    use super::field;

    #[test]
    fn a_field_is_the_first_number_of_its_line() {
        let text =
            "Name:\tpitwall\nVmRSS:\t    5128 kB\nMax open files            1024    4096 files";
        assert_eq!(field(text, "VmRSS:"), Some(5_128));
        assert_eq!(field(text, "Max open files"), Some(1_024));
        assert_eq!((field(text, "Name:"), field(text, "VmSwap:")), (None, None));
    }
}
