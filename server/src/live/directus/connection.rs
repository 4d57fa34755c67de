//! One connection to Directus, and those that wait for their next call.
//!
//! A connection is opened to an address that was looked up for it, so a Directus that moved is found
//! again. Everything that comes back is bounded: the head in bytes and headers, the body in bytes.
//! Nothing is decompressed, no redirect is followed, no proxy is asked for.

use std::io;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::rt::ReadBufCursor;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::AbortHandle;
use tokio::time::Instant;

/// Longest body that is read: a user is some hundred bytes. Held for each call in flight.
pub(crate) const BODY_BYTES_MAX: usize = 64 * 1024;

/// Longest head that is read. Held for each connection, as far as it was needed.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Most headers of an answer; Directus sends some 15.
const HEADERS_MAX: usize = 64;

/// Most connections that are kept open for the next call: as many as calls in flight by default.
const IDLE_COUNT_MAX: usize = 32;

/// How long one is kept. Node closes them after 5 s, and a call on a closed one is made twice.
const IDLE_MS_MAX: u64 = 4_000;

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum CallError {
    /// No connection could be opened.
    Connect(io::Error),
    /// What came back is not HTTP, is too long, or ended early.
    Broken(&'static str),
    /// The cookie or the path cannot be written into a request.
    Unsendable,
}

/// An answer, whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Bytes,
}

/// The connections that wait for their next call.
#[derive(Debug, Default)]
pub(crate) struct Idle(Mutex<Vec<(Connection, Instant)>>);

impl Idle {
    /// The one that was used last, if it is still good.
    pub(crate) fn take(&self) -> Option<Connection> {
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let oldest = Instant::now().checked_sub(Duration::from_millis(IDLE_MS_MAX));
        idle.retain(|(connection, since)| {
            oldest.is_none_or(|oldest| *since > oldest) && !connection.sender.is_closed()
        });
        idle.pop().map(|(connection, _)| connection)
    }

    /// Keeps one, or closes it when enough wait.
    pub(crate) fn keep(&self, connection: Connection) {
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_COUNT_MAX {
            idle.push((connection, Instant::now()));
        }
    }
}

/// An open connection. Dropping it closes it at once, whatever is under way.
#[derive(Debug)]
pub(crate) struct Connection {
    sender: SendRequest<Empty<Bytes>>,
    driver: AbortHandle,
}

impl Connection {
    /// Opens one.
    pub(crate) async fn open(host: &str, port: u16) -> Result<Self, CallError> {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let stream = TcpStream::connect((host, port)).await.map_err(CallError::Connect)?;
        stream.set_nodelay(true).map_err(CallError::Connect)?;
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(HEAD_BYTES_MAX)
            .max_headers(HEADERS_MAX)
            .handshake(Socket(stream))
            .await
            .map_err(|error| broken(&error))?;
        let driver = tokio::spawn(async move {
            // Whoever waits for an answer sees the same error.
            drop(connection.await);
        });
        Ok(Self { sender, driver: driver.abort_handle() })
    }

    /// Makes one call; true in front of an error when it may be repeated on a fresh connection:
    /// the call is a read, and nothing of an answer has come.
    pub(crate) async fn call(
        &mut self,
        request: Request<Empty<Bytes>>,
    ) -> Result<Answer, (bool, CallError)> {
        self.sender.ready().await.map_err(|error| (true, broken(&error)))?;
        let response = self
            .sender
            .send_request(request)
            .await
            .map_err(|error| (!error.is_parse(), broken(&error)))?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), BODY_BYTES_MAX).collect().await;
        match body {
            Ok(body) => Ok(Answer { status, body: body.to_bytes() }),
            Err(_) => Err((false, CallError::Broken("Its answer is over 64 KiB, or was cut."))),
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

fn broken(error: &hyper::Error) -> CallError {
    CallError::Broken(if error.is_parse() {
        "It answered with something that is not HTTP, or with too large a head."
    } else {
        "It closed the connection in the middle of a call."
    })
}

/// A socket as hyper wants it. Reading copies once: without unsafe code there is no other way, and
/// an answer is a few hundred bytes.
#[derive(Debug)]
struct Socket(TcpStream);

impl hyper::rt::Read for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut cursor: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let mut bytes = [0; 4096];
        let room = cursor.remaining().min(bytes.len());
        let mut buffer = ReadBuf::new(&mut bytes[..room]);
        ready!(Pin::new(&mut self.get_mut().0).poll_read(context, &mut buffer))?;
        cursor.put_slice(buffer.filled());
        Poll::Ready(Ok(()))
    }
}

impl hyper::rt::Write for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().0).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_shutdown(context)
    }
}
