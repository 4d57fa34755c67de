//! What one viewer has seen, held against what the protocol promises: for each device the time never
//! goes back, and nothing older than the snapshot follows it.
//!
//! It reads the texts as they are, with code of its own, so that a mistake of the server's cannot
//! hide in shared code. Of a text that is cut over readings only the entry that is cut is kept.

use hashbrown::HashMap;

use crate::measure::Timings;

use super::frames::Piece;

/// Bytes of an entry that is cut over readings. A longer one is not of this protocol.
const ENTRY_BYTES_MAX: usize = 4 * 1024;

/// Violations that are kept word by word; all are counted.
const VIOLATIONS_TOLD_MAX: usize = 5;

/// Devices of one event that are told apart. 40 B each, and 8 B for each viewer who is checked.
const DEVICES_MAX: usize = 100_000;

/// The events that are watched, and their devices as far as they were seen.
#[derive(Debug)]
pub(super) struct Directory {
    events: Vec<(String, HashMap<u64, u32>)>,
}

impl Directory {
    pub(super) fn new(events: &[String]) -> Self {
        Self { events: events.iter().map(|event| (event.clone(), HashMap::new())).collect() }
    }

    fn event(&self, uuid: &[u8]) -> Option<usize> {
        self.events.iter().position(|(event, _)| event.as_bytes() == uuid)
    }

    fn device(&mut self, event: usize, device_id: u64) -> Option<usize> {
        let devices = &mut self.events[event].1;
        let next = u32::try_from(devices.len()).unwrap_or(u32::MAX);
        if let Some(&device) = devices.get(&device_id) {
            return Some(device as usize);
        }
        if devices.len() >= DEVICES_MAX {
            return None;
        }
        devices.insert(device_id, next);
        Some(next as usize)
    }
}

/// What all checked viewers have found together.
#[derive(Clone, Debug, Default)]
pub(super) struct Findings {
    /// Positions, those of snapshots not among them.
    pub(super) positions: u64,
    /// Entries of snapshots.
    pub(super) snapshot_entries: u64,
    /// Topics that have begun with a snapshot.
    pub(super) subscribed: u64,
    /// Positions older than one that was there before.
    pub(super) order_violations: u64,
    /// The first of them, in words.
    pub(super) violations_told: Vec<String>,
    /// Texts that are none of the protocol's.
    pub(super) unreadable: u64,
    /// Times at which a device was not heard of for longer than asked for.
    pub(super) gaps: u64,
    /// The longest time between two positions of a device.
    pub(super) longest_gap_ms: u64,
    /// Replies that refused something, by their code.
    pub(super) errors: HashMap<String, u64>,
}

/// What is needed to judge a text.
pub(super) struct Judge<'a> {
    pub(super) directory: &'a mut Directory,
    pub(super) findings: &'a mut Findings,
    /// From a fix to here, by its own time.
    pub(super) freshness: &'a mut Timings,
    pub(super) wall_us: u64,
    /// A longer time between two positions of a device is a gap; none for who reads slowly.
    pub(super) gap_ms: Option<u64>,
    pub(super) viewer: u32,
}

/// What a text is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Kind {
    #[default]
    Unknown,
    Snapshot,
    Position,
    Other,
}

/// What one viewer has seen.
#[derive(Debug, Default)]
pub(super) struct Sight {
    kind: Kind,
    /// The event of the text.
    event: Option<usize>,
    /// The entry that is cut.
    cut: Vec<u8>,
    /// The newest time of each device, by event.
    newest: Vec<(usize, Vec<i64>)>,
}

impl Sight {
    /// Reads a piece of a text.
    pub(super) fn handle_text(&mut self, piece: &Piece<'_>, judge: &mut Judge<'_>) {
        if piece.is_first {
            (self.kind, self.event) = (Kind::Unknown, None);
            self.cut.clear();
        }
        let mut rest = piece.bytes;
        if !self.cut.is_empty() {
            let end = rest.iter().position(|&byte| byte == b'}').map_or(rest.len(), |at| at + 1);
            self.cut.extend_from_slice(&rest[..end]);
            rest = &rest[end..];
            if self.cut.len() > ENTRY_BYTES_MAX {
                judge.findings.unreadable += 1;
                self.cut.clear();
            } else if self.cut.ends_with(b"}") {
                let entry = std::mem::take(&mut self.cut);
                self.handle_entry(&entry, judge);
                self.cut = entry;
                self.cut.clear();
            }
        }
        while let Some(end) = rest.iter().position(|&byte| byte == b'}') {
            self.handle_entry(&rest[..=end], judge);
            rest = &rest[end + 1..];
        }
        if !piece.is_last {
            self.cut.extend_from_slice(&rest[..rest.len().min(ENTRY_BYTES_MAX)]);
        }
    }

    /// One object: a position, or an entry of a snapshot; the first of a text says which.
    fn handle_entry(&mut self, entry: &[u8], judge: &mut Judge<'_>) {
        if self.kind == Kind::Unknown {
            self.begin(entry, judge);
        }
        if matches!(self.kind, Kind::Unknown | Kind::Other) {
            return;
        }
        let (Some(device_id), Some(ts)) = (text_of(entry, b"\"deviceId\":\""), number_of(entry))
        else {
            // A snapshot ends with an object that has no device, and may have none at all.
            judge.findings.unreadable += u64::from(self.kind == Kind::Position);
            return;
        };
        self.see(device_id, ts, judge);
    }

    fn begin(&mut self, entry: &[u8], judge: &mut Judge<'_>) {
        let kind = text_of(entry, b"{\"type\":\"").unwrap_or_default();
        self.kind = match kind {
            b"position" => Kind::Position,
            b"subscribed" => Kind::Snapshot,
            _ => Kind::Other,
        };
        match kind {
            b"error" => {
                let code = text_of(entry, b"\"code\":\"").unwrap_or_default();
                let code = String::from_utf8_lossy(code).into_owned();
                *judge.findings.errors.entry(code).or_default() += 1;
            }
            b"position" | b"subscribed" => {
                let uuid = text_of(entry, b"\"topic\":\"event:").unwrap_or_default();
                self.event = judge.directory.event(uuid);
                judge.findings.unreadable += u64::from(self.event.is_none());
                judge.findings.subscribed += u64::from(self.kind == Kind::Snapshot);
            }
            b"unsubscribed" => {}
            _ => judge.findings.unreadable += 1,
        }
    }

    fn see(&mut self, device_id: &[u8], ts: i64, judge: &mut Judge<'_>) {
        let Some(event) = self.event else { return };
        let Some(device) = judge.directory.device(event, number_of_name(device_id)) else { return };
        let newest = self.newest(event);
        if newest.len() <= device {
            newest.resize(device + 1, i64::MIN);
        }
        let before = newest[device];
        newest[device] = before.max(ts);
        if self.kind == Kind::Snapshot {
            judge.findings.snapshot_entries += 1;
            return;
        }
        judge.findings.positions += 1;
        if ts < before {
            let found = &mut *judge.findings;
            found.order_violations += 1;
            if found.violations_told.len() < VIOLATIONS_TOLD_MAX {
                let name = String::from_utf8_lossy(device_id);
                let viewer = judge.viewer;
                found.violations_told.push(format!("viewer {viewer}, {name}: {ts} after {before}"));
            }
        } else if ts > before {
            let ts_us = u64::try_from(ts).unwrap_or(0).saturating_mul(1_000);
            judge.freshness.record_us(judge.wall_us.saturating_sub(ts_us));
            if before > i64::MIN {
                judge.measure_gap(ts.abs_diff(before));
            }
        }
    }

    fn newest(&mut self, event: usize) -> &mut Vec<i64> {
        let place = self.newest.iter().position(|(known, _)| *known == event);
        let place = place.unwrap_or_else(|| {
            self.newest.push((event, Vec::new()));
            self.newest.len() - 1
        });
        &mut self.newest[place].1
    }
}

impl Judge<'_> {
    fn measure_gap(&mut self, gap_ms: u64) {
        let Some(longest_ms) = self.gap_ms else { return };
        self.findings.longest_gap_ms = self.findings.longest_gap_ms.max(gap_ms);
        self.findings.gaps += u64::from(gap_ms > longest_ms);
    }
}

/// The text behind a key, up to the next quotation mark.
fn text_of<'a>(entry: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    let rest = behind(entry, key)?;
    let end = rest.iter().position(|&byte| byte == b'"')?;
    Some(&rest[..end])
}

/// The time of an entry.
fn number_of(entry: &[u8]) -> Option<i64> {
    let rest = behind(entry, b"\"ts\":")?;
    let end = rest.iter().position(|byte| !byte.is_ascii_digit() && *byte != b'-')?;
    str::from_utf8(&rest[..end]).ok()?.parse().ok()
}

/// What follows a key, which has to begin with a rare byte to be found fast: a quotation mark or a
/// brace.
fn behind<'a>(entry: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    let (&first, _) = key.split_first()?;
    let mut rest = entry;
    loop {
        let at = rest.iter().position(|&byte| byte == first)?;
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix(key) {
            return Some(after);
        }
        rest = &rest[1..];
    }
}

/// A number for a device's name, one for each name of digits.
fn number_of_name(name: &[u8]) -> u64 {
    name.iter().fold(1, |number: u64, byte| {
        number.wrapping_mul(10).wrapping_add(u64::from(byte.wrapping_sub(b'0')))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::viewers::frames::TEXT;

    const EVENT: &str = "00000000-0000-4000-8000-000000000001";

    fn position(device: u32, ts: i64) -> String {
        format!(
            r#"{{"type":"position","topic":"event:{EVENT}","deviceId":"35630704240000{device}","lat":41.1,"lon":19.5,"ts":{ts},"speed":63}}"#
        )
    }

    fn snapshot(entries: &[(u32, i64)]) -> String {
        let entry = |(device, ts): &(u32, i64)| {
            format!(r#"{{"deviceId":"35630704240000{device}","lat":41.1,"lon":19.5,"ts":{ts}}}"#)
        };
        let entries: Vec<String> = entries.iter().map(entry).collect();
        let entries = entries.join(",");
        format!(
            r#"{{"type":"subscribed","topic":"event:{EVENT}","id":"a","snapshot":[{entries}]}}"#
        )
    }

    /// What a viewer finds who gets these texts at second 10, each in pieces of this size.
    fn findings_of(texts: &[String], piece_bytes: usize) -> (Findings, Timings) {
        let mut directory = Directory::new(&[EVENT.to_owned()]);
        let (mut findings, mut freshness) = (Findings::default(), Timings::default());
        let mut sight = Sight::default();
        for text in texts {
            let count = text.len().div_ceil(piece_bytes);
            for (at, bytes) in text.as_bytes().chunks(piece_bytes).enumerate() {
                let (is_first, is_last) = (at == 0, at + 1 == count);
                let piece = Piece { opcode: TEXT, bytes, is_first, is_last };
                let mut judge = Judge {
                    directory: &mut directory,
                    findings: &mut findings,
                    freshness: &mut freshness,
                    wall_us: 10_000_000,
                    gap_ms: Some(2_500),
                    viewer: 7,
                };
                sight.handle_text(&piece, &mut judge);
            }
        }
        (findings, freshness)
    }

    fn findings(texts: &[String]) -> Findings {
        let (whole, _) = findings_of(texts, 100_000);
        for piece_bytes in [1, 2, 7, 64, 200] {
            let (cut, _) = findings_of(texts, piece_bytes);
            assert_eq!(format!("{cut:?}"), format!("{whole:?}"), "{piece_bytes}");
        }
        whole
    }

    #[test]
    fn a_server_whose_time_goes_back_is_noticed() {
        let texts =
            [position(1, 5_000), position(2, 4_000), position(1, 6_000), position(1, 5_999)];
        let found = findings(&texts);
        assert_eq!((found.positions, found.order_violations), (4, 1));
        assert_eq!(found.violations_told, ["viewer 7, 356307042400001: 5999 after 6000"]);
    }

    #[test]
    fn what_follows_a_snapshot_must_not_be_older_than_it() {
        let texts = [snapshot(&[(1, 5_000), (2, 7_000)]), position(2, 6_999), position(1, 5_001)];
        let found = findings(&texts);
        assert_eq!((found.subscribed, found.snapshot_entries), (1, 2));
        assert_eq!(found.violations_told, ["viewer 7, 356307042400002: 6999 after 7000"]);
    }

    #[test]
    fn a_repeated_position_is_no_violation_and_no_news() {
        let texts = [snapshot(&[(1, 5_000)]), position(1, 5_000), position(1, 5_000)];
        let (found, freshness) = findings_of(&texts, 50);
        assert_eq!((found.positions, found.order_violations, found.gaps), (2, 0, 0));
        assert_eq!(freshness.percentiles().count, 0);
    }

    #[test]
    fn freshness_is_the_age_of_a_position_by_its_own_time() {
        let (_, freshness) = findings_of(&[position(1, 9_900), position(2, 9_500)], 1_000);
        let found = freshness.percentiles();
        assert_eq!(found.count, 2);
        assert!(found.p50_us.abs_diff(100_000) < 200 && found.longest_us.abs_diff(500_000) < 600);
    }

    #[test]
    fn gaps_are_counted_and_the_longest_is_told() {
        let texts =
            [position(1, 1_000), position(1, 2_000), position(1, 6_000), position(1, 7_000)];
        let found = findings(&texts);
        assert_eq!((found.gaps, found.longest_gap_ms), (1, 4_000));
    }

    #[test]
    fn errors_are_counted_by_code_and_what_is_not_of_the_protocol_is_unreadable() {
        let error = format!(
            r#"{{"type":"error","code":"forbidden","topic":"event:{EVENT}","message":"no"}}"#
        );
        let texts = [error, r#"{"type":"later"}"#.to_owned(), snapshot(&[]), position(1, 1)];
        let found = findings(&texts);
        assert_eq!(found.errors["forbidden"], 1);
        assert_eq!((found.unreadable, found.subscribed, found.positions), (1, 1, 1));
        let strange = position(1, 5).replace("0001\",\"deviceId", "0009\",\"deviceId");
        assert_eq!(findings(&[strange]).unreadable, 1);
    }
}
