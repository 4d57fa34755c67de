//! Positions: newest wins, once, and nobody gets what is not his.

use super::{Moment, State, Watch};
use crate::simulation::model::{Model, NONE};
use crate::simulation::wire::{POSITION, Scan};
use crate::simulation::{Class, Verdict, ensure, small};

/// Silence after which a position may be repeated.
const SILENCE_MS: u64 = 45_000;

impl Watch {
    pub(super) fn position(&mut self, model: &Model, text: &[u8], began: Moment) -> Verdict {
        let mut scan = Scan::new(text);
        ensure(scan.eat(POSITION), Class::Wire, || "no position".into())?;
        let uuid = scan.until(b'"').unwrap_or(&[]);
        let at = model.event_of(uuid)?;
        ensure(scan.eat(b"\","), Class::Wire, || "a position without fields".into())?;
        let topic = &mut self.topics[at];
        ensure(topic.state == State::On, Class::Foreign, || {
            format!("event {at}: a position while {:?}", topic.state)
        })?;
        let event = &model.events[at];
        let entry = scan.rest();
        let expected = event.accepted.get(topic.next.0 as usize);
        let place = match expected {
            Some(accepted) if model.text(accepted.record) == entry => Some(topic.next.0),
            _ => device_of(model, entry).and_then(|device| model.find_accepted(at, device, entry)),
        };
        ensure(place.is_some(), Class::Foreign, || {
            format!("event {at}: never accepted: {}", String::from_utf8_lossy(entry))
        })?;
        let place = place.unwrap_or(NONE);
        let device = event.accepted[place as usize].device as usize;
        let seen = topic.seen[device];
        if seen == place + 1 {
            let silent_ms = began.now_ms.saturating_sub(self.message_ms);
            self.repeat_count += 1;
            return ensure(silent_ms >= SILENCE_MS, Class::Backward, || {
                format!("event {at} device {device}: {place} twice, after {silent_ms} ms")
            });
        }
        ensure(place + 1 > seen && place >= topic.least, Class::Backward, || {
            format!(
                "event {at} device {device}: {place} after {seen} less 1, least {}",
                topic.least
            )
        })?;
        let ends = [topic.revoked_at, self.closing.map(|closing| closing.offset)];
        let is_allowed = ends.iter().flatten().all(|&end| began.offset < end);
        ensure(is_allowed, Class::Foreign, || {
            format!("event {at}: a frame begun at {} after the end {ends:?}", began.offset)
        })?;
        let (low, high) = topic.next;
        ensure(!self.is_strict || (low..=high).contains(&place), Class::Lost, || {
            format!("event {at}: a fast viewer got {place} instead of {low} to {high}")
        })?;
        topic.seen[device] = place + 1;
        topic.next = (place + 1, place + 1);
        self.frame_count += 1;
        Ok(())
    }
}

/// The device an entry names: the last four digits of every name of this world are its number.
pub(super) fn device_of(model: &Model, entry: &[u8]) -> Option<u32> {
    let mut scan = Scan::new(entry);
    if !scan.eat(br#""deviceId":""#) {
        return None;
    }
    let digits = scan.string()?.last_chunk::<4>()?;
    let number: u32 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    (number < small(model.events.first()?.seats.len())).then_some(number)
}
