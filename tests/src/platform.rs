//! The platform's database for tests: its tables with their real types, and rows for them.
//!
//! A key is a uuid and an IMEI is text, everywhere: a fixture that used text for both could not show
//! that the two were mixed up.

use tokio_postgres::Client;

/// The business tables and `positions`, as the platform makes them.
pub const SCHEMA: &str = concat!(
    include_str!("../data/platform/business.sql"),
    include_str!("../data/copy/positions.sql"),
);

/// A key that is a valid uuid, tells its number, and is the same in every run.
#[must_use]
pub fn uuid(number: u64) -> String {
    format!("00000000-0000-4000-8000-{number:012x}")
}

/// An IMEI of fifteen digits that tells its number.
#[must_use]
pub fn imei(number: u64) -> String {
    format!("3563070424{number:05}")
}

/// Makes all tables, empty.
///
/// # Panics
/// When the database refuses; so do all functions here, since a test cannot go on without its rows.
pub async fn create(client: &Client) {
    client.batch_execute(SCHEMA).await.expect("a fresh database takes the schema");
}

/// Adds an event of an organization.
///
/// # Panics
/// See [`create`].
pub async fn add_event(client: &Client, event: &str, organization: &str) {
    let statement = "INSERT INTO events (id, organization_id, name, slug, starts_at, ends_at)
        VALUES ($1::text::uuid, $2::text::uuid, 'Race', 'race', now(), now() + interval '1 day')";
    execute(client, statement, &[event, organization]).await;
}

/// Adds a device.
///
/// # Panics
/// See [`create`].
pub async fn add_device(client: &Client, device: &str, imei: &str) {
    let statement = "INSERT INTO devices (id, imei) VALUES ($1::text::uuid, $2)";
    execute(client, statement, &[device, imei]).await;
}

/// Registers a device to an event, with an entry of its own.
///
/// # Panics
/// See [`create`].
pub async fn register(client: &Client, event: &str, device: &str) {
    let statement = "WITH entry AS (
            INSERT INTO entries (id, event_id, race_number)
            VALUES (gen_random_uuid(), $1::text::uuid, 7) RETURNING id)
        INSERT INTO entry_devices (entry_id, device_id) SELECT id, $2::text::uuid FROM entry";
    execute(client, statement, &[event, device]).await;
}

/// Takes a device out of an event.
///
/// # Panics
/// See [`create`].
pub async fn unregister(client: &Client, event: &str, device: &str) {
    let statement = "DELETE FROM entry_devices USING entries
        WHERE entry_id = entries.id AND event_id = $1::text::uuid AND device_id = $2::text::uuid";
    execute(client, statement, &[event, device]).await;
}

/// Adds an active user.
///
/// # Panics
/// See [`create`].
pub async fn add_user(client: &Client, user: &str) {
    execute(client, "INSERT INTO directus_users (id) VALUES ($1::text::uuid)", &[user]).await;
}

/// Gives a user another status, such as `suspended`.
///
/// # Panics
/// See [`create`].
pub async fn set_user_status(client: &Client, user: &str, status: &str) {
    let statement = "UPDATE directus_users SET status = $2 WHERE id = $1::text::uuid";
    execute(client, statement, &[user, status]).await;
}

/// Makes a user a member of an organization.
///
/// # Panics
/// See [`create`].
pub async fn add_member(client: &Client, organization: &str, user: &str) {
    let statement = "INSERT INTO organization_users (organization_id, user_id, role)
        VALUES ($1::text::uuid, $2::text::uuid, 'member')";
    execute(client, statement, &[organization, user]).await;
}

/// Takes a user out of an organization.
///
/// # Panics
/// See [`create`].
pub async fn remove_member(client: &Client, organization: &str, user: &str) {
    let statement = "DELETE FROM organization_users
        WHERE organization_id = $1::text::uuid AND user_id = $2::text::uuid";
    execute(client, statement, &[organization, user]).await;
}

/// Adds a good position of a device, at epoch milliseconds.
///
/// # Panics
/// See [`create`].
pub async fn add_position(client: &Client, imei: &str, ts_ms: i64, at: (f64, f64)) {
    let statement = "INSERT INTO positions (device_id, ts, latitude, longitude, altitude, angle,
            speed, satellites, priority, codec, attributes)
        VALUES ($1, 'epoch'::timestamptz + $2 * interval '1 ms', $3, $4, 120, 214, 63, 11, 0,
            '8', '{}')";
    #[expect(clippy::cast_precision_loss, reason = "a time of this century is exact")]
    let ts_ms = ts_ms as f64;
    client.execute(statement, &[&imei, &ts_ms, &at.0, &at.1]).await.expect("a new position");
}

/// Flags a position as faulty, as operators do, or takes the flag away.
///
/// # Panics
/// See [`create`].
pub async fn set_faulty(client: &Client, imei: &str, ts_ms: i64, is_faulty: bool) {
    let statement = "UPDATE positions SET faulty = $3
        WHERE device_id = $1 AND ts = 'epoch'::timestamptz + $2 * interval '1 ms'";
    #[expect(clippy::cast_precision_loss, reason = "a time of this century is exact")]
    let ts_ms = ts_ms as f64;
    let changed = client.execute(statement, &[&imei, &ts_ms, &is_faulty]).await;
    assert_eq!(changed.expect("the table is there"), 1, "there is one such position");
}

/// Makes the table a hypertable, where the database has TimescaleDB.
///
/// # Panics
/// See [`create`].
pub async fn spread(client: &Client) {
    let statement = "DO $$ BEGIN
        IF EXISTS (SELECT 1 FROM pg_extension WHERE extname = 'timescaledb') THEN
            PERFORM create_hypertable('positions', 'ts', chunk_time_interval => interval '1 day',
                migrate_data => true);
        END IF; END $$";
    client.batch_execute(statement).await.expect("an empty table can be spread");
}

async fn execute(client: &Client, statement: &str, values: &[&str]) {
    let values: Vec<&(dyn tokio_postgres::types::ToSql + Sync)> =
        values.iter().map(|value| value as _).collect();
    client.execute(statement, &values).await.expect("the row fits the schema");
}
