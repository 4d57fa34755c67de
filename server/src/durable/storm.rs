//! The breaker: how many of the last records may be refused before it is no longer their fault.
//!
//! One bad record goes to the dead letters and the rest are stored. When many are refused, the table
//! or the producer has changed; then nothing more is set aside, and the writer holds.

/// How many of the last records count.
const WINDOW: usize = 1_000;

/// So few are never a storm.
const REFUSED_MIN: usize = 10;

/// What became of the last records.
#[derive(Debug)]
pub(super) struct Storm {
    /// A ring of the last [`WINDOW`] records: whether each was refused.
    refused: Vec<bool>,
    next: usize,
    refused_count: usize,
    percent_max: usize,
}

impl Storm {
    /// Nothing was written yet; at most so many of a hundred may be refused.
    pub(super) fn new(percent_max: u64) -> Self {
        let percent_max = usize::try_from(percent_max).unwrap_or(100);
        Self { refused: Vec::with_capacity(WINDOW), next: 0, refused_count: 0, percent_max }
    }

    /// So many records were stored, or were there already.
    pub(super) fn stored(&mut self, count: usize) {
        for _ in 0..count.min(WINDOW) {
            self.note(false);
        }
    }

    /// True when one more record may be set aside, which counts it.
    pub(super) fn refuse(&mut self) -> bool {
        let seen = (self.refused.len() + 1).min(WINDOW);
        let refused_max = REFUSED_MIN.max(seen * self.percent_max / 100);
        let is_within = self.percent_max >= 100 || self.refused_count < refused_max;
        if is_within {
            self.note(true);
        }
        is_within
    }

    /// How it stands, in words.
    pub(super) fn words(&self) -> String {
        format!(
            "{} of the last {} records were refused, which is more than single bad records.",
            self.refused_count + 1,
            (self.refused.len() + 1).min(WINDOW)
        )
    }

    fn note(&mut self, is_refused: bool) {
        self.refused_count += usize::from(is_refused);
        if self.refused.len() < WINDOW {
            self.refused.push(is_refused);
            return;
        }
        let oldest = std::mem::replace(&mut self.refused[self.next], is_refused);
        self.refused_count -= usize::from(oldest);
        self.next = (self.next + 1) % WINDOW;
    }
}

#[cfg(test)]
mod tests {
    use super::{REFUSED_MIN, Storm, WINDOW};

    #[test]
    fn ten_may_be_refused_at_once_and_not_one_more() {
        let mut storm = Storm::new(5);
        assert_eq!((0..100).filter(|_| storm.refuse()).count(), REFUSED_MIN);
    }

    #[test]
    fn of_a_thousand_five_per_cent_may_be_refused() {
        let mut storm = Storm::new(5);
        storm.stored(WINDOW);
        assert_eq!((0..1_000).filter(|_| storm.refuse()).count(), 50);
    }

    #[test]
    fn what_lies_further_back_than_the_window_is_forgotten() {
        let mut storm = Storm::new(5);
        storm.stored(WINDOW);
        while storm.refuse() {}
        storm.stored(WINDOW - 50);
        assert!(!storm.refuse(), "the refused ones are still in the window");
        storm.stored(1);
        assert!(storm.refuse(), "{}", storm.words());
    }

    #[test]
    fn a_hundred_per_cent_is_never_a_storm() {
        let mut storm = Storm::new(100);
        assert!((0..10 * WINDOW).all(|_| storm.refuse()));
    }
}
