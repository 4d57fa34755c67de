//! Rules about Rust sources: their shape, their names and what each crate may touch.

use crate::code::{has_identifier, identifiers, words_of};
use crate::project::{File, Finding};

/// Longest file, tests included. More than this is not read in one sitting.
const FILE_LINES_MAX: usize = 500;

/// Names that say nothing about what is inside.
const NAMES_EMPTY: [&str; 6] = ["utils", "util", "helper", "helpers", "manager", "common"];

/// The files that may contain `unsafe`, each with the need it serves.
const UNSAFE_FILES: [(&str, &str); 1] =
    [("bench/src/counting.rs", "an allocator that counts is an unsafe trait")];

/// What the engine may not name: time, input and output come through arguments.
const ENGINE_BANNED: [&str; 14] = [
    "std::net",
    "std::thread",
    "std::env",
    "std::fs",
    "std::io",
    "std::process",
    "std::time::Instant",
    "std::time::SystemTime",
    "Instant::now",
    "SystemTime::now",
    "std::sync::Mutex",
    "std::sync::RwLock",
    "std::sync::Condvar",
    "tokio",
];

/// What the code of each plane may not name.
const PLANES: [(&str, &[&str]); 4] = [
    ("server/src/live", &["durable", "ingest", "embedded"]),
    ("server/src/durable", &["live", "ingest", "embedded"]),
    ("server/src/ingest", &["live", "durable", "embedded"]),
    ("server/src/embedded", &["durable"]),
];

/// Words that have a better one here, as the words an identifier is made of.
const SYNONYMS: [(&[&str], &str); 8] = [
    (&["tracker", "id"], "device"),
    (&["competitor"], "device"),
    (&["race", "id"], "event"),
    (&["channel", "id"], "event"),
    (&["spectator"], "viewer"),
    (&["packet", "frame"], "frame"),
    (&["waypoint"], "position"),
    (&["stream", "message"], "entry"),
];

/// Places where a test may pause, each with the reason.
const PAUSES: [(&str, &str); 6] = [
    ("tests/src/program.rs", "asks a starting server again until its deadline"),
    ("tests/src/scene.rs", "looks again until what is awaited has come true, or its deadline"),
    ("tests/src/bin/stage.rs", "publishes at a rate until it is told to stop"),
    ("tests/src/figures/latency.rs", "publishes each position when it is due"),
    ("tests/src/figures/commit.rs", "publishes at a rate, and waits until all is stored"),
    ("tests/src/figures/start.rs", "measures what an idle crowd costs in a time"),
];

/// Every source opens with `//!`: what it is responsible for.
pub(crate) fn opens_with_its_responsibility(file: &File) -> Vec<Finding> {
    let mark = match file.path.rsplit_once('.') {
        Some((_, "rs")) => "//! ",
        Some((_, "ts" | "mjs")) => "// ",
        _ => return Vec::new(),
    };
    let first = file.text.lines().next().unwrap_or_default();
    if first.strip_prefix(mark).is_some_and(|sentence| !sentence.starts_with('(')) {
        return Vec::new();
    }
    let mark = mark.trim();
    let advice =
        format!("open the file with `{mark}` and one sentence: what it is responsible for");
    vec![file.finding(1, advice)]
}

/// A file has at most 500 lines.
pub(crate) fn fits_in_one_sitting(file: &File) -> Vec<Finding> {
    let lines = file.text.lines().count();
    let is_source = [".rs", ".ts", ".mjs", ".css"].iter().any(|end| file.path.ends_with(end));
    if !is_source || lines <= FILE_LINES_MAX {
        return Vec::new();
    }
    let advice = format!("{lines} lines: split it into children, at most {FILE_LINES_MAX} each");
    vec![file.finding(FILE_LINES_MAX + 1, advice)]
}

/// No `mod.rs`, no name that says nothing.
pub(crate) fn has_a_telling_name(file: &File) -> Vec<Finding> {
    if !file.is_rust() {
        return Vec::new();
    }
    let mut findings = Vec::new();
    let mut parts = file.path.trim_end_matches(".rs").split('/');
    if file.path.ends_with("/mod.rs") {
        findings.push(file.finding(1, "name it after the module and put it beside its folder"));
    }
    if parts.any(|part| words_of(part).iter().any(|word| NAMES_EMPTY.contains(&word.as_str()))) {
        findings.push(file.finding(1, "name the file after the one idea in it"));
    }
    let advice = "name it after what it does";
    findings.extend(file.lines_where(file.code(), advice, |line| {
        let declares = ["mod ", "struct ", "enum ", "trait ", "fn "];
        let named = declares.iter().filter_map(|word| line.split_once(word)).map(|parts| parts.1);
        named
            .filter_map(|rest| identifiers(rest).next())
            .any(|name| words_of(name).iter().any(|word| NAMES_EMPTY.contains(&word.as_str())))
    }));
    findings
}

/// A function that returns a thing is called after the thing.
pub(crate) fn no_function_is_called_get(file: &File) -> Vec<Finding> {
    if !file.is_rust() {
        return Vec::new();
    }
    file.lines_where(file.code(), "call it after the thing it returns", |line| {
        line.contains("fn get_")
    })
}

/// The planes share the engine and nothing else, and none of them knows the embedded mode, which is made
/// of parts of theirs.
pub(crate) fn planes_do_not_know_each_other(file: &File) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (folder, others) in PLANES.iter().filter(|(folder, _)| file.path.starts_with(folder)) {
        for other in *others {
            let advice = format!(
                "`{other}` is nothing that {folder} knows: what both need belongs into the engine"
            );
            findings
                .extend(file.lines_where(file.code(), &advice, |line| has_identifier(line, other)));
        }
    }
    findings
}

/// The engine is pure.
pub(crate) fn engine_is_pure(file: &File) -> Vec<Finding> {
    if !file.path.starts_with("engine/") || !file.is_rust() {
        return Vec::new();
    }
    let advice = "the engine is pure: take it as an argument, or move it to the server";
    let grouped = |line: &str| {
        let inside = line.split_once("std::{").map_or("", |parts| parts.1);
        ["net", "thread", "env", "fs", "io", "process"]
            .iter()
            .any(|module| has_identifier(inside, module))
    };
    file.lines_where(file.code(), advice, |line| {
        ENGINE_BANNED.iter().any(|banned| names_path(line, banned)) || grouped(line)
    })
}

/// `unsafe` only in the listed files.
pub(crate) fn unsafe_is_only_where_it_was_audited(file: &File) -> Vec<Finding> {
    if !file.is_rust() || UNSAFE_FILES.iter().any(|(path, _)| *path == file.path) {
        return Vec::new();
    }
    let advice =
        "no `unsafe` here; a new need gets its own small module and a line in the house rule";
    file.lines_where(file.code(), advice, |line| has_identifier(line, "unsafe"))
}

/// One word, one meaning.
pub(crate) fn words_have_one_meaning(file: &File) -> Vec<Finding> {
    if !file.is_rust() {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for (index, line) in file.code().lines().enumerate() {
        for identifier in identifiers(line) {
            let words = words_of(identifier);
            let synonym = SYNONYMS.iter().find(|(synonym, _)| {
                words.windows(synonym.len()).any(|part| part.iter().eq(synonym.iter()))
            });
            if let Some((_, word)) = synonym {
                let advice = format!("`{identifier}`: the word here is `{word}`");
                findings.push(file.finding(index + 1, advice));
            }
        }
    }
    findings
}

/// Every bound says what it costs and why it has its value.
pub(crate) fn every_limit_is_explained(file: &File) -> Vec<Finding> {
    if !file.path.starts_with("engine/src/limits") {
        return Vec::new();
    }
    let mut findings = Vec::new();
    let mut explained = false;
    for (index, line) in file.text.lines().enumerate() {
        if line.starts_with("pub const ") && !explained {
            findings
                .push(file.finding(index + 1, "say with `///` what it costs and why this value"));
        }
        explained = line.starts_with("///") || (explained && line.starts_with("#["));
    }
    findings
}

/// A test that is skipped proves nothing.
pub(crate) fn no_test_is_ignored(file: &File) -> Vec<Finding> {
    if !file.is_rust() {
        return Vec::new();
    }
    file.lines_where(file.code(), "run it or remove it", |line| line.contains("#[ignore"))
}

/// Tests wait on conditions, not on time.
pub(crate) fn no_test_sleeps(file: &File) -> Vec<Finding> {
    let pauses = PAUSES.iter().any(|(path, _)| *path == file.path);
    let tested = file.path.starts_with("tests/") || file.path.starts_with("engine/");
    if !file.is_rust() || pauses || !tested {
        return Vec::new();
    }
    let advice = "wait on a condition with a deadline, or use virtual time";
    file.lines_where(file.code(), advice, |line| {
        has_identifier(line, "sleep") || has_identifier(line, "sleep_until")
    })
}

/// True when `line` names exactly that path, not a longer word that contains it.
fn names_path(line: &str, path: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(path)
        .any(|(at, _)| !line[..at].ends_with(part) && !line[at + path.len()..].starts_with(part))
}
