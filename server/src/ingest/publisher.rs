//! Adds the records of packets to the stream: several batches on their way over one connection.
//!
//! A packet is told to be safe only when Redis has acknowledged all of its records. What is on its way
//! when Redis refuses or the connection breaks is dropped untold, whatever became of it: the device
//! sends it again, and a record that is there twice is stored once. What still waits in the queue
//! waits on.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout_at};

use super::batch::{Batch, Writer};
use super::health::Health;
use super::packets::Packet;
use crate::context::Context;
use crate::metrics::{Counter, Histogram, Page, Section};
use crate::shutdown::Stage;
use crate::status::Heartbeat;
use crate::stream::{Backoff, Class, Failure, Link, Server, clustered};

/// Packets of one batch. The largest have 9 KB and become 64 KB of text, 8 MB for a batch of them; usual
/// ones become 1 KB. Redis spends least on a command when many arrive together.
const BATCH_PACKETS_MAX: usize = 128;

/// Batches on their way: while Redis works on one, the next ones arrive. What they hold here is a
/// pointer for each packet.
const BATCHES_MAX: usize = 4;

/// How long Redis may take to take a batch, and to answer it.
const ANSWER_MS_MAX: u64 = 5_000;

/// How often the loop shows that it turns while nobody sends.
const BEAT: Duration = Duration::from_millis(500);

/// How long the loop may be silent: longer than it ever waits without a beat.
const SILENCE_MS_MAX: u64 = 15_000;

/// What is said when it ends although nothing ends.
const ENDED_EARLY: &str = "What adds records to the stream has ended early. Start the process again \
                           and report this.";

/// The only one who adds to the stream.
#[derive(Debug)]
pub(super) struct Publisher {
    context: Context,
    server: Server,
    health: Arc<Health>,
    numbers: Arc<Numbers>,
    heartbeat: Arc<Heartbeat>,
    writer: Writer,
}

#[derive(Debug, Default)]
struct Numbers {
    batches: Counter,
    added: Counter,
    failures: Counter,
    redis: Histogram,
}

/// One connection's life.
struct Pipeline {
    link: Link,
    /// In the order of their replies.
    on_their_way: VecDeque<Batch>,
    /// Redis has added a whole batch over this connection. Until then a single packet goes ahead: if
    /// Redis refuses, the others need not be sent again.
    is_proven: bool,
    /// Why nothing more is sent over it.
    refusal: Option<Failure>,
}

impl Publisher {
    pub(super) fn new(context: &Context, server: Server, health: Arc<Health>) -> Self {
        let config = &context.config;
        Self {
            writer: Writer::new(&config.stream, config.ingest.stream_length_max),
            heartbeat: context.status.heartbeat("ingest", SILENCE_MS_MAX),
            numbers: Arc::default(),
            context: context.clone(),
            server,
            health,
        }
    }

    pub(super) fn section(&self) -> Arc<dyn Section> {
        self.numbers.clone()
    }

    /// Publishes until nobody sends into the queue any more and it is empty.
    pub(super) async fn run(mut self, mut queue: mpsc::Receiver<Packet>) {
        let _alarm = self.context.shutdown.alarm(ENDED_EARLY);
        let mut backoff = Backoff::default();
        while let Err(failure) = self.publish(&mut queue, &mut backoff).await {
            self.numbers.failures.increment();
            if failure.class == Class::Clustered {
                self.context.shutdown.fail(clustered(&failure.words));
            }
            self.health.has_failed(&failure);
            self.rest(Duration::from_millis(backoff.next_ms())).await;
        }
    }

    /// Publishes over one connection until it, or Redis, fails. `Ok` is the end.
    async fn publish(
        &mut self,
        queue: &mut mpsc::Receiver<Packet>,
        backoff: &mut Backoff,
    ) -> Result<(), Failure> {
        let name = format!("pitwall-ingest-{}", self.context.config.instance_id);
        let link = Link::open(&self.server, &name).await?;
        self.health.is_connected();
        let on_their_way = VecDeque::with_capacity(BATCHES_MAX);
        let mut pipeline = Pipeline { link, on_their_way, is_proven: false, refusal: None };
        let mut packets = Vec::with_capacity(BATCH_PACKETS_MAX);
        loop {
            self.heartbeat.beat();
            let Some(room) = pipeline.room() else {
                self.receive(&mut pipeline, backoff).await?;
                continue;
            };
            tokio::select! {
                biased;
                result = pipeline.replies(), if !pipeline.on_their_way.is_empty() => {
                    result?;
                    self.judge(&mut pipeline, backoff)?;
                }
                count = queue.recv_many(&mut packets, room) => {
                    if count == 0 {
                        return self.finish(pipeline, backoff).await;
                    }
                    self.send(&mut pipeline, &mut packets).await?;
                }
                () = sleep(BEAT) => self.look_around(&pipeline),
            }
        }
    }

    async fn send(
        &mut self,
        pipeline: &mut Pipeline,
        packets: &mut Vec<Packet>,
    ) -> Result<(), Failure> {
        let (commands, batch) = self.writer.write(packets);
        self.numbers.batches.increment();
        pipeline.link.send(commands, Duration::from_millis(ANSWER_MS_MAX)).await?;
        if pipeline.on_their_way.is_empty() {
            pipeline.link.expect(batch.records);
        }
        pipeline.on_their_way.push_back(batch);
        Ok(())
    }

    /// Waits for the replies to one batch.
    async fn receive(
        &mut self,
        pipeline: &mut Pipeline,
        backoff: &mut Backoff,
    ) -> Result<(), Failure> {
        if pipeline.on_their_way.is_empty() {
            return pipeline.refusal.take().map_or(Ok(()), Err);
        }
        pipeline.replies().await?;
        self.judge(pipeline, backoff)
    }

    /// Takes the replies that are there.
    fn judge(&mut self, pipeline: &mut Pipeline, backoff: &mut Backoff) -> Result<(), Failure> {
        let batch = pipeline.on_their_way.pop_front().expect("replies are to a batch");
        let took = crate::clock::microseconds(batch.sent.elapsed());
        let judged = batch.judge(pipeline.link.reply())?;
        self.numbers.redis.observe_us(took);
        self.numbers.added.add(judged.added);
        if let Some(next) = pipeline.on_their_way.front() {
            pipeline.link.expect(next.records);
        }
        if let Some(refusal) = judged.refusal {
            pipeline.refusal.get_or_insert(refusal);
        } else if !std::mem::replace(&mut pipeline.is_proven, true) {
            backoff.reset();
            self.health.is_working();
        }
        Ok(())
    }

    /// Nothing more comes: takes the replies that are still to come.
    async fn finish(
        &mut self,
        mut pipeline: Pipeline,
        backoff: &mut Backoff,
    ) -> Result<(), Failure> {
        while !pipeline.on_their_way.is_empty() {
            self.receive(&mut pipeline, backoff).await?;
        }
        Ok(())
    }

    fn look_around(&self, pipeline: &Pipeline) {
        if !pipeline.is_proven && pipeline.on_their_way.is_empty() {
            self.health.is_quiet();
        }
        self.health.tick();
    }

    /// Waits after a failure.
    async fn rest(&self, pause: Duration) {
        let until = Instant::now() + pause;
        while Instant::now() < until {
            self.heartbeat.beat();
            self.health.tick();
            let leaving = self.context.shutdown.reached(Stage::Leaving);
            tokio::select! {
                () = sleep(BEAT.min(until - Instant::now())) => {}
                // Whoever still waits does not wait long any more.
                () = leaving => return sleep(BEAT.min(until - Instant::now())).await,
            }
        }
    }
}

impl Pipeline {
    /// How many packets the next batch may have; nothing when no batch may be sent.
    fn room(&self) -> Option<usize> {
        let batches_max = if self.is_proven { BATCHES_MAX } else { 1 };
        let has_room = self.refusal.is_none() && self.on_their_way.len() < batches_max;
        has_room.then_some(if self.is_proven { BATCH_PACKETS_MAX } else { 1 })
    }

    /// Waits until the replies to the oldest batch are all there.
    async fn replies(&mut self) -> Result<(), Failure> {
        let oldest = self.on_their_way.front().expect("a batch is on its way");
        let within = Duration::from_millis(ANSWER_MS_MAX);
        let replies = timeout_at(oldest.sent + within, self.link.expected(within)).await;
        replies.unwrap_or_else(|_| Err(Failure::timeout("answer", ANSWER_MS_MAX))).map(drop)
    }
}

impl Section for Numbers {
    fn write(&self, page: &mut Page) {
        let help = "Pipelines of records that were sent to Redis.";
        page.counter("pitwall_ingest_batches_total", help, self.batches.value());
        let help = "Entries that were added to the stream.";
        page.counter("pitwall_ingest_entries_total", help, self.added.value());
        let help = "Times that Redis refused, was silent, or could not be reached.";
        page.counter("pitwall_ingest_redis_failures_total", help, self.failures.value());
        let help = "From a batch's way to Redis to its last reply.";
        page.histograms("pitwall_ingest_redis_seconds", help, "what", &[("batch", &self.redis)]);
    }
}
