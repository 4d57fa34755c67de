//! The sending ends of all connections: one system call a send, and a count of what went wrong.

use std::net::{Ipv4Addr, TcpStream};

use engine::fanout::Sent;
use rustix::io::Errno;
use rustix::net::{SendFlags, send};

/// See the module.
#[derive(Debug)]
pub struct Connections {
    streams: Vec<TcpStream>,
    cut_count: u64,
    broken_count: u64,
}

impl Connections {
    /// Connects `count` times to a reader.
    ///
    /// # Errors
    /// When a connection fails.
    pub fn open(port: u16, count: u32) -> Result<Self, String> {
        let connect = |_| {
            let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
            stream.set_nodelay(true)?;
            Ok(stream)
        };
        let streams: std::io::Result<Vec<_>> = (0..count).map(connect).collect();
        let streams = streams.map_err(|error| format!("connecting {count} times: {error}"))?;
        Ok(Self { streams, cut_count: 0, broken_count: 0 })
    }

    /// How many there are.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.streams.len()
    }

    /// Gives `bytes` to the kernel.
    #[inline]
    pub fn send(&mut self, at: usize, bytes: &[u8]) -> Sent {
        match send(&self.streams[at], bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
            Ok(sent_bytes) if sent_bytes == bytes.len() => Sent::All,
            Ok(sent_bytes) => self.cut(sent_bytes),
            Err(Errno::AGAIN | Errno::INTR) => self.cut(0),
            Err(_) => {
                self.broken_count += 1;
                Sent::Broken
            }
        }
    }

    /// Whether every send so far was taken whole.
    ///
    /// # Errors
    /// When one was not.
    pub fn verdict(&self) -> Result<(), String> {
        match (self.cut_count, self.broken_count) {
            (0, 0) => Ok(()),
            (cut, broken) => Err(format!("{cut} sends were cut by a full buffer, {broken} failed")),
        }
    }

    #[cold]
    fn cut(&mut self, sent_bytes: usize) -> Sent {
        self.cut_count += 1;
        Sent::Part(sent_bytes)
    }
}
