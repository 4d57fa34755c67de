//! Every file of the project as the rules see it.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::code::code_of;

/// Folders that are built or fetched, not written.
const FOLDERS_SKIPPED: [&str; 5] =
    [".git", "target", "node_modules", "dist", "proptest-regressions"];

/// Where a rule is broken and what to do about it.
#[derive(Debug)]
pub(crate) struct Finding {
    pub(crate) path: String,
    pub(crate) line: usize,
    pub(crate) advice: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}: {}", self.path, self.line, self.advice)
    }
}

/// One text file; the path is relative to the top of the project.
#[derive(Debug)]
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) text: String,
    code: OnceLock<String>,
}

impl File {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned(), code: OnceLock::new() }
    }

    /// The text with comments and literals blanked; line numbers stay.
    pub(crate) fn code(&self) -> &str {
        self.code.get_or_init(|| code_of(&self.text))
    }

    pub(crate) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// True for the rules themselves, whose examples are bad on purpose.
    pub(crate) fn is_rule(&self) -> bool {
        self.path.starts_with("tests/tests/house")
    }

    pub(crate) fn finding(&self, line: usize, advice: impl Into<String>) -> Finding {
        Finding { path: self.path.clone(), line, advice: advice.into() }
    }

    /// One finding for every line (of `text` or of `code()`) that `broken` holds for.
    pub(crate) fn lines_where(
        &self,
        text: &str,
        advice: &str,
        broken: impl Fn(&str) -> bool,
    ) -> Vec<Finding> {
        let numbered = text.lines().enumerate();
        let broken = numbered.filter(|(_, line)| broken(line));
        broken.map(|(index, _)| self.finding(index + 1, advice)).collect()
    }
}

/// The folder that holds the workspace.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests is a member").to_path_buf()
}

/// Every file of the project, read once.
pub(crate) fn files() -> &'static [File] {
    static FILES: OnceLock<Vec<File>> = OnceLock::new();
    FILES.get_or_init(|| {
        let mut files = Vec::new();
        read_folder(&root(), "", &mut files);
        assert!(files.iter().any(|file| file.path == "engine/src/lib.rs"), "wrong folder");
        files.sort_by(|left, right| left.path.cmp(&right.path));
        files
    })
}

/// The file of that path; rules about one file fail clearly when it is gone.
pub(crate) fn file(path: &str) -> &'static File {
    let found = files().iter().find(|file| file.path == path);
    found.unwrap_or_else(|| panic!("{path} is missing"))
}

/// Findings as one text, a line each.
pub(crate) fn listed(findings: &[Finding]) -> String {
    findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

fn read_folder(folder: &Path, prefix: &str, files: &mut Vec<File>) {
    for entry in fs::read_dir(folder).expect("a folder of the project") {
        let entry = entry.expect("an entry of the folder");
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{prefix}{name}");
        if FOLDERS_SKIPPED.contains(&name.as_str()) {
            continue;
        }
        if entry.path().is_dir() {
            read_folder(&entry.path(), &format!("{path}/"), files);
            continue;
        }
        // Binary files have no lines to judge, but their place counts.
        let bytes = fs::read(entry.path()).expect("a file of the project");
        files.push(File::new(&path, &String::from_utf8(bytes).unwrap_or_default()));
    }
}
