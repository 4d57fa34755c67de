//! What is asked of the catalog, and the answers; what they mean is judged elsewhere.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};
use tokio_postgres::{Client, Error, Row};

use super::TableKind;
use super::index::{INDEXES, Index};

/// One row, whether there is a table or not. A `positions` that the search path does not reach is
/// told, since who looks with another user sees it. The view of TimescaleDB is asked for by name
/// only when it is there and may be read: otherwise the question itself would be refused.
const STANDING: &str = "
    SELECT relkind::text, relpersistence = 'u', row_security_active(found), quote_ident(current_user),
        current_setting('server_encoding'), current_setting('fsync'),
        current_setting('full_page_writes'),
        (SELECT string_agg(quote_ident(nspname), ', ' ORDER BY nspname)
         FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
         WHERE relname = 'positions' AND relkind IN ('r', 'p') AND relpersistence <> 't'),
        EXISTS (
            SELECT FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
            WHERE EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb')
                AND nspname = 'timescaledb_information' AND relname = 'hypertables'
                AND has_schema_privilege(pg_namespace.oid, 'USAGE')
                AND has_table_privilege(pg_class.oid, 'SELECT'))
    FROM (SELECT to_regclass('positions')::oid AS found) AS named
        LEFT JOIN pg_class ON oid = found";

/// Each column: its type, whether it must not be null, what it is when nothing is said, whether it
/// takes a value at all, and our rights. Of a timestamp that keeps less than milliseconds the type is
/// told with its precision. A domain brings a default and a condition of its own.
const COLUMNS: &str = "
    SELECT attname::text,
        format_type(atttypid, CASE WHEN atttypmod BETWEEN 0 AND 2 THEN atttypmod ELSE -1 END),
        attnotnull OR typtype = 'd' AND typnotnull,
        coalesce(
            (SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef
             WHERE adrelid = attrelid AND adnum = attnum),
            typdefault),
        attidentity::text, attgenerated <> '',
        has_column_privilege(attrelid, attnum, 'INSERT'),
        has_column_privilege(attrelid, attnum, 'SELECT')
    FROM pg_attribute JOIN pg_type ON pg_type.oid = atttypid
    WHERE attrelid = to_regclass('positions') AND attnum > 0 AND NOT attisdropped";

/// As the documentation of TimescaleDB 2 describes its view.
const IS_HYPERTABLE: &str = "
    SELECT EXISTS (
        SELECT FROM timescaledb_information.hypertables
            JOIN pg_namespace ON nspname = hypertable_schema
            JOIN pg_class ON relnamespace = pg_namespace.oid AND relname = hypertable_name
        WHERE pg_class.oid = to_regclass('positions'))";

/// All that the judgement rests on.
pub(super) struct Facts {
    pub(super) kind: TableKind,
    /// A crash of the server empties it.
    pub(super) is_unlogged: bool,
    /// Policies decide which rows this user may read and write.
    pub(super) is_guarded_by_row: bool,
    /// Who we are, ready for a statement.
    pub(super) user: String,
    pub(super) encoding: String,
    /// Settings that are off and keep a crash of the machine from losing what was committed.
    pub(super) settings_off: Vec<&'static str>,
    /// Schemas that have a table `positions`, whether or not we reach them.
    pub(super) schemas: Option<String>,
    pub(super) columns: Vec<Column>,
    pub(super) indexes: Vec<Index>,
}

/// A column as it is.
pub(super) struct Column {
    pub(super) name: String,
    pub(super) type_name: String,
    pub(super) is_required: bool,
    pub(super) default: Option<String>,
    /// Empty, `d` when a value may be given, `a` when none may.
    pub(super) identity: String,
    pub(super) is_generated: bool,
    pub(super) may_insert: bool,
    pub(super) may_select: bool,
}

impl Facts {
    pub(super) async fn ask(client: &Client) -> Result<Self, Error> {
        let (standing, columns, indexes) = tokio::try_join!(
            // Nothing is prepared: one way there and back for all.
            client.query_typed(STANDING, &[]),
            client.query_typed(COLUMNS, &[]),
            client.query_typed(INDEXES, &[]),
        )?;
        let standing = standing.first().expect("it is one row, whether there is a table or not");
        let may_be_hypertable: bool = standing.get(8);
        let is_hypertable =
            may_be_hypertable && client.query_one(IS_HYPERTABLE, &[]).await?.get::<_, bool>(0);
        let settings = [(5, "fsync"), (6, "full_page_writes")];
        let is_off = |place: usize| standing.get::<_, &str>(place) == "off";
        Ok(Self {
            kind: kind(standing.get(0), is_hypertable),
            is_unlogged: standing.get::<_, Option<bool>>(1).unwrap_or(false),
            is_guarded_by_row: standing.get::<_, Option<bool>>(2).unwrap_or(false),
            user: standing.get(3),
            encoding: standing.get(4),
            settings_off: settings.iter().filter(|it| is_off(it.0)).map(|it| it.1).collect(),
            schemas: standing.get(7),
            columns: columns.iter().map(Column::from).collect(),
            indexes: indexes.iter().map(Index::from).collect(),
        })
    }

    pub(super) fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// See [`super::Catalog::fingerprint`].
    pub(super) fn fingerprint(&self) -> String {
        if self.kind == TableKind::Missing {
            return String::new();
        }
        let columns = self.columns.iter().map(Column::shape);
        let mut lines: Vec<String> = columns.chain(self.indexes.iter().map(Index::shape)).collect();
        lines.sort();
        let digest = Sha256::digest(lines.join("\n"));
        digest[..8].iter().fold(String::new(), |mut digits, byte| {
            write!(digits, "{byte:02x}").expect("text grows");
            digits
        })
    }
}

impl Column {
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    fn shape(&self) -> String {
        let Self { name, type_name, is_required, default, identity, is_generated, .. } = self;
        format!("{name} {type_name} {is_required} {default:?} {identity} {is_generated}")
    }
}

impl From<&Row> for Column {
    fn from(row: &Row) -> Self {
        // A right is unknown when the table goes while we look.
        let may = |place: usize| row.get::<_, Option<bool>>(place).unwrap_or(false);
        Self {
            name: row.get(0),
            type_name: row.get(1),
            is_required: row.get(2),
            default: row.get(3),
            identity: row.get(4),
            is_generated: row.get(5),
            may_insert: may(6),
            may_select: may(7),
        }
    }
}

fn kind(relkind: Option<&str>, is_hypertable: bool) -> TableKind {
    match relkind {
        None => TableKind::Missing,
        Some("r") if is_hypertable => TableKind::Hypertable,
        Some("r") => TableKind::Plain,
        Some("p") => TableKind::Partitioned,
        Some(_) => TableKind::Other,
    }
}
