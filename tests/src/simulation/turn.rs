//! One turn of a shard's driver, in the order that the engine documents.

use engine::fanout::Sent;
use engine::shard::{GoneReason, Shard};
use engine::slots::VerdictTally;
use engine::viewer::Decision;
use engine::websocket::CloseCode;

use super::client::Manner;
use super::model::Tally;
use super::world::{FromRouter, Host, Pending, World};
use super::{Class, Verdict, ensure, small};

/// How long the server waits before it cuts a viewer that does not answer its close.
const CLOSE_WAIT_MS: u64 = 5000;
/// A viewer that was not heard of for this long may be cut: a ping may come a little early.
const SILENT_MS: u64 = 29_900;
/// A viewer that leaves a reply unread for this long is cut.
const REPLY_STALL_MS: u64 = 30_000;
/// No turn of a small world has so many sends.
const SENDS_MAX: usize = 100_000;

impl World {
    /// A turn. In a hurry everything on its way arrives and everyone reads.
    pub(super) fn turn(&mut self, at: usize, is_hurried: bool) -> Verdict {
        self.summary.steps += 1;
        self.hosts[at].shard.handle_time(self.now);
        self.hear_router(at, is_hurried);
        self.hear_peers(at, is_hurried);
        if !is_hurried && self.clients.len() < self.plan.viewers_max && self.random.permille(150) {
            let manner = Manner::draw(&mut self.random);
            self.open(at, manner)?;
        }
        self.hear_viewers(at, is_hurried)?;
        self.decide(at, is_hurried);
        if !is_hurried {
            self.interfere(at)?;
        }
        self.hosts[at].shard.handle_flush();
        self.send(at, is_hurried)?;
        self.collect(at)?;
        self.check(at)
    }

    fn hear_router(&mut self, at: usize, is_hurried: bool) {
        while !self.hosts[at].from_router.is_empty() {
            if !is_hurried && self.random.permille(self.plan.delays) {
                break;
            }
            let Self { hosts, model, now, .. } = self;
            let host = &mut hosts[at];
            let Some(message) = host.from_router.pop_front() else { break };
            match message {
                FromRouter::Roster(roster, registered) => {
                    host.shard.handle_roster(roster);
                    for (event, seats) in registered.0.iter().enumerate() {
                        if self.owner_of(event) == at {
                            for (device, &is_seated) in seats.iter().enumerate() {
                                self.model.seat(event, small(device), is_seated);
                            }
                        }
                    }
                }
                FromRouter::Positions(batch, what) => {
                    host.shard.handle_positions(&batch);
                    let ceiling_ms = now.wall_ms + 60_000;
                    for (event, record) in what {
                        model.offer(event, record, ceiling_ms, &mut host.tally);
                    }
                }
                FromRouter::Withdrawal(withdrawal, (event, device, faulty_ms, good)) => {
                    host.shard.handle_withdrawal(&withdrawal);
                    model.withdraw(event, device, faulty_ms, good);
                }
            }
        }
    }

    fn hear_peers(&mut self, at: usize, is_hurried: bool) {
        let host = &mut self.hosts[at];
        for from in 0..host.from_peers.len() {
            let is_late = self.random.permille(self.plan.delays);
            // Mostly all that has come is taken at once, as a mailbox is emptied.
            let is_cut = self.random.permille(50);
            while (is_hurried || !is_late)
                && let Some(message) = host.from_peers[from].pop_front()
            {
                host.shard.handle_peer(message);
                if !is_hurried && is_cut && self.random.permille(300) {
                    break;
                }
            }
        }
    }

    /// Viewers read, and what they say arrives.
    fn hear_viewers(&mut self, at: usize, is_hurried: bool) -> Verdict {
        for place in 0..self.hosts[at].clients.len() {
            let client = self.hosts[at].clients[place];
            let Self { random, clients, hosts, plan, now, .. } = self;
            let viewer = &mut clients[client];
            let shard = &mut hosts[at].shard;
            if !is_hurried && random.permille(plan.stalls) {
                viewer.is_stalled = !viewer.is_stalled;
            }
            viewer.is_stalled &= !is_hurried;
            let read_bytes = match (is_hurried, viewer.is_stalled) {
                (true, _) => usize::MAX,
                (_, true) => 0,
                _ => random.below(viewer.manner.read_bytes_max + 1),
            };
            if viewer.read(read_bytes, random) {
                shard.handle_writable(viewer.id);
            }
            while !viewer.speech.is_silent() && !viewer.is_paused {
                if !is_hurried && random.permille(300) {
                    break;
                }
                viewer.is_paused = !shard.wants_bytes(viewer.id);
                if viewer.is_paused {
                    break;
                }
                let wanted = if random.permille(700) { 4096 } else { random.between(1, 40) };
                shard.handle_bytes(viewer.id, viewer.speech.next(wanted));
                let offset = viewer.end();
                viewer.watch.heard_ms = now.monotonic_ms();
                while let Some(said) = viewer.speech.heard() {
                    viewer.watch.hear(said, now.monotonic_ms(), offset);
                }
            }
        }
        Ok(())
    }

    /// The authority answers some questions, in any order, some of them twice or too late.
    fn decide(&mut self, at: usize, is_hurried: bool) {
        let mut next = 0;
        while let Some(&Pending { client, viewer, ticket }) = self.questions.get(next) {
            let is_here = self.clients[client].shard == at;
            if !is_here || !is_hurried && self.random.permille(600) {
                next += 1;
                continue;
            }
            let decision = match self.random.below(20) {
                0 => Decision::Forbidden,
                1 => Decision::NotFound,
                2 => Decision::Undecided,
                _ => Decision::Allowed,
            };
            self.mark("decide", [client as u64, ticket.into(), decision as u64]);
            self.hosts[at].shard.handle_decision(viewer, ticket, decision);
            let now_ms = self.now.monotonic_ms();
            self.clients[client].watch.decide(ticket, decision, now_ms);
            if self.random.permille(50) {
                // Said twice: the first answer counts.
                self.hosts[at].shard.handle_decision(viewer, ticket, Decision::Forbidden);
            }
            self.questions.swap_remove(next);
        }
    }

    /// Revocations, closes of the server, connections that break.
    fn interfere(&mut self, at: usize) -> Verdict {
        let Some(place) = self.hosts[at].clients.len().checked_sub(1) else { return Ok(()) };
        let client = self.hosts[at].clients[self.random.below(place + 1)];
        let event = self.random.below(self.event_ids.len());
        let trouble = self.plan.trouble;
        let Self { random, clients, hosts, now, event_ids, .. } = self;
        let viewer = &mut clients[client];
        let shard = &mut hosts[at].shard;
        let offset = viewer.end();
        if random.permille(trouble / 10 + 5) && viewer.manner.gives_ids {
            shard.handle_revocation(viewer.id, event_ids[event]);
            viewer.watch.revoke(event, offset);
            self.mark("revoke", [client as u64, event as u64, offset]);
        } else if random.permille(trouble / 40) {
            let code = [CloseCode::RESTART, CloseCode::UNAUTHORIZED][random.below(2)];
            shard.handle_close(viewer.id, code, code.reason());
            viewer.watch.begin_close(Some(code.number()), now.monotonic_ms(), offset);
            self.mark("close", [client as u64, code.number().into(), offset]);
        } else if random.permille(trouble / 40) {
            shard.handle_lost(viewer.id);
            self.lost = Some((self.summary.steps, viewer.id));
            self.summary.kills += 1;
            self.forget(client, 100)?;
        }
        Ok(())
    }

    fn send(&mut self, at: usize, is_hurried: bool) -> Verdict {
        let stops_early = !is_hurried && self.random.permille(self.plan.early_stops);
        let limit = if stops_early { self.random.below(6) } else { SENDS_MAX };
        for _ in 0..limit {
            let Self { random, clients, hosts, model, plan, now, summary, .. } = self;
            let Host { shard, clients: here, .. } = &mut hosts[at];
            let Some(send) = shard.poll_send() else { return Ok(()) };
            let Some(&client) = here.iter().find(|&&client| clients[client].id == send.viewer)
            else {
                return ensure(false, Class::Foreign, || format!("bytes for {:?}", send.viewer));
            };
            let viewer = &mut clients[client];
            ensure(!viewer.is_blocked, Class::Order, || "bytes for a full kernel".into())?;
            ensure(!send.bytes.is_empty(), Class::Order, || "a send of nothing".into())?;
            if random.permille(plan.trouble / 100) {
                viewer.is_broken = true;
                shard.handle_sent(Sent::Broken);
                continue;
            }
            let sent = if is_hurried { Sent::All } else { viewer.offer(send.bytes, random) };
            let taken = match sent {
                Sent::Part(bytes) => &send.bytes[..bytes],
                Sent::All | Sent::Broken => send.bytes,
            };
            viewer.is_blocked = matches!(sent, Sent::Part(_));
            summary.hash = super::random::fold(summary.hash ^ client as u64, taken);
            viewer.take(model, taken, now.monotonic_ms()).map_err(|mut violation| {
                violation.what = format!("viewer {client}: {}", violation.what);
                violation
            })?;
            shard.handle_sent(sent);
        }
        ensure(limit < SENDS_MAX, Class::Order, || "sending never ends".into())
    }

    fn collect(&mut self, at: usize) -> Verdict {
        while let Some((to, message)) = self.hosts[at].shard.poll_peer() {
            let to = usize::from(to.0);
            ensure(to != at, Class::Order, || "a message to itself".into())?;
            self.hosts[to].from_peers[at].push_back(message);
        }
        while let Some(question) = self.hosts[at].shard.poll_question() {
            let Some(client) = self.client_of(at, question.viewer) else { continue };
            let asked = self.clients[client].watch.asked(question.ticket);
            let is_known = asked.map(|event| self.event_ids[event]) == Some(question.event);
            ensure(is_known, Class::Foreign, || format!("asks {question:?}"))?;
            let (viewer, ticket) = (question.viewer, question.ticket);
            self.questions.push(Pending { client, viewer, ticket });
        }
        while let Some(gone) = self.hosts[at].shard.poll_gone() {
            if self.lost == Some((self.summary.steps, gone.viewer)) {
                // Both sides noticed in the same turn.
                continue;
            }
            let Some(client) = self.client_of(at, gone.viewer) else {
                return ensure(false, Class::Order, || {
                    format!("{:?} has gone before", gone.viewer)
                });
            };
            let viewer = &self.clients[client];
            let now_ms = self.now.monotonic_ms();
            let watch = &viewer.watch;
            let is_due = match gone.reason {
                GoneReason::Broken => viewer.is_broken,
                GoneReason::Closed => watch.is_close_seen && watch.is_deaf,
                GoneReason::CloseIgnored => {
                    let waited = watch.closing.map(|c| now_ms >= c.since_ms + CLOSE_WAIT_MS);
                    waited.unwrap_or_else(|| watch.may_overflow())
                }
                GoneReason::Silent => now_ms >= watch.heard_ms + SILENT_MS,
                GoneReason::Stalled => now_ms >= viewer.taken_ms + REPLY_STALL_MS,
            };
            ensure(is_due, Class::Order, || format!("viewer {client} gone: {:?}", gone.reason))?;
            self.summary.kills += u64::from(gone.reason != GoneReason::Closed);
            self.forget(client, gone.reason as u64)?;
        }
        while let Some(viewer) = self.hosts[at].shard.poll_resumed() {
            if let Some(client) = self.client_of(at, viewer) {
                self.clients[client].is_paused = false;
            }
        }
        Ok(())
    }

    /// What holds after every turn.
    fn check(&self, at: usize) -> Verdict {
        let Host { shard, clients, tally, .. } = &self.hosts[at];
        let residual = shard.residual();
        ensure(residual == 0, Class::Residual, || format!("residual {residual} of shard {at}"))?;
        ensure(shard.viewer_count() == clients.len(), Class::Memory, || {
            format!("{} viewers instead of {}", shard.viewer_count(), clients.len())
        })?;
        check_verdicts(shard, tally)
    }
}

fn check_verdicts(shard: &Shard, tally: &Tally) -> Verdict {
    let Tally { accepted, late, restored, duplicate, future, without_fix } = *tally;
    let judged = VerdictTally { accepted, late, restored, ..VerdictTally::default() };
    let expected = VerdictTally { duplicate, future, without_fix, ..judged };
    ensure(*shard.verdicts() == expected, Class::Residual, || {
        format!("judged {:?} instead of {expected:?}", shard.verdicts())
    })
}
