//! Entries that are trimmed or deleted before they are stored: counted exactly, told beforehand, and
//! never taken for something else.

use tests::entries::STREAM;
use tests::scene::metric;

use crate::rig::{GROUP, Rig, holds, is_ready, report};

const LOST: &str = "processor_lost_trimmed_total";

const LOST_PENDING: &str = "processor_lost_pending_trimmed_total";

const LAG: &str = "processor_consumer_lag";

const DUPLICATE: &str = "processor_position_writes_total{status=\"duplicate\"}";

#[test]
fn f13_what_is_trimmed_unread_is_told_while_it_can_be_helped_and_counted_exactly() {
    let rig = Rig::new();
    let mut config = rig.config();
    config.write.batch_rows_max = 10;
    config.write.claim_threshold_ms = 500;
    rig.make_group();
    let live = rig.start_with(config);
    rig.publish_at_once(1, 1_000, ["", ""]);
    rig.until_stored(1_000);
    rig.hide_table(true);
    rig.publish_at_once(2, 1_000, ["", ""]);
    rig.scene.until("it holds", || holds(&live, "writer", "schema"));
    // What is stored goes first, and nothing is lost yet: that is the time to tell.
    rig.ask("XTRIM telemetry:teltonika MAXLEN = 1500");
    rig.scene.until("it is told", || report(&live, "reader")["state"] == "impaired");
    let said = report(&live, "reader");
    assert!(said["reason"].as_str().unwrap().contains("trimming reaches them in 0 min"), "{said}");
    assert!(said["effect"].as_str().unwrap().contains("lost"), "{said}");
    let time_s = rig.scene.metric(&live, "processor_time_to_trim_seconds").unwrap();
    assert!((1.0..600.0).contains(&time_s), "{time_s} s");
    let in_flight = rig.pending() as u64;
    assert!((1..=40).contains(&in_flight), "{in_flight} are in flight");
    assert_eq!((rig.metric(&live, LOST), rig.metric(&live, LAG)), (0, 1_000 - in_flight));
    rig.ask("XTRIM telemetry:teltonika MAXLEN = 300");
    rig.hide_table(false);
    // What is in flight is gone from the stream, and stored all the same.
    rig.until_stored(1_300 + in_flight.cast_signed());
    rig.scene.wait_for_metric(live.admin, LOST, 700 - in_flight);
    assert_eq!(rig.metric(&live, LOST), 700 - in_flight);
    assert_eq!((rig.metric(&live, LOST_PENDING), rig.metric(&live, DUPLICATE)), (0, 0));
    assert_eq!((rig.metric(&live, "processor_writer_residual"), rig.letters()), (0, 0));
    rig.scene.until("the danger is over", || report(&live, "reader")["state"] == "working");
}

/// Gives so many entries to a consumer, who has them for so long already.
fn give(rig: &Rig, consumer: &str, count: u32, idle_ms: u64) -> Vec<String> {
    let read = format!("XREADGROUP GROUP {GROUP} {consumer} COUNT {count} STREAMS {STREAM} >");
    let given = rig.ask(&read);
    let ids: Vec<String> = given.lines().filter(|line| is_id(line)).map(str::to_owned).collect();
    assert_eq!(ids.len(), count as usize, "{given}");
    let ids_text = ids.join(" ");
    rig.ask(&format!("XCLAIM {STREAM} {GROUP} {consumer} 0 {ids_text} IDLE {idle_ms} JUSTID"));
    ids
}

fn is_id(line: &str) -> bool {
    let parts = line.split_once('-');
    parts.is_some_and(|(ms, sequence)| ms.len() == 13 && sequence.parse::<u64>().is_ok())
}

/// Trims the first of these entries out of the middle of the stream.
fn trim(rig: &Rig, ids: &[String]) {
    rig.ask(&format!("XDEL {STREAM} {}", ids.join(" ")));
}

#[test]
fn f14_entries_trimmed_while_pending_are_counted_lost_and_acknowledged_away() {
    const HOUR_MS: u64 = 3_600_000;
    let rig = Rig::new();
    rig.make_group();
    rig.publish_at_once(1, 100, ["", ""]);
    let own = give(&rig, "processor-1", 20, 0);
    let dead = give(&rig, "dead", 20, HOUR_MS);
    let alive = give(&rig, "alive", 20, 0);
    trim(&rig, &own[3..10]);
    trim(&rig, &dead[..5]);
    trim(&rig, &alive[..4]);
    let live = rig.start();
    rig.scene.until("all are stored", || rig.stored() == 13 + 15 + 40);
    rig.scene.until("only the living has something", || rig.pending() == 20);
    let of_alive = format!("XPENDING {STREAM} {GROUP} - + 100 alive");
    assert_eq!(rig.ask(&of_alive).lines().filter(|line| is_id(line)).count(), 20, "untouched");
    assert_eq!(rig.metric(&live, LOST_PENDING), 7 + 5);
    assert_eq!(rig.metric(&live, "processor_consumer_claims_total"), 15);
    rig.scene.until("all are acknowledged", || {
        rig.metric(&live, "processor_acks_total") == 20 + 15 + 40
    });
    assert_eq!((rig.letters(), rig.metric(&live, "processor_writer_residual")), (0, 0));
    assert!(is_ready(live.admin));
}

#[test]
fn f15_an_entry_deleted_unread_makes_what_waits_unknown_or_exact_and_nothing_else() {
    let rig = Rig::new();
    let mut config = rig.config();
    config.write.batch_rows_max = 10;
    rig.make_group();
    let live = rig.start_with(config);
    rig.hide_table(true);
    rig.publish_at_once(1, 500, ["", ""]);
    rig.scene.until("it holds", || holds(&live, "writer", "schema"));
    let newest = rig.ask(&format!("XREVRANGE {STREAM} + - COUNT 3"));
    let ids: Vec<String> = newest.lines().filter(|line| is_id(line)).map(str::to_owned).collect();
    trim(&rig, &ids[1..]);
    let waiting = f64::from(u32::try_from(rig.unread()).unwrap());
    rig.scene.until("it is unknown or exact", || {
        metric(live.admin, LAG).is_none_or(|lag| lag.to_bits() == waiting.to_bits())
    });
    rig.hide_table(false);
    rig.until_stored(498);
    assert_eq!((rig.letters(), rig.metric(&live, LOST_PENDING)), (0, 0));
}
