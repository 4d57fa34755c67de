//! Proves the simulation's oracle: each mutant of the engine breaks one promise on purpose, and the
//! oracle must notice.
//!
//! A mutant is a file of `tests/data/mutants`: a source file, a text in it, and what stands there
//! instead. The engine and the simulation are copied, patched, built and run one mutant after the
//! other; while one runs, the next is built. A text that is no longer found exactly once is a failure
//! too, so that no mutant dies unnoticed.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::print_stdout, reason = "what noticed each mutant is worth reading")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::mpsc;

/// Seeds each mutant has to survive to be called undetected.
const SEEDS: &str = "6000";

/// One wrong change.
struct Mutant {
    name: String,
    file: String,
    /// What stands in the file, and what stands there instead.
    hunks: Vec<(String, String)>,
}

#[test]
fn every_mutant_of_the_engine_is_noticed_and_the_engine_itself_is_not() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mutants = mutants(&root.join("tests/data/mutants"));
    assert!(mutants.len() >= 14, "only {} mutants", mutants.len());
    for mutant in &mutants {
        mutant.patched(&root);
    }
    let work = Workshop::open(&root);
    let (built, runs) = mpsc::sync_channel::<(String, PathBuf)>(1);
    let undetected = std::thread::scope(|scope| {
        let runner = scope.spawn(move || {
            runs.iter().filter_map(|(name, program)| judge(&name, &program)).collect::<Vec<_>>()
        });
        built
            .send(("none".to_owned(), work.build("none")))
            .expect("the runner goes on as long as something is built");
        for mutant in &mutants {
            let file = work.folder.join(&mutant.file);
            let original = fs::read_to_string(&file).unwrap();
            fs::write(&file, mutant.patched(&work.folder)).unwrap();
            built
                .send((mutant.name.clone(), work.build(&mutant.name)))
                .expect("the runner goes on as long as something is built");
            fs::write(&file, original).unwrap();
        }
        drop(built);
        runner.join().expect("the runner reports and does not panic")
    });
    assert!(undetected.is_empty(), "{}", undetected.join("\n"));
}

/// What is wrong with the verdict on a mutant, if anything.
fn judge(name: &str, program: &Path) -> Option<String> {
    let Output { status, stdout, .. } =
        Command::new(program).args(["--seeds", SEEDS]).output().expect("the build has made it");
    let text = String::from_utf8_lossy(&stdout);
    let mut lines = text.lines().rev();
    let found = lines.find(|line| line.starts_with("seed ") || line.contains(" seeds, "));
    println!("{name}: {}", found.unwrap_or("no verdict"));
    let is_right = match name {
        "none" => status.success(),
        _ => status.code() == Some(1) && text.contains("replay: cargo simulate --seed"),
    };
    (!is_right).then(|| format!("{name}: {}", found.unwrap_or("no verdict")))
}

fn mutants(folder: &Path) -> Vec<Mutant> {
    let entries = fs::read_dir(folder).expect("the mutants are kept there");
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| Mutant::read(path)).collect()
}

impl Mutant {
    fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let (head, body) = text.split_once("--- before\n").expect("a mutant has a before");
        let mut file = None;
        let mut why = None;
        for line in head.lines() {
            match line.split_once(": ") {
                Some(("file", value)) => file = Some(value.to_owned()),
                Some(("why", value)) => why = Some(value.to_owned()),
                _ => panic!("{name}: unknown line {line}"),
            }
        }
        assert!(why.is_some(), "{name} does not say why it is wrong");
        let body = body.strip_suffix("--- end\n").expect("a mutant has an end");
        let hunk = |hunk: &str| {
            let (before, after) = hunk.split_once("--- after\n").expect("a before has an after");
            (before.to_owned(), after.to_owned())
        };
        let hunks = body.split("--- before\n").map(hunk).collect();
        Self { name, file: file.expect("a mutant names its file"), hunks }
    }

    /// The text of its file with every hunk applied. Lines of a hunk may begin and end in the middle
    /// of a line.
    fn patched(&self, folder: &Path) -> String {
        let mut text = fs::read_to_string(folder.join(&self.file)).unwrap();
        for (before, after) in &self.hunks {
            let (before, after) = (before.trim_end_matches('\n'), after.trim_end_matches('\n'));
            let count = text.matches(before).count();
            assert_eq!(
                count, 1,
                "mutant {}: its text occurs {count} times in {}; bring it up to date:\n{before}",
                self.name, self.file
            );
            text = text.replacen(before, after, 1);
        }
        text
    }
}

/// A copy of the engine and the simulation that can be built by itself.
struct Workshop {
    folder: PathBuf,
    target: PathBuf,
}

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

const PROFILE: &str = r#"
[profile.mutant]
inherits = "dev"
opt-level = 1
debug = false
"#;

impl Workshop {
    fn open(root: &Path) -> Self {
        let target = root.join("target/mutants");
        let folder = target.join("workspace");
        if folder.exists() {
            fs::remove_dir_all(&folder).unwrap();
        }
        copy(&root.join("engine"), &folder.join("engine"));
        copy(&root.join("tests/src/simulation"), &folder.join("tests/src/simulation"));
        fs::create_dir_all(folder.join("tests/src/bin")).unwrap();
        for file in ["tests/src/simulation.rs", "tests/src/bin/simulate.rs", "Cargo.lock"] {
            fs::copy(root.join(file), folder.join(file)).unwrap();
        }
        let library = "//! The simulation alone.\n\npub mod simulation;\n";
        fs::write(folder.join("tests/src/lib.rs"), library).unwrap();
        fs::write(folder.join("tests/Cargo.toml"), MEMBER).unwrap();
        let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
        let lines = manifest.lines().filter(|line| !line.starts_with("default-members"));
        let lines = lines.map(|line| match line.starts_with("members") {
            true => "members = [\"engine\", \"tests\"]",
            false => line,
        });
        let manifest = lines.collect::<Vec<_>>().join("\n") + "\n" + PROFILE;
        fs::write(folder.join("Cargo.toml"), manifest).unwrap();
        Self { folder, target }
    }

    /// Builds what lies there now and puts the program aside under a name.
    fn build(&self, name: &str) -> PathBuf {
        let output = Command::new(env!("CARGO"))
            .args(["build", "--offline", "--quiet", "--profile", "mutant", "--bin", "simulate"])
            .env("CARGO_TARGET_DIR", &self.target)
            .env_remove("RUSTFLAGS")
            .current_dir(&self.folder)
            .output()
            .expect("cargo runs these tests, so it can run");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "mutant {name} does not compile:\n{errors}");
        let program = self.target.join(format!("simulate_{name}"));
        fs::copy(self.target.join("mutant/simulate"), &program).unwrap();
        program
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (source, goal) = (entry.path(), to.join(entry.file_name()));
        if source.is_dir() {
            copy(&source, &goal);
        } else {
            fs::copy(&source, &goal).unwrap();
        }
    }
}
