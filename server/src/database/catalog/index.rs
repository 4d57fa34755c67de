//! The indexes of `positions`: which of them keep a row from being stored twice, and which find the
//! newest good one.

use tokio_postgres::Row;

use super::Fault;

/// Each index: its name, what it is, whether it works, its condition, and its columns in order. What
/// is only carried along (`INCLUDE`) is no column of it; an expression is told as such.
pub(super) const INDEXES: &str = "
    SELECT relname::text, indisunique, indisprimary, indisvalid AND indisready AND indislive,
        indimmediate, pg_get_expr(indpred, indrelid), indoption::text,
        (SELECT array_agg(coalesce(quote_ident(attname), '(expression)') ORDER BY place)
         FROM unnest(indkey::int2[]) WITH ORDINALITY AS key (number, place)
            LEFT JOIN pg_attribute ON attrelid = indrelid AND attnum = number AND number > 0
         WHERE place <= indnkeyatts)
    FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
    WHERE indrelid = to_regclass('positions')
    ORDER BY relname";

/// What puts a missing unique index right.
const CREATE_UNIQUE: &str = "CREATE UNIQUE INDEX positions_device_ts ON positions (device_id, ts);";

/// An index as it is.
pub(super) struct Index {
    name: String,
    is_unique: bool,
    is_primary: bool,
    is_ready: bool,
    is_immediate: bool,
    condition: Option<String>,
    /// Direction of each column, as the catalog numbers it.
    options: String,
    columns: Vec<String>,
}

impl Index {
    /// True when it is over these two and nothing else, whichever comes first.
    fn is_over_device_and_time(&self) -> bool {
        let columns: Vec<&str> = self.columns.iter().map(String::as_str).collect();
        columns == ["device_id", "ts"] || columns == ["ts", "device_id"]
    }

    /// Why `ON CONFLICT (device_id, ts)` cannot rest on it, though it is unique over both.
    fn unfitness(&self) -> Option<&'static str> {
        if self.condition.is_some() {
            return Some("holds for a part of the rows only");
        }
        if !self.is_immediate {
            return Some("may be checked later than the row is written (DEFERRABLE)");
        }
        (!self.is_ready).then_some("is not finished or its building has failed")
    }

    /// What the fingerprint is made of. The name is left out: only what it does counts.
    pub(super) fn shape(&self) -> String {
        let Self {
            is_unique, is_primary, is_ready, is_immediate, condition, options, columns, ..
        } = self;
        format!(
            "index {is_unique} {is_primary} {is_ready} {is_immediate} {condition:?} {options} \
             {columns:?}"
        )
    }
}

impl From<&Row> for Index {
    fn from(row: &Row) -> Self {
        Self {
            name: row.get(0),
            is_unique: row.get(1),
            is_primary: row.get(2),
            is_ready: row.get(3),
            is_immediate: row.get(4),
            condition: row.get(5),
            options: row.get(6),
            columns: row.get(7),
        }
    }
}

/// Does something keep a device and a time from being stored twice?
pub(super) fn unique(indexes: &[Index]) -> Option<Fault> {
    let over = |index: &&Index| index.is_unique && index.is_over_device_and_time();
    let candidates: Vec<&Index> = indexes.iter().filter(over).collect();
    if candidates.iter().any(|index| index.unfitness().is_none()) {
        return None;
    }
    let Some(near) = candidates.first() else {
        let what = "Nothing keeps positions from being stored twice: no unique index over device_id \
                    and ts.";
        return Some(Fault::new(what, CREATE_UNIQUE));
    };
    let (name, reason) = (&near.name, near.unfitness().unwrap_or_default());
    Some(Fault::new(
        format!(
            "Nothing keeps positions from being stored twice: the unique index {name} {reason}."
        ),
        format!("Remove {name} (or wait, if it is being built), then: {CREATE_UNIQUE}"),
    ))
}

/// Is the newest good position of a device found by an index?
pub(super) fn good(indexes: &[Index]) -> Option<Fault> {
    let is_about_faulty = |index: &Index| {
        index.condition.as_ref().is_some_and(|condition| condition.contains("faulty"))
    };
    let is_there = indexes
        .iter()
        .any(|index| index.is_ready && index.is_over_device_and_time() && is_about_faulty(index));
    (!is_there).then(|| {
        Fault::new(
            "The newest good positions are found without an index, which takes long at the start.",
            "CREATE INDEX positions_faulty_idx ON positions (device_id, ts DESC) WHERE faulty = \
             FALSE;",
        )
    })
}
