//! The store while it cannot be written to: nobody is answered, viewers see everything, and it heals.

use tests::client::page;
use tests::embedded::{Embedded, RACE, until};

use crate::device::{Device, imei, time_ms};
use crate::path::{row_count, store};

#[test]
fn while_the_file_is_locked_nobody_is_answered_and_viewers_see_everything() {
    let mut embedded = Embedded::start(&[]);
    let mut viewer = embedded.viewer();
    viewer.subscribe(RACE, "");
    viewer.reply("subscribed");
    let other = store(&embedded);
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut device = Device::connect(embedded.devices, &imei(1)).unwrap();
    device.send(&[time_ms(0)]).unwrap();
    assert_eq!(viewer.message()["ts"], time_ms(0));
    embedded.shows("SQLite refuses a commit: database is locked");
    let readyz = page(embedded.admin, "/readyz");
    assert!(readyz.starts_with("HTTP/1.1 503") && readyz.contains("keeps its records"), "{readyz}");
    assert!(page(embedded.admin, "/readyz?role=live").starts_with("HTTP/1.1 200"));
    assert!(!device.has_answer());
    let mut second = Device::connect(embedded.devices, &imei(2)).unwrap();
    second.send(&[time_ms(0), time_ms(1)]).unwrap();
    assert_eq!(viewer.message()["deviceId"], imei(2));
    other.execute_batch("ROLLBACK").unwrap();
    device.is_answered(1);
    second.is_answered(2);
    assert_eq!(row_count(&embedded), 3);
    until("it is well again", || page(embedded.admin, "/readyz").starts_with("HTTP/1.1 200"));
    assert!(embedded.end().success());
}
