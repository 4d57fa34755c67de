//! Warm slots, and what becomes of a fix that operators flag.

use pitwall::status::State;
use tests::platform::{self, imei, uuid};

use crate::scene::{Database, Scene, runtime};

/// A moment of the race.
const NOON_MS: i64 = 1_780_733_730_000;

#[test]
fn slots_are_warm_after_the_start_with_the_newest_good_fix_of_each_device() {
    runtime().block_on(async {
        let database = Database::start().await;
        database.add_race(1, 7, &[NOON_MS, NOON_MS + 2_000, NOON_MS + 1_000]).await;
        database.add_race(2, 8, &[NOON_MS, NOON_MS + 1_000, NOON_MS + 2_000]).await;
        database.flag(8, NOON_MS + 2_000, true).await;
        database.flag(8, NOON_MS + 1_000, true).await;
        database.add_race(3, 9, &[NOON_MS]).await;
        database.flag(9, NOON_MS, true).await;
        let mut scene = Scene::start(&database.postgres);
        scene.until_looked_again().await;
        assert_eq!(scene.shown_ms(1, 7), Some(NOON_MS + 2_000));
        assert_eq!(scene.shown_ms(2, 8), Some(NOON_MS));
        assert_eq!(scene.shown_ms(3, 9), None);
        let shown = scene.shown(1, 7).unwrap();
        assert_eq!((shown.latitude, shown.longitude), (41.3, 19.8));
        assert_eq!((shown.altitude, shown.angle, shown.speed), (120.0, 214.0, 63.0));
        assert_eq!((shown.satellites, shown.codec.text()), (11, "8"));
    });
}

#[test]
fn d5_fixes_that_no_map_can_show_are_passed_over() {
    runtime().block_on(async {
        let database = Database::start().await;
        let bad = [
            "latitude = 'NaN'",
            "longitude = 'Infinity'",
            "latitude = '-Infinity'",
            "latitude = 90.0000001",
            "longitude = -180.0000001",
            "latitude = 0, longitude = '-0', satellites = 0",
            "ts = now() + interval '61 s'",
            "ts = 'infinity'",
            "faulty = TRUE, ts = 'infinity'",
        ];
        for (device, change) in (1..).zip(bad) {
            database.add_race(device, device, &[NOON_MS, NOON_MS + 1_000]).await;
            let update = format!(
                "UPDATE positions SET {change} WHERE device_id = '{}' AND ts > to_timestamp({})",
                imei(device),
                NOON_MS / 1_000
            );
            database.execute(&update).await;
        }
        // Times before devices existed, one of them without beginning, and numbers off every scale.
        database.add_race(20, 20, &[NOON_MS, NOON_MS + 1_000]).await;
        database.add_race(21, 21, &[NOON_MS]).await;
        database
            .execute(&format!(
                "UPDATE positions SET ts = '-infinity' WHERE device_id = '{0}'
                    AND ts = to_timestamp({2});
                 UPDATE positions SET ts = '1999-12-31Z' WHERE device_id = '{0}'
                    AND ts > to_timestamp({2});
                 UPDATE positions SET altitude = 'NaN', angle = -1, speed = 'Infinity',
                    satellites = 300, priority = -1, codec = '12' WHERE device_id = '{1}'",
                imei(20),
                imei(21),
                NOON_MS / 1_000
            ))
            .await;
        let mut scene = Scene::start(&database.postgres);
        scene.until_looked_again().await;
        for (device, change) in (1..).zip(bad) {
            assert_eq!(scene.shown_ms(device, device), Some(NOON_MS), "{change}");
        }
        assert_eq!(scene.shown_ms(20, 20), None);
        let shown = scene.shown(21, 21).unwrap();
        assert_eq!((shown.altitude, shown.angle, shown.speed), (0.0, 0.0, 65_535.0));
        assert_eq!((shown.satellites, shown.priority), (255, 0));
    });
}

#[test]
fn a_time_of_the_database_is_cut_to_the_millisecond() {
    runtime().block_on(async {
        let database = Database::start().await;
        for (device, us) in [(1, 0), (2, 1), (3, 999), (4, 123_000), (5, 123_999), (6, 999_999)] {
            database.add_race(device, device, &[NOON_MS]).await;
            let shift = format!(
                "UPDATE positions SET ts = ts + {us} * interval '1 us' WHERE device_id = '{}'",
                imei(device)
            );
            database.execute(&shift).await;
        }
        let mut scene = Scene::start(&database.postgres);
        scene.until_looked_again().await;
        for (device, ms) in [(1, 0), (2, 0), (3, 0), (4, 123), (5, 123), (6, 999)] {
            assert_eq!(scene.shown_ms(device, device), Some(NOON_MS + ms));
        }
        // A fix between two milliseconds can be withdrawn like any other.
        database.add_fix(5, NOON_MS - 1_000).await;
        database
            .execute(&format!(
                "UPDATE positions SET faulty = TRUE WHERE device_id = '{}'
                    AND ts > to_timestamp({})",
                imei(5),
                NOON_MS / 1_000
            ))
            .await;
        let is_back = |scene: &Scene| scene.shown_ms(5, 5) == Some(NOON_MS - 1_000);
        scene.until("it falls back", is_back).await;
    });
}

#[test]
fn a_flagged_fix_falls_back_to_the_next_good_one_and_further_and_returns() {
    runtime().block_on(async {
        let database = Database::start().await;
        let times = [NOON_MS, NOON_MS + 1_000, NOON_MS + 2_000];
        database.add_race(1, 7, &times).await;
        database.add_event(2).await;
        database.register(2, 7).await;
        let mut scene = Scene::start(&database.postgres);
        let shows = |ts_ms: Option<i64>| {
            move |scene: &Scene| scene.shown_ms(1, 7) == ts_ms && scene.shown_ms(2, 7) == ts_ms
        };
        scene.until("it is warm", shows(Some(times[2]))).await;
        database.flag(7, times[2], true).await;
        scene.until("it falls back", shows(Some(times[1]))).await;
        database.flag(7, times[1], true).await;
        scene.until("it falls back further", shows(Some(times[0]))).await;
        database.flag(7, times[0], true).await;
        scene.until("nothing is left", shows(None)).await;
        database.flag(7, times[1], false).await;
        scene.until("one is good again", shows(Some(times[1]))).await;
        database.flag(7, times[2], false).await;
        scene.until("the newest is, too", shows(Some(times[2]))).await;
        assert_eq!(scene.metric("processor_live_roster_withdrawals_total"), 4);
        scene
            .until("all is well", |scene| scene.metric("processor_live_roster_fallbacks") == 0)
            .await;
        assert_eq!(scene.rosters, 1);
    });
}

#[test]
fn a_fallback_that_is_flagged_after_a_restart_is_withdrawn_too() {
    runtime().block_on(async {
        let database = Database::start().await;
        let times = [NOON_MS, NOON_MS + 1_000, NOON_MS + 2_000];
        database.add_race(1, 7, &times).await;
        database.flag(7, times[2], true).await;
        let mut scene = Scene::start(&database.postgres);
        scene.until("it is warm", |scene| scene.shown_ms(1, 7) == Some(times[1])).await;
        database.flag(7, times[1], true).await;
        scene.until("it falls back", |scene| scene.shown_ms(1, 7) == Some(times[0])).await;
    });
}

#[test]
fn a_fix_that_reaches_its_slot_after_it_was_flagged_is_withdrawn_all_the_same() {
    runtime().block_on(async {
        let database = Database::start().await;
        database.add_race(1, 7, &[NOON_MS, NOON_MS + 1_000]).await;
        database.flag(7, NOON_MS + 1_000, true).await;
        let mut scene = Scene::start(&database.postgres);
        scene.until_looked_again().await;
        for _ in 0..2 {
            scene.stream(7, NOON_MS + 1_000);
            assert_eq!(scene.shown_ms(1, 7), Some(NOON_MS + 1_000));
            scene.until("it falls back", |scene| scene.shown_ms(1, 7) == Some(NOON_MS)).await;
        }
        scene.stream(7, NOON_MS + 2_000);
        scene.until_looked_again().await;
        assert_eq!(scene.shown_ms(1, 7), Some(NOON_MS + 2_000), "the stream is ahead");
    });
}

#[test]
fn more_devices_than_are_asked_about_at_once_are_warm_and_so_are_newcomers() {
    runtime().block_on(async {
        let database = Database::start().await;
        database.add_race(1, 0, &[NOON_MS]).await;
        database
            .execute(&format!(
                "INSERT INTO devices (id, imei)
                    SELECT gen_random_uuid(), '3563070424' || lpad(n::text, 5, '0')
                    FROM generate_series(1, 1200) AS n;
                 INSERT INTO entry_devices (entry_id, device_id)
                    SELECT entries.id, devices.id FROM entries, devices WHERE imei <> '{0}';
                 INSERT INTO positions SELECT devices.imei, to_timestamp({1}), now(), 41, 20, 1, 2,
                    3, 9, 0, '8', '{{}}' FROM devices WHERE imei <> '{0}'",
                imei(0),
                NOON_MS / 1_000
            ))
            .await;
        let mut scene = Scene::start(&database.postgres);
        let are_warm = |scene: &Scene| (0..=1_200).all(|n| scene.shown_ms(1, n) == Some(NOON_MS));
        scene.until("all are warm", are_warm).await;
        assert_eq!(scene.metric("processor_live_roster_offers_total"), 1_201);
        database.add_event(2).await;
        platform::register(&database.client, &uuid(2), &uuid(500)).await;
        scene.until("the newcomer is warm", |scene| scene.shown_ms(2, 0) == Some(NOON_MS)).await;
        assert_eq!(scene.metric("processor_live_roster_offers_total"), 1_202);
    });
}

#[test]
fn d5_columns_that_change_between_two_looks_do_no_harm() {
    runtime().block_on(async {
        let database = Database::start().await;
        database.add_race(1, 7, &[NOON_MS]).await;
        let mut scene = Scene::start(&database.postgres);
        scene.until_looked_again().await;
        database
            .execute(
                "ALTER TABLE positions ADD COLUMN accuracy real;
                 ALTER TABLE positions ALTER altitude TYPE double precision;
                 ALTER TABLE positions ALTER satellites TYPE integer;
                 ALTER TABLE devices ALTER imei TYPE text;
                 ALTER TABLE entry_devices ADD COLUMN sort integer",
            )
            .await;
        database.add_race(2, 8, &[NOON_MS]).await;
        scene.until("the newcomer is warm", |scene| scene.shown_ms(2, 8) == Some(NOON_MS)).await;
        assert!(scene.is("roster", State::Working));
        let failed = "processor_live_roster_refreshes_total{result=\"failed\"}";
        assert_eq!(scene.metric(failed), 0, "{scene:?}");
    });
}

#[test]
fn d5_a_view_in_the_place_of_the_table_is_read_and_missing_numbers_are_zero() {
    runtime().block_on(async {
        let database = Database::start().await;
        database.add_race(1, 7, &[NOON_MS, NOON_MS + 1_000]).await;
        database.flag(7, NOON_MS + 1_000, true).await;
        database
            .execute(
                "ALTER TABLE positions RENAME TO stored;
                 CREATE VIEW positions AS SELECT ts, device_id, latitude, longitude, faulty,
                    NULL::real AS altitude, NULL::real AS angle, NULL::real AS speed,
                    NULL::smallint AS satellites, NULL::smallint AS priority, NULL::text AS codec
                 FROM stored",
            )
            .await;
        let mut scene = Scene::start(&database.postgres);
        scene.until("it is warm", |scene| scene.shown_ms(1, 7) == Some(NOON_MS)).await;
        let shown = scene.shown(1, 7).unwrap();
        assert_eq!((shown.altitude, shown.angle, shown.speed), (0.0, 0.0, 0.0));
    });
}
