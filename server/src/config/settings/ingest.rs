//! The settings of listening to devices.

use super::Setting;
use crate::config::kind::Kind;

/// Their part of the table.
pub(super) const INGESTING: &[Setting] = &[
    Setting {
        name: "INGEST_HOST",
        default: "0.0.0.0",
        kind: Kind::Address,
        meaning: "The address devices connect to.",
    },
    Setting {
        name: "INGEST_PORT",
        default: "5027",
        kind: Kind::number(1, 65_535),
        meaning: "The port devices connect to.",
    },
    Setting {
        name: "DEVICE_AUTHORITY_MODE",
        default: "open",
        kind: Kind::Word(&["open", "strict"]),
        meaning: "Which devices may send: open every one, strict those of the table devices.",
    },
    Setting {
        name: "DEVICE_AUTHORITY_REFRESH_MS",
        default: "30000",
        kind: Kind::milliseconds(100, 3_600_000),
        meaning: "How often the table devices is read, with strict.",
    },
    Setting {
        name: "INGEST_STREAM_LENGTH_MAX",
        default: "1000000",
        kind: Kind::number(1_000, 1_000_000_000),
        meaning: "Entries that the stream keeps, about; older ones are trimmed, read or not.",
    },
    Setting {
        name: "INGEST_QUEUE_MAX",
        default: "8192",
        kind: Kind::number(1, 65_536),
        meaning: "Most packets that wait for Redis; beyond that devices get no answer and keep theirs.",
    },
    Setting {
        name: "INGEST_DEVICES_MAX",
        default: "100000",
        kind: Kind::number(1, 1_000_000),
        meaning: "Most connections of devices.",
    },
    Setting {
        name: "INGEST_DEVICES_PER_ADDRESS_MAX",
        default: "50000",
        kind: Kind::number(1, 1_000_000),
        meaning: "Most of them from one address; a mobile operator has many devices behind one.",
    },
    Setting {
        name: "INGEST_HANDSHAKE_TIMEOUT_MS",
        default: "10000",
        kind: Kind::milliseconds(100, 60_000),
        meaning: "How long a device may take to say its IMEI.",
    },
    Setting {
        name: "INGEST_IDLE_TIMEOUT_MS",
        default: "600000",
        kind: Kind::milliseconds(100, 86_400_000),
        meaning: "How long a device may send nothing before its connection is cut.",
    },
];
