//! The database is away, returns, or says no: what was read last is kept, and it is told.

use pitwall::status::State;
use tests::platform::{imei, uuid};

use crate::scene::{Database, Scene, runtime};

#[test]
fn f29_a_killed_database_leaves_the_roster_and_its_return_is_noticed() {
    runtime().block_on(async {
        let mut database = Database::start().await;
        database.add_race(1, 7, &[1_780_733_730_000]).await;
        let mut scene = Scene::start(&database.postgres);
        scene.until("it is warm", |scene| scene.shown_ms(1, 7).is_some()).await;
        database.postgres.stop();
        scene.until("it is told", |scene| scene.is("roster", State::Impaired)).await;
        scene.until("twice", |scene| scene.is("database", State::Failed)).await;
        let report = scene.report("roster");
        assert!(report.reason.contains("is still in use"), "{report:?}");
        assert!(report.effect.contains("new entries appear late"), "{report:?}");
        assert!(scene.context.status.is_ready(), "who only serves viewers stays ready");
        assert_eq!((scene.events_of(&imei(7)), scene.rosters), (vec![uuid(1)], 1));
        database.postgres.start_again();
        database.client = database.postgres.connect().await;
        database.add_race(2, 8, &[1_780_733_730_000]).await;
        scene.until("the newcomer is warm", |scene| scene.shown_ms(2, 8).is_some()).await;
        scene.until("it is well", |scene| scene.is("roster", State::Working)).await;
        assert!(scene.is("database", State::Working));
    });
}

#[test]
fn without_a_database_at_the_start_it_says_so_and_reads_when_it_comes() {
    runtime().block_on(async {
        let mut database = Database::start().await;
        database.add_race(1, 7, &[]).await;
        database.postgres.stop();
        let mut scene = Scene::start(&database.postgres);
        scene.until("it is told", |scene| scene.is("roster", State::Failed)).await;
        let report = scene.report("roster");
        assert!(report.effect.starts_with("No device is known"), "{report:?}");
        assert!(report.remedy.contains("POSTGRES_URL"), "{report:?}");
        assert_eq!(scene.rosters, 0);
        database.postgres.start_again();
        scene.until("it is heard", |scene| scene.events_of(&imei(7)) == [uuid(1)]).await;
    });
}

#[test]
fn a_missing_table_leaves_the_roster_and_is_named() {
    runtime().block_on(async {
        let database = Database::start().await;
        database.add_race(1, 7, &[]).await;
        let mut scene = Scene::start(&database.postgres);
        scene.until("it is heard", |scene| scene.rosters == 1).await;
        database.execute("ALTER TABLE entry_devices RENAME TO hidden").await;
        scene.until("it is told", |scene| scene.is("roster", State::Impaired)).await;
        let report = scene.report("roster");
        assert!(report.reason.contains("42P01"), "{report:?}");
        assert!(report.reason.contains("\"entry_devices\" does not exist"), "{report:?}");
        assert!(report.remedy.contains("pitwall check"), "{report:?}");
        assert!(scene.is("database", State::Working), "the server answers");
        database.execute("ALTER TABLE hidden RENAME TO entry_devices").await;
        scene.until("it is well", |scene| scene.is("roster", State::Working)).await;
        assert_eq!((scene.events_of(&imei(7)), scene.rosters), (vec![uuid(1)], 1));
    });
}

#[test]
fn f37_without_positions_the_roster_works_and_the_table_is_named() {
    runtime().block_on(async {
        let database = Database::start().await;
        database.add_race(1, 7, &[1_780_733_730_000]).await;
        database.execute("ALTER TABLE positions RENAME TO hidden").await;
        let mut scene = Scene::start(&database.postgres);
        scene.until("it is told", |scene| scene.is("roster", State::Impaired)).await;
        scene.until("it is heard", |scene| scene.events_of(&imei(7)) == [uuid(1)]).await;
        let report = scene.report("roster");
        assert!(report.reason.contains("\"positions\" does not exist"), "{report:?}");
        database.execute("ALTER TABLE hidden RENAME TO positions").await;
        scene.until("it is warm", |scene| scene.shown_ms(1, 7).is_some()).await;
    });
}

#[test]
fn f40_a_locked_table_does_not_hold_the_keeper() {
    runtime().block_on(async {
        let database = Database::start().await;
        database.add_race(1, 7, &[]).await;
        let mut scene = Scene::start(&database.postgres);
        scene.until("it is heard", |scene| scene.rosters == 1).await;
        database.execute("BEGIN; LOCK TABLE devices IN ACCESS EXCLUSIVE MODE").await;
        scene.until("it is told", |scene| scene.is("roster", State::Impaired)).await;
        let report = scene.report("roster");
        assert!(report.reason.contains("lock timeout"), "{report:?}");
        database.execute("COMMIT").await;
        scene.until("it is well", |scene| scene.is("roster", State::Working)).await;
    });
}

#[test]
fn f17_a_stopped_database_is_left_after_the_deadline_and_found_again() {
    runtime().block_on(async {
        let database = Database::start().await;
        database.add_race(1, 7, &[]).await;
        let mut scene = Scene::start(&database.postgres);
        scene.until("it is heard", |scene| scene.rosters == 1).await;
        let process = stop_session(&database).await;
        let words = "did not answer within 10000 ms";
        scene.until("it is told", |scene| scene.was("database", State::Failed, words)).await;
        scene.until("by both", |scene| scene.was("roster", State::Impaired, words)).await;
        scene.until("it is well", |scene| scene.is("roster", State::Working)).await;
        assert!(scene.context.status.is_ready());
        signal(process, "CONT");
    });
}

/// Stops the session's own process, not the one that accepts, and says which it is.
///
/// It must not be at work: a process that is stopped while it reads a page keeps every other session
/// from that page, and then no new connection could heal anything.
async fn stop_session(database: &Database) -> i32 {
    let session = "SELECT pid, state FROM pg_stat_activity
        WHERE application_name = 'pitwall-roster'";
    loop {
        let row = database.client.query_one(session, &[]).await.unwrap();
        let process: i32 = row.get(0);
        signal(process, "STOP");
        // What it says of itself stands still from now on.
        let row = database.client.query_one(session, &[]).await.unwrap();
        if row.get::<_, &str>(1) == "idle" {
            return process;
        }
        signal(process, "CONT");
    }
}

fn signal(process: i32, name: &str) {
    let mut command = std::process::Command::new("kill");
    let status = command.args(["-s", name, &process.to_string()]).status().unwrap();
    assert!(status.success(), "{name} to {process}");
}
