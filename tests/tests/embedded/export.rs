//! Tracks out of the store, while it runs: in every form, parsed back.

use std::path::Path;

use tests::embedded::{Embedded, run, run_in};
use tests::platform;
use tests::scene::{DEVICE, EVENT, Scene};

use crate::device::{Device, imei, time_ms};

const ROSTER: &str = "[[event]]\nname = \"Rally <1>\"\n[[event]]\nname = \"all\"\ndevices = \"any\"\n\
    [[device]]\nimei = \"356307042400001\"\nname = \"Blue, \\\"fast\\\" & light\"\nnumber = 7\n\
    events = [\"Rally <1>\"]\n";

fn exported(folder: &Path, arguments: &[&str]) -> String {
    let (code, text, complaint) = run(&[&["export"], arguments].concat(), folder);
    assert_eq!(code, Some(0), "{complaint}");
    text
}

/// A process that has stored two positions of the first device and three of the second.
fn raced() -> Embedded {
    let mut embedded = Embedded::new(&[]);
    embedded.write_roster(ROSTER);
    embedded.launch();
    embedded.is_ready();
    for (number, times) in [(1, &[time_ms(1_000), time_ms(0)][..]), (2, &[0, 1, 2].map(time_ms))] {
        let mut device = Device::connect(embedded.devices, &imei(number)).unwrap();
        assert_eq!(device.deliver(times).unwrap() as usize, times.len());
    }
    embedded
}

#[test]
fn an_event_is_exported_in_each_form_and_reads_back_as_it_was() {
    let embedded = raced();
    let folder = embedded.folder();
    let csv = exported(&folder, &["--event", "Rally <1>", "--format", "csv"]);
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines.len(), 3, "a header and two positions in order: {csv}");
    assert!(lines[1].starts_with(
        "356307042400001,7,\"Blue, \"\"fast\"\" & light\",2025-06-06T08:15:30.000Z,41.3275,19.8187,"
    ));
    assert!(lines[1].ends_with("\"{\"\"16\"\":\"\"18446744073709551615\"\",\"\"239\"\":1}\""));
    let text = exported(&folder, &["--event", "Rally <1>", "--format", "geojson"]);
    let geojson: serde_json::Value = serde_json::from_str(&text).unwrap();
    let feature = &geojson["features"][0];
    assert_eq!(feature["geometry"]["type"], "LineString");
    assert_eq!(feature["geometry"]["coordinates"][1], serde_json::json!([19.8187, 41.3275, 120]));
    assert_eq!(feature["properties"]["name"], "Blue, \"fast\" & light");
    assert_eq!(feature["properties"]["coordTimes"].as_array().unwrap().len(), 2);
    let gpx = exported(&folder, &["--event", "Rally <1>", "--format", "gpx"]);
    assert!(gpx.contains("<name>7 Blue, \"fast\" &amp; light</name>"), "{gpx}");
    assert!(gpx.contains("<metadata><name>Rally &lt;1&gt;</name></metadata>"), "{gpx}");
    assert_eq!(gpx.matches("<trkpt lat=\"41.3275\" lon=\"19.8187\">").count(), 2);
}

#[test]
fn a_range_a_device_and_an_event_of_all_devices_choose_what_is_exported() {
    let embedded = raced();
    let folder = embedded.folder();
    let count = |arguments: &[&str]| {
        let csv = exported(&folder, &[arguments, &["--format", "csv"]].concat());
        csv.lines().count() - 1
    };
    assert_eq!(count(&["--event", "all"]), 5);
    assert_eq!(count(&["--event", "all", "--device", "356307042400002"]), 3);
    assert_eq!(count(&["--device", "356307042400002"]), 3);
    let at = |ms: &str| format!("2025-06-06T08:15:30.{ms}Z");
    assert_eq!(count(&["--event", "all", "--from", &at("001")]), 3, "from that moment on");
    assert_eq!(count(&["--event", "all", "--to", &at("001")]), 2, "before that moment");
    assert_eq!(count(&["--event", "all", "--from", &at("001"), "--to", &at("002")]), 1);
}

#[test]
fn an_export_to_a_file_says_how_much_and_one_that_cannot_be_says_why() {
    let embedded = raced();
    let folder = embedded.folder();
    let file = folder.join("race.gpx");
    let path = file.to_str().unwrap();
    let said = exported(&folder, &["--event", "all", "--format", "gpx", "--output", path]);
    assert_eq!(said, format!("5 positions of 2 devices are in {path}.\n"));
    assert!(std::fs::read_to_string(&file).unwrap().ends_with("</gpx>\n"));
    for (arguments, expected) in [
        (&["--event", "x", "--format", "csv"][..], "Its events are: Rally <1>, all."),
        (
            &["--event", "Rally <1>", "--device", "356307042400002", "--format", "csv"],
            "is not registered to event Rally <1>",
        ),
        (&["--event", "all", "--format", "csv", "--output", "/nowhere/x"], "cannot be written"),
    ] {
        let (code, text, complaint) = run(&[&["export"], arguments].concat(), &folder);
        assert_eq!((code, text.as_str()), (Some(1), ""), "{complaint}");
        assert!(complaint.contains(expected), "{complaint}");
    }
    let (code, _, complaint) =
        run(&["export", "--event", "all", "--format", "csv"], Path::new("/nowhere"));
    assert_eq!(code, Some(1));
    assert!(complaint.contains("EMBEDDED_DIR"), "{complaint}");
}

#[test]
fn a_platforms_event_is_exported_from_postgresql_without_what_is_flagged() {
    let scene = Scene::new();
    let at = |after_ms: u64| i64::try_from(time_ms(after_ms)).unwrap();
    scene.sql(async |client| {
        for index in 0..5_003 {
            platform::add_position(client, DEVICE, at(index), (41.3275, 19.8187)).await;
        }
        platform::set_faulty(client, DEVICE, at(1), true).await;
    });
    let environment = scene.environment();
    let export = |arguments: &[&str]| run_in(&environment, &[&["export"], arguments].concat());
    let (code, csv, complaint) = export(&["--event", EVENT, "--format", "csv"]);
    assert_eq!(code, Some(0), "{complaint}");
    assert_eq!(csv.lines().count() - 1, 5_002, "more than one stretch, without the flagged one");
    let expected =
        format!("{DEVICE},7,,2025-06-06T08:15:30.000Z,41.3275,19.8187,120,63,214,11,0,8,{{}}");
    assert_eq!(csv.lines().nth(1), Some(&*expected));
    let (code, csv, _) =
        export(&["--device", DEVICE, "--format", "csv", "--to", "2025-06-06T08:15:30.003Z"]);
    assert_eq!((code, csv.lines().count() - 1), (Some(0), 2));
    let (code, _, complaint) = export(&["--event", "Race", "--format", "csv"]);
    assert_eq!(code, Some(1));
    assert!(complaint.contains("Several events are called Race"), "{complaint}");
}
