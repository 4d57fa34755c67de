//! A device: it sends records, and keeps those that were not answered.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use engine::position::Codec;
use engine::teltonika::{Element, Fix, OutgoingRecord, Value, encode_hello, encode_packet};
use tests::embedded::until;

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where the first record of a device lies.
pub(crate) const LATITUDE: f64 = 41.3275;

/// What a device of this number is called.
pub(crate) fn imei(number: usize) -> String {
    format!("3563070424{number:05}")
}

/// A time of today, so that nothing is in the future: so many milliseconds after the first.
pub(crate) fn time_ms(after_ms: u64) -> u64 {
    1_749_197_730_000 + after_ms
}

/// A connection that was accepted.
pub(crate) struct Device {
    stream: TcpStream,
    codec: Codec,
}

impl Device {
    /// Connects and introduces itself; an error when it is not accepted.
    pub(crate) fn connect(address: SocketAddr, imei: &str) -> io::Result<Self> {
        Self::with_codec(address, imei, Codec::Codec8Extended)
    }

    pub(crate) fn with_codec(address: SocketAddr, imei: &str, codec: Codec) -> io::Result<Self> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut hello = Vec::new();
        let name = engine::teltonika::Imei::parse(imei.as_bytes()).map_err(io::Error::other)?;
        encode_hello(&name, &mut hello);
        stream.write_all(&hello)?;
        let mut answer = [0];
        stream.read_exact(&mut answer)?;
        if answer == [1] { Ok(Self { stream, codec }) } else { Err(io::Error::other("refused")) }
    }

    /// Sends a packet with a record for each time; nothing is waited for.
    pub(crate) fn send(&mut self, times_ms: &[u64]) -> io::Result<()> {
        let elements = [
            Element { id: 16, value: Value::U64(u64::MAX) },
            Element { id: 239, value: Value::U8(1) },
        ];
        let generation_type = (self.codec == Codec::Codec16).then_some(5);
        let records: Vec<OutgoingRecord<'_>> = times_ms
            .iter()
            .map(|&timestamp_ms| OutgoingRecord {
                fix: Fix {
                    timestamp_ms,
                    priority: 1,
                    latitude_e7: 413_275_000,
                    longitude_e7: 198_187_000,
                    altitude_m: 120,
                    angle_deg: 214,
                    satellites: 11,
                    speed_kmh: 63,
                    event_io_id: 0,
                    generation_type,
                },
                elements: &elements,
            })
            .collect();
        let mut packet = Vec::new();
        encode_packet(self.codec, &records, &mut packet).map_err(io::Error::other)?;
        self.stream.write_all(&packet)
    }

    /// The answer to the next packet: how many records are safe.
    pub(crate) fn answer(&mut self) -> io::Result<u32> {
        let mut answer = [0; 4];
        self.stream.read_exact(&mut answer)?;
        Ok(u32::from_be_bytes(answer))
    }

    /// True when an answer, or the end of the connection, lies there to be read.
    pub(crate) fn has_answer(&self) -> bool {
        self.stream.set_nonblocking(true).unwrap();
        let peeked = self.stream.peek(&mut [0]);
        self.stream.set_nonblocking(false).unwrap();
        peeked.is_ok()
    }

    /// Sends and waits for the answer.
    pub(crate) fn deliver(&mut self, times_ms: &[u64]) -> io::Result<u32> {
        self.send(times_ms)?;
        self.answer()
    }

    /// Waits for the answer of everything that was sent in a packet of so many records.
    pub(crate) fn is_answered(&mut self, records: u32) {
        until("an answer", || self.has_answer());
        assert_eq!(self.answer().unwrap(), records);
    }
}
