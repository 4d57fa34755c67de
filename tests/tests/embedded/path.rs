//! The whole way: a device sends, is answered, its row is in the file, its frame at a viewer.

use engine::position::Codec;
use rusqlite::Connection;
use tests::embedded::{Embedded, RACE};

use crate::device::{Device, LATITUDE, imei, time_ms};

/// The store of a process, as another program sees it.
pub(crate) fn store(embedded: &Embedded) -> Connection {
    let connection = Connection::open(embedded.folder().join("pitwall.sqlite")).unwrap();
    connection.busy_timeout(std::time::Duration::from_secs(30)).unwrap();
    connection
}

/// How many rows it has.
pub(crate) fn row_count(embedded: &Embedded) -> u64 {
    let count = "SELECT count(*) FROM positions";
    let count: i64 = store(embedded).query_row(count, [], |row| row.get(0)).unwrap();
    u64::try_from(count).unwrap()
}

#[test]
fn a_record_of_each_codec_is_answered_stored_and_shown() {
    let embedded = Embedded::start(&[]);
    let mut viewer = embedded.viewer();
    viewer.subscribe(RACE, "1");
    assert_eq!(viewer.reply("subscribed")["snapshot"].as_array().unwrap().len(), 0);
    for (number, (codec, text, generation)) in [
        (Codec::Codec8, "8", ""),
        (Codec::Codec8Extended, "8E", ""),
        (Codec::Codec16, "16", ",\"__generation_type\":5"),
    ]
    .into_iter()
    .enumerate()
    {
        let imei = imei(number);
        let mut device = Device::with_codec(embedded.devices, &imei, codec).unwrap();
        assert_eq!(device.deliver(&[time_ms(0)]).unwrap(), 1);
        let row: (String, f64, f64, f64, String) = store(&embedded)
            .query_row(
                "SELECT codec, latitude, speed, altitude, attributes FROM positions
                 WHERE device_id = ?1 AND ts = ?2 AND faulty = 0 AND ingested_at > ts",
                rusqlite::params![imei, i64::try_from(time_ms(0)).unwrap()],
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)),
            )
            .unwrap();
        let attributes = format!("{{\"16\":\"18446744073709551615\",\"239\":1{generation}}}");
        assert_eq!(row, (text.to_owned(), LATITUDE, 63.0, 120.0, attributes));
        let shown = viewer.message();
        assert_eq!((&shown["type"], &shown["deviceId"]), (&"position".into(), &imei.into()));
        assert_eq!((&shown["lat"], &shown["speed"]), (&LATITUDE.into(), &63.into()));
        assert_eq!(shown["ts"], time_ms(0));
    }
}

#[test]
fn after_a_restart_a_snapshot_shows_what_was_stored_and_a_record_sent_again_is_a_duplicate() {
    let mut embedded = Embedded::start(&[]);
    let mut device = Device::connect(embedded.devices, &imei(1)).unwrap();
    assert_eq!(device.deliver(&[time_ms(1), time_ms(2), time_ms(0)]).unwrap(), 3);
    let mut viewer = embedded.viewer();
    viewer.subscribe(RACE, "");
    viewer.reply("subscribed");
    assert!(embedded.end().success(), "{}", embedded.log());
    assert_eq!(viewer.closed().0, 1012);
    embedded.launch();
    embedded.is_ready();
    tests::embedded::until("the slot is warm", || {
        let mut viewer = embedded.viewer();
        viewer.subscribe(RACE, "");
        viewer.reply("subscribed")["snapshot"][0]["ts"] == time_ms(2)
    });
    let mut device = Device::connect(embedded.devices, &imei(1)).unwrap();
    assert_eq!(device.deliver(&[time_ms(2), time_ms(3)]).unwrap(), 2);
    assert_eq!(row_count(&embedded), 4);
}

#[test]
fn a_record_that_is_no_position_is_kept_aside_and_its_device_goes_on() {
    let embedded = Embedded::start(&[]);
    let mut device = Device::connect(embedded.devices, &imei(1)).unwrap();
    assert_eq!(device.deliver(&[0, time_ms(0)]).unwrap(), 2);
    assert_eq!(row_count(&embedded), 1);
    let (device_id, payload): (String, String) = store(&embedded)
        .query_row("SELECT device_id, payload FROM refused", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .unwrap();
    assert_eq!(device_id, imei(1));
    assert!(payload.contains("1970-01-01T00:00:00.000Z"), "{payload}");
}
