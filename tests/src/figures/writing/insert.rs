//! The rival: `INSERT` of many rows with a parameter for each value.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::error::Error;

use bytes::BytesMut;
use engine::copy::{COLUMNS, JSONB_VERSION, timestamp_us};
use engine::rows::RowBatch;
use engine::teltonika::write_timestamp;
use tokio_postgres::types::{Format, IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Client, Statement};

/// The types of the columns in the order of [`engine::copy::COLUMNS`].
const TYPES: [Type; 11] = [
    Type::TEXT,
    Type::TIMESTAMPTZ,
    Type::FLOAT8,
    Type::FLOAT8,
    Type::FLOAT4,
    Type::FLOAT4,
    Type::FLOAT4,
    Type::INT2,
    Type::INT2,
    Type::TEXT,
    Type::JSONB,
];

/// Most rows of one statement: the protocol counts parameters in 16 bits.
const ROWS_MAX: usize = 65_535 / TYPES.len();

/// What was made for so many rows, and is used again.
#[derive(Default)]
pub(super) struct Insert {
    texts: HashMap<usize, String>,
    statements: HashMap<usize, Statement>,
}

impl Insert {
    /// As the service wrote that pitwall replaces: values as text, the statement read and planned
    /// anew for each batch.
    pub(super) async fn as_text(&mut self, client: &Client, batch: &RowBatch) {
        for rows in parts(batch) {
            let text = self.texts.entry(rows.len()).or_insert_with(|| text(rows.len()));
            let values: Vec<_> =
                rows.iter().flat_map(|&row| values(batch, row)).map(AsText).collect();
            let typed: Vec<(&(dyn ToSql + Sync), Type)> = values
                .iter()
                .zip(TYPES.iter().cycle())
                .map(|(value, kind)| (value as &(dyn ToSql + Sync), kind.clone()))
                .collect();
            let stored = client.execute_typed(text, &typed).await.expect("it is well");
            assert_eq!(stored, rows.len() as u64, "every row is stored");
        }
    }

    /// The best that can be made of it: values in binary, the statement read and planned once.
    pub(super) async fn prepared(&mut self, client: &Client, batch: &RowBatch) {
        for rows in parts(batch) {
            let statement = match self.statements.entry(rows.len()) {
                Entry::Occupied(entry) => entry.into_mut(),
                Entry::Vacant(entry) => {
                    entry.insert(client.prepare(&text(rows.len())).await.expect("it is well"))
                }
            };
            let values: Vec<_> = rows.iter().flat_map(|&row| values(batch, row)).collect();
            let stored = client.execute_raw(&*statement, values).await.expect("it is well");
            assert_eq!(stored, rows.len() as u64, "every row is stored");
        }
    }
}

fn parts(batch: &RowBatch) -> Vec<Vec<u32>> {
    let rows: Vec<u32> = (0..).take(batch.len()).collect();
    rows.chunks(ROWS_MAX).map(<[u32]>::to_vec).collect()
}

fn text(row_count: usize) -> String {
    let mut numbers = 1..;
    let row = |_| {
        let names = numbers.by_ref().take(TYPES.len()).map(|number| format!("${number}"));
        format!("({})", names.collect::<Vec<_>>().join(","))
    };
    let rows = (0..row_count).map(row).collect::<Vec<_>>().join(",");
    format!(
        "INSERT INTO positions ({COLUMNS}) VALUES {rows} ON CONFLICT (device_id, ts) DO NOTHING"
    )
}

/// One value of a row.
#[derive(Clone, Copy, Debug)]
enum Value<'a> {
    Text(&'a [u8]),
    Time(i64),
    Double(f64),
    Real(f32),
    Small(i16),
    Json(&'a [u8]),
}

/// The same, written as text.
#[derive(Clone, Copy, Debug)]
struct AsText<'a>(Value<'a>);

fn values(batch: &RowBatch, row: u32) -> [Value<'_>; 11] {
    let position = &batch.positions()[row as usize];
    [
        Value::Text(batch.device_id(row)),
        Value::Time(position.timestamp_ms),
        Value::Double(position.latitude),
        Value::Double(position.longitude),
        Value::Real(position.altitude),
        Value::Real(position.angle),
        Value::Real(position.speed),
        Value::Small(position.satellites.into()),
        Value::Small(position.priority.into()),
        Value::Text(position.codec.text().as_bytes()),
        Value::Json(batch.attributes(row)),
    ]
}

impl ToSql for Value<'_> {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self {
            Self::Text(text) => out.extend_from_slice(text),
            Self::Time(ms) => out.extend_from_slice(&timestamp_us(*ms).to_be_bytes()),
            Self::Double(number) => out.extend_from_slice(&number.to_be_bytes()),
            Self::Real(number) => out.extend_from_slice(&number.to_be_bytes()),
            Self::Small(number) => out.extend_from_slice(&number.to_be_bytes()),
            Self::Json(text) => {
                out.extend_from_slice(&[JSONB_VERSION]);
                out.extend_from_slice(text);
            }
        }
        Ok(IsNull::No)
    }

    fn accepts(kind: &Type) -> bool {
        TYPES.contains(kind)
    }

    to_sql_checked!();
}

impl ToSql for AsText<'_> {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self.0 {
            Value::Text(text) | Value::Json(text) => out.extend_from_slice(text),
            Value::Time(ms) => {
                let mut text = Vec::new();
                write_timestamp(u64::try_from(ms)?, &mut text).ok_or("a time of a race")?;
                out.extend_from_slice(&text);
            }
            Value::Double(number) => out.extend_from_slice(number.to_string().as_bytes()),
            Value::Real(number) => out.extend_from_slice(number.to_string().as_bytes()),
            Value::Small(number) => out.extend_from_slice(number.to_string().as_bytes()),
        }
        Ok(IsNull::No)
    }

    fn accepts(kind: &Type) -> bool {
        TYPES.contains(kind)
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Text
    }

    to_sql_checked!();
}
