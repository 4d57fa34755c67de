//! The pure heart of pitwall: bytes, positions and time go in, bytes come out.
//!
//! Nothing here knows a socket, a clock, a thread, a lock or an environment variable: time is an
//! argument, input arrives through `handle_*`, output leaves through `poll_*`. What moves the bytes
//! lives in the server crate.
//!
//! The modules stand in the order in which a position flows through them:
//!
//! 1. [`decode`] turns the fields of one stream **entry** into a [`position::Position`], or says in
//!    one small error why it is refused, the same for the live and the durable plane.
//! 2. [`roster`] knows which **device** is registered to which **event**; [`route`] turns a batch of
//!    positions into one batch per owning **shard**.
//! 3. The owner of an event ([`event`]) keeps the newest position of each device in its [`slots`],
//!    encodes an accepted one into a finished [`frame`], and seals the frames of one flush into a
//!    [`block`].
//! 4. Every shard with **viewers** of the event keeps a [`feed`]: a short window of shared blocks
//!    and the newest frame of each slot. A viewer's [`ring`] is only a cursor into it. [`fanout`]
//!    is the hot loop; [`shard`] ties the pieces of one thread together.
//! 5. [`websocket`] reads what viewers say, [`protocol`] knows what it means and how to answer.
//! 6. [`teltonika`] speaks with the devices themselves; [`rows`] and [`copy`] feed the database.
//!
//! Every bound has a name, a cost and a reason in [`limits`].
#![forbid(unsafe_code)]

pub mod limits;

pub mod id;
pub mod table;
pub mod time;

pub mod position;

pub mod decode;

pub mod roster;

pub mod route;

pub mod slots;

pub mod frame;

pub mod block;

pub mod event;

pub mod board;

pub mod feed;

pub mod ring;

pub mod viewer;

pub mod fanout;

pub mod shard;

pub mod websocket;

pub mod protocol;

pub mod teltonika;

pub mod rows;

pub mod copy;
