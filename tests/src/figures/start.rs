//! The start of a race: everybody connects at once and wants a snapshot.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Semaphore;

use super::child::Served;
use super::{quantile, say};
use crate::client::masked;
use crate::scene::{EVENT, Scene};

/// Viewers of one source address: below what one address may have.
const VIEWERS_PER_ADDRESS: usize = 400;

/// Viewers of one user: below what one user may have.
const VIEWERS_PER_USER: usize = 12;

/// Upgrades under way at a time, so that the listener's backlog does not drop any.
const UPGRADES: usize = 512;

/// Longest wait of one viewer.
const PATIENCE: Duration = Duration::from_secs(60);

/// Connects so many viewers to an event of so many devices, and prints what that took.
///
/// # Panics
/// When a viewer fails.
pub fn run(viewer_count: usize, device_count: u64) {
    let mut scene = Scene::with_devices(device_count);
    let served = scene.serve();
    let now_ms = scene.now_ms();
    scene.publish_one_each(device_count, now_ms);
    scene.wait_for_metric(
        served.admin,
        "processor_live_positions_total{verdict=\"accepted\"}",
        device_count,
    );
    let before = served.used();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let began = Instant::now();
    let crowd = runtime.block_on(connect_all(served.live, viewer_count, device_count));
    let took = began.elapsed();
    let after = served.used();
    let mut times: Vec<Duration> = crowd.iter().map(|(_, time)| *time).collect();
    times.sort();
    let users = viewer_count.div_ceil(VIEWERS_PER_USER);
    say(&format!("{viewer_count} viewers, {device_count} devices, {users} cookies"));
    say(&format!("all have their snapshot after {:.2} s", took.as_secs_f64()));
    let of = |thousandths| quantile(&times, thousandths).as_secs_f64();
    say(&format!("from connect to snapshot: p50 {:.3} s, p99 {:.3} s", of(500), of(990)));
    say(&format!("calls of /users/me: {}", scene.identity_calls()));
    say(&format!("CPU of pitwall: {:.2} s", (after.cpu - before.cpu).as_secs_f64()));
    idle(&served, &crowd, before.resident_bytes, viewer_count);
}

/// Prints what the crowd costs while nothing happens.
fn idle(served: &Served, crowd: &[(TcpStream, Duration)], before: u64, viewer_count: usize) {
    let began = (Instant::now(), served.used());
    std::thread::sleep(Duration::from_secs(5));
    let used = served.used();
    let each = used.resident_bytes.saturating_sub(before) / viewer_count as u64;
    let cpu = (used.cpu - began.1.cpu).as_secs_f64() / began.0.elapsed().as_secs_f64();
    say(&format!(
        "resident memory: {} MB, {each} B more for each viewer",
        used.resident_bytes / 1_000_000
    ));
    #[expect(clippy::cast_precision_loss, reason = "a count of viewers is exact")]
    let each = cpu * 1e6 / viewer_count as f64;
    say(&format!(
        "idle: {:.1} % of a core, {each:.2} µs a second for each of {} viewers",
        cpu * 100.0,
        crowd.len()
    ));
}

async fn connect_all(
    address: SocketAddr,
    viewer_count: usize,
    device_count: u64,
) -> Vec<(TcpStream, Duration)> {
    let gate = Arc::new(Semaphore::new(UPGRADES));
    let done = Arc::new(AtomicUsize::new(0));
    let viewers = (0..viewer_count).map(|viewer| {
        let (gate, done) = (gate.clone(), done.clone());
        tokio::spawn(async move {
            let began = Instant::now();
            let connected = connect(address, viewer, device_count, &gate);
            let stream =
                tokio::time::timeout(PATIENCE, connected).await.expect("a snapshot in time");
            let count = done.fetch_add(1, Ordering::Relaxed) + 1;
            if count.is_multiple_of(1_000) {
                say(&format!("  {count} viewers have their snapshot"));
            }
            (stream, began.elapsed())
        })
    });
    let tasks: Vec<_> = viewers.collect();
    let mut crowd = Vec::with_capacity(viewer_count);
    for task in tasks {
        crowd.push(task.await.expect("no viewer fails"));
    }
    crowd
}

/// One viewer: upgrade, subscribe, and the whole snapshot, checked.
async fn connect(
    address: SocketAddr,
    viewer: usize,
    device_count: u64,
    gate: &Semaphore,
) -> TcpStream {
    let mut stream = {
        let _turn = gate.acquire().await.expect("the gate stays open");
        let socket = TcpSocket::new_v4().expect("a socket");
        let host = u8::try_from(2 + viewer / VIEWERS_PER_ADDRESS).expect("at most 253 addresses");
        socket.bind((Ipv4Addr::new(127, 0, 0, host), 0).into()).expect("a loopback address");
        let mut stream = socket.connect(address).await.expect("the server listens");
        let user = 1 + viewer / VIEWERS_PER_USER;
        let request = format!(
            "GET /ws-live HTTP/1.1\r\nHost: live.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Cookie: {}\r\n\r\n",
            Scene::cookie(user as u64)
        );
        stream.write_all(request.as_bytes()).await.expect("it reads");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.expect("an answer"));
        }
        assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
        stream
    };
    let subscribe = format!(r#"{{"type":"subscribe","topic":"event:{EVENT}"}}"#);
    stream.write_all(&masked(0x81, subscribe.as_bytes())).await.expect("it reads");
    let text = read_message(&mut stream).await;
    assert!(
        text.starts_with(br#"{"type":"subscribed""#),
        "{}",
        String::from_utf8_lossy(&text[..80])
    );
    let entries = text.windows(11).filter(|part| part == br#""deviceId":"#).count();
    assert_eq!(entries as u64, device_count, "a whole snapshot");
    stream
}

/// The payload of the next frame.
async fn read_message(stream: &mut TcpStream) -> Vec<u8> {
    let first = stream.read_u8().await.expect("a frame");
    let length = match stream.read_u8().await.expect("a frame") {
        126 => u64::from(stream.read_u16().await.expect("a frame")),
        127 => stream.read_u64().await.expect("a frame"),
        length => u64::from(length),
    };
    let mut payload = vec![0; usize::try_from(length).expect("it fits")];
    stream.read_exact(&mut payload).await.expect("a whole frame");
    assert_eq!(first, 0x81, "a message: {}", String::from_utf8_lossy(&payload));
    payload
}
