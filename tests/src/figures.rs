//! What the figures of the whole program are made with: the program as a child, and crowds.

pub mod child;
pub mod commit;
pub mod crowd;
pub mod devices;
pub mod ingest;
pub mod latency;
pub mod start;
pub mod writing;

use std::io::Write;

/// Prints a line at once, also into a pipe.
///
/// # Panics
/// When nobody reads it.
pub fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).expect("somebody reads the figures");
}

/// The value below which this share (in thousandths) of sorted values lies.
#[must_use]
pub fn quantile<T: Copy + Default>(sorted: &[T], thousandths: usize) -> T {
    let at = sorted.len() * thousandths / 1000;
    sorted.get(at.min(sorted.len().saturating_sub(1))).copied().unwrap_or_default()
}
