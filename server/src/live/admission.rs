//! How many may connect: in all, per address, per user, and how many that are not viewers yet.

/// A connection's place under the limits, given back when dropped.
#[derive(Debug)]
pub struct Permit {}

/// Counts who is connected.
#[derive(Debug)]
pub struct Admission {}

impl Admission {
    /// Nobody is connected yet.
    #[must_use]
    pub fn new(_limits: crate::config::LimitConfig) -> std::sync::Arc<Self> {
        std::sync::Arc::new(Self {})
    }
}
