//! The world around pitwall, made up from a seed: what devices in a race would send, and when.
//!
//! Everything is repeatable: the same seed and configuration give the same bytes on every machine.
//! Nothing here reads a clock or touches a socket; time is what the race says it is.

pub mod race;
pub mod random;
pub mod wire;
