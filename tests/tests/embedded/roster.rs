//! The roster while it is edited: what changes, what stays, and what is said about a slip.

use tests::client::page;
use tests::embedded::{Embedded, RACE, until};

use crate::device::{Device, imei, time_ms};

const RALLY: &str = "1f0c5b9a-6d3e-4c8a-9f3e-2b7d1a4e8c55";

fn rally(devices: &[usize]) -> String {
    let mut text = format!("[[event]]\nname = \"rally\"\nuuid = \"{RALLY}\"\n");
    for &number in devices {
        let imei = imei(number);
        text += &format!(
            "[[device]]\nimei = \"{imei}\"\nname = \"car {number}\"\nevents = [\"rally\"]\n"
        );
    }
    text
}

#[test]
fn a_device_that_is_registered_while_it_runs_is_shown_with_what_was_stored_before() {
    let embedded = Embedded::new(&[]);
    embedded.write_roster(&rally(&[1]));
    let mut embedded = embedded;
    embedded.launch();
    embedded.is_ready();
    let mut viewer = embedded.viewer();
    viewer.subscribe(RALLY, "");
    viewer.reply("subscribed");
    let mut device = Device::connect(embedded.devices, &imei(2)).unwrap();
    assert_eq!(device.deliver(&[time_ms(0)]).unwrap(), 1, "it is stored all the same");
    embedded.write_roster(&rally(&[1, 2]));
    let shown = viewer.message();
    assert_eq!((&shown["deviceId"], &shown["ts"]), (&imei(2).into(), &time_ms(0).into()));
    assert_eq!(device.deliver(&[time_ms(1)]).unwrap(), 1);
    assert_eq!(viewer.message()["ts"], time_ms(1));
}

#[test]
fn a_slip_is_named_with_line_and_column_and_the_roster_before_stays_in_use() {
    let mut embedded = Embedded::new(&[]);
    embedded.write_roster(&rally(&[1]));
    embedded.launch();
    embedded.is_ready();
    embedded.write_roster(&rally(&[1]).replace("events = [\"rally\"]", "events = [\"raly\"]"));
    embedded.shows("roster.toml line 7, column 11: there is no event");
    assert!(embedded.log().contains("line 7, column 11"), "{}", embedded.log());
    assert!(page(embedded.admin, "/readyz").starts_with("HTTP/1.1 200"), "it goes on");
    let mut viewer = embedded.viewer();
    viewer.subscribe(RALLY, "");
    viewer.reply("subscribed");
    let mut device = Device::connect(embedded.devices, &imei(1)).unwrap();
    assert_eq!(device.deliver(&[time_ms(0)]).unwrap(), 1);
    assert_eq!(viewer.message()["deviceId"], imei(1));
    embedded.write_roster(&rally(&[1, 2]));
    embedded.shows("2 devices are registered; there are 1 events.");
}

#[test]
fn a_first_start_with_a_slip_says_where_it_is_and_ends() {
    let mut embedded = Embedded::new(&[]);
    embedded.write_roster("[[event]]\nname = race\n");
    embedded.launch();
    assert_eq!(embedded.ended().code(), Some(78));
    assert!(embedded.log().contains("roster.toml line 2, column"), "{}", embedded.log());
}

#[test]
fn without_a_roster_every_device_drives_in_the_one_event_of_the_example() {
    let embedded = Embedded::start(&[]);
    let text = std::fs::read_to_string(embedded.folder().join("roster.toml")).unwrap();
    assert!(text.contains("devices = \"any\""), "{text}");
    let mut viewer = embedded.viewer();
    viewer.subscribe(RACE, "");
    viewer.reply("subscribed");
    for number in [5, 6] {
        let mut device = Device::connect(embedded.devices, &imei(number)).unwrap();
        device.deliver(&[time_ms(0)]).unwrap();
        assert_eq!(viewer.message()["deviceId"], imei(number), "from its first position on");
    }
    viewer.subscribe(RALLY, "x");
    assert_eq!(viewer.reply("error")["code"], "not-found");
}

#[test]
fn with_strict_only_devices_of_the_roster_may_send() {
    let mut embedded = Embedded::new(&[("DEVICE_AUTHORITY_MODE", "strict")]);
    embedded.write_roster(&rally(&[1]));
    embedded.launch();
    embedded.is_ready();
    assert!(Device::connect(embedded.devices, &imei(2)).is_err());
    let mut device = Device::connect(embedded.devices, &imei(1)).unwrap();
    assert_eq!(device.deliver(&[time_ms(0)]).unwrap(), 1);
    embedded.write_roster(&rally(&[1, 2]));
    until("the second one may", || Device::connect(embedded.devices, &imei(2)).is_ok());
}
