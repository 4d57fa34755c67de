//! The thread that runs a race ahead of its schedule, so that making it up delays nothing.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread;
use std::vec;

use crate::race::{Arrival, Race};
use crate::schedule::{Clock, Schedule};

/// What is handed over at once: a lock for each would cost more than making it.
const BATCH_ITEMS_MAX: usize = 256;

/// How far the race may be ahead: with batches of packets, 8,192 of them, some 2 MB.
const BATCHES_AHEAD_MAX: usize = 32;

/// Something that is due, on the scale of a [`Clock`].
#[derive(Debug)]
pub(crate) struct Due<T> {
    pub(crate) due_us: u64,
    pub(crate) what: T,
}

/// What a race brings, in the order in which it is due.
#[derive(Debug)]
pub(crate) struct Source<T> {
    batches: Receiver<Vec<Due<T>>>,
    batch: vec::IntoIter<Due<T>>,
    next: Option<Due<T>>,
    is_over: bool,
}

impl<T: Send + 'static> Source<T> {
    /// Starts the thread, which ends with the race or when this is dropped. `write` makes of each
    /// packet what is sent: one thing, or one for each record.
    pub(crate) fn start(
        race: Race,
        schedule: Schedule,
        clock: Clock,
        mut write: impl FnMut(&[Arrival], &mut dyn FnMut(T)) + Send + 'static,
    ) -> io::Result<Self> {
        let (sender, batches) = sync_channel(BATCHES_AHEAD_MAX);
        let run = move || run(race, &schedule, clock, &mut write, &sender);
        thread::Builder::new().name("race".to_owned()).spawn(run)?;
        Ok(Self { batches, batch: Vec::new().into_iter(), next: None, is_over: false })
    }

    /// How long nothing is due, as far as that is known.
    pub(crate) fn rest_us(&mut self, now_us: u64) -> u64 {
        match self.next_due_us() {
            Some(due_us) => due_us.saturating_sub(now_us),
            None if self.is_over() => u64::MAX,
            // It is being made up.
            None => 0,
        }
    }

    /// When the next one is due, if that is known.
    pub(crate) fn next_due_us(&mut self) -> Option<u64> {
        if self.next.is_none() {
            self.next = self.batch.next();
        }
        if self.next.is_none() && !self.is_over {
            match self.batches.try_recv() {
                Ok(batch) => self.batch = batch.into_iter(),
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => self.is_over = true,
            }
            self.next = self.batch.next();
        }
        self.next.as_ref().map(|next| next.due_us)
    }

    /// The next one, if it is due.
    pub(crate) fn pop_due(&mut self, now_us: u64) -> Option<Due<T>> {
        if self.next_due_us()? > now_us {
            return None;
        }
        self.next.take()
    }

    /// True when there is nothing more to come.
    pub(crate) fn is_over(&self) -> bool {
        self.is_over && self.next.is_none()
    }
}

fn run<T>(
    race: Race,
    schedule: &Schedule,
    clock: Clock,
    write: &mut impl FnMut(&[Arrival], &mut dyn FnMut(T)),
    sender: &SyncSender<Vec<Due<T>>>,
) {
    let mut batch = Vec::with_capacity(BATCH_ITEMS_MAX);
    let mut packet: Vec<Arrival> = Vec::new();
    let mut arrivals = race.map(|mut arrival| {
        schedule.date(&mut arrival);
        arrival
    });
    loop {
        let next = arrivals.next();
        let is_whole = packet.first().is_some_and(|first| {
            next.as_ref().is_none_or(|next: &Arrival| next.packet != first.packet)
        });
        if is_whole {
            let due_us = clock.on_scale(schedule.due_us(packet[0].arrival_ms));
            write(&packet, &mut |what| batch.push(Due { due_us, what }));
            packet.clear();
        }
        if batch.len() >= BATCH_ITEMS_MAX || (next.is_none() && !batch.is_empty()) {
            let full = std::mem::replace(&mut batch, Vec::with_capacity(BATCH_ITEMS_MAX));
            if sender.send(full).is_err() {
                return;
            }
        }
        let Some(next) = next else { return };
        packet.push(next);
    }
}
