//! What is shipped for operators: it agrees with the program, and keeps what makes it safe.

use std::fmt::Write as _;

use pitwall::config::Config;
use pitwall::config::settings::{SECTIONS, named};
use pitwall::config::sources::Sources;

const ENVIRONMENT: &str = include_str!("../../deploy/pitwall.env");
const DOCKERFILE: &str = include_str!("../../deploy/Dockerfile");
const COMPOSE: &str = include_str!("../../deploy/compose.yaml");
const UNIT: &str = include_str!("../../deploy/pitwall.service");
const GUIDE: &str = include_str!("../../deploy/README.md");
const CONTEXT: &str = include_str!("../../.dockerignore");
const MANIFEST: &str = include_str!("../../Cargo.toml");

/// The longest orderly end of the process.
const END_SECONDS_MAX: u64 = 25;

/// How `deploy/pitwall.env` begins.
const OPENING: &str = "\
# Every setting of pitwall, with its default. Take the # away to set one. `pitwall config` shows what
# is in force and where it comes from. What a secret's own variable would say can stand in a file
# instead, which the variable ending in _FILE names.
";

/// The lines of a file without comments and white space around them.
fn lines(text: &str) -> Vec<&str> {
    text.lines().map(str::trim).filter(|line| !line.starts_with('#')).collect()
}

fn has_all(text: &str, expected: &[&str]) {
    let lines = lines(text);
    for line in expected {
        assert!(lines.contains(line), "`{line}` is missing in\n{text}");
    }
}

/// The number between `before` and a unit.
fn seconds(text: &str, before: &str) -> u64 {
    let value = lines(text).into_iter().find_map(|line| line.strip_prefix(before));
    let value = value.unwrap_or_else(|| panic!("{before} is missing"));
    value.trim().trim_end_matches('s').parse().unwrap_or_else(|_| panic!("{before}{value}"))
}

#[test]
fn the_environment_file_has_every_setting_with_its_default_and_no_other() {
    let mut expected = OPENING.to_owned();
    for section in SECTIONS {
        write!(expected, "\n## {}\n", section.title).expect("text grows");
        for setting in section.settings {
            let (name, default) = (setting.name, setting.default);
            write!(expected, "\n# {}\n#{name}={default}\n", setting.meaning).expect("text grows");
            if let Some(variable) = setting.file_variable() {
                writeln!(expected, "#{variable}=").expect("text grows");
            }
        }
    }
    assert!(ENVIRONMENT == expected, "deploy/pitwall.env must be exactly:\n{expected}");
}

#[test]
fn the_environment_file_with_every_line_in_force_changes_nothing() {
    let set = ENVIRONMENT.lines().filter_map(|line| line.strip_prefix('#')?.split_once('='));
    let is_name = |name: &str| name.chars().all(|c| c.is_ascii_uppercase() || c == '_');
    let mut environment: Vec<_> = set
        .filter(|(name, value)| is_name(name) && !value.is_empty())
        .map(|(name, value)| (name.into(), value.into()))
        .collect();
    assert!(environment.len() > 40, "{environment:?}");
    environment.push(("REDIS_URL".into(), "redis://redis".into()));
    environment.push(("POSTGRES_URL".into(), "postgres://db/race".into()));
    let loaded = Config::load(&Sources { environment, ..Sources::default() });
    assert_eq!((loaded.mistakes(), loaded.warnings()), (&[][..], &[][..]));
    let config = loaded.into_config().expect("nothing is wrong");
    let expected = Config::new("redis://redis", "postgres://db/race");
    assert_eq!(format!("{config:?}"), format!("{expected:?}"));
}

#[test]
fn t38_the_image_holds_the_program_alone_and_nobody_is_root() {
    has_all(
        DOCKERFILE,
        &[
            "FROM gcr.io/distroless/cc-debian12:nonroot",
            "USER 65532:65532",
            "RUN cargo build --locked --profile dist --package pitwall --no-default-features --features mimalloc,profile",
            "ENTRYPOINT [\"/usr/local/bin/pitwall\"]",
            "CMD [\"serve\"]",
            "CMD [\"/usr/local/bin/pitwall\", \"health\"]",
        ],
    );
    let default = |name| named(name).expect("a setting").default;
    let ports = ["LIVE_WS_PORT", "INGEST_PORT", "METRICS_PORT"].map(default).join(" ");
    has_all(DOCKERFILE, &[&format!("EXPOSE {ports}")]);
    let version = MANIFEST.lines().find_map(|line| line.strip_prefix("rust-version = "));
    let version = version.expect("the workspace names its compiler").trim_matches('"');
    assert!(DOCKERFILE.contains(&format!("FROM rust:{version}-slim-bookworm AS build")));
    has_all(CONTEXT, &["!server", "!deploy/schema.sql"]);
    let user = DOCKERFILE.find("USER ").expect("there is a user");
    assert!(DOCKERFILE[..user].contains("AS build"), "the user is that of the last stage");
}

#[test]
fn t38_the_containers_may_do_nothing_but_their_work() {
    has_all(
        COMPOSE,
        &[
            "read_only: true",
            "cap_drop: [ALL]",
            "security_opt: [\"no-new-privileges:true\"]",
            "restart: unless-stopped",
        ],
    );
    for forbidden in ["privileged", "network_mode", "\n  ports:", "user: root", ":latest"] {
        assert!(!COMPOSE.contains(forbidden), "{forbidden}");
    }
    assert!(seconds(COMPOSE, "stop_grace_period:") > END_SECONDS_MAX);
    let names: Vec<&str> =
        lines(COMPOSE).into_iter().filter_map(|line| line.strip_prefix("INSTANCE_ID: ")).collect();
    let expected = ["pitwall-1", "pitwall-2", "pitwall-ingest"];
    assert_eq!(names, expected, "every instance has a name of its own");
    let port = named("INGEST_PORT").expect("a setting").default;
    let published: Vec<&str> =
        lines(COMPOSE).into_iter().filter(|line| line.starts_with("ports:")).collect();
    assert_eq!(published, [format!("ports: [\"{port}:{port}\"]")], "devices come from outside");
}

#[test]
fn traefik_sends_viewers_and_nothing_else_to_the_port_for_viewers() {
    let port = named("LIVE_WS_PORT").expect("a setting").default;
    let router = "traefik.http.routers.pitwall-live";
    let service = "traefik.http.services.pitwall-live.loadbalancer";
    let rule = "Host(`${LIVE_DOMAIN:?the host that browsers use}`) && PathPrefix(`/ws-live`)";
    for line in [
        format!("{router}.rule: {rule}"),
        format!("{router}.entrypoints: websecure"),
        format!("{router}.tls: \"true\""),
        format!("{router}.priority: \"100\""),
        format!("{service}.server.port: \"{port}\""),
        format!("{service}.healthcheck.path: /readyz?role=live"),
    ] {
        has_all(COMPOSE, &[&line]);
    }
}

#[test]
fn t38_the_unit_is_hardened_and_gives_the_process_time_to_end() {
    has_all(
        UNIT,
        &[
            "ExecStart=/usr/local/bin/pitwall serve",
            "DynamicUser=yes",
            "NoNewPrivileges=yes",
            "CapabilityBoundingSet=",
            "ProtectSystem=strict",
            "LimitNOFILE=1048576",
            "LimitCORE=0",
            "Restart=on-failure",
            "RestartPreventExitStatus=78",
        ],
    );
    assert!(seconds(UNIT, "TimeoutStopSec=") > END_SECONDS_MAX);
}

#[test]
fn every_setting_that_the_guide_and_the_files_name_exists() {
    for (file, text) in [("README.md", GUIDE), ("compose.yaml", COMPOSE), ("unit", UNIT)] {
        let is_part = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        for word in text.split(|c| !is_part(c)).filter(|word| word.contains('_')) {
            let name = word.strip_suffix("_FILE").unwrap_or(word);
            let of_compose = ["LIVE_DOMAIN", "PLATFORM_NETWORK"].contains(&word);
            let prefixes = [
                "LIVE_",
                "DIRECTUS_",
                "REDIS_",
                "POSTGRES_",
                "METRICS_",
                "INSTANCE_",
                "INGEST_",
                "DEVICE_",
            ];
            let is_ours = prefixes.iter().any(|prefix| word.starts_with(prefix));
            assert!(!is_ours || of_compose || named(name).is_some(), "{file}: {word}");
        }
    }
}
