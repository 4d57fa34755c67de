//! The loop that drives all devices: what is due, what is answered, who has to connect.

use std::io;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::epoll::Epoll;
use crate::measure::Busy;
use crate::race::imei_of_device;
use crate::schedule::Clock;
use crate::sockets::Dialer;
use crate::source::Source;

use super::device::{Device, Hands, Packet};
use super::tally::Tally;
use super::{FirehoseConfig, SHOWN_EVERY, Shown};

/// Between two looks at every device's deadline: 50,000 of them take a millisecond.
const SWEEP_US: u64 = 50_000;

/// Shortest and longest wait. The schedule is kept to the shortest.
const WAIT_US: (u64, u64) = (100, 10_000);

/// Packets taken up between two waits, so that answers are read in time.
const TAKEN_MAX: usize = 1_024;

/// Connections of one source address: few of its ports, since finding a free one among few is slow.
const PER_ADDRESS: u32 = 1_000;

/// Connections under way at a time: below what a listener's backlog usually holds.
const DIALING_MAX: usize = 1_000;

/// Everything that the thread has.
#[derive(Debug)]
pub(super) struct Turn {
    config: FirehoseConfig,
    clock: Clock,
    source: Source<Packet>,
    dialer: Dialer,
    epoll: Epoll,
    devices: Vec<Device>,
    tally: Tally,
    swept_us: u64,
    /// Where the last sweep stopped to begin connections: nobody is always the last.
    dialed_place: usize,
    /// Since when the race is over.
    over_us: Option<u64>,
}

impl Turn {
    pub(super) fn new(
        config: FirehoseConfig,
        clock: Clock,
        source: Source<Packet>,
    ) -> io::Result<Self> {
        let interval_us = 1_000_000 / u64::from(config.dials_per_second.max(1));
        let device = |index: u32| {
            let imei = imei_of_device(config.race.first_device + index);
            Device::new(index, imei, u64::from(index) * interval_us)
        };
        let devices: Vec<Device> = (0..config.race.devices).map(device).collect();
        let mut tally = Tally::default();
        tally.counts.devices = config.race.devices;
        Ok(Self {
            clock,
            source,
            dialer: Dialer::new(config.target, PER_ADDRESS),
            epoll: Epoll::new()?,
            devices,
            tally,
            swept_us: 0,
            dialed_place: 0,
            over_us: None,
            config,
        })
    }

    pub(super) fn run(mut self, shown: &Shown) -> io::Result<()> {
        let mut busy = Busy::new();
        let mut shown_at = Instant::now();
        while !shown.is_stopped.load(Ordering::Relaxed) && !self.is_over() {
            let now_us = self.clock.elapsed_us();
            self.take_due(now_us);
            if now_us >= self.swept_us + SWEEP_US {
                self.sweep(now_us);
            }
            let rest = self.rest(self.clock.elapsed_us());
            self.epoll.wait(rest)?;
            self.handle_news();
            if shown_at.elapsed() >= SHOWN_EVERY {
                shown_at = Instant::now();
                self.tally.counts.busy = busy.look();
                *shown.counts() = self.tally.counts();
            }
        }
        self.tally.counts.is_over = self.is_over();
        *shown.counts() = self.tally.counts();
        Ok(())
    }

    /// True when the race is over and everything is answered, or waited for long enough.
    fn is_over(&mut self) -> bool {
        if !self.source.is_over() {
            return false;
        }
        let now_us = self.clock.elapsed_us();
        let since_us = *self.over_us.get_or_insert(now_us);
        let drain_us = u64::try_from(self.config.drain.as_micros()).unwrap_or(u64::MAX);
        self.tally.counts.kept == 0 || now_us - since_us >= drain_us
    }

    fn take_due(&mut self, now_us: u64) {
        for _ in 0..TAKEN_MAX {
            let Some(due) = self.source.pop_due(now_us) else { return };
            let kept_packets_max = self.config.kept_packets_max;
            let (device, mut hands) = self.at(due.what.device as usize, now_us);
            device.keep(due.due_us, due.what, kept_packets_max, &mut hands);
        }
    }

    /// Looks at every device's deadline, and begins as many connections as may be begun.
    fn sweep(&mut self, now_us: u64) {
        let passed_us = now_us - self.swept_us;
        self.swept_us = now_us;
        let mut dialing = 0;
        for place in 0..self.devices.len() {
            let (device, mut hands) = self.at(place, now_us);
            device.handle_time(&mut hands);
            dialing += usize::from(device.is_dialing());
        }
        let due = u64::from(self.config.dials_per_second) * passed_us.min(1_000_000) / 1_000_000;
        let room = DIALING_MAX.saturating_sub(dialing);
        let mut left = room.min(usize::try_from(due.max(1)).unwrap_or(usize::MAX));
        let dialer = self.dialer;
        for _ in 0..self.devices.len() {
            if left == 0 {
                return;
            }
            self.dialed_place = (self.dialed_place + 1) % self.devices.len();
            let (device, mut hands) = self.at(self.dialed_place, now_us);
            if device.wants_to_dial(now_us) {
                device.dial(&dialer, &mut hands);
                left -= 1;
            }
        }
    }

    fn handle_news(&mut self) {
        let now_us = self.clock.elapsed_us();
        for place in 0..self.epoll.ready_count() {
            let ready = self.epoll.ready(place);
            let index = usize::try_from(ready.key).expect("a key is a device's place");
            let (device, mut hands) = self.at(index, now_us);
            device.handle_ready(ready, &mut hands);
        }
    }

    /// How long there is nothing to do but answers.
    fn rest(&mut self, now_us: u64) -> Duration {
        let (shortest_us, longest_us) = WAIT_US;
        let sweep_us = (self.swept_us + SWEEP_US).saturating_sub(now_us);
        let rest_us = self.source.rest_us(now_us).min(sweep_us);
        Duration::from_micros(rest_us.clamp(shortest_us, longest_us))
    }

    fn at(&mut self, place: usize, now_us: u64) -> (&mut Device, Hands<'_>) {
        let answer_us_max = self.config.answer_ms_max * 1_000;
        let hands = Hands { now_us, answer_us_max, epoll: &self.epoll, tally: &mut self.tally };
        (&mut self.devices[place], hands)
    }
}
