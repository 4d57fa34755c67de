//! The store while it cannot be written to: nobody is answered, viewers see everything, and it heals.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use pitwall::Listeners;
use pitwall::config::Config;
use pitwall::context::Context;
use pitwall::embedded::StoreHandle;
use pitwall::log::Level;
use pitwall::shutdown::Shutdown;
use tests::client::{Client, page};
use tests::directory::Directory;
use tests::embedded::{Embedded, RACE, until};
use tests::lines::Lines;

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

#[test]
fn a_store_that_is_stopped_by_its_handle_answers_nobody_and_then_everybody() {
    let directory = Directory::new("stopped").unwrap();
    let mut config = Config::embedded(directory.path().join("race"));
    (config.live.port, config.ingest.port, config.admin.port) = (0, 0, 0);
    let listeners = Listeners::bind(&config).unwrap();
    let bound = |listener: &TcpListener| -> SocketAddr { listener.local_addr().unwrap() };
    let live = bound(listeners.live.as_ref().unwrap());
    let devices = bound(listeners.ingest.as_ref().unwrap());
    let admin = bound(&listeners.admin);
    let (log, _lines) = Lines::of(Level::Info, "stopped");
    let (shutdown, handle) = (Shutdown::default(), StoreHandle::default());
    let context = Context::new(config, log, shutdown.clone());
    let store = handle.clone();
    let program = std::thread::spawn(move || pitwall::run_with_store(context, listeners, store));
    until("it is ready", || page(admin, "/readyz").starts_with("HTTP/1.1 200"));
    let mut viewer = Client::connect(live, &[("Host", "localhost")]).unwrap();
    viewer.subscribe(RACE, "");
    viewer.reply("subscribed");
    handle.pause(Duration::from_secs(3_600));
    let mut device = Device::connect(devices, &imei(1)).unwrap();
    device.send(&[time_ms(0)]).unwrap();
    assert_eq!(viewer.message()["ts"], time_ms(0));
    until("it says so", || page(admin, "/readyz").contains("stopped on purpose"));
    assert!(!device.has_answer());
    handle.pause(Duration::ZERO);
    device.is_answered(1);
    until("it is well again", || page(admin, "/readyz").starts_with("HTTP/1.1 200"));
    shutdown.begin();
    program.join().unwrap().unwrap();
}
