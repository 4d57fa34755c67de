//! Devices straight to pitwall: what one costs while it is silent, how many records a second go through,
//! and how long it takes until all are answered who come back at once.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::position::Codec;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

use super::child::Served;
use super::{quantile, say};
use crate::redis::Redis;
use crate::tracker::{hello, packet};

/// Devices of one source address: fewer than it has ports.
const DEVICES_PER_ADDRESS: usize = 20_000;

/// The first of their ports. They are chosen here, since the system looks long for a free one when
/// most are in use, and that would be measured.
const PORT_FIRST: usize = 10_000;

/// Addresses of one round: a port that was just closed cannot be used again at once.
const ADDRESSES_PER_ROUND: usize = 100;

/// Longest wait of one device before it gives a connection up and comes again.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is measured.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Devices that are connected, and come back at once.
    pub devices: usize,
    /// Of these, how many send as fast as they are answered.
    pub senders: usize,
    /// Records of each packet.
    pub records: u8,
    /// For how long they send.
    pub seconds: u64,
}

/// Measures and prints.
///
/// # Panics
/// When a device is not answered as it must be.
pub fn run(plan: Plan) {
    allow_files();
    let redis = Redis::start();
    let served = Served::listening(&redis.url());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    say(&format!("{} devices, packets of {} records", plan.devices, plan.records));
    let idle = runtime.block_on(come_back(&served, plan, 0));
    drop(idle);
    let again = runtime.block_on(come_back(&served, plan, 1));
    runtime.block_on(send(&served, plan, again));
}

/// All connect at once, say who they are and send a packet. One that fails tries again.
async fn come_back(served: &Served, plan: Plan, round: usize) -> Vec<TcpStream> {
    let before = served.used();
    let bytes: Arc<[u8]> = packet(Codec::Codec8, 1_780_733_730_000, plan.records).into();
    let began = Instant::now();
    let mut coming = JoinSet::new();
    for device in 0..plan.devices {
        let source = source(device, round);
        let (address, bytes) = (served.live, bytes.clone());
        coming.spawn(async move {
            loop {
                let came =
                    tokio::time::timeout(PATIENCE, come((source, address), device, &bytes)).await;
                if let Ok(Ok(stream)) = came {
                    return (stream, began.elapsed());
                }
            }
        });
    }
    let mut times = Vec::with_capacity(plan.devices);
    let mut streams = Vec::with_capacity(plan.devices);
    while let Some(came) = coming.join_next().await {
        let (stream, time) = came.expect("no device fails");
        streams.push(stream);
        times.push(time);
    }
    times.sort();
    let of = |thousandths| quantile(&times, thousandths).as_secs_f64();
    let after = served.used();
    say(&format!(
        "all connect at once, time {}: answered p50 {:.2} s, p99 {:.2} s, all {:.2} s; CPU of pitwall {:.2} s",
        round + 1,
        of(500),
        of(990),
        of(1_000),
        (after.cpu - before.cpu).as_secs_f64()
    ));
    let each = after.resident_bytes.saturating_sub(before.resident_bytes) / plan.devices as u64;
    say(&format!(
        "resident memory: {} MB, {each} B more for each device",
        after.resident_bytes / 1_000_000
    ));
    streams
}

/// Where a device comes from.
fn source(device: usize, round: usize) -> SocketAddr {
    let host = 2 + round * ADDRESSES_PER_ROUND + device / DEVICES_PER_ADDRESS;
    let host = u8::try_from(host).expect("at most two rounds of so many addresses");
    let port = PORT_FIRST + device % DEVICES_PER_ADDRESS;
    (Ipv4Addr::new(127, 0, 0, host), u16::try_from(port).expect("a port")).into()
}

/// A device connects, is let in, sends a packet and is answered.
async fn come(
    (source, address): (SocketAddr, SocketAddr),
    device: usize,
    bytes: &[u8],
) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(source)?;
    let mut stream = socket.connect(address).await?;
    stream.set_nodelay(true)?;
    stream.write_all(&hello(&format!("35{device:013}"))).await?;
    assert_eq!(stream.read_u8().await?, 1, "it is let in");
    stream.write_all(bytes).await?;
    assert_eq!(stream.read_u32().await?, u32::from(bytes[9]), "all records are safe");
    Ok(stream)
}

/// Some send as fast as they are answered, while the others are silent.
async fn send(served: &Served, plan: Plan, mut streams: Vec<TcpStream>) {
    let idle = streams.split_off(plan.senders.min(streams.len()));
    let before = served.used();
    let bytes: Arc<[u8]> = packet(Codec::Codec8, 1_780_733_730_000, plan.records).into();
    let began = Instant::now();
    let until = began + Duration::from_secs(plan.seconds);
    let mut sending = JoinSet::new();
    for mut stream in streams {
        let bytes = bytes.clone();
        sending.spawn(async move {
            let mut times = Vec::new();
            while Instant::now() < until {
                let sent = Instant::now();
                stream.write_all(&bytes).await.expect("it reads");
                let answer = stream.read_u32().await.expect("it answers");
                assert_eq!(answer, u32::from(bytes[9]), "all records are safe");
                times.push(sent.elapsed());
            }
            times
        });
    }
    let mut times = Vec::new();
    while let Some(sent) = sending.join_next().await {
        times.append(&mut sent.expect("no device fails"));
    }
    let (took, used) = (began.elapsed().as_secs_f64(), served.used());
    times.sort();
    #[expect(clippy::cast_precision_loss, reason = "counts of a figure")]
    let records = times.len() as f64 * f64::from(plan.records);
    let ms = |thousandths| quantile(&times, thousandths).as_secs_f64() * 1_000.0;
    let cpu = (used.cpu - before.cpu).as_secs_f64();
    say(&format!(
        "{} devices send: {:.0} records/s, {:.0} packets/s; answer p50 {:.1} ms, p99 {:.1} ms",
        plan.senders,
        records / took,
        records / took / f64::from(plan.records),
        ms(500),
        ms(990)
    ));
    say(&format!(
        "CPU of pitwall: {:.0} % of a core, {:.2} µs a record; {} devices are silent meanwhile",
        cpu / took * 100.0,
        cpu * 1e6 / records,
        idle.len()
    ));
}

/// Lets this process have as many connections as the system allows.
fn allow_files() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).expect("a process may raise its own limit");
}
