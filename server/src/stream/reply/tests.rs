//! Replies whole, in pieces, cut, forged and mutilated.

use super::{BULK_BYTES_MAX, LINE_BYTES_MAX, Malformed, REPLY_BYTES_MAX, ReplyReader};
use crate::stream::{Entries, first_id};

const READ: &[u8] = b"*1\r\n*2\r\n$1\r\ns\r\n*3\r\n\
    *2\r\n$3\r\n5-1\r\n*4\r\n$2\r\nts\r\n$1\r\n7\r\n$7\r\npayload\r\n$4\r\n{\r\n}\r\n\
    *2\r\n$3\r\n5-2\r\n*-1\r\n\
    *2\r\n$3\r\n6-0\r\n$-1\r\n";

fn measured(bytes: &[u8]) -> Result<bool, Malformed> {
    let mut reader = ReplyReader::new();
    reader.room().extend_from_slice(bytes);
    reader.measure()
}

/// The entries of a read, each as one line of text.
fn told(reader: &ReplyReader) -> Result<Vec<String>, Malformed> {
    let told = |entry: crate::stream::Entry<'_>| {
        let fields = entry.fields.map_or_else(
            || "trimmed".to_owned(),
            |pairs| {
                let pair = |(name, value): (&[u8], &[u8])| {
                    format!("{}={}", name.escape_ascii(), value.escape_ascii())
                };
                pairs.map(pair).collect::<Vec<_>>().join(" ")
            },
        );
        format!("{} {fields}", entry.id)
    };
    Entries::of_read(reader.reply())?.map(|entry| entry.map(told)).collect()
}

#[test]
fn f14_entries_are_read_in_place_and_trimmed_ones_have_no_fields() {
    let mut reader = ReplyReader::new();
    reader.room().extend_from_slice(READ);
    assert_eq!(reader.measure(), Ok(true));
    let expected = [r"5-1 ts=7 payload={\r\n}", "5-2 trimmed", "6-0 trimmed"];
    assert_eq!(told(&reader).unwrap(), expected);
    assert_eq!(first_id(reader.reply()).unwrap().to_string(), "5-1");
}

#[test]
fn f19_a_reply_cut_anywhere_is_not_whole_and_goes_on_where_it_was_cut() {
    for cut in 0..READ.len() {
        let mut reader = ReplyReader::new();
        reader.room().extend_from_slice(&READ[..cut]);
        assert_eq!(reader.measure(), Ok(false), "cut at {cut}");
        reader.room().extend_from_slice(&READ[cut..]);
        assert_eq!(reader.measure(), Ok(true), "cut at {cut}");
        assert_eq!(told(&reader).unwrap().len(), 3);
    }
}

#[test]
fn replies_that_arrive_together_are_given_out_one_by_one() {
    let mut reader = ReplyReader::new();
    reader.room().extend_from_slice(b"+OK\r\n:42\r\n-ERR no\r\n*-1\r\n$-1\r\n*0\r\n+half");
    let mut replies = Vec::new();
    while reader.measure().unwrap() {
        let reply = reader.reply();
        let error = reply.error().map(<[u8]>::to_vec);
        let mut cursor = reply;
        replies.push((cursor.skip(), error));
        reader.consume();
    }
    assert_eq!(replies.len(), 6);
    assert_eq!(replies[2], (Ok(()), Some(b"ERR no".to_vec())));
    reader.room().extend_from_slice(b"\r\n");
    assert_eq!(reader.measure(), Ok(true));
}

#[test]
fn a_read_that_found_nothing_has_no_entries() {
    for nothing in ["*-1\r\n", "$-1\r\n"] {
        let mut reader = ReplyReader::new();
        reader.room().extend_from_slice(nothing.as_bytes());
        assert_eq!(reader.measure(), Ok(true));
        assert_eq!(Entries::of_read(reader.reply()).unwrap().count_left(), 0);
    }
}

#[test]
fn f19_bytes_that_are_no_reply_are_refused() {
    let nines = "9".repeat(40);
    for (bytes, expected) in [
        ("HTTP/1.1 400\r\n", Malformed::TypeUnknown),
        ("\r\n", Malformed::TypeUnknown),
        ("%2\r\n", Malformed::TypeUnknown),
        ("$x\r\n", Malformed::NumberInvalid),
        ("$\r\n", Malformed::NumberInvalid),
        ("$-\r\n", Malformed::NumberInvalid),
        ("$-2\r\n", Malformed::NumberInvalid),
        ("*-7\r\n", Malformed::NumberInvalid),
        (":--1\r\n", Malformed::NumberInvalid),
        ("$3\rx", Malformed::EndMissing),
        ("$3\r\nabcde", Malformed::EndMissing),
        ("+OK\rX", Malformed::EndMissing),
    ] {
        assert_eq!(measured(bytes.as_bytes()), Err(expected), "{bytes:?}");
    }
    assert_eq!(measured(format!("${nines}").as_bytes()), Err(Malformed::NumberInvalid));
    let endless = "+".repeat(LINE_BYTES_MAX + 1);
    assert_eq!(measured(endless.as_bytes()), Err(Malformed::LineTooLong));
}

#[test]
fn f19_no_memory_is_taken_for_what_a_length_claims() {
    assert_eq!(measured(b"$600000000\r\n"), Err(Malformed::BulkTooLong));
    let too_long = format!("${}\r\n", BULK_BYTES_MAX + 1);
    assert_eq!(measured(too_long.as_bytes()), Err(Malformed::BulkTooLong));
    assert_eq!(measured(b"*9000000000\r\n"), Err(Malformed::ReplyTooLong));
    let mut reader = ReplyReader::new();
    reader.room().extend_from_slice(b"*20000000\r\n*20000000\r\n");
    assert_eq!(reader.measure(), Err(Malformed::ReplyTooLong), "the claims are added up");
    let mut reader = ReplyReader::new();
    reader.room().extend_from_slice(format!("${BULK_BYTES_MAX}\r\n").as_bytes());
    assert_eq!(reader.measure(), Ok(false));
    assert!(reader.room().capacity() < BULK_BYTES_MAX / 2, "nothing of it has arrived");
}

#[test]
fn f19_a_reply_longer_than_its_bound_is_refused_when_the_bound_is_passed() {
    let mut reader = ReplyReader::new();
    let bulk = format!("${BULK_BYTES_MAX}\r\n{}\r\n", "x".repeat(BULK_BYTES_MAX));
    reader.room().extend_from_slice(b"*1000\r\n");
    let refused = (0..1000).find_map(|taken| {
        reader.room().extend_from_slice(bulk.as_bytes());
        reader.measure().err().map(|error| (taken, error))
    });
    assert_eq!(refused, Some((REPLY_BYTES_MAX / bulk.len(), Malformed::ReplyTooLong)));
}

#[test]
fn f19_an_entry_of_another_shape_ends_the_walk_with_an_error() {
    for bytes in [
        "*2\r\n*2\r\n$1\r\ns\r\n*0\r\n:1\r\n",
        "*1\r\n*3\r\n$1\r\ns\r\n*0\r\n:1\r\n",
        "*1\r\n*2\r\n$-1\r\n*0\r\n",
        "*1\r\n*2\r\n$1\r\ns\r\n:1\r\n",
        "*1\r\n*2\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n1-x\r\n*0\r\n",
        "*1\r\n*2\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n1-1\r\n*3\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n",
        "*1\r\n*2\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\na\r\n$-1\r\n",
        "*1\r\n*2\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\na\r\n*0\r\n",
        ":7\r\n",
        "+OK\r\n",
    ] {
        let mut reader = ReplyReader::new();
        reader.room().extend_from_slice(bytes.as_bytes());
        assert_eq!(reader.measure(), Ok(true), "{bytes:?}");
        assert_eq!(told(&reader), Err(Malformed::Unexpected), "{bytes:?}");
    }
}

#[test]
fn f19_no_byte_changed_dropped_or_doubled_is_a_panic_or_an_endless_walk() {
    let check = |bytes: &[u8]| {
        let mut reader = ReplyReader::new();
        for piece in bytes.chunks(3) {
            reader.room().extend_from_slice(piece);
            match reader.measure() {
                Ok(true) => drop(told(&reader)),
                Ok(false) => drop(first_id(reader.fragment())),
                Err(_) => return,
            }
        }
    };
    for at in 0..READ.len() {
        for byte in 0..=255 {
            let mut changed = READ.to_vec();
            changed[at] = byte;
            check(&changed);
        }
        let (head, tail) = READ.split_at(at);
        check(&[head, &tail[1..]].concat());
        check(&[head, &tail[..1], tail].concat());
        check(tail);
    }
}

#[test]
fn a_large_reply_in_small_pieces_is_not_read_again_from_its_start() {
    // A million values, looked at after each: quadratic work would not end within an hour.
    let mut reader = ReplyReader::new();
    reader.room().extend_from_slice(b"*1000000\r\n");
    for _ in 0..1_000_000 {
        assert_eq!(reader.measure(), Ok(false));
        reader.room().extend_from_slice(b"$1\r\nx\r\n");
    }
    assert_eq!(reader.measure(), Ok(true));
}
