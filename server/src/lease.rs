//! The lease on the name of this instance: two processes of one name would split one group, and each
//! would show its viewers half of the positions and take the other's entries for its own.
//!
//! It is a key in Redis with a random token that runs out unless it is renewed. Whoever finds it
//! renewed by another is the second of its name and stops. That Redis is away is no reason to stop:
//! then nobody can read.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::context::Context;
use crate::error::Stop;
use crate::status::State;
use crate::stream::{Control, Failure, Server};

/// How long the lease lasts without being renewed.
pub const LEASE_MS: u64 = 15_000;

/// How often it is renewed: two renewals may fail.
pub const RENEW_MS: u64 = 5_000;

/// How long a lease that another holds must have stood still before its holder counts as gone: one who
/// lives renews it within that.
const SILENT_MS: u64 = RENEW_MS + 1_000;

/// How often a lease that another holds, or Redis when it could not be asked, is looked at again.
const LOOK_MS: u64 = 500;

/// How long giving the lease back may take.
pub const RELEASE_MS_MAX: u64 = 2_000;

/// Renews the lease if it is ours, and takes it if it is nobody's: a Redis that has lost its memory
/// has lost the lease, too.
const RENEW: &str = "\
local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1";

/// Gives the lease back if it is ours.
const RELEASE: &str = "\
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0";

/// The key of an instance's lease.
#[must_use]
pub fn key(instance_id: &str) -> String {
    format!("pitwall:instance:{instance_id}")
}

/// What is known of the lease; clones are the same. All of it is gone when the lease is another's.
#[derive(Clone, Debug)]
pub struct Known {
    /// Whether it is ours.
    pub is_held: watch::Receiver<bool>,
    /// Becomes true when nothing speaks for a living process of the same name any more: the lease is
    /// ours, or nobody renews it, or Redis cannot be asked and so nobody can read.
    pub is_alone: watch::Receiver<bool>,
    /// Why it is not held, in words; nothing when it is.
    pub trouble: watch::Receiver<Option<String>>,
}

/// The lease of this process while it lives.
#[derive(Debug)]
pub struct Kept {
    /// What is known of it.
    pub known: Known,
    /// Dropped when the lease is given up.
    in_use: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

/// Takes the lease, says so, and keeps it until it is given up, in a task of this runtime.
///
/// # Errors
/// When `REDIS_URL` cannot be used.
pub fn start(context: &Context) -> Result<Kept, Stop> {
    let server = Server::parse(&context.config.redis_url)?;
    let control = Control::new(&server).map_err(|failure| Stop::Config(failure.words))?;
    let (is_held, held) = watch::channel(false);
    let (is_alone, alone) = watch::channel(false);
    let (trouble, troubled) = watch::channel(None);
    let (in_use, given_up) = oneshot::channel();
    let lease = Lease {
        control,
        key: key(&context.config.instance_id),
        token: token(),
        seen: None,
        is_held,
        is_alone,
        trouble,
    };
    let task = tokio::spawn(lease.keep(context.clone(), given_up));
    let known = Known { is_held: held, is_alone: alone, trouble: troubled };
    Ok(Kept { known, in_use, task })
}

impl Kept {
    /// Gives the lease back: whoever takes the name next must find nothing of ours in use.
    pub async fn give_up(self) {
        drop(self.in_use);
        // It ends by itself, with a deadline of its own; a panic in it has been printed.
        drop(self.task.await);
    }
}

/// Says in a component of its own how the lease is, where nobody else does.
pub async fn tell(context: Context, mut trouble: watch::Receiver<Option<String>>) {
    let component = context.status.component("lease", None);
    while trouble.changed().await.is_ok() {
        match &*trouble.borrow_and_update() {
            None => component.is_working("No other process has the name of this one."),
            Some(reason) => component.set(
                State::Impaired,
                reason,
                "It is not sure that no other process of this name reads the same entries.",
                "Nothing, if this process has just replaced another one of its name.",
            ),
        }
    }
}

struct Lease {
    control: Control,
    key: String,
    token: String,
    seen: Option<Seen>,
    is_held: watch::Sender<bool>,
    is_alone: watch::Sender<bool>,
    trouble: watch::Sender<Option<String>>,
}

/// Another's lease, as it was when it was first seen.
struct Seen {
    token: String,
    at: Instant,
    ends: Instant,
}

impl Lease {
    async fn keep(mut self, context: Context, given_up: oneshot::Receiver<()>) {
        let kept = tokio::select! {
            biased;
            _ = given_up => Ok(()),
            stop = self.hold() => Err(stop),
        };
        match kept {
            Ok(()) if *self.is_held.borrow() => {
                let within = Duration::from_millis(RELEASE_MS_MAX);
                let released = timeout(within, self.release()).await;
                if !matches!(released, Ok(Ok(()))) {
                    let words = "the lease could not be given back and will run out by itself";
                    context.log.warn(words, &[("key", &self.key)]);
                }
            }
            Ok(()) => {}
            Err(stop) => {
                self.is_held.send_replace(false);
                context.shutdown.fail(stop);
            }
        }
    }

    /// Takes and renews, for ever; ends with a reason to stop.
    async fn hold(&mut self) -> Stop {
        loop {
            let pause_ms = match self.renew().await {
                Ok(true) => {
                    self.seen = None;
                    self.is_held.send_replace(true);
                    self.is_alone.send_replace(true);
                    self.trouble.send_replace(None);
                    RENEW_MS
                }
                Ok(false) if *self.is_held.borrow() => return self.taken("has taken it over"),
                Ok(false) => match self.look().await {
                    Ok(true) => return self.taken("is running"),
                    Ok(false) => {
                        self.waits();
                        LOOK_MS
                    }
                    Err(failure) => self.cannot_ask(&failure),
                },
                // A held lease that cannot be renewed is still held, as far as anybody knows.
                Err(_) if *self.is_held.borrow() => LOOK_MS,
                Err(failure) => self.cannot_ask(&failure),
            };
            sleep(Duration::from_millis(pause_ms)).await;
        }
    }

    /// Takes the lease if it is nobody's, renews it if it is ours. False when it is another's.
    async fn renew(&mut self) -> Result<bool, Failure> {
        let lease_ms = LEASE_MS.to_string();
        self.control.script(RENEW, &[&self.key], &[&self.token, &lease_ms]).await
    }

    async fn release(&mut self) -> Result<(), Failure> {
        self.control.script::<redis::Value>(RELEASE, &[&self.key], &[&self.token]).await.map(drop)
    }

    /// True when somebody else is alive behind the lease: it was renewed, or will not run out.
    async fn look(&mut self) -> Result<bool, Failure> {
        let held: Option<String> = self.control.call(redis::cmd("GET").arg(&self.key)).await?;
        let before = Instant::now();
        let left_ms: i64 = self.control.call(redis::cmd("PTTL").arg(&self.key)).await?;
        // Gone meanwhile: the next step takes it. One without an end is no lease that was left.
        let Some(held) = held.filter(|_| left_ms != -2) else { return Ok(false) };
        let Ok(left_ms) = u64::try_from(left_ms) else { return Ok(true) };
        let ends = before + Duration::from_millis(left_ms);
        let first = self.seen.get_or_insert_with(|| Seen { token: held.clone(), at: before, ends });
        // The end of a lease stands still until it is renewed. What we know of it is as inexact as
        // an answer may be late, which is less than a renewal moves it by.
        let is_renewed = ends > first.ends + Duration::from_millis(RENEW_MS / 2);
        Ok(first.token != held || is_renewed)
    }

    /// Another's lease has not been renewed so far.
    fn waits(&self) {
        let silent = Duration::from_millis(SILENT_MS);
        if self.seen.as_ref().is_some_and(|seen| seen.at.elapsed() >= silent) {
            self.is_alone.send_replace(true);
        }
        self.trouble.send_replace(Some(format!(
            "{} is still leased, perhaps to an earlier life of this process that ended without \
             giving it back; it runs out within {} s.",
            self.key,
            LEASE_MS / 1000
        )));
    }

    /// Says why the lease cannot be asked for, and when to try again.
    fn cannot_ask(&self, failure: &Failure) -> u64 {
        self.is_alone.send_replace(true);
        let words = format!("The lease on this instance's name cannot be had. {}", failure.words);
        self.trouble.send_replace(Some(words));
        LOOK_MS
    }

    fn taken(&self, what: &str) -> Stop {
        Stop::Config(format!(
            "INSTANCE_ID: another process of this name {what}, as {} in Redis shows. Two of one \
             name would each get half of the positions. Give each process an INSTANCE_ID of its \
             own, or end the other one.",
            self.key
        ))
    }
}

/// 128 bits that no other process has drawn.
fn token() -> String {
    let draw = || RandomState::new().hash_one(std::process::id());
    format!("{:016x}{:016x}", draw(), draw())
}
