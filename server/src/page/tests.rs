//! The desk's answers, byte by byte.

use std::sync::Arc;

use tokio::sync::watch;

use super::{DELIVERIES_MAX, Desk, FILES, Page, Token};
use crate::config::{LiveConfig, StyleUrl};
use crate::http::{HeadLimits, HeadReader, Refusal};
use crate::secret::Secret;

const LIMITS: HeadLimits = HeadLimits { bytes_max: 16 * 1024, headers_max: 64 };
const TOKEN: &str = "a-token-of-some-length";

fn desk(token: Option<&str>) -> Desk {
    let (_, data) = watch::channel(Arc::from(b"{\"events\":[]}".as_slice()));
    let token = token.map(|word| Token::new(&Secret::new(word)));
    Desk::new(Page { data, token }, &LiveConfig::default())
}

/// Head and body of the answer to a request.
fn ask(desk: &Desk, line: &str, headers: &[&str]) -> Result<(String, Vec<u8>), Refusal> {
    let mut text = format!("{line} HTTP/1.1\r\nHost: race.example\r\n");
    headers.iter().for_each(|header| text += &format!("{header}\r\n"));
    let head = HeadReader::new(LIMITS).handle_input(format!("{text}\r\n").as_bytes());
    let reply = desk.answer(&head.unwrap().unwrap(), 1_700_000_000_123)?;
    let (head, body) = reply.parts();
    Ok((String::from_utf8(head.to_vec()).unwrap(), body.to_vec()))
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
        assert_eq!(status(&desk, &format!("{method} /"), &[]), 405, "{method}");
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
fn no_more_answers_are_on_their_way_than_may_be() {
    let desk = desk(None);
    let head = || {
        let read = HeadReader::new(LIMITS).handle_input(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        read.unwrap().unwrap()
    };
    let mut replies: Vec<_> =
        (0..DELIVERIES_MAX).map(|_| desk.answer(&head(), 0).unwrap()).collect();
    assert_eq!(desk.answer(&head(), 0).unwrap_err().status, 503);
    replies.pop();
    assert!(desk.answer(&head(), 0).is_ok());
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
