//! What is written, byte for byte where it is short, and what names can do to it.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::{FileTypeExt as _, symlink};
use std::path::Path;

use super::form::{Form, Format};
use super::target::Target;
use super::{Driver, Fix, moment_us, time};

fn driver(name: &str) -> Driver {
    let imei = "356307042441013".to_owned();
    Driver { imei, name: Some(name.to_owned()), number: Some("7".to_owned()) }
}

fn fix(after_us: i64) -> Fix {
    Fix {
        time_us: 1_749_197_730_000_000 + after_us,
        latitude: 41.3275,
        longitude: -0.1,
        altitude: 120.5,
        angle: 214.0,
        speed: 63.0,
        satellites: 11,
        priority: 1,
        codec: "8E".to_owned(),
        attributes: "{\"1\":2}".to_owned(),
    }
}

fn written(format: Format, name: &str, fixes: &[Fix]) -> String {
    let mut out = Vec::new();
    let mut form = Form::new(format, &mut out);
    let driver = driver(name);
    form.begin("a <race> & \"more\"").unwrap();
    form.begin_track(&driver).unwrap();
    fixes.iter().for_each(|fix| form.fix(&driver, fix).unwrap());
    form.end_track(&driver).unwrap();
    form.end().unwrap();
    drop(form);
    String::from_utf8(out).unwrap()
}

#[test]
fn gpx_is_written_with_names_escaped() {
    let text = written(Format::Gpx, "<b>&\u{1}\n", &[fix(0)]);
    let expected = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<gpx version=\"1.1\" \
        creator=\"pitwall\" xmlns=\"http://www.topografix.com/GPX/1/1\">\n<metadata><name>a \
        &lt;race&gt; &amp; \"more\"</name></metadata>\n<trk><name>7 &lt;b&gt;&amp; </name>\
        <desc>356307042441013</desc><trkseg>\n<trkpt lat=\"41.3275\" lon=\"-0.1\">\
        <ele>120.5</ele><time>2025-06-06T08:15:30.000Z</time><sat>11</sat></trkpt>\n\
        </trkseg></trk>\n</gpx>\n";
    assert_eq!(text, expected);
}

#[test]
fn csv_quotes_what_needs_it_and_nothing_else() {
    let text = written(Format::Csv, "a \"b\", c\nd", &[fix(0)]);
    let line = text.split_once('\n').unwrap().1;
    assert_eq!(
        line,
        "356307042441013,7,\"a \"\"b\"\", c\nd\",2025-06-06T08:15:30.000Z,41.3275,-0.1,120.5,63,\
         214,11,1,8E,\"{\"\"1\"\":2}\"\n"
    );
}

#[test]
fn geojson_has_a_line_of_two_points_a_point_of_one_and_nothing_of_none() {
    let parsed = |fixes: &[Fix]| -> sonic_rs::Value {
        sonic_rs::from_str(&written(Format::GeoJson, "a \"b\"", fixes)).unwrap()
    };
    let text = |fixes: &[Fix]| sonic_rs::to_string(&parsed(fixes)).unwrap();
    assert!(text(&[]).contains("\"features\":[]"));
    let one = text(&[fix(0)]);
    assert!(one.contains("\"coordinates\":[-0.1,41.3275,120.5],\"type\":\"Point\""), "{one}");
    let two = text(&[fix(0), fix(1_000_000)]);
    for expected in [
        "\"coordinates\":[[-0.1,41.3275,120.5],[-0.1,41.3275,120.5]],\"type\":\"LineString\"",
        "\"coordTimes\":[\"2025-06-06T08:15:30.000Z\",\"2025-06-06T08:15:31.000Z\"]",
        "\"name\":\"a \\\"b\\\"\"",
    ] {
        assert!(two.contains(expected), "{expected} is missing in {two}");
    }
}

#[test]
fn a_long_track_is_several_lines_of_bounded_memory() {
    let fixes: Vec<Fix> = (0..100_001).map(fix).collect();
    let text = written(Format::GeoJson, "x", &fixes);
    assert_eq!((text.matches("\"LineString\"").count(), text.matches("\"Point\"").count()), (1, 1));
    let value: sonic_rs::Value = sonic_rs::from_str(&text).unwrap();
    drop(value);
}

#[test]
fn a_file_is_there_whole_or_not_at_all() {
    let path = std::env::temp_dir().join(format!("pitwall-export-{}.csv", std::process::id()));
    std::fs::write(&path, "before").unwrap();
    let mut target = Target::open(&path).unwrap();
    target.file().write_all(b"half").unwrap();
    drop(target);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "before");
    export(&path, "whole");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "whole");
    std::fs::remove_file(&path).unwrap();
    assert!(Target::open(Path::new("/nowhere/at/all")).is_err());
}

/// Writes `text` to `path` as an export does.
fn export(path: &Path, text: &str) {
    let mut target = Target::open(path).unwrap();
    target.file().write_all(text.as_bytes()).unwrap();
    target.finish().unwrap();
}

#[test]
fn a_link_stays_one_and_what_it_leads_to_is_written() {
    let folder = std::env::temp_dir().join(format!("pitwall-links-{}", std::process::id()));
    std::fs::create_dir_all(folder.join("elsewhere")).unwrap();
    let path = folder.join("race.csv");
    symlink("elsewhere/first", &path).unwrap();
    symlink(folder.join("elsewhere/race.csv"), folder.join("elsewhere/first")).unwrap();
    for text in ["nothing was there", "something was there"] {
        export(&path, text);
        assert!(std::fs::symlink_metadata(&path).unwrap().is_symlink());
        assert!(std::fs::symlink_metadata(folder.join("elsewhere/first")).unwrap().is_symlink());
        let written = std::fs::read_to_string(folder.join("elsewhere/race.csv")).unwrap();
        assert_eq!(written, text);
    }
    symlink("circle", folder.join("circle")).unwrap();
    assert!(Target::open(&folder.join("circle")).is_err());
    assert_eq!(std::fs::read_dir(folder.join("elsewhere")).unwrap().count(), 2, "no part is left");
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn what_is_no_file_is_written_to_and_stays_what_it_is() {
    let path = std::env::temp_dir().join(format!("pitwall-pipe-{}", std::process::id()));
    let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
    assert!(made.success());
    // Open for both, so that neither end waits for the other.
    let mut pipe = std::fs::File::options().read(true).write(true).open(&path).unwrap();
    export(&path, "whole");
    assert!(std::fs::symlink_metadata(&path).unwrap().file_type().is_fifo());
    let mut read = [0; 5];
    pipe.read_exact(&mut read).unwrap();
    assert_eq!(&read, b"whole");
    std::fs::remove_file(&path).unwrap();
    assert!(Target::open(&std::env::temp_dir()).is_err(), "a folder is no place to write to");
}

#[test]
fn moments_are_read_and_written_alike() {
    let us = moment_us("2025-06-06T08:15:30Z").unwrap();
    assert_eq!(time(us), "2025-06-06T08:15:30.000Z");
    assert_eq!(moment_us("2025-06-06T10:15:30+02:00").unwrap(), us);
    assert!(!moment_us("2025-06-06").unwrap_err().is_empty());
}
