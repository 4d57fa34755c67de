//! Who may see an event: the two authorities, single flight, reuse, and an answer in time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::id::EventId;
use engine::viewer::Decision;
use engine::websocket::CloseCode;
use pitwall::config::{Authority, Config};
use pitwall::live::mailbox::Order;
use pitwall::live::session::{Cookie, Session};
use tests::directus::{Kind, Mode};
use tests::platform::{self, uuid};
use tests::postgres::{FAST, Postgres};

use crate::world::{World, known, viewer};

const COOKIE: &str = "directus_session_token=aaa.bbb.ccc";

fn session(user: &str) -> Arc<Session> {
    let cookie = Some(Cookie::new(COOKIE.as_bytes()));
    Arc::new(Session { user_id: user.into(), role: None, cookie })
}

fn event(number: u64) -> EventId {
    EventId::parse(uuid(number).as_bytes()).unwrap()
}

fn by_membership(config: &mut Config) {
    config.live.access.authority = Authority::Membership;
}

#[tokio::test]
async fn directus_decides_by_its_own_rules() {
    let mut world = World::without_database();
    world.directus.allow(COOKIE, &uuid(1));
    let user = session(&uuid(9));
    assert_eq!(world.decide(&user, event(1)).await, Decision::Allowed);
    assert_eq!(world.decide(&user, event(2)).await, Decision::Forbidden);
    for (number, mode, expected) in [
        (3, Mode::Status(404), Decision::NotFound),
        (4, Mode::Status(403), Decision::Forbidden),
        (5, Mode::Status(401), Decision::Undecided),
        (6, Mode::Status(500), Decision::Undecided),
        (7, Mode::Redirects, Decision::Undecided),
        (8, Mode::Body("<html>".to_owned()), Decision::Undecided),
        (9, Mode::Body(format!(r#"{{"data":{{"id":"{}"}}}}"#, uuid(1))), Decision::Undecided),
        (10, Mode::LongBody, Decision::Undecided),
        (11, Mode::CutsBody, Decision::Undecided),
        (12, Mode::Refuses, Decision::Undecided),
    ] {
        world.directus.set(&mode);
        assert_eq!(world.decide(&user, event(number)).await, expected, "{mode:?}");
    }
    assert_eq!(world.metric("processor_live_decisions_total{result=\"undecided\"}"), 8);
}

#[tokio::test]
async fn a_decision_is_reused_and_a_failure_is_not() {
    let mut world = World::without_database();
    let (user, other) = (session(&uuid(9)), session(&uuid(8)));
    world.directus.set(&Mode::Status(500));
    assert_eq!(world.decide(&user, event(1)).await, Decision::Undecided);
    world.directus.set(&Mode::Knows);
    world.directus.allow(COOKIE, &uuid(1));
    for _ in 0..10 {
        assert_eq!(world.decide(&user, event(1)).await, Decision::Allowed);
        assert_eq!(world.decide(&user, event(2)).await, Decision::Forbidden);
    }
    assert_eq!(world.directus.call_count(Kind::Event), 3);
    // Another user is another question, also with the same cookie.
    assert_eq!(world.decide(&other, event(1)).await, Decision::Allowed);
    assert_eq!(world.directus.call_count(Kind::Event), 4);
}

#[tokio::test]
async fn f55_a_subscribe_storm_of_one_user_makes_one_call() {
    let mut world = World::without_database();
    world.directus.allow(COOKIE, &uuid(1));
    world.directus.set(&Mode::Holds);
    let user = session(&uuid(9));
    let mut asked = Vec::new();
    for _ in 0..500 {
        asked.push(world.ask(&user, event(1)).await);
    }
    world.directus.called(1).await;
    world.directus.set(&Mode::Knows);
    let mut answered = Vec::new();
    for _ in 0..500 {
        match world.order().await {
            Order::Decide(_, ticket, Decision::Allowed) => answered.push(ticket),
            other => panic!("expected to be allowed, but {other:?}"),
        }
    }
    answered.sort_unstable();
    assert_eq!(answered, asked, "each question has exactly one answer");
    assert_eq!(world.directus.call_count(Kind::Event), 1);
}

#[tokio::test]
async fn f56_directus_dies_between_login_and_subscribe() {
    let mut world = World::without_database();
    world.directus.log_in(COOKIE, &uuid(9));
    world.directus.allow(COOKIE, &uuid(1));
    let user = known(world.identify(COOKIE).await);
    world.directus.set(&Mode::Refuses);
    assert_eq!(world.decide(&user, event(1)).await, Decision::Undecided);
    world.directus.set(&Mode::Knows);
    assert_eq!(world.decide(&user, event(1)).await, Decision::Allowed);
}

#[tokio::test]
async fn an_answer_comes_within_five_seconds_whatever_directus_does() {
    let mut world = World::start("postgres://nobody@127.0.0.1:1/none", |config| {
        config.live.limits.calls_max = 1;
    });
    world.directus.set(&Mode::Holds);
    let user = session(&uuid(9));
    let began = Instant::now();
    // The second one does not even get its turn.
    world.ask(&user, event(1)).await;
    world.ask(&user, event(2)).await;
    for _ in 0..2 {
        let order = world.order().await;
        assert!(matches!(order, Order::Decide(_, _, Decision::Undecided)), "{order:?}");
    }
    let took = began.elapsed();
    assert!(took < Duration::from_millis(4_900), "it took {took:?}");
}

#[tokio::test]
async fn a_crowd_at_the_door_does_not_hold_up_who_is_inside() {
    let mut world = World::without_database();
    world.directus.allow(COOKIE, &uuid(1));
    world.directus.set_for(Kind::Identity, Mode::Holds);
    let crowd: Vec<_> = (0..100)
        .map(|number| {
            let access = world.access.clone();
            let cookie = Cookie::new(format!("a={number}").as_bytes());
            tokio::spawn(async move { access.identify(Some(cookie)).await })
        })
        .collect();
    world.directus.in_flight(24).await;
    assert_eq!(world.decide(&session(&uuid(9)), event(1)).await, Decision::Allowed);
    world.directus.set(&Mode::Knows);
    for connection in crowd {
        connection.await.unwrap();
    }
}

#[tokio::test]
async fn a_full_mailbox_delays_a_decision_and_loses_none() {
    let mut world = World::without_database();
    world.directus.allow(COOKIE, &uuid(1));
    let user = session(&uuid(9));
    assert_eq!(world.decide(&user, event(1)).await, Decision::Allowed);
    let fill = || Order::Close(viewer(1), CloseCode::RESTART, "filling");
    while world.address.order(fill()).is_ok() {}
    // One that is remembered and one that is not.
    let mut asked = vec![world.ask(&user, event(1)).await, world.ask(&user, event(2)).await];
    while !asked.is_empty() {
        match world.order().await {
            Order::Close(..) => {}
            Order::Decide(_, ticket, _) => asked.retain(|&other| other != ticket),
            other => panic!("not ordered: {other:?}"),
        }
    }
}

#[tokio::test]
async fn t15_a_foreign_event_is_refused_like_one_that_does_not_exist() {
    let postgres = Postgres::start(FAST);
    let client = postgres.connect().await;
    platform::create(&client).await;
    let (own, foreign, user) = (uuid(100), uuid(101), uuid(9));
    platform::add_event(&client, &uuid(1), &own).await;
    platform::add_event(&client, &uuid(2), &foreign).await;
    platform::add_user(&client, &user).await;
    platform::add_member(&client, &own, &user).await;
    let mut world = World::start(&postgres.url(), by_membership);
    let session = session(&user);
    assert_eq!(world.decide(&session, event(1)).await, Decision::Allowed);
    assert_eq!(world.decide(&session, event(2)).await, Decision::Forbidden);
    assert_eq!(world.decide(&session, event(3)).await, Decision::Forbidden);
    assert_eq!(world.directus.call_count(Kind::Event), 0);
}

#[tokio::test]
async fn f56_membership_is_decided_while_directus_is_down() {
    let postgres = Postgres::start(FAST);
    let client = postgres.connect().await;
    platform::create(&client).await;
    let user = uuid(9);
    platform::add_event(&client, &uuid(1), &uuid(100)).await;
    platform::add_member(&client, &uuid(100), &user).await;
    let mut world = World::start(&postgres.url(), by_membership);
    world.directus.log_in(COOKIE, &user);
    let session = known(world.identify(COOKIE).await);
    assert_eq!(session.cookie, None, "a cookie that is not needed any more is not kept");
    world.directus.set(&Mode::Refuses);
    assert_eq!(world.decide(&session, event(1)).await, Decision::Allowed);
}

#[tokio::test]
async fn d5_odd_rows_make_nobody_a_member() {
    let postgres = Postgres::start(FAST);
    let client = postgres.connect().await;
    platform::create(&client).await;
    let (user, own) = (uuid(9), uuid(100));
    platform::add_event(&client, &uuid(1), &own).await;
    client
        .batch_execute(&format!(
            "INSERT INTO events (id) VALUES ('{no_organization}');
             INSERT INTO events (id, organization_id) VALUES ('{dangling}', '{nowhere}');
             INSERT INTO organization_users (organization_id, user_id) VALUES
                (NULL, '{user}'), ('{own}', NULL), ('{own}', '{user}'), ('{own}', '{user}');",
            no_organization = uuid(2),
            dangling = uuid(3),
            nowhere = uuid(404),
        ))
        .await
        .unwrap();
    let mut world = World::start(&postgres.url(), by_membership);
    // Twice a member, without a role.
    assert_eq!(world.decide(&session(&user), event(1)).await, Decision::Allowed);
    for number in [2, 3, 4] {
        assert_eq!(world.decide(&session(&user), event(number)).await, Decision::Forbidden);
    }
    for stranger in ["", "admin", "'; DROP TABLE events; --", "{0}", &uuid(8)] {
        assert_eq!(world.decide(&session(stranger), event(1)).await, Decision::Forbidden);
    }
    // A uuid may be written in capitals.
    let capitals = session(&user.to_uppercase());
    assert_eq!(world.decide(&capitals, event(1)).await, Decision::Allowed);
}

#[tokio::test]
async fn without_a_database_membership_is_undecided_and_asked_again() {
    let mut world = World::start("postgres://nobody@127.0.0.1:1/none", by_membership);
    assert_eq!(world.decide(&session(&uuid(9)), event(1)).await, Decision::Undecided);
    assert_eq!(world.metric("processor_live_access_reused_total{kind=\"decision\"}"), 0);
}
