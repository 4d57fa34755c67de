//! What the facts mean: each that is not as the contract has it becomes a sentence with a remedy.

use super::facts::{Column, Facts};
use super::{COLUMNS, Fault, TableKind, index, written};

/// What is at fault, and what deserves a look.
pub(super) fn judge(facts: &Facts) -> (Vec<Fault>, Vec<Fault>) {
    let (mut faults, mut warnings) = (Vec::new(), settings(facts));
    faults.extend(encoding(facts));
    if facts.kind == TableKind::Missing {
        faults.push(missing(facts));
        return (faults, warnings);
    }
    faults.extend(wrong_columns(facts));
    faults.extend(facts.columns.iter().filter_map(refuses_rows));
    faults.extend(facts.columns.iter().filter_map(takes_no_value));
    if facts.kind == TableKind::Other {
        // It can have neither an index nor rights that matter.
        faults.push(no_table(facts));
        return (faults, warnings);
    }
    faults.extend(index::unique(&facts.indexes));
    faults.extend(rights(facts));
    faults.extend(facts.is_guarded_by_row.then(|| guarded(facts)));
    warnings.extend(index::good(&facts.indexes));
    warnings.extend(facts.columns.iter().filter_map(stays_null));
    warnings.extend(facts.is_unlogged.then(|| {
        Fault::of_writing(
            "positions is an unlogged table: when PostgreSQL crashes, all of its rows are gone.",
            "ALTER TABLE positions SET LOGGED;",
        )
    }));
    (faults, warnings)
}

fn encoding(facts: &Facts) -> Option<Fault> {
    let encoding = &facts.encoding;
    (encoding != "UTF8").then(|| {
        Fault::new(
            format!("The database is encoded as {encoding}, and pitwall speaks UTF-8."),
            "Move to a database made with ENCODING 'UTF8'.",
        )
    })
}

fn settings(facts: &Facts) -> Vec<Fault> {
    let warning = |name: &&str| {
        Fault::of_writing(
            format!(
                "PostgreSQL runs with {name} = off: when its machine crashes, positions that were \
                 acknowledged may be lost or damaged."
            ),
            format!("ALTER SYSTEM SET {name} = on; then reload PostgreSQL."),
        )
    };
    facts.settings_off.iter().map(warning).collect()
}

fn missing(facts: &Facts) -> Fault {
    let user = &facts.user;
    match &facts.schemas {
        None => Fault::new(
            "There is no table positions.",
            "Let the platform's migrations run, or let POSTGRES_URL name its database.",
        ),
        Some(schemas) => Fault::new(
            format!(
                "There is no table positions that the search path of {user} reaches; there is one \
                 in {schemas}."
            ),
            format!(
                "ALTER ROLE {user} SET search_path = {schemas}; and GRANT USAGE ON SCHEMA {schemas} \
                 TO {user}; if it has none."
            ),
        ),
    }
}

fn no_table(facts: &Facts) -> Fault {
    let (user, schemas) = (&facts.user, facts.schemas.as_deref().unwrap_or("no schema"));
    Fault::of_writing(
        "positions is not a table but a view, a foreign table or the like: pitwall cannot vouch for \
         what is written there.",
        format!(
            "Let the search path of {user} find the table positions first ({schemas} has one), or \
             rename what stands in its place."
        ),
    )
}

fn wrong_columns(facts: &Facts) -> Vec<Fault> {
    let wrong = COLUMNS.iter().filter_map(|(name, must)| {
        let what = match facts.column(name) {
            None => format!("Column positions.{name} is missing."),
            Some(found) if found.type_name == *must => return None,
            Some(found) => {
                let is = &found.type_name;
                format!("Column positions.{name} is {is}, and must be {must}.")
            }
        };
        Some(Fault::new(what, "Let the platform's migrations run."))
    });
    wrong.collect()
}

/// A column that is never written must have a value by itself, or may be null.
fn refuses_rows(column: &Column) -> Option<Fault> {
    if is_written(column) || !column.is_required || fills_itself(column) {
        return None;
    }
    let name = &column.name;
    let (ours, remedy) = match COLUMNS.iter().find(|(known, _)| known == name) {
        None => {
            let quoted = name.replace('"', "\"\"");
            (", and pitwall does not know it", format!("ALTER \"{quoted}\" DROP NOT NULL"))
        }
        Some(_) => ("", format!("ALTER {name} SET DEFAULT {}", default_of(name))),
    };
    Some(Fault::of_writing(
        format!(
            "Column positions.{name} must not be null and has no default{ours}: every row would be \
             refused."
        ),
        format!("ALTER TABLE positions {remedy};"),
    ))
}

/// A known column that is not written and would be null from now on.
fn stays_null(column: &Column) -> Option<Fault> {
    let is_known = COLUMNS.iter().any(|(known, _)| *known == column.name);
    if is_written(column) || !is_known || column.is_required || fills_itself(column) {
        return None;
    }
    let name = &column.name;
    Some(Fault::of_writing(
        format!("Column positions.{name} has no default: it is null in every row that comes."),
        format!("ALTER TABLE positions ALTER {name} SET DEFAULT {};", default_of(name)),
    ))
}

/// A column that is written must take what it is given.
fn takes_no_value(column: &Column) -> Option<Fault> {
    let change = match column {
        column if !is_written(column) => return None,
        column if column.is_generated => "DROP EXPRESSION",
        column if column.identity == "a" => "DROP IDENTITY",
        _ => return None,
    };
    let name = &column.name;
    Some(Fault::of_writing(
        format!("Column positions.{name} is made by PostgreSQL itself and takes no value from us."),
        format!("ALTER TABLE positions ALTER {name} {change};"),
    ))
}

fn is_written(column: &Column) -> bool {
    written().any(|name| name == column.name)
}

fn fills_itself(column: &Column) -> bool {
    column.default.is_some() || column.is_generated || !column.identity.is_empty()
}

/// The default of the two known columns that are never written.
fn default_of(column: &str) -> &'static str {
    if column == "faulty" { "false" } else { "now()" }
}

/// We insert what a row carries, and read what tells whether it is there already.
fn rights(facts: &Facts) -> Vec<Fault> {
    let user = &facts.user;
    let there = || written().filter_map(|name| facts.column(name));
    let no_insert = there().filter(|column| !column.may_insert);
    let is_key = |column: &&Column| ["device_id", "ts"].contains(&column.name.as_str());
    let no_select = there().filter(is_key).filter(|column| !column.may_select);
    let fault = |right: &str, verb: &str, columns: Vec<&str>| {
        let list = columns.join(", ");
        (!columns.is_empty()).then(|| {
            Fault::of_writing(
                format!("{user} may not {verb} positions ({list})."),
                format!("GRANT {right} ({list}) ON positions TO {user};"),
            )
        })
    };
    [
        fault("INSERT", "insert into", no_insert.map(Column::name).collect()),
        fault("SELECT", "read", no_select.map(Column::name).collect()),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// PostgreSQL takes no COPY into a table whose policies concern the user.
fn guarded(facts: &Facts) -> Fault {
    let user = &facts.user;
    Fault::of_writing(
        format!(
            "Row level security of positions is in force for {user}: PostgreSQL takes no COPY from \
             it then, and may refuse rows."
        ),
        format!("ALTER ROLE {user} BYPASSRLS;"),
    )
}
