//! The list of bad stream records, row by row: numbers and times.

use engine::decode::DecodeError::*;
use engine::decode::{Decoder, Field, JsonFault, TimestampFault};
use engine::position::Codec;

use super::records::{check, check_payload, see, with};

#[test]
fn d1_16_a_latitude_is_on_earth() {
    check_degrees(
        "latitude",
        Field::Latitude,
        &["90", "-90", "-0.0", "0", "9e1", "90.0"],
        &["90.0000001", "91", "-90.0000001", "1e400", "-1e400", "1e308"],
    );
}

#[test]
fn d1_17_a_longitude_is_on_earth() {
    check_degrees(
        "longitude",
        Field::Longitude,
        &["180", "-180", "-0.0", "1.8e2"],
        &["180.0000001", "181", "-180.0000001", "1e400"],
    );
}

fn check_degrees(name: &str, field: Field, good: &[&str], far: &[&str]) {
    for value in good {
        check(name, value, Ok(()));
        let expected: f64 = value.parse().expect("a number");
        let position = see(name, value, |decoded| decoded.position).0;
        let found = if name == "latitude" { position.latitude } else { position.longitude };
        assert_eq!(found.to_bits(), expected.to_bits());
    }
    for value in far {
        check(name, value, Err(OutOfRange(field)));
    }
    for value in ["\"41.3\"", "true", "[]", "{}"] {
        check(name, value, Err(NotNumber(field)));
    }
    for value in ["NaN", "Infinity", "", ".5", "+1"] {
        check(name, value, Err(Json(JsonFault::Syntax)));
    }
    for value in ["-Infinity", "0x10", "1.", "01", "1e"] {
        check(name, value, Err(Json(JsonFault::Number)));
    }
    check(name, "1,5", Err(Json(JsonFault::Syntax)));
    check(name, "1e401", Err(Json(JsonFault::NumberExponent)));
    check(name, &format!("1.{}", "0".repeat(63)), Err(Json(JsonFault::NumberTooLong)));
}

#[test]
fn d1_18_swapped_coordinates_are_stored() {
    let payload =
        with("latitude", "19.8187").replace("\"longitude\":19.8187", "\"longitude\":41.3275");
    check_payload(payload, Ok(()));
}

#[test]
fn d1_19_a_device_without_fix_is_known_as_such() {
    let payload = with("latitude", "0")
        .replace("19.8187", "-0.0")
        .replace("\"satellites\":11", "\"satellites\":0");
    let mut decoder = Decoder::new();
    let decoded = decoder.decode_payload(payload.as_bytes(), Codec::Codec8).unwrap();
    assert!(decoded.position.is_without_fix());
}

#[test]
fn d1_21_measured_numbers_are_moved_into_their_range_and_counted() {
    for (value, expected, clamped) in [
        ("-500", -500.0, 0),
        ("9000", 9000.0, 0),
        ("32767", 32_767.0, 0),
        ("65535", 32_767.0, 1),
        ("2147483648", 32_767.0, 1),
        ("-32768", -32_768.0, 0),
        ("-32769", -32_768.0, 1),
        ("1e400", 32_767.0, 1),
        ("-1e400", -32_768.0, 1),
    ] {
        assert_eq!(see("altitude", value, |d| d.position.altitude), (expected, clamped), "{value}");
    }
    for (value, expected, clamped) in [
        ("-1", 0.0, 1),
        ("0", 0.0, 0),
        ("400", 400.0, 0),
        ("65535", 65_535.0, 0),
        ("255.5", 255.5, 0),
        ("65536", 65_535.0, 1),
    ] {
        assert_eq!(see("speed", value, |d| d.position.speed), (expected, clamped), "{value}");
    }
    for (value, expected, clamped) in [
        ("359", 359.0, 0),
        ("360", 360.0, 0),
        ("-1", 0.0, 1),
        ("65535", 360.0, 1),
        ("360.5", 360.0, 1),
    ] {
        assert_eq!(see("angle", value, |d| d.position.angle), (expected, clamped), "{value}");
    }
    for (value, expected, clamped) in
        [("255", 255, 0), ("-1", 0, 1), ("256", 255, 1), ("1e400", 255, 1), ("-0.0", 0, 0)]
    {
        assert_eq!(
            see("satellites", value, |d| d.position.satellites),
            (expected, clamped),
            "{value}"
        );
        assert_eq!(see("priority", value, |d| d.position.priority), (expected, clamped), "{value}");
    }
}

#[test]
fn d1_22_a_timestamp_has_one_form() {
    for value in ["1780733730", "1780733730000", "1780733730000000", "true", "{}"] {
        check("timestamp", value, Err(NotText(Field::Timestamp)));
    }
    for (text, fault) in [
        ("2026-06-06T08:15:30.000", TimestampFault::ZoneMissing),
        ("2026-06-06T08:15:60.000Z", TimestampFault::TimeOfDay),
        ("2026-06-06T08:15:30.123456789Z", TimestampFault::TooFine),
        ("2026-06-06T08:15:30.000+24:00", TimestampFault::Zone),
        ("2026-06-31T08:15:30.000Z", TimestampFault::Date),
        ("1780733730000", TimestampFault::Form),
        ("2026-06-06T08:15:30.000000000000000000000000000000000000000000Z", TimestampFault::Form),
    ] {
        check("timestamp", &format!("\"{text}\""), Err(Timestamp(fault)));
    }
    for text in [
        "2026-06-06T10:15:30+02:00",
        "2026-06-06T08:15:30.000000000Z",
        "2026-06-06T08:15:30\\u005a",
    ] {
        let seen = see("timestamp", &format!("\"{text}\""), |d| d.position.timestamp_ms);
        assert_eq!(seen.0, 1_780_733_730_000);
    }
}

#[test]
fn d1_23_times_that_are_no_times_are_refused() {
    for (text, expected) in [
        ("1970-01-01T00:00:00.000Z", Err(TimestampFault::TooOld)),
        ("1980-01-06T00:00:00.000Z", Err(TimestampFault::TooOld)),
        ("2006-10-21T08:15:30.000Z", Ok(())),
        ("2038-01-19T03:14:08.000Z", Ok(())),
        ("2106-02-07T06:28:16.000Z", Err(TimestampFault::TooFar)),
        ("9999-12-31T23:59:59.999Z", Err(TimestampFault::TooFar)),
        ("294277-01-01T00:00:00.000Z", Err(TimestampFault::Form)),
        ("infinity", Err(TimestampFault::Form)),
    ] {
        check("timestamp", &format!("\"{text}\""), expected.map_err(Timestamp));
    }
    for value in ["0", "-1", "9223372036854775807"] {
        check("timestamp", value, Err(NotText(Field::Timestamp)));
    }
}

#[test]
fn d1_32_a_number_may_be_written_in_any_way() {
    for value in ["11", "11.0", "1.1e1", "110e-1", "0.11E+2"] {
        assert_eq!(see("satellites", value, |d| d.position.satellites), (11, 0), "{value}");
        assert_eq!(see("speed", value, |d| d.position.speed), (11.0, 0), "{value}");
    }
    for value in ["11.5", "0.1", "-0.5", "255.5", "300.5"] {
        check("satellites", value, Err(NotWhole(Field::Satellites)));
        check("priority", value, Err(NotWhole(Field::Priority)));
    }
    check("attributes", r#"{"1":9007199254740993,"2":1e3,"3":1E400,"4":-1e-400}"#, Ok(()));
    check("attributes", r#"{"1":1e401}"#, Err(Json(JsonFault::NumberExponent)));
    check("attributes", &format!("{{\"1\":{}}}", "9".repeat(64)), Ok(()));
    let longer = format!("{{\"1\":{}}}", "9".repeat(65));
    check("attributes", &longer, Err(Json(JsonFault::NumberTooLong)));
}

#[test]
fn d1_40_negative_coordinates_keep_their_sign() {
    assert_eq!(
        see("latitude", "-33.8674869", |d| d.position.latitude).0.to_string(),
        "-33.8674869"
    );
    let longitude = see("longitude", "-0.0000001", |d| d.position.longitude).0;
    assert_eq!(longitude.to_bits(), (-1e-7_f64).to_bits());
}
