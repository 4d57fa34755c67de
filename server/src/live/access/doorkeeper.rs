//! Access of a process without a platform: whoever holds the one token comes in, or everybody from
//! this machine where there is none, and sees every event of the roster.

use std::sync::Arc;

use engine::id::EventId;
use engine::viewer::Decision;
use tokio::sync::{mpsc, watch};

use super::deliver::deliver;
use super::{Access, Identity};
use crate::live::mailbox::{Address, Ask, Order};
use crate::live::session::{Cookie, Session};
use crate::page::Token;
use crate::shutdown::{Shutdown, Stage};

/// How everybody is called who comes in: there is one door and no list of users.
const USER_ID: &str = "viewer";

/// Who says who somebody is.
#[derive(Clone, Debug)]
pub enum Gate {
    /// The platform, asked through [`Access`].
    Platform(Arc<Access>),
    /// This process.
    Own(Arc<Doorkeeper>),
}

impl Gate {
    /// True when whoever can connect may see everything.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self, Self::Own(doorkeeper) if doorkeeper.token.is_none())
    }

    /// Who holds this cookie.
    pub async fn identify(&self, cookie: Option<Cookie>) -> Identity {
        match self {
            Self::Platform(access) => access.identify(cookie).await,
            Self::Own(doorkeeper) => doorkeeper.identify(cookie.as_ref()),
        }
    }
}

impl From<Arc<Access>> for Gate {
    fn from(access: Arc<Access>) -> Self {
        Self::Platform(access)
    }
}

/// Lets viewers in.
#[derive(Debug)]
pub struct Doorkeeper {
    token: Option<Token>,
    /// The events there are, sorted.
    events: watch::Receiver<Arc<[EventId]>>,
    session: Arc<Session>,
}

impl Doorkeeper {
    /// Asks for this token, if there is one, and knows these events, which are sorted.
    #[must_use]
    pub fn new(token: Option<Token>, events: watch::Receiver<Arc<[EventId]>>) -> Arc<Self> {
        let session = Session { user_id: USER_ID.into(), role: None, cookie: None };
        Arc::new(Self { token, events, session: Arc::new(session) })
    }

    fn identify(&self, cookie: Option<&Cookie>) -> Identity {
        let header = cookie.map(Cookie::expose);
        if self.token.as_ref().is_none_or(|token| token.allows(header)) {
            Identity::Known(self.session.clone())
        } else {
            Identity::Unauthorized
        }
    }

    /// Answers the shards' questions until the viewers are being closed.
    pub async fn run(
        self: Arc<Self>,
        mut asks: mpsc::Receiver<Ask>,
        shards: Arc<[Address]>,
        shutdown: Shutdown,
    ) {
        let closing = shutdown.reached(Stage::Closing);
        tokio::pin!(closing);
        loop {
            let ask = tokio::select! {
                ask = asks.recv() => ask,
                () = &mut closing => None,
            };
            let Some(ask) = ask else { return };
            let Some(at) = shards.iter().position(|address| address.shard == ask.shard) else {
                continue;
            };
            let decision = self.decide(ask.question.event);
            let order = Order::Decide(ask.question.viewer, ask.question.ticket, decision);
            deliver(&shards[at], order).await;
        }
    }

    fn decide(&self, event: EventId) -> Decision {
        if self.events.borrow().binary_search(&event).is_ok() {
            Decision::Allowed
        } else {
            Decision::NotFound
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use engine::id::EventId;
    use engine::viewer::Decision;
    use tokio::sync::watch;

    use super::{Doorkeeper, Identity};
    use crate::live::session::Cookie;
    use crate::page::Token;
    use crate::secret::Secret;

    fn doorkeeper(token: Option<&str>, events: &[u128]) -> Arc<Doorkeeper> {
        let events: Arc<[EventId]> = events.iter().map(|&event| EventId(event)).collect();
        let token = token.map(|token| Token::new(&Secret::new(token)));
        Doorkeeper::new(token, watch::channel(events).1)
    }

    fn comes_in(doorkeeper: &Doorkeeper, cookie: Option<&str>) -> bool {
        let cookie = cookie.map(|cookie| Cookie::new(cookie.as_bytes()));
        matches!(doorkeeper.identify(cookie.as_ref()), Identity::Known(_))
    }

    #[test]
    fn without_a_token_everybody_comes_in_and_with_one_only_who_holds_it() {
        let open = doorkeeper(None, &[]);
        assert!(comes_in(&open, None) && comes_in(&open, Some("a=1")));
        let closed = doorkeeper(Some("0123456789abcdef"), &[]);
        assert!(comes_in(&closed, Some("a=1; pitwall_token=0123456789abcdef")));
        for cookie in [None, Some("a=1"), Some("pitwall_token=0123456789abcdeX")] {
            assert!(!comes_in(&closed, cookie), "{cookie:?}");
        }
    }

    #[test]
    fn an_event_of_the_roster_is_allowed_and_another_is_not_found() {
        let doorkeeper = doorkeeper(None, &[1, 3]);
        assert_eq!(doorkeeper.decide(EventId(3)), Decision::Allowed);
        assert_eq!(doorkeeper.decide(EventId(2)), Decision::NotFound);
    }
}
