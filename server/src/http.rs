//! HTTP as far as the two listeners need it: strict request heads, and short answers.

mod answer;
mod head;

pub use self::answer::{Answer, Refusal};
pub use self::head::{Head, HeadLimits, HeadReader};
