//! Finished frames against a format string, and numbers against the general writer.

use engine::frame::{encode, entry, head};
use engine::id::EventId;
use engine::position::Position;
use proptest::prelude::*;

fn number(value: f64) -> String {
    ryu_js::Buffer::new().format(value).to_owned()
}

fn small(value: f32) -> String {
    ryu_js::Buffer::new().format(value).to_owned()
}

fn check(position: &Position, event: u128) {
    let event = EventId(event);
    let (latitude, longitude) = (number(position.latitude), number(position.longitude));
    let mut shared = format!(
        r#""deviceId":"d","lat":{latitude},"lon":{longitude},"ts":{}"#,
        position.timestamp_ms
    );
    if position.speed != 0.0 {
        shared += &format!(r#","speed":{}"#, small(position.speed));
    }
    if position.angle != 0.0 {
        shared += &format!(r#","course":{}"#, small(position.angle));
    }
    shared.push('}');
    let payload = format!(r#"{{"type":"position","topic":"event:{event}",{shared}"#);
    let mut frame = b"before".to_vec();
    encode(&mut frame, &head(event), b"d", position);
    let frame = &frame[b"before".len()..];
    let mut expected = vec![0x81];
    match u8::try_from(payload.len()) {
        Ok(length @ 0..=125) => expected.push(length),
        _ => {
            expected.push(126);
            expected.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
        }
    }
    expected.extend(payload.as_bytes());
    assert_eq!(String::from_utf8_lossy(frame), String::from_utf8_lossy(&expected));
    assert_eq!(String::from_utf8_lossy(entry(frame)), shared);
    let read: f64 = latitude.parse().unwrap();
    assert!(read == position.latitude, "{latitude} reads back as {read}");
}

fn degrees(limit: f64) -> impl Strategy<Value = f64> {
    let units = (limit * 1e7) as i64;
    prop_oneof![
        6 => (-units..=units).prop_map(|units| units as f64 / 1e7),
        2 => -limit..=limit,
        1 => (-100..100_i64).prop_map(|units| units as f64 / 1e7),
        1 => prop::sample::select(vec![0.0, -0.0, limit, -limit, f64::MIN_POSITIVE, 5e-324, 1e-6]),
    ]
}

fn small_number(limit: f32) -> impl Strategy<Value = f32> {
    prop_oneof![
        3 => (0..=limit as u32).prop_map(|whole| whole as f32),
        1 => 0.0..=limit,
        1 => prop::sample::select(vec![0.0, -0.0, 0.1, 1e-7, 255.5, f32::MIN_POSITIVE]),
    ]
}

#[test]
fn frames_are_what_a_format_string_makes_of_them() {
    let numbers = (degrees(90.0), degrees(180.0), small_number(65_535.0), small_number(360.0));
    let cases = (numbers, prop_oneof![0..4_102_444_800_000_i64, 0..99_i64], any::<u128>());
    super::runner()
        .run(&cases, |((latitude, longitude, speed, angle), timestamp_ms, event)| {
            let base = super::position(timestamp_ms);
            check(&Position { latitude, longitude, speed, angle, ..base }, event);
            Ok(())
        })
        .unwrap();
}
