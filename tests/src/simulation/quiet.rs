//! Rest: when nothing moves any more, everything must be where it belongs.

use super::client::Manner;
use super::speech::Wish;
use super::world::World;
use super::{Class, Summary, Verdict, ensure};

/// Rounds of turns after which a world without news must be at rest.
const ROUNDS_MAX: usize = 400;

impl World {
    /// Everything arrives, everyone reads, and then it is checked that nothing is missing.
    pub(super) fn settle(&mut self) -> Verdict {
        let mut quiet_rounds = 0;
        for _ in 0..ROUNDS_MAX {
            let before = (self.summary.hash, self.moving());
            for at in 0..self.hosts.len() {
                self.advance(10_000);
                self.turn(at, true)?;
            }
            let is_quiet = before == (self.summary.hash, 0) && self.moving() == 0;
            quiet_rounds = if is_quiet { quiet_rounds + 1 } else { 0 };
            if quiet_rounds == 3 {
                return self.check_rest();
            }
        }
        ensure(false, Class::Lost, || format!("no rest; {} things still move", self.moving()))
    }

    /// The end of every world: rest, silence, fresh viewers, and everybody leaves.
    pub(super) fn end(&mut self) -> Verdict {
        self.settle()?;
        self.keep_silence()?;
        self.probe()?;
        // A snapshot that was joined for them must not outlive what changes without a frame.
        for _ in 0..self.random.between(1, 6) {
            self.withdraw();
        }
        self.settle()?;
        self.probe()?;
        self.leave()
    }

    /// Messages, questions and words that are on their way.
    fn moving(&self) -> usize {
        let peers = self.hosts.iter().flat_map(|host| &host.from_peers).map(|peer| peer.len());
        let router = self.hosts.iter().map(|host| host.from_router.len());
        let spoken = self.clients.iter().filter(|c| c.is_there && !c.speech.is_silent()).count();
        peers.sum::<usize>() + router.sum::<usize>() + self.questions.len() + spoken
    }

    fn check_rest(&mut self) -> Verdict {
        for (at, client) in self.clients.iter().enumerate().filter(|(_, c)| c.is_there) {
            client.watch.settled(&self.model).map_err(|mut violation| {
                violation.what = format!("viewer {at}: {}", violation.what);
                violation
            })?;
        }
        for (at, host) in self.hosts.iter().enumerate() {
            let shard = &host.shard;
            ensure(shard.pending_count() == 0, Class::Residual, || {
                format!("shard {at}: {} frames pending at rest", shard.pending_count())
            })?;
            let here = || self.clients.iter().filter(|client| client.shard == at);
            let seen: u64 = here().map(|client| client.watch.frame_count).sum();
            let doubt: u64 = here().map(|client| client.watch.doubt_count).sum();
            let delivered = shard.ledger().delivered;
            ensure((seen..=seen + doubt).contains(&delivered), Class::Residual, || {
                format!("shard {at}: {delivered} delivered, {seen} and perhaps {doubt} seen")
            })?;
            let events = self.model.events.len();
            let bound = 8192 + host.places * 8192 + events * (self.devices.len() + 1) * 4096;
            ensure(shard.heap_bytes() <= bound + 400_000 * events, Class::Memory, || {
                format!("shard {at}: {} bytes on the heap", shard.heap_bytes())
            })?;
        }
        ensure(self.router.orphan_count() == self.orphan_count, Class::Residual, || {
            format!("{} orphans instead of {}", self.router.orphan_count(), self.orphan_count)
        })?;
        for event in &mut self.model.events {
            event.settled_version = event.version();
        }
        Ok(())
    }

    /// A minute without news: whoever watches something gets it once more, before its program
    /// takes the connection for dead.
    fn keep_silence(&mut self) -> Verdict {
        const STEP_US: u64 = 2_500_000;
        for _ in 0..26 {
            self.advance(STEP_US);
            for at in 0..self.hosts.len() {
                self.turn(at, true)?;
                self.turn(at, true)?;
            }
        }
        let now_ms = self.now.monotonic_ms();
        for (at, client) in self.clients.iter().enumerate() {
            let is_owed = client.is_there && client.watch.is_owed_repeat(&self.model);
            let silent_ms = now_ms - client.watch.message_ms;
            ensure(!is_owed || silent_ms < 55_000, Class::Lost, || {
                format!("viewer {at}: silent for {silent_ms} ms")
            })?;
        }
        Ok(())
    }

    /// A fresh viewer on every shard must see exactly what there is.
    fn probe(&mut self) -> Verdict {
        for at in 0..self.hosts.len() {
            let Some(client) = self.open(at, Manner::model())? else { continue };
            for event in (0..self.event_ids.len()).rev().take(20) {
                let Self { random, clients, model, .. } = self;
                let wish = Wish { event, is_subscribe: true, gives_id: true };
                clients[client].speech.request(model, wish, random);
            }
        }
        self.settle()
    }

    /// Everybody leaves, and nothing of them stays.
    fn leave(&mut self) -> Verdict {
        for client in 0..self.clients.len() {
            let Self { random, clients, hosts, .. } = self;
            let viewer = &mut clients[client];
            if !viewer.is_there {
                continue;
            }
            if random.permille(500) {
                viewer.speech.close(Some(1001), random);
            } else {
                hosts[viewer.shard].shard.handle_lost(viewer.id);
                self.forget(client, 101)?;
            }
        }
        for _ in 0..30 {
            self.advance(2_500_000);
            for at in 0..self.hosts.len() {
                self.turn(at, true)?;
            }
        }
        let there = self.clients.iter().filter(|client| client.is_there).count();
        ensure(there == 0, Class::Memory, || format!("{there} viewers never went"))?;
        for (at, host) in self.hosts.iter().enumerate() {
            let places = host.places;
            // Places of viewers and laps, and one spare tail each.
            let bound = 4096 + places * (256 + 4096 + self.event_ids.len() * 700);
            let bytes = host.shard.heap_bytes();
            ensure(bytes <= bound, Class::Memory, || format!("shard {at} keeps {bytes} bytes"))?;
        }
        // Nobody watches: news stay with the owners.
        self.send_positions();
        for at in 0..self.hosts.len() {
            self.turn(at, true)?;
        }
        let told = self.moving();
        ensure(told == 0, Class::Memory, || format!("{told} messages although nobody watches"))
    }
}

impl Summary {
    /// The line that counts.
    #[must_use]
    pub fn verdict(&self, seeds: u64) -> String {
        format!(
            "{seeds} seeds, {} positions, {} frames: backward 0, lost 0, foreign 0, residual 0",
            self.positions, self.frames
        )
    }
}
