//! Answers that are reused for seconds, and questions that are asked once for all who wait.
//!
//! Bounded in entries: the oldest answer goes first. A question that nobody waits for any more is
//! not asked. Whoever asks must come back with an answer; if the task dies instead, all who wait are
//! told that there is none.

use std::collections::VecDeque;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dashmap::DashMap;
use dashmap::mapref::entry::Entry as Slot;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::metrics::Counter;

/// Answers of one kind.
#[derive(Debug)]
pub(super) struct Memory<K: Eq + Hash, V> {
    entries: DashMap<K, Entry<V>>,
    /// The answers in the order in which they came, each with the mark of its question, which tells
    /// it from a later answer to the same.
    order: Mutex<VecDeque<(K, u64, Instant)>>,
    marks: AtomicU64,
    asked: AtomicUsize,
    answers_max: usize,
    questions_max: usize,
    /// Answers that were reused.
    pub(super) hits: Counter,
    /// Questions that were asked already.
    pub(super) joins: Counter,
}

#[derive(Debug)]
enum Entry<V> {
    Asked { answer: watch::Sender<Option<V>>, mark: u64 },
    Known { value: V, until: Instant, mark: u64 },
}

impl<V> Entry<V> {
    fn is_asked_as(&self, of: u64) -> bool {
        matches!(self, Self::Asked { mark, .. } if *mark == of)
    }
}

/// What is there for a question.
#[derive(Debug)]
pub(super) enum Found<K: Eq + Hash + Clone, V: Clone> {
    /// An answer that is still good.
    Known(V),
    /// It is being asked.
    Joined(Waiter<V>),
    /// The caller has to ask.
    Ask(Question<K, V>, Waiter<V>),
    /// Too many questions are under way.
    Full,
}

/// Waits for an answer.
#[derive(Debug)]
pub(super) struct Waiter<V>(watch::Receiver<Option<V>>);

/// The duty to find an answer.
#[derive(Debug)]
pub(super) struct Question<K: Eq + Hash + Clone, V: Clone> {
    memory: Arc<Memory<K, V>>,
    key: K,
    /// Tells this question from a later one for the same key.
    mark: u64,
    answer: watch::Sender<Option<V>>,
    is_settled: bool,
}

impl<K: Eq + Hash + Clone, V: Clone> Memory<K, V> {
    /// Remembers nothing yet; at most so many answers, and so many questions under way.
    pub(super) fn new(answers_max: usize, questions_max: usize) -> Arc<Self> {
        Arc::new(Self {
            entries: DashMap::new(),
            order: Mutex::default(),
            marks: AtomicU64::default(),
            asked: AtomicUsize::default(),
            answers_max,
            questions_max,
            hits: Counter::default(),
            joins: Counter::default(),
        })
    }

    /// What is there for this question.
    pub(super) fn look(self: &Arc<Self>, key: &K) -> Found<K, V> {
        let now = Instant::now();
        let slot = self.entries.entry(key.clone());
        if let Slot::Occupied(slot) = &slot {
            match slot.get() {
                Entry::Known { value, until, .. } if *until > now => {
                    self.hits.increment();
                    return Found::Known(value.clone());
                }
                Entry::Known { .. } => {}
                Entry::Asked { answer, .. } => {
                    self.joins.increment();
                    return Found::Joined(Waiter(answer.subscribe()));
                }
            }
        }
        if self.asked.fetch_add(1, Ordering::Relaxed) >= self.questions_max {
            self.asked.fetch_sub(1, Ordering::Relaxed);
            return Found::Full;
        }
        let (answer, receiver) = watch::channel(None);
        let mark = self.marks.fetch_add(1, Ordering::Relaxed);
        slot.insert(Entry::Asked { answer: answer.clone(), mark });
        let memory = self.clone();
        let question = Question { memory, key: key.clone(), mark, answer, is_settled: false };
        Found::Ask(question, Waiter(receiver))
    }

    /// The answer that is still good, if there is one.
    pub(super) fn known(&self, key: &K) -> Option<V> {
        let entry = self.entries.get(key)?;
        match entry.value() {
            Entry::Known { value, until, .. } if *until > Instant::now() => {
                self.hits.increment();
                Some(value.clone())
            }
            Entry::Known { .. } | Entry::Asked { .. } => None,
        }
    }

    /// Does not reuse the answer to this question any more. One that is still to come tells those
    /// who wait for it already, and is not kept: whoever comes now asks anew.
    pub(super) fn forget(&self, key: &K) {
        self.entries.remove(key);
    }

    /// Drops what is too old, also when nobody comes any more.
    pub(super) fn sweep(&self) {
        let now = Instant::now();
        self.shorten(|_, until| until <= now);
    }

    /// How many answers are kept, and how many may be.
    pub(super) fn answer_count(&self) -> (usize, usize) {
        let count = self.order.lock().unwrap_or_else(PoisonError::into_inner).len();
        (count, self.answers_max)
    }

    /// How many questions are under way, and how many may be.
    pub(super) fn question_count(&self) -> (usize, usize) {
        (self.asked.load(Ordering::Relaxed), self.questions_max)
    }

    /// Keeps the answer of a question, unless the question was forgotten.
    fn keep(&self, key: K, mark: u64, value: V, reuse: Duration) {
        let now = Instant::now();
        let until = now + reuse;
        match self.entries.get_mut(&key) {
            Some(mut entry) if entry.is_asked_as(mark) => {
                *entry = Entry::Known { value, until, mark };
            }
            _ => return,
        }
        let mut order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        order.push_back((key, mark, until));
        drop(order);
        self.shorten(|count, until| count > self.answers_max || until <= now);
    }

    /// Drops answers, the oldest first, while `is_over` says so of their count and the first's end.
    fn shorten(&self, is_over: impl Fn(usize, Instant) -> bool) {
        loop {
            let mut order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
            let Some((key, mark, _)) =
                order.front().filter(|(_, _, until)| is_over(order.len(), *until)).cloned()
            else {
                return;
            };
            order.pop_front();
            // The two locks are never held together.
            drop(order);
            self.entries.remove_if(
                &key,
                |_, entry| matches!(entry, Entry::Known { mark: of, .. } if *of == mark),
            );
        }
    }
}

impl<V: Clone> Waiter<V> {
    /// The answer, or nothing when the asking has failed.
    pub(super) async fn answer(mut self) -> Option<V> {
        self.0.wait_for(Option::is_some).await.ok()?.clone()
    }
}

impl<K: Eq + Hash + Clone, V: Clone> Question<K, V> {
    /// What is asked.
    pub(super) fn key(&self) -> &K {
        &self.key
    }

    /// True when nobody waits; then it must not be asked: the next one asks anew.
    pub(super) fn is_abandoned(&mut self) -> bool {
        let answer = &self.answer;
        self.memory.entries.remove_if(&self.key, |_, entry| {
            entry.is_asked_as(self.mark) && answer.receiver_count() == 0
        });
        // Out of the table nobody can join any more.
        let is_abandoned = answer.receiver_count() == 0;
        self.is_settled |= is_abandoned;
        is_abandoned
    }

    /// Tells all who wait, and whoever asks the same so soon.
    pub(super) fn settle(mut self, value: V, reuse: Option<Duration>) {
        self.is_settled = true;
        self.answer.send_replace(Some(value.clone()));
        match reuse {
            Some(reuse) => self.memory.keep(self.key.clone(), self.mark, value, reuse),
            None => self.leave(),
        }
    }

    fn leave(&self) {
        self.memory.entries.remove_if(&self.key, |_, entry| entry.is_asked_as(self.mark));
    }
}

impl<K: Eq + Hash + Clone, V: Clone> Drop for Question<K, V> {
    fn drop(&mut self) {
        self.memory.asked.fetch_sub(1, Ordering::Relaxed);
        if !self.is_settled {
            // The senders go with it: those who wait see that there is no answer.
            self.leave();
        }
    }
}

#[cfg(test)]
mod tests;
