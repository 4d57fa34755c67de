//! Proves that the promises of the writer are tested: each of its mutants breaks one on purpose, and a
//! scenario must notice that by what it names.
//!
//! The program is copied, patched, built and run between a real Redis and a real PostgreSQL, one mutant
//! after the other. Only what can be seen from outside judges it: the producer's log against the
//! table, the dead letters and what is pending; PostgreSQL's own counts; and the page of metrics where
//! that is what is promised. The program as it is must pass every scenario.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::print_stdout, reason = "what noticed each mutant is worth reading")]

#[path = "writer_mutants/deaths.rs"]
mod deaths;
#[path = "writer_mutants/stage.rs"]
mod stage;
#[path = "writer_mutants/streams.rs"]
mod streams;
#[path = "writer_mutants/tables.rs"]
mod tables;

use std::path::Path;
use std::time::Instant;

use stage::{Finding, Found};
use tests::mutants::{Mutant, Plan, Workshop};

/// The program alone, as fast as it can be built.
const PLAN: Plan<'_> = Plan {
    target: "mutants-writer",
    copied: &["engine", "server", "loadgen", "deploy/schema.sql"],
    members: "[\"engine\", \"server\"]",
    profile: "debug = false",
    build: &["--package", "pitwall", "--no-default-features", "--bin", "pitwall"],
    program: "pitwall",
};

/// What is done with a program, and the name that mutants know it by.
type Scenario = (&'static str, fn(&Path) -> Found);

/// All of them: the program as it is passes each, and each has a mutant that does not.
const SCENARIOS: [Scenario; 18] = [
    ("killed_with_entries", deaths::killed_with_entries),
    ("session_ended", deaths::session_ended),
    ("postgres_killed", deaths::postgres_killed),
    ("postgres_killed_behind_another", deaths::postgres_killed_behind_another),
    ("letter_unheard", deaths::letter_unheard),
    ("reply_unheard", deaths::reply_unheard),
    ("redis_emptied", streams::redis_emptied),
    ("trimmed_unread", streams::trimmed_unread),
    ("trimmed_while_pending", streams::trimmed_while_pending),
    ("index_dropped", tables::index_dropped),
    ("table_away", tables::table_away),
    ("some_refused", tables::some_refused),
    ("refused_at_commit", tables::refused_at_commit),
    ("all_refused", tables::all_refused),
    ("letters_full", tables::letters_full),
    ("rows_swallowed", tables::rows_swallowed),
    ("row_there_already", tables::row_there_already),
    ("writers_meet", tables::writers_meet),
];

#[test]
fn every_mutant_of_the_writer_is_noticed_and_the_writer_itself_is_not() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mutants = Mutant::all(&root, "tests/data/mutants_writer");
    for (name, _) in SCENARIOS {
        assert!(mutants.iter().any(|mutant| caught(mutant).0 == name), "{name} proves nothing");
    }
    let wrong = Workshop::open(&root, PLAN).look_at_each(&mutants, |mutant, program| {
        let wrong = match mutant {
            None => SCENARIOS.iter().filter_map(|scenario| passes(scenario, program)).collect(),
            Some(mutant) => notices(mutant, program).into_iter().collect::<Vec<_>>(),
        };
        (!wrong.is_empty()).then(|| wrong.join("\n"))
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What a scenario finds wrong with the program as it is, if anything.
fn passes(scenario: &Scenario, program: &Path) -> Option<String> {
    let Finding { words, log } = run("none", scenario, program).err()?;
    Some(format!("{} finds: {words}\n{log}", scenario.0))
}

/// What is wrong with how a mutant is noticed, if anything.
fn notices(mutant: &Mutant, program: &Path) -> Option<String> {
    let (name, expected) = caught(mutant);
    let scenario = SCENARIOS.iter().find(|scenario| scenario.0 == name);
    let scenario = scenario.unwrap_or_else(|| panic!("there is no scenario {name}"));
    let Err(Finding { words, log }) = run(&mutant.name, scenario, program) else {
        return Some(format!("{}: {name} does not notice it", mutant.name));
    };
    let is_right = words.contains(expected);
    let wrong = || format!("{}: {name} finds not `{expected}` but: {words}\n{log}", mutant.name);
    (!is_right).then(wrong)
}

fn run(mutant: &str, (name, scenario): &Scenario, program: &Path) -> Found {
    let began = Instant::now();
    let found = scenario(program);
    let words = found.as_ref().map_or_else(|finding| &*finding.words, |()| "nothing");
    let first = words.lines().next().unwrap_or_default();
    println!("{mutant}: {name} finds in {} ms: {first}", began.elapsed().as_millis());
    found
}

fn caught(mutant: &Mutant) -> (&str, &str) {
    let caught = mutant.caught.as_ref();
    let (name, words) = caught.unwrap_or_else(|| panic!("what catches {}?", mutant.name));
    (name, words)
}
