//! How long a position takes, from the bytes of a car to a phone, measured from outside: a car of the
//! demo's own stands at the start and says so ten times a second, and a phone waits for each.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use engine::position::Codec;
use engine::teltonika::{Fix, Imei, OutgoingRecord, encode_hello, encode_packet};

use super::folder::EVENT;

/// Between two positions.
const EVERY: Duration = Duration::from_millis(100);

/// How long a position may take before it is given up. A store that stands still answers no car, and
/// a car that is not answered sends nothing new.
const PATIENCE: Duration = Duration::from_secs(1);

/// Positions that the percentiles are of: the last ten seconds.
const KEPT: usize = 100;

/// Bytes of one reading.
const READ_BYTES: usize = 64 * 1024;

/// A pong that nobody asked for, masked with zeros: it shows that the phone is there.
const ALIVE: [u8; 6] = [0x8A, 0x80, 0, 0, 0, 0];

/// Where the probe stands, and whom it asks.
#[derive(Clone, Debug)]
pub(super) struct Probe {
    pub(super) devices: SocketAddr,
    pub(super) viewers: SocketAddr,
    pub(super) cookie: Option<String>,
    pub(super) imei: Imei,
    /// Its latitude and longitude, in units of 1e-7 degrees.
    pub(super) at: (i32, i32),
}

/// A running probe; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Running {
    times: Arc<Mutex<VecDeque<Duration>>>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Probe {
    /// Begins on a thread of its own.
    pub(super) fn start(self) -> io::Result<Running> {
        let (times, is_over) = (Arc::<Mutex<VecDeque<_>>>::default(), Arc::<AtomicBool>::default());
        let (taken, ends) = (times.clone(), is_over.clone());
        let run = move || {
            while !ends.load(Ordering::Relaxed) {
                // Whatever ended it, it begins anew: what cannot be measured is shown as not known.
                drop(self.measure(&taken, &ends));
                thread::sleep(EVERY);
            }
        };
        let thread = thread::Builder::new().name("probe".to_owned()).spawn(run)?;
        Ok(Running { times, is_over, thread: Some(thread) })
    }

    /// Sends and waits, until something fails or nobody wants to know any more.
    fn measure(&self, times: &Mutex<VecDeque<Duration>>, ends: &AtomicBool) -> io::Result<()> {
        let (mut phone, mut car) = (self.phone()?, self.car()?);
        let mut bytes = vec![0; READ_BYTES];
        while !ends.load(Ordering::Relaxed) {
            let begun = Instant::now();
            let ts_ms = self.send(&mut car)?;
            let seen = see(&mut phone, &format!("\"ts\":{ts_ms}"), &mut bytes)?;
            let mut times = times.lock().unwrap_or_else(PoisonError::into_inner);
            times.push_back(seen.duration_since(begun));
            if times.len() > KEPT {
                times.pop_front();
            }
            drop(times);
            // The answer, without which the next would not be taken.
            car.read_exact(&mut bytes[..4])?;
            phone.write_all(&ALIVE)?;
            thread::sleep(EVERY.saturating_sub(begun.elapsed()));
        }
        Ok(())
    }

    fn phone(&self) -> io::Result<TcpStream> {
        let mut phone = connect(self.viewers)?;
        let cookie =
            self.cookie.as_ref().map_or_else(String::new, |it| format!("Cookie: {it}\r\n"));
        let host = self.viewers;
        write!(
            phone,
            "GET /ws-live HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: cGl0d2FsbC1kZW1vLWNhcg==\r\n\
             {cookie}\r\n"
        )?;
        let subscribe = format!("{{\"type\":\"subscribe\",\"topic\":\"event:{EVENT}\"}}");
        let length = u8::try_from(subscribe.len()).expect("a short text");
        // A masked text of up to 125 bytes; the mask is zeros.
        phone.write_all(&[0x81, 0x80 | length, 0, 0, 0, 0])?;
        phone.write_all(subscribe.as_bytes())?;
        see(&mut phone, "\"subscribed\"", &mut vec![0; READ_BYTES])?;
        Ok(phone)
    }

    fn car(&self) -> io::Result<TcpStream> {
        let mut car = connect(self.devices)?;
        let mut hello = Vec::new();
        encode_hello(&self.imei, &mut hello);
        car.write_all(&hello)?;
        let mut answer = [0];
        car.read_exact(&mut answer)?;
        if answer == [1] { Ok(car) } else { Err(ErrorKind::PermissionDenied.into()) }
    }

    /// Sends where the car is, and says with which time.
    fn send(&self, car: &mut TcpStream) -> io::Result<u64> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let timestamp_ms = u64::try_from(since.as_millis()).expect("a time of this age");
        let (latitude_e7, longitude_e7) = self.at;
        let fix = Fix {
            timestamp_ms,
            priority: 0,
            longitude_e7,
            latitude_e7,
            altitude_m: 120,
            angle_deg: 0,
            satellites: 12,
            speed_kmh: 0,
            generation_type: None,
            event_io_id: 0,
        };
        let record = OutgoingRecord { fix, elements: &[] };
        let mut packet = Vec::new();
        encode_packet(Codec::Codec8, &[record], &mut packet).expect("one record is a packet");
        car.write_all(&packet)?;
        Ok(timestamp_ms)
    }
}

/// Reads until these bytes have come, and says when. Positions of a device have times of their own,
/// so the text of one is found wherever it is.
fn see(phone: &mut TcpStream, wanted: &str, bytes: &mut [u8]) -> io::Result<Instant> {
    let begun = Instant::now();
    let mut kept = 0;
    while begun.elapsed() < PATIENCE {
        let read = phone.read(&mut bytes[kept..])?;
        if read == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let end = kept + read;
        if bytes[..end].windows(wanted.len()).any(|text| text == wanted.as_bytes()) {
            return Ok(Instant::now());
        }
        // What was cut in two may be whole with the next reading.
        kept = end.min(wanted.len() - 1);
        bytes.copy_within(end - kept..end, 0);
    }
    Err(ErrorKind::TimedOut.into())
}

fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

impl Running {
    /// What such a share of the last positions took at most.
    pub(super) fn delay(&self, share: f64) -> Option<Duration> {
        let times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        let mut times: Vec<Duration> = times.iter().copied().collect();
        times.sort_unstable();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_precision_loss,
            clippy::cast_sign_loss,
            reason = "a place among a hundred"
        )]
        let place = (times.len().saturating_sub(1) as f64 * share).round() as usize;
        times.get(place).copied()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic of it has been told by itself.
            thread.join().ok();
        }
    }
}
