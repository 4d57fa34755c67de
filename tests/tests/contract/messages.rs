//! 1.4 What the server says, byte by byte: golden frames that other languages can read, too.

use tests::entries::Fix;
use tests::scene::{DEVICE, EVENT, Scene};

/// One line each: `name<TAB>bytes of the message`; `{ts}` stands for the time of the fix.
const GOLDEN: &str = include_str!("../../data/contract/frames.tsv");

fn golden(name: &str, ts_ms: i64) -> String {
    let line = GOLDEN.lines().find_map(|line| line.split_once('\t').filter(|(n, _)| *n == name));
    let (_, text) = line.unwrap_or_else(|| panic!("{name} is not in frames.tsv"));
    text.replace("{ts}", &ts_ms.to_string())
}

/// The next text message, as bytes.
fn text(viewer: &mut tests::client::Client) -> String {
    let heard = viewer.hear().unwrap();
    assert_eq!(heard.opcode, 1, "{heard:?}");
    String::from_utf8(heard.payload).unwrap()
}

#[test]
fn a_position_is_the_same_bytes_in_a_frame_and_in_a_snapshot() {
    let mut scene = Scene::new();
    let live = scene.start();
    let mut viewer = scene.viewer(&live);
    viewer.subscribe(EVENT, "");
    assert_eq!(text(&mut viewer), golden("subscribed without positions", 0));
    let usual = Fix::new(DEVICE, scene.now_ms());
    let still = Fix { speed: 0, angle: 0, ts_ms: usual.ts_ms + 1, ..usual.clone() };
    let whole = Fix { latitude: 41.0, longitude: -20.0, ts_ms: usual.ts_ms + 2, ..usual.clone() };
    for (fix, frame, snapshot) in [
        (usual, "position", "subscribed"),
        (still, "position that stands still", "subscribed that stands still"),
        (whole, "position on whole degrees", "subscribed on whole degrees"),
    ] {
        scene.publish(&fix);
        assert_eq!(text(&mut viewer), golden(frame, fix.ts_ms));
        viewer.subscribe(EVENT, "again");
        assert_eq!(text(&mut viewer), golden(snapshot, fix.ts_ms));
    }
}

#[test]
fn the_other_messages_are_as_the_contract_writes_them() {
    let scene = Scene::new();
    let live = scene.start();
    let mut viewer = scene.viewer(&live);
    viewer.unsubscribe(EVENT, "u1");
    assert_eq!(text(&mut viewer), golden("unsubscribed", 0));
    viewer.unsubscribe(EVENT, "");
    assert_eq!(text(&mut viewer), golden("unsubscribed without id", 0));
    viewer.say(r#"{"type":"subscribe","topic":"race:1","id":"r"}"#);
    assert_eq!(text(&mut viewer), golden("unknown topic", 0));
}

#[test]
fn golden_frames_are_one_json_object_a_line() {
    for line in GOLDEN.lines() {
        let (name, text) = line.split_once('\t').unwrap();
        let text = text.replace("{ts}", "1780733730000");
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert!(value["type"].is_string(), "{name}");
    }
}
