//! Settings of the embedded mode and of the live page.

use super::{load, names};
use crate::config::Config;
use crate::config::sources::Sources;

#[test]
fn a_folder_is_all_that_the_embedded_mode_needs_and_it_listens_on_this_machine() {
    let environment = vec![("EMBEDDED_DIR".into(), "/race".into())];
    let loaded = Config::load(&Sources { environment, ..Sources::default() });
    assert_eq!((loaded.mistakes(), loaded.warnings()), (&[][..], &[][..]));
    let shown = |name: &str| loaded.values().iter().find(|it| it.setting.name == name).unwrap();
    assert_eq!(
        (shown("ROLES").text.expose(), shown("ROLES").default),
        ("live,ingest", "live,ingest")
    );
    let config = loaded.into_config().unwrap();
    let expected = Config::embedded("/race".into());
    assert_eq!(format!("{config:?}"), format!("{expected:?}"));
    assert!(config.live.host.is_loopback() && config.roles.ingest && !config.roles.durable);
}

#[test]
fn who_embeds_may_not_let_other_machines_in_without_a_token() {
    let embedded = |more: &[(&str, &str)]| {
        let mut variables = vec![("EMBEDDED_DIR", "/race")];
        variables.extend(more);
        let pairs = variables.iter().map(|(name, value)| (name.into(), value.into()));
        Config::load(&Sources { environment: pairs.collect(), ..Sources::default() })
    };
    let open = embedded(&[("LIVE_WS_HOST", "0.0.0.0")]);
    assert_eq!(names(open.mistakes()), ["LIVE_WS_HOST"]);
    assert!(open.mistakes()[0].words.contains("set EMBEDDED_TOKEN"), "{:?}", open.mistakes());
    let token = ("EMBEDDED_TOKEN", "0123456789abcdef");
    assert_eq!(embedded(&[("LIVE_WS_HOST", "0.0.0.0"), token]).mistakes(), []);
    assert_eq!(embedded(&[("LIVE_WS_HOST", "::1")]).mistakes(), []);
    assert_eq!(names(embedded(&[("ROLES", "live,durable")]).mistakes()), ["ROLES"]);
    for token in ["short", "0123456789abcde;f", "0123456789 abcdef"] {
        assert_eq!(names(embedded(&[("EMBEDDED_TOKEN", token)]).mistakes()), ["EMBEDDED_TOKEN"]);
    }
    let beside = embedded(&[("REDIS_URL", "redis://redis"), ("POSTGRES_URL", "postgres://db/x")]);
    assert_eq!(names(beside.warnings()), ["REDIS_URL", "POSTGRES_URL"]);
    assert_eq!(beside.mistakes(), []);
    assert_eq!(names(load(&[token]).warnings()), ["EMBEDDED_TOKEN"]);
}

#[test]
fn the_style_of_the_page_is_an_address_with_an_origin() {
    for (text, origin) in [
        ("https://tiles.example/style.json", "https://tiles.example"),
        ("http://127.0.0.1:8080/styles/day/style.json?key=1", "http://127.0.0.1:8080"),
    ] {
        let style = load(&[("LIVE_PAGE_STYLE_URL", text)]).into_config().unwrap().live.page_style;
        let style = style.unwrap();
        assert_eq!((&*style.url, &*style.origin), (text, origin));
    }
    for wrong in [
        "tiles.example/style.json",
        "https://tiles.example",
        "ftp://tiles.example/a",
        "https://user@tiles.example/a",
        "https://tiles.example;script-src/a",
        "https://tiles.example/a\"b",
        "https://tiles.example/a b",
        "https:///a",
    ] {
        let loaded = load(&[("LIVE_PAGE_STYLE_URL", wrong)]);
        assert_eq!(loaded.mistakes().len(), 1, "{wrong}");
    }
    assert!(load(&[]).into_config().unwrap().live.page_style.is_none());
}
