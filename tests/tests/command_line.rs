//! The program as an operator starts it: exit codes, messages, files with settings, signals.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use tests::directory::Directory;

/// The program with these arguments and variables and no others.
fn pitwall(arguments: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_program"));
    command.args(arguments).env_clear().envs(variables.iter().copied());
    command
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

/// Writes a file that only its owner may read.
fn file(directory: &Directory, name: &str, text: &str) -> PathBuf {
    let path = directory.path().join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    path
}

#[test]
fn a_wrong_configuration_stops_the_process_at_once_and_names_every_bad_variable() {
    let variables = [
        ("REDIS_URL", "http://canary@redis"),
        ("LIVE_WS_PORT", "canary"),
        ("LIVE_ALLOWED_ORIGINS", "https://canary/"),
    ];
    for command in ["serve", "config", "check", "health"] {
        let started = Instant::now();
        let output = pitwall(&[command], &variables).output().unwrap();
        assert!(started.elapsed() < Duration::from_secs(1), "{command}");
        assert_eq!(code(&output), 78, "{command}");
        let said = text(&output.stderr);
        for name in ["REDIS_URL", "POSTGRES_URL", "LIVE_WS_PORT", "LIVE_ALLOWED_ORIGINS"] {
            assert!(said.contains(&format!("  {name} ")), "{command}: {name} in {said}");
        }
        let everything = format!("{said}{}", text(&output.stdout));
        assert!(!everything.contains("canary"), "{command}: {everything}");
    }
}

#[test]
fn a_flag_goes_before_the_environment_that_before_a_file_that_before_the_default() {
    let directory = Directory::new("settings").unwrap();
    let settings = file(
        &directory,
        "pitwall.env",
        "# ours\nREDIS_URL=redis://file\nPOSTGRES_URL='postgres://file/race'\nLIVE_WS_PORT=1001\n\
         METRICS_PORT=1001\nLOG_LEVEL=debug\n",
    );
    let arguments = ["config", "--live-ws-port", "1003", "--config", settings.to_str().unwrap()];
    let variables = [("LIVE_WS_PORT", "1002"), ("METRICS_PORT", "1002")];
    let output = pitwall(&arguments, &variables).output().unwrap();
    let said = text(&output.stdout);
    assert_eq!((code(&output), text(&output.stderr)), (0, ""), "{said}");
    for expected in [
        "LIVE_WS_PORT=1003\n    from a flag; default 8081\n",
        "METRICS_PORT=1002\n    from the environment; default 9090\n",
        "LOG_LEVEL=debug\n    from line 6 of the file with settings; default info\n",
        "LIVE_WS_HOST=0.0.0.0\n    not set by anybody; default 0.0.0.0\n",
        "POSTGRES_URL=(set)\n    from line 3",
    ] {
        assert!(said.contains(expected), "{expected} is missing in\n{said}");
    }
    let variables = [("PITWALL_CONFIG", settings.to_str().unwrap()), ("METRICS_PORT", "1002")];
    assert_eq!(code(&pitwall(&["config"], &variables).output().unwrap()), 0);
}

#[test]
fn d4_a_file_with_settings_that_cannot_be_understood_is_refused() {
    let directory = Directory::new("settings").unwrap();
    let wrong = [
        ("lines", "LIVE_WS_PORT\n"),
        ("twice", "REDIS_URL=redis://a\nREDIS_URL=redis://a\nPOSTGRES_URL=postgres://a/b\n"),
        ("bytes", &"#".repeat(70_000)),
    ];
    for (name, text) in wrong {
        let path = file(&directory, name, text);
        let output = pitwall(&["config"], &[("PITWALL_CONFIG", path.to_str().unwrap())]);
        assert_eq!(code(&{ output }.output().unwrap()), 78, "{name}");
    }
    let folder = directory.path().to_str().unwrap();
    for path in [folder, &format!("{folder}/missing")] {
        let output = pitwall(&["config", "--config", path], &[]).output().unwrap();
        assert_eq!(code(&output), 78);
        assert!(text(&output.stderr).contains("--config names "), "{}", text(&output.stderr));
        assert!(!text(&output.stderr).contains(folder));
    }
}

#[test]
fn d4_a_secret_may_come_from_a_file_and_from_nowhere_else_then() {
    let directory = Directory::new("secrets").unwrap();
    let redis = file(&directory, "redis", "redis://:canary@redis\r\n\n");
    let redis = redis.to_str().unwrap();
    let folder = directory.path().to_str().unwrap();
    let ask = |variables: &[(&str, &str)]| {
        let mut command = pitwall(&["config"], variables);
        let output = command.env("POSTGRES_URL", "postgres://db/race").output().unwrap();
        let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
        assert!(!said.contains("canary"), "{said}");
        (code(&output), said)
    };
    let (code, said) = ask(&[("REDIS_URL_FILE", redis), ("REDIS_URL", "")]);
    assert_eq!(code, 0, "{said}");
    assert!(
        said.contains("REDIS_URL=(set)\n    from the file that REDIS_URL_FILE names"),
        "{said}"
    );
    assert!(!said.contains("warning"), "{said}");

    for (variables, expected) in [
        (
            &[("REDIS_URL_FILE", redis), ("REDIS_URL", "redis://canary")][..],
            "REDIS_URL is given twice",
        ),
        (&[("REDIS_URL_FILE", folder)], "REDIS_URL_FILE names something that is not a file"),
        (
            &[("REDIS_URL_FILE", "/missing/canary")],
            "REDIS_URL_FILE names a file that cannot be read",
        ),
        (&[("REDIS_URL_FILE", "")], "REDIS_URL is missing"),
    ] {
        let (code, said) = ask(variables);
        assert!(code == 78 && said.contains(expected), "{expected} is missing in\n{said}");
        assert!(!said.contains("REDIS_URL is missing") || expected.ends_with("missing"), "{said}");
    }

    fs::set_permissions(redis, Permissions::from_mode(0o644)).unwrap();
    let (code, said) = ask(&[("REDIS_URL_FILE", redis)]);
    assert!(
        code == 0 && said.contains("warning: REDIS_URL_FILE names a file that every"),
        "{said}"
    );
    let (code, said) = ask(&[("LIVE_WS_PROT", "1")]);
    assert!(code == 78 && said.contains("is LIVE_WS_PORT meant?"), "{said}");
}

#[test]
fn d4_a_loop_of_links_is_refused() {
    let directory = Directory::new("links").unwrap();
    let link = directory.path().join("link");
    std::os::unix::fs::symlink(&link, &link).unwrap();
    let output = pitwall(&["config"], &[("ADMIN_TOKEN_FILE", link.to_str().unwrap())]).output();
    let output = output.unwrap();
    let said = text(&output.stderr);
    assert!(code(&output) == 78 && said.contains("ADMIN_TOKEN_FILE names a file"), "{said}");
}

#[test]
fn a_secret_on_the_command_line_is_warned_of() {
    let arguments = ["config", "--redis-url", "redis://:canary@redis"];
    let output = pitwall(&arguments, &[("POSTGRES_URL", "postgres://db/race")]).output().unwrap();
    let said = text(&output.stdout);
    assert_eq!(code(&output), 0, "{said}");
    assert!(said.contains("warning: REDIS_URL is given by a flag") && !said.contains("canary"));
}

#[test]
fn d4_a_port_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let variables = [
        ("REDIS_URL", "redis://127.0.0.1"),
        ("POSTGRES_URL", "postgres://127.0.0.1/race"),
        ("LIVE_WS_HOST", "127.0.0.1"),
        ("LIVE_WS_PORT", &port),
    ];
    let output = pitwall(&["serve"], &variables).output().unwrap();
    assert_eq!(code(&output), 69);
    assert!(text(&output.stderr).contains("LIVE_WS_PORT"), "{}", text(&output.stderr));
}

#[test]
fn a_wrong_command_line_is_told_from_a_wrong_setting() {
    for arguments in
        [&[][..], &["race"], &["serve", "--no-such-flag"], &["limits", "--shards", "0"]]
    {
        let output = pitwall(arguments, &[]).output().unwrap();
        assert_eq!(code(&output), 2, "{arguments:?}");
    }
    let output = pitwall(&["--version"], &[]).output().unwrap();
    assert_eq!(text(&output.stdout), format!("pitwall {}\n", env!("CARGO_PKG_VERSION")));
    let output = pitwall(&["limits", "--shards", "2"], &[]).output().unwrap();
    assert!(code(&output) == 0 && text(&output.stdout).contains("2 shards"));
}

#[test]
fn health_is_what_a_pitwall_on_this_machine_answers() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = nobody.local_addr().unwrap().port().to_string();
    let variables = [
        ("REDIS_URL", "redis://127.0.0.1"),
        ("POSTGRES_URL", "postgres://127.0.0.1/race"),
        ("METRICS_PORT", &port),
    ];
    for (status, expected) in [("200 OK", 0), ("503 Service Unavailable", 1)] {
        let output = std::thread::scope(|scope| {
            scope.spawn(|| {
                use std::io::{Read, Write};
                let (mut stream, _) = nobody.accept().unwrap();
                let mut head = [0; 15];
                stream.read_exact(&mut head).unwrap();
                assert_eq!(&head, b"GET /healthz HT");
                write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 5\r\n\r\nstuck").unwrap();
            });
            pitwall(&["health"], &variables).output().unwrap()
        });
        assert_eq!(code(&output), expected, "{}", text(&output.stdout));
    }
    drop(nobody);
    assert_eq!(code(&pitwall(&["health"], &variables).output().unwrap()), 1);
}
