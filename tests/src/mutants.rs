//! Mutants: wrong changes made on purpose, kept as files, and the workshop in which they are built.
//!
//! A mutant names a source file, a text in it, and what stands there instead; several of each when
//! one change is not enough. A text that is no longer found exactly once is a failure, so that no
//! mutant dies unnoticed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc;
use std::thread;

/// One wrong change.
#[derive(Clone, Debug)]
pub struct Mutant {
    /// The name of its file.
    pub name: String,
    /// By what it is to be noticed, where that is said: who looks, and words of what is then said.
    pub caught: Option<(String, String)>,
    changes: Vec<Change>,
}

/// What is changed in one source file.
#[derive(Clone, Debug)]
struct Change {
    file: String,
    /// What stands in the file, and what stands there instead.
    hunks: Vec<(String, String)>,
}

impl Mutant {
    /// All mutants of a folder, each of which fits the sources below `root`.
    ///
    /// # Panics
    /// When one is not written as mutants are, or does not fit.
    #[must_use]
    pub fn all(root: &Path, folder: &str) -> Vec<Self> {
        let entries = fs::read_dir(root.join(folder)).expect("the mutants are kept there");
        let mut paths: Vec<_> = entries.map(|entry| entry.expect("a file").path()).collect();
        paths.sort();
        let mutants: Vec<Self> = paths.iter().map(|path| Self::read(path)).collect();
        for mutant in &mutants {
            mutant.patched(root);
        }
        mutants
    }

    fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).expect("a mutant is text");
        let name = path.file_stem().expect("it has a name").to_string_lossy().into_owned();
        let (head, body) = text.split_once("--- before\n").expect("a mutant has a before");
        let mut file = None;
        let mut why = None;
        let mut caught = None;
        for line in head.lines() {
            match line.split_once(": ") {
                Some(("file", value)) => file = Some(value),
                Some(("why", value)) => why = Some(value),
                Some(("caught", value)) => caught = value.split_once(": "),
                _ => panic!("{name}: unknown line {line}"),
            }
        }
        assert!(why.is_some(), "{name} does not say why it is wrong");
        let caught = caught.map(|(who, words)| (who.to_owned(), words.to_owned()));
        let body = body.strip_suffix("--- end\n").expect("a mutant has an end");
        let first = file.expect("a mutant names its file");
        let mut changes = vec![Change { file: first.to_owned(), hunks: Vec::new() }];
        for hunk in body.split("--- before\n") {
            let (before, after) = hunk.split_once("--- after\n").expect("a before has an after");
            let (after, next) = match after.split_once("--- file: ") {
                Some((after, file)) => (after, Some(file.trim_end())),
                None => (after, None),
            };
            let change = changes.last_mut().expect("there is a first");
            change.hunks.push((before.to_owned(), after.to_owned()));
            changes.extend(next.map(|file| Change { file: file.to_owned(), hunks: Vec::new() }));
        }
        Self { name, caught, changes }
    }

    /// Each of its files below a folder, and their text with every hunk applied.
    fn patched(&self, folder: &Path) -> Vec<(PathBuf, String)> {
        let patched = self.changes.iter().map(|change| {
            let path = folder.join(&change.file);
            let text = change.patched(&self.name, &path);
            (path, text)
        });
        patched.collect()
    }
}

impl Change {
    /// Lines of a hunk may begin and end in the middle of a line.
    fn patched(&self, name: &str, path: &Path) -> String {
        let mut text = fs::read_to_string(path).expect("a mutant names a source file");
        for (before, after) in &self.hunks {
            let (before, after) = (before.trim_end_matches('\n'), after.trim_end_matches('\n'));
            let count = text.matches(before).count();
            assert_eq!(
                count, 1,
                "mutant {name}: its text occurs {count} times in {}; bring it up to date:\n{before}",
                self.file
            );
            text = text.replacen(before, after, 1);
        }
        text
    }
}

/// What is copied into a workshop, and what is built there.
#[derive(Clone, Copy, Debug)]
pub struct Plan<'a> {
    /// The folder below `target` that it has for itself.
    pub target: &'a str,
    /// Files and folders of the project.
    pub copied: &'a [&'a str],
    /// Members of the workspace.
    pub members: &'a str,
    /// What the profile `mutant` has beside that of development.
    pub profile: &'a str,
    /// What cargo is told to build, and of what.
    pub build: &'a [&'a str],
    /// The program that this makes.
    pub program: &'a str,
}

/// A copy of a part of the project that can be changed and built by itself.
#[derive(Debug)]
pub struct Workshop<'a> {
    /// Where the copy lies.
    pub folder: PathBuf,
    target: PathBuf,
    plan: Plan<'a>,
}

impl<'a> Workshop<'a> {
    /// Makes the copy anew. What was built before of what has not changed is kept.
    ///
    /// # Panics
    /// When a file cannot be copied.
    #[must_use]
    pub fn open(root: &Path, plan: Plan<'a>) -> Self {
        let target = root.join("target").join(plan.target);
        let folder = target.join("workspace");
        if folder.exists() {
            fs::remove_dir_all(&folder).expect("the last copy can be removed");
        }
        for part in plan.copied.iter().chain(&["Cargo.lock"]) {
            copy(&root.join(part), &folder.join(part));
        }
        let manifest = fs::read_to_string(root.join("Cargo.toml")).expect("the manifest");
        let lines = manifest.lines().filter(|line| !line.starts_with("default-members"));
        let members = format!("members = {}", plan.members);
        let lines = lines.map(|line| if line.starts_with("members") { &members } else { line });
        let profile = format!("[profile.mutant]\ninherits = \"dev\"\n{}\n", plan.profile);
        let manifest = lines.collect::<Vec<_>>().join("\n") + "\n\n" + &profile;
        fs::write(folder.join("Cargo.toml"), manifest).expect("the copy can be written");
        Self { folder, target, plan }
    }

    /// Builds the program as it is and then each mutant, and has each looked at while the next is
    /// built: what is wrong with it, if anything. Says all that was wrong.
    ///
    /// # Panics
    /// When one does not compile.
    pub fn look_at_each(
        &self,
        mutants: &[Mutant],
        look: impl Fn(Option<&Mutant>, &Path) -> Option<String> + Send + Sync,
    ) -> Vec<String> {
        thread::scope(|scope| {
            let (built, programs) = mpsc::sync_channel::<(Option<&Mutant>, PathBuf)>(mutants.len());
            let look = &look;
            let looker = scope.spawn(move || {
                let found = programs.iter().filter_map(|(mutant, program)| {
                    let wrong = look(mutant, &program);
                    fs::remove_file(program).expect("it was built and can be removed");
                    wrong
                });
                found.collect::<Vec<_>>()
            });
            let each = [None].into_iter().chain(mutants.iter().map(Some));
            for mutant in each {
                let program = self.build_mutant(mutant);
                built.send((mutant, program)).expect("the looker goes on as long as one is built");
            }
            drop(built);
            looker.join().expect("the looker reports and does not panic")
        })
    }

    fn build_mutant(&self, mutant: Option<&Mutant>) -> PathBuf {
        let Some(mutant) = mutant else { return self.build("none") };
        let patched = mutant.patched(&self.folder);
        let put = |path: &Path, text: &str| fs::write(path, text).expect("the copy can be written");
        let originals: Vec<String> = patched
            .iter()
            .map(|(path, text)| {
                let original = fs::read_to_string(path).expect("it was just patched");
                put(path, text);
                original
            })
            .collect();
        let program = self.build(&mutant.name);
        for ((path, _), original) in patched.iter().zip(&originals) {
            put(path, original);
        }
        program
    }

    /// Builds what lies there now and puts the program aside under a name.
    fn build(&self, name: &str) -> PathBuf {
        let output = Command::new(env!("CARGO"))
            .args(["build", "--offline", "--quiet", "--profile", "mutant"])
            .args(self.plan.build)
            .env("CARGO_TARGET_DIR", &self.target)
            .env_remove("RUSTFLAGS")
            .current_dir(&self.folder)
            .output()
            .expect("cargo runs these tests, so it can run");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "mutant {name} does not compile:\n{errors}");
        let program = self.target.join(format!("{}_{name}", self.plan.program));
        let made = self.target.join("mutant").join(self.plan.program);
        fs::copy(made, &program).expect("cargo has made it");
        program
    }
}

fn copy(from: &Path, to: &Path) {
    if !from.is_dir() {
        fs::create_dir_all(to.parent().expect("it lies in the copy")).expect("a folder of ours");
        fs::copy(from, to).expect("a file of the project");
        return;
    }
    for entry in fs::read_dir(from).expect("a folder of the project") {
        let entry = entry.expect("an entry of the folder");
        copy(&entry.path(), &to.join(entry.file_name()));
    }
}
