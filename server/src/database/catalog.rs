//! What the catalog of PostgreSQL says of the table `positions`: is it as the contract has it?
//!
//! It is the catalog that is asked, never a table of migrations: what counts is the table that the
//! session's search path finds, now. Looking changes nothing.

mod facts;
mod index;
mod judge;

use tokio_postgres::{Client, Error};

use facts::Facts;

/// Every column of `positions` that the contract names, and its type as PostgreSQL names it. The
/// order in the table does not matter: whoever reads or writes names the columns.
pub(crate) const COLUMNS: [(&str, &str); 13] = [
    ("device_id", "text"),
    ("ts", "timestamp with time zone"),
    ("ingested_at", "timestamp with time zone"),
    ("latitude", "double precision"),
    ("longitude", "double precision"),
    ("altitude", "real"),
    ("angle", "real"),
    ("speed", "real"),
    ("satellites", "smallint"),
    ("priority", "smallint"),
    ("codec", "text"),
    ("attributes", "jsonb"),
    ("faulty", "boolean"),
];

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Catalog {
    /// What keeps rows from being written, or from being understood; empty when all is well.
    pub faults: Vec<Fault>,
    /// What works, and is worse than it could be.
    pub warnings: Vec<Fault>,
    /// What `positions` is.
    pub kind: TableKind,
    /// Columns, types, defaults and indexes in sixteen digits: the same shape has the same ones,
    /// whatever the order of the columns and the names of the indexes. Empty without a table.
    pub fingerprint: String,
    /// True when there is no `positions` that the search path reaches, and one that it does not.
    pub is_elsewhere: bool,
}

/// Something that is not as it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What is the case, a plain sentence.
    pub what: String,
    /// What to do, with the SQL when it is one statement.
    pub remedy: String,
    /// True when only writing suffers, so that who only reads need not care.
    pub is_of_writing: bool,
}

impl Fault {
    fn new(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { what: what.into(), remedy: remedy.into(), is_of_writing: false }
    }

    fn of_writing(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { is_of_writing: true, ..Self::new(what, remedy) }
    }
}

/// What stands behind the name `positions`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableKind {
    /// Nothing.
    Missing,
    /// A table of PostgreSQL.
    Plain,
    /// A table that PostgreSQL itself divides.
    Partitioned,
    /// A table that TimescaleDB divides.
    Hypertable,
    /// A view, a foreign table or something else that is no table of this database.
    Other,
}

impl TableKind {
    /// The kind in words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Plain => "a plain table",
            Self::Partitioned => "a partitioned table",
            Self::Hypertable => "a hypertable",
            Self::Other => "not a table",
        }
    }
}

/// What the catalog says of `positions`, in one look: three questions at once, and one more when
/// TimescaleDB is there. The session's user is the one whose rights are looked at.
pub async fn look(client: &Client) -> Result<Catalog, Error> {
    let facts = Facts::ask(client).await?;
    let (faults, warnings) = judge::judge(&facts);
    let kind = facts.kind;
    let is_elsewhere = kind == TableKind::Missing && facts.schemas.is_some();
    Ok(Catalog { faults, warnings, kind, fingerprint: facts.fingerprint(), is_elsewhere })
}

/// The columns that every row carries.
fn written() -> impl Iterator<Item = &'static str> {
    engine::copy::COLUMNS.split(", ")
}

#[cfg(test)]
mod tests {
    use super::{COLUMNS, written};

    #[test]
    fn the_contract_knows_every_column_that_is_written() {
        let is_known = |name| COLUMNS.iter().any(|(known, _)| *known == name);
        assert!(written().all(is_known));
        assert_eq!(written().count(), 11);
    }
}
