//! The stages of one connection: head, rules, origin, room, answer, identity, shard.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use engine::websocket::{CloseCode, write_close};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::origin::{check_origin, client_address};
use super::request::Request;
use super::{Door, Outcome};
use crate::config::Reject;
use crate::http::{Answer, Head, HeadLimits, HeadReader, Refusal};
use crate::live::access::Identity;
use crate::live::admission::{Full, Permit};
use crate::live::mailbox::{Newcomer, Order};
use crate::live::session::Session;

/// Room for one read of a head: most heads come in one piece.
const READ_BYTES: usize = 2 * 1024;

/// How long an answer may take to be written: it fits into the kernel's buffer.
const WRITE_MS_MAX: u64 = 2_000;

/// How long what still comes is read away after the last word, and how much of it.
const LINGER_MS: u64 = 2_000;
const LINGER_BYTES_MAX: usize = 64 * 1024;

/// Why a connection does not become a viewer.
enum End {
    /// By an HTTP answer.
    Refused(Outcome, Refusal),
    /// By a close frame, after the upgrade.
    Closed(Outcome, CloseCode, &'static str),
    /// It has gone by itself.
    Lost,
}

/// Leads one connection to its shard, or to its end.
pub(super) async fn conduct(
    mut stream: TcpStream,
    peer: SocketAddr,
    permit: Permit,
    door: Arc<Door>,
) {
    let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
    let outcome = match let_in(&mut stream, peer, permit, &door).await {
        Ok(arrival) => match hand_over(stream, arrival, &door) {
            Ok(()) => Outcome::Accepted,
            Err(Some(stream)) => {
                let mut bytes = Vec::new();
                write_close(&mut bytes, CloseCode::TRY_AGAIN_LATER, Full::Process.sentence());
                last_word(stream, &bytes).await;
                Outcome::TooMany
            }
            Err(None) => Outcome::Lost,
        },
        Err(End::Refused(outcome, refusal)) => {
            last_word(stream, &Answer::from(refusal).into_bytes()).await;
            outcome
        }
        Err(End::Closed(outcome, code, reason)) => {
            let mut bytes = Vec::new();
            write_close(&mut bytes, code, reason);
            last_word(stream, &bytes).await;
            outcome
        }
        Err(End::Lost) => Outcome::Lost,
    };
    door.meter.count(outcome);
}

/// A connection that may become a viewer.
struct Arrival {
    session: Arc<Session>,
    permit: Permit,
    unread: Vec<u8>,
}

async fn let_in(
    stream: &mut TcpStream,
    peer: SocketAddr,
    permit: Permit,
    door: &Door,
) -> Result<Arrival, End> {
    let live = &door.context.config.live;
    let head = read_head(stream, door).await?;
    let bad = |refusal| End::Refused(Outcome::BadRequest, refusal);
    let mut request = Request::of(&head, live.limits.cookie_bytes_max).map_err(bad)?;
    check_origin(&head, peer.ip(), &live.access)
        .map_err(|refusal| End::Refused(Outcome::ForbiddenOrigin, refusal))?;
    let full = |full: Full| {
        let status = if full == Full::Process { 503 } else { 429 };
        End::Refused(Outcome::TooMany, Refusal::new(status, full.sentence()))
    };
    let client = client_address(&head, peer.ip(), &live.access.trusted_proxies);
    let mut permit = permit.move_to(client).map_err(full)?;
    permit.check_room().map_err(full)?;
    // What is small and frequent must not wait for an answer to what was sent before.
    stream.set_nodelay(true).map_err(|_| End::Lost)?;
    let reject = live.access.reject;
    let cookie = request.cookie.take();
    let session = if reject == Reject::Http {
        let identity = door.access.identify(cookie).await;
        let session = session_of(identity, reject)?;
        write(stream, &request.acceptance()).await?;
        session
    } else {
        write(stream, &request.acceptance()).await?;
        let identity = tokio::select! {
            identity = door.access.identify(cookie) => identity,
            () = gone(stream) => return Err(End::Lost),
        };
        session_of(identity, reject)?
    };
    permit.become_viewer(&session.user_id).map_err(|full| {
        End::Closed(Outcome::TooMany, CloseCode::TRY_AGAIN_LATER, full.sentence())
    })?;
    Ok(Arrival { session, permit, unread: head.rest })
}

async fn read_head(stream: &mut TcpStream, door: &Door) -> Result<Head, End> {
    let limits = door.context.config.live.limits;
    let head_limits =
        HeadLimits { bytes_max: limits.head_bytes_max, headers_max: limits.headers_max };
    let mut reader = HeadReader::new(head_limits);
    let read = async {
        let mut buffer = [0; READ_BYTES];
        loop {
            let count = stream.read(&mut buffer).await.map_err(|_| End::Lost)?;
            if count == 0 {
                return Err(End::Lost);
            }
            match reader.handle_input(&buffer[..count]) {
                Ok(Some(head)) => return Ok(head),
                Ok(None) => {}
                Err(refusal) => return Err(End::Refused(Outcome::BadRequest, refusal)),
            }
        }
    };
    let late = Refusal::new(408, "The head of the request did not come in time.");
    timeout(Duration::from_millis(limits.head_timeout_ms), read)
        .await
        .unwrap_or(Err(End::Refused(Outcome::Timeout, late)))
}

/// The session of an identity, or the end as the settings want it told.
fn session_of(identity: Identity, reject: Reject) -> Result<Arc<Session>, End> {
    let (outcome, code, refusal) = match identity {
        Identity::Known(session) => return Ok(session),
        Identity::Unauthorized => (
            Outcome::Unauthorized,
            CloseCode::UNAUTHORIZED,
            Refusal::new(401, "You are not logged in. Log in and connect again."),
        ),
        Identity::Unavailable => (
            Outcome::Unavailable,
            CloseCode::TRY_AGAIN_LATER,
            Refusal::new(503, "It cannot be checked who you are. Try again later."),
        ),
    };
    Err(match reject {
        Reject::Close => End::Closed(outcome, code, code.reason()),
        Reject::Http => End::Refused(outcome, refusal),
    })
}

async fn write(stream: &mut TcpStream, bytes: &[u8]) -> Result<(), End> {
    let written = timeout(Duration::from_millis(WRITE_MS_MAX), stream.write_all(bytes)).await;
    if let Ok(Ok(())) = written { Ok(()) } else { Err(End::Lost) }
}

/// Waits until the other side has gone. One that has sent something is taken to be there.
async fn gone(stream: &TcpStream) {
    let mut byte = [0];
    match stream.peek(&mut byte).await {
        Ok(0) | Err(_) => {}
        Ok(_) => std::future::pending().await,
    }
}

/// Gives the socket to the shard with the fewest viewers, or back if it could not be had.
fn hand_over(stream: TcpStream, arrival: Arrival, door: &Door) -> Result<(), Option<TcpStream>> {
    let Arrival { session, permit, unread } = arrival;
    let least = door.shards.iter().min_by_key(|address| address.load.value());
    let address = least.expect("there is at least one shard");
    let socket = stream.into_std().map_err(|_| None)?;
    address.load.add(1);
    let newcomer = Newcomer { socket, unread, session, permit };
    let Err(refused) = address.order(Order::Open(Box::new(newcomer))) else { return Ok(()) };
    address.load.add(-1);
    match refused.into_inner() {
        Order::Open(newcomer) => Err(TcpStream::from_std(newcomer.socket).ok()),
        _ => Err(None),
    }
}

/// Sends the last bytes and reads away what still comes: closing a socket with unread bytes resets
/// the connection, and the reset may overtake what was said.
async fn last_word(mut stream: TcpStream, bytes: &[u8]) {
    let said = async {
        stream.write_all(bytes).await?;
        stream.shutdown().await?;
        let mut buffer = [0; READ_BYTES];
        let mut read_bytes = 0;
        while read_bytes < LINGER_BYTES_MAX {
            match stream.read(&mut buffer).await? {
                0 => break,
                count => read_bytes += count,
            }
        }
        Ok::<(), std::io::Error>(())
    };
    // Who does not take it in time has it cut off.
    timeout(Duration::from_millis(LINGER_MS), said).await.ok();
}
