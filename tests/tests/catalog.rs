//! What pitwall says of the table `positions`, for each way in which a real PostgreSQL can have it.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::str::FromStr as _;

use pitwall::database::catalog::{Catalog, Fault, TableKind, look};
use tests::postgres::{FAST, POSITIONS, Postgres};
use tokio_postgres::{Client, Config, NoTls};

/// A database with the table, and the sentence of what is wrong after a change.
struct Case {
    change: &'static str,
    undo: &'static str,
    /// How the sentence begins.
    what: &'static str,
    /// What the remedy contains.
    remedy: &'static str,
}

/// Runs a test with a server of its own.
fn with_server(test: impl AsyncFnOnce(&Postgres, &Client)) {
    let postgres = Postgres::start(FAST);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = postgres.connect().await;
        client.batch_execute(POSITIONS).await.unwrap();
        test(&postgres, &client).await;
    });
}

/// A session of another user.
async fn connect_as(postgres: &Postgres, user: &str) -> Client {
    let mut settings = Config::from_str(&postgres.url()).unwrap();
    let (client, connection) = settings.user(user).connect(NoTls).await.unwrap();
    tokio::spawn(async move {
        // The client sees the same error, and says it where the test looks.
        drop(connection.await);
    });
    client
}

fn words(faults: &[Fault]) -> Vec<&str> {
    faults.iter().map(|fault| fault.what.as_str()).collect()
}

/// What is worth a warning beside what the settings of a fast test bring.
fn warnings(catalog: &Catalog) -> Vec<&str> {
    let all = words(&catalog.warnings).into_iter();
    all.filter(|words| !words.starts_with("PostgreSQL runs with ")).collect()
}

/// Each change brings exactly its fault, and none is left when it is undone.
async fn check(client: &Client, cases: &[Case]) {
    let before = look(client).await.unwrap();
    assert_eq!(words(&before.faults), [""; 0]);
    for Case { change, undo, what, remedy } in cases {
        client.batch_execute(change).await.unwrap();
        let catalog = look(client).await.unwrap();
        assert_eq!(catalog.faults.len(), 1, "{change}: {:?}", catalog.faults);
        let fault = &catalog.faults[0];
        assert!(fault.what.starts_with(what), "{change}: {}", fault.what);
        assert!(fault.remedy.contains(remedy), "{change}: {}", fault.remedy);
        client.batch_execute(undo).await.unwrap();
        assert_eq!(look(client).await.unwrap(), before, "{undo}");
    }
}

/// A change to a column that is undone by making it as it was.
const fn column(change: &'static str, undo: &'static str, what: &'static str) -> Case {
    Case { change, undo, what, remedy: "Let the platform's migrations run." }
}

#[test]
fn the_table_of_the_contract_has_no_fault_whatever_the_order_of_its_columns() {
    with_server(async |_, client| {
        let catalog = look(client).await.unwrap();
        assert_eq!((words(&catalog.faults), warnings(&catalog)), (vec![], vec![]));
        assert_eq!((catalog.kind, catalog.fingerprint.len()), (TableKind::Plain, 16));
        let order = "ALTER TABLE positions RENAME speed TO old;
            ALTER TABLE positions ADD speed real NOT NULL;
            ALTER TABLE positions DROP old";
        client.batch_execute(order).await.unwrap();
        assert_eq!(look(client).await.unwrap(), catalog, "speed comes last now");
        let names = "ALTER INDEX positions_device_ts RENAME TO x; DROP INDEX positions_ts;
            CREATE INDEX ON positions (ts DESC); ANALYZE positions";
        client.batch_execute(names).await.unwrap();
        assert_eq!(look(client).await.unwrap(), catalog, "what an index does is what counts");
        client.batch_execute("ALTER TABLE positions ADD note text").await.unwrap();
        let changed = look(client).await.unwrap();
        assert_eq!(words(&changed.faults), [""; 0], "a column more is none of ours");
        assert_ne!(changed.fingerprint, catalog.fingerprint);
    });
}

#[test]
fn f37_a_table_that_is_missing_is_told_with_the_schema_that_has_one() {
    with_server(async |_, client| {
        let missing = Case {
            change: "ALTER TABLE positions RENAME TO x",
            undo: "ALTER TABLE x RENAME TO positions",
            what: "There is no table positions.",
            remedy: "migrations",
        };
        let elsewhere = Case {
            change: "CREATE SCHEMA race; ALTER TABLE positions SET SCHEMA race",
            undo: "ALTER TABLE race.positions SET SCHEMA public",
            what: "There is no table positions that the search path of pitwall reaches; there is \
                   one in race.",
            remedy: "ALTER ROLE pitwall SET search_path = race;",
        };
        check(client, &[missing, elsewhere]).await;
        let found = "CREATE TABLE race.positions (LIKE positions INCLUDING ALL);
            DROP TABLE positions; SET search_path = race";
        client.batch_execute(found).await.unwrap();
        assert_eq!(words(&look(client).await.unwrap().faults), [""; 0], "it is found in race");
        client.batch_execute("DROP TABLE race.positions").await.unwrap();
        let catalog = look(client).await.unwrap();
        assert_eq!((catalog.kind, catalog.fingerprint.as_str()), (TableKind::Missing, ""));
    });
}

#[test]
fn f37_a_column_that_is_missing_or_of_another_type_is_told() {
    with_server(async |_, client| {
        let cases = [
            column(
                "ALTER TABLE positions RENAME angle TO x; ALTER TABLE positions ALTER x DROP NOT NULL",
                "ALTER TABLE positions RENAME x TO angle;
                 ALTER TABLE positions ALTER angle SET NOT NULL",
                "Column positions.angle is missing.",
            ),
            column(
                "ALTER TABLE positions DROP ingested_at",
                "ALTER TABLE positions ADD ingested_at timestamptz NOT NULL DEFAULT now()",
                "Column positions.ingested_at is missing.",
            ),
            column(
                "ALTER TABLE positions ALTER speed TYPE numeric",
                "ALTER TABLE positions ALTER speed TYPE real",
                "Column positions.speed is numeric, and must be real.",
            ),
            column(
                "ALTER TABLE positions ALTER attributes TYPE json",
                "ALTER TABLE positions ALTER attributes TYPE jsonb",
                "Column positions.attributes is json, and must be jsonb.",
            ),
            column(
                "ALTER TABLE positions ALTER device_id TYPE varchar(15)",
                "ALTER TABLE positions ALTER device_id TYPE text",
                "Column positions.device_id is character varying, and must be text.",
            ),
            column(
                "ALTER TABLE positions ALTER ts TYPE timestamptz(0)",
                "ALTER TABLE positions ALTER ts TYPE timestamptz",
                "Column positions.ts is timestamp(0) with time zone, and must be timestamp with",
            ),
        ];
        check(client, &cases).await;
        let precise = "ALTER TABLE positions ALTER ts TYPE timestamptz(3)";
        client.batch_execute(precise).await.unwrap();
        assert_eq!(words(&look(client).await.unwrap().faults), [""; 0], "milliseconds are enough");
    });
}

#[test]
fn a_column_that_would_refuse_every_row_is_told_before_one_is_written() {
    with_server(async |_, client| {
        client.batch_execute("CREATE DOMAIN required AS int NOT NULL").await.unwrap();
        let drop = "ALTER TABLE positions DROP \"Tenant\"";
        let refused = "Column positions.Tenant must not be null and has no default";
        let cases = [
            Case {
                change: "ALTER TABLE positions ADD \"Tenant\" uuid NOT NULL",
                undo: drop,
                what: refused,
                remedy: "ALTER TABLE positions ALTER \"Tenant\" DROP NOT NULL;",
            },
            Case {
                change: "ALTER TABLE positions ADD \"Tenant\" required",
                undo: drop,
                what: refused,
                remedy: "DROP NOT NULL",
            },
            Case {
                change: "ALTER TABLE positions ALTER faulty DROP DEFAULT",
                undo: "ALTER TABLE positions ALTER faulty SET DEFAULT false",
                what: "Column positions.faulty must not be null and has no default: every row",
                remedy: "ALTER TABLE positions ALTER faulty SET DEFAULT false;",
            },
            Case {
                change: "ALTER TABLE positions DROP speed;
                    ALTER TABLE positions ADD speed real GENERATED ALWAYS AS (1) STORED",
                undo: "ALTER TABLE positions ALTER speed DROP EXPRESSION;
                    ALTER TABLE positions ALTER speed SET NOT NULL",
                what: "Column positions.speed is made by PostgreSQL itself",
                remedy: "ALTER TABLE positions ALTER speed DROP EXPRESSION;",
            },
            Case {
                change: "ALTER TABLE positions ALTER priority ADD GENERATED ALWAYS AS IDENTITY",
                undo: "ALTER TABLE positions ALTER priority DROP IDENTITY",
                what: "Column positions.priority is made by PostgreSQL itself",
                remedy: "DROP IDENTITY",
            },
        ];
        check(client, &cases).await;
        let harmless = "ALTER TABLE positions ADD a int NOT NULL DEFAULT 1,
            ADD b int GENERATED BY DEFAULT AS IDENTITY, ADD c int GENERATED ALWAYS AS (1) STORED,
            ALTER c SET NOT NULL, ADD d int, ALTER ingested_at DROP NOT NULL,
            ALTER ingested_at DROP DEFAULT";
        client.batch_execute(harmless).await.unwrap();
        let catalog = look(client).await.unwrap();
        assert_eq!(words(&catalog.faults), [""; 0]);
        let null =
            "Column positions.ingested_at has no default: it is null in every row that comes.";
        assert_eq!(warnings(&catalog), [null]);
    });
}

#[test]
fn only_an_index_that_on_conflict_can_rest_on_keeps_rows_from_being_stored_twice() {
    with_server(async |_, client| {
        for fit in [
            "ALTER TABLE positions ADD PRIMARY KEY (device_id, ts)",
            "ALTER TABLE positions ADD CONSTRAINT x UNIQUE (ts, device_id)",
            "CREATE UNIQUE INDEX x ON positions (device_id, ts DESC) INCLUDE (speed)",
        ] {
            let statement = format!("BEGIN; DROP INDEX positions_device_ts; {fit}");
            client.batch_execute(&statement).await.unwrap();
            assert_eq!(words(&look(client).await.unwrap().faults), [""; 0], "{fit}");
            stores_one_row_once(client).await.unwrap();
            client.batch_execute("ROLLBACK").await.unwrap();
        }
        for (unfit, reason) in [
            ("SELECT", "no unique index over device_id and ts."),
            ("CREATE INDEX x ON positions (device_id, ts)", "no unique index"),
            ("CREATE UNIQUE INDEX x ON positions (device_id, ts, codec)", "no unique index"),
            ("CREATE UNIQUE INDEX x ON positions (device_id) INCLUDE (ts)", "no unique index"),
            (
                "CREATE UNIQUE INDEX x ON positions (device_id, (ts AT TIME ZONE 'UTC'))",
                "no unique",
            ),
            (
                "CREATE UNIQUE INDEX x ON positions (device_id, ts) WHERE faulty = FALSE",
                "the unique index x holds for a part of the rows only.",
            ),
            (
                "ALTER TABLE positions ADD CONSTRAINT x UNIQUE (device_id, ts) DEFERRABLE",
                "the unique index x may be checked later",
            ),
            (
                "CREATE UNIQUE INDEX x ON positions (device_id, ts);
                 UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'x'::regclass",
                "the unique index x is not finished",
            ),
            (
                "CREATE UNIQUE INDEX x ON positions (device_id, ts);
                 UPDATE pg_index SET indisready = false WHERE indexrelid = 'x'::regclass",
                "the unique index x is not finished",
            ),
        ] {
            let statement = format!("BEGIN; DROP INDEX positions_device_ts; {unfit}");
            client.batch_execute(&statement).await.unwrap();
            let catalog = look(client).await.unwrap();
            let expected = format!("Nothing keeps positions from being stored twice: {reason}");
            assert_eq!(catalog.faults.len(), 1, "{unfit}: {:?}", catalog.faults);
            assert!(catalog.faults[0].what.starts_with(&expected), "{unfit}: {:?}", catalog.faults);
            assert!(catalog.faults[0].remedy.contains("CREATE UNIQUE INDEX"), "{unfit}");
            if !unfit.contains("indisready") {
                stores_one_row_once(client).await.unwrap_err();
            }
            client.batch_execute("ROLLBACK").await.unwrap();
        }
    });
}

/// Asks PostgreSQL itself whether the conflict has something to rest on.
async fn stores_one_row_once(client: &Client) -> Result<(), tokio_postgres::Error> {
    let insert = "INSERT INTO positions (device_id, ts, latitude, longitude, altitude, angle, speed,
            satellites, priority, codec, attributes)
        VALUES ('a', 'epoch', 1, 1, 1, 1, 1, 1, 1, '8', '{}') ON CONFLICT (device_id, ts) DO NOTHING";
    assert_eq!(client.execute(insert, &[]).await?, 1);
    assert_eq!(client.execute(insert, &[]).await?, 0);
    Ok(())
}

#[test]
fn what_the_user_may_not_do_is_told_with_the_right_that_is_missing() {
    with_server(async |postgres, client| {
        let rights = "CREATE ROLE \"App\" LOGIN; GRANT INSERT, SELECT ON positions TO \"App\"";
        client.batch_execute(rights).await.unwrap();
        let app = connect_as(postgres, "App").await;
        assert_eq!(words(&look(&app).await.unwrap().faults), [""; 0]);
        let all = "device_id, ts, latitude, longitude, altitude, angle, speed, satellites, priority, \
                   codec, attributes";
        for (change, expected, remedy) in [
            (
                "REVOKE INSERT ON positions FROM \"App\"",
                format!("\"App\" may not insert into positions ({all})."),
                format!("GRANT INSERT ({all}) ON positions TO \"App\";"),
            ),
            (
                "GRANT INSERT (device_id, ts, latitude, longitude, altitude, angle, speed,
                     satellites, priority, attributes) ON positions TO \"App\"",
                "\"App\" may not insert into positions (codec).".to_owned(),
                "GRANT INSERT (codec) ON positions TO \"App\";".to_owned(),
            ),
            (
                "GRANT INSERT (codec) ON positions TO \"App\"; REVOKE SELECT ON positions FROM \"App\";
                 GRANT SELECT (device_id) ON positions TO \"App\"",
                "\"App\" may not read positions (ts).".to_owned(),
                "GRANT SELECT (ts) ON positions TO \"App\";".to_owned(),
            ),
        ] {
            client.batch_execute(change).await.unwrap();
            let fault = Fault { what: expected, remedy: remedy.clone(), is_of_writing: true };
            assert_eq!(look(&app).await.unwrap().faults, [fault], "{change}");
        }
        client.batch_execute("GRANT SELECT (ts) ON positions TO \"App\"").await.unwrap();
        assert_eq!(words(&look(&app).await.unwrap().faults), [""; 0], "no other right is needed");
        client.batch_execute("REVOKE USAGE ON SCHEMA public FROM PUBLIC").await.unwrap();
        let catalog = look(&app).await.unwrap();
        assert_eq!(catalog.kind, TableKind::Missing);
        assert!(catalog.faults[0].remedy.contains("GRANT USAGE ON SCHEMA public TO \"App\";"));
    });
}

#[test]
fn row_level_security_is_a_fault_for_those_whom_it_concerns() {
    with_server(async |postgres, client| {
        let guard = "CREATE ROLE app LOGIN; GRANT INSERT, SELECT ON positions TO app;
            ALTER TABLE positions ENABLE ROW LEVEL SECURITY;
            CREATE POLICY everything ON positions USING (true) WITH CHECK (true)";
        client.batch_execute(guard).await.unwrap();
        assert_eq!(words(&look(client).await.unwrap().faults), [""; 0], "not for its owner");
        let app = connect_as(postgres, "app").await;
        let faults = look(&app).await.unwrap().faults;
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(faults[0].what.starts_with("Row level security of positions is in force for app"));
        let copy = app.batch_execute("COPY positions FROM '/dev/null'").await;
        assert!(copy.is_err(), "as PostgreSQL says itself");
        client.batch_execute(&faults[0].remedy).await.unwrap();
        assert_eq!(words(&look(&app).await.unwrap().faults), [""; 0]);
    });
}

#[test]
fn what_stands_behind_the_name_is_told() {
    with_server(async |_, client| {
        let before = look(client).await.unwrap();
        let foreign = "CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w;
            CREATE FOREIGN TABLE positions (device_id text, ts timestamptz, ingested_at timestamptz,
                latitude float8, longitude float8, altitude real, angle real, speed real,
                satellites int2, priority int2, codec text, attributes jsonb, faulty bool) SERVER s";
        for instead in [
            "CREATE VIEW positions AS SELECT * FROM x",
            "CREATE MATERIALIZED VIEW positions AS SELECT * FROM x",
            foreign,
        ] {
            let statement = format!("BEGIN; ALTER TABLE positions RENAME TO x; {instead}");
            client.batch_execute(&statement).await.unwrap();
            let catalog = look(client).await.unwrap();
            assert_eq!(catalog.kind, TableKind::Other, "{instead}");
            assert_eq!(catalog.faults.len(), 1, "{instead}: {:?}", catalog.faults);
            assert!(catalog.faults[0].what.starts_with("positions is not a table"), "{instead}");
            client.batch_execute("ROLLBACK").await.unwrap();
        }
        let divided = "BEGIN; ALTER TABLE positions RENAME TO x;
            CREATE TABLE positions (LIKE x INCLUDING ALL) PARTITION BY RANGE (ts);
            CREATE TABLE y PARTITION OF positions FOR VALUES FROM ('-infinity') TO ('infinity')";
        client.batch_execute(divided).await.unwrap();
        let catalog = look(client).await.unwrap();
        assert_eq!((catalog.kind, words(&catalog.faults)), (TableKind::Partitioned, vec![]));
        assert_eq!(catalog.fingerprint, before.fingerprint);
        stores_one_row_once(client).await.unwrap();
        let parent_alone = "DROP INDEX positions_device_id_ts_idx;
            CREATE UNIQUE INDEX x2 ON ONLY positions (device_id, ts)";
        client.batch_execute(parent_alone).await.unwrap();
        let faults = look(client).await.unwrap().faults;
        assert!(faults[0].what.contains("the unique index x2 is not finished"), "{faults:?}");
        client.batch_execute("ROLLBACK").await.unwrap();
    });
}

#[test]
fn a_hypertable_is_told_by_the_view_of_its_extension() {
    with_server(async |_, client| {
        // Stands in for the extension: the row that says it is there, and the documented columns.
        let view = "CREATE SCHEMA timescaledb_information;
            CREATE VIEW timescaledb_information.hypertables AS
                SELECT 'public'::name AS hypertable_schema, 'positions'::name AS hypertable_name;
            GRANT USAGE ON SCHEMA timescaledb_information TO PUBLIC";
        client.batch_execute(view).await.unwrap();
        assert_eq!(look(client).await.unwrap().kind, TableKind::Plain, "without the extension");
        let extension = "SET allow_system_table_mods = on;
            INSERT INTO pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion)
            VALUES (99999, 'timescaledb', 10, 2200, false, '2.17.2')";
        client.batch_execute(extension).await.unwrap();
        assert_eq!(look(client).await.unwrap().kind, TableKind::Hypertable);
        let stranger = "CREATE ROLE app; SET ROLE app";
        client.batch_execute(stranger).await.unwrap();
        assert_eq!(look(client).await.unwrap().kind, TableKind::Plain, "a view we may not read");
        let other = "RESET ROLE; ALTER TABLE positions RENAME TO x;
            CREATE SCHEMA other; CREATE TABLE other.positions (LIKE x); SET search_path = other";
        client.batch_execute(other).await.unwrap();
        assert_eq!(look(client).await.unwrap().kind, TableKind::Plain, "another schema's table");
        client.batch_execute("DROP VIEW timescaledb_information.hypertables").await.unwrap();
        look(client).await.unwrap();
    });
}

#[test]
fn settings_and_tables_that_do_not_survive_a_crash_are_warned_of() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for (settings, expected) in
        [(&[][..], vec![]), (FAST, vec!["fsync = off", "full_page_writes = off"])]
    {
        let postgres = Postgres::start(settings);
        runtime.block_on(async {
            let client = postgres.connect().await;
            client.batch_execute(POSITIONS).await.unwrap();
            let catalog = look(&client).await.unwrap();
            assert_eq!(catalog.warnings.len(), expected.len(), "{:?}", catalog.warnings);
            for (warning, expected) in catalog.warnings.iter().zip(expected) {
                assert!(warning.what.contains(expected) && warning.is_of_writing, "{warning:?}");
            }
            client.batch_execute("ALTER TABLE positions SET UNLOGGED").await.unwrap();
            let unlogged = look(&client).await.unwrap();
            assert!(warnings(&unlogged)[0].starts_with("positions is an unlogged table"));
        });
    }
}

#[test]
fn a_database_of_another_encoding_is_a_fault() {
    with_server(async |postgres, client| {
        let database = "CREATE DATABASE old ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0";
        client.batch_execute(database).await.unwrap();
        let mut settings = Config::from_str(&postgres.url()).unwrap();
        let (old, connection) = settings.dbname("old").connect(NoTls).await.unwrap();
        tokio::spawn(async move { drop(connection.await) });
        old.batch_execute(POSITIONS).await.unwrap();
        let faults = look(&old).await.unwrap().faults;
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(faults[0].what.contains("encoded as SQL_ASCII") && !faults[0].is_of_writing);
    });
}
