//! Proves the simulation's oracle: each mutant of the engine breaks one promise on purpose, and the
//! oracle must notice.
//!
//! The engine and the simulation are copied, patched, built and run one mutant after the other.

#![expect(clippy::print_stdout, reason = "what noticed each mutant is worth reading")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use tests::mutants::{Mutant, Plan, Workshop};

/// Seeds each mutant has to survive to be called undetected.
const SEEDS: &str = "6000";

const MEMBER: &str = r#"[package]
name = "tests"
version.workspace = true
edition.workspace = true

[[bin]]
name = "simulate"
path = "src/bin/simulate.rs"

[dependencies]
engine.workspace = true
"#;

const PLAN: Plan<'_> = Plan {
    target: "mutants",
    copied: &[
        "engine",
        "tests/src/simulation",
        "tests/src/simulation.rs",
        "tests/src/bin/simulate.rs",
    ],
    members: "[\"engine\", \"tests\"]",
    profile: "opt-level = 1\ndebug = false",
    build: &["--bin", "simulate"],
    program: "simulate",
};

#[test]
fn every_mutant_of_the_engine_is_noticed_and_the_engine_itself_is_not() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mutants = Mutant::all(&root, "tests/data/mutants");
    assert!(mutants.len() >= 14, "only {} mutants", mutants.len());
    let work = Workshop::open(&root, PLAN);
    let library = "//! The simulation alone.\n\npub mod simulation;\n";
    fs::write(work.folder.join("tests/src/lib.rs"), library).unwrap();
    fs::write(work.folder.join("tests/Cargo.toml"), MEMBER).unwrap();
    let undetected = work.look_at_each(&mutants, judge);
    assert!(undetected.is_empty(), "{}", undetected.join("\n"));
}

/// What is wrong with the verdict on a mutant, if anything.
fn judge(mutant: Option<&Mutant>, program: &Path) -> Option<String> {
    let name = mutant.map_or("none", |mutant| &mutant.name);
    let Output { status, stdout, .. } =
        Command::new(program).args(["--seeds", SEEDS]).output().expect("the build has made it");
    let text = String::from_utf8_lossy(&stdout);
    let mut lines = text.lines().rev();
    let found = lines.find(|line| line.starts_with("seed ") || line.contains(" seeds, "));
    println!("{name}: {}", found.unwrap_or("no verdict"));
    let is_right = match mutant {
        None => status.success(),
        Some(_) => status.code() == Some(1) && text.contains("replay: cargo simulate --seed"),
    };
    (!is_right).then(|| format!("{name}: {}", found.unwrap_or("no verdict")))
}
