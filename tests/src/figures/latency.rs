//! The race: every device reports once a second, and each frame is timed from XADD to the client.

use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use super::{quantile, say};
use crate::client::Client;
use crate::entries::Fix;
use crate::platform::imei;
use crate::scene::{EVENT, Scene};

/// Viewers of one thread of the client, so that reading does not become what is measured.
const VIEWERS_PER_THREAD: usize = 50;

/// How long the next frame may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Lets viewers watch devices that report once a second for so long, and prints the times.
///
/// # Panics
/// When a viewer fails.
pub fn run(viewer_count: usize, device_count: u64, duration: Duration) {
    let mut scene = Scene::with_devices(device_count);
    let served = scene.serve();
    let total = device_count * duration.as_secs();
    // When each position was published, in nanoseconds after the beginning, by its number.
    let published: Arc<[AtomicU64]> = (0..total).map(|_| AtomicU64::new(0)).collect();
    let began_ms = scene.now_ms() - i64::try_from(total).expect("a short race");
    let threads = viewer_count.div_ceil(VIEWERS_PER_THREAD);
    let barrier = Arc::new(Barrier::new(threads + 1));
    let clock = Instant::now();
    let readers: Vec<_> = (0..threads)
        .map(|thread| {
            let (published, barrier) = (published.clone(), barrier.clone());
            let first = thread * VIEWERS_PER_THREAD;
            let viewers = first..viewer_count.min(first + VIEWERS_PER_THREAD);
            let address = served.live;
            thread::spawn(move || {
                let clients = viewers.map(|viewer| connect(address, viewer)).collect();
                barrier.wait();
                read(clients, clock, began_ms, &published)
            })
        })
        .collect();
    barrier.wait();
    let before = served.used();
    let late = publish(&mut scene, clock, began_ms, device_count, &published);
    let mut times_us: Vec<u32> = Vec::new();
    for reader in readers {
        times_us.extend(reader.join().expect("no viewer fails"));
    }
    let cpu = (served.used().cpu - before.cpu).as_secs_f64() / duration.as_secs_f64();
    times_us.sort_unstable();
    let expected = total * viewer_count as u64;
    say(&format!(
        "{device_count} devices at 1 Hz, {viewer_count} viewers, {} s",
        duration.as_secs()
    ));
    say(&format!("frames: {} of {expected}", times_us.len()));
    let ms = |thousandths| f64::from(quantile(&times_us, thousandths)) / 1000.0;
    let (p50, p90, p99, p999) = (ms(500), ms(900), ms(990), ms(999));
    say(&format!(
        "XADD to client: p50 {p50:.2} ms, p90 {p90:.2} ms, p99 {p99:.2} ms, p99.9 {p999:.2} ms"
    ));
    say(&format!("latest send of the publisher: {late:.1?} after its time"));
    say(&format!("CPU of pitwall: {:.1} % of a core", cpu * 100.0));
}

fn connect(address: SocketAddr, viewer: usize) -> TcpStream {
    let host = u8::try_from(2 + viewer / 400).expect("at most 253 addresses");
    let stream = crate::scene::connect_from(Ipv4Addr::new(127, 0, 0, host), address);
    let cookie = Scene::cookie(1 + viewer as u64 / 12);
    let mut client = Client::over(stream, &[("Cookie", &cookie)]).expect("it is let in");
    client.subscribe(EVENT, "");
    client.reply("subscribed");
    client.into_stream()
}

/// Publishes at an even pace, each position at its time whatever became of the last; how late it was
/// at worst.
fn publish(
    scene: &mut Scene,
    clock: Instant,
    began_ms: i64,
    device_count: u64,
    published: &[AtomicU64],
) -> Duration {
    let began = clock.elapsed() + Duration::from_millis(200);
    let interval = Duration::from_secs(1) / u32::try_from(device_count).expect("a small race");
    let mut late = Duration::ZERO;
    for (number, at) in (0_u32..).zip(published) {
        let due = began + interval * number;
        thread::sleep(due.saturating_sub(clock.elapsed()));
        late = late.max(clock.elapsed().saturating_sub(due));
        // Timed from when it was due: a late send is the fault of this program, not of the viewer.
        at.store(u64::try_from(due.as_nanos()).expect("a short race"), Ordering::Release);
        let device = imei(1 + u64::from(number) % device_count);
        scene.publish(&Fix::new(&device, began_ms + i64::from(number)));
    }
    late
}

/// Reads frames until the last position has come to every viewer; the times in microseconds.
fn read(
    mut streams: Vec<TcpStream>,
    clock: Instant,
    began_ms: i64,
    published: &[AtomicU64],
) -> Vec<u32> {
    let epoll = pitwall::live::driver::epoll::Epoll::new().expect("an epoll");
    wait_for_all(epoll, &mut streams, |bytes, times| {
        let now = u64::try_from(clock.elapsed().as_nanos()).expect("a short race");
        let mut last = false;
        for text in bytes.split(|&byte| byte == 0x81) {
            let Some(ts_ms) = time_of(text) else { continue };
            let number = usize::try_from(ts_ms - began_ms).expect("a position of this race");
            let sent = published[number].load(Ordering::Acquire);
            times.push(u32::try_from(now.saturating_sub(sent) / 1000).unwrap_or(u32::MAX));
            last |= number + 1 == published.len();
        }
        last
    })
}

/// Reads whoever has something until each has had its last; a frame may be cut between two reads.
fn wait_for_all(
    mut epoll: pitwall::live::driver::epoll::Epoll,
    streams: &mut [TcpStream],
    mut take: impl FnMut(&[u8], &mut Vec<u32>) -> bool,
) -> Vec<u32> {
    for (key, stream) in (0_u64..).zip(streams.iter()) {
        stream.set_nonblocking(true).expect("a socket");
        epoll.add(stream, key).expect("a socket");
    }
    let mut left = streams.len();
    let mut rests: Vec<Vec<u8>> = vec![Vec::new(); streams.len()];
    let (mut times, mut buffer) = (Vec::new(), vec![0; 256 * 1024]);
    while left > 0 {
        let began = Instant::now();
        epoll.wait(PATIENCE).expect("an epoll");
        assert!(began.elapsed() < PATIENCE, "{left} viewers still wait for their last frame");
        let ready: Vec<u64> = epoll.ready().filter(|r| r.is_readable).map(|r| r.key).collect();
        for key in ready {
            let at = usize::try_from(key).expect("a place");
            while let Ok(count) = streams[at].read(&mut buffer) {
                assert!(count > 0, "the server has closed");
                let rest = &mut rests[at];
                rest.extend_from_slice(&buffer[..count]);
                // Every frame ends with a brace and none has one inside.
                let whole = rest.iter().rposition(|&byte| byte == b'}').map_or(0, |end| end + 1);
                left -= usize::from(take(&rest[..whole], &mut times));
                rest.drain(..whole);
            }
        }
    }
    times
}

/// The time in a position's text.
fn time_of(text: &[u8]) -> Option<i64> {
    let at = text.windows(5).position(|part| part == b"\"ts\":")? + 5;
    let digits = text[at..].iter().take_while(|byte| byte.is_ascii_digit());
    Some(digits.fold(0, |number, digit| number * 10 + i64::from(digit - b'0')))
}
