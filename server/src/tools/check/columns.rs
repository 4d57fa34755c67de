//! The business tables that pitwall reads, and the types that their columns must have.

/// A table and its columns.
#[derive(Debug)]
pub(super) struct Table {
    /// Its name, found along the search path.
    pub(super) name: &'static str,
    /// Each column with its types as PostgreSQL names them; any of them will do.
    pub(super) columns: &'static [(&'static str, &'static [&'static str])],
}

const TEXT: &[&str] = &["text", "character varying"];
const UUID: &[&str] = &["uuid"];

/// All of them but `positions`, which the catalog judges. A key is a uuid, an IMEI is text; mixed up, no device would be found in its event.
pub(super) const TABLES: &[Table] = &[
    Table { name: "events", columns: &[("id", UUID), ("organization_id", UUID)] },
    Table { name: "entries", columns: &[("id", UUID), ("event_id", UUID)] },
    Table { name: "entry_devices", columns: &[("entry_id", UUID), ("device_id", UUID)] },
    Table { name: "devices", columns: &[("id", UUID), ("imei", TEXT)] },
    Table { name: "organization_users", columns: &[("organization_id", UUID), ("user_id", UUID)] },
    Table { name: "directus_users", columns: &[("id", UUID), ("status", TEXT)] },
];
