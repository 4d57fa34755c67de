//! The loop that drives a crowd: who comes, who has news, who reads slowly.

use std::collections::VecDeque;
use std::io;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::epoll::Epoll;
use crate::measure::Busy;
use crate::schedule::Clock;

use super::sight::Directory;
use super::tally::{Snapshot, Tally};
use super::viewer::{Hands, Viewer};
use super::{CrowdConfig, Kind, Order};

/// What is read at once, for all viewers one after the other.
const BUFFER_BYTES: usize = 256 * 1024;

/// Between two readings of slow viewers.
const SLOW_READ_US: u64 = 20_000;

/// Between two looks at who has waited for too long, and at what is shown.
const LOOK_US: u64 = 250_000;

/// How long a viewer waits for its snapshot. Browsers wait 5 s for the reply to a subscribe alone.
const JOIN_US_MAX: u64 = 30_000_000;

/// Upgrades under way at a time: what a listener's backlog holds, and below what pitwall lets be half
/// open.
const UPGRADING_MAX: usize = 400;

/// Longest wait for news.
const WAIT_US_MAX: u64 = 5_000;

/// Some who are still to come.
#[derive(Clone, Copy, Debug)]
struct Coming {
    kind: Kind,
    count: u32,
    /// How many have begun.
    begun: u32,
    since_us: u64,
    ramp_us: u64,
}

impl Coming {
    /// When the next one is due.
    fn due_us(&self) -> u64 {
        self.since_us + self.ramp_us * u64::from(self.begun) / u64::from(self.count.max(1))
    }
}

/// Everything that the thread has.
#[derive(Debug)]
pub(super) struct Turn {
    config: CrowdConfig,
    clock: Clock,
    epoll: Epoll,
    /// By place; those who are gone leave theirs free.
    viewers: Vec<Viewer>,
    free: Vec<u32>,
    viewers_max: u32,
    coming: VecDeque<Coming>,
    /// Who may still be upgrading.
    upgrading: Vec<u32>,
    /// Slow and watching.
    slow: Vec<u32>,
    directory: Directory,
    tally: Tally,
    buffer: Vec<u8>,
    read_slowly_us: u64,
    looked_us: u64,
}

impl Turn {
    pub(super) fn new(config: CrowdConfig, viewers_max: u32) -> io::Result<Self> {
        Ok(Self {
            clock: Clock::starting_in(0),
            epoll: Epoll::new()?,
            viewers: Vec::new(),
            free: Vec::new(),
            viewers_max,
            coming: VecDeque::new(),
            upgrading: Vec::new(),
            slow: Vec::new(),
            directory: Directory::new(&config.events),
            tally: Tally::default(),
            buffer: vec![0; BUFFER_BYTES],
            read_slowly_us: 0,
            looked_us: 0,
            config,
        })
    }

    pub(super) fn run(
        mut self,
        orders: &Receiver<Order>,
        shown: &Mutex<Snapshot>,
    ) -> io::Result<()> {
        let mut busy = Busy::new();
        let show = |tally: &Tally| {
            *shown.lock().unwrap_or_else(PoisonError::into_inner) = tally.snapshot();
        };
        while self.obey(orders) {
            self.epoll.wait(Duration::from_micros(WAIT_US_MAX))?;
            let began = Instant::now();
            self.handle_news();
            self.let_come();
            let now_us = self.clock.elapsed_us();
            if now_us >= self.read_slowly_us + SLOW_READ_US {
                self.read_slowly_us = now_us;
                self.read_slowly(now_us);
            }
            if now_us >= self.looked_us + LOOK_US {
                self.looked_us = now_us;
                self.look(now_us);
                self.tally.counts.busy = busy.look();
                show(&self.tally);
            }
            let turn_us = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
            self.tally.turns.record_us(turn_us);
        }
        show(&self.tally);
        Ok(())
    }

    /// Does what was ordered; false when that is to stop.
    fn obey(&mut self, orders: &Receiver<Order>) -> bool {
        loop {
            match orders.try_recv() {
                Ok(Order::Add { count, kind, ramp }) => self.coming.push_back(Coming {
                    kind,
                    count,
                    begun: 0,
                    since_us: self.clock.elapsed_us(),
                    ramp_us: u64::try_from(ramp.as_micros()).unwrap_or(u64::MAX),
                }),
                Ok(Order::Remove { count, kind }) => self.remove(count, kind),
                Ok(Order::Stop) | Err(TryRecvError::Disconnected) => return false,
                Err(TryRecvError::Empty) => return true,
            }
        }
    }

    fn remove(&mut self, count: u32, kind: Kind) {
        let now_us = self.clock.elapsed_us();
        let mut left = count;
        for coming in self.coming.iter_mut().rev().filter(|coming| coming.kind == kind) {
            let taken = left.min(coming.count - coming.begun);
            coming.count -= taken;
            left -= taken;
        }
        for place in (0..self.viewers.len()).rev() {
            if left == 0 {
                return;
            }
            let (viewer, mut hands) = self.at(place, now_us);
            if !viewer.is_gone() && viewer.kind() == kind {
                viewer.leave(&mut hands);
                self.free.push(u32::try_from(place).expect("a place is a number of 32 bits"));
                left -= 1;
            }
        }
    }

    /// Lets those begin who are due, as many as may be upgrading at a time.
    fn let_come(&mut self) {
        let now_us = self.clock.elapsed_us();
        let viewers = &self.viewers;
        self.upgrading.retain(|&place| viewers[place as usize].is_upgrading());
        for _ in 0..self.coming.len() {
            let Some(mut coming) = self.coming.pop_front() else { break };
            while coming.begun < coming.count
                && coming.due_us() <= now_us
                && self.upgrading.len() < UPGRADING_MAX
                && self.begin(coming.kind, now_us)
            {
                self.tally.lateness.record_us(now_us - coming.due_us());
                coming.begun += 1;
            }
            if coming.begun < coming.count {
                self.coming.push_back(coming);
            }
        }
        self.tally.counts.waiting = self.coming.iter().map(|it| it.count - it.begun).sum();
    }

    /// Lets one begin; false when there is no place.
    fn begin(&mut self, kind: Kind, now_us: u64) -> bool {
        let next = u32::try_from(self.viewers.len()).unwrap_or(u32::MAX);
        let place = match self.free.pop() {
            Some(place) => place,
            None if next < self.viewers_max => next,
            None => return false,
        };
        if place < next {
            // What was there before may still be listed.
            self.upgrading.retain(|&listed| listed != place);
            self.slow.retain(|&listed| listed != place);
        }
        let every = self.viewers_max.div_ceil(self.config.checked_max.max(1)).max(1);
        let is_chosen = self.config.checked_max > 0 && place.is_multiple_of(every);
        let is_checked = match kind {
            Kind::Brisk => is_chosen,
            Kind::Slow { .. } => true,
            Kind::Stalled => false,
        };
        let mut hands = Hands {
            now_us,
            config: &self.config,
            epoll: &self.epoll,
            directory: &mut self.directory,
            tally: &mut self.tally,
            buffer: &mut self.buffer,
        };
        let viewer = Viewer::begin(place, kind, is_checked, &mut hands);
        if viewer.is_gone() {
            self.free.push(place);
        }
        if place == next {
            self.viewers.push(viewer);
        } else {
            self.viewers[place as usize] = viewer;
        }
        self.upgrading.push(place);
        true
    }

    fn handle_news(&mut self) {
        let now_us = self.clock.elapsed_us();
        for event in 0..self.epoll.ready_count() {
            let ready = self.epoll.ready(event);
            let place = usize::try_from(ready.key).expect("a key is a viewer's place");
            let (viewer, mut hands) = self.at(place, now_us);
            if viewer.is_gone() {
                continue;
            }
            let was_slow_reader = viewer.is_slow_reader();
            viewer.handle_ready(ready, &mut hands);
            let (is_gone, is_slow_reader) = (viewer.is_gone(), viewer.is_slow_reader());
            let place = u32::try_from(place).expect("a place is a number of 32 bits");
            if is_gone {
                self.free.push(place);
            } else if is_slow_reader && !was_slow_reader {
                self.slow.push(place);
            }
        }
    }

    fn read_slowly(&mut self, now_us: u64) {
        let mut slow = std::mem::take(&mut self.slow);
        slow.retain(|&place| {
            let (viewer, mut hands) = self.at(place as usize, now_us);
            if !viewer.is_slow_reader() {
                return false;
            }
            viewer.read_slowly(&mut hands);
            let is_gone = viewer.is_gone();
            if is_gone {
                self.free.push(place);
            }
            !is_gone
        });
        self.slow = slow;
    }

    fn look(&mut self, now_us: u64) {
        for place in 0..self.viewers.len() {
            let (viewer, mut hands) = self.at(place, now_us);
            let was_gone = viewer.is_gone();
            viewer.handle_time(JOIN_US_MAX, &mut hands);
            if viewer.is_gone() && !was_gone {
                self.free.push(u32::try_from(place).expect("a place is a number of 32 bits"));
            }
        }
    }

    fn at(&mut self, place: usize, now_us: u64) -> (&mut Viewer, Hands<'_>) {
        let hands = Hands {
            now_us,
            config: &self.config,
            epoll: &self.epoll,
            directory: &mut self.directory,
            tally: &mut self.tally,
            buffer: &mut self.buffer,
        };
        (&mut self.viewers[place], hands)
    }
}
