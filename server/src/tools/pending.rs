//! `pitwall pending`: what was delivered to the writer and is not acknowledged.

use std::io::Write;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use engine::rows::EntryId;

use super::json::Object;
use super::now_ms_of;
use super::plain::{age, cut, table, text};
use super::trouble::Trouble;
use crate::config::Config;
use crate::config::arguments::with_settings;
use crate::stream::{Class, Control, Failure, Malformed, Server};

/// Most entries that are looked at for the numbers of a consumer, the oldest of the group; a hundred
/// bytes each. Who has more pending than that has the same trouble with all of them.
const LOOKED_AT_MAX: u64 = 10_000;

/// Longest name of a consumer in a table.
const NAME_CHARACTERS_MAX: usize = 40;

/// The command line.
pub(crate) fn command() -> Command {
    let about = "Print what was delivered to the writer and is not acknowledged: for each consumer, \
                 and the oldest entries.";
    let count = Arg::new("count")
        .long("count")
        .value_name("N")
        .value_parser(value_parser!(u64).range(0..=LOOKED_AT_MAX))
        .default_value("10")
        .help("How many entries to print");
    let json = Arg::new("json")
        .long("json")
        .action(ArgAction::SetTrue)
        .help("Print one JSON object per line");
    with_settings(Command::new("pending").about(about).arg(count).arg(json))
}

/// One pending entry, as `XPENDING` gives it: its id, whose it is, for how long since it was
/// delivered last, how often that was.
type Pending = (String, Vec<u8>, u64, u64);

/// All that is printed.
struct Found {
    group: String,
    stream: String,
    now_ms: u64,
    /// All pending entries.
    total: u64,
    consumers: Vec<Consumer>,
    /// The oldest of the group.
    entries: Vec<Entry>,
}

struct Consumer {
    name: Vec<u8>,
    pending: u64,
    /// How long it has not asked for anything.
    idle_ms: u64,
    /// The oldest entry, and the highest count of deliveries, among those looked at.
    oldest: Option<EntryId>,
    deliveries_max: Option<u64>,
}

struct Entry {
    id: EntryId,
    consumer: Vec<u8>,
    since_ms: u64,
    deliveries: u64,
    /// True when it is not in the stream any more: whoever gets it again gets nothing.
    is_trimmed: bool,
}

/// Does what the command line says.
pub(crate) async fn run(
    config: &Config,
    matches: &ArgMatches,
    out: &mut impl Write,
) -> Result<(), Trouble> {
    let count = *matches.get_one::<u64>("count").expect("it has a default");
    let server = Server::parse(&config.redis_url).map_err(|it| Trouble::Undone(it.to_string()))?;
    let mut control = Control::new(&server)?;
    let (stream, group) = (config.stream.as_str(), config.write.group.as_str());
    let found = look(&mut control, stream, group, count).await.map_err(|failure| {
        if failure.class != Class::GroupLost {
            return failure.into();
        }
        Trouble::Undone(format!(
            "There is no group {group} at the stream {stream}: nothing has stored its positions \
             yet, or the group was destroyed. Start pitwall with `durable` among its ROLES, which \
             creates it, or let REDIS_TELEMETRY_STREAM name the right stream."
        ))
    })?;
    if matches.get_flag("json") { found.write_json(out) } else { found.write(out) }
}

async fn look(
    control: &mut Control,
    stream: &str,
    group: &str,
    count: u64,
) -> Result<Found, Failure> {
    let mut summary = redis::cmd("XPENDING");
    summary.arg(stream).arg(group);
    let (total, ..): (u64, redis::Value, redis::Value, redis::Value) =
        control.call(&summary).await?;
    let mut oldest = redis::cmd("XPENDING");
    oldest.arg(stream).arg(group).arg("-").arg("+").arg(LOOKED_AT_MAX);
    let pending: Vec<Pending> = control.call(&oldest).await?;
    let mut list = redis::cmd("XINFO");
    list.arg("CONSUMERS").arg(stream).arg(group);
    let consumers: Vec<std::collections::HashMap<String, redis::Value>> =
        control.call(&list).await?;
    let mut consumers: Vec<Consumer> =
        consumers.into_iter().map(consumer).collect::<Option<_>>().ok_or(Malformed::Unexpected)?;
    let mut first = redis::cmd("XRANGE");
    first.arg(stream).arg("-").arg("+").arg("COUNT").arg(1);
    let first: Vec<(String, redis::Value)> = control.call(&first).await?;
    let head = first.first().and_then(|(id, _)| EntryId::parse(id.as_bytes()));
    let mut entries = Vec::new();
    for (id, name, since_ms, deliveries) in pending {
        let id = EntryId::parse(id.as_bytes()).ok_or(Malformed::Unexpected)?;
        if let Some(consumer) = consumers.iter_mut().find(|consumer| consumer.name == name) {
            consumer.oldest.get_or_insert(id);
            consumer.deliveries_max = consumer.deliveries_max.max(Some(deliveries));
        }
        if (entries.len() as u64) < count {
            let is_trimmed = head.is_none_or(|head| id < head);
            entries.push(Entry { id, consumer: name, since_ms, deliveries, is_trimmed });
        }
    }
    let now_ms = now_ms_of(control).await?;
    let (group, stream) = (group.to_owned(), stream.to_owned());
    Ok(Found { group, stream, now_ms, total, consumers, entries })
}

/// Reads what `XINFO CONSUMERS` says of one.
fn consumer(mut said: std::collections::HashMap<String, redis::Value>) -> Option<Consumer> {
    let mut number = |name| redis::from_redis_value::<u64>(said.remove(name)?).ok();
    let (pending, idle_ms) = (number("pending")?, number("idle")?);
    let name = redis::from_redis_value(said.remove("name")?).ok()?;
    Some(Consumer { name, pending, idle_ms, oldest: None, deliveries_max: None })
}

impl Found {
    fn age_ms(&self, id: EntryId) -> u64 {
        self.now_ms.saturating_sub(id.ms)
    }

    fn write(&self, out: &mut impl Write) -> Result<(), Trouble> {
        let Self { group, stream, total, .. } = self;
        writeln!(out, "{total} entries are pending in group {group} of {stream}")?;
        let unknown = || "-".to_owned();
        let consumers = self.consumers.iter().map(|it| {
            vec![
                cut(&text(&it.name), NAME_CHARACTERS_MAX),
                it.pending.to_string(),
                it.oldest.map_or_else(unknown, |id| age(self.age_ms(id))),
                it.deliveries_max.map_or_else(unknown, |count| count.to_string()),
                age(it.idle_ms),
            ]
        });
        let consumers: Vec<_> = consumers.collect();
        if !consumers.is_empty() {
            let heads = ["CONSUMER", " PENDING", " OLDEST", " DELIVERIES", " SILENT"];
            writeln!(out)?;
            table(&heads, &consumers, out)?;
        }
        let entries = self.entries.iter().map(|it| {
            vec![
                it.id.to_string(),
                age(self.age_ms(it.id)),
                cut(&text(&it.consumer), NAME_CHARACTERS_MAX),
                age(it.since_ms),
                it.deliveries.to_string(),
                if it.is_trimmed { "trimmed" } else { "" }.to_owned(),
            ]
        });
        let entries: Vec<_> = entries.collect();
        if !entries.is_empty() {
            let heads = ["ENTRY", " AGE", "CONSUMER", " DELIVERED", " DELIVERIES", "STATE"];
            writeln!(out)?;
            table(&heads, &entries, out)?;
        }
        Ok(out.flush()?)
    }

    fn write_json(&self, out: &mut impl Write) -> Result<(), Trouble> {
        let group = Object::new().text("kind", "group").text("group", &self.group);
        let group = group.text("stream", &self.stream).number("pending", Some(self.total));
        writeln!(out, "{}", group.line())?;
        for it in &self.consumers {
            let consumer = Object::new()
                .text("kind", "consumer")
                .bytes("consumer", Some(&it.name))
                .number("pending", Some(it.pending))
                .number("oldest_age_ms", it.oldest.map(|id| self.age_ms(id)))
                .number("deliveries_max", it.deliveries_max)
                .number("idle_ms", Some(it.idle_ms));
            writeln!(out, "{}", consumer.line())?;
        }
        for it in &self.entries {
            let entry = Object::new()
                .text("kind", "entry")
                .text("entry", &it.id.to_string())
                .number("age_ms", Some(self.age_ms(it.id)))
                .bytes("consumer", Some(&it.consumer))
                .number("delivered_ms", Some(it.since_ms))
                .number("deliveries", Some(it.deliveries))
                .is("trimmed", it.is_trimmed);
            writeln!(out, "{}", entry.line())?;
        }
        Ok(out.flush()?)
    }
}
