//! The two planes do not feel each other: what viewers see does not depend on PostgreSQL, nor what is
//! stored on viewers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use pitwall::config::{Config, Roles};
use tests::client::Client;
use tests::entries::{Fix, Publisher};
use tests::live::Live;
use tests::platform::imei;
use tests::producer::Mix;
use tests::scene::{DEVICE, EVENT};

use crate::rig::{Rig, holds, is_ready, report};

/// How long the table is away.
const AWAY: Duration = Duration::from_secs(15);

/// How soon after its return everything must be stored.
const DRAINED: Duration = Duration::from_secs(3);

/// Fixes a second beside those that are shown.
const RATE: u32 = 500;

/// The settings of a program that does both.
fn config(rig: &Rig) -> Config {
    let mut config = rig.scene.config();
    config.roles = Roles::default();
    config
}

/// How long fixes took from before their publication until a viewer had read them.
pub(crate) struct Times(Vec<Duration>);

impl Times {
    /// Publishes one fix after the other as soon as the viewer has seen the last, while something is
    /// the case, and a hundred at least.
    pub(crate) fn take(
        rig: &mut Rig,
        viewer: &mut Client,
        mut goes_on: impl FnMut(&Rig) -> bool,
    ) -> Self {
        let mut times = Vec::new();
        while times.len() < 100 || goes_on(rig) {
            let began = Instant::now();
            let fix = rig.scene.publish_next();
            // Others may be shown in between; one that never comes fails here.
            while viewer.message()["ts"] != fix.ts_ms {}
            times.push(began.elapsed());
        }
        times.sort();
        Self(times)
    }

    pub(crate) fn of_hundred(&self, place: usize) -> Duration {
        self.0[(self.0.len() - 1) * place / 100]
    }

    /// How many there are.
    pub(crate) fn count(&self) -> i64 {
        i64::try_from(self.0.len()).unwrap()
    }

    /// The bounds are those of a machine that does other things beside: whoever waited for the
    /// database would wait for seconds.
    fn are_as_before(&self, before: &Self, what: &str) {
        let told = |times: &Self| (times.of_hundred(50), times.of_hundred(99));
        let (now, then) = (told(self), told(before));
        assert!(now.0 <= 2 * then.0 + Duration::from_millis(5), "{what}: {now:?} after {then:?}");
        assert!(now.1 <= 3 * then.1 + Duration::from_millis(100), "{what}: {now:?} after {then:?}");
    }
}

#[test]
fn f37_the_table_is_dropped_for_a_while_and_nothing_is_lost_and_viewers_notice_nothing() {
    let mut rig = Rig::new();
    let live = rig.start_with(config(&rig));
    let mut viewer = rig.scene.watching(&live);
    let start_ms = rig.scene.now_ms() - 86_400_000;
    let producing = rig.producer(Mix { start_ms, ..Mix::rough(37) }).steady(RATE);
    let before = Times::take(&mut rig, &mut viewer, |_| false);
    rig.execute("ALTER TABLE positions RENAME TO away");
    let gone = Instant::now();
    let mut is_told = false;
    let during = Times::take(&mut rig, &mut viewer, |_| {
        is_told = is_told || holds(&live, "writer", "schema: There is no table positions");
        assert!(is_told || gone.elapsed() < DRAINED, "it is told in time");
        gone.elapsed() < AWAY
    });
    let said = report(&live, "writer");
    assert!(said["effect"].as_str().unwrap().contains("None is lost"), "{said}");
    let refused = rig.metric(&live, "processor_dead_letters_total{why=\"refused\"}");
    assert_eq!(refused, 0, "nothing is set aside");
    let log = live.log();
    let lines = log.lines().filter(|line| line.contains("\"level\":\"error\""));
    let of_writer = lines.filter(|line| line.contains("\"component\":\"writer\"")).count();
    assert_eq!(of_writer, 1, "one line a minute:\n{log}");
    rig.execute("ALTER TABLE away RENAME TO positions");
    let returned = Instant::now();
    // New ones come all the time: it is done when no more wait than usual.
    rig.scene
        .until("it is drained", || is_ready(live.admin) && rig.pending() + rig.unread() <= 100);
    let drained = returned.elapsed();
    let after = Times::take(&mut rig, &mut viewer, |_| false);
    let producer = producing.stop();
    rig.until_acknowledged();
    // What the viewer was shown first: the producer's log knows nothing of that.
    let seen = before.0.len() + during.0.len() + after.0.len();
    let shown = format!(
        "WITH shown AS (DELETE FROM positions WHERE device_id = '{DEVICE}'
            AND ts > now() - interval '12 hours' RETURNING ts)
        SELECT count(DISTINCT ts) FROM shown"
    );
    assert_eq!(rig.number(&shown), i64::try_from(seen).unwrap());
    rig.judge(&producer).assert_drained();
    assert_eq!(rig.metric(&live, "processor_writer_residual"), 0);
    during.are_as_before(&before, "while the table is away");
    after.are_as_before(&before, "when it is back");
    assert!(drained < DRAINED, "{seen} shown and others were drained after {drained:?}");
}

/// Stops who goes on, also when the test fails.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

#[test]
fn viewers_see_as_fast_as_ever_while_postgres_is_down_and_while_the_table_is_locked() {
    let mut rig = Rig::own();
    let live = rig.start_with(config(&rig));
    let mut viewer = rig.scene.watching(&live);
    let before = Times::take(&mut rig, &mut viewer, |_| false);
    rig.scene.stop_postgres();
    let down = Times::take(&mut rig, &mut viewer, |_| !holds(&live, "writer", "transient"));
    rig.scene.start_postgres();
    rig.scene.until("it is well", || is_ready(live.admin));
    let gate = rig.session();
    gate.execute("BEGIN; LOCK TABLE positions IN ACCESS EXCLUSIVE MODE");
    let locked = Times::take(&mut rig, &mut viewer, |_| !holds(&live, "writer", "55P03"));
    gate.execute("COMMIT");
    let after = Times::take(&mut rig, &mut viewer, |_| false);
    let phases = [(down, "down"), (locked, "locked"), (after, "after")];
    let mut rows = before.0.len();
    for (times, what) in phases {
        times.are_as_before(&before, what);
        rows += times.0.len();
    }
    rig.until_stored(i64::try_from(rows).unwrap());
}

/// How long it takes to store what has gathered.
fn drain(rig: &mut Rig, live: &Live, rows: i64) -> Duration {
    let gate = rig.session();
    gate.execute("BEGIN; LOCK TABLE positions IN ACCESS EXCLUSIVE MODE");
    let stored = "processor_position_writes_total{status=\"inserted\"}";
    let before = rig.metric(live, stored);
    let now_ms = rig.scene.now_ms();
    let fixes: Vec<Fix> =
        (0..rows).map(|at| Fix::new(&imei(100 + at.cast_unsigned() % 500), now_ms + at)).collect();
    rig.scene.publish_all(&fixes);
    let began = Instant::now();
    gate.execute("COMMIT");
    rig.scene.until("all is stored", || rig.metric(live, stored) - before >= rows.cast_unsigned());
    began.elapsed()
}

#[test]
fn what_is_stored_is_stored_as_fast_with_two_hundred_viewers_as_with_none() {
    const ROWS: i64 = 20_000;
    let mut rig = Rig::new();
    let live = rig.start_with(config(&rig));
    drain(&mut rig, &live, 1_000);
    let without = drain(&mut rig, &live, ROWS);
    let mut viewers: Vec<Client> =
        (0..200).map(|number| rig.scene.viewer_at(live.address, number / 10 + 1)).collect();
    for viewer in &mut viewers {
        viewer.subscribe(EVENT, "");
        viewer.reply("subscribed");
    }
    let goes_on = AtomicBool::new(true);
    let (port, now_ms) = (rig.scene.redis.port(), rig.scene.now_ms());
    let mut shown = 0;
    let with = thread::scope(|threads| {
        let _stop = Stop(&goes_on);
        let watching = threads.spawn(|| watch(port, now_ms, &mut viewers, &goes_on));
        let with = drain(&mut rig, &live, ROWS);
        goes_on.store(false, Ordering::Relaxed);
        shown = watching.join().unwrap();
        with
    });
    assert!(shown > 0, "viewers were shown something meanwhile");
    let most = 3 * without + Duration::from_secs(1);
    assert!(with < most, "{with:?} with viewers, {without:?} without");
}

/// Shows all viewers one fix after the other until it is told to stop; says how many.
fn watch(port: u16, now_ms: i64, viewers: &mut [Client], goes_on: &AtomicBool) -> u64 {
    let mut publisher = Publisher::connect(port);
    let mut shown = 0;
    while goes_on.load(Ordering::Relaxed) {
        shown += 1;
        let fix = Fix::new(&imei(1), now_ms + shown);
        publisher.publish(&fix);
        for viewer in &mut *viewers {
            assert_eq!(viewer.message()["ts"], fix.ts_ms);
        }
    }
    shown.unsigned_abs()
}
