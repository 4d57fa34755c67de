//! Which cookies the real Directus knows, at the level of access: nothing is remembered here.

use std::sync::Arc;

use pitwall::config::Config;
use pitwall::context::Context;
use pitwall::live::access::{Access, Identity};
use pitwall::live::session::{Cookie, Session};
use pitwall::log::{Level, Log};
use pitwall::shutdown::Shutdown;
use serde_json::json;
use tests::directus::real::RealDirectus;

use super::platform::{Race, shared};

async fn identify(directus: &RealDirectus, cookie: &str) -> Identity {
    let mut config = Config::new("redis://127.0.0.1:1", &directus.postgres.url());
    "127.0.0.1".clone_into(&mut config.directus.host);
    config.directus.port = directus.port();
    // On a busy machine Node takes its time; what is late is the stub's matter.
    config.directus.auth_timeout_ms = 30_000;
    let log = Log::to(Level::Debug, "real", std::io::sink());
    let access = Access::new(&Context::new(config, log, Shutdown::default()));
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

#[test]
fn a_session_is_known_until_it_ends_by_any_of_its_ends() {
    let directus = shared();
    let race = Race::add(&directus);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let cookie = directus.log_in(&race.name);
        assert_eq!(*known(&directus, &cookie).await.user_id, race.user);
        // A browser sends other cookies, too.
        known(&directus, &format!("theme=dark; {cookie}; lang=en")).await;

        for garbage in ["theme=dark", "directus_session_token=garbage", "directus_session_token="] {
            is_nobody(&directus, garbage).await;
        }
        let broken = format!("{}{}", &cookie[..cookie.len() - 4], "AAAA");
        is_nobody(&directus, &broken).await;

        directus.log_out(&cookie);
        is_nobody(&directus, &cookie).await;

        let cookie = directus.log_in(&race.name);
        directus.change_user(&race.user, &json!({ "status": "suspended" }));
        is_nobody(&directus, &cookie).await;
        directus.change_user(&race.user, &json!({ "status": "active" }));

        let cookie = directus.log_in(&race.name);
        known(&directus, &cookie).await;
        directus.change_user(&race.user, &json!({ "password": "another-password" }));
        is_nobody(&directus, &cookie).await;
    });
}
