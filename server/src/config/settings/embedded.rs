//! The settings of the embedded mode, and what holds there in place of the other defaults.

use super::Setting;
use crate::config::kind::Kind;

/// Their part of the table.
pub(super) const EMBEDDED: &[Setting] = &[
    Setting {
        name: "EMBEDDED_DIR",
        default: "",
        kind: Kind::Folder,
        meaning: "A folder to keep all in: then no Redis, PostgreSQL or Directus is needed or asked.",
    },
    Setting {
        name: "EMBEDDED_TOKEN",
        default: "",
        kind: Kind::CookieToken,
        meaning: "Opens the embedded mode to who knows it; without, viewers are on this machine only.",
    },
];

/// Defaults in the embedded mode: it does all that one process can, for this machine. Nobody there
/// has a name, so all viewers are one user.
pub const EMBEDDED_DEFAULTS: [(&str, &str); 5] = [
    ("ROLES", "live,ingest"),
    ("LIVE_WS_HOST", "127.0.0.1"),
    ("INGEST_HOST", "127.0.0.1"),
    ("METRICS_HOST", "127.0.0.1"),
    ("LIVE_VIEWERS_PER_USER_MAX", "100000"),
];
