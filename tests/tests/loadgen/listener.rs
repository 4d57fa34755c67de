//! A Teltonika listener that answers, but not always: it refuses one device, ends the first
//! connection of every other one with a packet unanswered, and once answers one of them with a wrong
//! number.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use engine::teltonika::{HELLO_ACCEPTED, HELLO_REFUSED, Imei, Incoming, Stream};

/// Packets that are answered before a device's first connection is ended.
const ANSWERED_FIRST: u32 = 5;

#[derive(Debug, Default)]
struct Heard {
    /// What was answered: device and time.
    records: BTreeSet<(String, u64)>,
    /// Devices whose first connection was ended.
    cut: BTreeSet<String>,
    /// The wrong number was said.
    has_miscounted: bool,
}

/// Who is not treated as the others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Odd {
    /// Never let in.
    pub(crate) refused: Imei,
    /// Once answered with a wrong number.
    pub(crate) miscounted: Imei,
}

/// A running one; it ends with the test's process.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) address: SocketAddr,
    heard: Arc<Mutex<Heard>>,
}

impl Listener {
    /// Starts one.
    pub(crate) fn start(odd: Odd) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let heard = Arc::new(Mutex::new(Heard::default()));
        let hears = heard.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let hears = hears.clone();
                // A device that goes ends its own thread alone.
                thread::spawn(move || converse(stream, odd, &hears).ok());
            }
        });
        Self { address, heard }
    }

    /// What was answered: device and time.
    pub(crate) fn heard(&self) -> BTreeSet<(String, u64)> {
        lock(&self.heard).records.clone()
    }
}

fn lock(heard: &Mutex<Heard>) -> MutexGuard<'_, Heard> {
    heard.lock().unwrap_or_else(PoisonError::into_inner)
}

fn converse(mut socket: TcpStream, odd: Odd, heard: &Mutex<Heard>) -> io::Result<()> {
    let mut stream = Stream::new();
    let mut buffer = [0; 2_048];
    let mut imei = String::new();
    let mut answered = 0;
    loop {
        let bytes = socket.read(&mut buffer)?;
        if bytes == 0 {
            return Ok(());
        }
        let mut input = &buffer[..bytes];
        while let Some(incoming) = stream.handle_input(&mut input) {
            match incoming {
                Incoming::Hello(hello) if hello == odd.refused => {
                    return socket.write_all(&[HELLO_REFUSED]);
                }
                Incoming::Hello(hello) => {
                    imei = hello.as_str().to_owned();
                    socket.write_all(&[HELLO_ACCEPTED])?;
                }
                Incoming::Packet(packet) => {
                    let mut heard = lock(heard);
                    if answered == ANSWERED_FIRST && heard.cut.insert(imei.clone()) {
                        return Ok(());
                    }
                    let count = u32::from(packet.record_count());
                    if imei == odd.miscounted.as_str() && !heard.has_miscounted {
                        heard.has_miscounted = true;
                        socket.write_all(&(count + 1).to_be_bytes())?;
                        continue;
                    }
                    let records = packet.records().map(|it| (imei.clone(), it.fix.timestamp_ms));
                    heard.records.extend(records);
                    drop(heard);
                    answered += 1;
                    socket.write_all(&count.to_be_bytes())?;
                }
                Incoming::Malformed(malformed) => panic!("a device is malformed: {malformed}"),
            }
        }
    }
}
