//! Devices straight to pitwall: their packets in, answered once their records are safe.

pub mod packets;
