//! The way of a round through the subscribers of one feed.

/// Once around the subscribers of a feed, beginning in their middle.
///
/// The list may change on the way. Who is appended has nothing due, and who is moved to the place of
/// one who left gets a turn of its own, so nobody is passed over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Walk {
    start: usize,
    next: usize,
    has_wrapped: bool,
}

impl Walk {
    /// Begins at place `rotation`, counted around a list of `count`.
    pub(super) const fn begin(rotation: usize, count: usize) -> Self {
        let start = if count == 0 { 0 } else { rotation % count };
        Self { start, next: start, has_wrapped: false }
    }

    /// The next place in a list of `count`; nothing when it has been all around.
    pub(super) fn step(&mut self, count: usize) -> Option<usize> {
        if self.next >= count && !self.has_wrapped {
            self.next = 0;
            self.has_wrapped = true;
        }
        let end = if self.has_wrapped { self.start.min(count) } else { count };
        let place = (self.next < end).then_some(self.next)?;
        self.next += 1;
        Some(place)
    }
}
