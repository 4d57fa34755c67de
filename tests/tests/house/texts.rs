//! Rules about everything that is read: the project speaks of itself alone, and its links hold.

use std::path::Path;

use crate::project::{File, Finding, root};

/// Traces of one machine or of a work in progress, and what to write instead.
const TRACES: [(&str, &str); 7] = [
    (concat!("/", "work/"), "a path of one machine: name the file from the top of the project"),
    ("/tmp/", "a path of one machine: ask the system for its temporary folder"),
    ("/home/", "a path of one machine: name the file from the top of the project"),
    ("issue #", "say what is true instead of where it was discussed"),
    ("TODO", "do it, or say in ARCHITECTURE.md what is absent and why"),
    ("FIXME", "do it, or say in ARCHITECTURE.md what is absent and why"),
    ("(to be written)", "write it, or leave the file out"),
];

/// What may stand at the top of the project, beside files whose name begins with a dot.
const TOP_LEVEL: [&str; 14] = [
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "bench",
    "deploy",
    "engine",
    "loadgen",
    "rust-toolchain.toml",
    "server",
    "tests",
];

/// Public text speaks of the project alone.
pub(crate) fn speaks_of_the_project_alone(file: &File) -> Vec<Finding> {
    if file.is_rule() {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for (trace, advice) in TRACES {
        findings.extend(file.lines_where(&file.text, advice, |line| has_trace(line, trace)));
    }
    findings.sort_by_key(|finding| finding.line);
    findings
}

/// A relative link leads to a file of the project.
pub(crate) fn links_lead_somewhere(file: &File) -> Vec<Finding> {
    if !file.path.ends_with(".md") {
        return Vec::new();
    }
    let folder = Path::new(&file.path).parent().expect("a file lies in a folder");
    let mut findings = Vec::new();
    for (index, line) in file.text.lines().enumerate() {
        for target in link_targets(line) {
            let path = target.split('#').next().unwrap_or_default();
            let outside = target.contains("://") || target.starts_with("mailto:");
            if !outside && !path.is_empty() && !root().join(folder).join(path).exists() {
                findings.push(file.finding(index + 1, format!("{target} does not exist")));
            }
        }
    }
    findings
}

/// The top of the project is short enough to be read at one glance.
pub(crate) fn top_level_is_short(file: &File) -> Vec<Finding> {
    let first = file.path.split('/').next().unwrap_or_default();
    if first.starts_with('.') || TOP_LEVEL.contains(&first) {
        return Vec::new();
    }
    vec![file.finding(1, format!("`{first}` has no place at the top: move it into a folder"))]
}

/// True when the trace stands for itself, and is not the end of a longer word.
fn has_trace(line: &str, trace: &str) -> bool {
    line.match_indices(trace).any(|(at, _)| {
        let inside_word = line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
        !inside_word || trace.starts_with('(')
    })
}

fn link_targets(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| rest.split(')').next())
}
