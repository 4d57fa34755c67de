//! Access with the real Directus: its cookies, its answers, its rules.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

/// Skipped where Directus is not installed, by this name.
mod real_directus {
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use engine::id::{EventId, ShardIndex, ViewerId};
    use engine::shard::Question;
    use engine::viewer::Decision;
    use pitwall::config::{Authority, Config};
    use pitwall::context::Context;
    use pitwall::live::access::{Access, Identity};
    use pitwall::live::mailbox::{Ask, Grant, Grants, Order, mailbox};
    use pitwall::live::session::{Cookie, Session};
    use pitwall::log::{Level, Log};
    use pitwall::shutdown::{Shutdown, Stage};
    use serde_json::json;
    use tests::directus::real::RealDirectus;
    use tests::platform::uuid;
    use tokio::sync::mpsc;

    const OWN: u64 = 100;
    const FOREIGN: u64 = 101;

    fn context(directus: &RealDirectus, authority: Authority) -> Context {
        let mut config = Config::new("redis://127.0.0.1:1", &directus.postgres.url());
        "127.0.0.1".clone_into(&mut config.directus.host);
        config.directus.port = directus.port();
        // On a busy machine Node takes its time; what is late is the stub's matter.
        config.directus.auth_timeout_ms = 30_000;
        config.live.access.authority = authority;
        let log = Log::to(Level::Debug, "real", std::io::sink());
        Context::new(config, log, Shutdown::default())
    }

    /// Who holds the cookie, without anything remembered.
    async fn identify(directus: &RealDirectus, cookie: &str) -> Identity {
        let access = Access::new(&context(directus, Authority::Directus));
        access.identify(Some(Cookie::new(cookie.as_bytes()))).await
    }

    async fn known(directus: &RealDirectus, cookie: &str) -> Arc<Session> {
        match identify(directus, cookie).await {
            Identity::Known(session) => session,
            other => panic!("expected a user, but {other:?}"),
        }
    }

    async fn is_nobody(directus: &RealDirectus, cookie: &str) {
        let identity = identify(directus, cookie).await;
        assert!(matches!(identity, Identity::Unauthorized), "{identity:?}");
    }

    /// May the user see the event?
    async fn decide(
        directus: &RealDirectus,
        authority: Authority,
        session: &Arc<Session>,
        event: &str,
    ) -> Decision {
        let context = context(directus, authority);
        let (address, orders) = mailbox(ShardIndex(0)).unwrap();
        let (asks, receiver) = mpsc::channel(1);
        let access = Access::new(&context);
        let run = tokio::spawn(access.run(receiver, [address].into()));
        let event = EventId::parse(event.as_bytes()).unwrap();
        let viewer = ViewerId { index: 0, generation: 0 };
        let question = Question { viewer, ticket: 0, event };
        let ask = Ask { shard: ShardIndex(0), question, session: session.clone() };
        asks.send(ask).await.unwrap();
        let order = tokio::task::spawn_blocking(move || {
            orders.orders.recv_timeout(Duration::from_secs(10))
        });
        let order = order.await.unwrap().unwrap();
        context.shutdown.advance(Stage::Closing);
        run.await.unwrap();
        match order {
            Order::Decide(_, _, decision) => decision,
            other => panic!("expected a decision, but {other:?}"),
        }
    }

    /// An organization with an event and a user, and another organization with an event.
    fn race() -> (RealDirectus, String) {
        let directus = RealDirectus::start();
        let user = directus.add_user("racer");
        for organization in [OWN, FOREIGN] {
            let name = json!({ "id": uuid(organization), "name": "An organization" });
            directus.add("organizations", &name);
            let event = json!({
                "id": uuid(organization + 10),
                "organization_id": uuid(organization),
                "name": "A race",
            });
            directus.add("events", &event);
        }
        let member = json!({ "organization_id": uuid(OWN), "user_id": user, "role": "member" });
        directus.add("organization_users", &member);
        (directus, user)
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_session_is_known_until_it_ends_by_any_of_its_ends() {
        let (directus, user) = race();
        let cookie = directus.log_in("racer");
        assert_eq!(*known(&directus, &cookie).await.user_id, user);
        // A browser sends other cookies, too.
        known(&directus, &format!("theme=dark; {cookie}; lang=en")).await;

        for garbage in ["theme=dark", "directus_session_token=garbage", "directus_session_token="] {
            is_nobody(&directus, garbage).await;
        }
        let broken = format!("{}{}", &cookie[..cookie.len() - 4], "AAAA");
        is_nobody(&directus, &broken).await;

        directus.log_out(&cookie);
        is_nobody(&directus, &cookie).await;

        let cookie = directus.log_in("racer");
        directus.change_user(&user, &json!({ "status": "suspended" }));
        is_nobody(&directus, &cookie).await;
        directus.change_user(&user, &json!({ "status": "active" }));

        let _other = directus.add_user("other");
        let other = known(&directus, &directus.log_in("other")).await;
        let cookie = directus.log_in("other");
        directus.change_user(&other.user_id, &json!({ "password": "another-password" }));
        is_nobody(&directus, &cookie).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn both_authorities_allow_the_own_event_and_forbid_any_other() {
        let (directus, user) = race();
        let session = known(&directus, &directus.log_in("racer")).await;
        assert_eq!(*session.user_id, user);
        let (own, foreign, absent) = (uuid(OWN + 10), uuid(FOREIGN + 10), uuid(404));
        for authority in [Authority::Directus, Authority::Membership] {
            for (event, expected) in [
                (&own, Decision::Allowed),
                (&foreign, Decision::Forbidden),
                (&absent, Decision::Forbidden),
            ] {
                let decision = decide(&directus, authority, &session, event).await;
                assert_eq!(decision, expected, "{authority:?} about {event}");
            }
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn f58_a_user_who_is_suspended_while_connected_is_logged_out() {
        let (directus, user) = race();
        let session = known(&directus, &directus.log_in("racer")).await;
        let mut context = context(&directus, Authority::Directus);
        let mut config = (*context.config).clone();
        config.live.access.revalidate_ms = 50;
        context.config = Arc::new(config);
        let (address, orders) = mailbox(ShardIndex(0)).unwrap();
        let (_asks, receiver) = mpsc::channel(1);
        let run = tokio::spawn(Access::new(&context).run(receiver, [address].into()));
        let looks = tokio::task::spawn_blocking(move || {
            let event = EventId::parse(uuid(OWN + 10).as_bytes()).unwrap();
            for look in 0.. {
                match orders.orders.recv_timeout(Duration::from_secs(10)).unwrap() {
                    Order::Grants(to) => {
                        if look == 3 {
                            directus.change_user(&user, &json!({ "status": "suspended" }));
                        }
                        let viewer = ViewerId { index: 7, generation: 0 };
                        let (session, events) = (session.clone(), vec![event]);
                        let grant = Grant { viewer, session, connected_ms: 0, events };
                        to.send(Grants { shard: ShardIndex(0), grants: vec![grant] }).unwrap();
                    }
                    Order::Close(viewer, code, _) => return (look, viewer.index, code.number()),
                    other => panic!("not ordered: {other:?}"),
                }
            }
            unreachable!("it returns or panics")
        });
        let (look, viewer, code) = looks.await.unwrap();
        assert!(look > 3, "nobody is closed without a reason");
        assert_eq!((viewer, code), (7, 4401));
        context.shutdown.advance(Stage::Closing);
        run.await.unwrap();
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_refreshed_session_is_known_and_the_old_one_ends_soon() {
        let (directus, user) = race();
        let old = directus.log_in("racer");
        let new = directus.refresh(&old);
        assert_ne!(old, new);
        assert_eq!(*known(&directus, &new).await.user_id, user);
        let (began, mut looks) =
            (Instant::now(), tokio::time::interval(Duration::from_millis(200)));
        while !matches!(identify(&directus, &old).await, Identity::Unauthorized) {
            assert!(began.elapsed() < Duration::from_secs(30), "the old session goes on");
            looks.tick().await;
        }
        known(&directus, &new).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn f52_a_killed_directus_logs_nobody_out_and_a_session_expires_when_it_is_back() {
        let (mut directus, user) = race();
        let cookie = directus.log_in("racer");
        let session = known(&directus, &cookie).await;
        directus.kill();
        let identity = identify(&directus, &cookie).await;
        assert!(matches!(identity, Identity::Unavailable), "{identity:?}");
        let own = uuid(OWN + 10);
        let decision = decide(&directus, Authority::Directus, &session, &own).await;
        assert_eq!(decision, Decision::Undecided);
        let decision = decide(&directus, Authority::Membership, &session, &own).await;
        assert_eq!(decision, Decision::Allowed);

        directus.run("8s");
        assert_eq!(*known(&directus, &cookie).await.user_id, user);
        let short = directus.log_in("racer");
        known(&directus, &short).await;
        let (began, mut looks) =
            (Instant::now(), tokio::time::interval(Duration::from_millis(200)));
        while !matches!(identify(&directus, &short).await, Identity::Unauthorized) {
            assert!(began.elapsed() < Duration::from_secs(30), "the session does not expire");
            looks.tick().await;
        }
    }
}
