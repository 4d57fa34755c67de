//! Who is registered where: the identity rule, and rows that nobody wanted.

use pitwall::status::State;
use tests::platform::{imei, uuid};

use crate::scene::{Database, Scene, runtime};

#[test]
fn a_device_sits_in_every_event_it_is_registered_to_by_its_imei() {
    runtime().block_on(async {
        let database = Database::start().await;
        database.add_race(1, 7, &[]).await;
        database.add_event(2).await;
        database.register(2, 7).await;
        database.add_race(3, 8, &[]).await;
        let mut scene = Scene::start(&database.postgres);
        scene.until("the roster comes", |scene| scene.is("roster", State::Working)).await;
        scene.until("it is heard", |scene| scene.rosters == 1).await;
        assert_eq!(scene.events_of(&imei(7)), [uuid(1), uuid(2)]);
        assert_eq!(scene.events_of(&imei(8)), [uuid(3)]);
        assert!(scene.events_of(&uuid(507)).is_empty(), "the key of a device is not its name");
        assert!(scene.is("database", State::Working));
        assert_eq!(scene.metric("processor_live_roster_devices"), 2);
        assert_eq!(scene.metric("processor_live_roster_events"), 3);
        assert_eq!(scene.metric("processor_live_roster_registrations"), 3);
    });
}

#[test]
fn the_same_registrations_make_no_new_roster() {
    runtime().block_on(async {
        let database = Database::start().await;
        database.add_race(1, 7, &[]).await;
        let mut scene = Scene::start(&database.postgres);
        scene.until_looked_again().await;
        scene.until_looked_again().await;
        assert_eq!(scene.rosters, 1);
        let unchanged = "processor_live_roster_refreshes_total{result=\"unchanged\"}";
        assert!(scene.metric(unchanged) >= 2);
        database.unregister(1, 7).await;
        scene.until("nobody drives", |scene| scene.rosters == 2).await;
        assert!(scene.events_of(&imei(7)).is_empty());
    });
}

#[test]
fn f59_a_device_of_another_entry_moves_with_the_next_refresh() {
    runtime().block_on(async {
        let database = Database::start().await;
        database.add_race(1, 7, &[1_780_733_730_000]).await;
        database.add_race(2, 8, &[]).await;
        let mut scene = Scene::start(&database.postgres);
        scene.until("it is shown", |scene| scene.shown_ms(1, 7).is_some()).await;
        let reassign = "UPDATE entry_devices SET entry_id = entries.id FROM entries, devices
            WHERE entries.event_id = $1::text::uuid AND devices.id = device_id AND imei = $2";
        let changed = database.client.execute(reassign, &[&uuid(2), &imei(7)]).await.unwrap();
        assert_eq!(changed, 1);
        scene.until("it moves", |scene| scene.events_of(&imei(7)) == [uuid(2)]).await;
        scene.until("and is shown there", |scene| scene.shown_ms(2, 7).is_some()).await;
    });
}

#[test]
fn d5_registrations_that_lead_nowhere_are_left_out_and_counted() {
    runtime().block_on(async {
        let database = Database::start().await;
        database.add_race(1, 7, &[]).await;
        // An entry without devices; one without an event; one whose event is gone; a device that is
        // gone; devices without an IMEI, with an empty one, with one that is too long; the same
        // device twice in one event.
        let foreign = |table: &str, column: &str| {
            format!("ALTER TABLE {table} DROP CONSTRAINT {table}_{column}_fkey;")
        };
        database.execute(&foreign("entries", "event_id")).await;
        database.execute(&foreign("entry_devices", "device_id")).await;
        let entry = |number: u64, event: &str| {
            format!("INSERT INTO entries (id, event_id) VALUES ('{}', {event});", uuid(number))
        };
        database.execute(&entry(100, &format!("'{}'", uuid(1)))).await;
        database.execute(&entry(101, "NULL")).await;
        database.execute(&entry(102, &format!("'{}'", uuid(77)))).await;
        for (number, name) in [(201, "NULL"), (202, "''"), (203, "repeat('9', 65)")] {
            let device = uuid(number);
            database
                .execute(&format!("INSERT INTO devices (id, imei) VALUES ('{device}', {name})"))
                .await;
        }
        let keys = [(101, 507), (102, 507), (100, 999), (100, 201), (100, 202), (100, 203)];
        for (entry, device) in keys.into_iter().chain([(100, 507)]) {
            let (entry, device) = (uuid(entry), uuid(device));
            database
                .execute(&format!(
                    "INSERT INTO entry_devices (entry_id, device_id) VALUES ('{entry}', '{device}')"
                ))
                .await;
        }
        let mut scene = Scene::start(&database.postgres);
        scene.until_looked_again().await;
        assert_eq!(scene.events_of(&imei(7)), [uuid(1), uuid(77)]);
        assert_eq!(scene.metric("processor_live_roster_skipped"), 4);
        assert_eq!(scene.metric("processor_live_roster_devices"), 1);
        assert_eq!(scene.metric("processor_live_roster_registrations"), 2);
        let report = scene.report("roster");
        assert_eq!(report.state, State::Working);
        let words = "1 devices are registered to 2 events. 4 registrations have no usable IMEI or \
                     event and are left out.";
        assert_eq!(report.reason, words);
    });
}

#[test]
fn d5_keys_of_different_types_are_compared_as_text() {
    runtime().block_on(async {
        let database = Database::start().await;
        database.add_race(1, 7, &[]).await;
        database
            .execute(
                "ALTER TABLE entries DROP CONSTRAINT entries_event_id_fkey;
                 ALTER TABLE entry_devices DROP CONSTRAINT entry_devices_device_id_fkey;
                 ALTER TABLE entry_devices DROP CONSTRAINT entry_devices_entry_id_fkey;
                 ALTER TABLE entries ALTER event_id TYPE text;
                 ALTER TABLE entry_devices ALTER device_id TYPE text",
            )
            .await;
        let mut scene = Scene::start(&database.postgres);
        scene.until("it is heard", |scene| scene.events_of(&imei(7)) == [uuid(1)]).await;
        database.execute("ALTER TABLE devices ALTER id TYPE text").await;
        database.add_race(2, 8, &[]).await;
        scene.until("the next, too", |scene| scene.events_of(&imei(8)) == [uuid(2)]).await;
    });
}

#[test]
fn d5_row_level_security_is_not_taken_for_an_empty_roster() {
    runtime().block_on(async {
        let database = Database::start().await;
        database.add_race(1, 7, &[]).await;
        database
            .execute(
                "CREATE ROLE reader LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader;
                 ALTER TABLE entry_devices ENABLE ROW LEVEL SECURITY",
            )
            .await;
        let url = database.postgres.url().replace("//pitwall@", "//reader@");
        let mut scene = Scene::start_at(&url, |_| {});
        scene.until("it is told", |scene| scene.is("roster", State::Impaired)).await;
        let report = scene.report("roster");
        assert!(report.reason.contains("row level security"), "{report:?}");
        assert!(report.remedy.contains("entry_devices"), "{report:?}");
        database.execute("CREATE POLICY all_rows ON entry_devices USING (TRUE)").await;
        scene.until("it is heard", |scene| scene.events_of(&imei(7)) == [uuid(1)]).await;
        scene.until("it is well", |scene| scene.is("roster", State::Working)).await;
    });
}

#[test]
fn d5_more_registrations_than_slots_are_refused_and_the_roster_stays() {
    runtime().block_on(async {
        let database = Database::start().await;
        database.add_race(1, 7, &[]).await;
        let mut scene = Scene::start(&database.postgres);
        scene.until("it is heard", |scene| scene.events_of(&imei(7)) == [uuid(1)]).await;
        for key in ["entry_id_fkey", "device_id_fkey", "pkey"] {
            let drop = format!("ALTER TABLE entry_devices DROP CONSTRAINT entry_devices_{key}");
            database.execute(&drop).await;
        }
        database
            .execute(
                "INSERT INTO entry_devices (entry_id, device_id)
                 SELECT entry_id, device_id FROM entry_devices, generate_series(1, 262144)",
            )
            .await;
        scene.until("it is refused", |scene| scene.is("roster", State::Impaired)).await;
        let report = scene.report("roster");
        assert!(report.reason.contains("more than 262144 registrations"), "{report:?}");
        assert_eq!(scene.events_of(&imei(7)), [uuid(1)]);
        database.execute("DELETE FROM entry_devices WHERE ctid > '(0,9)'").await;
        scene.until("it is well again", |scene| scene.is("roster", State::Working)).await;
    });
}
