//! The world around pitwall, made up from a seed: what devices in a race send, and who watches.
//!
//! [`race`], [`random`] and [`wire`] are pure: the same seed and configuration give the same bytes on
//! every machine, and time is what the race says it is. The others bring a race to a server by the
//! clock of the wall: [`publisher`] into a stream of Redis, [`firehose`] over a connection for each
//! device; [`viewers`] is the crowd that watches. What they send is due at times of a [`schedule`],
//! whether the server keeps up or not, and each says when it was itself too slow for that.

mod epoll;
pub mod firehose;
pub mod measure;
pub mod publisher;
pub mod race;
pub mod random;
pub mod schedule;
pub mod sockets;
mod source;
pub mod viewers;
pub mod wire;
