//! Races of a stream against its reader, with what can be known of them.

use engine::rows::EntryId;

use super::{Extent, Group, Meter, Reading, Sample};

const fn id(ms: u64) -> EntryId {
    EntryId { ms, sequence: 0 }
}

/// A sample of a stream whose ids are 1, 2, 3 and so on: what it has of them, from and to, and what
/// the group has been given last, with Redis's count of that.
fn sample(entries: (u64, u64), delivered: u64, read: Option<u64>) -> Sample {
    let (first, last) = entries;
    let length = (last + 1) - first;
    Sample {
        run: "one".to_owned(),
        counts_deliveries: true,
        stream: Some(Extent {
            added: Some(last),
            length,
            last: id(last),
            head: (length > 0).then_some(id(first)),
            deleted: id(0),
        }),
        group: Some(Group { delivered: id(delivered), read, pending: 0 }),
        mark: None,
        counted: None,
    }
}

fn after_restart(sample: Sample) -> Sample {
    Sample { run: "two".to_owned(), ..sample }
}

fn after_deletion(mut sample: Sample, of: u64) -> Sample {
    let stream = sample.stream.as_mut().unwrap();
    stream.length -= u64::from(stream.head.is_some_and(|head| head <= id(of)));
    stream.deleted = id(of);
    sample
}

/// What is still to be delivered and what was lost, after each sample.
#[track_caller]
fn check(steps: &[(Sample, Option<u64>, Option<u64>)]) -> Meter {
    let mut meter = Meter::new();
    for (at, (sample, undelivered, lost)) in steps.iter().enumerate() {
        let reading = meter.sample(1_000 * at as u64, sample);
        assert_eq!((reading.undelivered, reading.lost), (*undelivered, *lost), "step {at}");
    }
    meter
}

#[test]
fn a_reader_that_keeps_up_loses_nothing() {
    check(&[
        (sample((1, 0), 0, Some(0)), Some(0), Some(0)),
        (sample((1, 10), 0, Some(0)), Some(10), Some(0)),
        (sample((1, 10), 4, Some(4)), Some(6), Some(0)),
        (sample((3, 20), 10, Some(10)), Some(10), Some(0)),
        (sample((8, 30), 30, Some(30)), Some(0), Some(0)),
        (sample((31, 30), 30, Some(30)), Some(0), Some(0)),
    ]);
}

#[test]
fn f13_what_was_trimmed_unread_is_counted_to_the_entry() {
    check(&[
        (sample((1, 100), 10, Some(10)), None, Some(0)),
        (sample((81, 100), 10, Some(10)), Some(20), None),
    ]);
    check(&[
        (sample((1, 10), 10, Some(10)), Some(0), Some(0)),
        (sample((81, 100), 10, Some(10)), Some(20), Some(70)),
        (sample((81, 100), 90, Some(20)), Some(10), Some(70)),
        (sample((81, 100), 100, Some(30)), Some(0), Some(70)),
        (sample((171, 200), 100, Some(30)), Some(30), Some(140)),
        (sample((301, 300), 100, Some(30)), Some(0), Some(270)),
    ]);
}

#[test]
fn f13_a_loss_between_two_reads_waits_until_it_can_be_told() {
    let hidden = sample((50, 100), 60, Some(21));
    check(&[
        (sample((1, 10), 10, Some(10)), Some(0), Some(0)),
        (hidden.clone(), None, None),
        (sample((50, 110), 110, Some(71)), Some(0), Some(39)),
    ]);
    check(&[
        (sample((1, 10), 10, Some(10)), Some(0), Some(0)),
        (Sample { counted: Some(40), ..hidden }, Some(40), Some(39)),
        (sample((55, 120), 70, Some(31)), Some(50), Some(39)),
    ]);
}

#[test]
fn what_was_trimmed_before_the_group_was_there_is_not_lost() {
    check(&[
        (sample((41, 50), 0, Some(40)), Some(10), Some(0)),
        (sample((46, 50), 0, Some(40)), Some(5), Some(5)),
        (sample((46, 50), 50, Some(45)), Some(0), Some(5)),
    ]);
}

#[test]
fn m2_after_a_restart_a_count_that_stood_still_is_no_loss() {
    let meter = check(&[
        (sample((1, 100), 100, Some(100)), Some(0), Some(0)),
        (after_restart(sample((1, 100), 100, Some(30))), Some(0), Some(0)),
        (after_restart(sample((151, 200), 100, Some(30))), Some(50), Some(50)),
        (after_restart(sample((151, 200), 200, Some(80))), Some(0), Some(50)),
    ]);
    assert_eq!(meter.mark().unwrap().gaps, 0);
}

#[test]
fn m2_a_count_that_redis_does_not_know_is_unknown_and_comes_back() {
    check(&[
        (sample((1, 100), 100, Some(100)), Some(0), Some(0)),
        (after_restart(sample((1, 200), 100, None)), None, Some(0)),
        (after_restart(sample((1, 200), 150, None)), None, Some(0)),
        (after_restart(sample((1, 200), 200, Some(200))), Some(0), Some(0)),
        (after_restart(sample((251, 300), 200, Some(200))), Some(50), Some(50)),
    ]);
}

#[test]
fn m2_a_loss_around_a_restart_is_a_gap_after_which_counting_begins_anew() {
    let meter = check(&[
        (sample((1, 100), 100, Some(100)), Some(0), Some(0)),
        (sample((151, 200), 100, Some(100)), Some(50), Some(50)),
        (after_restart(sample((251, 300), 300, Some(100))), Some(0), None),
        (after_restart(sample((351, 400), 300, Some(100))), Some(50), Some(50)),
    ]);
    assert_eq!(meter.mark().unwrap().gaps, 1);
}

#[test]
fn f15_a_deletion_of_what_was_not_delivered_is_no_loss_and_hides_what_waits() {
    let deleted = |sample| after_deletion(sample, 50);
    check(&[
        (sample((1, 100), 100, Some(100)), Some(0), Some(0)),
        (sample((1, 200), 110, Some(110)), Some(90), Some(0)),
        (after_deletion(sample((1, 200), 110, Some(110)), 150), None, Some(0)),
        (after_deletion(sample((1, 200), 120, None), 150), None, Some(0)),
        (after_deletion(sample((1, 200), 200, Some(200)), 150), Some(0), Some(0)),
        (after_deletion(sample((251, 300), 200, Some(200)), 150), Some(50), Some(50)),
    ]);
    check(&[
        (sample((1, 100), 100, Some(100)), Some(0), Some(0)),
        (deleted(sample((1, 200), 110, Some(110))), Some(90), Some(0)),
    ]);
}

#[test]
fn a_version_that_counts_otherwise_is_believed_only_where_it_cannot_differ() {
    let other = |sample| Sample { counts_deliveries: false, ..sample };
    let meter = check(&[
        (other(sample((1, 10), 10, Some(10))), Some(0), Some(0)),
        (other(sample((81, 100), 10, Some(10))), Some(20), Some(70)),
        (other(sample((81, 100), 90, Some(90))), None, Some(70)),
        (other(sample((81, 100), 100, Some(100))), Some(0), Some(70)),
        (other(sample((81, 120), 110, Some(110))), Some(10), Some(70)),
        (other(sample((121, 130), 125, Some(125))), None, None),
        (other(sample((121, 130), 130, Some(130))), Some(0), Some(0)),
    ]);
    assert_eq!(meter.mark().unwrap().gaps, 1);
}

#[test]
fn a_version_without_counts_knows_only_what_can_be_seen() {
    let old = |mut sample: Sample| {
        sample.stream.as_mut().unwrap().added = None;
        Sample { counts_deliveries: false, ..sample }
    };
    check(&[
        (old(sample((1, 10), 0, None)), Some(10), None),
        (old(sample((1, 10), 5, None)), None, None),
        (old(Sample { counted: Some(5), ..sample((1, 10), 5, None) }), Some(5), None),
        (old(sample((1, 10), 10, None)), Some(0), None),
    ]);
}

#[test]
fn without_a_group_nothing_is_known_and_a_new_one_begins_anew() {
    let without = Sample { group: None, ..sample((1, 10), 0, None) };
    let mut meter = Meter::new();
    meter.sample(0, &sample((1, 10), 10, Some(10)));
    assert_eq!(meter.sample(1, &without), Reading::default());
    assert_eq!(meter.sample(2, &Sample { stream: None, ..without }), Reading::default());
    assert_eq!(meter.sample(3, &sample((41, 50), 0, Some(40))).lost, Some(0));
}

#[test]
fn the_mark_in_redis_goes_before_the_own() {
    let mut first = Meter::new();
    first.sample(0, &sample((1, 10), 10, Some(10)));
    first.sample(1, &sample((81, 100), 10, Some(10)));
    let mut second = Meter::new();
    let seen = Sample { mark: first.mark().cloned(), ..sample((91, 100), 90, Some(20)) };
    let reading = second.sample(0, &seen);
    assert_eq!((reading.undelivered, reading.lost), (Some(10), Some(70)));
}

#[test]
fn f13_the_time_to_trim_follows_from_the_last_minute() {
    let mut meter = Meter::new();
    let mut time = |now_ms, entries, delivered, pending| {
        let mut sample = sample(entries, delivered, Some(delivered));
        sample.group.as_mut().unwrap().pending = pending;
        meter.sample(now_ms, &sample).time_to_trim_ms
    };
    assert_eq!(time(0, (1, 1_000), 1_000, 0), None);
    assert_eq!(time(5_000, (1, 1_000), 1_000, 0), None, "nothing is trimmed");
    assert_eq!(time(10_000, (101, 1_100), 1_100, 0), Some(100_000), "1,000 at 10 a second");
    assert_eq!(time(20_000, (201, 1_200), 1_200, 100), Some(90_000), "pending ones come first");
    assert_eq!(time(30_000, (301, 1_300), 1_200, 100), Some(80_000), "and those that wait");
    assert_eq!(time(80_000, (301, 1_300), 1_300, 0), Some(600_000), "from the last minute");
    assert_eq!(time(200_000, (301, 1_300), 1_300, 0), None);
    assert_eq!(time(205_000, (1_301, 1_300), 1_300, 7), Some(0));
    assert_eq!(time(210_000, (1, 5), 5, 0), None, "a stream that begins anew");
}
