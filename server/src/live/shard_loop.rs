//! One shard's thread: mail in, frames out, and the order of calls that the engine asks for.
