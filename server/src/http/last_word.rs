//! The end of a connection over which one last thing is said, in a way that lets it arrive.

use std::io::{self, ErrorKind};
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long what still comes is read away, and how much of it: a peer that has heard the word closes
/// within a round trip, a slow one's included.
const LINGER_MS: u64 = 1_000;
const LINGER_BYTES_MAX: usize = 64 * 1024;

/// Room for one read, on the stack and only while it is under way.
const READ_BYTES: usize = 4 * 1024;

/// Sends the last bytes and reads away what still comes: closing a socket with unread bytes resets
/// the connection, and the reset may overtake what was said. How long sending may take is the
/// caller's to bound.
///
/// # Errors
/// When the other side has gone before it was all said.
pub(crate) async fn last_word(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes).await?;
    stream.shutdown().await?;
    // Who does not close in time is cut, and one that has gone meanwhile has heard it or never will.
    timeout(Duration::from_millis(LINGER_MS), drained(stream)).await.ok();
    Ok(())
}

/// Reads until the other side has closed, or has sent too much.
async fn drained(stream: &TcpStream) -> io::Result<()> {
    let mut left_bytes = LINGER_BYTES_MAX;
    while left_bytes > 0 {
        stream.readable().await?;
        match discard(stream)? {
            Some(0) => break,
            Some(count) => left_bytes = left_bytes.saturating_sub(count),
            None => {}
        }
    }
    Ok(())
}

/// Reads once; `None` when nothing has come.
fn discard(stream: &TcpStream) -> io::Result<Option<usize>> {
    match stream.try_read(&mut [0; READ_BYTES]) {
        Ok(count) => Ok(Some(count)),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}
