//! Which devices may send: every one, or those of the platform's table `devices`, read again and again.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use engine::teltonika::Imei;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::context::Context;
use crate::database::{Database, DatabaseError};
use crate::metrics::{Counter, Gauge, Page, Section};
use crate::shutdown::Stage;
use crate::status::{Component, Heartbeat, Reminder, Role, State};

/// Devices that are known at most. One costs some 50 bytes, 13 MB in all, twice while they are read.
const KNOWN_MAX: usize = 262_144;

/// The devices. The last row of the limit is one too many: it tells that there are more.
const DEVICES: &str = "
    SELECT CASE WHEN octet_length(imei::text) <= 16 THEN imei::text END
    FROM devices LIMIT 262145";
const _: () = assert!(KNOWN_MAX == 262_144 && engine::limits::IMEI_DIGITS_MAX == 16);

/// True when a rule on rows may hide some from us. No rows are then no proof that there are none.
const ARE_ROWS_HIDDEN: &str = "SELECT row_security_active('devices'::regclass)";

/// Between an attempt that failed and the next one, at least.
const RETRY: Duration = Duration::from_secs(2);

/// How often the keeper shows that it lives while it waits.
const BEAT: Duration = Duration::from_secs(1);

/// How long it may be silent: longer than the longest wait for the database.
const SILENCE_MS_MAX: u64 = 60_000;

/// What is said when the keeper ends although nothing ends: nobody else judges devices.
const ENDED_EARLY: &str = "What reads the table of devices has ended early. Start the process again \
                           and report this.";

/// What it means for devices that the table was never read.
const UNREAD: &str = "No device is accepted or refused: each waits for an answer to its handshake, \
                      and tries again. They keep their records.";

/// What it means for them that it was not read lately.
const OLD: &str = "Devices are judged by what was read before: new ones are refused for a while.";

/// Which devices are known.
#[derive(Clone, Debug)]
pub enum Known {
    /// All that say an IMEI.
    Everyone,
    /// It was never found out: nobody is accepted or refused.
    Unread,
    /// These and no others.
    These(Arc<HashSet<Imei>>),
}

impl Known {
    /// True when this device may send.
    #[must_use]
    pub fn has(&self, imei: &Imei) -> bool {
        match self {
            Self::Everyone => true,
            Self::Unread => false,
            Self::These(devices) => devices.contains(imei),
        }
    }
}

/// Which devices are known, and who keeps that fresh if somebody has to.
pub(super) fn of(context: &Context) -> (watch::Receiver<Known>, Option<Keeper>) {
    if !super::is_strict(context) {
        return (super::everyone(), None);
    }
    let (known, seen) = watch::channel(Known::Unread);
    let keeper = Keeper {
        context: context.clone(),
        known,
        numbers: Arc::default(),
        component: context.status.component("authority", Some(Role::Ingest)),
        heartbeat: context.status.heartbeat("authority", SILENCE_MS_MAX),
    };
    (seen, Some(keeper))
}

/// Reads the table.
pub(super) struct Keeper {
    context: Context,
    known: watch::Sender<Known>,
    numbers: Arc<Numbers>,
    component: Arc<Component>,
    heartbeat: Arc<Heartbeat>,
}

#[derive(Debug, Default)]
struct Numbers {
    devices: Gauge,
    skipped: Gauge,
    read: Counter,
    failed: Counter,
}

/// What was read: the devices, and rows without an IMEI as devices say it.
struct Read {
    devices: HashSet<Imei>,
    skipped: usize,
}

impl Keeper {
    pub(super) fn section(&self) -> Arc<dyn Section> {
        self.numbers.clone()
    }

    /// Reads until the process leaves.
    pub(super) async fn run(self) {
        let _alarm = self.context.shutdown.alarm(ENDED_EARLY);
        tokio::select! {
            () = self.context.shutdown.reached(Stage::Leaving) => {}
            () = self.keep() => {}
        }
    }

    async fn keep(&self) {
        let database = Database::new(&self.context, "authority");
        let period = Duration::from_millis(self.context.config.ingest.authority_refresh_ms);
        let mut reminder = Reminder::default();
        while self.context.shutdown.stage() < Stage::Leaving {
            let began = Instant::now();
            let pause = match read(&database).await {
                Ok(read) => {
                    self.take(read);
                    period.saturating_sub(began.elapsed())
                }
                Err((words, remedy)) => {
                    self.tell(&words, remedy);
                    RETRY.min(period)
                }
            };
            let until = Instant::now() + pause;
            while Instant::now() < until {
                self.heartbeat.beat();
                reminder.tick(&self.component, self.context.clock);
                sleep(BEAT.min(until - Instant::now())).await;
            }
            self.heartbeat.beat();
        }
    }

    fn take(&self, read: Read) {
        let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.numbers.read.increment();
        self.numbers.devices.set(count(read.devices.len()));
        self.numbers.skipped.set(count(read.skipped));
        let mut words = format!("{} devices may send.", read.devices.len());
        if read.skipped > 0 {
            let skipped = format!(" {} rows have no IMEI of 15 or 16 digits.", read.skipped);
            words.push_str(&skipped);
        }
        self.component.is_working(&words);
        self.known.send_if_modified(|known| {
            let is_same = matches!(known, Known::These(devices) if **devices == read.devices);
            if !is_same {
                *known = Known::These(Arc::new(read.devices));
            }
            !is_same
        });
    }

    fn tell(&self, words: &str, remedy: &str) {
        self.numbers.failed.increment();
        if matches!(*self.known.borrow(), Known::Unread) {
            let reason = format!("The table devices could not be read yet: {words}");
            self.component.set(State::Failed, &reason, UNREAD, remedy);
        } else {
            let reason = format!("The table devices could not be read lately: {words}");
            self.component.set(State::Impaired, &reason, OLD, remedy);
        }
    }
}

/// Reads the table once; a failure in words, and what to do about it.
async fn read(database: &Database) -> Result<Read, (String, &'static str)> {
    let told = |error: DatabaseError| (error.words.clone(), error.class.remedy());
    let rows = database.query(DEVICES, &[]).await.map_err(told)?;
    if rows.len() > KNOWN_MAX {
        let words = format!("It has more than {KNOWN_MAX} devices.");
        return Err((words, "Remove devices that are gone, or set DEVICE_AUTHORITY_MODE=open."));
    }
    if rows.is_empty() {
        let answer = database.query(ARE_ROWS_HIDDEN, &[]).await.map_err(told)?;
        if answer.first().is_some_and(|row| row.try_get(0).unwrap_or(false)) {
            let words = "It shows no row, and its row level security may hide them from this user.";
            return Err((
                words.to_owned(),
                "Let the user of POSTGRES_URL read all rows of devices.",
            ));
        }
    }
    let imeis = rows.iter().map(|row| row.try_get::<_, Option<&str>>(0).ok().flatten());
    let devices: HashSet<Imei> =
        imeis.filter_map(|imei| Imei::parse(imei?.as_bytes()).ok()).collect();
    let skipped = rows.len() - devices.len();
    Ok(Read { devices, skipped })
}

impl Section for Numbers {
    fn write(&self, page: &mut Page) {
        let help = "Devices that may send.";
        page.gauge("pitwall_ingest_known_devices", help, Some(self.devices.value()));
        let help = "Rows of the table devices without a usable IMEI.";
        page.gauge("pitwall_ingest_known_devices_skipped", help, Some(self.skipped.value()));
        let values = [("done", self.read.value()), ("failed", self.failed.value())];
        let help = "Reads of the table devices.";
        page.counters("pitwall_ingest_authority_reads_total", help, "result", &values);
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::{ENDED_EARLY, of};
    use crate::config::{Config, DeviceAuthority};
    use crate::context::Context;
    use crate::error::Stop;
    use crate::log::{Level, Log};
    use crate::shutdown::Shutdown;

    #[tokio::test]
    async fn a_keeper_that_ends_early_ends_the_process() {
        let mut config = Config::new("redis://127.0.0.1:1", "postgres://nobody@127.0.0.1:1/none");
        config.ingest.authority = DeviceAuthority::Strict;
        let log = Log::to(Level::Error, "test", io::sink());
        let context = Context::new(config, log, Shutdown::default());
        let keeping = tokio::spawn(of(&context).1.expect("a table is asked").run());
        tokio::task::yield_now().await;
        keeping.abort();
        assert!(keeping.await.unwrap_err().is_cancelled());
        assert_eq!(context.shutdown.failure(), Some(Stop::Broken(ENDED_EARLY.to_owned())));
    }
}
