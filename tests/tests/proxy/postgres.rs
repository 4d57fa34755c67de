//! Traps in what PostgreSQL is asked: after each of them the row is there, or is not, for certain.

use std::pin::pin;
use std::time::Duration;

use futures_util::SinkExt;
use tests::postgres::{FAST, Postgres};
use tests::proxy::{Ending, Event, Fault, Moment, Place, Proxy, Rule, Trap, Way, Which};
use tokio_postgres::{Client, Error, NoTls};

/// How long a client may wait for an end that must come.
const PATIENCE: Duration = Duration::from_secs(20);

const ENDINGS: [Ending; 2] = [Ending::Reset, Ending::Close];

/// A PostgreSQL, a wire to it, and a way around the wire.
struct Rig {
    proxy: Proxy,
    direct: Client,
    _postgres: Postgres,
}

impl Rig {
    async fn new() -> Self {
        let postgres = Postgres::start(FAST);
        let direct = postgres.connect().await;
        direct.batch_execute("CREATE TABLE t (id integer PRIMARY KEY, text text)").await.unwrap();
        Self { proxy: Proxy::to_postgres(postgres.port()), direct, _postgres: postgres }
    }

    /// A session over the wire.
    async fn connect(&self) -> Client {
        self.try_connect().await.unwrap()
    }

    async fn try_connect(&self) -> Result<Client, Error> {
        let url = format!("postgres://pitwall@127.0.0.1:{}/postgres", self.proxy.port());
        let (client, connection) = tokio_postgres::connect(&url, NoTls).await?;
        tokio::spawn(async move { drop(connection.await) });
        Ok(client)
    }

    /// Waits until the server has heard of the end of every session over the wire, takes the rows
    /// away that are there, and says how many there were.
    async fn take_rows(&self) -> i64 {
        let query = "SELECT count(*) FROM pg_stat_activity
            WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()";
        let gone = async {
            while self.direct.query_one(query, &[]).await.unwrap().get::<_, i64>(0) > 0 {
                tokio::task::yield_now().await;
            }
        };
        ended(gone).await;
        let query = "WITH taken AS (DELETE FROM t RETURNING 1) SELECT count(*) FROM taken";
        self.direct.query_one(query, &[]).await.unwrap().get(0)
    }

    fn trap(&self, event: Event, moment: Moment, ending: Ending) -> Trap {
        self.proxy.trap(Rule::new(event, moment, ending))
    }
}

/// Runs a test's future on this thread; it ends in time.
fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(test);
}

/// What came of it, in time.
async fn ended<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work).await.expect("it must not hang")
}

/// Ways to write three rows.
#[derive(Clone, Copy, Debug)]
enum Write {
    Transaction,
    TransactionInOneText,
    CopyAlone,
    CopyInTransaction,
    InsertAlone,
    InsertBySimpleQuery,
}

const WRITES: [Write; 6] = [
    Write::Transaction,
    Write::TransactionInOneText,
    Write::CopyAlone,
    Write::CopyInTransaction,
    Write::InsertAlone,
    Write::InsertBySimpleQuery,
];

const INSERT: &str = "INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')";

async fn write(client: &mut Client, how: Write) -> Result<(), Error> {
    match how {
        Write::Transaction => {
            let transaction = client.transaction().await?;
            transaction.execute(INSERT, &[]).await?;
            transaction.commit().await
        }
        Write::TransactionInOneText => {
            client.batch_execute(&format!("BEGIN; {INSERT}; COMMIT")).await
        }
        Write::CopyAlone => copy(client).await,
        Write::CopyInTransaction => {
            client.batch_execute("BEGIN").await?;
            copy(client).await?;
            client.batch_execute("COMMIT").await
        }
        Write::InsertAlone => client.execute(INSERT, &[]).await.map(drop),
        Write::InsertBySimpleQuery => client.batch_execute(INSERT).await,
    }
}

async fn copy(client: &Client) -> Result<(), Error> {
    let sink = client.copy_in::<_, &[u8]>("COPY t FROM STDIN").await?;
    let mut sink = pin!(sink);
    sink.send(&b"1\ta\n2\tb\n"[..]).await?;
    sink.send(&b"3\tc\n"[..]).await?;
    sink.finish().await.map(drop)
}

#[test]
fn a_commit_that_never_reached_the_server_leaves_no_row() {
    run(async {
        let rig = Rig::new().await;
        for how in WRITES {
            for ending in ENDINGS {
                let trap = rig.trap(Event::Commit, Moment::Before, ending);
                let mut client = rig.connect().await;
                assert!(ended(write(&mut client, how)).await.is_err(), "{how:?} {ending:?}");
                assert_eq!((trap.seen(), trap.struck()), (1, 1), "{how:?} {ending:?}");
                assert_eq!(rig.take_rows().await, 0, "{how:?} {ending:?}");
            }
        }
    });
}

#[test]
fn a_commit_whose_answer_was_lost_leaves_every_row() {
    run(async {
        let rig = Rig::new().await;
        for how in WRITES {
            for ending in ENDINGS {
                let trap = rig.trap(Event::Commit, Moment::Answered, ending);
                let mut client = rig.connect().await;
                assert!(ended(write(&mut client, how)).await.is_err(), "{how:?} {ending:?}");
                assert_eq!((trap.seen(), trap.struck()), (1, 1), "{how:?} {ending:?}");
                assert_eq!(rig.take_rows().await, 3, "{how:?} {ending:?}");
            }
        }
    });
}

#[test]
fn a_commit_that_was_cut_off_just_behind_leaves_all_rows_or_none() {
    run(async {
        let rig = Rig::new().await;
        for how in WRITES {
            let trap = rig.trap(Event::Commit, Moment::Behind, Ending::Reset);
            let mut client = rig.connect().await;
            assert!(ended(write(&mut client, how)).await.is_err(), "{how:?}");
            assert_eq!(trap.struck(), 1, "{how:?}");
            let rows = rig.take_rows().await;
            assert!(rows == 0 || rows == 3, "{how:?}: {rows}");
        }
    });
}

#[test]
fn a_commit_may_hang_instead_and_is_then_done_or_not_for_certain() {
    run(async {
        let rig = Rig::new().await;
        for (moment, rows) in [(Moment::Before, 0), (Moment::Answered, 3)] {
            for how in WRITES {
                let trap = rig.trap(Event::Commit, moment, Ending::Silence);
                let mut client = rig.connect().await;
                let quiet = Duration::from_millis(100);
                let hanging = tokio::time::timeout(quiet, write(&mut client, how)).await;
                assert!(hanging.is_err(), "{how:?} {moment:?}");
                trap.wait_until_struck(1);
                // What was silenced by a trap is not as it was: it ends.
                rig.proxy.release();
                drop(client);
                assert_eq!(rig.take_rows().await, rows, "{how:?} {moment:?}");
            }
        }
    });
}

#[test]
fn nothing_but_a_commit_is_taken_for_one_and_no_trap_disturbs_before_it_strikes() {
    run(async {
        let rig = Rig::new().await;
        let commits =
            rig.proxy.trap(Rule::new(Event::Commit, Moment::Before, Ending::Reset).times(0));
        let mut client = rig.connect().await;
        client.query("SELECT * FROM t", &[]).await.unwrap();
        client.batch_execute("BEGIN; SAVEPOINT s; ROLLBACK TO s; ROLLBACK").await.unwrap();
        client.batch_execute("SET synchronous_commit = on").await.unwrap();
        client.batch_execute("INSERT INTO nowhere VALUES (1)").await.unwrap_err();
        client.query("SELECT 1", &[]).await.unwrap();
        assert_eq!(commits.seen(), 1, "the refused one was asked for");
        let copied = client.copy_in::<_, &[u8]>("COPY t FROM STDIN").await.unwrap();
        drop(copied);
        client.query("SELECT 1", &[]).await.unwrap();
        assert_eq!(commits.seen(), 1);
        for (round, how) in (2..).zip(WRITES) {
            write(&mut client, how).await.unwrap();
            assert_eq!(commits.seen(), round, "{how:?}");
            client.batch_execute("BEGIN; DELETE FROM t").await.unwrap();
            client.batch_execute("SAVEPOINT s; ROLLBACK TO SAVEPOINT s; ABORT").await.unwrap();
            client.batch_execute("TRUNCATE t").await.unwrap();
        }
        assert_eq!(commits.struck(), 0);
    });
}

#[test]
fn a_trap_strikes_when_it_is_told_to_and_counts_the_others() {
    run(async {
        let rig = Rig::new().await;
        let rule = Rule::new(Event::sql("insert into t"), Moment::Before, Ending::Reset);
        let trap = rig.proxy.trap(rule.skip(2).every(3).times(2));
        let mut struck = Vec::new();
        for round in 0..12 {
            let client = rig.connect().await;
            let query = format!("  INSERT INTO t VALUES ({round})");
            if ended(client.execute(&query, &[])).await.is_err() {
                struck.push(round);
            }
        }
        assert_eq!(struck, [2, 5]);
        assert_eq!((trap.seen(), trap.struck()), (12, 2));
        assert_eq!(rig.take_rows().await, 10);
        let trap = rig.trap(Event::sql("SELECT"), Moment::Before, Ending::Reset);
        trap.disarm();
        rig.connect().await.query("SELECT 1", &[]).await.unwrap();
        assert_eq!((trap.seen(), trap.struck()), (1, 0));
    });
}

#[test]
fn a_copy_is_cut_before_its_data_behind_them_or_before_their_end() {
    run(async {
        let rig = Rig::new().await;
        let begun = || Event::CopyBegun;
        for (event, moment) in [
            (begun(), Moment::Before),
            (begun(), Moment::Behind),
            (Event::CopyEnded, Moment::Before),
            (Event::sql("COPY"), Moment::Before),
            (Event::sql("COPY"), Moment::Answered),
        ] {
            for how in [Write::CopyAlone, Write::CopyInTransaction] {
                let trap = rig.trap(event.clone(), moment, Ending::Reset);
                let mut client = rig.connect().await;
                assert!(ended(write(&mut client, how)).await.is_err(), "{event:?} {moment:?}");
                assert_eq!((trap.seen(), trap.struck()), (1, 1), "{event:?} {moment:?}");
                assert_eq!(rig.take_rows().await, 0, "{event:?} {moment:?}");
            }
        }
        // The answer to the data of a COPY is that they are stored.
        let trap = rig.trap(begun(), Moment::Answered, Ending::Reset);
        let mut client = rig.connect().await;
        assert!(ended(write(&mut client, Write::CopyAlone)).await.is_err());
        assert_eq!((trap.struck(), rig.take_rows().await), (1, 3));
    });
}

#[test]
fn a_cut_at_any_byte_of_a_session_ends_it_with_all_rows_or_none() {
    run(async {
        let rig = Rig::new().await;
        for how in [Write::CopyAlone, Write::CopyInTransaction] {
            let mut client = rig.connect().await;
            let whole = rig.proxy.connection_count() - 1;
            let connected = Way::BOTH.map(|way| rig.proxy.bytes_passed(whole, way));
            write(&mut client, how).await.unwrap();
            drop(client);
            assert_eq!(rig.take_rows().await, 3);
            for way in Way::BOTH {
                // The way in is the same for both.
                let is_first = matches!(how, Write::CopyAlone);
                let first = if is_first { 0 } else { connected[way as usize] };
                let length = rig.proxy.bytes_passed(whole, way);
                let mut stored = 0;
                for at in first..length {
                    let fault = Fault::Cut { at: Place::FromStart(at), ending: Ending::Reset };
                    rig.proxy.set(Which::New, way, fault);
                    let work = async {
                        let mut client = rig.try_connect().await?;
                        write(&mut client, how).await
                    };
                    let is_written = ended(work).await.is_ok();
                    rig.proxy.heal();
                    let rows = rig.take_rows().await;
                    assert!(rows == 0 || rows == 3, "{how:?} {way:?} at {at}: {rows} rows");
                    assert!(rows == 3 || !is_written, "{how:?} {way:?} at {at}: told a lie");
                    stored += i64::from(rows == 3);
                }
                assert!(stored < length.cast_signed(), "{how:?} {way:?}");
                assert!(stored > 0 || way == Way::ToServer, "no cut answer to a commit: {how:?}");
            }
        }
    });
}
