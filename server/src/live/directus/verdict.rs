//! What an answer of Directus means: the two tables of the contract, as pure functions.
//!
//! Only Directus itself can say that somebody is not logged in, and only with the answers listed
//! here. Whatever else comes back is unclear: a client logs its user out on 4401, so a broken proxy
//! must never look like one.

use engine::id::EventId;
use engine::viewer::Decision;
use sonic_rs::{JsonContainerTrait, JsonValueTrait};

/// Longest id of a user or a role. Directus writes 36 bytes; more than this is no id, and would be
/// kept for each viewer.
pub const ID_BYTES_MAX: usize = 128;

/// Deepest nesting that is read. The parser calls itself for each level, so without a bound 64 KiB of
/// brackets would end the process; Directus nests two levels.
const DEPTH_MAX: usize = 32;

/// What `GET /users/me` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// A user.
    User {
        /// The id.
        id: Box<str>,
        /// The role's id, where there is one.
        role: Option<Box<str>>,
    },
    /// Not logged in, or the session ended.
    Nobody,
    /// Neither: the reason, in words for an operator.
    Unclear(&'static str),
}

/// Reads the answer to `GET /users/me`.
#[must_use]
pub fn who(status: u16, body: &[u8]) -> Who {
    match status {
        200 => user(body),
        401 | 403 => Who::Nobody,
        other => Who::Unclear(unexpected(other)),
    }
}

/// Reads the answer to `GET /items/events/<uuid>`. Allowed only when it is about that event, so that
/// no login page and no mixed up answer opens an event; the reason when it is undecided.
#[must_use]
pub fn may(status: u16, body: &[u8], event: EventId) -> (Decision, Option<&'static str>) {
    match status {
        200 => match data(body).map(|data| text(&data, "id")) {
            Ok(Some(id)) if id.as_bytes().eq_ignore_ascii_case(&event.text()) => {
                (Decision::Allowed, None)
            }
            Ok(_) => (Decision::Undecided, Some("It answered about another event, or about none.")),
            Err(reason) => (Decision::Undecided, Some(reason)),
        },
        403 => (Decision::Forbidden, None),
        404 => (Decision::NotFound, None),
        // The session ended meanwhile; the next connection will tell the client so.
        401 => (Decision::Undecided, None),
        other => (Decision::Undecided, Some(unexpected(other))),
    }
}

fn user(body: &[u8]) -> Who {
    match data(body) {
        Ok(data) if data.is_null() => Who::Nobody,
        Ok(data) => match text(&data, "id") {
            Some(id) => Who::User { id, role: text(&data, "role") },
            None => Who::Unclear("It answered about a user without a usable id."),
        },
        Err(reason) => Who::Unclear(reason),
    }
}

/// The member `data` of an answer, which must be an object.
fn data(body: &[u8]) -> Result<sonic_rs::Value, &'static str> {
    if depth(body) > DEPTH_MAX {
        return Err("It answered with JSON of an unknown shape.");
    }
    let answer: sonic_rs::Value = sonic_rs::from_slice(body)
        .map_err(|_| "It answered with something that is not JSON, perhaps a page of a proxy.")?;
    let object = answer.as_object().ok_or("It answered with JSON of an unknown shape.")?;
    object.get(&"data").cloned().ok_or("It answered with JSON of an unknown shape.")
}

/// How deep the nesting of a JSON text goes, as far as it is JSON.
fn depth(json: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let (mut is_text, mut is_escaped) = (false, false);
    for byte in json {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_text => is_escaped = true,
            b'"' => is_text = !is_text,
            b'[' | b'{' if !is_text => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !is_text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// A member that is a text of a usable length.
fn text(data: &sonic_rs::Value, name: &str) -> Option<Box<str>> {
    let text = data.get(name)?.as_str()?;
    (1..=ID_BYTES_MAX).contains(&text.len()).then(|| text.into())
}

/// Words for a status that decides nothing.
const fn unexpected(status: u16) -> &'static str {
    match status {
        300..=399 => "It answered with a redirect, which is never followed.",
        404 => "It answered 404: DIRECTUS_BASE_URL leads to something else.",
        408 | 425 | 429 => "It answered that it gets too many requests.",
        500..=599 => "It answered that it is broken or overloaded.",
        _ => "It answered with a status that decides nothing.",
    }
}

#[cfg(test)]
mod tests {
    use engine::id::EventId;
    use engine::viewer::Decision;

    use super::{ID_BYTES_MAX, Who, depth, may, who};

    fn known(id: &str, role: Option<&str>) -> Who {
        Who::User { id: id.into(), role: role.map(Into::into) }
    }

    fn check_user(status: u16, body: &str, expected: &Who) {
        assert_eq!(&who(status, body.as_bytes()), expected, "{status} {body}");
    }

    #[test]
    fn a_user_is_whoever_has_an_id() {
        check_user(200, r#"{"data":{"id":"u","role":"r","email":null}}"#, &known("u", Some("r")));
        check_user(200, r#"{"data":{"id":"u"}}"#, &known("u", None));
        check_user(200, r#"{"data":{"id":"u","role":null}}"#, &known("u", None));
        check_user(200, r#"{"data":{"id":"u","role":{"id":"r"}}}"#, &known("u", None));
        check_user(200, "  {\"data\" : {\"id\":\"\\u0075\"}, \"x\":1}\n", &known("u", None));
    }

    #[test]
    fn f53_only_401_403_and_no_data_mean_that_nobody_is_logged_in() {
        for body in ["", "not JSON", r#"{"errors":[]}"#, r#"{"data":{"id":"u"}}"#] {
            check_user(401, body, &Who::Nobody);
            check_user(403, body, &Who::Nobody);
        }
        check_user(200, r#"{"data":null}"#, &Who::Nobody);
    }

    #[test]
    fn f52_every_other_answer_is_unclear_and_never_a_logout() {
        let user = r#"{"data":{"id":"u"}}"#;
        let others = (100..=599).filter(|status| !matches!(status, 200 | 401 | 403));
        for status in others {
            assert!(matches!(who(status, user.as_bytes()), Who::Unclear(_)), "{status}");
        }
    }

    #[test]
    fn t33_a_200_without_a_usable_id_is_unclear() {
        let long = format!(r#"{{"data":{{"id":"{}"}}}}"#, "u".repeat(ID_BYTES_MAX + 1));
        let deep = "[".repeat(60_000);
        let deep_data = format!(r#"{{"data":{}"#, "{\"a\":".repeat(10_000));
        for body in [
            "",
            "<!doctype html><title>Sign in</title>",
            "null",
            "[]",
            "\"data\"",
            "{}",
            r#"{"data":[]}"#,
            r#"{"data":{}}"#,
            r#"{"data":"u"}"#,
            r#"{"data":{"id":null}}"#,
            r#"{"data":{"id":""}}"#,
            r#"{"data":{"id":7}}"#,
            r#"{"data":{"id":["u"]}}"#,
            r#"{"data":{"id":"u"}"#,
            r#"{"data":{"id":"u"}} {}"#,
            r#"{"DATA":{"id":"u"}}"#,
            &long,
            &deep,
            &deep_data,
        ] {
            let start = &body[..body.len().min(60)];
            assert!(matches!(who(200, body.as_bytes()), Who::Unclear(_)), "{start}");
        }
        assert!(matches!(who(200, b"{\"data\":{\"id\":\"\xff\"}}"), Who::Unclear(_)));
        assert!(matches!(who(200, b"\x1f\x8b\x08\x00"), Who::Unclear(_)));
    }

    #[test]
    fn brackets_in_a_text_nest_nothing() {
        for (json, expected) in
            [(r#"{"a":"[[\"[[","b":[[1],[2]]}"#, 3), ("[]]]][[", 2), ("\"[[", 0), ("", 0)]
        {
            assert_eq!(depth(json.as_bytes()), expected, "{json}");
        }
        let note = "[".repeat(1_000);
        let body = format!(r#"{{"data":{{"id":"u","note":"{note}"}}}}"#);
        check_user(200, &body, &known("u", None));
    }

    #[test]
    fn an_event_is_allowed_only_by_an_answer_about_it() {
        let event = EventId(0xff);
        let check = |status: u16, body: &str, expected: Decision| {
            assert_eq!(may(status, body.as_bytes(), event).0, expected, "{status} {body}");
        };
        let own = format!(r#"{{"data":{{"id":"{event}","organization_id":"o"}}}}"#);
        let other = own.replace("ff", "fe");
        check(200, &own, Decision::Allowed);
        check(200, &own.replace("ff", "FF"), Decision::Allowed);
        check(200, &other, Decision::Undecided);
        check(200, r#"{"data":null}"#, Decision::Undecided);
        check(200, "<html>", Decision::Undecided);
        check(403, "", Decision::Forbidden);
        check(404, "", Decision::NotFound);
        for status in [201, 204, 302, 401, 408, 429, 500, 502, 503, 504] {
            check(status, &own, Decision::Undecided);
        }
    }
}
