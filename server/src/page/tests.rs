//! The desk's answers, byte by byte.

use std::sync::Arc;

use tokio::sync::watch;

use super::{Desk, FILES, Page, Reply, Token};
use crate::config::{LiveConfig, StyleUrl};
use crate::http::{Answer, HeadLimits, HeadReader, Refusal};
use crate::secret::Secret;

const LIMITS: HeadLimits = HeadLimits { bytes_max: 16 * 1024, headers_max: 64 };
const TOKEN: &str = "a-token-of-some-length";

fn desk(token: Option<&str>) -> Desk {
    let (_, data) = watch::channel(Arc::from(b"{\"events\":[]}".as_slice()));
    let token = token.map(|word| Token::new(&Secret::new(word)));
    Desk::new(Page { data, token }, &LiveConfig::default())
}

/// A desk that tells something long, as of many devices.
fn long_desk(token: Option<&str>) -> (watch::Sender<Arc<[u8]>>, Desk) {
    let (newest, data) = watch::channel(Arc::from("{\"events\":[]}".repeat(1_000).into_bytes()));
    let token = token.map(|word| Token::new(&Secret::new(word)));
    (newest, Desk::new(Page { data, token }, &LiveConfig::default()))
}

/// Head and body of the answer to a request.
fn ask(desk: &Desk, line: &str, headers: &[&str]) -> Result<(String, Vec<u8>), Refusal> {
    let reply = reply(desk, line, headers, 1)?;
    let (head, body) = reply.parts();
    Ok((String::from_utf8(head.to_vec()).unwrap(), body.to_vec()))
}

/// The answer to a request of this network.
fn reply(desk: &Desk, line: &str, headers: &[&str], network: u128) -> Result<Reply, Refusal> {
    let mut text = format!("{line} HTTP/1.1\r\nHost: race.example\r\n");
    headers.iter().for_each(|header| text += &format!("{header}\r\n"));
    let head = HeadReader::new(LIMITS).handle_input(format!("{text}\r\n").as_bytes());
    desk.answer(&head.unwrap().unwrap(), network, 1_700_000_000_123)
}

/// The value of a header line.
fn value<'a>(head: &'a str, name: &str) -> &'a str {
    let line = head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    line.unwrap_or_else(|| panic!("{name} is not in {head}"))
}

fn status(desk: &Desk, line: &str, headers: &[&str]) -> u16 {
    match ask(desk, line, headers) {
        Ok((head, _)) => head[9..12].parse().unwrap(),
        Err(refusal) => refusal.status,
    }
}

#[test]
fn every_file_is_there_under_its_name_and_the_page_names_those_it_needs() {
    let desk = desk(None);
    for file in &FILES {
        let (head, body) = ask(&desk, &format!("GET {}", file.path), &[]).unwrap();
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.ends_with("\r\n\r\n"));
        assert!(head.contains(&format!("Content-Type: {}\r\n", file.content_type)));
        assert!(head.contains(&format!("Content-Length: {}\r\n", file.plain.len())));
        assert_eq!(body, file.plain);
    }
    let (_, page) = ask(&desk, "GET /", &[]).unwrap();
    let page = String::from_utf8(page).unwrap();
    for kind in [".js\"", ".css\"", ".svg\""] {
        let end = page.find(kind).unwrap() + kind.len() - 1;
        let path = &page[page[..end].rfind('"').unwrap() + 1..end];
        assert!(FILES.iter().any(|file| file.path == path), "{path}");
    }
}

#[test]
fn every_answer_forbids_what_the_page_does_not_need_and_closes() {
    let desk = desk(Some(TOKEN));
    for line in ["GET /", "HEAD /", "GET /page.json", "GET /page/login", "GET /page/notices.txt"] {
        let (head, _) = ask(&desk, line, &[]).unwrap();
        for wanted in [
            "Content-Security-Policy: default-src 'none'; script-src 'self';",
            "X-Content-Type-Options: nosniff\r\n",
            "Referrer-Policy: no-referrer\r\n",
            "Cross-Origin-Resource-Policy: same-origin\r\n",
            "Connection: close\r\n",
            "Cache-Control: ",
        ] {
            assert_eq!(head.matches(wanted).count(), 1, "{line}: {wanted} in {head}");
        }
    }
}

#[test]
fn files_named_by_content_are_kept_and_the_others_are_asked_for_again() {
    let desk = desk(None);
    let hashed = FILES.iter().find(|file| file.is_named_by_content).unwrap();
    let (head, _) = ask(&desk, &format!("GET {}", hashed.path), &[]).unwrap();
    assert!(head.contains("Cache-Control: public, max-age=31536000, immutable\r\n"));
    assert!(ask(&desk, "GET /", &[]).unwrap().0.contains("Cache-Control: no-cache\r\n"));
    assert!(ask(&desk, "GET /page.json", &[]).unwrap().0.contains("Cache-Control: no-store\r\n"));
}

#[test]
fn who_takes_gzip_gets_it() {
    let desk = desk(None);
    for header in ["Accept-Encoding: br, GZIP", "Accept-Encoding: gzip"] {
        let (head, body) = ask(&desk, "GET /", &[header]).unwrap();
        assert!(head.contains("Content-Encoding: gzip\r\nVary: Accept-Encoding\r\n"));
        assert!(body.starts_with(&[0x1F, 0x8B]), "{header}");
    }
    for header in ["Accept-Encoding: br", "Accept-Encoding: xgzip"] {
        let (head, body) = ask(&desk, "GET /", &[header]).unwrap();
        assert!(!head.contains("Content-Encoding") && body.starts_with(b"<!doctype"), "{header}");
    }
}

#[test]
fn a_head_request_gets_the_length_and_no_body() {
    let desk = desk(None);
    let (got, body) = ask(&desk, "GET /page.json", &[]).unwrap();
    let (headed, nothing) = ask(&desk, "HEAD /page.json", &[]).unwrap();
    assert_eq!((got, body.len(), nothing.len()), (headed, 13, 0));
}

#[test]
fn there_is_nothing_beside_exact_paths() {
    let desk = desk(None);
    for target in
        ["/index.html", "//", "/page", "/page/", "/page/../", "/PAGE.json", "/page.json/", "/x"]
    {
        assert_eq!(status(&desk, &format!("GET {target}"), &[]), 404, "{target}");
    }
    assert_eq!(status(&desk, "GET /?event=1&event=2", &[]), 200);
    assert_eq!(status(&desk, "GET /page.json?x", &[]), 200);
    assert!(!Desk::is_asked("/ws-live") && !Desk::is_asked("/ws-live?x"));
    assert!(!Desk::is_asked("*") && !Desk::is_asked("http://a/"));
    assert!(Desk::is_asked("/") && Desk::is_asked("/ws-live/") && Desk::is_asked("/x?/ws-live"));
}

#[test]
fn the_page_is_only_read() {
    let desk = desk(None);
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"] {
        let refused = ask(&desk, &format!("{method} /"), &[]).unwrap_err();
        let answer = String::from_utf8(Answer::from(refused).into_bytes()).unwrap();
        assert!(answer.starts_with("HTTP/1.1 405 "), "{method}: {answer}");
        assert_eq!(value(&answer, "Allow"), "GET, HEAD");
    }
    for header in ["Content-Length: 0", "Transfer-Encoding: chunked", "Expect: 100-continue"] {
        assert_eq!(status(&desk, "GET /", &[header]), 400, "{header}");
    }
    assert_eq!(status(&desk, "GET /", &["Host: twice"]), 400);
}

#[test]
fn what_the_page_is_told_is_the_newest_with_the_time_of_the_server() {
    let (newest, data) = watch::channel(Arc::from(b"{}".as_slice()));
    let desk = Desk::new(Page { data, token: None }, &LiveConfig::default());
    newest.send(Arc::from(b"{\"events\":[1]}".as_slice())).unwrap();
    let (head, body) = ask(&desk, "GET /page.json", &[]).unwrap();
    assert_eq!(body, b"{\"events\":[1]}");
    assert!(head.contains("Content-Type: application/json\r\n"));
    assert!(head.contains("Pitwall-Time-Ms: 1700000000123\r\n"));
}

#[test]
fn with_a_token_nothing_is_told_before_the_log_in() {
    let desk = desk(Some(TOKEN));
    assert_eq!(status(&desk, "GET /", &[]), 200);
    assert_eq!(status(&desk, "GET /page.json", &[]), 401);
    assert_eq!(status(&desk, "GET /page.json", &["Cookie: pitwall_token=wrong"]), 401);
    let bearer = format!("Authorization: Bearer {TOKEN}");
    assert_eq!(status(&desk, "GET /page.json", &[&bearer]), 401);
    for wrong in ["Authorization: Bearer", "Authorization: Bearer wrong", "Authorization: Basic x"]
    {
        let (head, _) = ask(&desk, "GET /page/login", &[wrong]).unwrap();
        assert!(head.starts_with("HTTP/1.1 401 ") && !head.contains("Set-Cookie"), "{wrong}");
    }
    assert_eq!(status(&desk, "GET /page/login", &[&bearer, &bearer]), 401);
    let (head, _) = ask(&desk, "GET /page/login", &[&bearer]).unwrap();
    let cookie =
        format!("Set-Cookie: pitwall_token={TOKEN}; Path=/; HttpOnly; SameSite=Strict\r\n");
    assert!(head.starts_with("HTTP/1.1 204 ") && head.contains(&cookie), "{head}");
    let cookie = format!("Cookie: theme=dark; pitwall_token={TOKEN}");
    assert_eq!(status(&desk, "GET /page.json", &[&cookie]), 200);
}

#[test]
fn without_a_token_there_is_no_log_in() {
    assert_eq!(status(&desk(None), "GET /page/login", &["Authorization: Bearer x"]), 404);
}

#[test]
fn who_knows_what_is_told_is_told_no_more_than_that() {
    let (newest, desk) = long_desk(Some(TOKEN));
    let cookie = format!("Cookie: pitwall_token={TOKEN}");
    let (head, body) = ask(&desk, "GET /page.json", &[&cookie]).unwrap();
    assert_eq!(body, "{\"events\":[]}".repeat(1_000).as_bytes());
    let known = format!("If-None-Match: {}", value(&head, "ETag"));
    let (head, body) = ask(&desk, "GET /page.json", &[&cookie, &known]).unwrap();
    assert!(head.starts_with("HTTP/1.1 304 Not Modified\r\n") && body.is_empty(), "{head}");
    assert!(!head.contains("Content-Length"), "{head}");
    assert_eq!(value(&head, "Pitwall-Time-Ms"), "1700000000123");
    assert_eq!(status(&desk, "GET /page.json", &[&known]), 401, "a tag is no log-in");
    newest.send_replace(Arc::from(b"{}".as_slice()));
    let (head, body) = ask(&desk, "GET /page.json", &[&cookie, &known]).unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert_eq!(body, b"{}");
}

#[test]
fn what_is_told_goes_by_gzip_to_who_takes_it() {
    let (_newest, desk) = long_desk(None);
    let (plain, body) = ask(&desk, "GET /page.json", &[]).unwrap();
    assert!(!plain.contains("Content-Encoding") && body.starts_with(b"{"), "{plain}");
    let (head, body) = ask(&desk, "GET /page.json", &["Accept-Encoding: gzip, br"]).unwrap();
    assert_eq!(value(&head, "Content-Encoding"), "gzip");
    assert_eq!(value(&head, "Content-Length"), body.len().to_string());
    assert!(body.starts_with(&[0x1F, 0x8B]) && body.len() < 500, "{} bytes", body.len());
    assert_eq!(value(&head, "ETag"), value(&plain, "ETag"));
    assert_eq!([value(&head, "Vary"), value(&plain, "Vary")], ["Accept-Encoding"; 2]);
}

#[test]
fn who_does_not_take_what_is_long_leaves_room_to_others_and_what_is_short_needs_none() {
    let (_newest, desk) = long_desk(None);
    let take = |network| reply(&desk, "GET /", &[], network);
    let mut all: Vec<Reply> = std::iter::from_fn(|| take(1).ok()).collect();
    assert_eq!(take(1).unwrap_err().status, 503);
    assert!(take(2).is_ok(), "another address finds room");
    all.extend((2..20).flat_map(|network| std::iter::from_fn(move || take(network).ok())));
    let known = value(&ask(&desk, "HEAD /page.json", &[]).unwrap().0, "ETag").to_owned();
    for line in ["GET /", "GET /page.json", "GET /page/notices.txt"] {
        assert_eq!(reply(&desk, line, &[], 20).unwrap_err().status, 503, "{line}");
    }
    assert_eq!(status(&desk, "GET /page.json", &[&format!("If-None-Match: {known}")]), 304);
    assert_eq!(status(&desk, "GET /page/login", &[]), 404);
    all.pop();
    assert!(take(20).is_ok());
}

#[test]
fn a_page_without_events_names_the_style() {
    let told = |page: &Page| String::from_utf8(page.data.borrow().to_vec()).unwrap();
    let expected = r#"{"login":null,"style":null,"events":[]}"#;
    assert_eq!(told(&Page::without_events(None)), expected);
    let style = StyleUrl {
        url: "https://tiles.example/s.json".to_owned(),
        origin: "https://tiles.example".to_owned(),
    };
    let expected = r#"{"login":null,"style":"https://tiles.example/s.json","events":[]}"#;
    assert_eq!(told(&Page::without_events(Some(&style))), expected);
}
