//! The wire to Redis: silent, slow, cut in the middle of a reply, garbled.

use tests::entries::{Fix, STREAM};
use tests::live::Live;
use tests::platform::imei;
use tests::proxy::{Door, Ending, Event, Fault, Forgery, Moment, Place, Proxy, Rule, Way, Which};

use crate::rig::{Rig, entry, holds, is_ready};

const INSERTED: &str = "processor_position_writes_total{status=\"inserted\"}";

const DUPLICATE: &str = "processor_position_writes_total{status=\"duplicate\"}";

const RECORDS: &str = "processor_consumer_records_total";

const REDELIVERED: &str = "processor_consumer_redelivered_total";

const RECONNECTS: &str = "processor_consumer_reconnects_total";

/// A program whose only way to Redis is this wire.
fn start() -> (Rig, Proxy, Live) {
    let rig = Rig::new();
    let proxy = Proxy::to_redis(rig.scene.redis.port());
    let live = rig.start_with(rig.config_by(&proxy));
    (rig, proxy, live)
}

/// Waits until that many rows are stored, each of them taken and written once.
fn is_stored_once(rig: &Rig, live: &Live, rows: i64) {
    rig.until_stored(rows);
    let of = |name| rig.metric(live, name);
    assert_eq!((of(INSERTED), of(DUPLICATE)), (rows.unsigned_abs(), 0));
    assert_eq!((of("processor_writer_residual"), rig.letters()), (0, 0));
}

#[test]
fn f16_on_a_wire_that_has_gone_silent_it_gives_up_and_begins_with_what_it_was_given_unheard() {
    let (rig, proxy, live) = start();
    rig.publish_at_once(1, 100, ["", ""]);
    rig.until_stored(100);
    let silence = Rule::new(Event::command("XREADGROUP"), Moment::Behind, Ending::Silence);
    proxy.trap(silence).wait_until_struck(1);
    // Redis waits with its answer for half a second, and does not know that nobody will hear it.
    rig.publish_at_once(2, 100, ["", ""]);
    rig.scene.until("it was given", || rig.pending() == 100);
    is_stored_once(&rig, &live, 200);
    assert_eq!(rig.metric(&live, REDELIVERED), 100, "from its own pending entries");
    proxy.hold();
    rig.publish_at_once(3, 100, ["", ""]);
    rig.scene.until("it is told", || holds(&live, "reader", "did not"));
    proxy.heal();
    is_stored_once(&rig, &live, 300);
    rig.scene.until("it is well", || is_ready(live.admin));
}

#[test]
fn f19_a_reply_cut_anywhere_is_not_acted_upon_and_comes_again_whole() {
    let (rig, proxy, live) = start();
    // In the head of the reply, in an id, in a payload, before the last byte of some 20,000.
    for (round, bytes) in (1..).zip([1, 40, 300, 5_000]) {
        let cut = Fault::Cut { at: Place::FromNow(bytes), ending: Ending::Close };
        proxy.set(Which::Existing, Way::ToClient, cut);
        rig.publish_at_once(round, 50, ["", ""]);
        rig.until_stored(50 * i64::try_from(round).unwrap());
    }
    is_stored_once(&rig, &live, 200);
    let (records, redelivered) = (rig.metric(&live, RECORDS), rig.metric(&live, REDELIVERED));
    assert_eq!(records, 200, "nothing of half a reply was taken");
    assert!(redelivered >= 150, "{redelivered} came again");
    assert!(rig.metric(&live, RECONNECTS) >= 4);
}

#[test]
fn f19_a_reply_whose_answer_was_lost_comes_again_with_its_own_pending_entries() {
    let (rig, proxy, live) = start();
    let rule = |command| Rule::new(Event::command(command), Moment::Answered, Ending::Reset);
    let read = proxy.trap(rule("XREADGROUP"));
    rig.publish_at_once(1, 100, ["", ""]);
    read.wait_until_struck(1);
    rig.until_stored(100);
    let acknowledged = proxy.trap(rule("XACK"));
    rig.publish_at_once(2, 100, ["", ""]);
    acknowledged.wait_until_struck(1);
    is_stored_once(&rig, &live, 200);
    let missing = || rig.metric(&live, "processor_acks_missing_total");
    rig.scene.until("those acknowledged twice are counted", || missing() == 100);
}

#[test]
fn f19_a_garbled_reply_is_dropped_whole() {
    let (rig, proxy, live) = start();
    let list = "*1\r\n*2\r\n$19\r\ntelemetry:teltonika\r\n";
    let garbage = [
        "HTTP/1.1 200 OK\r\n\r\n".to_owned(),
        // An odd number of fields, and something behind a good entry.
        format!("{list}*1\r\n*2\r\n$3\r\n1-1\r\n*1\r\n$1\r\na\r\n"),
        format!("{list}*2\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\na\r\n$1\r\nb\r\n:7\r\n"),
        "*99999999999\r\n".to_owned(),
    ];
    for (round, bytes) in (1..).zip(garbage) {
        let instead_of = STREAM.as_bytes().to_vec();
        proxy.forge(Forgery { instead_of, bytes: bytes.into_bytes(), is_cut: false });
        rig.publish_at_once(round, 20, ["", ""]);
        rig.scene.until("it is sent", || proxy.has_forged());
        rig.until_stored(20 * i64::try_from(round).unwrap());
    }
    is_stored_once(&rig, &live, 80);
    assert_eq!(rig.metric(&live, RECORDS), 80);
    let corrupt = Fault::Corrupt { at: Place::FromNow(0), mask: 1 };
    proxy.set(Which::Existing, Way::ToClient, corrupt);
    rig.publish_at_once(5, 20, ["", ""]);
    is_stored_once(&rig, &live, 100);
}

#[test]
fn f19_a_length_garbled_into_600_mb_makes_no_dead_letter_of_an_entry_that_is_well() {
    let (rig, proxy, live) = start();
    let id = "9999999999999-1";
    let bytes =
        format!("*1\r\n*2\r\n$19\r\n{STREAM}\r\n*1\r\n*2\r\n$15\r\n{id}\r\n*8\r\n$629145600\r\n");
    let forge = || {
        let instead_of = STREAM.as_bytes().to_vec();
        proxy.forge(Forgery { instead_of, bytes: bytes.clone().into_bytes(), is_cut: false });
    };
    forge();
    // Nobody comes back before the next lie is ready.
    proxy.set_door(Door::Closed);
    let now_ms = rig.scene.now_ms();
    entry(id, &Fix::new(&imei(1), now_ms)).exec(&mut rig.scene.redis.connect()).unwrap();
    rig.scene.until("it is sent", || proxy.has_forged());
    // When it comes back it looks, one entry at a time, for the one that is too long.
    forge();
    proxy.set_door(Door::Open);
    rig.scene.until("it is sent again", || proxy.has_forged());
    is_stored_once(&rig, &live, 1);
    rig.publish_at_once(2, 100, ["", ""]);
    is_stored_once(&rig, &live, 101);
}

#[test]
fn f20_half_a_second_away_from_redis_a_batch_takes_no_more_than_three_round_trips() {
    const ROWS: i64 = 4_000;
    let (rig, proxy, live) = start();
    for way in Way::BOTH {
        proxy.set(Which::All, way, Fault::Delay { ms: 250, jitter_ms: 20, seed: 7 });
    }
    let round_trips = || {
        let reads = ["entries", "empty"].map(|result| {
            rig.metric(&live, &format!("processor_consumer_reads_total{{result=\"{result}\"}}"))
        });
        reads[0] + reads[1]
    };
    let before = round_trips();
    for device in 1..=8 {
        rig.publish_at_once(device, ROWS / 8, ["", ""]);
    }
    rig.until_stored(ROWS);
    let (took, batches) = (round_trips() - before, ROWS.unsigned_abs() / 1_000);
    assert!(took <= 3 * batches, "{took} round trips for {batches} batches");
}

#[test]
fn f20_over_a_wire_of_20_kb_a_second_everything_arrives_in_the_end() {
    let (rig, proxy, live) = start();
    for way in Way::BOTH {
        proxy.set(Which::All, way, Fault::Bandwidth { bytes_per_second: 20_000 });
    }
    let connections = rig.metric(&live, RECONNECTS);
    // Some 48,000 bytes in one reply, which takes twice as long as an answer may.
    rig.publish_at_once(1, 120, ["", ""]);
    is_stored_once(&rig, &live, 120);
    assert_eq!(rig.metric(&live, RECONNECTS), connections);
}
