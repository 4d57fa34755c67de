//! The house rules of CONTRIBUTING.md that a machine can check.
//!
//! Every test is one rule: it first proves the rule on a bad and a good example, then applies it to
//! every file of the project. A finding names file and line and says what to do.

#[path = "house/code.rs"]
mod code;
#[path = "house/house_rules.rs"]
mod house_rules;
#[path = "house/manifests.rs"]
mod manifests;
#[path = "house/project.rs"]
mod project;
#[path = "house/sources.rs"]
mod sources;
#[path = "house/texts.rs"]
mod texts;

use project::{File, Finding};

/// A rule looks at one file and tells the lines that break it.
type Rule = fn(&File) -> Vec<Finding>;

/// An example: path, text, and the lines the rule must name (none: the example is good).
type Example<'a> = (&'a str, &'a str, &'a [usize]);

/// Proves `rule` on the examples, then demands that the whole project keeps it.
fn check(rule: Rule, examples: &[Example<'_>]) {
    assert!(examples.iter().any(|example| !example.2.is_empty()), "a rule needs a bad example");
    assert!(examples.iter().any(|example| example.2.is_empty()), "a rule needs a good example");
    for (path, text, expected_lines) in examples {
        let findings = rule(&File::new(path, text));
        let lines: Vec<usize> = findings.iter().map(|finding| finding.line).collect();
        assert_eq!(&lines, expected_lines, "the rule misjudges its example {path}:\n{text}");
    }
    let findings: Vec<Finding> = project::files().iter().flat_map(rule).collect();
    assert!(findings.is_empty(), "\n{}\n", project::listed(&findings));
}
