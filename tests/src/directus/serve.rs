//! How the stub listens, what it demands of a request, and the bytes with which it answers.

use std::io;
use std::net::{Ipv4Addr, TcpListener as StdListener};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::{Kind, Mode, Shared};

/// Longest request that is read.
const REQUEST_BYTES_MAX: usize = 64 * 1024;

/// A good user, compressed by gzip.
const COMPRESSED: &[u8] =
    b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xabVJI,IT\xb2\xaaV\xcaLQ\xb2R*U\xaa\xad\x05\x00\
      \xbe\x9a\xac\xd0\x13\x00\x00\x00";

/// Serves until the stub is dropped.
pub(super) async fn serve(listener: StdListener, shared: Arc<Shared>) {
    let port = listener.local_addr().expect("it is bound").port();
    let mut first = Some(listener);
    let mut bell = shared.bell.subscribe();
    while !shared.state().is_over {
        let listener = match first.take() {
            Some(listener) => {
                listener.set_nonblocking(true).expect("a socket");
                TcpListener::from_std(listener)
            }
            None => TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await,
        };
        let listener = listener.expect("the port is ours");
        let mut connections = JoinSet::new();
        shared.change(|state| state.is_listening = true);
        shared.listens.notify_all();
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    // A stub that has gone deaf would look like a server that is slow.
                    let (stream, _) = accepted.expect("the process has files for it");
                    shared.change(|state| state.connections += 1);
                    let shared = shared.clone();
                    connections.spawn(async move {
                        // Whoever called may be gone; that is its test's affair.
                        talk(stream, port, &shared).await.ok();
                    });
                }
                Ok(()) = bell.changed() => {
                    let state = shared.state();
                    if state.is_over || state.is_refusing() {
                        break;
                    }
                }
            }
        }
        drop(listener);
        connections.shutdown().await;
        shared.change(|state| state.is_listening = false);
        shared.listens.notify_all();
        let is_back = |_: &u64| {
            let state = shared.state();
            state.is_over || !state.is_refusing()
        };
        let is_back = bell.wait_for(is_back).await;
        drop(is_back.expect("the stub lives"));
    }
}

async fn talk(mut stream: TcpStream, port: u16, shared: &Arc<Shared>) -> io::Result<()> {
    let mut unread = Vec::new();
    let mut is_used = false;
    loop {
        let Some(end) = unread.windows(4).position(|bytes| bytes == b"\r\n\r\n") else {
            if stream.read_buf(&mut unread).await? == 0 || unread.len() > REQUEST_BYTES_MAX {
                return Ok(());
            }
            continue;
        };
        let request = String::from_utf8_lossy(&unread[..end + 4]).into_owned();
        if unread.len() > end + 4 {
            shared.change(|state| state.complaints.push("bytes behind the request".to_owned()));
        }
        unread.clear();
        let (path, cookie, kind) = check(&request, port, shared);
        let _in_flight = InFlight::of(kind, shared);
        let mode = mode(kind, shared).await;
        if mode == Mode::Forgets && is_used {
            return Ok(());
        }
        is_used = true;
        if !answer(&mut stream, &mode, &path, &cookie, shared).await? {
            return Ok(());
        }
    }
}

/// Compares a request with what it must be, byte for byte.
fn check(request: &str, port: u16, shared: &Shared) -> (String, String, Kind) {
    let mut lines = request.split("\r\n");
    let target = lines.next().and_then(|line| line.split(' ').nth(1)).unwrap_or_default();
    let cookie = lines.find_map(|line| line.strip_prefix("cookie: ")).unwrap_or_default();
    let version = env!("CARGO_PKG_VERSION");
    let expected = format!(
        "GET {target} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncookie: {cookie}\r\n\
         accept: application/json\r\nuser-agent: pitwall/{version}\r\n\r\n"
    );
    let event = target
        .strip_prefix("/items/events/")
        .and_then(|rest| rest.strip_suffix("?fields=id,organization_id"));
    let is_known = match event {
        Some(event) => engine::id::EventId::parse(event.as_bytes()).is_some(),
        None => target == "/users/me",
    };
    if request != expected || cookie.is_empty() || !is_known {
        shared.change(|state| state.complaints.push(format!("{request:?}")));
    }
    let kind = if event.is_some() { Kind::Event } else { Kind::Identity };
    (event.unwrap_or_default().to_owned(), cookie.to_owned(), kind)
}

/// What to do now; waits while it is held.
async fn mode(kind: Kind, shared: &Shared) -> Mode {
    let mut bell = shared.bell.subscribe();
    loop {
        let mode = shared.state().mode(kind).clone();
        if mode != Mode::Holds {
            return mode;
        }
        bell.changed().await.expect("the stub lives");
    }
}

/// Answers; true when the connection may be used again.
async fn answer(
    stream: &mut TcpStream,
    mode: &Mode,
    event: &str,
    cookie: &str,
    shared: &Shared,
) -> io::Result<bool> {
    let bytes = match mode {
        Mode::Knows | Mode::Forgets => knowing(event, cookie, shared),
        Mode::Status(status) => whole(&status.to_string(), "", ERRORS),
        Mode::Body(body) => whole("200", "", body),
        Mode::Redirects => whole("302", "Location: /admin/login\r\n", ""),
        Mode::Compressed => {
            let head = head("200", "Content-Encoding: gzip\r\n", COMPRESSED.len());
            [head.as_bytes(), COMPRESSED].concat()
        }
        Mode::LongBody => {
            let body = format!(r#"{{"data":{{"id":"u","note":"{}"}}}}"#, "x".repeat(10_000_000));
            whole("200", "", &body)
        }
        Mode::LongHead => whole("200", &format!("X-Long: {}\r\n", "x".repeat(10_000_000)), "{}"),
        Mode::ManyHeaders => whole("200", &"X-Many: 1\r\n".repeat(10_000), "{}"),
        Mode::Babbles => b"220 mail.test ESMTP\r\n\r\n".to_vec(),
        Mode::CutsHead => b"HTTP/1.1 200 OK\r\nContent-".to_vec(),
        Mode::CutsBody => {
            let answer = whole("200", "", r#"{"data":{"id":"u"}}"#);
            answer[..answer.len() - 4].to_vec()
        }
        Mode::EndlessBody => return endless(stream).await,
        Mode::Drips => return drip(stream).await,
        Mode::Holds | Mode::Refuses => Vec::new(),
    };
    stream.write_all(&bytes).await?;
    Ok(matches!(mode, Mode::Knows | Mode::Forgets | Mode::Status(_) | Mode::Body(_)))
}

const ERRORS: &str = r#"{"errors":[{"message":"No.","extensions":{"code":"SOME_CODE"}}]}"#;

fn knowing(event: &str, cookie: &str, shared: &Shared) -> Vec<u8> {
    let state = shared.state();
    if event.is_empty() {
        return match state.users.get(cookie) {
            Some(user) => {
                let role = "00000000-0000-4000-8000-00000000000a";
                let body = format!(
                    r#"{{"data":{{"id":"{user}","role":"{role}","email":"somebody@example.com"}}}}"#
                );
                whole("200", "", &body)
            }
            None => whole("401", "", ERRORS),
        };
    }
    if state.allowed.contains(&(cookie.to_owned(), event.to_owned())) {
        whole("200", "", &format!(r#"{{"data":{{"id":"{event}","organization_id":null}}}}"#))
    } else {
        whole("403", "", ERRORS)
    }
}

fn whole(status: &str, headers: &str, body: &str) -> Vec<u8> {
    (head(status, headers, body.len()) + body).into_bytes()
}

fn head(status: &str, headers: &str, body_bytes: usize) -> String {
    format!(
        "HTTP/1.1 {status} Some Words\r\nContent-Type: application/json; charset=utf-8\r\n\
         {headers}Content-Length: {body_bytes}\r\nConnection: keep-alive\r\n\r\n"
    )
}

async fn endless(stream: &mut TcpStream) -> io::Result<bool> {
    stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await?;
    let chunk = format!("1000\r\n{}\r\n", " ".repeat(0x1000));
    loop {
        stream.write_all(chunk.as_bytes()).await?;
    }
}

async fn drip(stream: &mut TcpStream) -> io::Result<bool> {
    let body = format!("{}{}", " ".repeat(60_000), r#"{"data":{"id":"u"}}"#);
    let mut drops = tokio::time::interval(Duration::from_millis(10));
    for byte in whole("200", "", &body) {
        drops.tick().await;
        stream.write_all(&[byte]).await?;
    }
    Ok(false)
}

/// Counts a request that is being answered.
struct InFlight<'a>(&'a Shared);

impl<'a> InFlight<'a> {
    fn of(kind: Kind, shared: &'a Shared) -> Self {
        shared.change(|state| {
            state.calls.push(kind);
            state.in_flight += 1;
            state.in_flight_max = state.in_flight_max.max(state.in_flight);
        });
        Self(shared)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.change(|state| state.in_flight -= 1);
    }
}
