//! What the tests share: worlds, oracles and harnesses that judge the other members from outside.

pub mod simulation;
