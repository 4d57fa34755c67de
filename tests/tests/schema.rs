//! `pitwall schema` against a real PostgreSQL: what it prints, what it makes, and what it leaves alone.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::process::{Command, Stdio};

use pitwall::database::catalog::{TableKind, look};
use tests::postgres::{FAST, POSITIONS, Postgres};
use tokio_postgres::Client;

/// The text that is shipped.
const SCHEMA: &str = include_str!("../../deploy/schema.sql");

/// What TimescaleDB brings, as far as it is used: the row that says it is there, both interfaces of
/// its function in a schema of their own, and the view of what was made with them.
const STAND_IN: &str = "
    CREATE SCHEMA tsdb;
    SET allow_system_table_mods = on;
    INSERT INTO pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion)
        VALUES (99999, 'timescaledb', 10, 'tsdb'::regnamespace, false, '2.17.2');
    CREATE TABLE tsdb.made (relation regclass, dimension name, chunk interval, has_indexes boolean);
    CREATE TYPE tsdb.dimension_info AS (number int);
    CREATE FUNCTION tsdb.create_hypertable(relation regclass, dimension tsdb.dimension_info,
        create_default_indexes boolean = true, if_not_exists boolean = false,
        migrate_data boolean = false) RETURNS int LANGUAGE sql AS 'SELECT 1';
    CREATE FUNCTION tsdb.create_hypertable(relation regclass, time_column_name name,
        partitioning_column name = NULL, number_partitions integer = NULL,
        associated_schema_name name = NULL, associated_table_prefix name = NULL,
        chunk_time_interval anyelement = NULL::bigint, create_default_indexes boolean = true,
        if_not_exists boolean = false, partitioning_func regproc = NULL,
        migrate_data boolean = false, chunk_target_size text = NULL,
        chunk_sizing_func regproc = NULL, time_partitioning_func regproc = NULL)
        RETURNS TABLE (hypertable_id int, schema_name name, table_name name, created bool)
        LANGUAGE sql AS 'INSERT INTO tsdb.made VALUES ($1, $2, $7::text::interval, $8);
            SELECT 1, ''''::name, ''''::name, true';
    CREATE SCHEMA timescaledb_information;
    CREATE VIEW timescaledb_information.hypertables AS
        SELECT nspname AS hypertable_schema, relname AS hypertable_name
        FROM tsdb.made JOIN pg_class ON pg_class.oid = relation
            JOIN pg_namespace ON pg_namespace.oid = relnamespace";

/// Runs a test with an empty server of its own.
fn with_server(test: impl AsyncFnOnce(&Postgres, &Client)) {
    let postgres = Postgres::start(FAST);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { test(&postgres, &postgres.connect().await).await });
}

/// The program with these words and no other variable than the address.
fn pitwall(arguments: &[&str], url: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_program"));
    command.arg("schema").args(arguments).env_clear();
    if !url.is_empty() {
        command.env("POSTGRES_URL", url);
    }
    command
}

/// The exit code, and everything that was said.
fn run(arguments: &[&str], url: &str) -> (i32, String) {
    let output = pitwall(arguments, url).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(said).unwrap())
}

/// Applies, and compares the lines without the warnings of a server that waits for no disk.
fn apply(url: &str, code: i32, expected: &[&str]) {
    let (ended, said) = run(&["apply"], url);
    let lines = said.lines().filter(|line| !line.contains("PostgreSQL runs with "));
    let lines: Vec<&str> = lines.collect();
    assert_eq!((ended, lines.len()), (code, expected.len()), "{said}");
    for (line, expected) in lines.iter().zip(expected) {
        assert!(line.starts_with(expected), "{expected} is missing in\n{said}");
    }
}

#[test]
fn the_text_that_is_shipped_is_what_is_printed_and_can_be_run_again() {
    assert_eq!(run(&["print"], ""), (0, SCHEMA.to_owned()));
    with_server(async |_, client| {
        client.batch_execute(SCHEMA).await.unwrap();
        let first = look(client).await.unwrap();
        assert_eq!((first.kind, first.faults.len()), (TableKind::Plain, 0));
        client.batch_execute(SCHEMA).await.unwrap();
        assert_eq!(look(client).await.unwrap(), first);
    });
}

#[test]
fn the_table_that_tests_use_has_the_same_shape() {
    with_server(async |_, client| {
        client.batch_execute("CREATE SCHEMA ours; SET search_path = ours").await.unwrap();
        client.batch_execute(SCHEMA).await.unwrap();
        let ours = look(client).await.unwrap();
        client.batch_execute("CREATE SCHEMA copy; SET search_path = copy").await.unwrap();
        client.batch_execute(POSITIONS).await.unwrap();
        assert_eq!(look(client).await.unwrap(), ours);
    });
}

#[test]
fn an_empty_database_gets_the_table_and_keeps_it() {
    with_server(async |postgres, client| {
        let well = [
            "ok       Table positions: 13 columns have the right types.",
            "ok       positions is a plain table in which a device and a time name one row; its shape",
        ];
        let made = ["ok       Made positions, a plain table: there is no TimescaleDB"];
        apply(&postgres.url(), 0, &[&made[..], &well].concat());
        client.execute(ROW, &[]).await.unwrap();
        let there = ["ok       There is something named positions: nothing was changed."];
        apply(&postgres.url(), 0, &[&there[..], &well].concat());
        let count = client.query_one("SELECT count(*) FROM positions", &[]).await.unwrap();
        assert_eq!(count.get::<_, i64>(0), 1);
    });
}

/// A row like any other.
const ROW: &str =
    "INSERT INTO positions (device_id, ts, latitude, longitude, altitude, angle, speed,
    satellites, priority, codec, attributes) VALUES ('a', now(), 1, 1, 1, 1, 1, 1, 1, '8', '{}')";

#[test]
fn two_who_apply_at_the_same_time_make_one_table() {
    with_server(async |postgres, client| {
        let start = || pitwall(&["apply"], &postgres.url()).stdout(Stdio::null()).spawn().unwrap();
        let running: Vec<_> = std::iter::repeat_with(start).take(2).collect();
        for mut process in running {
            assert_eq!(process.wait().unwrap().code(), Some(0));
        }
        assert_eq!(look(client).await.unwrap().faults.len(), 0);
    });
}

#[test]
fn f37_a_table_of_another_shape_is_told_and_left_as_it_is() {
    with_server(async |postgres, client| {
        client.batch_execute(POSITIONS).await.unwrap();
        let there = "ok       There is something named positions: nothing was changed.";
        let change =
            "DROP INDEX positions_device_ts; ALTER TABLE positions ALTER speed TYPE numeric";
        client.batch_execute(change).await.unwrap();
        let before = look(client).await.unwrap();
        let faults = [
            there,
            "FAILED   Column positions.speed is numeric, and must be real. Fix: Let the platform's",
            "FAILED   Nothing keeps positions from being stored twice: no unique index over device_id \
             and ts. Fix: CREATE UNIQUE INDEX",
        ];
        apply(&postgres.url(), 1, &faults);
        assert_eq!(look(client).await.unwrap(), before);

        let view = "ALTER TABLE positions RENAME TO x; CREATE VIEW positions AS
            SELECT device_id, ts, ingested_at, latitude, longitude, altitude, angle, speed::real,
                satellites, priority, codec, attributes, faulty FROM x";
        client.batch_execute(view).await.unwrap();
        apply(&postgres.url(), 1, &[there, "FAILED   positions is not a table but a view"]);

        let elsewhere = "DROP VIEW positions; ALTER TABLE x RENAME TO positions;
            CREATE SCHEMA race; ALTER TABLE positions SET SCHEMA race";
        client.batch_execute(elsewhere).await.unwrap();
        let fault = "FAILED   There is no table positions that the search path of pitwall reaches; \
                     there is one in race.";
        apply(&postgres.url(), 1, &[fault]);
        assert_eq!(look(client).await.unwrap().kind, TableKind::Missing, "no second table is made");
    });
}

#[test]
fn with_timescaledb_the_table_becomes_a_hypertable_with_a_chunk_for_each_day() {
    with_server(async |postgres, client| {
        client.batch_execute(STAND_IN).await.unwrap();
        let expected = [
            "ok       Made positions, a hypertable with a chunk for each day.",
            "ok       Table positions: 13 columns have the right types.",
            "ok       positions is a hypertable in which a device and a time name one row; its shape",
        ];
        apply(&postgres.url(), 0, &expected);
        let made = "SELECT count(*), bool_and(relation = 'positions'::regclass AND dimension = 'ts'
            AND chunk = '1 day' AND NOT has_indexes) FROM tsdb.made";
        let made = client.query_one(made, &[]).await.unwrap();
        assert_eq!((made.get::<_, i64>(0), made.get::<_, bool>(1)), (1, true));
    });
}

#[test]
fn who_may_not_make_it_or_cannot_connect_is_told_why() {
    with_server(async |postgres, client| {
        client.batch_execute("CREATE ROLE app LOGIN").await.unwrap();
        let url = format!("postgres://app:canary@127.0.0.1:{}/postgres", postgres.port());
        let refused = "FAILED   The table positions was not made: permission denied for schema public \
                       (42501). Fix: Let POSTGRES_URL name a database that runs, and a user who";
        apply(&url, 1, &[refused]);
        assert_eq!(look(client).await.unwrap().kind, TableKind::Missing);
        let taken = "CREATE TABLE x (a int); CREATE INDEX positions_ts ON x (a)";
        client.batch_execute(taken).await.unwrap();
        let refused =
            "FAILED   The table positions was not made: relation \"positions_ts\" already";
        apply(&postgres.url(), 1, &[refused]);
        client.batch_execute("DROP TABLE x").await.unwrap();
        assert_eq!(look(client).await.unwrap().kind, TableKind::Missing, "all of it or nothing");
        let read_only = "ALTER ROLE pitwall SET default_transaction_read_only = on";
        client.batch_execute(read_only).await.unwrap();
        let refused = "FAILED   The table positions was not made: cannot execute ";
        apply(&postgres.url(), 1, &[refused]);
    });
    let away = "FAILED   The table positions was not made: error connecting to server";
    apply("postgres://u:canary@127.0.0.1:1/x", 1, &[away]);
    for url in ["", "mysql://canary", "postgres://u:canary@h/x?sslmode=require"] {
        let (code, said) = run(&["apply"], url);
        assert!(code == 78 && said.contains("  POSTGRES_URL "), "{said}");
        assert!(!said.contains("REDIS_URL") && !said.contains("canary"), "{said}");
    }
    let (code, said) = run(&["apply", "--config", "/missing"], "postgres://127.0.0.1:1/x");
    assert!(code == 78 && said.contains("--config names"), "{said}");
}

#[test]
fn the_help_says_what_is_made_where_and_what_never_is() {
    let (code, said) = run(&["--help"], "");
    assert_eq!(code, 0, "{said}");
    for expected in [
        "for development and tests",
        "nothing is changed",
        "`pitwall serve` never makes or changes a table",
        "pitwall schema print | psql",
        "  apply ",
    ] {
        assert!(said.contains(expected), "{expected} is missing in\n{said}");
    }
    let (code, said) = run(&["apply", "--help"], "");
    assert!(code == 0 && said.contains("--postgres-url-file"), "{said}");
    assert!(!said.contains("--redis-url"), "no flag that means nothing here: {said}");
    assert_eq!(run(&[], "").0, 2);
    assert_eq!(run(&["drop"], "").0, 2);
}
