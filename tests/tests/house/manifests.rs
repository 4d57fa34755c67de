//! Rules about manifests and lint settings: what is linked in, and that nobody opts out.

use crate::project::{File, Finding};

/// All that the engine may depend on. A new one needs a reason that outlives its author.
const ENGINE_DEPENDENCIES: [&str; 3] = ["hashbrown", "ryu-js", "sonic-rs"];

/// What every clippy file must say; clippy itself enforces it.
const THRESHOLDS: [&str; 2] = ["too-many-lines-threshold = 70", "too-many-arguments-threshold = 5"];

/// Every foreign package says above itself why it is trusted with the job.
pub(crate) fn every_dependency_has_a_reason(file: &File) -> Vec<Finding> {
    if file.path != "Cargo.toml" {
        return Vec::new();
    }
    let mut reason = false;
    let mut findings = Vec::new();
    for (number, section, line) in lines_with_section(&file.text) {
        let foreign = section == "workspace.dependencies" && is_entry(line);
        if foreign && !line.contains("path = ") && !reason {
            findings.push(file.finding(number, "say in a comment above it why we depend on it"));
        }
        reason = line.starts_with('#');
    }
    findings
}

/// Members take versions and lints from the workspace.
pub(crate) fn members_inherit(file: &File) -> Vec<Finding> {
    if !is_member_manifest(file) {
        return Vec::new();
    }
    let mut lints = false;
    let mut findings = Vec::new();
    for (number, section, line) in lines_with_section(&file.text) {
        let inherits = line.contains("workspace = true");
        lints |= section == "lints" && inherits;
        if section.ends_with("dependencies") && is_entry(line) && !inherits {
            findings.push(file.finding(number, "put it in the workspace table and inherit it"));
        }
    }
    if !lints {
        findings.push(file.finding(1, "add `[lints]` with `workspace = true`"));
    }
    findings
}

/// The engine depends on what the list names and on nothing else.
pub(crate) fn engine_depends_on_little(file: &File) -> Vec<Finding> {
    if file.path != "engine/Cargo.toml" {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for (number, section, line) in lines_with_section(&file.text) {
        let name = line.split(['.', ' ', '=']).next().unwrap_or_default();
        if section.ends_with("dependencies")
            && is_entry(line)
            && !ENGINE_DEPENDENCIES.contains(&name)
        {
            let advice = format!("the engine may not depend on {name}: leave it to the server");
            findings.push(file.finding(number, advice));
        }
    }
    findings
}

/// The engine cannot contain `unsafe`, whatever a module says.
pub(crate) fn engine_forbids_unsafe(file: &File) -> Vec<Finding> {
    let kept = file.code().lines().any(|line| line == "#![forbid(unsafe_code)]");
    if file.path != "engine/src/lib.rs" || kept {
        return Vec::new();
    }
    vec![file.finding(1, "keep `#![forbid(unsafe_code)]`")]
}

/// Long functions and long argument lists stay findings of clippy.
pub(crate) fn clippy_bounds_functions(file: &File) -> Vec<Finding> {
    if !file.path.ends_with("clippy.toml") {
        return Vec::new();
    }
    let missing = THRESHOLDS.iter().filter(|said| !file.text.lines().any(|line| line == **said));
    missing.map(|said| file.finding(1, format!("keep `{said}`"))).collect()
}

fn is_member_manifest(file: &File) -> bool {
    file.path.ends_with("/Cargo.toml") && file.text.contains("[package]")
}

fn is_entry(line: &str) -> bool {
    line.contains('=') && !line.starts_with('#')
}

/// Line number, section and text of every line of a manifest.
fn lines_with_section(text: &str) -> impl Iterator<Item = (usize, &str, &str)> {
    let mut section = "";
    text.lines().enumerate().map(move |(index, line)| {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']');
        }
        (index + 1, section, line)
    })
}
