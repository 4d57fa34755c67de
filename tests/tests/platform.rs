//! The platform's database of the tests: its tables have the types of production.

use tests::platform::{self, imei, uuid};
use tests::postgres::{FAST, Postgres};

#[test]
fn a_registered_device_is_found_by_its_imei_and_its_keys_are_uuids() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let postgres = Postgres::start(FAST);
        let client = postgres.connect().await;
        platform::create(&client).await;
        let (event, device, user, organization) = (uuid(1), uuid(2), uuid(3), uuid(4));
        platform::add_event(&client, &event, &organization).await;
        platform::add_device(&client, &device, &imei(2)).await;
        platform::register(&client, &event, &device).await;
        platform::add_user(&client, &user).await;
        platform::set_user_status(&client, &user, "suspended").await;
        platform::add_member(&client, &organization, &user).await;
        platform::add_position(&client, &imei(2), 1_780_733_730_123, (41.3, 19.8)).await;
        platform::set_faulty(&client, &imei(2), 1_780_733_730_123, true).await;
        let statement = "SELECT events.id::text, imei, pg_typeof(entry_devices.device_id)::text,
                pg_typeof(positions.device_id)::text, faulty,
                (extract(epoch FROM ts) * 1000)::bigint, users.status
            FROM events
            JOIN entries ON event_id = events.id
            JOIN entry_devices ON entry_id = entries.id
            JOIN devices ON devices.id = entry_devices.device_id
            JOIN positions ON positions.device_id = imei
            JOIN organization_users USING (organization_id)
            JOIN directus_users AS users ON users.id = user_id";
        let row = client.query_one(statement, &[]).await.unwrap();
        let text = |at: usize| row.get::<_, String>(at);
        assert_eq!((text(0), text(1)), (event.clone(), imei(2)));
        assert_eq!((text(2), text(3)), ("uuid".to_owned(), "text".to_owned()));
        assert!(row.get::<_, bool>(4));
        assert_eq!(row.get::<_, i64>(5), 1_780_733_730_123);
        assert_eq!(text(6), "suspended");
        platform::unregister(&client, &event, &device).await;
        platform::remove_member(&client, &organization, &user).await;
        let left = "SELECT (SELECT count(*) FROM entry_devices) + (SELECT count(*) FROM organization_users)";
        assert_eq!(client.query_one(left, &[]).await.unwrap().get::<_, i64>(0), 0);
    });
}
