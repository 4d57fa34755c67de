//! Traps in what Redis is asked: after each of them it was done, or not, for certain.

use redis::{Connection, RedisResult, Value};
use tests::proxy::{Ending, Event, Moment, Proxy, Rule, Trap};
use tests::redis::Redis;

const ENDINGS: [Ending; 2] = [Ending::Reset, Ending::Close];

/// A Redis with a group, a wire to it, and a way around the wire.
struct Rig {
    proxy: Proxy,
    redis: Redis,
}

impl Rig {
    fn new() -> Self {
        let redis = Redis::start();
        ask::<String>(&mut redis.connect(), "XGROUP CREATE s g 0 MKSTREAM").unwrap();
        Self { proxy: Proxy::to_redis(redis.port()), redis }
    }

    /// A connection over the wire.
    fn connect(&self) -> Connection {
        let client = redis::Client::open(format!("redis://127.0.0.1:{}", self.proxy.port()));
        client.unwrap().get_connection().unwrap()
    }

    fn trap(&self, event: Event, moment: Moment, ending: Ending) -> Trap {
        self.proxy.trap(Rule::new(event, moment, ending))
    }

    /// How long the stream is, and how much is pending.
    fn counts(&self) -> (u64, u64) {
        let mut direct = self.redis.connect();
        let pending: Vec<Value> = ask(&mut direct, "XPENDING s g").unwrap();
        let Value::Int(pending) = pending[0] else { panic!("{pending:?}") };
        (ask(&mut direct, "XLEN s").unwrap(), u64::try_from(pending).unwrap())
    }
}

fn ask<T: redis::FromRedisValue>(connection: &mut Connection, words: &str) -> RedisResult<T> {
    let mut words = words.split(' ');
    let mut command = redis::cmd(words.next().unwrap());
    command.arg(words.collect::<Vec<_>>()).query(connection)
}

#[test]
fn a_command_is_not_done_when_cut_before_it_and_done_when_its_answer_is_lost() {
    let rig = Rig::new();
    let commands = [
        ("XADD s 1-1 ts a", "XADD", (1, 0)),
        ("XREADGROUP GROUP g c COUNT 10 STREAMS s >", "XREADGROUP", (1, 1)),
        ("XACK s g 1-1", "XACK", (1, 0)),
        ("EVAL redis.call('XADD','s','2-1','a','b') 0", "eval", (2, 0)),
    ];
    let mut before = (0, 0);
    for (command, name, after) in commands {
        for ending in ENDINGS {
            let trap = rig.trap(Event::command(name), Moment::Before, ending);
            assert!(ask::<Value>(&mut rig.connect(), command).is_err(), "{command}");
            assert_eq!((trap.seen(), trap.struck()), (1, 1), "{command}");
            assert_eq!(rig.counts(), before, "{command}");
        }
        let trap = rig.trap(Event::command(name), Moment::Answered, Ending::Reset);
        assert!(ask::<Value>(&mut rig.connect(), command).is_err(), "{command}");
        assert_eq!((trap.seen(), trap.struck()), (1, 1), "{command}");
        assert_eq!(rig.counts(), after, "{command}");
        before = after;
    }
}

#[test]
fn answers_to_what_was_asked_before_still_pass() {
    let rig = Rig::new();
    let trap = rig.trap(Event::command_with("XACK", "g"), Moment::Answered, Ending::Close);
    let mut connection = rig.connect();
    let mut pipe = redis::pipe();
    pipe.cmd("PING").cmd("XACK").arg("s").arg("other").arg("1-1").cmd("PING");
    pipe.cmd("XACK").arg("s").arg("g").arg("1-1").cmd("XADD").arg("s").arg("5-1").arg("a").arg("b");
    connection.send_packed_command(&pipe.get_packed_pipeline()).unwrap();
    let mut answers = Vec::new();
    while let Ok(answer) = connection.recv_response() {
        answers.push(answer);
    }
    let pong = Value::SimpleString("PONG".to_owned());
    assert_eq!(answers, [pong.clone(), Value::Int(0), pong]);
    assert_eq!((trap.seen(), trap.struck()), (1, 1));
    assert_eq!(rig.counts().0, 1, "what was asked behind it was done, too");
}

#[test]
fn large_answers_and_commands_pass_unharmed_while_traps_count() {
    let rig = Rig::new();
    let trap =
        rig.proxy.trap(Rule::new(Event::command("XADD"), Moment::Before, Ending::Reset).times(0));
    let mut connection = rig.connect();
    let large = "x".repeat(300_000);
    for at in 1..=20 {
        let id: String = redis::cmd("XADD")
            .arg("s")
            .arg(at)
            .arg("a")
            .arg(&large)
            .query(&mut connection)
            .unwrap();
        assert_eq!(id, format!("{at}-0"));
    }
    let all: Vec<(String, Vec<String>)> = ask(&mut connection, "XRANGE s - +").unwrap();
    assert!(all.len() == 20 && all.iter().all(|(_, fields)| fields[1] == large));
    assert_eq!((trap.seen(), trap.struck()), (20, 0));
}
