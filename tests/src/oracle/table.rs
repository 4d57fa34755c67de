//! What there is in the database, row by row beside the records that could have become that row.

use std::collections::HashMap;

use tokio_postgres::{Client, Row};

use super::verdict::{Verdict, Wrong};
use crate::producer::{Entry, Kind, Log, Record};

/// Rows read at a time.
const PAGE: usize = 10_000;

/// The records that have one device and one time, and the rows.
#[derive(Debug, Default)]
pub(super) struct Group {
    /// Places in the log, in order.
    pub(super) records: Vec<usize>,
    pub(super) rows: u64,
    /// The record whose values the first of the rows has.
    pub(super) stands: Option<usize>,
}

/// All rows of the table, sorted by what was produced.
#[derive(Debug)]
pub(super) struct Table<'a> {
    log: &'a Log,
    /// Numbers of devices by IMEI.
    devices: HashMap<String, u32>,
    groups: HashMap<(u32, i64), Group>,
}

impl<'a> Table<'a> {
    /// Reads the whole table, at one moment.
    pub(super) async fn read(log: &'a Log, database: &Client, verdict: &mut Verdict) -> Self {
        let mut table = Self { log, devices: HashMap::new(), groups: HashMap::new() };
        for (place, record) in log.records.iter().enumerate() {
            if may_be_stored(record) {
                table.devices.entry(record.device_id()).or_insert(record.device);
                let group = table.groups.entry((record.device, record.ts_ms)).or_default();
                group.records.push(place);
            }
        }
        let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
            DECLARE rows NO SCROLL CURSOR FOR SELECT device_id,
                (extract(epoch FROM ts) * 1000000)::bigint, latitude, longitude, altitude, angle,
                speed, satellites, priority, codec, attributes::text FROM positions";
        database.batch_execute(begin).await.expect("the table can be read");
        let counts = "SELECT count(*), count(DISTINCT (device_id, ts)) FROM positions";
        let counts = database.query_one(counts, &[]).await.expect("the table can be counted");
        let count = |at| u64::try_from(counts.get::<_, i64>(at)).expect("a count");
        (verdict.rows, verdict.rows_distinct) = (count(0), count(1));
        let fetch = format!("FETCH {PAGE} FROM rows");
        loop {
            let rows = database.query(&fetch, &[]).await.expect("the table can be read");
            if rows.is_empty() {
                break;
            }
            rows.iter().for_each(|row| table.see(row, verdict));
        }
        database.batch_execute("COMMIT").await.expect("nothing was changed");
        table
    }

    /// What is stored of the device and time of a record.
    pub(super) fn group(&self, record: &Record) -> Option<&Group> {
        self.groups.get(&(record.device, record.ts_ms))
    }

    fn see(&mut self, row: &Row, verdict: &mut Verdict) {
        let (device_id, us): (&str, i64) = (row.get(0), row.get(1));
        let key = self.devices.get(device_id).map(|device| (*device, us.div_euclid(1_000)));
        let group = key.and_then(|key| self.groups.get_mut(&key)).filter(|_| us % 1_000 == 0);
        let Some(group) = group else {
            verdict.add(Wrong::RowOfNothing, || format!("{device_id} at {us} µs"));
            return;
        };
        group.rows += 1;
        if group.rows > 1 {
            verdict.add(Wrong::StoredTwice, || format!("{device_id} at {us} µs"));
            return;
        }
        // One that is known to exist, if any such has these values.
        let records = &self.log.records;
        let alike = || group.records.iter().copied().filter(|&at| is_alike(row, &records[at]));
        let known = alike().find(|&at| records[at].entry != Entry::Perhaps);
        group.stands = known.or_else(|| alike().next());
        if group.stands.is_none() {
            verdict.add(Wrong::ValuesChanged, || format!("{device_id} at {us} µs: {row:?}"));
        }
    }
}

fn may_be_stored(record: &Record) -> bool {
    record.kind != Kind::Undecodable && record.entry != Entry::Nowhere
}

/// True when a row is what the record says, to the last digit.
fn is_alike(row: &Row, record: &Record) -> bool {
    let values = record.values;
    let attributes = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
    let degrees = |e7: i32| (f64::from(e7) / 1e7).to_bits();
    let metric = |value: f32| value.to_bits();
    row.get::<_, f64>(2).to_bits() == degrees(values.latitude_e7)
        && row.get::<_, f64>(3).to_bits() == degrees(values.longitude_e7)
        && row.get::<_, f32>(4).to_bits() == metric(f32::from(values.altitude))
        && row.get::<_, f32>(5).to_bits() == metric(f32::from(values.angle))
        && row.get::<_, f32>(6).to_bits() == metric(f32::from(values.speed))
        && row.get::<_, i16>(7) == i16::from(values.satellites)
        && row.get::<_, i16>(8) == record.priority()
        && row.get::<_, &str>(9) == record.codec()
        && attributes(row.get(10)) == attributes(&record.stored_attributes())
}
