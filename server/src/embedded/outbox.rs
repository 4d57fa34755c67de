//! What waits to be shown: what the keeper says first, then positions, as they came while there is room
//! and beyond that only the newest of each device.
//!
//! It waits for nobody, so that the store does not wait for viewers.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use engine::limits::DEVICES_MAX;
use engine::position::Position;
use engine::teltonika::Imei;

use crate::live::source::{LETTER_POSITIONS_MAX, SourceMail};
use crate::metrics::{Counter, Gauge, LimitUse, Page, Section};

/// Positions that wait as they came: some seconds of a thousand devices that catch up, 64 bytes each,
/// 1 MB when full.
const IN_ORDER_MAX: usize = 16 * 1_024;

/// Devices whose newest position waits behind those: 17 MB when full.
const NEWEST_MAX: usize = DEVICES_MAX;

/// What waits.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    /// What the keeper says: a roster and the fixes that it warms slots with, of one time, at most
    /// [`DEVICES_MAX`], 14 MB.
    letters: VecDeque<SourceMail>,
    in_order: VecDeque<(Imei, Position)>,
    newest: HashMap<Imei, Position>,
    /// Nobody takes anything any more.
    is_closed: bool,
    numbers: Arc<Numbers>,
}

/// The numbers of the outbox.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    skipped: Counter,
    waiting: Gauge,
}

impl Outbox {
    /// The numbers.
    pub(super) fn numbers(&self) -> Arc<Numbers> {
        self.numbers.clone()
    }

    /// True when nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.letters.is_empty() && self.in_order.is_empty() && self.newest.is_empty()
    }

    /// True while what the keeper said last waits; it must say nothing more until that has gone.
    pub(super) fn has_letters(&self) -> bool {
        !self.letters.is_empty()
    }

    /// What the keeper says; it goes before the positions that wait.
    pub(super) fn tell(&mut self, letters: Vec<SourceMail>) {
        if !self.is_closed {
            self.letters.extend(letters);
        }
    }

    /// What devices sent; `newest_ms` is the latest time that is not in the future.
    pub(super) fn show(&mut self, arrived: Vec<(Imei, Position)>, newest_ms: i64) {
        if self.is_closed {
            return;
        }
        for (imei, position) in arrived {
            // Behind one that waits out of order there is no order any more.
            if self.newest.is_empty() && self.in_order.len() < IN_ORDER_MAX {
                self.in_order.push_back((imei, position));
            } else if !position.is_without_fix() && position.timestamp_ms <= newest_ms {
                // What no slot would show must not displace what one would.
                self.keep(imei, position);
            }
        }
        self.count();
    }

    fn keep(&mut self, imei: Imei, position: Position) {
        let count = self.newest.len();
        match self.newest.get_mut(&imei) {
            None if count < NEWEST_MAX => {
                self.newest.insert(imei, position);
                return;
            }
            Some(kept) if kept.timestamp_ms < position.timestamp_ms => *kept = position,
            _ => {}
        }
        self.numbers.skipped.increment();
    }

    /// The next letter, if anything waits.
    pub(super) fn next(&mut self) -> Option<SourceMail> {
        if let Some(letter) = self.letters.pop_front() {
            return Some(letter);
        }
        let count = self.in_order.len().min(LETTER_POSITIONS_MAX);
        let mut positions: Vec<_> = self.in_order.drain(..count).collect();
        if positions.is_empty() {
            let devices: Vec<Imei> =
                self.newest.keys().take(LETTER_POSITIONS_MAX).copied().collect();
            positions = devices.iter().filter_map(|imei| self.newest.remove_entry(imei)).collect();
        }
        self.count();
        (!positions.is_empty()).then_some(SourceMail::Arrived(positions))
    }

    /// Nobody takes anything any more: nothing waits from now on.
    pub(super) fn close(&mut self) {
        *self = Self { is_closed: true, numbers: self.numbers(), ..Self::default() };
        self.count();
    }

    fn count(&self) {
        let waiting = self.in_order.len() + self.newest.len();
        self.numbers.waiting.set(i64::try_from(waiting).unwrap_or(i64::MAX));
    }
}

impl Section for Numbers {
    fn write(&self, page: &mut Page) {
        let help = "Positions not shown because the shards had no room and a newer one came.";
        page.counter("processor_live_skipped_total", help, self.skipped.value());
        let help = "Positions that wait for room at the shards.";
        page.gauge("processor_live_arrivals_waiting", help, Some(self.waiting.value()));
    }

    fn limits(&self) -> Vec<LimitUse> {
        let used = u64::try_from(self.waiting.value()).unwrap_or(0);
        let allowed = (IN_ORDER_MAX + NEWEST_MAX) as u64;
        vec![LimitUse { name: "ARRIVALS_WAITING_MAX", used, allowed }]
    }
}

#[cfg(test)]
mod tests {
    use engine::id::DeviceIndex;
    use engine::position::{Codec, Position};
    use engine::teltonika::Imei;

    use super::{IN_ORDER_MAX, Outbox};
    use crate::live::source::{LETTER_POSITIONS_MAX, SourceMail};

    fn imei(number: usize) -> Imei {
        Imei::parse(format!("3563070424{number:05}").as_bytes()).unwrap()
    }

    fn position(timestamp_ms: i64) -> Position {
        Position {
            timestamp_ms,
            latitude: 41.3,
            longitude: 19.8,
            altitude: 0.0,
            angle: 0.0,
            speed: 0.0,
            device: DeviceIndex::ORPHAN,
            satellites: 9,
            priority: 0,
            codec: Codec::Codec8,
        }
    }

    fn take(outbox: &mut Outbox) -> Vec<(Imei, i64)> {
        let mut taken = Vec::new();
        while let Some(letter) = outbox.next() {
            let SourceMail::Arrived(some) = letter else { panic!("only positions wait") };
            assert!((1..=LETTER_POSITIONS_MAX).contains(&some.len()));
            taken.extend(some.iter().map(|(imei, position)| (*imei, position.timestamp_ms)));
        }
        taken
    }

    #[test]
    fn what_waits_is_all_there_in_order_and_beyond_that_the_newest_of_each_device() {
        let mut outbox = Outbox::default();
        let first: Vec<_> =
            (0_i64..).take(IN_ORDER_MAX).map(|ms| (imei(1), position(ms))).collect();
        outbox.show(first.clone(), i64::MAX);
        for (number, ms) in [(2, 7), (1, 90_001), (1, 90_003), (1, 90_002), (1, 90_009)] {
            outbox.show(vec![(imei(number), position(ms))], 90_003);
        }
        assert_eq!(outbox.numbers.skipped.value(), 2, "one in the future never counts");
        let taken = take(&mut outbox);
        let (in_order, newest) = taken.split_at(IN_ORDER_MAX);
        assert!(in_order.iter().map(|taken| taken.1).eq(first.iter().map(|it| it.1.timestamp_ms)));
        let mut newest = newest.to_vec();
        newest.sort_unstable();
        assert_eq!(newest, [(imei(1), 90_003), (imei(2), 7)]);
        assert!(outbox.is_empty());
        outbox.show(vec![(imei(1), position(1)), (imei(1), position(0))], 90_000);
        assert_eq!(take(&mut outbox), [(imei(1), 1), (imei(1), 0)], "in order again");
    }
}
