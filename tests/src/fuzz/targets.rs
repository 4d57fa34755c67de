//! The parsers of foreign bytes and what must hold for each, whatever it is given.

use engine::id::{EVENT_ID_TEXT_BYTES, EventId};

use super::Target;

/// Every target. A new one is a line here and a function below.
pub const TARGETS: &[Target] = &[Target {
    name: "event_id",
    seeds: || vec![b"6f1b1e8a-3c52-4e0e-9a41-0d7f5c1b2a3d".to_vec()],
    dictionary: &[b"-", b"0000", b"ffff", b"FFFF", b"{", b"}", b"urn:uuid:"],
    input_bytes_max: 64,
    run: event_id,
}];

/// The target of that name.
#[must_use]
pub fn target_named(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

/// What is accepted is written back byte for byte.
fn event_id(input: &[u8]) -> u64 {
    match EventId::parse(input) {
        Some(id) => {
            assert_eq!(id.text(), input, "two spellings of one id");
            1
        }
        None if input.len() == EVENT_ID_TEXT_BYTES => 2,
        None => 3,
    }
}
