//! Target: what Directus answers, or whoever stands in its place.

use engine::id::EventId;
use engine::viewer::Decision;
use pitwall::live::directus::verdict::{ID_BYTES_MAX, Who, may, who};

use crate::fuzz::feature::feature;

const EVENT: EventId = EventId(0x6f1b_1e8a_3c52_4e0e_9a41_0d7f_5c1b_2a3d);
const USER: &str =
    r#"{"data":{"id":"6f1b1e8a-3c52-4e0e-9a41-0d7f5c1b2a3d","role":null,"email":"a@example.com"}}"#;
const NOBODY: &str = r#"{"data":null}"#;

pub(super) const DICTIONARY: &[&[u8]] = &[
    b"\"data\":",
    b"\"id\":",
    b"\"role\":",
    b"null",
    b"\"\"",
    b"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
    b"{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":",
    b"\\u0036",
    b"\\\"",
    b"6F1B1E8A",
    b"},",
];

pub(super) fn seeds() -> Vec<Vec<u8>> {
    vec![USER.as_bytes().to_vec(), NOBODY.as_bytes().to_vec()]
}

/// A user has an id that can be kept, and only an answer about an event opens it.
pub(super) fn answer(input: &[u8]) -> u64 {
    let kind = match who(200, input) {
        Who::User { id, role } => {
            let lengths = std::iter::once(&id).chain(&role).map(|text| text.len());
            assert!(lengths.clone().all(|bytes| (1..=ID_BYTES_MAX).contains(&bytes)), "{id}");
            let is_event = id.as_bytes().eq_ignore_ascii_case(&EVENT.text());
            assert_eq!(may(200, input, EVENT).0 == Decision::Allowed, is_event, "{id}");
            if is_event { 3 } else { 2 }
        }
        Who::Nobody => {
            assert_ne!(may(200, input, EVENT).0, Decision::Allowed);
            1
        }
        Who::Unclear(_) => {
            assert_ne!(may(200, input, EVENT).0, Decision::Allowed);
            0
        }
    };
    assert_eq!(who(403, input), Who::Nobody, "a refusal needs no body");
    feature((kind, may(200, input, EVENT).0 as u8))
}
