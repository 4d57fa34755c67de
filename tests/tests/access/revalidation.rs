//! Until when somebody may see an event: looked at again in SQL, never with the cookie.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use engine::id::{EventId, ShardIndex};
use engine::viewer::Decision;
use engine::websocket::CloseCode;
use pitwall::config::{Authority, Config};
use pitwall::context::Context;
use pitwall::live::access::Access;
use pitwall::live::mailbox::{Grant, Grants, Order, mailbox};
use pitwall::live::session::{Cookie, Session};
use pitwall::log::{Level, Log};
use pitwall::shutdown::{Shutdown, Stage};
use pitwall::status::State;
use tests::directus::Kind;
use tests::platform::{self, uuid};
use tests::postgres::{FAST, Postgres};
use tokio::sync::mpsc;
use tokio_postgres::Client;

use crate::world::{PATIENCE, World, viewer};

const COOKIE: &str = "directus_session_token=aaa.bbb.ccc";
const ORGANIZATION: u64 = 100;
const OTHER: u64 = 101;

/// Ids of the fixture: two users and an event of each of two organizations.
const USER: u64 = 9;
const FRIEND: u64 = 8;
const EVENT: u64 = 1;
const FOREIGN: u64 = 2;

struct Race {
    // Dropped in this order: the world ends before its database.
    world: World,
    client: Client,
    _postgres: Postgres,
}

impl Race {
    /// The user and a friend are members of one organization; the other has an event, too.
    async fn start(authority: Authority, adjust: impl FnOnce(&mut Config)) -> Self {
        let postgres = Postgres::start(FAST);
        let client = postgres.connect().await;
        platform::create(&client).await;
        platform::add_event(&client, &uuid(EVENT), &uuid(ORGANIZATION)).await;
        platform::add_event(&client, &uuid(FOREIGN), &uuid(OTHER)).await;
        for user in [USER, FRIEND] {
            platform::add_user(&client, &uuid(user)).await;
            platform::add_member(&client, &uuid(ORGANIZATION), &uuid(user)).await;
        }
        let world = World::start(&postgres.url(), |config| {
            config.live.access.revalidate_ms = 30;
            config.live.access.authority = authority;
            adjust(config);
        });
        for event in [EVENT, FOREIGN] {
            world.directus.allow(COOKIE, &uuid(event));
        }
        Self { world, client, _postgres: postgres }
    }

    /// Subscribes; the grant is what the shard then says.
    async fn watch(&mut self, index: u32, user: u64, event: u64) -> Grant {
        let session = session(&uuid(user));
        // The looks of the meantime are not this test's matter.
        let asked = self.world.ask(&session, id(event)).await;
        loop {
            match self.world.order().await {
                Order::Decide(_, ticket, decision) if ticket == asked => {
                    assert_eq!(decision, Decision::Allowed);
                    return grant(index, &session, vec![id(event)]);
                }
                Order::Grants(_) => {}
                other => panic!("not ordered: {other:?}"),
            }
        }
    }

    /// Looks until a membership has been seen: what was there at subscribe is known from then on.
    async fn settle(&self, grants: &[Grant]) {
        assert_eq!(self.look(grants).await, Vec::<String>::new());
    }

    /// What follows from the first look that has consequences; one may have been under way already.
    async fn withdrawn(&self, grants: &[Grant]) -> Vec<String> {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            let orders = self.look(grants).await;
            if !orders.is_empty() {
                return orders;
            }
        }
        panic!("nothing is withdrawn");
    }

    /// What follows from one look, in words.
    async fn look(&self, grants: &[Grant]) -> Vec<String> {
        let orders = self.world.look(|| grants.iter().map(copy).collect()).await;
        let words = orders.iter().map(|order| match order {
            Order::Revoke(viewer, event) => format!("revoke {} {event}", viewer.index),
            Order::Close(viewer, code, reason) => {
                format!("close {} {} {reason}", viewer.index, code.number())
            }
            other => format!("{other:?}"),
        });
        words.collect()
    }
}

fn session(user: &str) -> Arc<Session> {
    let cookie = Some(Cookie::new(COOKIE.as_bytes()));
    Arc::new(Session { user_id: user.into(), role: None, cookie })
}

fn id(number: u64) -> EventId {
    EventId::parse(uuid(number).as_bytes()).unwrap()
}

fn grant(index: u32, session: &Arc<Session>, events: Vec<EventId>) -> Grant {
    Grant { viewer: viewer(index), session: session.clone(), connected_ms: 0, events }
}

fn copy(grant: &Grant) -> Grant {
    let Grant { viewer, session, connected_ms, events } = grant;
    Grant {
        viewer: *viewer,
        session: session.clone(),
        connected_ms: *connected_ms,
        events: events.clone(),
    }
}

#[tokio::test]
async fn f57_a_lost_membership_takes_the_event_from_every_viewer_of_the_user() {
    for authority in [Authority::Directus, Authority::Membership] {
        let mut race = Race::start(authority, |_| {}).await;
        let grants = [
            race.watch(1, USER, EVENT).await,
            race.watch(2, USER, EVENT).await,
            race.watch(3, FRIEND, EVENT).await,
        ];
        race.settle(&grants).await;
        let calls = race.world.directus.call_count(Kind::Identity);
        platform::remove_member(&race.client, &uuid(ORGANIZATION), &uuid(USER)).await;
        let revoked = race.withdrawn(&grants).await;
        let event = uuid(EVENT);
        assert_eq!(revoked, [format!("revoke 1 {event}"), format!("revoke 2 {event}")]);
        assert_eq!(race.world.directus.call_count(Kind::Identity), calls, "no cookie is replayed");
        assert!(race.world.metric("processor_live_revoked_total") >= 2);
    }
}

#[tokio::test]
async fn f57_what_was_decided_about_a_lost_membership_is_not_reused() {
    let mut race = Race::start(Authority::Membership, |_| {}).await;
    let grants = [race.watch(1, USER, EVENT).await];
    race.settle(&grants).await;
    platform::remove_member(&race.client, &uuid(ORGANIZATION), &uuid(USER)).await;
    race.withdrawn(&grants).await;
    let session = session(&uuid(USER));
    let asked = race.world.ask(&session, id(EVENT)).await;
    loop {
        match race.world.order().await {
            Order::Decide(_, ticket, decision) if ticket == asked => {
                assert_eq!(decision, Decision::Forbidden);
                return;
            }
            _ => {}
        }
    }
}

#[tokio::test]
async fn f57_who_never_had_a_membership_keeps_what_directus_allows() {
    let mut race = Race::start(Authority::Directus, |_| {}).await;
    let grants = [race.watch(1, USER, FOREIGN).await];
    race.settle(&grants).await;
    race.settle(&grants).await;
    // One who gets a membership can lose it.
    platform::add_member(&race.client, &uuid(OTHER), &uuid(USER)).await;
    race.settle(&grants).await;
    race.settle(&grants).await;
    platform::remove_member(&race.client, &uuid(OTHER), &uuid(USER)).await;
    race.withdrawn(&grants).await;
}

#[tokio::test]
async fn f58_a_user_who_is_not_active_any_more_is_logged_out() {
    let mut race = Race::start(Authority::Directus, |_| {}).await;
    let watching = race.watch(1, USER, EVENT).await;
    // A connection that watches nothing belongs to the user, too.
    let idle = grant(2, &watching.session, Vec::new());
    let grants = [watching, idle, race.watch(3, FRIEND, EVENT).await];
    race.settle(&grants).await;
    platform::set_user_status(&race.client, &uuid(USER), "suspended").await;
    let closed = race.withdrawn(&grants).await;
    assert_eq!(closed, ["close 1 4401 unauthorized", "close 2 4401 unauthorized"]);
    platform::set_user_status(&race.client, &uuid(USER), "active").await;
    // A look that was under way still closes.
    race.look(&grants).await;
    let gone = format!("DELETE FROM directus_users WHERE id = '{}'", uuid(FRIEND));
    race.client.batch_execute(&gone).await.unwrap();
    let closed = race.withdrawn(&grants).await;
    assert_eq!(closed, ["close 3 4401 unauthorized"]);
}

#[tokio::test]
async fn f58_a_session_ends_when_it_is_too_old_also_without_a_database() {
    let world = World::start("postgres://nobody@127.0.0.1:1/none", |config| {
        config.live.access.revalidate_ms = 30;
        config.live.access.session_max_ms = 1;
    });
    let old = grant(1, &session("no uuid"), Vec::new());
    let orders = world.look(|| vec![copy(&old)]).await;
    let [Order::Close(closed, CloseCode::UNAUTHORIZED, "session too old")] = orders[..] else {
        panic!("not ordered: {orders:?}");
    };
    assert_eq!(closed, viewer(1));
}

#[tokio::test]
async fn f60_without_a_database_old_sessions_of_every_shard_end() {
    let mut config = Config::new("redis://127.0.0.1:1", "postgres://nobody@127.0.0.1:1/none");
    config.live.access.revalidate_ms = 30;
    config.live.access.session_max_ms = 1;
    let log = Log::to(Level::Error, "access", io::sink());
    let context = Context::new(config, log, Shutdown::default());
    let shards = [0, 1, 2].map(|index| mailbox(ShardIndex(index)).unwrap());
    let (addresses, mailboxes): (Vec<_>, Vec<_>) = shards.into_iter().unzip();
    let (_asks, receiver) = mpsc::channel(1);
    tokio::spawn(Access::new(&context).run(receiver, addresses.into()));
    let played = tokio::task::spawn_blocking(move || {
        for (index, mailbox) in (0..).zip(&mailboxes) {
            let next = || mailbox.orders.recv_timeout(PATIENCE).expect("an order comes in time");
            let Order::Grants(to) = next() else { panic!("who watches what is asked first") };
            // About the young one PostgreSQL has to be asked, and it is not there.
            let (old, mut young) = (
                grant(1, &session("u"), Vec::new()),
                grant(2, &session(&uuid(USER)), vec![id(EVENT)]),
            );
            young.connected_ms = u64::MAX;
            to.try_send(Grants { shard: ShardIndex(index), grants: vec![old, young] }).unwrap();
            drop(to);
            let order = next();
            assert!(
                matches!(order, Order::Close(closed, CloseCode::UNAUTHORIZED, _) if closed == viewer(1)),
                "shard {index}: {order:?}"
            );
        }
    });
    played.await.unwrap();
    context.shutdown.advance(Stage::Farewell);
}

#[tokio::test]
async fn f59_an_event_that_moves_to_another_organization_takes_its_viewers_right() {
    let mut race = Race::start(Authority::Directus, |_| {}).await;
    let grants = [race.watch(1, USER, EVENT).await];
    race.settle(&grants).await;
    let moved = format!(
        "UPDATE events SET organization_id = '{}' WHERE id = '{}'",
        uuid(OTHER),
        uuid(EVENT)
    );
    race.client.batch_execute(&moved).await.unwrap();
    let revoked = race.withdrawn(&grants).await;
    assert_eq!(revoked, [format!("revoke 1 {}", uuid(EVENT))]);
}

#[tokio::test]
async fn f60_without_the_database_everybody_keeps_everything_until_it_is_back() {
    let mut race = Race::start(Authority::Directus, |_| {}).await;
    let grants = [race.watch(1, USER, EVENT).await];
    race.settle(&grants).await;
    platform::remove_member(&race.client, &uuid(ORGANIZATION), &uuid(USER)).await;
    platform::set_user_status(&race.client, &uuid(FRIEND), "suspended").await;
    race.client.batch_execute("ALTER TABLE organization_users RENAME TO away").await.unwrap();
    // One look may have come between the statements.
    race.look(&grants).await;
    assert_eq!(race.look(&grants).await, Vec::<String>::new());
    let report = race.world.component("revalidation", State::Impaired).await;
    assert!(report.effect.contains("keeps what they watch"), "{report:?}");
    race.client.batch_execute("ALTER TABLE away RENAME TO organization_users").await.unwrap();
    race.withdrawn(&grants).await;
    race.world.component("revalidation", State::Working).await;
}

#[tokio::test]
async fn f60_users_that_cannot_be_seen_are_not_gone() {
    let mut race = Race::start(Authority::Directus, |_| {}).await;
    let grants = [race.watch(1, USER, EVENT).await];
    race.settle(&grants).await;
    race.client.batch_execute("DELETE FROM directus_users").await.unwrap();
    race.look(&grants).await;
    assert_eq!(race.look(&grants).await, Vec::<String>::new());
    let report = race.world.component("revalidation", State::Impaired).await;
    assert!(report.reason.contains("directus_users looks empty"), "{report:?}");
}

#[tokio::test]
async fn t27_losing_one_organization_leaves_the_other() {
    let mut race = Race::start(Authority::Membership, |_| {}).await;
    platform::add_member(&race.client, &uuid(OTHER), &uuid(USER)).await;
    let mut both = race.watch(1, USER, EVENT).await;
    both.events.extend(race.watch(1, USER, FOREIGN).await.events);
    let grants = [both];
    race.settle(&grants).await;
    platform::remove_member(&race.client, &uuid(OTHER), &uuid(USER)).await;
    let revoked = race.withdrawn(&grants).await;
    assert_eq!(revoked, [format!("revoke 1 {}", uuid(FOREIGN))]);
}

#[tokio::test]
async fn f60_a_database_that_dies_and_comes_back_withdraws_late_and_nothing_wrongly() {
    let mut race = Race::start(Authority::Directus, |_| {}).await;
    let grants = [race.watch(1, USER, EVENT).await];
    race.settle(&grants).await;
    let ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
        WHERE application_name LIKE 'pitwall%'";
    race.client.batch_execute(ended).await.unwrap();
    platform::remove_member(&race.client, &uuid(ORGANIZATION), &uuid(USER)).await;
    assert_eq!(race.withdrawn(&grants).await, [format!("revoke 1 {}", uuid(EVENT))]);
}
