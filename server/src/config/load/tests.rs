//! Settings as an operator may get them wrong, and what is said about each.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

mod embedded;

use super::Loaded;
use crate::config::settings::{self, SECTIONS};
use crate::config::sources::{Remark, Sources};
use crate::config::{Config, Network, Roles};

const REDIS: &str = "redis://127.0.0.1:6379";
const POSTGRES: &str = "postgres://pitwall@127.0.0.1/race";

/// Loads these variables, and where Redis and PostgreSQL are unless they say it.
fn load(variables: &[(&str, &str)]) -> Loaded {
    let mut environment: Vec<(OsString, OsString)> =
        variables.iter().map(|(name, value)| (name.into(), value.into())).collect();
    for (name, value) in [("REDIS_URL", REDIS), ("POSTGRES_URL", POSTGRES)] {
        if !variables.iter().any(|(given, _)| *given == name) {
            environment.push((name.into(), value.into()));
        }
    }
    Config::load(&Sources { environment, ..Sources::default() })
}

fn names(remarks: &[Remark]) -> Vec<&str> {
    remarks.iter().map(|remark| remark.name.as_str()).collect()
}

fn accepts(name: &str, values: &[&str]) {
    for value in values {
        let loaded = load(&[(name, value)]);
        assert_eq!(names(loaded.mistakes()), [""; 0], "{name}={value:?}");
        assert_eq!(names(loaded.warnings()), [""; 0], "{name}={value:?}");
    }
}

fn refuses(name: &str, values: &[&str]) {
    for value in values {
        let loaded = load(&[(name, value)]);
        assert_eq!(names(loaded.mistakes()), [name], "{name}={value:?}");
        let words = &loaded.mistakes()[0].words;
        assert!(words.ends_with('.'), "{name}={value:?}: {words}");
    }
}

fn warns(name: &str, values: &[&str]) {
    for value in values {
        let loaded = load(&[(name, value)]);
        assert_eq!(names(loaded.mistakes()), [""; 0], "{name}={value:?}");
        assert_eq!(names(loaded.warnings()), [name], "{name}={value:?}");
    }
}

#[test]
fn what_nobody_sets_has_the_value_that_the_table_names() {
    let config = load(&[]).into_config().unwrap();
    assert_eq!(format!("{config:?}"), format!("{:?}", Config::new(REDIS, POSTGRES)));
    assert_eq!(config.redis_url.expose(), REDIS);
    assert_eq!(config.postgres_url.expose(), POSTGRES);
}

#[test]
fn d4_every_setting_refuses_white_space_and_what_is_not_text() {
    for setting in SECTIONS.iter().flat_map(|section| section.settings) {
        refuses(setting.name, &[" ", "\t", " 1", "1\n", "true "]);
        let mut environment = vec![
            (OsString::from("REDIS_URL"), OsString::from(REDIS)),
            (OsString::from("POSTGRES_URL"), OsString::from(POSTGRES)),
        ];
        environment.retain(|(name, _)| name != setting.name);
        environment.push((setting.name.into(), OsString::from_vec(vec![b'1', 0xff])));
        let loaded = Config::load(&Sources { environment, ..Sources::default() });
        assert_eq!(names(loaded.mistakes()), [setting.name]);
    }
}

#[test]
fn d4_an_empty_value_means_unset_where_that_is_possible_and_is_refused_elsewhere() {
    for setting in SECTIONS.iter().flat_map(|section| section.settings) {
        let is_required = ["REDIS_URL", "POSTGRES_URL"].contains(&setting.name);
        if is_required || !setting.default.is_empty() {
            refuses(setting.name, &[""]);
        } else {
            accepts(setting.name, &[""]);
        }
    }
}

#[test]
fn d4_a_number_is_digits_alone_within_its_bounds() {
    let never = [
        "-1",
        "+5",
        "1e3",
        "0x10",
        "1_000",
        "30s",
        "30ms",
        "1.5",
        "five",
        "１",
        "true",
        "18446744073709551616",
        "99999999999999999999999999",
    ];
    for setting in SECTIONS.iter().flat_map(|section| section.settings) {
        let crate::config::kind::Kind::Number { min, max, or_off, .. } = setting.kind else {
            continue;
        };
        refuses(setting.name, &never);
        refuses(setting.name, &[&(max + 1).to_string(), &u64::MAX.to_string()]);
        if min > 1 {
            refuses(setting.name, &[&(min - 1).to_string()]);
        }
        if or_off || min == 0 {
            accepts(setting.name, &["0"]);
        } else {
            refuses(setting.name, &["0"]);
        }
        for fit in [min, max] {
            // Rules about several settings may still refuse or warn; the number itself is right.
            let loaded = load(&[(setting.name, &fit.to_string())]);
            let is_number = |remark: &&Remark| remark.words.contains("must be a whole number");
            assert_eq!(loaded.mistakes().iter().find(is_number), None);
        }
    }
    refuses("LIVE_BROADCAST_BATCH_SIZE", &["50", "100", "255", "1000000000"]);
    accepts("LIVE_BROADCAST_BATCH_SIZE", &["256", "0256"]);
}

#[test]
fn d4_words_and_booleans_are_spelt_exactly() {
    refuses("LOG_LEVEL", &["INFO", "verbose", "trace", "0", "info,warn"]);
    refuses("ROLES", &["all", "LIVE", "live;durable", "live,live", "live,", ",", "live,writer"]);
    refuses("LIVE_AUTHZ", &["none", "Directus"]);
    refuses("LIVE_AUTH_REJECT", &["4401", "Close"]);
    refuses("LIVE_ALLOW_MISSING_ORIGIN", &["1", "0", "yes", "TRUE"]);
    accepts("LOG_LEVEL", &["debug", "info", "warn", "error"]);
    accepts("ROLES", &["live", "durable", "live,durable", "durable, live"]);
    accepts("LIVE_ALLOW_MISSING_ORIGIN", &["true", "false"]);
}

#[test]
fn d4_the_address_of_redis_is_one_that_this_build_can_speak_to() {
    refuses(
        "REDIS_URL",
        &[
            "127.0.0.1:6379",
            "http://redis:6379",
            "redis://",
            "redis:6379",
            "rediss://redis:6379",
            "valkeys://redis",
            "unix:///run/redis.sock",
            "redis+unix:///run/redis.sock",
            "redis://redis:0x1",
            "redis://redis:99999",
            "redis://redis/two",
            "redis://re dis",
            "redis://0.0.0.0:6379",
            "redis://redis/1/2",
        ],
    );
    accepts(
        "REDIS_URL",
        &[
            "redis://redis",
            "redis://redis:6380/2",
            "redis://:p%40ss@redis",
            "redis://user:pw@redis:1/0",
            "redis://[::1]:6379",
        ],
    );
    let said = load(&[("REDIS_URL", "rediss://redis")]);
    assert!(
        said.mistakes()[0].words.contains("no TLS") || said.mistakes()[0].words.contains("TLS")
    );
}

#[test]
fn d4_the_address_of_postgresql_is_one_that_this_build_can_speak_to() {
    refuses(
        "POSTGRES_URL",
        &[
            "mysql://db/race",
            "http://db",
            "db:5432/race",
            "host=db user=pitwall",
            "postgres://",
            "postgres://db/race?sslmode=require",
            "postgres://db/race?sslmode=verify-full",
            "postgres://db/race?a=b&sslmode=verify-ca",
            "postgres://db:port/race",
            "postgres://db/race?connect_timeout=soon",
            "postgres://user:pa ss@db/race",
        ],
    );
    accepts(
        "POSTGRES_URL",
        &[
            "postgres://db/race",
            "postgresql://user:p%40ss%25@db:5433/race?sslmode=disable",
            "postgres://user:100%@db/race",
            "postgres://one,two/race?target_session_attrs=read-write",
            "postgres:///race?host=/run/postgresql",
            "postgres://[::1]:5432/race",
            "postgres://db/race?sslmode=prefer",
        ],
    );
}

#[test]
fn d4_the_address_of_directus_has_no_login_and_no_tls() {
    refuses(
        "DIRECTUS_BASE_URL",
        &[
            "directus:8055",
            "https://directus",
            "file:///etc/passwd",
            "ftp://directus",
            "http://",
            "http://user:pw@directus",
            "http://token@directus:8055",
            "http://directus:0",
            "http://directus:70000",
            "http://directus:",
            "http://directus?x=1",
            "http://directus/#top",
            "http://dire ctus",
            "http://-x",
            "http://a..b",
            "http://[::1",
            "http:///path",
            "HTTP://directus",
        ],
    );
    for (text, host, port, path) in [
        ("http://directus", "directus", 80, ""),
        ("http://directus:8055/", "directus", 8055, ""),
        ("http://cms.example.org/directus/", "cms.example.org", 80, "/directus"),
        ("http://[fd00::1]:8055/a/b", "fd00::1", 8055, "/a/b"),
        ("http://my_directus:1", "my_directus", 1, ""),
    ] {
        let directus = load(&[("DIRECTUS_BASE_URL", text)]).into_config().unwrap().directus;
        assert_eq!(
            (directus.host.as_str(), directus.port, directus.path.as_str()),
            (host, port, path)
        );
    }
}

#[test]
fn d4_an_origin_is_written_as_browsers_send_it() {
    refuses(
        "LIVE_ALLOWED_ORIGINS",
        &[
            "*",
            "https://*.example.org",
            "https://example.org/",
            "https://Example.org",
            "example.org",
            "null",
            "https://example.org/path",
            "https://example.org:443",
            "http://example.org:80",
            "https://user@example.org",
            "ws://example.org",
            "https://",
            "https://example.org,",
            ",",
            "https://example.org;https://a.b",
            "https://exämple.org",
            "HTTPS://example.org",
            "https://example.org?x",
            "https://example.org:0",
        ],
    );
    accepts(
        "LIVE_ALLOWED_ORIGINS",
        &[
            "https://example.org",
            "https://a.example.org:8443, https://b.example.org",
            "http://localhost:3000",
            "https://[fd00::1]:8443",
            "https://xn--exmple-cua.org",
        ],
    );
    warns("LIVE_ALLOWED_ORIGINS", &["http://example.org", "https://a.b,http://example.org:8080"]);
    let many = vec!["https://example.org"; 65].join(",");
    refuses("LIVE_ALLOWED_ORIGINS", &[&many]);
}

#[test]
fn d4_a_network_has_no_bits_behind_its_prefix() {
    refuses(
        "LIVE_TRUSTED_PROXIES",
        &[
            "10.0.0.1",
            "10.0.0.1/8",
            "10.0.0.0/33",
            "10.0.0.0/-1",
            "10.0.0.0/+8",
            "10.0.0/8",
            "fd00::1/64",
            "fd00::/129",
            "traefik",
            "10.0.0.0/8;",
            "10.0.0.0/8,,",
        ],
    );
    accepts("LIVE_TRUSTED_PROXIES", &["10.0.0.0/8", "172.18.0.5/32, fd00::/64", "::1/128"]);
    warns("LIVE_TRUSTED_PROXIES", &["0.0.0.0/0", "::/0"]);
    let config = load(&[("LIVE_TRUSTED_PROXIES", "10.0.0.0/8")]).into_config().unwrap();
    let network = Network { address: "10.0.0.0".parse().unwrap(), prefix_bits: 8 };
    assert_eq!(config.live.access.trusted_proxies, [network]);
}

#[test]
fn d4_names_fit_into_keys_and_groups() {
    let long = "a".repeat(65);
    refuses("INSTANCE_ID", &["*", "a:b", "a b", "a\nb", "é", "a/b", &long, &"a".repeat(300)]);
    accepts("INSTANCE_ID", &["processor-1", "a", "A.b_c-9", &"a".repeat(64)]);
    refuses("REDIS_TELEMETRY_STREAM", &["a b", "tele*", "\"x\"", "ü", "telemetry:teltonika:dlq"]);
    accepts("REDIS_TELEMETRY_STREAM", &["telemetry:teltonika", "telemetry:teltonika:{0}"]);
    refuses("LIVE_BROADCAST_GROUP_PREFIX", &["processor", "a b", "*", &"a".repeat(129)]);
    refuses("ADMIN_TOKEN", &["short", "fifteen-letters", "with a space in it!!", &"a".repeat(257)]);
    accepts("ADMIN_TOKEN", &["0123456789abcdef"]);
}

#[test]
fn a_process_has_the_roles_that_it_is_given() {
    for (text, expected) in [
        ("live", Roles::LIVE),
        ("durable", Roles::DURABLE),
        ("ingest", Roles::INGEST),
        ("durable,live", Roles::default()),
        ("ingest,live,durable", Roles { live: true, durable: true, ingest: true }),
    ] {
        let roles = load(&[("ROLES", text)]).into_config().unwrap().roles;
        assert_eq!(roles, expected, "{text}");
    }
}

#[test]
fn who_takes_every_device_needs_no_database() {
    let mistakes = |settings: &[(&str, &str)]| {
        let environment =
            settings.iter().map(|(name, value)| (name.into(), value.into())).collect();
        let loaded = Config::load(&Sources { environment, ..Sources::default() });
        loaded.mistakes().iter().map(|it| it.name.clone()).collect::<Vec<_>>()
    };
    let (redis, ingest) = (("REDIS_URL", REDIS), ("ROLES", "ingest"));
    assert_eq!(mistakes(&[redis, ingest]), [""; 0]);
    let strict = ("DEVICE_AUTHORITY_MODE", "strict");
    assert_eq!(mistakes(&[redis, ingest, strict]), ["POSTGRES_URL"]);
    assert_eq!(mistakes(&[redis, ("ROLES", "live,ingest")]), ["POSTGRES_URL"]);
    assert_eq!(mistakes(&[ingest]), ["REDIS_URL"]);
}

#[test]
fn devices_have_a_port_of_their_own() {
    for (settings, is_refused) in [
        ([("ROLES", "live,ingest"), ("INGEST_PORT", "8081")], true),
        ([("ROLES", "ingest"), ("INGEST_PORT", "9090")], true),
        ([("ROLES", "ingest"), ("INGEST_PORT", "8081")], false),
        ([("ROLES", "live,durable"), ("INGEST_PORT", "9090")], false),
    ] {
        let loaded = load(&settings);
        let names: Vec<&str> = loaded.mistakes().iter().map(|it| it.name.as_str()).collect();
        let expected: &[&str] = if is_refused { &["INGEST_PORT"] } else { &[] };
        assert_eq!(names, expected, "{settings:?}");
    }
}

#[test]
fn d4_who_stores_shares_no_group_with_viewers_and_keeps_what_it_is_writing() {
    refuses("WRITE_GROUP", &["a b", "*", "live-broadcast-writer", "live-broadcast-processor-1"]);
    accepts("WRITE_GROUP", &["processor", "writers", "live-broadcaster"]);
    let same = load(&[("LIVE_BROADCAST_GROUP_PREFIX", "all"), ("WRITE_GROUP", "all")]);
    assert_eq!(names(same.mistakes()), ["LIVE_BROADCAST_GROUP_PREFIX"]);
    refuses("CLAIM_THRESHOLD_MS", &["10000", "10049"]);
    accepts("CLAIM_THRESHOLD_MS", &["10050"]);
    let long = load(&[("WRITE_TIMEOUT_MS", "60000")]);
    assert_eq!(names(long.mistakes()), ["CLAIM_THRESHOLD_MS"]);
}

#[test]
fn d4_hosts_to_listen_on_are_addresses_and_the_ports_differ() {
    for name in ["LIVE_WS_HOST", "METRICS_HOST"] {
        refuses(name, &["localhost", "example.org", "0.0.0.0:80", "256.1.1.1", "[::]"]);
        accepts(name, &["0.0.0.0", "127.0.0.1", "::", "::1"]);
    }
    refuses("METRICS_PORT", &["8081"]);
    let apart =
        [("METRICS_PORT", "8081"), ("METRICS_HOST", "127.0.0.1"), ("LIVE_WS_HOST", "10.0.0.1")];
    assert_eq!(names(load(&apart).mistakes()), [""; 0]);
    let no_viewers = [("METRICS_PORT", "8081"), ("ROLES", "durable")];
    assert_eq!(names(load(&no_viewers).mistakes()), [""; 0]);
}

#[test]
fn d4_what_is_allowed_and_unwise_is_warned_of() {
    warns("LIVE_WS_PING_INTERVAL_MS", &["60000", "3600000"]);
    warns("DIRECTUS_AUTHZ_TIMEOUT_MS", &["5001"]);
    warns("LIVE_WS_BACKPRESSURE_THRESHOLD_BYTES", &["1048576"]);
    refuses("LIVE_COOKIE_BYTES_MAX", &["16384", "20000"]);
    for unknown in ["LIVE_WS_PROT", "DIRECTUS_URL", "WRITE_ROWS", "PITWALL_X", "LIVE_"] {
        warns(unknown, &["anything", ""]);
    }
    accepts("PATH_OF_SOMETHING_ELSE", &["anything"]);
    let near = load(&[("LIVE_WS_PROT", "1")]);
    assert!(near.warnings()[0].words.contains("LIVE_WS_PORT"), "{:?}", near.warnings());
}

#[test]
fn missing_addresses_are_named_and_so_is_what_is_expected() {
    let loaded = Config::load(&Sources::default());
    assert_eq!(names(loaded.mistakes()), ["REDIS_URL", "POSTGRES_URL"]);
    let text = loaded.into_config().unwrap_err().to_string();
    assert!(text.contains("REDIS_URL is missing: it must be redis://"), "{text}");
}

#[test]
fn all_mistakes_are_told_at_once_and_no_value_is() {
    let canary = "Canary";
    // A folder may have any name, but white space at its end is a slip everywhere.
    let variables: Vec<(&str, &str)> = settings::all()
        .map(|it| (it.name, if it.name == "EMBEDDED_DIR" { "Canary " } else { "Canary canary" }))
        .collect();
    let loaded = load(&variables);
    assert_eq!(loaded.mistakes().len(), variables.len(), "{:?}", loaded.mistakes());
    let stop = loaded.stop().unwrap();
    let text = stop.to_string();
    assert_eq!(stop.exit_code(), 78);
    assert!(settings::all().all(|setting| text.contains(setting.name)), "{text}");
    let outputs = [text, format!("{:?} {:?}", loaded.warnings(), loaded.config)];
    assert!(!outputs.iter().any(|output| output.to_lowercase().contains(&canary.to_lowercase())));
}

#[test]
fn t4_no_secret_shows_when_settings_are_printed_for_debugging() {
    let sources = Sources {
        flags: vec![("ADMIN_TOKEN".to_owned(), "canary-canary-canary".into())],
        environment: vec![
            ("REDIS_URL".into(), "redis://:canary@redis".into()),
            ("POSTGRES_URL".into(), "postgres://u:canary@db/race".into()),
        ],
        file: None,
    };
    let loaded = Config::load(&sources);
    let printed = format!("{sources:?} {loaded:?} {:?}", loaded.values());
    assert!(!printed.contains("canary"), "{printed}");
    assert!(format!("{:?}", loaded.into_config().unwrap()).contains("Secret"));
}
