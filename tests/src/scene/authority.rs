//! The scene's Directus: it knows people by their cookies and what they may see, and obeys orders to
//! misbehave. What it is asked for is kept, byte by byte.
//!
//! It is for tests and figures of the whole program: thousands of people whom it answers as fast as
//! they come, and no judgement of its own about what it is asked. The one that judges every byte and
//! breaks in every way is [`crate::directus::Directus`].

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::program::comes_true;

/// How long the process may be without files.
const PATIENCE: Duration = Duration::from_secs(10);

/// Between two looks at whether it has some.
const LOOK: Duration = Duration::from_millis(10);

/// How it behaves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Mood {
    /// It answers by what it knows.
    #[default]
    Well,
    /// It answers everything with this status and body.
    Always(u16, String),
    /// It takes requests and never answers.
    Mute,
    /// It closes connections without a word.
    Cuts,
}

/// What it knows and has seen.
#[derive(Debug, Default)]
pub struct Knowledge {
    /// User by cookie.
    pub users: HashMap<String, String>,
    /// Pairs of cookie and event.
    pub allowed: HashSet<(String, String)>,
    /// Events that it says do not exist.
    pub missing: HashSet<String>,
    /// How it behaves.
    pub mood: Mood,
    /// The heads of all requests.
    pub requests: Vec<String>,
}

/// A running one.
#[derive(Debug)]
pub struct Authority {
    /// Where it listens on loopback.
    pub port: u16,
    knowledge: Arc<Mutex<Knowledge>>,
}

impl Authority {
    /// Starts one that knows nobody.
    ///
    /// # Panics
    /// When there is no free port.
    #[must_use]
    pub fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let knowledge = Arc::new(Mutex::new(Knowledge::default()));
        let known = knowledge.clone();
        // It ends with the test's process.
        thread::spawn(move || {
            for stream in listener.incoming() {
                match stream {
                    Ok(stream) => {
                        let known = known.clone();
                        thread::spawn(move || converse(&stream, &known));
                    }
                    // A test may take away the files of its process, and give them back.
                    Err(error) => {
                        let has_files = || File::open("/dev/null").is_ok();
                        assert!(comes_true(PATIENCE, LOOK, has_files), "nobody is let in: {error}");
                    }
                }
            }
        });
        Self { port, knowledge }
    }

    /// What it knows and has seen, to be read and changed.
    pub fn knowledge(&self) -> MutexGuard<'_, Knowledge> {
        self.knowledge.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many requests for a path that begins so have come.
    #[must_use]
    pub fn count(&self, path: &str) -> usize {
        let line = format!("GET {path}");
        self.knowledge().requests.iter().filter(|head| head.starts_with(&line)).count()
    }
}

fn converse(stream: &TcpStream, known: &Mutex<Knowledge>) {
    let mut reader = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            match reader.read_line(&mut head) {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        }
        let answer = {
            let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
            known.requests.push(head.clone());
            match known.mood.clone() {
                Mood::Well => answer(&known, &head),
                Mood::Always(status, body) => (status, body),
                Mood::Cuts => return,
                Mood::Mute => {
                    drop(known);
                    // Until the other side has had enough.
                    reader.read_line(&mut head).ok();
                    return;
                }
            }
        };
        let (status, body) = answer;
        let text = format!(
            "HTTP/1.1 {status} Word\r\nContent-Type: application/json; charset=utf-8\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        if (&*stream).write_all(text.as_bytes()).is_err() {
            return;
        }
    }
}

fn answer(known: &Knowledge, head: &str) -> (u16, String) {
    let path = head.split(' ').nth(1).unwrap_or_default();
    let cookie = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("cookie").then_some(value)
    });
    let refused = |status: u16, code: &str| {
        (status, format!(r#"{{"errors":[{{"message":"","extensions":{{"code":"{code}"}}}}]}}"#))
    };
    let Some(user) = cookie.and_then(|cookie| known.users.get(cookie)) else {
        return refused(401, "INVALID_CREDENTIALS");
    };
    if path == "/users/me" {
        return (200, format!(r#"{{"data":{{"id":"{user}","role":null}}}}"#));
    }
    let event = path.strip_prefix("/items/events/").and_then(|rest| rest.split('?').next());
    let Some(event) = event else { return refused(404, "ROUTE_NOT_FOUND") };
    if known.missing.contains(event) {
        return refused(404, "NOT_FOUND");
    }
    let pair = (cookie.unwrap_or_default().to_owned(), event.to_owned());
    if known.allowed.contains(&pair) {
        (200, format!(r#"{{"data":{{"id":"{event}","organization_id":"o"}}}}"#))
    } else {
        refused(403, "FORBIDDEN")
    }
}
