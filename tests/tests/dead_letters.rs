//! Dead letters on a real Redis: there exactly once, and nothing of an entry is lost.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use engine::rows::EntryId;
use pitwall::durable::dead_letter::{
    DECODE, DeadLetter, DeadLetters, FIELDS_APART_MAX, Fields, Names, Written,
};
use pitwall::secret::Secret;
use pitwall::stream::{Class, Failure, Server};
use redis::{Cmd, Connection, Value};
use tests::redis::Redis;
use tokio::runtime::Runtime;

const STREAM: &str = "telemetry:teltonika";

const LETTERS: &str = "telemetry:teltonika:dlq";

const GROUP: &str = "processor";

/// A Redis with a group, and who writes letters there.
struct Rig {
    redis: Redis,
    connection: Connection,
    letters: DeadLetters,
    runtime: Runtime,
}

impl Rig {
    fn start(letters_max: u64) -> Self {
        let redis = Redis::start();
        let mut connection = redis.connect();
        let create = format!("XGROUP CREATE {STREAM} {GROUP} 0 MKSTREAM");
        command(&create).exec(&mut connection).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { letters: letters(&redis, "one", letters_max), redis, connection, runtime }
    }

    /// Adds an entry and delivers it to a consumer of the group.
    fn deliver(&mut self, fields: &[(Vec<u8>, Vec<u8>)]) -> EntryId {
        let mut add = command(&format!("XADD {STREAM} *"));
        for (name, value) in fields {
            add.arg(name).arg(value);
        }
        let id: String = add.query(&mut self.connection).unwrap();
        let read = format!("XREADGROUP GROUP {GROUP} one COUNT 1 STREAMS {STREAM} >");
        command(&read).exec(&mut self.connection).unwrap();
        EntryId::parse(id.as_bytes()).unwrap()
    }

    fn write(&mut self, letter: &DeadLetter<'_>) -> Result<Written, Failure> {
        self.runtime.block_on(self.letters.write(letter))
    }

    fn fields(&mut self, entry: EntryId) -> Option<Fields> {
        self.runtime.block_on(self.letters.fields(entry)).unwrap()
    }

    fn say(&mut self, words: &str) {
        command(words).exec(&mut self.connection).unwrap();
    }

    fn pending_count(&mut self) -> i64 {
        let pending = command(&format!("XPENDING {STREAM} {GROUP}"));
        let summary: (i64, Value, Value, Value) = pending.query(&mut self.connection).unwrap();
        summary.0
    }

    /// The letters that are there: the id and the fields of each.
    fn written(&mut self) -> Vec<(String, Fields)> {
        let range = command(&format!("XRANGE {LETTERS} - +"));
        range.query(&mut self.connection).unwrap()
    }
}

fn letters(redis: &Redis, instance_id: &str, letters_max: u64) -> DeadLetters {
    let server = Server::parse(&Secret::new(redis.url())).unwrap();
    let names = Names {
        stream: STREAM.to_owned(),
        group: GROUP.to_owned(),
        instance_id: instance_id.to_owned(),
    };
    DeadLetters::new(&server, names, letters_max).unwrap()
}

fn command(words: &str) -> Cmd {
    let mut words = words.split(' ');
    let mut command = redis::cmd(words.next().unwrap());
    command.arg(words.collect::<Vec<_>>());
    command
}

fn field(name: &str, value: impl AsRef<[u8]>) -> (Vec<u8>, Vec<u8>) {
    (name.as_bytes().to_vec(), value.as_ref().to_vec())
}

const fn letter(entry: EntryId, fields: &[(Vec<u8>, Vec<u8>)]) -> DeadLetter<'_> {
    DeadLetter {
        entry,
        reason: "The entry has no `ts`.",
        code: DECODE,
        fields,
        are_fields_lost: false,
    }
}

#[test]
fn a_letter_has_every_byte_of_its_entry_in_its_order() {
    let mut rig = Rig::start(10);
    let every_byte: Vec<u8> = (0..=255).collect();
    let fields = [
        (every_byte.clone(), every_byte.clone()),
        field("payload", "{\"a\":1}\r\n"),
        field("", ""),
        field("payload", "again"),
    ];
    let entry = rig.deliver(&fields);
    let read = rig.fields(entry).unwrap();
    assert_eq!(read, fields);
    let before_ms = pitwall::clock::wall_ms();
    let Written::Added(id) = rig.write(&letter(entry, &read)).unwrap() else { panic!("added") };
    let mut written = rig.written();
    let (written_id, mut found) = written.pop().unwrap();
    assert_eq!((written_id, written.len()), (id.to_string(), 0));
    let at = String::from_utf8(found.remove(4).1).unwrap();
    let mut now = String::new();
    pitwall::log::push_time(&mut now, before_ms);
    assert!(at >= now && at.len() == now.len() && at.ends_with('Z'), "{at}");
    let raw = |name: &[u8]| [b"raw:", name].concat();
    let expected = [
        field("entry", entry.to_string()),
        field("reason", "The entry has no `ts`."),
        field("code", "decode"),
        field("instance", "one"),
        (raw(&every_byte), every_byte.clone()),
        (raw(b"payload"), b"{\"a\":1}\r\n".to_vec()),
        (raw(b""), Vec::new()),
        (raw(b"payload"), b"again".to_vec()),
    ];
    assert_eq!(found, expected);
    assert_eq!(rig.pending_count(), 0, "and its entry is acknowledged");
}

#[test]
fn f22_an_entry_that_is_not_pending_gets_no_second_letter() {
    let mut rig = Rig::start(10);
    let fields = [field("a", "1")];
    let entry = rig.deliver(&fields);
    rig.say(&format!("XCLAIM {STREAM} {GROUP} two 0 {entry}"));
    let mut other = letters(&rig.redis, "two", 10);
    let by_other = rig.runtime.block_on(other.write(&letter(entry, &fields))).unwrap();
    assert!(matches!(by_other, Written::Added(_)));
    assert_eq!(rig.write(&letter(entry, &fields)).unwrap(), Written::NotPending);
    let never_delivered = EntryId { ms: entry.ms + 1, sequence: 0 };
    assert_eq!(rig.write(&letter(never_delivered, &fields)).unwrap(), Written::NotPending);
    assert_eq!(rig.written().len(), 1);
}

#[test]
fn a_letter_of_a_trimmed_entry_says_that_its_fields_are_lost() {
    let mut rig = Rig::start(10);
    let entry = rig.deliver(&[field("a", "1")]);
    rig.say(&format!("XTRIM {STREAM} MAXLEN 0"));
    assert_eq!(rig.fields(entry), None);
    let rebuilt = [field("device_id", "356307042441013")];
    let lost = DeadLetter { are_fields_lost: true, ..letter(entry, &rebuilt) };
    assert!(matches!(rig.write(&lost).unwrap(), Written::Added(_)), "it is pending all the same");
    let found = rig.written().remove(0).1;
    assert_eq!(found[5], field("lost_fields", "1"));
    assert_eq!(found[6], field("raw:device_id", "356307042441013"));
    assert_eq!((found.len(), rig.pending_count()), (7, 0));
}

#[test]
fn with_as_many_letters_as_may_be_nothing_is_changed() {
    let mut rig = Rig::start(1);
    let fields = [field("a", "1")];
    let (first, second) = (rig.deliver(&fields), rig.deliver(&fields));
    assert!(matches!(rig.write(&letter(first, &fields)).unwrap(), Written::Added(_)));
    assert_eq!(rig.write(&letter(second, &fields)).unwrap(), Written::Full);
    assert_eq!(rig.write(&letter(first, &fields)).unwrap(), Written::NotPending);
    assert_eq!((rig.written().len(), rig.pending_count()), (1, 1));
    rig.say(&format!("DEL {LETTERS}"));
    assert!(matches!(rig.write(&letter(second, &fields)).unwrap(), Written::Added(_)));
    assert_eq!(rig.pending_count(), 0);
}

#[test]
fn f5_without_memory_the_letter_is_refused_and_its_entry_stays_pending() {
    let mut rig = Rig::start(10);
    let fields = [field("a", "1")];
    let entry = rig.deliver(&fields);
    rig.say("CONFIG SET maxmemory-policy noeviction");
    rig.say("CONFIG SET maxmemory 1");
    let refused = rig.write(&letter(entry, &fields)).unwrap_err();
    assert!(refused.class == Class::Later && refused.words.contains("OOM"), "{refused}");
    assert_eq!((rig.written().len(), rig.pending_count()), (0, 1));
    rig.say("CONFIG SET maxmemory 0");
    assert!(matches!(rig.write(&letter(entry, &fields)).unwrap(), Written::Added(_)));
    assert_eq!((rig.written().len(), rig.pending_count()), (1, 0));
}

#[test]
fn what_redis_refuses_has_its_class_and_changes_nothing() {
    let mut rig = Rig::start(10);
    let fields = [field("a", "1")];
    let entry = rig.deliver(&fields);
    rig.say(&format!("SET {LETTERS} x"));
    let failure = rig.write(&letter(entry, &fields)).unwrap_err();
    assert_eq!(failure.class, Class::Hold, "{failure}");
    rig.say(&format!("DEL {LETTERS}"));
    assert_eq!(rig.pending_count(), 1, "a key of another kind");
    rig.say("ACL SETUSER default -xadd");
    let failure = rig.write(&letter(entry, &fields)).unwrap_err();
    rig.say("ACL SETUSER default +xadd");
    assert_eq!((failure.class, rig.pending_count()), (Class::Hold, 1), "{failure}");
    rig.say(&format!("XGROUP DESTROY {STREAM} {GROUP}"));
    let failure = rig.write(&letter(entry, &fields)).unwrap_err();
    assert_eq!(failure.class, Class::GroupLost, "{failure}");
    assert_eq!(rig.written(), []);
}

#[test]
fn d1_an_entry_of_a_hundred_thousand_fields_becomes_a_whole_letter() {
    let mut rig = Rig::start(10);
    let fields: Fields =
        (0..100_000).map(|number| field(&format!("f{number}"), format!("v{number}"))).collect();
    let entry = rig.deliver(&fields);
    let read = rig.fields(entry).unwrap();
    assert!(read == fields, "all of them are read");
    assert!(matches!(rig.write(&letter(entry, &read)).unwrap(), Written::Added(_)));
    let mut found = rig.written().remove(0).1;
    let (name, rest) = found.pop().unwrap();
    assert_eq!((name, found.len()), (b"raw_rest".to_vec(), 5 + FIELDS_APART_MAX));
    let packed: Vec<u8> = fields[FIELDS_APART_MAX..]
        .iter()
        .flat_map(|(name, value)| [name, value])
        .flat_map(|text| [format!("{}:", text.len()).as_bytes(), text, b","].concat())
        .collect();
    assert!(rest == packed, "the rest is whole");
    assert_eq!(rig.pending_count(), 0);
}

#[test]
fn f16_a_connection_that_was_cut_is_made_again() {
    let mut rig = Rig::start(10);
    let fields = [field("a", "1")];
    let (first, second) = (rig.deliver(&fields), rig.deliver(&fields));
    assert!(matches!(rig.write(&letter(first, &fields)).unwrap(), Written::Added(_)));
    rig.say("CLIENT KILL TYPE normal SKIPME yes");
    let cut = rig.write(&letter(second, &fields));
    let again = rig.write(&letter(second, &fields)).unwrap();
    match cut {
        Ok(Written::Added(_)) => assert_eq!(again, Written::NotPending),
        Err(failure) => assert_eq!(failure.class, Class::Cut, "{failure}"),
        Ok(other) => panic!("{other:?}"),
    }
    assert_eq!((rig.written().len(), rig.pending_count()), (2, 0));
}
