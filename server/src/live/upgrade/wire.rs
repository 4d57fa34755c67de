//! The bytes of a connection that is not a viewer yet: its head comes in, a few words go out.
//!
//! Buffers live only while a read is under way, so that a connection that waits costs its task and
//! what has come of its head.

use std::io::ErrorKind;
use std::time::Duration;

use tokio::io::{AsyncWriteExt as _, Interest};
use tokio::net::TcpStream;
use tokio::time::timeout;

use rustix::net::sockopt::set_socket_send_buffer_size;

use crate::http::{Head, HeadLimits, HeadReader, Refusal, last_word};
use crate::page::Reply;

/// Room for one read, on the stack; also the most that can have come behind a head.
const READ_BYTES: usize = 4 * 1024;

/// How long an answer may take to be written: it fits into the kernel's buffer.
const WRITE_MS_MAX: u64 = 2_000;

/// How long a part of the live page may take: so long to begin, and then as long as it needs over a
/// line of 10 KB/s, which is two minutes for the largest file.
const DELIVERY_MS_MIN: u64 = 10_000;
const DELIVERY_BYTES_PER_MS_MIN: u64 = 10;

/// What of it has to be taken in a time, or its place is given to somebody who reads.
const CHUNK_BYTES: usize = 32 * 1024;
const CHUNK_MS_MAX: u64 = 10_000;

/// What of it may be on its way, before the kernel doubles that: over a line with a round trip of
/// 100 ms it is the whole page in a second.
const DELIVERY_BYTES: usize = 64 * 1024;

/// Why there is no head.
pub(super) enum NoHead {
    /// It breaks a rule.
    Refused(Refusal),
    /// The other side has gone.
    Lost,
}

/// Reads until the head is whole. Nothing more is read than came with its end.
pub(super) async fn read_head(stream: &TcpStream, limits: HeadLimits) -> Result<Head, NoHead> {
    let mut reader = HeadReader::new(limits);
    loop {
        stream.readable().await.map_err(|_| NoHead::Lost)?;
        if let Some(head) = take_input(stream, &mut reader)? {
            return Ok(head);
        }
    }
}

fn take_input(stream: &TcpStream, reader: &mut HeadReader) -> Result<Option<Head>, NoHead> {
    let mut buffer = [0; READ_BYTES];
    match stream.try_read(&mut buffer) {
        Ok(0) => Err(NoHead::Lost),
        Ok(count) => reader.handle_input(&buffer[..count]).map_err(NoHead::Refused),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(_) => Err(NoHead::Lost),
    }
}

/// Writes all of it; false when the other side has gone or does not take it.
pub(super) async fn write(stream: &mut TcpStream, bytes: &[u8]) -> bool {
    let written = timeout(Duration::from_millis(WRITE_MS_MAX), stream.write_all(bytes)).await;
    matches!(written, Ok(Ok(())))
}

/// Sends a part of the live page and ends the connection; who does not take it in time is cut off.
pub(super) async fn deliver(mut stream: TcpStream, reply: Reply) {
    let (head, body) = reply.parts();
    if !reply.is_long() {
        return end(stream, &[head, body].concat()).await;
    }
    // Without it the answer is slower, and arrives.
    set_socket_send_buffer_size(&stream, DELIVERY_BYTES).ok();
    let needed_ms = body.len() as u64 / DELIVERY_BYTES_PER_MS_MIN;
    let delivered = async {
        for chunk in [head].into_iter().chain(body.chunks(CHUNK_BYTES)) {
            let in_time = Duration::from_millis(CHUNK_MS_MAX);
            timeout(in_time, stream.write_all(chunk)).await??;
        }
        last_word(&mut stream, &[]).await
    };
    timeout(Duration::from_millis(DELIVERY_MS_MIN + needed_ms), delivered).await.ok();
}

/// Waits until the other side has ended the connection, whatever it has sent before. Nothing is read.
pub(super) async fn gone(stream: &TcpStream) {
    while let Ok(ready) = stream.ready(Interest::READABLE).await {
        if ready.is_read_closed() {
            return;
        }
        // Bytes lie there. Let the next wait end with news, not with them.
        let would_block = || Err::<(), _>(ErrorKind::WouldBlock.into());
        stream.try_io(Interest::READABLE, would_block).ok();
    }
}

/// Says the last thing to a connection and ends it; who does not take it in time has it cut off.
pub(super) async fn end(mut stream: TcpStream, bytes: &[u8]) {
    timeout(Duration::from_millis(WRITE_MS_MAX), last_word(&mut stream, bytes)).await.ok();
}
