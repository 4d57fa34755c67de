//! The stages of one connection: head, rules, origin, place, answer, identity, shard.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use engine::websocket::{CloseCode, write_close};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::origin::{check_host, check_origin, client_address};
use super::remarks::{foreign, note_clear_text, note_unknown_proxy};
use super::request::Request;
use super::socket::equip;
use super::wire::{NoHead, deliver, end, gone, read_head, write};
use super::{Door, Outcome};
use crate::clock::wall_ms;
use crate::config::Reject;
use crate::http::{Answer, Head, HeadLimits, Refusal};
use crate::live::access::Identity;
use crate::live::admission::{Full, Permit, network_of};
use crate::live::mailbox::{Newcomer, Order};
use crate::live::session::{Cookie, Session};
use crate::page::{Desk, Reply};
use crate::shutdown::Stage;

/// What identification may take beyond its queue and its call before it counts as failed.
const IDENTITY_GRACE_MS: u64 = 1_000;

/// Before the upgrade there is no close code.
const RESTARTING: Refusal =
    Refusal::new(503, "This server is restarting. Connect again in a moment.");

/// Why a connection does not become a viewer.
enum End {
    /// By an HTTP answer.
    Refused(Outcome, Refusal),
    /// By a close frame, after the upgrade.
    Closed(Outcome, CloseCode, &'static str),
    /// By a part of the live page.
    Answered(Reply),
    /// It has gone by itself.
    Lost,
}

/// Leads one connection to its shard, or to its end.
pub(super) async fn conduct(
    mut stream: TcpStream,
    peer: SocketAddr,
    mut permit: Permit,
    door: Arc<Door>,
) {
    let ended = match let_in(&mut stream, peer.ip(), &mut permit, &door).await {
        Ok(arrival) => match hand_over(stream, arrival, permit, &door) {
            Ok(()) => return door.meter.count(Outcome::Accepted),
            Err(Some((returned, returned_permit))) => {
                (stream, permit) = (returned, returned_permit);
                too_many(Full::Process)
            }
            Err(None) => return door.meter.count(Outcome::Lost),
        },
        Err(end) => end,
    };
    let ended = match ended {
        // Whatever was wanting, the next instance may have it.
        End::Closed(_, CloseCode::TRY_AGAIN_LATER, _)
            if door.context.shutdown.stage() >= Stage::Leaving =>
        {
            leaving()
        }
        end => end,
    };
    // The place is free for others, but the socket counts until it is closed.
    permit.give_up_place();
    let (outcome, reason, bytes) = match ended {
        End::Refused(outcome, refusal) => {
            (outcome, refusal.sentence, Answer::from(refusal).into_bytes())
        }
        End::Closed(outcome, code, reason) => {
            let mut bytes = Vec::new();
            write_close(&mut bytes, code, reason);
            (outcome, reason, bytes)
        }
        End::Answered(reply) => {
            door.meter.count(Outcome::Page);
            return deliver(stream, reply).await;
        }
        End::Lost => return door.meter.count(Outcome::Lost),
    };
    door.meter.count(outcome);
    let fields = [("result", outcome.name()), ("reason", reason)];
    door.context.log.debug("a connection does not become a viewer", &fields);
    end(stream, &bytes).await;
}

/// A connection that may become a viewer.
struct Arrival {
    session: Arc<Session>,
    unread: Vec<u8>,
}

async fn let_in(
    stream: &mut TcpStream,
    peer: IpAddr,
    permit: &mut Permit,
    door: &Door,
) -> Result<Arrival, End> {
    let live = &door.context.config.live;
    equip(&*stream, live).map_err(|_| End::Lost)?;
    let head = await_head(stream, door).await?;
    if door.access.is_open() {
        check_host(&head).map_err(|refusal| End::Refused(Outcome::ForbiddenOrigin, refusal))?;
    }
    if let Some(desk) = door.desk.as_ref().filter(|_| Desk::is_asked(head.target())) {
        return Err(at_desk(desk, &head, peer, permit, door));
    }
    let mut request = Request::of(&head, live.limits.cookie_bytes_max)
        .map_err(|refusal| End::Refused(Outcome::BadRequest, refusal))?;
    // Before the origin: either may be why it is not allowed.
    note_unknown_proxy(&head, peer, door);
    note_clear_text(&head, peer, door);
    check_origin(&head, peer, &live.access).map_err(|refusal| {
        let origin = foreign(head.all("origin").next().unwrap_or_default());
        door.context.log.debug("an origin is not allowed", &[("origin", &origin)]);
        End::Refused(Outcome::ForbiddenOrigin, refusal)
    })?;
    let client = client_address(&head, peer, &live.access.trusted_proxies);
    let (unread, cookie) = (head.rest, request.cookie.take());
    let is_placed = permit.settle(client).and_then(|()| permit.take_place());
    let reject = live.access.reject;
    let session = match (reject, is_placed) {
        (Reject::Http, Err(full)) => {
            let status = if full == Full::Process { 503 } else { 429 };
            return Err(End::Refused(Outcome::TooMany, Refusal::new(status, full.sentence())));
        }
        (Reject::Http, Ok(())) => {
            let session = identify(stream, cookie, door).await?;
            accept(stream, &request).await?;
            session
        }
        (Reject::Close, is_placed) => {
            accept(stream, &request).await?;
            is_placed.map_err(too_many)?;
            identify(stream, cookie, door).await?
        }
    };
    permit.become_viewer(&session.user_id).map_err(too_many)?;
    Ok(Arrival { session, unread })
}

/// What becomes of a request that is not for viewers: it counts for its address like any other.
fn at_desk(desk: &Desk, head: &Head, peer: IpAddr, permit: &mut Permit, door: &Door) -> End {
    let client = client_address(head, peer, &door.context.config.live.access.trusted_proxies);
    if let Err(full) = permit.settle(client) {
        return End::Refused(Outcome::TooMany, Refusal::new(429, full.sentence()));
    }
    match desk.answer(head, network_of(client), wall_ms()) {
        Ok(reply) => End::Answered(reply),
        Err(refusal) if refusal.status == 503 => End::Refused(Outcome::TooMany, refusal),
        Err(refusal) => End::Refused(Outcome::BadRequest, refusal),
    }
}

async fn await_head(stream: &TcpStream, door: &Door) -> Result<Head, End> {
    let limits = door.context.config.live.limits;
    let head_limits =
        HeadLimits { bytes_max: limits.head_bytes_max, headers_max: limits.headers_max };
    let in_time = Duration::from_millis(limits.head_timeout_ms);
    tokio::select! {
        read = timeout(in_time, read_head(stream, head_limits)) => match read {
            Ok(Ok(head)) => Ok(head),
            Ok(Err(NoHead::Refused(refusal))) => Err(End::Refused(Outcome::BadRequest, refusal)),
            Ok(Err(NoHead::Lost)) => Err(End::Lost),
            Err(_) => {
                let late = Refusal::new(408, "The head of the request did not come in time.");
                Err(End::Refused(Outcome::Timeout, late))
            }
        },
        () = door.context.shutdown.reached(Stage::Leaving) => Err(End::Refused(
            Outcome::Leaving,
            RESTARTING,
        )),
    }
}

async fn accept(stream: &mut TcpStream, request: &Request) -> Result<(), End> {
    if write(stream, &request.acceptance()).await { Ok(()) } else { Err(End::Lost) }
}

const fn too_many(full: Full) -> End {
    End::Closed(Outcome::TooMany, CloseCode::TRY_AGAIN_LATER, full.sentence())
}

const fn leaving() -> End {
    End::Closed(Outcome::Leaving, CloseCode::RESTART, CloseCode::RESTART.reason())
}

/// Who it is; a peer that goes away meanwhile is not waited for, and neither is Directus when the
/// process leaves.
async fn identify(
    stream: &TcpStream,
    cookie: Option<Cookie>,
    door: &Door,
) -> Result<Arc<Session>, End> {
    let config = &door.context.config;
    let reject = config.live.access.reject;
    let in_time =
        config.directus.auth_timeout_ms + config.live.limits.queue_ms_max + IDENTITY_GRACE_MS;
    let identity = tokio::select! {
        identity = timeout(Duration::from_millis(in_time), door.access.identify(cookie)) => {
            identity.unwrap_or(Identity::Unavailable)
        }
        () = gone(stream) => return Err(End::Lost),
        () = door.context.shutdown.reached(Stage::Leaving) => return Err(match reject {
            Reject::Close => leaving(),
            Reject::Http => End::Refused(
                Outcome::Leaving,
                RESTARTING,
            ),
        }),
    };
    door.meter.count_identity(&identity);
    session_of(identity, reject)
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

/// Gives the socket to the shard with the fewest viewers, or back if it could not be had.
fn hand_over(
    stream: TcpStream,
    arrival: Arrival,
    permit: Permit,
    door: &Door,
) -> Result<(), Option<(TcpStream, Permit)>> {
    let Arrival { session, unread } = arrival;
    let least = door.shards.iter().min_by_key(|address| address.load());
    let address = least.expect("there is at least one shard");
    let socket = stream.into_std().map_err(|_| None)?;
    let newcomer = Newcomer { socket, unread, session, permit, place: address.place() };
    let Err(refused) = address.order(Order::Open(Box::new(newcomer))) else { return Ok(()) };
    match refused.into_inner() {
        Order::Open(newcomer) => {
            let Newcomer { socket, permit, .. } = *newcomer;
            Err(TcpStream::from_std(socket).ok().map(|stream| (stream, permit)))
        }
        _ => Err(None),
    }
}
