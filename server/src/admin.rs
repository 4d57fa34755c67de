//! What operators look at: health, metrics, and the state of every part in words.

use std::net::TcpListener;
use std::sync::Arc;

use crate::context::Context;
use crate::metrics::Section;

/// Answers on the admin listener until the process is gone.
pub async fn run(_context: Context, _listener: TcpListener, _sections: Vec<Arc<dyn Section>>) {}
