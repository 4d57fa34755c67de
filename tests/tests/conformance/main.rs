//! RFC 6455 on the wire: the program `conformance`, which echoes on the WebSocket code of viewers,
//! against raw bytes and against a client of other people.
#![expect(clippy::unwrap_used, reason = "a failed case is reported by its panic")]

mod client;
mod echo;
mod raw;
