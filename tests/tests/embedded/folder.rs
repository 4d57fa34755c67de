//! The folder: one process at a time, and everything in it.

use std::fs;

use tests::client::page;
use tests::embedded::{Embedded, free_ports, run};

#[test]
fn a_second_process_does_not_take_the_folder_and_says_what_to_do() {
    let embedded = Embedded::start(&[]);
    let [live, devices, admin] = free_ports().map(|address| address.port().to_string());
    let (live, devices, admin) =
        (["--live-ws-port", &live], ["--ingest-port", &devices], ["--metrics-port", &admin]);
    let arguments = [&["serve"], &live[..], &devices, &admin].concat();
    let (code, _, complaint) = run(&arguments, &embedded.folder());
    assert_eq!(code, Some(78), "{complaint}");
    for words in ["another pitwall (process ", "End it, or give this one a folder of its own."] {
        assert!(complaint.contains(words), "{complaint}");
    }
    assert!(page(embedded.admin, "/readyz").starts_with("HTTP/1.1 200"), "the first goes on");
}

#[test]
fn after_a_kill_the_folder_is_free_again() {
    let mut embedded = Embedded::start(&[]);
    embedded.kill();
    embedded.launch();
    embedded.is_ready();
    assert!(embedded.end().success());
}

#[test]
fn a_folder_that_cannot_be_made_is_named_with_what_to_do() {
    let embedded = Embedded::new(&[]);
    fs::write(embedded.folder(), "a file").unwrap();
    let mut embedded = embedded;
    embedded.launch();
    assert_eq!(embedded.ended().code(), Some(78));
    assert!(embedded.log().contains("Give a folder that this user may make"), "{}", embedded.log());
}

#[test]
fn config_shows_what_holds_in_the_embedded_mode() {
    let embedded = Embedded::new(&[]);
    let (code, text, _) = run(&["config"], &embedded.folder());
    assert_eq!(code, Some(0), "{text}");
    for expected in [
        "ROLES=live,ingest\n    not set by anybody; default live,ingest\n",
        "LIVE_WS_HOST=127.0.0.1\n    not set by anybody; default 127.0.0.1\n",
        "REDIS_URL=(unset)\n",
        "EMBEDDED_TOKEN=(unset)\n",
    ] {
        assert!(text.contains(expected), "{expected} is missing in\n{text}");
    }
    let (code, text, _) = run(&["check"], &embedded.folder());
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("it is made at the first start"), "{text}");
}

#[test]
fn tools_that_look_into_redis_say_where_to_look_instead() {
    let embedded = Embedded::new(&[]);
    for arguments in [&["dlq", "list"][..], &["pending"]] {
        let (code, _, complaint) = run(arguments, &embedded.folder());
        assert_eq!(code, Some(1), "{complaint}");
        assert!(complaint.contains("table `refused` of pitwall.sqlite"), "{complaint}");
    }
}
