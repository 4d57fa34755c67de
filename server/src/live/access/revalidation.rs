//! Withdraws what is not allowed any more, once in a while and in SQL only.
//!
//! A cookie is never sent again for this: Directus replaces session tokens, so an old one would make
//! a good user look like nobody. If the database cannot be asked, everything stays as it is.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::TryRecvError;
use engine::websocket::CloseCode;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

use super::Access;
use super::deliver::deliver;
use super::memberships::{Pair, Uuid};
use super::question::EventKey;
use crate::live::mailbox::{Address, Grant, Grants, Order};
use crate::shutdown::Stage;
use crate::status::State;

/// Pairs or users of one query: some 80 KB of parameters.
const BATCH_COUNT_MAX: usize = 1_000;

/// Pieces of a shard's answer that may wait, of some 100 KB each. They are collected as they come.
const PIECES_MAX: usize = 64;

/// How long a shard may take to say who watches what, or to take one order.
const SHARD_MS_MAX: u64 = 10_000;

/// Between two looks for the next piece.
const LOOK_MS: u64 = 2;

/// How often ages are looked at when memberships are not.
const AGE_INTERVAL_MS: u64 = 60_000;

/// For each pair, in order: has it a membership now? By the organization that the event has now, so
/// an event that was moved takes its viewers' right with it. One pass over the memberships serves all
/// pairs, whether or not there is an index on them.
const MEMBERS: &str = "\
    SELECT coalesce((e.organization_id, p.user_id) \
      IN (SELECT organization_id, user_id FROM organization_users), false) \
    FROM unnest($1::text[]::uuid[], $2::text[]::uuid[]) \
      WITH ORDINALITY AS p(user_id, event_id, place) \
    LEFT JOIN events e ON e.id = p.event_id ORDER BY p.place";

/// For each user, in order: are they there and active? The last column is false when no user at all
/// can be seen: then it is not this one who is gone.
const ACTIVE: &str = "\
    SELECT coalesce(u.status = 'active', false), EXISTS (SELECT FROM directus_users) \
    FROM unnest($1::text[]::uuid[]) WITH ORDINALITY AS p(user_id, place) \
    LEFT JOIN LATERAL (SELECT d.status::text FROM directus_users d WHERE d.id = p.user_id LIMIT 1) u \
      ON true ORDER BY p.place";

/// Looks once in a while, until dropped. It ends only with the process, or by a panic.
pub(super) async fn run(access: Arc<Access>, shards: Arc<[Address]>) {
    tokio::join!(learn(access.clone()), look(access, shards));
}

/// Learns the memberships of those who have just begun to watch.
async fn learn(access: Arc<Access>) {
    while access.context.shutdown.stage() < Stage::Closing {
        let pairs = access.memberships.wonders(BATCH_COUNT_MAX).await;
        // What cannot be learned now is learned by the next look.
        if let Ok(members) = access.members(&pairs).await {
            for (pair, is_member) in pairs.into_iter().zip(members) {
                access.memberships.learn(pair, is_member);
            }
        }
    }
}

async fn look(access: Arc<Access>, shards: Arc<[Address]>) {
    let settings = &access.context.config.live.access;
    let is_on = settings.revalidate_ms > 0;
    if !is_on && settings.session_max_ms == 0 {
        return;
    }
    let component = is_on.then(|| access.context.status.component("revalidation", None));
    let period = if is_on { settings.revalidate_ms } else { AGE_INTERVAL_MS };
    let period = Duration::from_millis(period);
    let mut ticks = interval_at(Instant::now() + period, period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut passes = JoinSet::new();
    while access.context.shutdown.stage() < Stage::Closing {
        ticks.tick().await;
        let pass = Pass { access: access.clone(), is_on };
        passes.spawn(pass.run(shards.clone()));
        let result = match passes.join_next().await {
            Some(Ok(result)) => result,
            _ => Err("It broke off; this is a mistake in the program.".to_owned()),
        };
        let meter = &access.meter;
        if result.is_ok() { &meter.passes_done } else { &meter.passes_failed }.increment();
        let Some(component) = &component else { continue };
        match result {
            Ok(()) => component.is_working("Memberships are looked at again."),
            Err(reason) => component.set(
                State::Impaired,
                &format!("Memberships cannot be looked at again. {reason}"),
                "Who has lost a membership keeps what they watch until this works again.",
                "See whether PostgreSQL runs and has the tables events, organization_users and \
                 directus_users.",
            ),
        }
    }
}

/// One look at everybody. It holds what all viewers watch, some 15 MB for 100,000 of them with an
/// event each.
struct Pass {
    access: Arc<Access>,
    is_on: bool,
}

impl Pass {
    /// Whatever fails, everybody else is looked at: a shard that is stuck must not keep the others'
    /// viewers, and a database that is away must not keep old sessions. The first failure is told.
    async fn run(self, shards: Arc<[Address]>) -> Result<(), String> {
        let mut result = Ok(());
        let mut watched = Vec::with_capacity(shards.len());
        for address in &*shards {
            let mut grants = match collect(address).await {
                Ok(grants) => grants,
                Err(reason) => {
                    result = result.and(Err(reason));
                    continue;
                }
            };
            result = result.and(self.close_old(address, &mut grants).await);
            if self.is_on {
                watched.push((address, grants));
            }
        }
        for (address, mut grants) in watched {
            result = result.and(self.close_inactive(address, &mut grants).await);
            result = result.and(self.revoke(address, &grants).await);
        }
        self.access.memberships.sweep();
        result
    }

    /// Closes who has been connected for too long: a session ends some time.
    async fn close_old(&self, address: &Address, grants: &mut Vec<Grant>) -> Result<(), String> {
        let age_ms_max = self.access.context.config.live.access.session_max_ms;
        if age_ms_max == 0 {
            return Ok(());
        }
        let now_ms = self.access.context.clock.monotonic_ms();
        let (old, young) = std::mem::take(grants).into_iter().partition(|grant: &Grant| {
            now_ms.saturating_sub(grant.connected_ms) > age_ms_max_of(grant, age_ms_max)
        });
        *grants = young;
        for grant in &old {
            let close = Order::Close(grant.viewer, CloseCode::UNAUTHORIZED, "session too old");
            hand(address, close).await?;
            self.access.meter.closed_old.increment();
        }
        Ok(())
    }

    /// Closes whose user is not active any more.
    async fn close_inactive(
        &self,
        address: &Address,
        grants: &mut Vec<Grant>,
    ) -> Result<(), String> {
        let mut users: Vec<Uuid> = grants.iter().filter_map(user_of).collect();
        users.sort_unstable();
        users.dedup();
        let mut is_active: HashMap<Uuid, bool> = HashMap::with_capacity(users.len());
        for batch in users.chunks(BATCH_COUNT_MAX) {
            let active = self.access.active(batch).await?;
            is_active.extend(batch.iter().copied().zip(active));
        }
        let is_gone = |grant: &Grant| user_of(grant).is_some_and(|user| !is_active[&user]);
        let (gone, rest) = std::mem::take(grants).into_iter().partition(is_gone);
        *grants = rest;
        for grant in &gone {
            for &event in &grant.events {
                self.access.forget(grant, event);
            }
            let reason = CloseCode::UNAUTHORIZED.reason();
            hand(address, Order::Close(grant.viewer, CloseCode::UNAUTHORIZED, reason)).await?;
            self.access.meter.closed_inactive.increment();
        }
        Ok(())
    }

    /// Takes back the events of those who had a membership and have none now.
    async fn revoke(&self, address: &Address, grants: &[Grant]) -> Result<(), String> {
        let watched = grants.iter().flat_map(|grant| {
            let pair = move |&event| Some((grant, Pair { user: user_of(grant)?, event }));
            grant.events.iter().filter_map(pair)
        });
        let watched: Vec<(&Grant, Pair)> = watched.collect();
        for batch in watched.chunks(BATCH_COUNT_MAX) {
            let pairs: Vec<Pair> = batch.iter().map(|&(_, pair)| pair).collect();
            let members = self.access.members(&pairs).await?;
            for (&(grant, pair), is_member) in batch.iter().zip(members) {
                if is_member || self.access.memberships.had(pair).is_none() {
                    self.access.memberships.learn(pair, is_member);
                    continue;
                }
                // Also the withdrawn one: another viewer of the same user may follow.
                self.access.memberships.touch(pair);
                if self.access.memberships.had(pair) == Some(true) {
                    // First, or whoever is told and asks again at once is allowed again.
                    self.access.forget(grant, pair.event);
                    hand(address, Order::Revoke(grant.viewer, pair.event)).await?;
                    self.access.meter.revoked.increment();
                }
            }
        }
        Ok(())
    }
}

impl Access {
    /// Does not reuse what was decided about this user and event.
    fn forget(&self, grant: &Grant, event: engine::id::EventId) {
        self.decisions.forget(&EventKey { user_id: grant.session.user_id.clone(), event });
    }

    async fn members(&self, pairs: &[Pair]) -> Result<Vec<bool>, String> {
        let users: Vec<String> = pairs.iter().map(|pair| pair.user.to_string()).collect();
        let events: Vec<String> = pairs.iter().map(|pair| pair.event.to_string()).collect();
        let rows = self.database.query(MEMBERS, &[&users, &events]).await;
        let rows = rows.map_err(|error| error.words)?;
        let members: Result<Vec<bool>, _> = rows.iter().map(|row| row.try_get(0)).collect();
        whole(members.map_err(|_| UNREADABLE)?, pairs.len())
    }

    async fn active(&self, users: &[Uuid]) -> Result<Vec<bool>, String> {
        let ids: Vec<String> = users.iter().map(Uuid::to_string).collect();
        let rows = self.database.query(ACTIVE, &[&ids]).await.map_err(|error| error.words)?;
        let flags: Result<Vec<(bool, bool)>, tokio_postgres::Error> =
            rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect();
        let flags = flags.map_err(|_| UNREADABLE)?;
        if flags.iter().any(|&(_, sees_users)| !sees_users) {
            let words = "The table directus_users looks empty: may the database user read it?";
            return Err(words.to_owned());
        }
        whole(flags.into_iter().map(|(is_active, _)| is_active).collect(), users.len())
    }
}

const UNREADABLE: &str = "The database answered with other types than expected.";

/// An answer for each question, or none at all: a missing row must not shift the others.
fn whole(answers: Vec<bool>, count: usize) -> Result<Vec<bool>, String> {
    if answers.len() == count { Ok(answers) } else { Err(UNREADABLE.to_owned()) }
}

fn user_of(grant: &Grant) -> Option<Uuid> {
    Uuid::parse(&grant.session.user_id)
}

/// The greatest age of one viewer: up to a tenth more or less, so that those who came together do
/// not all go together.
fn age_ms_max_of(grant: &Grant, age_ms_max: u64) -> u64 {
    let id = u64::from(grant.viewer.index) << 32 | u64::from(grant.viewer.generation);
    let mixed = (id ^ grant.connected_ms).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    let per_mille = 900 + mixed % 201;
    u64::try_from(u128::from(age_ms_max) * u128::from(per_mille) / 1_000).unwrap_or(u64::MAX)
}

/// Asks a shard who watches what.
async fn collect(address: &Address) -> Result<Vec<Grant>, String> {
    let (sender, receiver) = crossbeam_channel::bounded::<Grants>(PIECES_MAX);
    hand(address, Order::Grants(sender)).await?;
    let mut grants = Vec::new();
    let pieces = async {
        loop {
            match receiver.try_recv() {
                Ok(piece) => grants.extend(piece.grants),
                Err(TryRecvError::Disconnected) => return,
                Err(TryRecvError::Empty) => {
                    tokio::time::sleep(Duration::from_millis(LOOK_MS)).await;
                }
            }
        }
    };
    let limit = Duration::from_millis(SHARD_MS_MAX);
    timeout(limit, pieces)
        .await
        .map_err(|_| "A shard does not say who watches what.".to_owned())?;
    Ok(grants)
}

/// Gives an order to a shard, which must take it in time: a shard that is stuck must not keep the
/// others' viewers from being looked at for ever.
async fn hand(address: &Address, order: Order) -> Result<(), String> {
    let limit = Duration::from_millis(SHARD_MS_MAX);
    let delivered = timeout(limit, deliver(address, order)).await;
    delivered.map_err(|_| "A shard takes no orders.".to_owned())
}
