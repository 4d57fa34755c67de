//! `pitwall check`: looks at the settings and at everyone around, and says what is wrong and how to
//! put it right.
//!
//! It reads only, uses no viewer's cookie, and looks at everything even when the first look fails.

mod columns;
mod database;
mod directus;
mod folder;
mod redis;
mod rights;

use std::io::{self, Write};

pub(super) use database::told;

use crate::config::Config;
use crate::config::load::Loaded;
use crate::error::Stop;
use crate::secret::Secret;

/// How a look at something ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// As it should be.
    Fine,
    /// pitwall runs, and something is worse than it could be.
    Warning,
    /// pitwall does not do its work like this.
    Failed,
}

impl Verdict {
    const fn word(self) -> &'static str {
        match self {
            Self::Fine => "ok",
            Self::Warning => "warning",
            Self::Failed => "FAILED",
        }
    }
}

/// What was found, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How it ended.
    pub verdict: Verdict,
    /// What is the case.
    pub what: String,
    /// The command or the change that puts it right; empty when nothing has to be done.
    pub remedy: String,
}

impl Finding {
    pub(super) fn fine(what: impl Into<String>) -> Self {
        Self { verdict: Verdict::Fine, what: what.into(), remedy: String::new() }
    }

    fn warning(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { verdict: Verdict::Warning, what: what.into(), remedy: remedy.into() }
    }

    pub(super) fn failed(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { verdict: Verdict::Failed, what: what.into(), remedy: remedy.into() }
    }

    pub(super) fn is_failed(&self) -> bool {
        self.verdict == Verdict::Failed
    }
}

/// Looks at everyone and prints a line each; true when nothing failed. A mistake in the settings
/// comes before everything else, since it decides who is looked at.
pub(crate) fn write(loaded: Loaded, out: &mut impl Write) -> io::Result<Result<bool, Stop>> {
    let mut findings = vec![Finding::fine("The settings are complete and each is possible.")];
    for warning in loaded.warnings() {
        let what = format!("{} {}", warning.name, warning.words);
        findings.push(Finding::warning(what, ""));
    }
    let config = match loaded.into_config() {
        Ok(config) => config,
        Err(stop) => return Ok(Err(stop)),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    findings.extend(runtime.block_on(look(&config)));
    print_findings(&findings, out)?;
    let count = |verdict| findings.iter().filter(|finding| finding.verdict == verdict).count();
    let (failed, warnings) = (count(Verdict::Failed), count(Verdict::Warning));
    writeln!(out, "\n{} checks, {failed} failed, {warnings} warnings", findings.len())?;
    out.flush()?;
    Ok(Ok(failed == 0))
}

/// A line each, with the remedy at its end.
pub(super) fn print_findings(findings: &[Finding], out: &mut impl Write) -> io::Result<()> {
    for finding in findings {
        let remedy = match finding.remedy.as_str() {
            "" => String::new(),
            remedy => format!(" Fix: {remedy}"),
        };
        writeln!(out, "{:<8} {}{remedy}", finding.verdict.word(), finding.what)?;
    }
    Ok(())
}

/// Looks at everyone whom the roles need, all at the same time.
pub async fn look(config: &Config) -> Vec<Finding> {
    if let Some(embedded) = &config.embedded {
        return vec![folder::look(&embedded.directory)];
    }
    let roles = config.roles;
    let directus =
        async { if roles.live { Some(directus::look(&config.directus).await) } else { None } };
    let database = async {
        if roles.need_database(config.ingest.authority) {
            look_at_database(&config.postgres_url, roles.durable).await
        } else {
            Vec::new()
        }
    };
    let (redis, database, directus) = tokio::join!(
        redis::look(config.redis_url.expose(), &config.stream, roles),
        database,
        directus
    );
    redis.into_iter().chain(database).chain(directus).collect()
}

/// Looks at PostgreSQL alone, with the eyes of a pitwall that writes rows or of one that only reads.
pub async fn look_at_database(url: &Secret, does_write: bool) -> Vec<Finding> {
    database::look(url.expose(), does_write).await
}
