//! The options of a viewer's socket, as the contract and the design want them.

use std::io;

use rustix::fd::AsFd;
use rustix::net::sockopt;

use crate::config::LiveConfig;

/// Room for what a peer sends before it is a viewer: the kernel holds it back beyond that.
const RECEIVE_BYTES: usize = 16 * 1024;

/// How many ping intervals a peer may leave sent bytes unacknowledged before the kernel gives it up.
/// A viewer that is cut by then would otherwise keep its last bytes in the kernel for a quarter of an
/// hour.
const UNACKNOWLEDGED_INTERVALS: u64 = 3;

/// Sets them. The listener has them, too, so that the window it offers is small from the first byte;
/// what came before it had them inherits nothing, so each socket gets its own.
pub(super) fn equip(socket: impl AsFd, live: &LiveConfig) -> io::Result<()> {
    // What is small and frequent must not wait for an answer to what was sent before.
    sockopt::set_tcp_nodelay(&socket, true)?;
    // The kernel doubles these to make room for its bookkeeping.
    sockopt::set_socket_send_buffer_size(&socket, live.in_flight_bytes_max)?;
    sockopt::set_socket_recv_buffer_size(&socket, RECEIVE_BYTES)?;
    let unacknowledged_ms = live.ping_interval_ms.saturating_mul(UNACKNOWLEDGED_INTERVALS);
    let unacknowledged_ms = u32::try_from(unacknowledged_ms).unwrap_or(u32::MAX);
    Ok(sockopt::set_tcp_user_timeout(&socket, unacknowledged_ms)?)
}
