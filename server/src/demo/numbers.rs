//! The program's own numbers, read from its page of metrics as everybody else reads them.

use std::collections::VecDeque;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// Between two looks.
const EVERY: Duration = Duration::from_millis(500);

/// Rates and delays are those of the last looks: some five seconds.
const LOOKS: usize = 10;

/// How long an answer may take, and how large it may be.
const PATIENCE: Duration = Duration::from_secs(1);
const PAGE_BYTES_MAX: u64 = 1 << 20;

/// What one look has found.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Sample {
    /// Viewers connected.
    pub(super) viewers: f64,
    /// Positions that took a slot.
    positions: f64,
    /// Frames that reached a viewer, or were replaced by newer ones.
    delivered: f64,
    conflated: f64,
    /// Rows in the store, and packets that wait for it.
    pub(super) rows: f64,
    pub(super) waiting: f64,
}

/// Looks now and then, and tells what changed.
#[derive(Debug)]
pub(super) struct Meter {
    admin: SocketAddr,
    looked: Option<Instant>,
    samples: VecDeque<(Instant, Sample)>,
}

impl Meter {
    pub(super) fn new(admin: SocketAddr) -> Self {
        Self { admin, looked: None, samples: VecDeque::new() }
    }

    /// Looks, if it is time to.
    pub(super) fn look(&mut self) {
        if self.looked.is_some_and(|looked| looked.elapsed() < EVERY) {
            return;
        }
        self.looked = Some(Instant::now());
        // A page that does not come leaves the numbers as they are.
        if let Some(page) = fetch(self.admin) {
            self.samples.push_back((Instant::now(), Sample::read(&page)));
            if self.samples.len() > LOOKS {
                self.samples.pop_front();
            }
        }
    }

    /// What was found last.
    pub(super) fn now(&self) -> Sample {
        self.samples.back().map(|(_, sample)| sample.clone()).unwrap_or_default()
    }

    /// Positions shown a second.
    pub(super) fn positions(&self) -> f64 {
        self.rate(|sample| sample.positions)
    }

    /// Frames written to viewers a second.
    pub(super) fn frames(&self) -> f64 {
        self.rate(|sample| sample.delivered)
    }

    /// Frames a second that slow viewers did not get because newer ones had come.
    pub(super) fn conflated(&self) -> f64 {
        self.rate(|sample| sample.conflated)
    }

    fn rate(&self, of: impl Fn(&Sample) -> f64) -> f64 {
        let (Some((first, before)), Some((last, after))) =
            (self.samples.front(), self.samples.back())
        else {
            return 0.0;
        };
        let seconds = last.duration_since(*first).as_secs_f64();
        if seconds > 0.0 { (of(after) - of(before)) / seconds } else { 0.0 }
    }
}

impl Sample {
    /// Reads a page of metrics.
    fn read(page: &str) -> Self {
        let mut sample = Self::default();
        for line in page.lines().filter(|line| !line.starts_with('#')) {
            let Some((name, value)) = line.rsplit_once(' ') else { continue };
            let Ok(value) = value.parse::<f64>() else { continue };
            let field = match name {
                "processor_live_positions_total{verdict=\"accepted\"}" => &mut sample.positions,
                "processor_live_frames_total{result=\"delivered\"}" => &mut sample.delivered,
                "processor_live_frames_total{result=\"conflated\"}" => &mut sample.conflated,
                "processor_position_writes_total{status=\"inserted\"}" => &mut sample.rows,
                "processor_store_waiting" => &mut sample.waiting,
                name if name.starts_with("processor_live_viewers{") => &mut sample.viewers,
                _ => continue,
            };
            *field += value;
        }
        sample
    }
}

fn fetch(admin: SocketAddr) -> Option<String> {
    let mut stream = TcpStream::connect_timeout(&admin, PATIENCE).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let request = format!("GET /metrics HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut page = String::new();
    stream.take(PAGE_BYTES_MAX).read_to_string(&mut page).ok()?;
    page.starts_with("HTTP/1.1 200").then_some(page)
}

#[cfg(test)]
mod tests {
    use super::Sample;

    #[test]
    fn numbers_of_all_shards_are_added_up() {
        let sample = Sample::read(
            "# HELP processor_live_viewers Viewers connected.\n\
             processor_live_viewers{shard=\"0\"} 3\nprocessor_live_viewers{shard=\"1\"} 4\n\
             processor_live_positions_total{verdict=\"accepted\"} 10\n\
             processor_live_positions_total{verdict=\"late\"} 99\n",
        );
        assert_eq!((sample.viewers, sample.positions), (7.0, 10.0));
    }
}
