//! Takes the answers to commits away, under load: whoever writes cannot know what became of them.

use std::fmt;

use pitwall::config::{Config, Roles};

use super::ground::Ground;
use super::{Say, database_url, is_clean};
use crate::live::Live;
use crate::oracle::{Verdict, is_drained};
use crate::postgres::{FAST, Postgres};
use crate::producer::{Mix, Producer};
use crate::proxy::{Ending, Event, Moment, Proxy, Rule, Trap};
use crate::scene::metric;

/// Lanes of the writer: while one waits, others commit.
const LANES: usize = 8;

/// How long the writer waits for an answer that never comes.
const DEADLINE_MS: u64 = 1_000;

/// Cuts between two lines.
const TOLD_EVERY: usize = 50;

/// Moments at which an answer is lost.
const MOMENTS: [Moment; 3] = [Moment::Before, Moment::Behind, Moment::Answered];

/// What is to be done.
#[derive(Clone, Copy, Debug)]
pub struct Order {
    /// Decides what is produced.
    pub seed: u64,
    /// How many commits get no answer, at least.
    pub cuts: usize,
    /// Records a second.
    pub per_second: u32,
}

/// What was done, and what has become of the records.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Commits that PostgreSQL never heard of.
    pub unheard: usize,
    /// Commits that it was told of, and did or not.
    pub ambiguous: usize,
    /// Commits that it answered.
    pub answered: usize,
    /// What has become of the records.
    pub verdict: Verdict,
}

impl Outcome {
    /// True when nothing is lost, nothing is there twice, and nothing is left over.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        is_clean(&self.verdict)
    }

    /// Commits without an answer.
    #[must_use]
    pub fn cuts(&self) -> usize {
        self.unheard + self.ambiguous + self.answered
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { unheard, ambiguous, answered, verdict } = self;
        write!(
            formatter,
            "{} commits without an answer ({unheard} that PostgreSQL never heard of, {ambiguous} of \
             which nobody knows, {answered} that it answered), {verdict}",
            self.cuts(),
        )
    }
}

/// Cuts until it is enough, lets all be stored, and judges.
///
/// # Errors
/// When something does not go on, with what is known of it.
pub fn run(order: Order, say: Say<'_>) -> Result<Outcome, String> {
    let postgres = Postgres::start(FAST);
    let mut ground = Ground::start(&["--appendonly", "no"], postgres.url());
    let proxy = Proxy::to_postgres(postgres.port());
    let url = database_url(proxy.port(), "postgres");
    let mut config = Config::new(&ground.redis.url(), &url);
    config.roles = Roles::DURABLE;
    (config.write.lane_count, config.write.deadline_ms) = (LANES, DEADLINE_MS);
    let live = Live::start(config);
    let mix = Mix { refused: 2, ..Mix::rough(order.seed) };
    let load = Producer::new(ground.redis.port(), mix).steady(order.per_second);
    let traps = set(&proxy);
    let struck = |moment: usize| traps[moment].iter().map(Trap::struck).sum::<usize>();
    let all = || (0..MOMENTS.len()).map(struck).sum::<usize>();
    let told = |what| format!("{what}\n{}", live.log());
    for aim in (TOLD_EVERY..order.cuts).step_by(TOLD_EVERY).chain([order.cuts]) {
        ground.until(&format!("{aim} commits are cut"), |_| all() >= aim).map_err(told)?;
        say(&format!("{} of {} commits cut, {} records", all(), order.cuts, load.count()));
    }
    proxy.heal();
    let log = load.stop();
    let port = ground.redis.port();
    ground.until("all is stored and acknowledged", |_| is_drained(port)).map_err(told)?;
    let residual = || metric(live.admin, "processor_writer_residual");
    ground.until("nothing is left over", |_| residual() == Some(0.0)).map_err(told)?;
    let [unheard, ambiguous, answered] = [0, 1, 2].map(struck);
    Ok(Outcome { unheard, ambiguous, answered, verdict: ground.judge(log.log()) })
}

/// Traps for every other commit, for each moment: most end the connection, some leave it silent, and
/// then the writer waits in vain.
fn set(proxy: &Proxy) -> [Vec<Trap>; 3] {
    let endings = [Ending::Reset, Ending::Close, Ending::Reset, Ending::Close, Ending::Silence];
    let every = 2 * MOMENTS.len() * endings.len();
    let mut turn = 0;
    MOMENTS.map(|moment| {
        let rules = endings.map(|ending| {
            turn += 2;
            Rule::new(Event::Commit, moment, ending).skip(turn).every(every).times(usize::MAX)
        });
        rules.into_iter().map(|rule| proxy.trap(rule)).collect()
    })
}
