//! The roster's keeper: who drives in which event, the newest fixes, and those flagged as faulty.

use tokio::sync::mpsc;

use super::source::SourceMail;
use crate::context::Context;

/// Reads the roster and keeps it fresh until the process leaves.
pub async fn run(_context: Context, _source: mpsc::Sender<SourceMail>) {}
