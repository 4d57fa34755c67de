//! An access between a stub and a shard whose part the test plays.

use std::sync::Arc;
use std::time::Duration;

use engine::id::{EventId, ShardIndex, ViewerId};
use engine::shard::Question;
use engine::viewer::Decision;
use pitwall::config::Config;
use pitwall::context::Context;
use pitwall::live::access::{Access, Identity};
use pitwall::live::mailbox::{Address, Ask, Grant, Grants, Mailbox, Order, mailbox};
use pitwall::live::session::{Cookie, Session};
use pitwall::log::Level;
use pitwall::metrics::{Page, Section as _};
use pitwall::shutdown::{Shutdown, Stage};
use pitwall::status::{Report, State};
use tests::directus::Directus;
use tests::lines::Lines;
use tokio::sync::mpsc;

/// How long a test waits for what must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// An access that runs, and all that is around it.
pub(crate) struct World {
    pub(crate) directus: Directus,
    pub(crate) access: Arc<Access>,
    pub(crate) context: Context,
    pub(crate) address: Address,
    asks: mpsc::Sender<Ask>,
    mailbox: Mailbox,
    log: Lines,
    next_ticket: u32,
}

impl World {
    /// Starts one; `adjust` has the last word about its settings.
    pub(crate) fn start(postgres_url: &str, adjust: impl FnOnce(&mut Config)) -> Self {
        let directus = Directus::start();
        let mut config = Config::new("redis://127.0.0.1:1", postgres_url);
        "127.0.0.1".clone_into(&mut config.directus.host);
        config.directus.port = directus.port();
        adjust(&mut config);
        let (sink, log) = Lines::of(Level::Debug, "access");
        let context = Context::new(config, sink, Shutdown::default());
        let access = Access::new(&context);
        let (address, mailbox) = mailbox(ShardIndex(0)).unwrap();
        let (asks, receiver) = mpsc::channel(1_024);
        tokio::spawn(access.clone().run(receiver, [address.clone()].into()));
        Self { directus, access, context, address, asks, mailbox, log, next_ticket: 0 }
    }

    /// One without a database.
    pub(crate) fn without_database() -> Self {
        Self::start("postgres://nobody@127.0.0.1:1/none", |_| {})
    }

    pub(crate) async fn identify(&self, cookie: &str) -> Identity {
        self.access.identify(Some(Cookie::new(cookie.as_bytes()))).await
    }

    /// Asks as a shard does, and returns the ticket.
    pub(crate) async fn ask(&mut self, session: &Arc<Session>, event: EventId) -> u32 {
        self.next_ticket += 1;
        let ticket = self.next_ticket;
        let question = Question { viewer: viewer(0), ticket, event };
        let ask = Ask { shard: ShardIndex(0), question, session: session.clone() };
        self.asks.send(ask).await.unwrap();
        ticket
    }

    /// Asks, and waits for the decision.
    pub(crate) async fn decide(&mut self, session: &Arc<Session>, event: EventId) -> Decision {
        let asked = self.ask(session, event).await;
        match self.order().await {
            Order::Decide(_, ticket, decision) if ticket == asked => decision,
            other => panic!("expected a decision, but {other:?}"),
        }
    }

    /// The next order for the shard.
    pub(crate) async fn order(&self) -> Order {
        let orders = self.mailbox.orders.clone();
        let order = tokio::task::spawn_blocking(move || orders.recv_timeout(PATIENCE)).await;
        order.unwrap().expect("an order comes in time")
    }

    /// Answers the next question who watches what, and returns the orders that follow from it.
    pub(crate) async fn look(&self, grants: impl Fn() -> Vec<Grant>) -> Vec<Order> {
        self.answer_grants(grants()).await;
        let mut orders = Vec::new();
        loop {
            match self.order().await {
                Order::Grants(to) => {
                    // The next look: the orders of this one have all come.
                    to.try_send(Grants { shard: ShardIndex(0), grants: grants() }).unwrap();
                    return orders;
                }
                order => orders.push(order),
            }
        }
    }

    async fn answer_grants(&self, grants: Vec<Grant>) {
        loop {
            if let Order::Grants(to) = self.order().await {
                to.try_send(Grants { shard: ShardIndex(0), grants }).unwrap();
                return;
            }
        }
    }

    /// What a component says once it is in that state.
    pub(crate) async fn component(&self, name: &str, state: State) -> Report {
        let mut looks = tokio::time::interval(Duration::from_millis(5));
        let found = async {
            loop {
                looks.tick().await;
                let components = self.context.status.components();
                let found = components.iter().find(|component| component.name == name);
                match found.map(|component| component.report()) {
                    Some(report) if report.state == state => return report,
                    _ => {}
                }
            }
        };
        let found = tokio::time::timeout(PATIENCE, found).await;
        found.unwrap_or_else(|_| panic!("{name} does not become {}", state.word()))
    }

    /// Everything that could show a secret: the log, the metrics, what can be printed of the parts.
    pub(crate) fn everything_shown(&self) -> String {
        let mut page = Page::default();
        self.access.write(&mut page);
        let log = self.log.text();
        format!("{log}\n{}\n{:?}\n{:?}", page.into_text(), self.access, self.context)
    }

    /// The value of a metric, by its name and labels.
    pub(crate) fn metric(&self, series: &str) -> u64 {
        let mut page = Page::default();
        self.access.write(&mut page);
        let text = page.into_text();
        let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("{series} is missing in\n{text}")).parse().unwrap()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.context.shutdown.advance(Stage::Farewell);
    }
}

/// The user that is known.
pub(crate) fn known(identity: Identity) -> Arc<Session> {
    match identity {
        Identity::Known(session) => session,
        other => panic!("expected a user, but {other:?}"),
    }
}

/// A viewer of the shard.
pub(crate) fn viewer(index: u32) -> ViewerId {
    ViewerId { index, generation: 0 }
}
