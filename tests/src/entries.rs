//! Writes entries into a real Redis as the platform's ingestion does: flat fields, payload as JSON.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

/// The stream of the platform.
pub const STREAM: &str = "telemetry:teltonika";

/// One fix to publish. What is not said is as in a usual one.
#[derive(Clone, Debug)]
pub struct Fix {
    /// The IMEI.
    pub imei: String,
    /// Device time.
    pub ts_ms: i64,
    /// Degrees north.
    pub latitude: f64,
    /// Degrees east.
    pub longitude: f64,
    /// Kilometres an hour.
    pub speed: u16,
    /// Degrees.
    pub angle: u16,
    /// Satellites in sight.
    pub satellites: u8,
}

impl Fix {
    /// A fix of this device at this time, a little further east each millisecond.
    #[must_use]
    pub fn new(imei: &str, ts_ms: i64) -> Self {
        Self {
            imei: imei.to_owned(),
            ts_ms,
            latitude: 41.3275,
            longitude: 19.8187,
            speed: 63,
            angle: 214,
            satellites: 11,
        }
    }

    /// The payload of its entry.
    #[must_use]
    pub fn payload(&self) -> String {
        let time = iso(self.ts_ms);
        let Self { imei, latitude, longitude, speed, angle, satellites, .. } = self;
        format!(
            "{{\"device_id\":\"{imei}\",\"timestamp\":\"{time}\",\"latitude\":{latitude},\
             \"longitude\":{longitude},\"altitude\":120,\"angle\":{angle},\"speed\":{speed},\
             \"satellites\":{satellites},\"priority\":0,\"attributes\":{{\"239\":1,\"66\":12840}}}}"
        )
    }
}

/// A connection to Redis that says what it is told.
#[derive(Debug)]
pub struct Publisher {
    stream: BufReader<TcpStream>,
}

impl Publisher {
    /// Connects to the server on this port of loopback.
    ///
    /// # Panics
    /// When nobody listens; the functions below panic when the connection breaks.
    #[must_use]
    pub fn connect(port: u16) -> Self {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("redis listens");
        stream.set_nodelay(true).expect("a socket");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a socket");
        Self { stream: BufReader::new(stream) }
    }

    /// Adds a fix to the stream and returns the id of its entry.
    pub fn publish(&mut self, fix: &Fix) -> String {
        self.publish_all(std::slice::from_ref(fix)).pop().expect("one id each")
    }

    /// Adds fixes in one pipeline and returns the ids of their entries.
    ///
    /// # Panics
    /// See [`Publisher::connect`]; and when Redis refuses one, for nobody would ever see it.
    pub fn publish_all(&mut self, fixes: &[Fix]) -> Vec<String> {
        let mut bytes = Vec::new();
        for fix in fixes {
            let (time, payload) = (iso(fix.ts_ms), fix.payload());
            pack(
                &mut bytes,
                &[
                    "XADD",
                    STREAM,
                    "MAXLEN",
                    "~",
                    "1000000",
                    "*",
                    "ts",
                    &time,
                    "device_id",
                    &fix.imei,
                    "codec",
                    "8",
                    "payload",
                    &payload,
                ],
            );
        }
        self.stream.get_mut().write_all(&bytes).expect("redis reads");
        fixes.iter().map(|_| self.added()).collect()
    }

    /// Sends any command and returns its reply as text: elements of arrays on lines of their own,
    /// errors with their minus sign.
    ///
    /// # Panics
    /// See [`Publisher::connect`].
    pub fn command(&mut self, words: &[&str]) -> String {
        let mut bytes = Vec::new();
        pack(&mut bytes, words);
        self.stream.get_mut().write_all(&bytes).expect("redis reads");
        self.reply()
    }

    fn added(&mut self) -> String {
        let id = self.reply();
        assert!(!id.starts_with('-'), "a fix was refused: {id}");
        id
    }

    fn reply(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).expect("redis answers");
        let line = line.trim_end();
        match line.split_at(1) {
            ("$", "-1") | ("*", "-1") => "nil".to_owned(),
            ("$", length) => {
                let mut bytes = vec![0; length.parse::<usize>().expect("a length") + 2];
                self.stream.read_exact(&mut bytes).expect("redis answers");
                bytes.truncate(bytes.len() - 2);
                String::from_utf8_lossy(&bytes).into_owned()
            }
            ("*", count) => {
                let count: usize = count.parse().expect("a count");
                let elements: Vec<String> = (0..count).map(|_| self.reply()).collect();
                elements.join("\n")
            }
            ("-", _) => line.to_owned(),
            (_, rest) => rest.to_owned(),
        }
    }
}

fn pack(bytes: &mut Vec<u8>, words: &[&str]) {
    bytes.extend(format!("*{}\r\n", words.len()).bytes());
    for word in words {
        bytes.extend(format!("${}\r\n{word}\r\n", word.len()).bytes());
    }
}

/// Epoch milliseconds as the platform writes them.
#[must_use]
pub fn iso(epoch_ms: i64) -> String {
    let (days, ms) = (epoch_ms.div_euclid(86_400_000), epoch_ms.rem_euclid(86_400_000));
    let (mut year, mut day) = (1970, days);
    let length = |year: i64| {
        if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) { 366 } else { 365 }
    };
    while day >= length(year) {
        day -= length(year);
        year += 1;
    }
    let february = if length(year) == 366 { 29 } else { 28 };
    let mut month = 1;
    for days in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if day < days {
            break;
        }
        day -= days;
        month += 1;
    }
    let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60);
    let mut text = String::new();
    let (day, ms) = (day + 1, ms % 1_000);
    write!(text, "{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
        .expect("text grows");
    text
}
