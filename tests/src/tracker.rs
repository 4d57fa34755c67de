//! A Teltonika device over TCP that says what a test wants, and keeps nothing by itself.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use engine::position::Codec;
use engine::teltonika::{
    Element, Fix, HELLO_ACCEPTED, Imei, OutgoingRecord, Value, encode_hello, encode_packet,
};

/// How long anything may take to come.
const PATIENCE: Duration = Duration::from_secs(30);

/// A connection of a device.
#[derive(Debug)]
pub struct Tracker {
    stream: TcpStream,
}

impl Tracker {
    /// Connects and is let in.
    ///
    /// # Panics
    /// When it is not; so do the functions below when something is not as it must be.
    #[must_use]
    pub fn connect(address: SocketAddr, imei: &str) -> Self {
        let mut tracker = Self::raw(address);
        tracker.send(&hello(imei));
        assert_eq!(tracker.byte().expect("an answer"), HELLO_ACCEPTED, "{imei} is let in");
        tracker
    }

    /// Connects and says nothing.
    ///
    /// # Panics
    /// See [`Self::connect`].
    #[must_use]
    pub fn raw(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).expect("somebody listens"))
    }

    /// A device at the end of this connection.
    ///
    /// # Panics
    /// See [`Self::connect`].
    #[must_use]
    pub fn over(stream: TcpStream) -> Self {
        stream.set_nodelay(true).expect("a socket");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        Self { stream }
    }

    /// Sends bytes as they are.
    ///
    /// # Panics
    /// See [`Self::connect`].
    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("somebody reads");
    }

    /// Sends bytes as they are; false when nobody is there any more.
    pub fn try_send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// The answer to a packet.
    ///
    /// # Panics
    /// See [`Self::connect`].
    pub fn answer(&mut self) -> u32 {
        self.try_answer().expect("an answer")
    }

    /// The answer to a packet, or why there is none.
    pub fn try_answer(&mut self) -> io::Result<u32> {
        let mut answer = [0; 4];
        self.stream.read_exact(&mut answer)?;
        Ok(u32::from_be_bytes(answer))
    }

    /// Sends a packet of this codec, with so many records from this time on, and waits for the answer.
    pub fn report(&mut self, codec: Codec, first_ms: i64, records: u8) -> u32 {
        self.send(&packet(codec, first_ms, records));
        self.answer()
    }

    /// The answer to a handshake.
    pub fn byte(&mut self) -> io::Result<u8> {
        let mut byte = [0];
        self.stream.read_exact(&mut byte)?;
        Ok(byte[0])
    }

    /// True when nothing has come that was not read.
    ///
    /// # Panics
    /// When the connection has ended.
    #[must_use]
    pub fn hears_nothing(&self) -> bool {
        self.stream.set_nonblocking(true).expect("a socket");
        let peeked = self.stream.peek(&mut [0]);
        self.stream.set_nonblocking(false).expect("a socket");
        assert_ne!(peeked.as_ref().ok(), Some(&0), "the connection is open");
        peeked.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    }

    /// How many bytes have arrived that the other side has not read, as the system tells it; nothing
    /// when the other side has no such connection.
    ///
    /// # Panics
    /// When it is no connection over IPv4.
    #[must_use]
    pub fn unread_bytes(&self) -> Option<usize> {
        let address = |address: SocketAddr| match address {
            SocketAddr::V4(address) => {
                let ip = address.ip().to_bits().to_be();
                format!("{ip:08X}:{:04X}", address.port())
            }
            SocketAddr::V6(_) => panic!("{address} is of IPv6"),
        };
        let theirs = address(self.stream.peer_addr().expect("a connection"));
        let ours = address(self.stream.local_addr().expect("a connection"));
        let table = std::fs::read_to_string("/proc/net/tcp").expect("Linux tells of connections");
        let mut rows = table.lines().map(|row| row.split_whitespace().collect::<Vec<_>>());
        let row = rows.find(|row| row[1] == theirs && row[2] == ours)?;
        let (_, unread) = row[4].split_once(':').expect("what waits to be sent and to be read");
        Some(usize::from_str_radix(unread, 16).expect("a number"))
    }

    /// Waits until the other side closes; nothing may come before that.
    ///
    /// # Panics
    /// When something comes, or it does not close in time.
    pub fn is_closed(&mut self) {
        match self.stream.read(&mut [0; 16]) {
            Ok(0) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            other => panic!("the connection was to be closed, not {other:?}"),
        }
    }
}

/// The bytes of a handshake.
///
/// # Panics
/// When it is no IMEI.
#[must_use]
pub fn hello(imei: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_hello(&Imei::parse(imei.as_bytes()).expect("an IMEI"), &mut bytes);
    bytes
}

/// The bytes of a packet with so many records, a second apart, from this time on.
///
/// # Panics
/// When the codec cannot say it.
#[must_use]
pub fn packet(codec: Codec, first_ms: i64, records: u8) -> Vec<u8> {
    let element = |id, value| Element { id, value };
    let elements = [
        element(239, Value::U8(1)),
        element(66, Value::U16(12_840)),
        element(16, Value::U64(u64::MAX)),
        element(385, Value::Bytes(&[0xAB, 0xCD, 0xEF])),
    ];
    let count = if codec == Codec::Codec8Extended { 4 } else { 3 };
    let first_ms = u64::try_from(first_ms).expect("after 1970");
    let records: Vec<OutgoingRecord<'_>> = (0..u64::from(records))
        .map(|second| OutgoingRecord {
            fix: Fix {
                timestamp_ms: first_ms + second * 1_000,
                priority: 1,
                longitude_e7: 198_187_000,
                latitude_e7: 413_275_000,
                altitude_m: 120,
                angle_deg: 214,
                satellites: 11,
                speed_kmh: 63,
                event_io_id: 0,
                generation_type: (codec == Codec::Codec16).then_some(5),
            },
            elements: &elements[..count],
        })
        .collect();
    let mut bytes = Vec::new();
    encode_packet(codec, &records, &mut bytes).expect("the codec can say it");
    bytes
}

/// The same packet with these changes to its data, and a checksum that is right.
///
/// # Panics
/// When it is no packet.
#[must_use]
pub fn changed(packet: &[u8], change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut data = packet[8..packet.len() - 4].to_vec();
    change(&mut data);
    let length = u32::try_from(data.len()).expect("a short packet");
    let mut bytes = vec![0; 4];
    bytes.extend(length.to_be_bytes());
    bytes.extend(&data);
    bytes.extend(u32::from(engine::teltonika::crc16(&data)).to_be_bytes());
    bytes
}
