//! What PostgreSQL can do to the writer as a server: die, hang, forget, refuse, crawl.
//!
//! F45, a pgbouncer that pools transactions, has no test: it is not supported. A writer's session is
//! set once and then relied on (`synchronous_commit`, its limits, its prepared statements), which such
//! a pool does not keep for it. In its session mode nothing passes that does not pass here.
//!
//! F36, the half in which the disk of the write-ahead log is full: the server panics and stays down. To
//! a writer that is F31, a server that was killed, until somebody has made room and started it again.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use pitwall::config::Config;
use tests::directory::Directory;
use tests::entries::{Fix, Publisher, STREAM, iso};
use tests::live::Live;
use tests::platform::imei;
use tests::producer::Mix;
use tests::proxy::{Fault, Proxy, Which};
use tests::scene::DEVICE;

use crate::rig::{Rig, Session, at_once, holds, is_ready, report};

const RETRIES: &str = "processor_writer_retries_total{why=\"transient\"}";
const INSERTED: &str = "processor_position_writes_total{status=\"inserted\"}";
const DUPLICATE: &str = "processor_position_writes_total{status=\"duplicate\"}";

/// The sessions of the program.
const OURS: &str = "FROM pg_stat_activity
    WHERE application_name LIKE 'pitwall-durable%' AND datname = current_database()";

/// Lets a producer work while something is done again and again, each time when more has been
/// acknowledged, and expects everything in its place.
fn survives(rig: &mut Rig, live: &Live, times: usize, mut harm: impl FnMut(&mut Rig)) {
    let producing = rig.producer(Mix::rough(30)).steady(1_000);
    for _ in 0..times {
        let acks = "processor_acks_total";
        let before = rig.metric(live, acks);
        rig.scene.until("more is acknowledged", || rig.metric(live, acks) > before + 100);
        harm(rig);
    }
    let producer = producing.stop();
    rig.scene.until("it is well again", || is_ready(live.admin));
    rig.until_drained(&producer).assert_drained();
}

#[test]
fn f30_a_killed_backend_ends_all_sessions_and_nothing_is_lost() {
    let mut rig = Rig::own();
    let live = rig.start();
    let mut killed = 0;
    let url = rig.url();
    survives(&mut rig, &live, 5, |rig| {
        // Acknowledgements of what was stored before may come while it still recovers.
        rig.scene.until("it lets us in", || Session::open(&url).is_ok());
        let sessions = format!("SELECT count(*) {OURS}");
        rig.scene.until("the program has a session", || rig.number(&sessions) > 0);
        let backend = rig.number(&format!("SELECT pid::bigint {OURS} LIMIT 1")).to_string();
        let kill = Command::new("kill").args(["-s", "KILL", &backend]).status();
        killed += u32::from(kill.unwrap().success());
    });
    assert_eq!(killed, 5);
}

#[test]
fn f31_killing_all_of_postgres_again_and_again_loses_nothing_that_was_acknowledged() {
    let mut rig = Rig::over(&[]);
    let live = rig.start();
    survives(&mut rig, &live, 3, |rig| {
        rig.scene.postgres().kill();
        rig.scene.start_postgres();
    });
}

#[test]
fn f34_a_server_that_syncs_nothing_is_told_of_and_does_not_keep_the_writer_from_writing() {
    let mut rig = Rig::over(&[]);
    rig.set("fsync", "off");
    let live = rig.start();
    rig.publish(10, 10);
    rig.until_stored(100);
    let said = report(&live, "writer");
    assert_eq!(said["state"], "impaired", "{said}");
    assert!(said["reason"].as_str().unwrap().contains("fsync = off"), "{said}");
    assert!(said["remedy"].as_str().unwrap().contains("ALTER SYSTEM SET fsync = on"), "{said}");
    rig.reset("fsync");
    rig.scene.until("all is well", || report(&live, "writer")["state"] == "working");
}

#[test]
fn f34_a_session_waits_for_the_disk_whatever_its_role_and_its_database_say() {
    let mut rig = Rig::own();
    rig.execute(
        "ALTER ROLE pitwall SET synchronous_commit = off;
        ALTER DATABASE postgres SET synchronous_commit = off;
        CREATE TABLE seen (mode text);
        CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            INSERT INTO seen VALUES (current_setting('synchronous_commit')); RETURN NULL; END $$;
        CREATE TRIGGER see AFTER INSERT ON positions FOR EACH STATEMENT EXECUTE FUNCTION see()",
    );
    let _live = rig.start();
    for round in 1..=3 {
        rig.publish(10, 1);
        rig.until_stored(round * 10);
    }
    assert!(rig.number("SELECT count(*) FROM seen WHERE mode = 'on'") >= 3);
    assert_eq!(rig.number("SELECT count(*) FROM seen WHERE mode <> 'on'"), 0);
}

#[test]
fn f35_nothing_is_acknowledged_while_the_standby_that_must_confirm_is_missing() {
    let mut rig = Rig::own();
    let live = rig.start_with(rig.hasty_config());
    rig.publish(10, 10);
    rig.until_stored(100);
    rig.set("synchronous_standby_names", "nobody");
    let waiting = format!("SELECT count(*) {OURS} AND wait_event = 'SyncRep'");
    let mut publisher = Publisher::connect(rig.scene.redis.port());
    let mut rows = 100;
    rig.scene.until("a commit waits", || {
        publisher.publish(&Fix::new(DEVICE, rig.scene.now_ms() - 3_600_000));
        rows += 1;
        rig.number(&waiting) > 0
    });
    rig.publish(10, 1);
    rows += 10;
    rig.scene.until("all are read", || rig.unread() == 0);
    let (pending, before) = (rig.pending(), rig.metric(&live, RETRIES));
    assert!(pending >= 10, "{pending} are pending");
    let silence = "PostgreSQL did not answer within 1000 ms.";
    rig.scene.until("it holds", || holds(&live, "writer", silence));
    rig.scene.until("it tries again", || rig.metric(&live, RETRIES) >= before + 6);
    assert_eq!(rig.pending(), pending, "nobody has confirmed a row");
    rig.reset("synchronous_standby_names");
    rig.until_stored(rows);
    assert_eq!(rig.letters(), 0);
}

/// A disk of 16 MB, or what stands in for it.
struct Disk {
    directory: Directory,
    is_mounted: bool,
}

impl Disk {
    /// Only root may mount one: for everybody else a trigger says what PostgreSQL would say.
    fn new() -> Self {
        let directory = Directory::new("disk").unwrap();
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", "size=16m", "tmpfs"]).arg(directory.path());
        let is_mounted = command.output().is_ok_and(|output| output.status.success());
        Self { directory, is_mounted }
    }

    fn ballast(&self) -> PathBuf {
        self.directory.path().join("ballast")
    }

    /// Moves the table there.
    fn take_in(&self, rig: &Rig) {
        if !self.is_mounted {
            return;
        }
        let space = self.directory.path().join("space");
        fs::create_dir(&space).unwrap();
        let mut data = String::new();
        rig.scene.sql(async |client| {
            data = client.query_one("SHOW data_directory", &[]).await.unwrap().get(0);
        });
        let owner = fs::metadata(&data).unwrap();
        for path in [self.directory.path(), &space] {
            chown(path, Some(owner.uid()), Some(owner.gid())).unwrap();
        }
        rig.execute(&format!("CREATE TABLESPACE small LOCATION '{}'", space.display()));
        rig.execute("ALTER TABLE positions SET TABLESPACE small");
        rig.execute("ALTER INDEX positions_device_ts SET TABLESPACE small");
    }

    fn fill(&self, rig: &Rig) {
        if self.is_mounted {
            let full = fs::write(self.ballast(), vec![1; 32 << 20]).unwrap_err();
            assert_eq!(full.raw_os_error(), Some(28), "no space is left: {full}");
        } else {
            rig.execute(
                "CREATE FUNCTION full() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                    RAISE 'could not extend file: No space left on device' USING ERRCODE = '53100';
                    END $$;
                CREATE TRIGGER full BEFORE INSERT ON positions FOR EACH ROW EXECUTE FUNCTION full()",
            );
        }
    }

    fn clear(&self, rig: &Rig) {
        if self.is_mounted {
            fs::remove_file(self.ballast()).unwrap();
        } else {
            rig.execute("DROP TRIGGER full ON positions");
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.is_mounted {
            // The server that used it has ended. What stays mounted is told by a full folder.
            Command::new("umount").arg(self.directory.path()).status().ok();
        }
    }
}

#[test]
fn f36_a_full_disk_holds_as_an_outage_and_writing_resumes_when_there_is_space() {
    let disk = Disk::new();
    let rig = Rig::own();
    disk.take_in(&rig);
    let live = rig.start();
    let mut producer = rig.producer(Mix::rough(36));
    producer.burst(100);
    rig.until_drained(&producer).assert_drained();
    disk.fill(&rig);
    // More than the pages that are there have room for.
    producer.burst(5_000);
    rig.scene.until("it holds", || holds(&live, "writer", "outage: PostgreSQL says 53100"));
    let said = report(&live, "writer");
    assert!(said["remedy"].as_str().unwrap().contains("disk"), "{said}");
    rig.judge(&producer).assert_clean();
    disk.clear(&rig);
    rig.until_drained(&producer).assert_drained();
    rig.scene.until("it is well", || is_ready(live.admin));
}

#[test]
fn f40_a_locked_table_is_waited_for_and_a_primary_key_in_place_of_the_index_works() {
    let mut rig = Rig::new();
    let proxy = Proxy::to_postgres(rig.scene.postgres_port());
    let mut config = rig.config_through(&proxy);
    config.write.deadline_ms = 2_500;
    let live = rig.start_with(config);
    rig.publish(10, 10);
    rig.until_stored(100);
    // What the server says beyond the refusal comes after the next try has begun.
    proxy.set_both(Which::All, Fault::Delay { ms: 100, jitter_ms: 0, seed: 1 });
    let migration = rig.session();
    migration.execute("BEGIN; LOCK TABLE positions IN ACCESS EXCLUSIVE MODE");
    rig.publish(10, 10);
    rig.scene.until("it holds", || holds(&live, "writer", "55P03"));
    let said = report(&live, "writer");
    assert!(said["reason"].as_str().unwrap().contains("lock timeout"), "{said}");
    rig.scene.until("nothing is acknowledged", || rig.pending() == 100);
    assert_eq!(rig.letters(), 0);
    let key = "ALTER TABLE positions ADD PRIMARY KEY USING INDEX positions_device_ts";
    migration.execute(key);
    migration.execute("COMMIT");
    rig.until_stored(200);
    rig.publish(10, 10);
    rig.until_stored(300);
    rig.scene.until("it is well", || is_ready(live.admin));
    let mistaken = "processor_writer_retries_total{why=\"schema\"}";
    assert_eq!(rig.metric(&live, mistaken), 0, "no answer was taken for another");
}

/// Keeps the writer out, expects a hold for this reason, lets it in again and expects every row.
fn keeps_out(breaking: &[&str], reason: &str, mending: &[&str]) {
    let mut rig = Rig::own();
    let live = rig.start_with(rig.config_of_writer());
    rig.publish(10, 10);
    rig.until_stored(100);
    breaking.iter().for_each(|statement| rig.execute(statement));
    rig.end_sessions();
    rig.publish(10, 1);
    rig.scene.until(&format!("it holds: {reason}"), || holds(&live, "writer", reason));
    rig.scene.until("nothing is acknowledged", || rig.pending() == 10);
    assert_eq!(rig.letters(), 0, "{reason}");
    assert!(!live.log().contains(":right@"), "nobody reads the password");
    mending.iter().for_each(|statement| rig.execute(statement));
    rig.until_stored(110);
    rig.scene.until("it is well", || is_ready(live.admin));
}

#[test]
fn f41_whatever_keeps_the_writer_out_is_named_and_waited_for() {
    let may_not_insert = || {
        keeps_out(
            &["REVOKE INSERT ON positions FROM writer"],
            "schema: writer may not insert into positions",
            &["GRANT INSERT ON positions TO writer"],
        );
    };
    let may_only_read = || {
        keeps_out(
            &["ALTER ROLE writer SET default_transaction_read_only = on"],
            "outage: PostgreSQL says 25006",
            &["ALTER ROLE writer RESET default_transaction_read_only"],
        );
    };
    let is_unknown = || {
        let rule = "COPY (SELECT 'host all pitwall 127.0.0.1/32 trust' UNION ALL
            SELECT 'host all all 127.0.0.1/32 scram-sha-256') TO PROGRAM 'cat > pg_hba.conf'";
        keeps_out(
            &[rule, "SELECT pg_reload_conf()", "ALTER ROLE writer PASSWORD 'other'"],
            "schema: PostgreSQL says 28P01: password authentication failed for user \"writer\"",
            &["ALTER ROLE writer PASSWORD 'right'"],
        );
    };
    at_once(&[&may_not_insert, &may_only_read, &is_unknown, &finds_no_session_left]);
}

fn finds_no_session_left() {
    let mut rig = Rig::over(&[("fsync", "off"), ("max_connections", "10")]);
    let config = rig.config_of_writer();
    let mut crowd = Vec::new();
    let full = loop {
        match Session::open(&rig.writer_url()) {
            Ok(session) => crowd.push(session),
            Err(error) => break error,
        }
    };
    assert_eq!(full.code().map(|code| code.code()), Some("53300"), "{full}");
    let live = Live::start(config);
    let full = "transient: PostgreSQL says 53300";
    rig.scene.until("it holds", || holds(&live, "writer", full));
    rig.publish(10, 10);
    rig.scene.until("all are read", || rig.pending() == 100);
    drop(crowd);
    rig.until_stored(100);
    rig.scene.until("it is well", || is_ready(live.admin));
}

/// Adds a fix of each device at this time to a stream, the devices in this order.
fn add(rig: &Rig, stream: &str, devices: impl Iterator<Item = u64>, ts_ms: i64) {
    let mut pipe = redis::pipe();
    for device in devices {
        let fix = Fix::new(&imei(device), ts_ms);
        let command = pipe.cmd("XADD").arg(stream).arg("*").arg("ts").arg(iso(ts_ms));
        command.arg("device_id").arg(&fix.imei).arg("codec").arg("8");
        command.arg("payload").arg(fix.payload()).ignore();
    }
    pipe.query::<()>(&mut rig.scene.redis.connect()).unwrap();
}

#[test]
fn f42_two_writers_of_the_same_rows_in_other_orders_never_wait_in_a_circle() {
    const DEVICES: u64 = 400;
    const SESSIONS: i64 = 2 * 16;
    const ROUNDS: i64 = 32;
    let rig = Rig::over(&[("fsync", "off"), ("max_connections", "60")]);
    let named = |name: &str, stream: &str| {
        let mut config = rig.config();
        (config.write.lane_count, config.write.linger_ms) = (16, 0);
        (config.instance_id, config.stream) = (name.to_owned(), stream.to_owned());
        config
    };
    let one = rig.start_with(named("one", STREAM));
    let two = rig.start_with(named("two", "other"));
    let sum = |name| rig.metric(&one, name) + rig.metric(&two, name);
    let gate = rig.session();
    let wait = format!("SELECT count(*) {OURS} AND wait_event_type = 'Lock'");
    let now_ms = rig.scene.now_ms();
    // Each row takes a while, so that those who begin together meet.
    slow_down(&rig, 0.001);
    for round in 0..ROUNDS {
        let ts_ms = now_ms + round * 1_000 - 100_000;
        gate.execute("BEGIN; LOCK TABLE positions IN ACCESS EXCLUSIVE MODE");
        add(&rig, STREAM, 1..=DEVICES, ts_ms);
        if round == ROUNDS / 2 {
            // From now on the other has seen newer fixes of all, and looks for each row.
            add(&rig, "other", 1..=DEVICES, now_ms);
        }
        add(&rig, "other", (1..=DEVICES).rev(), ts_ms);
        rig.scene.until("all wait", || rig.number(&wait) == SESSIONS);
        gate.execute("COMMIT");
    }
    let rows = DEVICES * ROUNDS.unsigned_abs();
    rig.scene.until("all is acknowledged", || sum("processor_acks_total") == 2 * rows + DEVICES);
    assert_eq!((sum(INSERTED), sum(DUPLICATE)), (rows + DEVICES, rows));
    assert!(sum("processor_writer_retries_total{why=\"conflict\"}") > 0, "they have met");
    assert_eq!(sum(RETRIES), 0, "nobody was sent back over the other");
    // Sessions tell what they have met when they end.
    [one, two].into_iter().for_each(|live| live.end().unwrap());
    rig.scene
        .until("all sessions are over", || rig.number(&format!("SELECT count(*) {OURS}")) == 0);
    assert_eq!(rig.number("SELECT sum(deadlocks)::bigint FROM pg_stat_database"), 0);
    let keys = "SELECT count(*) - count(DISTINCT (device_id, ts)) FROM positions";
    assert_eq!(rig.number(keys), 0);
}

/// Everything that is in flight is in batches, of which there are so many.
pub(crate) fn is_bounded(rig: &Rig, live: &Live, config: &Config) {
    let most = 2 * config.write.lane_count * config.write.batch_rows_max;
    let in_flight = rig.metric(live, "processor_writer_in_flight_rows");
    assert!(in_flight <= most as u64, "{in_flight} of at most {most} are in flight");
    assert!(rig.pending() <= most, "{} of at most {most} are pending", rig.pending());
}

#[test]
fn f43_a_slow_way_to_the_server_keeps_what_is_in_flight_bounded_and_loses_nothing() {
    at_once(&[&far_away, &behind_a_narrow_line]);
}

/// Two seconds there and back: batches grow.
fn far_away() {
    const ROUNDS: i64 = 10;
    let mut rig = Rig::new();
    let proxy = Proxy::to_postgres(rig.scene.postgres_port());
    let mut config = rig.config_through(&proxy);
    config.write.batch_rows_max = 150;
    let live = rig.start_with(config.clone());
    rig.publish(10, 1);
    rig.until_stored(10);
    let delay = Fault::Delay { ms: 1_000, jitter_ms: 0, seed: 1 };
    proxy.set_both(Which::All, delay);
    for _ in 0..ROUNDS {
        rig.publish(20, 1);
        is_bounded(&rig, &live, &config);
    }
    rig.scene.until("all are read", || rig.unread() == 0);
    // Each batch takes up to five ways there and back, and two may stand one behind the other.
    rig.scene.until_within(Duration::from_secs(60), "all is acknowledged", || rig.pending() == 0);
    let large = rig.metric(&live, "processor_writer_batches_total{rows=\"100\"}");
    assert!(large > 0, "{}", rig.scene.page(&live, "/metrics"));
    assert_eq!(rig.metric(&live, RETRIES), 0, "slow is not away");
    rig.until_stored(10 + 20 * ROUNDS);
}

/// 25 KB a second, of which a write has one: pieces shrink once and not for each batch again.
fn behind_a_narrow_line() {
    let rig = Rig::new();
    let proxy = Proxy::to_postgres(rig.scene.postgres_port());
    let mut config = rig.config_through(&proxy);
    config.write.deadline_ms = 1_000;
    (config.write.batch_rows_max, config.write.lane_count) = (400, 1);
    let live = rig.start_with(config.clone());
    proxy.set_both(Which::All, Fault::Bandwidth { bytes_per_second: 25_000 });
    let mut producer = rig.producer(Mix::rough(43));
    producer.burst(1_000);
    rig.scene.until_within(Duration::from_secs(60), "all is acknowledged", || {
        is_bounded(&rig, &live, &config);
        rig.pending() == 0 && rig.unread() == 0
    });
    let retries = rig.metric(&live, RETRIES);
    assert!((1..=6).contains(&retries), "{retries} writes took too long");
    proxy.heal();
    rig.judge(&producer).assert_drained();
}

/// Makes every row take so long.
fn slow_down(rig: &Rig, seconds: f64) {
    rig.execute(&format!(
        "CREATE OR REPLACE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            PERFORM pg_sleep({seconds}); RETURN NEW; END $$;
        CREATE OR REPLACE TRIGGER slow BEFORE INSERT ON positions FOR EACH ROW EXECUTE FUNCTION slow()"
    ));
}

/// Stores so many rows that take so long, with a second for each write.
fn takes_its_time(seconds: f64, rows: u64) {
    let mut rig = Rig::new();
    let live = rig.start_with(rig.hasty_config());
    slow_down(&rig, seconds);
    rig.publish(rows, 1);
    rig.until_stored(rows.cast_signed());
    assert!(rig.metric(&live, RETRIES) > 0, "some writes took too long");
    assert_eq!(rig.letters(), 0);
}

/// A row for which there is never enough time.
fn takes_for_ever() {
    let mut rig = Rig::new();
    let live = rig.start_with(rig.hasty_config());
    slow_down(&rig, 60.0);
    rig.publish(2, 1);
    rig.scene.until("it holds", || holds(&live, "writer", "transient: PostgreSQL says 57014"));
    rig.scene.until("nothing is acknowledged", || rig.pending() == 2);
    rig.execute("DROP TRIGGER slow ON positions");
    rig.until_stored(2);
    assert_eq!(rig.letters(), 0);
}

#[test]
fn f44_what_takes_too_long_is_halved_down_to_single_rows_until_all_are_stored() {
    // Some fifteen rows in the time there is, then one, then none.
    at_once(&[&|| takes_its_time(0.05, 60), &|| takes_its_time(0.5, 6), &takes_for_ever]);
}
