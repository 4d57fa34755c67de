//! A program that listens to devices, and what is asked of it and of the servers around it.

use pitwall::config::{Config, Roles};
use serde_json::Value;
use tests::client::page;
use tests::entries::STREAM;
use tests::live::Live;
use tests::scene::Scene;
use tests::tracker::Tracker;

/// The settings of one that listens to devices and does nothing else.
pub(crate) fn config(scene: &Scene) -> Config {
    Config { roles: Roles::INGEST, ..scene.config() }
}

/// Starts one that listens to devices and does nothing else, and waits until it is ready.
pub(crate) fn start(scene: &Scene) -> Live {
    scene.start_with(config(scene))
}

/// How many entries the stream has.
pub(crate) fn entries(scene: &Scene) -> usize {
    scene.redis_says(&["XLEN", STREAM]).parse().unwrap()
}

/// Sends Redis a command given as one text, and sees that it is obeyed.
pub(crate) fn tell(scene: &Scene, command: &str) {
    let said = scene.redis_says(&command.split(' ').collect::<Vec<_>>());
    assert_eq!(said, "OK", "{command}");
}

/// A counter.
pub(crate) fn count(scene: &Scene, live: &Live, name: &str) -> u64 {
    let value = scene.metric(live, name).unwrap_or_else(|| panic!("{name} is shown"));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small counts")]
    let value = value as u64;
    value
}

/// Waits until a counter or gauge has this value.
pub(crate) fn until(scene: &Scene, live: &Live, name: &str, value: u64) {
    scene.until(&format!("{name} is {value}"), || count(scene, live, name) == value);
}

/// Packets that Redis has refused, or left so long that they were given up.
pub(crate) fn given_up(scene: &Scene, live: &Live) -> u64 {
    count(scene, live, &packets("unsafe"))
}

/// Sends a packet, again whenever it was given up, and gives its answer.
pub(crate) fn delivers(scene: &Scene, live: &Live, tracker: &mut Tracker, bytes: &[u8]) -> u32 {
    let before = given_up(scene, live);
    tracker.send(bytes);
    insists(scene, live, (tracker, before), bytes)
}

/// Waits for the answer to a packet that was sent when so many had been given up, and sends it again
/// whenever it is given up, as devices do: a busy machine may take longer than pitwall waits.
pub(crate) fn insists(
    scene: &Scene,
    live: &Live,
    (tracker, mut before): (&mut Tracker, u64),
    bytes: &[u8],
) -> u32 {
    scene.until("it is answered", || {
        // Looked at first: no answer is on its way to who was given up by then.
        let now = given_up(scene, live);
        if !tracker.hears_nothing() {
            return true;
        }
        if now > before {
            before = now;
            tracker.send(bytes);
        }
        false
    });
    tracker.answer()
}

/// Packets that came in and had this result.
pub(crate) fn packets(result: &str) -> String {
    format!("pitwall_ingest_packets_total{{result=\"{result}\"}}")
}

/// Connections that ended for this reason.
pub(crate) fn ends(reason: &str) -> String {
    format!("pitwall_ingest_ends_total{{reason=\"{reason}\"}}")
}

/// What `/readyz` says of a component.
pub(crate) fn report(live: &Live, name: &str) -> Value {
    let page = page(live.admin, "/readyz?role=ingest");
    let body: Value = serde_json::from_str(page.split_once("\r\n\r\n").unwrap().1).unwrap();
    let components = body["components"].as_array().unwrap();
    components.iter().find(|component| component["name"] == name).cloned().unwrap_or_default()
}

/// True when the component is in this state for a reason that holds these words.
pub(crate) fn is(live: &Live, name: &str, state: &str, words: &str) -> bool {
    let report = report(live, name);
    report["state"] == state && report["reason"].as_str().unwrap().contains(words)
}
