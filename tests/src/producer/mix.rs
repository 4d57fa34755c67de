//! Which record comes next: chance that its seed decides wholly.

use loadgen::random::Random;

use super::record::{Entry, Kind, Record, Values};

/// What a producer produces. Parts are out of a thousand records; the rest are new fixes.
#[derive(Clone, Copy, Debug)]
pub struct Mix {
    /// Decides everything but ids.
    pub seed: u64,
    /// Devices that take turns at random, numbered from 1.
    pub devices: u32,
    /// The time of each device's first fix; from there, new ones go on by a second each, and late
    /// ones go back.
    pub start_ms: i64,
    /// Parts of [`Kind::Late`].
    pub late: u32,
    /// Parts of [`Kind::Duplicate`].
    pub duplicates: u32,
    /// Parts of [`Kind::Undecodable`].
    pub undecodable: u32,
    /// Parts of [`Kind::Refused`].
    pub refused: u32,
    /// How long the stream may become, about; any length if `None`.
    pub length_max: Option<u64>,
}

/// How far back a record may be that is repeated.
const REPEATED_RECORDS: usize = 1_000;

/// 2026-06-06.
const START_MS: i64 = 1_780_704_000_000;

impl Mix {
    /// New fixes of fifty devices and nothing else.
    #[must_use]
    pub const fn plain(seed: u64) -> Self {
        Self {
            seed,
            devices: 50,
            start_ms: START_MS,
            late: 0,
            duplicates: 0,
            undecodable: 0,
            refused: 0,
            length_max: None,
        }
    }

    /// What a race day brings: late fixes, duplicates, and now and then something undecodable.
    #[must_use]
    pub const fn rough(seed: u64) -> Self {
        Self { late: 50, duplicates: 50, undecodable: 4, ..Self::plain(seed) }
    }
}

/// The state of the chance.
#[derive(Debug)]
pub(super) struct Chance {
    mix: Mix,
    random: Random,
    /// The oldest and the newest time of each device.
    spans: Vec<(i64, i64)>,
    /// Places in the log of records that are stored, the last ones of them.
    stored: Vec<usize>,
}

impl Chance {
    pub(super) fn new(mix: Mix) -> Self {
        // A late fix of a device without any other goes one second before its start.
        let spans = vec![(mix.start_ms, mix.start_ms - 1_000); mix.devices as usize];
        Self { mix, random: Random::new(mix.seed), spans, stored: Vec::new() }
    }

    /// The record that follows those of the log.
    pub(super) fn next(&mut self, log: &[Record]) -> Record {
        let number = u32::try_from(log.len()).expect("a log is not that long");
        let kind = self.kind();
        if kind == Kind::Duplicate
            && let Some(&repeated) = self.one_of_stored()
        {
            let repeated = &log[repeated];
            let is_same = self.random.below(2) == 0;
            let values = if is_same { repeated.values } else { self.values(number) };
            return Record { number, entry: Entry::Perhaps, kind, values, ..*repeated };
        }
        let device = self.random.below(self.mix.devices);
        let (oldest_ms, newest_ms) = &mut self.spans[device as usize];
        let ts_ms = if kind == Kind::Late {
            *oldest_ms -= 1_000;
            *oldest_ms
        } else {
            *newest_ms += 1_000;
            *newest_ms
        };
        // The first one has nothing to repeat.
        let kind = if kind == Kind::Duplicate { Kind::New } else { kind };
        let values = self.values(number);
        Record { number, entry: Entry::Perhaps, device: device + 1, ts_ms, kind, values }
    }

    /// Takes note that a record stands at this place of the log.
    pub(super) fn note(&mut self, place: usize, record: &Record) {
        if matches!(record.kind, Kind::New | Kind::Late) {
            if self.stored.len() < REPEATED_RECORDS {
                self.stored.push(place);
            } else {
                self.stored[place % REPEATED_RECORDS] = place;
            }
        }
    }

    fn one_of_stored(&mut self) -> Option<&usize> {
        let count = u32::try_from(self.stored.len()).expect("at most a thousand");
        // Drawn in any case, so that what follows does not depend on it.
        let at = self.random.below(count.max(1));
        self.stored.get(at as usize)
    }

    fn kind(&mut self) -> Kind {
        let mut at = self.random.below(1_000);
        let Mix { late, duplicates, undecodable, refused, .. } = self.mix;
        for (parts, kind) in [
            (late, Kind::Late),
            (duplicates, Kind::Duplicate),
            (undecodable, Kind::Undecodable),
            (refused, Kind::Refused),
        ] {
            if at < parts {
                return kind;
            }
            at -= parts;
        }
        Kind::New
    }

    fn values(&mut self, told_number: u32) -> Values {
        let random = &mut self.random;
        let small = |random: &mut Random, bound: u16| {
            u16::try_from(random.below(u32::from(bound))).expect("it is below")
        };
        Values {
            latitude_e7: 413_275_000 + random.below(1_000_000).cast_signed(),
            longitude_e7: 198_187_000 + random.below(1_000_000).cast_signed(),
            altitude: small(random, 3_000).cast_signed() - 100,
            angle: small(random, 360),
            speed: small(random, 200),
            satellites: u8::try_from(small(random, 20)).expect("it is below") + 1,
            told_number,
        }
    }
}
