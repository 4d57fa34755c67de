//! What several test themes share.

pub mod counting;
