//! The harness itself: servers start, are ours, are apart from each other, and go.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;

use tests::postgres::{FAST, POSITIONS, Postgres};
use tests::program::find;
use tests::redis::Redis;

/// Runs a test's future on this thread.
fn wait<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(future)
}

/// What a Redis answers to inline commands, up to its goodbye.
fn ask_redis(port: u16, commands: &str) -> String {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    write!(stream, "{commands}\r\nQUIT\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn redis_answers_ping() {
    let redis = Redis::start();
    assert_eq!(ask_redis(redis.port(), "PING"), "+PONG\r\n+OK\r\n");
}

#[test]
fn redis_servers_share_nothing() {
    let (first, second) = (Redis::start(), Redis::start());
    assert_ne!(first.port(), second.port());
    assert_eq!(ask_redis(first.port(), "SET key first"), "+OK\r\n+OK\r\n");
    assert_eq!(ask_redis(second.port(), "EXISTS key"), ":0\r\n+OK\r\n");
}

#[test]
fn append_only_redis_has_a_write_on_disk_when_it_answers() {
    let redis = Redis::start_append_only();
    assert_eq!(ask_redis(redis.port(), "SET key on-disk"), "+OK\r\n+OK\r\n");
    assert!(contains(redis.directory().path(), b"on-disk"));
    let redis = Redis::start();
    assert_eq!(ask_redis(redis.port(), "SET key on-disk"), "+OK\r\n+OK\r\n");
    assert!(!contains(redis.directory().path(), b"on-disk"));
}

#[test]
fn redis_that_still_loads_what_it_has_on_disk_is_not_taken_for_ready() {
    const KEPT: [&str; 4] = ["--appendonly", "yes", "--appendfsync", "no"];
    // Redis looks at its clients after every 1,024 keys; half a millisecond each, that is a while.
    const SLOWLY: [&str; 2] = ["--key-load-delay", "500"];
    let mut redis = Redis::try_start(&KEPT).unwrap();
    let writes: Vec<String> = (0..3_000).map(|key| format!("SET {key} kept")).collect();
    ask_redis(redis.port(), &writes.join("\r\n"));
    redis.kill_and_restart(&[&KEPT[..], &SLOWLY].concat());
    assert_eq!(ask_redis(redis.port(), "DBSIZE"), ":3000\r\n+OK\r\n");
}

/// True when a file under `path` holds these bytes.
fn contains(path: &Path, bytes: &[u8]) -> bool {
    if path.is_dir() {
        let mut entries = path.read_dir().unwrap();
        return entries.any(|entry| contains(&entry.unwrap().path(), bytes));
    }
    std::fs::read(path).unwrap().windows(bytes.len()).any(|window| window == bytes)
}

#[test]
fn postgres_answers_and_has_the_table_of_the_platform() {
    let postgres = Postgres::start(FAST);
    wait(async {
        let client = postgres.connect().await;
        client.batch_execute(POSITIONS).await.unwrap();
        let row = client
            .query_one("SELECT count(*), current_setting('fsync') FROM positions", &[])
            .await
            .unwrap();
        assert_eq!((row.get::<_, i64>(0), row.get::<_, &str>(1)), (0, "off"));
    });
}

#[test]
fn postgres_without_settings_is_durable() {
    let postgres = Postgres::start(&[]);
    wait(async {
        let client = postgres.connect().await;
        let query = "SELECT current_setting('fsync'), current_setting('synchronous_commit')";
        let row = client.query_one(query, &[]).await.unwrap();
        assert_eq!((row.get::<_, &str>(0), row.get::<_, &str>(1)), ("on", "on"));
    });
}

#[test]
fn dropped_servers_leave_no_process_and_no_file() {
    let redis = Redis::start();
    let postgres = Postgres::start(FAST);
    let seen = [
        (redis.program().process_id(), redis.directory().path().to_owned()),
        (postgres.program().process_id(), postgres.directory().path().to_owned()),
    ];
    assert!(seen.iter().all(|(process, path)| path.exists() && is_running(*process)));
    drop(redis);
    drop(postgres);
    for (process, path) in seen {
        assert!(!path.exists() && !is_running(process), "process {process}, {}", path.display());
    }
}

/// True while the kernel knows a process of this id.
fn is_running(process: u32) -> bool {
    Path::new("/proc").join(process.to_string()).exists()
}

#[test]
fn missing_program_says_what_to_install() {
    let error = find("no-such-server", "some-package", &[]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the tests need a real no-such-server: install it, for instance with `apt-get install \
         some-package`"
    );
    assert!(find("sh", "dash", &[]).is_ok());
}

#[test]
fn server_that_ends_at_once_shows_its_log() {
    let error = Postgres::try_start(&[("no_such_setting", "1")]).unwrap_err().to_string();
    assert!(error.contains("unrecognized configuration parameter"), "{error}");
    let error = Redis::try_start(&["--no-such-option", "1"]).unwrap_err().to_string();
    assert!(error.contains("no-such-option"), "{error}");
}

#[test]
fn taken_port_is_not_taken_for_our_server() {
    let taken = Redis::start();
    let port = taken.port().to_string();
    let error = Redis::try_start(&["--port", &port]).unwrap_err();
    assert!(error.is_port_taken(), "{error}");
}
