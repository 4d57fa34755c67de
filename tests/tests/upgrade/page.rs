//! The live page beside `/ws-live`: same door, same limits, and nothing of it unless it is wanted.

use std::io::{Read as _, Write as _};

use pitwall::config::{Config, PageMode};

use super::entrance::{Entrance, is_cut, request, rest};

const GET: &str = "GET / HTTP/1.1\r\nHost: live.test\r\n\r\n";

fn with_page(change: impl FnOnce(&mut Config)) -> Entrance {
    Entrance::with(|config| {
        config.live.page = PageMode::On;
        change(config);
    })
}

/// The paths that the page itself names.
fn parts(page: &str) -> Vec<String> {
    let named = page.split('"').filter(|text| text.starts_with("/page/"));
    named.map(str::to_owned).collect()
}

#[test]
fn the_page_and_all_it_names_come_whole() {
    let entrance = with_page(|_| ());
    let page = entrance.answer(GET);
    assert!(page.starts_with("HTTP/1.1 200 OK\r\n"), "{page}");
    let parts = parts(&page);
    assert!(parts.len() >= 3, "{page}");
    for path in &parts {
        let mut stream = entrance.connect();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: live.test\r\n\r\n").unwrap();
        let answer = rest(&mut stream);
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let length = head.split("Content-Length: ").nth(1).unwrap().lines().next().unwrap();
        // As text: what is no text in the file counts three bytes for each.
        assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
        assert!(body.len() >= length.parse().unwrap(), "{path}");
    }
    assert_eq!(entrance.outcomes("page"), 1 + parts.len() as u64);
    entrance.until_metric("processor_live_half_open", 0);
    assert!(entrance.authority.knowledge().requests.is_empty(), "nobody was asked");
}

#[test]
fn viewers_come_in_beside_the_page_under_the_same_rules() {
    let entrance = with_page(|_| ());
    let _viewer = entrance.upgrade();
    entrance.any_newcomer();
    assert_eq!(entrance.status(request("Origin: http://elsewhere.test\r\n")), 403);
    assert_eq!(entrance.status("GET /ws-live HTTP/1.1\r\nHost: a\r\n\r\n"), 426);
    assert_eq!(entrance.status("GET /ws-live?x HTTP/1.1\r\nHost: a\r\n\r\n"), 400);
    assert_eq!(entrance.status("POST /ws-live HTTP/1.1\r\nHost: a\r\n\r\n"), 405);
}

#[test]
fn without_the_page_everything_else_is_404() {
    for mode in [PageMode::Off, PageMode::Auto] {
        let entrance = Entrance::with(|config| config.live.page = mode);
        for target in ["/", "/page.json", "/page/login"] {
            let request = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
            assert_eq!(entrance.status(request), 404, "{target}");
        }
    }
}

#[test]
fn what_is_no_request_for_the_page_is_refused() {
    let entrance = with_page(|_| ());
    for (request, status) in [
        ("GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n", 404),
        ("POST / HTTP/1.1\r\nHost: a\r\n\r\n", 405),
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx", 400),
        ("GET / HTTP/1.0\r\nHost: a\r\n\r\n", 505),
        ("GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ] {
        assert_eq!(entrance.status(request), status, "{request}");
    }
    assert_eq!(entrance.outcomes("page"), 0);
    let refused = entrance.answer("PUT / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(refused.contains("\r\nAllow: GET, HEAD\r\n"), "{refused}");
}

#[test]
fn who_knows_what_the_page_is_told_hears_only_that_it_is_so() {
    let entrance = with_page(|_| ());
    let told = entrance.answer("GET /page.json HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(told.ends_with("{\"login\":null,\"style\":null,\"events\":[]}"), "{told}");
    let tag = told.lines().find_map(|line| line.strip_prefix("ETag: ")).unwrap();
    let request = format!("GET /page.json HTTP/1.1\r\nHost: a\r\nIf-None-Match: {tag}\r\n\r\n");
    let known = entrance.answer(request);
    assert!(known.starts_with("HTTP/1.1 304 Not Modified\r\n"), "{known}");
    assert!(known.ends_with("\r\n\r\n") && known.contains("Pitwall-Time-Ms: "), "{known}");
}

#[test]
fn a_reader_of_the_page_has_no_more_time_and_no_more_places_than_others() {
    let entrance = with_page(|config| {
        config.live.limits.head_timeout_ms = 100;
        config.live.limits.half_open_per_address_max = 1;
    });
    let mut slow = entrance.connect();
    slow.write_all(b"GET / HTTP/1.1\r\n").unwrap();
    assert!(rest(&mut slow).starts_with("HTTP/1.1 408 "));
    drop(slow);
    entrance.until_metric("processor_live_half_open", 0);
    // One that asks and does not read on holds the place of its address.
    let page = entrance.answer(GET);
    entrance.until_metric("processor_live_half_open", 0);
    let script = parts(&page).into_iter().find(|path| path.ends_with(".js")).unwrap();
    let mut stalled = entrance.connect();
    write!(stalled, "GET {script} HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    stalled.read_exact(&mut [0; 12]).unwrap();
    assert!(is_cut(&mut entrance.connect()));
    drop(stalled);
    entrance.until_metric("processor_live_half_open", 0);
    assert_eq!(entrance.status(GET), 200);
}
