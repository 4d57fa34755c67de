//! The durable plane: every position of the stream stored once.

pub mod dead_letter;

pub mod group;

pub mod loss;
