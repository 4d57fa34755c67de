//! The load generator's devices: how many records it can send to who answers everything at once.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};
use std::time::Duration;

use engine::teltonika::{HELLO_ACCEPTED, Incoming, Stream};
use loadgen::firehose::{Firehose, FirehoseConfig};
use loadgen::race::{Irregular, RaceConfig};
use loadgen::schedule::{Dates, Pace};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::child::Used;
use super::say;
use crate::program::comes_true;

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 4_096;

/// How long it may take beyond the race itself.
const PATIENCE: Duration = Duration::from_secs(120);

/// Sends at this rate for so long, and prints what became of it.
///
/// # Panics
/// When something fails.
pub fn run(device_count: u32, records_per_second: u64, seconds: u64) {
    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .arg("answer")
        .stdout(Stdio::piped())
        .spawn()
        .expect("the child starts");
    let mut line = String::new();
    let output = child.stdout.take().expect("it is piped");
    BufReader::new(output).read_line(&mut line).expect("the child says its port");
    let port: u16 = line.trim().parse().expect("a port");
    let pace = Pace::of_rate(records_per_second, device_count);
    // So much of the race passes in that time.
    let race_seconds = seconds * records_per_second / u64::from(device_count);
    let race = RaceConfig {
        devices: device_count,
        seconds: u32::try_from(race_seconds).expect("a short race"),
        irregular: Irregular::NONE,
        ..RaceConfig::default()
    };
    let target: SocketAddr = (Ipv4Addr::LOCALHOST, port).into();
    let config = FirehoseConfig { race, pace, dates: Dates::Due, ..FirehoseConfig::new(target) };
    let firehose = Firehose::start(config).expect("as many files as that");
    let pause = Duration::from_millis(100);
    assert!(comes_true(PATIENCE, pause, || firehose.is_finished()), "{:?}", firehose.counts());
    let (own, answering) = (Used::of(std::process::id()), Used::of(child.id()));
    let counts = firehose.stop().expect("the devices have not failed");
    child.kill().ok();
    child.wait().ok();
    say(&format!("{device_count} devices, {records_per_second} records/s for {seconds} s"));
    say(&format!("due {}, answered {}, late {}", counts.due, counts.answered, counts.late));
    say(&format!("taken up after they were due: {}", counts.lateness));
    say(&format!("answered after they were due: {}", counts.answer));
    say(&format!("busiest second: {} %; dials {}", counts.busy.most_percent, counts.dials));
    let each = |used: Used| used.cpu.as_micros() / u128::from(counts.answered.max(1));
    let (own, answering) = (each(own), each(answering));
    say(&format!("CPU for each record: {own} µs here, {answering} µs of who answers"));
    say(&format!("broken {}, unanswered {}", counts.broken, counts.unanswered));
}

/// What the child does: answers until it is killed, its port on the first line.
///
/// # Panics
/// When it cannot listen.
pub fn answer() {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind((Ipv4Addr::LOCALHOST, 0).into()).expect("a free port");
        let listener = socket.listen(BACKLOG).expect("it listens");
        say(&listener.local_addr().expect("it is bound").port().to_string());
        loop {
            let (stream, _) = listener.accept().await.expect("as many files as that");
            tokio::spawn(converse(stream));
        }
    });
}

async fn converse(mut socket: TcpStream) {
    socket.set_nodelay(true).ok();
    let mut stream = Stream::new();
    let mut buffer = vec![0; 2_048];
    loop {
        let Ok(bytes @ 1..) = socket.read(&mut buffer).await else { return };
        let mut input = &buffer[..bytes];
        while let Some(incoming) = stream.handle_input(&mut input) {
            let answer = match incoming {
                Incoming::Hello(_) => vec![HELLO_ACCEPTED],
                Incoming::Packet(packet) => u32::from(packet.record_count()).to_be_bytes().to_vec(),
                Incoming::Malformed(malformed) => panic!("a device is malformed: {malformed}"),
            };
            if socket.write_all(&answer).await.is_err() {
                return;
            }
        }
    }
}
