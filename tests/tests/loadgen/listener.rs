//! A Teltonika listener that answers, but not always: it refuses some devices, and ends the first
//! connection of every other one with a packet unanswered.

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
}

/// A running one; it ends with the test's process.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) address: SocketAddr,
    heard: Arc<Mutex<Heard>>,
}

impl Listener {
    /// One that refuses these devices.
    pub(crate) fn start(refused: &[Imei]) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let heard = Arc::new(Mutex::new(Heard::default()));
        let (hears, refused) = (heard.clone(), refused.to_vec());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (hears, refused) = (hears.clone(), refused.clone());
                // A device that goes ends its own thread alone.
                thread::spawn(move || converse(stream, &refused, &hears).ok());
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

fn converse(mut socket: TcpStream, refused: &[Imei], heard: &Mutex<Heard>) -> io::Result<()> {
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
                Incoming::Hello(hello) if refused.contains(&hello) => {
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
                    let records = packet.records().map(|it| (imei.clone(), it.fix.timestamp_ms));
                    heard.records.extend(records);
                    drop(heard);
                    answered += 1;
                    socket.write_all(&u32::from(packet.record_count()).to_be_bytes())?;
                }
                Incoming::Malformed(malformed) => panic!("a device is malformed: {malformed}"),
            }
        }
    }
}
