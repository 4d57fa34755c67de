//! HTTP as far as the two listeners need it: strict request heads, and short answers.

mod answer;
mod authority;
mod head;
mod last_word;

pub use self::answer::{Answer, Refusal};
pub use self::authority::Authority;
pub use self::head::{Head, HeadLimits, HeadReader};
pub(crate) use self::last_word::last_word;
