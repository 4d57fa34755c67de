//! Who somebody is, and which events they may see: asked once, remembered for seconds.

use std::sync::Arc;

use super::mailbox::{Address, Ask};
use super::session::{Cookie, Session};
use crate::context::Context;

/// Who holds a cookie.
#[derive(Clone, Debug)]
pub enum Identity {
    /// A user.
    Known(Arc<Session>),
    /// Nobody: not logged in, or the session ended. Close 4401.
    Unauthorized,
    /// It cannot be told now. Close 1013, never 4401.
    Unavailable,
}

/// Asks the authorities, and remembers for seconds what they said.
#[derive(Debug)]
pub struct Access {}

impl Access {
    /// An access that has asked nobody yet.
    #[must_use]
    pub fn new(_context: &Context) -> Arc<Self> {
        Arc::new(Self {})
    }

    /// Who holds this cookie. Without one nobody is asked.
    pub async fn identify(&self, _cookie: Option<Cookie>) -> Identity {
        Identity::Unavailable
    }

    /// Answers the shards' questions and withdraws what is not allowed any more, until the end.
    pub async fn run(
        self: Arc<Self>,
        _asks: tokio::sync::mpsc::Receiver<Ask>,
        _shards: Arc<[Address]>,
    ) {
    }
}
