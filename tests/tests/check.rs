//! `pitwall check` against a real Redis, a real PostgreSQL and a pretended Directus.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;

use pitwall::config::{Config, Roles};
use pitwall::secret::Secret;
use pitwall::tools::check::{Finding, Verdict, look, look_at_database};
use tests::platform;
use tests::postgres::{FAST, Postgres};
use tests::redis::Redis;
use tokio_postgres::Client;

/// Runs a test's future on this thread.
fn wait<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(future)
}

/// What was found that is not fine.
fn complaints(findings: &[Finding]) -> Vec<(Verdict, &str)> {
    let wrong = findings.iter().filter(|finding| finding.verdict != Verdict::Fine);
    wrong.map(|finding| (finding.verdict, finding.what.as_str())).collect()
}

/// Answers so many connections with this status line, one after the other.
fn directus(status: &'static str, count: usize) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for _ in 0..count {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                head.push(byte[0]);
            }
            let head = String::from_utf8(head).unwrap();
            let expected = format!(
                "GET /users/me HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n"
            );
            assert_eq!(head, expected, "no header but these, and no cookie");
            write!(stream, "HTTP/1.1 {status}\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n")
                .unwrap();
        }
    });
    port
}

/// Settings for these servers, to serve viewers alone; a port of 1 has nobody behind it.
fn config(redis: &str, postgres: &str, directus: u16) -> Config {
    let mut config = Config::new(redis, postgres);
    config.roles = Roles::LIVE;
    config.directus.host = "127.0.0.1".to_owned();
    config.directus.port = directus;
    config
}

/// The findings about the database of one change to the platform's schema.
async fn about_database(client: &Client, url: &str, change: &str, undo: &str) -> Vec<Finding> {
    client.batch_execute(change).await.unwrap();
    let findings = look(&config("redis://127.0.0.1:1", url, 1)).await;
    client.batch_execute(undo).await.unwrap();
    let others = |finding: &Finding| {
        !finding.what.starts_with("Redis ") && !finding.what.starts_with("Directus ")
    };
    findings.into_iter().filter(others).collect()
}

#[test]
fn all_is_well_when_everybody_answers_as_the_contract_says() {
    let (redis, postgres) = (Redis::start(), Postgres::start(FAST));
    wait(async {
        platform::create(&postgres.connect().await).await;
        let client = redis::Client::open(redis.url()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let mut add = redis::cmd("XADD");
        add.arg("telemetry:teltonika").arg("*").arg("ts").arg("x");
        let _id: String = add.query_async(&mut connection).await.unwrap();
        let port = directus("401 Unauthorized", 1);
        let findings = look(&config(&redis.url(), &postgres.url(), port)).await;
        assert_eq!(complaints(&findings), []);
        assert_eq!(findings.len(), 14, "{findings:?}");
    });
}

#[test]
fn everybody_is_looked_at_when_nobody_answers() {
    let settings = config("redis://:canary@127.0.0.1:1", "postgres://u:canary@127.0.0.1:1/x", 1);
    let findings = wait(look(&settings));
    let complaints = complaints(&findings);
    let all = [Verdict::Failed; 3];
    assert_eq!(complaints.iter().map(|it| it.0).collect::<Vec<_>>(), all, "{findings:?}");
    for (complaint, who) in complaints.iter().zip(["Redis", "PostgreSQL", "Directus"]) {
        assert!(complaint.1.starts_with(who) && complaint.1.contains("refused"), "{complaint:?}");
    }
    assert!(!format!("{findings:?}").contains("canary"));
}

#[test]
fn f4_a_redis_that_may_evict_the_stream_fails() {
    let redis = Redis::try_start(&["--maxmemory-policy", "allkeys-lru"]).unwrap();
    let findings = wait(look(&config(&redis.url(), "postgres://127.0.0.1:1/x", 1)));
    let complaints = complaints(&findings);
    assert!(complaints[0].1.contains("maxmemory-policy allkeys-lru"), "{complaints:?}");
    assert_eq!(complaints[0].0, Verdict::Failed);
    assert_eq!(complaints[1].0, Verdict::Warning, "there is no stream yet: {complaints:?}");
}

#[test]
fn f8_a_replica_and_a_key_that_is_no_stream_are_told() {
    let redis = Redis::try_start(&["--replica-serve-stale-data", "yes"]).unwrap();
    wait(async {
        let client = redis::Client::open(redis.url()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let mut set = redis::cmd("SET");
        let _: () =
            set.arg("telemetry:teltonika").arg("x").query_async(&mut connection).await.unwrap();
        let mut follow = redis::cmd("REPLICAOF");
        let _: () = follow.arg("127.0.0.1").arg(1).query_async(&mut connection).await.unwrap();
        let findings = look(&config(&redis.url(), "postgres://127.0.0.1:1/x", 1)).await;
        let complaints = complaints(&findings);
        assert!(complaints[0].1.contains("replica"), "{complaints:?}");
        assert_eq!(complaints[0].0, Verdict::Warning);
        assert!(complaints[1].1.contains("is no stream"), "{complaints:?}");
    });
}

#[test]
fn a_redis_that_wants_another_password_is_told_without_either() {
    let redis = Redis::start();
    wait(async {
        let client = redis::Client::open(redis.url()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let mut user = redis::cmd("ACL");
        user.arg(&["SETUSER", "canary", "on", ">right", "~*", "+@all", "-info"]);
        let _: () = user.query_async(&mut connection).await.unwrap();
        let url = |password| format!("redis://canary:{password}@127.0.0.1:{}/0", redis.port());
        let findings = look(&config(&url("wrong"), "postgres://127.0.0.1:1/x", 1)).await;
        let complaint = complaints(&findings)[0];
        assert_eq!(complaint.0, Verdict::Failed);
        assert!(
            complaint.1.contains("password") && !complaint.1.contains("wrong"),
            "{complaint:?}"
        );
        let findings = look(&config(&url("right"), "postgres://127.0.0.1:1/x", 1)).await;
        assert!(findings[0].what.contains("does not say how it is set up"), "{findings:?}");
        assert_eq!(findings[0].verdict, Verdict::Warning);
    });
}

#[test]
fn t30_a_right_that_is_missing_is_named_and_the_listed_ones_are_enough() {
    let redis = Redis::start();
    let text = include_str!("../../deploy/README.md");
    let lists: Vec<String> = text
        .split("ACL SETUSER pitwall ")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap().replace('\n', " "))
        .collect();
    wait(async {
        let client = redis::Client::open(redis.url()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let mut config = config(
            &format!("redis://pitwall:password@127.0.0.1:{}/0", redis.port()),
            "postgres://127.0.0.1:1/x",
            1,
        );
        let mut give = async |rights: &str| {
            let mut user = redis::cmd("ACL");
            user.arg("SETUSER").arg("pitwall");
            user.arg(rights.split_whitespace().collect::<Vec<_>>());
            user.query_async::<()>(&mut connection).await.unwrap();
        };
        let about = |findings: &[Finding]| {
            let about = findings.iter().find(|it| it.what.starts_with("The user of Redis"));
            about.cloned().unwrap()
        };
        give(&lists[0]).await;
        config.roles = Roles::LIVE;
        let said = about(&look(&config).await);
        assert_eq!(said.verdict, Verdict::Fine, "{said:?}");
        config.roles = Roles::default();
        let said = about(&look(&config).await);
        assert_eq!(said.verdict, Verdict::Failed);
        assert!(said.what.contains("+xack on ~telemetry:teltonika,"), "{said:?}");
        assert!(said.what.contains("+xadd on ~telemetry:teltonika:dlq"), "{said:?}");
        give(&lists[1]).await;
        let said = about(&look(&config).await);
        assert_eq!(said.verdict, Verdict::Fine, "{said:?}");
        give("-xgroup|destroy").await;
        let said = about(&look(&config).await);
        assert!(said.what.ends_with("not +xgroup|destroy on ~telemetry:teltonika."), "{said:?}");
    });
    assert_eq!(redis::cmd("DBSIZE").query::<u64>(&mut redis.connect()).unwrap(), 0);
}

#[test]
fn f37_a_database_of_another_shape_is_told_table_by_table() {
    let postgres = Postgres::start(FAST);
    wait(async {
        let (client, url) = (postgres.connect().await, postgres.url());
        platform::create(&client).await;
        for (change, undo, verdict, expected) in [
            (
                "ALTER TABLE positions RENAME TO x",
                "ALTER TABLE x RENAME TO positions",
                Verdict::Failed,
                "There is no table positions.",
            ),
            (
                "ALTER TABLE entry_devices RENAME TO x",
                "ALTER TABLE x RENAME TO entry_devices",
                Verdict::Failed,
                "There is no table entry_devices.",
            ),
            (
                "ALTER TABLE devices RENAME imei TO x",
                "ALTER TABLE devices RENAME x TO imei",
                Verdict::Failed,
                "Column devices.imei is missing.",
            ),
            (
                "ALTER TABLE organization_users ALTER user_id TYPE text",
                "ALTER TABLE organization_users ALTER user_id TYPE uuid USING user_id::uuid",
                Verdict::Failed,
                "Column organization_users.user_id is text, and must be uuid.",
            ),
            (
                "ALTER TABLE positions ALTER speed TYPE numeric",
                "ALTER TABLE positions ALTER speed TYPE real",
                Verdict::Failed,
                "Column positions.speed is numeric, and must be real.",
            ),
            (
                "DROP INDEX positions_device_ts; CREATE INDEX x ON positions (device_id, ts)",
                "DROP INDEX x; CREATE UNIQUE INDEX positions_device_ts ON positions (device_id, ts)",
                Verdict::Failed,
                "Nothing keeps positions from being stored twice",
            ),
            (
                "DROP INDEX positions_faulty_idx",
                "CREATE INDEX positions_faulty_idx ON positions (device_id, ts DESC) WHERE NOT faulty",
                Verdict::Warning,
                "The newest good positions are found without an index",
            ),
        ] {
            let findings = about_database(&client, &url, change, undo).await;
            let complaints = complaints(&findings);
            assert_eq!(complaints.len(), 1, "{change}: {complaints:?}");
            assert_eq!(complaints[0].0, verdict, "{change}");
            assert!(complaints[0].1.starts_with(expected), "{change}: {complaints:?}");
        }
        let key =
            "DROP INDEX positions_device_ts; ALTER TABLE positions ADD PRIMARY KEY (device_id, ts)";
        let findings = about_database(&client, &url, key, "").await;
        assert_eq!(complaints(&findings), [], "f40: the later migration is as good");
    });
}

#[test]
fn d5_what_the_user_may_not_see_is_told() {
    let postgres = Postgres::start(FAST);
    wait(async {
        let client = postgres.connect().await;
        platform::create(&client).await;
        client
            .batch_execute(
                "CREATE ROLE app LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO app;
                 REVOKE SELECT ON devices, directus_users FROM app;
                 GRANT SELECT (id, status) ON directus_users TO app; ALTER TABLE events ENABLE ROW LEVEL SECURITY;
                 ALTER TABLE entries RENAME TO x; CREATE VIEW entries AS SELECT * FROM x;
                 GRANT SELECT ON entries TO app",
            )
            .await
            .unwrap();
        let url = format!("postgres://app@127.0.0.1:{}/postgres", postgres.port());
        let findings = about_database(&client, &url, "", "").await;
        let complaints = complaints(&findings);
        let expected = [
            (Verdict::Warning, "Row level security hides rows of events"),
            (Verdict::Warning, "entries is not a table but a view"),
            (Verdict::Failed, "pitwall's user may not read devices"),
        ];
        assert_eq!(complaints.len(), expected.len(), "{complaints:?}");
        for (complaint, (verdict, words)) in complaints.iter().zip(expected) {
            assert!(complaint.0 == verdict && complaint.1.starts_with(words), "{complaint:?}");
        }
        let url = format!("postgres://nobody@127.0.0.1:{}/postgres", postgres.port());
        let findings = about_database(&client, &url, "", "").await;
        assert!(findings[0].what.contains("28000"), "{findings:?}");
    });
}

#[test]
fn what_only_a_writer_needs_is_told_to_a_writer_alone() {
    let postgres = Postgres::start(FAST);
    wait(async {
        let client = postgres.connect().await;
        platform::create(&client).await;
        let change = "CREATE ROLE app LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO app;
            REVOKE SELECT ON positions FROM app;
            GRANT SELECT (device_id, latitude, longitude, altitude, angle, speed, satellites,
                priority, codec, attributes, faulty, ingested_at) ON positions TO app;
            ALTER TABLE positions ADD tenant uuid NOT NULL, ENABLE ROW LEVEL SECURITY";
        client.batch_execute(change).await.unwrap();
        let url = Secret::new(format!("postgres://app@127.0.0.1:{}/postgres", postgres.port()));
        let reader = look_at_database(&url, false).await;
        let expected = [
            (Verdict::Failed, "pitwall's user may not read positions (ts)."),
            (Verdict::Warning, "Row level security hides rows of positions"),
        ];
        let writer = look_at_database(&url, true).await;
        let refused = [
            (Verdict::Failed, "Column positions.tenant must not be null and has no default"),
            (Verdict::Failed, "app may not insert into positions (device_id, ts, latitude"),
            (Verdict::Failed, "app may not read positions (ts)."),
            (Verdict::Failed, "Row level security of positions is in force for app"),
            (Verdict::Warning, "PostgreSQL runs with fsync = off"),
            (Verdict::Warning, "PostgreSQL runs with full_page_writes = off"),
        ];
        for (findings, expected) in [(reader, &expected[..]), (writer, &refused)] {
            let complaints = complaints(&findings);
            assert_eq!(complaints.len(), expected.len(), "{complaints:?}");
            for (complaint, (verdict, words)) in complaints.iter().zip(expected) {
                assert!(complaint.0 == *verdict && complaint.1.starts_with(words), "{complaint:?}");
            }
        }
    });
}

#[test]
fn f52_what_directus_answers_without_a_login_is_judged() {
    for (status, verdict) in [
        ("401 Unauthorized", Verdict::Fine),
        ("403 Forbidden", Verdict::Fine),
        ("200 OK", Verdict::Failed),
        ("302 Found", Verdict::Failed),
        ("404 Not Found", Verdict::Failed),
        ("429 Too Many Requests", Verdict::Warning),
        ("500 Internal Server Error", Verdict::Failed),
        ("503 Service Unavailable", Verdict::Warning),
    ] {
        let settings =
            config("redis://127.0.0.1:1", "postgres://127.0.0.1:1/x", directus(status, 1));
        let findings = wait(look(&settings));
        assert_eq!(findings.last().unwrap().verdict, verdict, "{status}: {findings:?}");
    }
}

#[test]
fn the_command_prints_a_line_for_each_and_fails_when_one_does() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_program"));
    command.arg("check").env_clear().envs([
        ("REDIS_URL", "redis://127.0.0.1:1"),
        ("POSTGRES_URL", "postgres://127.0.0.1:1/x"),
        ("DIRECTUS_BASE_URL", "http://127.0.0.1:1"),
        ("LIVE_WS_PING_INTERVAL_MS", "90000"),
    ]);
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    let words: Vec<&str> = text.lines().map(|it| it.split(' ').next().unwrap()).collect();
    assert_eq!(words, ["ok", "warning", "FAILED", "FAILED", "FAILED", "", "5"], "{text}");
    assert!(text.lines().skip(2).take(3).all(|line| line.contains(" Fix: ")), "{text}");
    assert!(text.ends_with("5 checks, 3 failed, 1 warnings\n"), "{text}");
}
