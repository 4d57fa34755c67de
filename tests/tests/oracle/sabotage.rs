//! Whatever a writer could do wrong is done on purpose, and the oracle must say what it was.

use tests::entries::STREAM;
use tests::oracle::{DEAD_LETTERS, GROUP, Verdict, Wrong};
use tests::producer::{Kind, Mix};

use crate::honest::{Raw, Rig};

/// Everything at once, and few enough to be quick.
const MIX: Mix = Mix { undecodable: 100, refused: 50, late: 100, ..Mix::plain(11) };
const COUNT: usize = 200;

/// What the oracle says of a writer that is honest, and then of what is done to its work: exactly
/// this must be wrong, and so often.
fn check(rig: &mut Rig, what: &str, sabotage: impl FnOnce(&mut Rig), expected: &[(Wrong, u64)]) {
    rig.begin_anew();
    let producer = rig.produce(MIX, COUNT);
    rig.drain();
    rig.judge(&producer).assert_drained();
    sabotage(rig);
    let verdict = rig.judge(&producer);
    is_seen(&verdict, what, expected);
}

fn is_seen(verdict: &Verdict, what: &str, expected: &[(Wrong, u64)]) {
    for (wrong, count) in expected {
        assert_eq!(verdict.count(*wrong), *count, "{what}: {wrong:?}: {verdict}");
    }
    let sum: u64 = expected.iter().map(|(_, count)| count).sum();
    assert_eq!(verdict.wrong_count(), sum, "{what}: {verdict}");
    assert!(std::panic::catch_unwind(|| verdict.assert_clean()).is_err(), "{what}: {verdict}");
}

#[test]
fn whatever_happens_to_rows_is_seen() {
    let one = "(device_id, ts) = (SELECT device_id, ts FROM positions ORDER BY 1, 2 LIMIT 1)";
    let again = "DROP INDEX positions_device_ts; INSERT INTO positions SELECT * FROM positions";
    let other = "INSERT INTO positions SELECT device_id";
    let rest = "ingested_at, latitude, longitude, altitude, angle, speed, satellites, priority,
        codec, attributes FROM positions";
    let rig = &mut Rig::new();
    let mut check_sql = |statement: &str, expected: &[(Wrong, u64)]| {
        check(rig, statement, |rig| rig.sql(statement), expected);
    };
    check_sql(&format!("DELETE FROM positions WHERE {one}"), &[(Wrong::AcknowledgedButLost, 1)]);
    for change in [
        "latitude = latitude + 1e-7",
        "longitude = -longitude",
        "altitude = altitude + 1",
        "angle = angle + 0.5",
        "speed = speed + 1",
        "satellites = 0",
        "priority = 1",
        "codec = '8e'",
        "attributes = attributes || '{\"239\":1.5}'",
        "attributes = attributes - '199'",
    ] {
        let change = format!("UPDATE positions SET {change} WHERE {one}");
        check_sql(&change, &[(Wrong::ValuesChanged, 1)]);
    }
    let moved = [(Wrong::RowOfNothing, 1), (Wrong::AcknowledgedButLost, 1)];
    for change in ["ts = ts + interval '1 microsecond'", "device_id = device_id || ' '"] {
        check_sql(&format!("UPDATE positions SET {change} WHERE {one}"), &moved);
    }
    for time in ["ts - interval '10 years'", "ts + interval '1 millisecond'"] {
        let foreign = format!("{other}, {time}, {rest} WHERE {one}");
        check_sql(&foreign, &[(Wrong::RowOfNothing, 1)]);
    }
    // Last, as the index is gone then.
    check_sql(&format!("{again} WHERE {one}"), &[(Wrong::StoredTwice, 1)]);
}

/// The id and the fields of the first dead letter.
fn first_letter(rig: &mut Rig) -> Raw {
    rig.ask::<Vec<Raw>>(&format!("XRANGE {DEAD_LETTERS} - + COUNT 1")).remove(0)
}

/// Puts another letter in the place of the first one.
fn rewrite(rig: &mut Rig, change: impl FnOnce(&mut Raw)) {
    let mut letter = first_letter(rig);
    let words = format!("XDEL {DEAD_LETTERS} {}", letter.0);
    rig.ask::<u64>(&words);
    change(&mut letter);
    write(rig, &letter);
}

fn write(rig: &mut Rig, (_, fields): &Raw) {
    let mut command = redis::cmd("XADD");
    command.arg(DEAD_LETTERS).arg("*").arg(fields).exec(&mut rig.connection).unwrap();
}

#[test]
fn whatever_happens_to_dead_letters_is_seen() {
    let rig = &mut Rig::new();
    let missing = |rig: &mut Rig| {
        let letter = first_letter(rig);
        rig.ask::<u64>(&format!("XDEL {DEAD_LETTERS} {}", letter.0));
    };
    check(rig, "missing", missing, &[(Wrong::AcknowledgedButLost, 1)]);
    let twice = |rig: &mut Rig| {
        let letter = first_letter(rig);
        write(rig, &letter);
    };
    check(rig, "twice", twice, &[(Wrong::DeadLetterTwice, 1)]);
    let foreign = |rig: &mut Rig| {
        let mut letter = first_letter(rig);
        letter.1[0].1 = b"1-1".to_vec();
        write(rig, &letter);
    };
    check(rig, "foreign", foreign, &[(Wrong::DeadLetterOfNothing, 1)]);

    // What can still be read tells another story.
    let garbled = [(Wrong::DeadLetterGarbled, 1)];
    type Change = fn(&mut Raw);
    let changes: [(&str, Change); 4] = [
        ("another code", |letter| letter.1[2].1 = b"23503".to_vec()),
        ("a changed value", |letter| letter.1[5].1.push(b' ')),
        ("another order", |letter| letter.1.swap(5, 6)),
        ("a field less", |letter| drop(letter.1.pop())),
    ];
    for (what, change) in changes {
        let mix_starts_undecodable = |letter: &mut Raw| {
            assert_eq!(letter.1[2].1, b"decode", "the first letter is for an undecodable record");
            change(letter);
        };
        check(rig, what, |rig| rewrite(rig, mix_starts_undecodable), &garbled);
    }
    // What cannot be read is no letter, so its entry is lost.
    let unread = [(Wrong::DeadLetterGarbled, 1), (Wrong::AcknowledgedButLost, 1)];
    let changes: [(&str, Change); 6] = [
        ("no entry", |letter| drop(letter.1.remove(0))),
        ("no reason", |letter| letter.1[1].1.clear()),
        ("no code", |letter| letter.1[2].1 = b"bad".to_vec()),
        ("no time", |letter| letter.1[4].1 = b"yesterday".to_vec()),
        ("no order", |letter| letter.1.swap(1, 2)),
        ("a field of no entry", |letter| letter.1[6].0 = b"device_id".to_vec()),
    ];
    for (what, change) in changes {
        check(rig, what, |rig| rewrite(rig, change), &unread);
    }
}

#[test]
fn a_letter_that_says_its_fields_were_lost_is_one_if_its_record_had_been_decoded() {
    let mut rig = Rig::new();
    let producer = rig.produce(MIX, COUNT);
    rig.drain();
    let letters: Vec<Raw> = rig.ask(&format!("XRANGE {DEAD_LETTERS} - +"));
    let mut lose_fields = |code: &[u8]| {
        let letter = letters.iter().find(|letter| letter.1[2].1 == code).unwrap();
        let mut letter = letter.clone();
        rig.ask::<u64>(&format!("XDEL {DEAD_LETTERS} {}", letter.0));
        // Told in the order of the table, and not in the words of the entry.
        letter.1.swap(5, 6);
        letter.1[8].1.push(b' ');
        letter.1.insert(5, (b"lost_fields".to_vec(), b"1".to_vec()));
        write(&mut rig, &letter);
        rig.judge(&producer)
    };
    lose_fields(b"23514").assert_drained();
    is_seen(&lose_fields(b"decode"), "never decoded", &[(Wrong::DeadLetterGarbled, 1)]);
}

#[test]
fn a_good_record_among_the_dead_letters_is_seen_and_so_is_one_that_is_stored_as_well() {
    let rig = &mut Rig::new();
    let good = |rig: &mut Rig, is_stored: bool| {
        let entries: Vec<Raw> = rig.ask(&format!("XRANGE {STREAM} - +"));
        let first = entries.iter().find(|entry| rig.store(entry).is_ok()).unwrap();
        if !is_stored {
            let device = String::from_utf8_lossy(&first.1[1].1).into_owned();
            let time = String::from_utf8_lossy(&first.1[0].1).into_owned();
            rig.sql(&format!(
                "DELETE FROM positions WHERE device_id = '{device}' AND ts = '{time}'"
            ));
        }
        rig.bury(first, "23514");
    };
    let dead = (Wrong::GoodDeadLettered, 1);
    check(rig, "not stored", |rig| good(rig, false), &[dead]);
    check(rig, "stored", |rig| good(rig, true), &[dead, (Wrong::StoredAndDeadLettered, 1)]);
}

#[test]
fn an_entry_that_is_acknowledged_too_early_or_passed_over_is_seen() {
    let mut rig = Rig::new();
    // Acknowledged, and then the writer dies.
    let producer = rig.produce(MIX, COUNT);
    let entries = rig.read(COUNT);
    entries[1..].iter().for_each(|entry| rig.deal_with(entry));
    rig.acknowledge(&entries[0]);
    is_seen(&rig.judge(&producer), "acknowledged first", &[(Wrong::AcknowledgedButLost, 1)]);

    // A group that is made anew at the end of the stream instead of its beginning.
    rig.begin_anew();
    let producer = rig.produce(MIX, COUNT);
    rig.ask::<u64>(&format!("XGROUP DESTROY {STREAM} {GROUP}"));
    rig.judge(&producer).assert_clean();
    rig.ask::<()>(&format!("XGROUP CREATE {STREAM} {GROUP} $"));
    let lost = [(Wrong::AcknowledgedButLost, COUNT as u64)];
    is_seen(&rig.judge(&producer), "created at $", &lost);

    // A consumer that is deleted with all it had.
    rig.begin_anew();
    let producer = rig.produce(MIX, COUNT);
    let entries = rig.read(COUNT);
    entries[50..].iter().for_each(|entry| rig.deal_with(entry));
    rig.judge(&producer).assert_clean();
    rig.ask::<u64>(&format!("XGROUP DELCONSUMER {STREAM} {GROUP} c"));
    is_seen(&rig.judge(&producer), "deleted", &[(Wrong::AcknowledgedButLost, 50)]);
}

#[test]
fn a_row_that_was_overwritten_by_a_later_duplicate_is_told() {
    let mut rig = Rig::new();
    let producer = rig.produce(Mix { duplicates: 300, ..Mix::plain(5) }, 400);
    assert!(producer.log().count(Kind::Duplicate) > 50);
    // The last one first: nothing is wrong, since nobody knows in which order they were given out.
    let entries = rig.read(400);
    entries.iter().rev().for_each(|entry| rig.deal_with(entry));
    let verdict = rig.judge(&producer);
    verdict.assert_drained();
    assert!(verdict.later_stands > 20, "{}", verdict.later_stands);
}
