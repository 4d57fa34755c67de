//! The parsers of foreign bytes and what must hold for each, whatever it is given.

mod decode;
mod devices;
mod directus;
mod head;
mod viewers;

use engine::id::{EVENT_ID_TEXT_BYTES, EventId};
use engine::limits::{MESSAGE_BYTES_MAX, TELTONIKA_PACKET_BYTES_MAX};

use super::Target;
use super::feature::feature;

/// Every target. A new one is a line here and a function.
pub const TARGETS: &[Target] = &[
    Target {
        name: "event_id",
        seeds: || vec![b"6f1b1e8a-3c52-4e0e-9a41-0d7f5c1b2a3d".to_vec()],
        dictionary: &[b"-", b"0000", b"ffff", b"FFFF", b"{", b"}", b"urn:uuid:"],
        input_bytes_max: 64,
        run: event_id,
    },
    Target {
        name: "entry",
        seeds: decode::entry_seeds,
        dictionary: decode::ENTRY_DICTIONARY,
        input_bytes_max: 2_048,
        run: decode::entry,
    },
    Target {
        name: "payload",
        seeds: decode::payload_seeds,
        dictionary: decode::PAYLOAD_DICTIONARY,
        input_bytes_max: 2_048,
        run: decode::payload,
    },
    Target {
        name: "websocket",
        seeds: viewers::websocket_seeds,
        dictionary: viewers::WEBSOCKET_DICTIONARY,
        input_bytes_max: 2 * MESSAGE_BYTES_MAX,
        run: viewers::websocket,
    },
    Target {
        name: "protocol",
        seeds: viewers::protocol_seeds,
        dictionary: viewers::PROTOCOL_DICTIONARY,
        input_bytes_max: 512,
        run: viewers::protocol,
    },
    Target {
        name: "teltonika",
        seeds: devices::stream_seeds,
        dictionary: devices::DICTIONARY,
        input_bytes_max: TELTONIKA_PACKET_BYTES_MAX,
        run: devices::stream,
    },
    Target {
        name: "avl_data",
        seeds: devices::data_seeds,
        dictionary: devices::DICTIONARY,
        input_bytes_max: 2_048,
        run: devices::data,
    },
    Target {
        name: "directus",
        seeds: directus::seeds,
        dictionary: directus::DICTIONARY,
        input_bytes_max: 2_048,
        run: directus::answer,
    },
    Target {
        name: "head",
        seeds: head::seeds,
        dictionary: head::DICTIONARY,
        input_bytes_max: 2_048,
        run: head::head,
    },
];

/// The target of that name.
#[must_use]
pub fn target_named(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

/// What is accepted is written back byte for byte.
fn event_id(input: &[u8]) -> u64 {
    let parsed = EventId::parse(input);
    if let Some(id) = parsed {
        assert_eq!(id.text(), input, "two spellings of one id");
    }
    feature((parsed.is_some(), input.len() == EVENT_ID_TEXT_BYTES))
}
