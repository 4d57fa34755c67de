//! The live page: its files, what it is told, and the log-in by token, as answers to requests.
//!
//! It knows exact paths and two methods, reads nothing but the head of a request, and asks nobody. What
//! the page is told (`/page.json`) is finished bytes that somebody else keeps up to date.

mod files;
mod places;
mod policy;
mod reply;
mod token;
mod told;

use std::sync::Arc;

use tokio::sync::watch;

pub use self::reply::Reply;
pub use self::token::Token;

use self::files::FILES;
use self::places::Places;
use self::told::Newest;
use crate::config::{LiveConfig, StyleUrl};
use crate::http::{Authority, Head, Refusal};

/// The path that is not the page's: viewers connect there.
const VIEWERS: &str = "/ws-live";

const NOTHING_HERE: Refusal = Refusal::new(404, "There is no such page.");
const FULL: Refusal = Refusal::new(503, "Too many are loading this page. Try again in a moment.");

/// What the page tells, and to whom.
#[derive(Clone, Debug)]
pub struct Page {
    /// The JSON of `/page.json`: finished bytes.
    pub data: watch::Receiver<Arc<[u8]>>,
    /// What has to be shown to get it; nothing when everybody may.
    pub token: Option<Token>,
}

impl Page {
    /// The page of a process that knows no names: the address says which events it shows.
    #[must_use]
    pub fn without_events(style: Option<&StyleUrl>) -> Self {
        let style = style.map_or_else(|| "null".to_owned(), |style| format!("\"{}\"", style.url));
        let text = format!("{{\"login\":null,\"style\":{style},\"events\":[]}}");
        let (_, data) = watch::channel(Arc::from(text.into_bytes()));
        Self { data, token: None }
    }
}

/// A file of the page, in the program.
#[derive(Debug)]
struct File {
    path: &'static str,
    content_type: &'static str,
    /// Its name changes with its content, so that it may be kept for ever.
    is_named_by_content: bool,
    plain: &'static [u8],
    /// The same by gzip, where that is worth it.
    compressed: Option<&'static [u8]>,
}

/// Answers requests for the page.
#[derive(Clone, Debug)]
pub struct Desk {
    newest: Arc<Newest>,
    token: Option<Token>,
    /// The content security policy of every answer.
    policy: Arc<str>,
    places: Arc<Places>,
}

impl Desk {
    /// A desk for this page, with the settings' style.
    #[must_use]
    pub fn new(page: Page, live: &LiveConfig) -> Self {
        let policy = policy::policy(live.page_style.as_ref().map(|style| &*style.origin));
        let newest = Arc::new(Newest::new(page.data));
        Self { newest, token: page.token, policy: policy.into(), places: Arc::default() }
    }

    /// True when a request with this target is the desk's to answer.
    #[must_use]
    pub fn is_asked(target: &str) -> bool {
        target.starts_with('/') && path_of(target) != VIEWERS
    }

    /// The answer to a request of this network at this time. What is short is answered whatever else is
    /// on its way.
    pub fn answer(&self, head: &Head, network: u128, now_ms: i64) -> Result<Reply, Refusal> {
        let method = check(head)?;
        let reply = match path_of(head.target()) {
            "/page.json" => self.data(head, now_ms),
            "/page/login" => self.log_in(head),
            path => file_reply(path, head)?,
        };
        let mut reply = reply.with("Content-Security-Policy", &self.policy).finished(method);
        if reply.is_long() {
            reply.place = Some(self.places.take(network).ok_or(FULL)?);
        }
        Ok(reply)
    }

    fn data(&self, head: &Head, now_ms: i64) -> Reply {
        let mut cookies = head.all("cookie");
        let is_allowed = self
            .token
            .as_ref()
            .is_none_or(|token| cookies.any(|cookie| token.allows(Some(cookie))));
        if !is_allowed {
            return Reply::words(401, "Log in with the token to see this.\n");
        }
        let told = self.newest.told();
        let reply = if head.all("if-none-match").any(|tags| told.is_known(tags)) {
            Reply::nothing(304)
        } else {
            match takes_gzip(head).then(|| told.compressed()).flatten() {
                Some(bytes) => {
                    Reply::data("application/json", bytes).with("Content-Encoding", "gzip")
                }
                None => Reply::data("application/json", told.plain()),
            }
        };
        reply
            .with("Vary", "Accept-Encoding")
            .with("ETag", &told.tag)
            // So that a phone with a wrong clock shows right ages.
            .with("Pitwall-Time-Ms", &now_ms.to_string())
    }

    fn log_in(&self, head: &Head) -> Reply {
        let Some(token) = &self.token else {
            return Reply::words(404, "There is nothing to log in to.\n");
        };
        let given = head.once("authorization").ok().flatten().unwrap_or_default();
        match given.strip_prefix(b"Bearer ").filter(|given| token.is(given)) {
            Some(_) => Reply::nothing(204).with("Set-Cookie", &token.cookie()),
            None => Reply::words(401, "This is not the token.\n"),
        }
    }
}

/// How a request is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    Get,
    Head,
}

fn check(head: &Head) -> Result<Method, Refusal> {
    if head.once("host")?.and_then(Authority::parse).is_none() {
        return Err(Refusal::new(400, "Host is not a name or an address, perhaps with a port."));
    }
    for name in ["content-length", "transfer-encoding", "trailer", "expect"] {
        if head.all(name).next().is_some() {
            return Err(Refusal::new(400, "Requests for the page have no body."));
        }
    }
    match head.method() {
        "GET" => Ok(Method::Get),
        "HEAD" => Ok(Method::Head),
        _ => Err(Refusal::of_method("The page is only read: GET, or HEAD.", "GET, HEAD")),
    }
}

fn file_reply(path: &str, head: &Head) -> Result<Reply, Refusal> {
    let file = FILES.iter().find(|file| file.path == path).ok_or(NOTHING_HERE)?;
    let reply = match file.compressed {
        Some(bytes) if takes_gzip(head) => {
            Reply::file(file.content_type, bytes).with("Content-Encoding", "gzip")
        }
        _ => Reply::file(file.content_type, file.plain),
    };
    let reply =
        if file.compressed.is_some() { reply.with("Vary", "Accept-Encoding") } else { reply };
    let keeping =
        if file.is_named_by_content { "public, max-age=31536000, immutable" } else { "no-cache" };
    Ok(reply.with("Cache-Control", keeping))
}

fn takes_gzip(head: &Head) -> bool {
    let mut accepted = head.all("accept-encoding").flat_map(|value| value.split(|&b| b == b','));
    accepted.any(|it| it.trim_ascii().eq_ignore_ascii_case(b"gzip"))
}

/// The path of a target. What stands behind it is for the page's own script.
fn path_of(target: &str) -> &str {
    target.split_once('?').map_or(target, |(path, _)| path)
}

#[cfg(test)]
mod tests;
