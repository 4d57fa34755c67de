//! The lease on the name of this instance: two processes of one name would split one group, and each
//! would show its viewers half of the positions.
//!
//! It is a key in Redis with a random token that runs out unless it is renewed. Whoever finds it
//! renewed by another is the second of its name and stops. That Redis is away is no reason to stop:
//! then nobody can read.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use crate::context::Context;
use crate::error::Stop;
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
const RELEASE_MS_MAX: u64 = 2_000;

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

/// What is told of the lease while it is kept.
#[derive(Debug)]
pub struct Told {
    /// Whether it is ours.
    pub is_held: watch::Sender<bool>,
    /// Becomes true when nothing speaks for a living process of the same name any more: the lease is
    /// ours, or nobody renews it, or Redis cannot be asked and so nobody can read.
    pub is_alone: watch::Sender<bool>,
}

/// Takes the lease, says so, keeps it until `given_up`, and gives it back.
///
/// `trouble` is told in words why the lease is not held, and nothing when it is.
pub async fn keep(
    context: Context,
    server: Server,
    told: Told,
    trouble: impl Fn(Option<String>),
    given_up: impl Future<Output = ()>,
) {
    let control = match Control::new(&server) {
        Ok(control) => control,
        Err(failure) => return context.shutdown.fail(Stop::Config(failure.words)),
    };
    let key = key(&context.config.instance_id);
    let mut lease = Lease { control, key, token: token(), seen: None };
    let kept = tokio::select! {
        biased;
        () = given_up => Ok(()),
        stop = lease.hold(&told, &trouble) => Err(stop),
    };
    match kept {
        Ok(()) if *told.is_held.borrow() => {
            let within = Duration::from_millis(RELEASE_MS_MAX);
            let released = timeout(within, lease.release()).await;
            if !matches!(released, Ok(Ok(()))) {
                let words = "the lease could not be given back and will run out by itself";
                context.log.warn(words, &[("key", &lease.key)]);
            }
        }
        Ok(()) => {}
        Err(stop) => {
            told.is_held.send_replace(false);
            context.shutdown.fail(stop);
        }
    }
}

struct Lease {
    control: Control,
    key: String,
    token: String,
    seen: Option<Seen>,
}

/// Another's lease, as it was when it was first seen.
struct Seen {
    token: String,
    at: Instant,
    ends: Instant,
}

impl Lease {
    /// Takes and renews, for ever; ends with a reason to stop.
    async fn hold(&mut self, told: &Told, trouble: &impl Fn(Option<String>)) -> Stop {
        let is_held = &told.is_held;
        loop {
            let pause_ms = match self.renew().await {
                Ok(true) => {
                    self.seen = None;
                    is_held.send_replace(true);
                    told.is_alone.send_replace(true);
                    trouble(None);
                    RENEW_MS
                }
                Ok(false) if *is_held.borrow() => return self.taken("has taken it over"),
                Ok(false) => match self.look().await {
                    Ok(true) => return self.taken("is running"),
                    Ok(false) => {
                        let silent = Duration::from_millis(SILENT_MS);
                        if self.seen.as_ref().is_some_and(|seen| seen.at.elapsed() >= silent) {
                            told.is_alone.send_replace(true);
                        }
                        trouble(Some(format!(
                            "{} is still leased, perhaps to an earlier life of this process that \
                             ended without giving it back; it runs out within {} s.",
                            self.key,
                            LEASE_MS / 1000
                        )));
                        LOOK_MS
                    }
                    Err(failure) => cannot_ask(told, trouble, &failure),
                },
                // A held lease that cannot be renewed is still held, as far as anybody knows.
                Err(_) if *is_held.borrow() => LOOK_MS,
                Err(failure) => cannot_ask(told, trouble, &failure),
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

    fn taken(&self, what: &str) -> Stop {
        Stop::Config(format!(
            "INSTANCE_ID: another process of this name {what}, as {} in Redis shows. Two of one \
             name would each show half of the positions. Give each process an INSTANCE_ID of its \
             own, or end the other one.",
            self.key
        ))
    }
}

/// Says why the lease cannot be asked for, and when to try again.
fn cannot_ask(told: &Told, trouble: &impl Fn(Option<String>), failure: &Failure) -> u64 {
    told.is_alone.send_replace(true);
    trouble(Some(format!("The lease on this instance's name cannot be had. {}", failure.words)));
    LOOK_MS
}

/// 128 bits that no other process has drawn.
fn token() -> String {
    let draw = || RandomState::new().hash_one(std::process::id());
    format!("{:016x}{:016x}", draw(), draw())
}
