//! Our COPY bytes, judged by a real PostgreSQL: every column read back and compared.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::Cursor;
use std::pin::pin;

use engine::copy::{COLUMNS, CopyEncoder, encode_header, encode_rows, encode_trailer};
use engine::id::DeviceIndex;
use engine::limits::{
    ALTITUDE_MAX, ALTITUDE_MIN, ANGLE_MAX, COPY_PIECE_BYTES, DEVICE_ID_BYTES_MAX, SPEED_MAX,
    TIMESTAMP_MS_MAX, TIMESTAMP_MS_MIN,
};
use engine::position::{Codec, Position};
use engine::rows::{EntryId, Row, RowBatch};
use futures_util::{SinkExt, StreamExt};
use tests::postgres::{FAST, POSITIONS, Postgres};
use tokio_postgres::{Client, Error};

#[path = "copy/generate.rs"]
mod generate;

/// A row as it is pushed, and what its attributes must be in the database.
#[derive(Clone, Debug)]
struct Fix {
    device_id: String,
    position: Position,
    attributes: String,
    attributes_stored: String,
}

impl Fix {
    fn new(device_id: &str, timestamp_ms: i64) -> Self {
        let position = Position {
            timestamp_ms,
            latitude: 41.3275,
            longitude: 19.8187,
            altitude: 120.0,
            angle: 214.0,
            speed: 63.0,
            device: DeviceIndex::ORPHAN,
            satellites: 11,
            priority: 0,
            codec: Codec::Codec8Extended,
        };
        let (attributes, attributes_stored) = ("{}".to_owned(), "{}".to_owned());
        Self { device_id: device_id.to_owned(), position, attributes, attributes_stored }
    }

    fn with_attributes(mut self, attributes: &str, stored: &str) -> Self {
        self.attributes = attributes.to_owned();
        self.attributes_stored = stored.to_owned();
        self
    }
}

/// 2026-06-06 08:15:30 UTC.
const TS_MS: i64 = 1_780_733_730_000;

/// Runs a test with a database of its own that has the table and no rows.
fn with_table(test: impl AsyncFnOnce(&Client)) {
    let postgres = Postgres::start(FAST);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = postgres.connect().await;
        client.batch_execute(POSITIONS).await.unwrap();
        test(&client).await;
    });
}

fn batch(fixes: &[Fix]) -> (RowBatch, Vec<u32>) {
    let mut batch = RowBatch::new(10_000);
    for fix in fixes {
        let Fix { device_id, position, attributes, .. } = fix;
        let (entry, position, attributes) = (EntryId::default(), *position, attributes.as_bytes());
        batch.push(&Row { entry, device_id, position, attributes, redelivered: false }).unwrap();
    }
    let rows = (0..).take(fixes.len()).collect();
    (batch, rows)
}

fn encode(fixes: &[Fix]) -> Vec<u8> {
    let (batch, rows) = batch(fixes);
    let mut bytes = Vec::new();
    encode_header(&mut bytes);
    encode_rows(&batch, &rows, &mut bytes);
    encode_trailer(&mut bytes);
    bytes
}

/// Gives the pieces to the server, each in a message of its own.
async fn copy(client: &Client, pieces: impl Iterator<Item = Vec<u8>>) -> Result<u64, Error> {
    let statement = format!("COPY positions ({COLUMNS}) FROM STDIN (FORMAT binary)");
    let mut sink = pin!(client.copy_in::<_, Cursor<Vec<u8>>>(&statement).await?);
    for piece in pieces {
        sink.send(Cursor::new(piece)).await?;
    }
    sink.finish().await
}

/// Stores the rows in pieces of the size the server uses.
async fn store(client: &Client, fixes: &[Fix]) -> Result<u64, Error> {
    let (batch, rows) = batch(fixes);
    let mut encoder = CopyEncoder::new(&batch, &rows);
    let pieces = std::iter::from_fn(|| {
        let mut piece = Vec::new();
        encoder.poll_piece(&mut piece).then_some(piece)
    });
    copy(client, pieces).await
}

/// Compares every column of the table with the rows, which have no timestamp twice.
async fn check_stored(client: &Client, fixes: &[Fix]) {
    let mut fixes = fixes.to_vec();
    fixes.sort_by_key(|fix| fix.position.timestamp_ms);
    let expected: Vec<&str> = fixes.iter().map(|fix| fix.attributes_stored.as_str()).collect();
    let rows = client
        .query(
            "SELECT device_id, (extract(epoch FROM ts) * 1000000)::bigint, latitude, longitude,
                    altitude, angle, speed, satellites, priority, codec, attributes::text,
                    attributes = ($1::text[])[row_number() OVER (ORDER BY ts)]::jsonb,
                    faulty, ingested_at > now() - interval '1 hour'
             FROM positions ORDER BY ts",
            &[&expected],
        )
        .await
        .unwrap();
    assert_eq!(rows.len(), fixes.len());
    for (row, fix) in rows.iter().zip(&fixes) {
        let position = &fix.position;
        assert_eq!(row.get::<_, &str>(0), fix.device_id);
        assert_eq!(row.get::<_, i64>(1), position.timestamp_ms * 1_000, "{fix:?}");
        assert_eq!(row.get::<_, f64>(2).to_bits(), position.latitude.to_bits(), "{fix:?}");
        assert_eq!(row.get::<_, f64>(3).to_bits(), position.longitude.to_bits(), "{fix:?}");
        assert_eq!(row.get::<_, f32>(4).to_bits(), position.altitude.to_bits(), "{fix:?}");
        assert_eq!(row.get::<_, f32>(5).to_bits(), position.angle.to_bits(), "{fix:?}");
        assert_eq!(row.get::<_, f32>(6).to_bits(), position.speed.to_bits(), "{fix:?}");
        assert_eq!(row.get::<_, i16>(7), i16::from(position.satellites), "{fix:?}");
        assert_eq!(row.get::<_, i16>(8), i16::from(position.priority), "{fix:?}");
        assert_eq!(row.get::<_, &str>(9), position.codec.text(), "{fix:?}");
        let attributes = row.get::<_, &str>(10);
        assert!(row.get::<_, bool>(11), "stored {attributes} for {fix:?}");
        assert!(!row.get::<_, bool>(12), "only operators flag a position");
        assert!(row.get::<_, bool>(13), "the database says when it came");
    }
}

async fn check(client: &Client, fixes: &[Fix]) {
    client.batch_execute("TRUNCATE positions").await.unwrap();
    assert_eq!(store(client, fixes).await.unwrap(), u64::try_from(fixes.len()).unwrap());
    check_stored(client, fixes).await;
}

/// The example of the payload, as decoded.
fn example() -> Fix {
    Fix::new("356307042441013", TS_MS).with_attributes(
        r#"{"239":1,"66":12840,"16":{"__bigint":"18446744073709551615"},"385":{"__buffer_b64":"q83v"}}"#,
        r#"{"239":1,"66":12840,"16":"18446744073709551615","385":"q83v"}"#,
    )
}

#[test]
fn example_is_encoded_as_the_golden_bytes() {
    let text = include_str!("../data/copy/example.hex");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let digits: Vec<char> = lines.flat_map(str::chars).filter(|c| !c.is_whitespace()).collect();
    let expected: Vec<u8> = digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(&String::from_iter(pair), 16).unwrap())
        .collect();
    assert_eq!(encode(&[example()]), expected);
}

#[test]
fn sentinels_are_strings_in_the_database() {
    with_table(async |client| {
        check(client, &[example()]).await;
        let query = "SELECT attributes->>'16', attributes->>'385', attributes->>'239',
                            jsonb_typeof(attributes->'16'), jsonb_typeof(attributes->'385')
                     FROM positions";
        let row = client.query_one(query, &[]).await.unwrap();
        let texts: Vec<&str> = (0..5).map(|column| row.get(column)).collect();
        assert_eq!(texts, ["18446744073709551615", "q83v", "1", "string", "string"]);
    });
}

#[test]
fn texts_are_stored_byte_for_byte() {
    let longest = "\u{1f3c1}".repeat(DEVICE_ID_BYTES_MAX / 4);
    let texts = [
        "356307042441013",
        "0356307042441013",
        " 356307042441013 ",
        "\\N",
        "\\.",
        "\\",
        "\t",
        "\n",
        "\r\n",
        "'",
        "\"",
        "{}",
        "\u{1}",
        "\u{7f}",
        "\u{1f3c1}",
        "\u{202e}rtl\u{200f}",
        "e\u{301}",
        "\u{e9}",
        "\u{feff}",
        "\u{ffff}",
        "\u{10ffff}",
        "'; DROP TABLE positions; --",
        &longest,
    ];
    let fix = |(at, text): (i64, &&str)| {
        let quoted = serde_json::to_string(text).unwrap();
        let attributes = format!("{{{quoted}:{quoted},\"1\":{{\"__bigint\":\"-7\"}}}}");
        let stored = format!("{{{quoted}:{quoted},\"1\":\"-7\"}}");
        Fix::new(text, TS_MS + at).with_attributes(&attributes, &stored)
    };
    let fixes: Vec<Fix> = (0..).zip(&texts).map(fix).collect();
    with_table(async |client| check(client, &fixes).await);
}

#[test]
fn extremes_of_every_number_are_stored_bit_for_bit() {
    let mut fixes = Vec::new();
    let mut add = |change: &dyn Fn(&mut Position)| {
        let at = i64::try_from(fixes.len()).unwrap();
        let mut fix = Fix::new("356307042441013", TS_MS + at);
        change(&mut fix.position);
        fixes.push(fix);
    };
    for timestamp_ms in [TIMESTAMP_MS_MIN, TIMESTAMP_MS_MIN + 1, TIMESTAMP_MS_MAX, 1 << 40] {
        add(&|position| position.timestamp_ms = timestamp_ms);
    }
    let smallest = f64::from_bits(1);
    for degrees in [0.0, -0.0, 90.0, -90.0, 0.1, smallest, -smallest, 90.0_f64.next_down()] {
        add(&|position| position.latitude = degrees);
        add(&|position| position.longitude = degrees * 2.0);
    }
    for metres in [0.0, -0.0, ALTITUDE_MIN, ALTITUDE_MAX, 0.1, f32::from_bits(1)] {
        add(&|position| position.altitude = metres);
    }
    for number in [0.0, -0.0, 0.1, f32::from_bits(1), f32::MIN_POSITIVE] {
        add(&|position| (position.angle, position.speed) = (number, number));
    }
    add(&|position| (position.angle, position.speed) = (ANGLE_MAX, SPEED_MAX));
    for number in [0, 1, 127, 128, 255] {
        add(&|position| (position.satellites, position.priority) = (number, 255 - number));
    }
    for codec in [Codec::Codec8, Codec::Codec8Extended, Codec::Codec16] {
        add(&|position| position.codec = codec);
    }
    with_table(async |client| check(client, &fixes).await);
}

#[test]
fn database_would_write_the_same_bytes() {
    // Only with empty attributes: PostgreSQL writes jsonb with its own spaces and order.
    let fixes: Vec<Fix> = (0..500).map(|at| Fix::new(&format!("{at}"), TS_MS + at)).collect();
    with_table(async |client| {
        check(client, &fixes).await;
        let statement =
            format!("COPY (SELECT {COLUMNS} FROM positions ORDER BY ts) TO STDOUT (FORMAT binary)");
        let mut stream = pin!(client.copy_out(&statement).await.unwrap());
        let mut bytes = Vec::new();
        while let Some(piece) = stream.next().await {
            bytes.extend_from_slice(&piece.unwrap());
        }
        assert_eq!(bytes, encode(&fixes));
    });
}

#[test]
fn pieces_may_end_anywhere() {
    let fixes: Vec<Fix> = (0..40)
        .map(|at| Fix { position: Fix::new("", TS_MS + at).position, ..example() })
        .collect();
    with_table(async |client| {
        let bytes = encode(&fixes);
        for piece_bytes in [1, 2, 19, 20, 21, 4_096, 4_097, bytes.len() - 1, bytes.len()] {
            client.batch_execute("TRUNCATE positions").await.unwrap();
            let stored = copy(client, bytes.chunks(piece_bytes).map(<[u8]>::to_vec)).await;
            assert_eq!(stored.unwrap(), 40, "pieces of {piece_bytes}");
            check_stored(client, &fixes).await;
        }
    });
}

#[test]
fn copy_cut_inside_a_row_stores_nothing() {
    let bytes = encode(&[example()]);
    let header_bytes = encode(&[]).len() - 2;
    with_table(async |client| {
        for kept in 0..bytes.len() - 2 {
            let stored = copy(client, [bytes[..kept].to_vec()].into_iter()).await;
            // PostgreSQL does not miss the trailer before it has read a number of fields, which is
            // two bytes: there only the count of rows tells.
            let is_between_rows = kept == header_bytes || kept == header_bytes + 1;
            assert_eq!(stored.ok(), is_between_rows.then_some(0), "first {kept} bytes");
        }
        let count = client.query_one("SELECT count(*) FROM positions", &[]).await.unwrap();
        assert_eq!(count.get::<_, i64>(0), 0);
    });
}

#[test]
fn rows_larger_than_a_piece_are_stored() {
    let text = "x".repeat(COPY_PIECE_BYTES - 100);
    let attributes = format!("{{\"1\":\"{text}\"}}");
    let fixes: Vec<Fix> = (0..20)
        .map(|at| Fix::new("a", TS_MS + at).with_attributes(&attributes, &attributes))
        .collect();
    with_table(async |client| {
        check(client, &fixes).await;
        check(client, &[]).await;
    });
}

#[test]
fn ten_thousand_generated_rows_are_stored_as_they_are() {
    with_table(async |client| {
        for (seed, rows) in [(1, 1), (2, 9), (3, 90), (4, 900), (5, 4_000), (6, 5_000)] {
            println!("seed {seed}, {rows} rows");
            check(client, &generate::fixes(seed, rows)).await;
        }
    });
}

#[test]
fn every_number_that_decode_accepts_is_a_number_for_jsonb() {
    with_table(async |client| {
        let mut numbers: Vec<String> =
            generate::NUMBERS.iter().map(|number| (*number).to_owned()).collect();
        numbers.extend(generate::numbers(7, 10_000));
        println!("seed 7, {} numbers", numbers.len());
        let fixes: Vec<Fix> = (0..)
            .zip(numbers.chunks(100))
            .map(|(at, numbers)| {
                let attributes =
                    (0..).zip(numbers).map(|(id, n): (u32, _)| format!("\"{id}\":{n}"));
                let attributes = format!("{{{}}}", attributes.collect::<Vec<_>>().join(","));
                Fix::new("a", TS_MS + at).with_attributes(&attributes, &attributes)
            })
            .collect();
        check(client, &fixes).await;
        // Equal as decimal numbers of any length, not only as what a double makes of them.
        let row = client
            .query_one(
                "SELECT count(*) FROM (
                     SELECT attributes, row_number() OVER (ORDER BY ts) - 1 AS place FROM positions
                 ) AS stored, jsonb_each(attributes) AS attribute
                 WHERE jsonb_typeof(value) = 'number'
                   AND value::numeric = ($1::text[])[place * 100 + key::int + 1]::numeric",
                &[&numbers],
            )
            .await
            .unwrap();
        assert_eq!(row.get::<_, i64>(0), i64::try_from(numbers.len()).unwrap());
    });
}
