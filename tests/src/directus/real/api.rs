//! The REST API of Directus, as far as a test needs it: one request, one connection, no library.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};

/// How long an answer may take; making a collection takes a second on an idle machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Who logs in.
pub(super) struct Login {
    pub(super) email: String,
    pub(super) password: &'static str,
}

/// Where it is called.
#[derive(Clone, Copy, Debug)]
pub(super) struct Api {
    pub(super) port: u16,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    head: String,
    body: Value,
}

impl Api {
    /// Calls it with one more header line, as `Name: value`.
    pub(super) fn call(
        self,
        method: &str,
        path: &str,
        header: Option<&str>,
        body: Option<&Value>,
    ) -> Answer {
        self.try_call(method, path, header, body).expect("Directus answers")
    }

    /// True when it answers at all.
    pub(super) fn is_up(self) -> bool {
        self.try_call("GET", "/server/ping", None, None).is_ok_and(|answer| answer.status == 200)
    }

    /// Logs in, and returns the cookie.
    pub(super) fn log_in(self, login: &Login) -> String {
        let body = json!({ "email": login.email, "password": login.password, "mode": "session" });
        self.call("POST", "/auth/login", None, Some(&body)).cookie()
    }

    fn try_call(
        self,
        method: &str,
        path: &str,
        header: Option<&str>,
        body: Option<&Value>,
    ) -> std::io::Result<Answer> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let body = body.map_or_else(String::new, Value::to_string);
        let header = header.map_or_else(String::new, |line| format!("{line}\r\n"));
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n{header}Connection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.port,
            body.len()
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let status = head.get(9..12).and_then(|digits| digits.parse().ok()).unwrap_or(0);
        let body = serde_json::from_str(body).unwrap_or(Value::Null);
        Ok(Answer { status, head: head.to_owned(), body })
    }
}

impl Answer {
    /// A text of `data`.
    pub(super) fn text(&self, name: &str) -> String {
        let text = self.body["data"][name].as_str();
        text.unwrap_or_else(|| panic!("no {name} in {self:?}")).to_owned()
    }

    /// The cookie that it sets, as a browser sends it back.
    pub(super) fn cookie(&self) -> String {
        let set = self.head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("set-cookie").then_some(value)
        });
        let cookie = set.and_then(|set| set.split(';').next());
        cookie.unwrap_or_else(|| panic!("no cookie in {self:?}")).to_owned()
    }
}
