//! Many connections from one process: source addresses, buffers, descriptors.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::os::fd::{AsFd, OwnedFd};
use std::process;

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, connect, recv, send,
    socket_with, sockopt,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors beside those of connections: streams, epoll, a listener of who runs this.
const OWN: u64 = 64;

/// Networks of loopback from which a process takes one, so that the ports that the last one has left
/// behind for a minute are not in its way: looking for a free one among many takes milliseconds.
const NETWORKS: u32 = 200;

/// Addresses of a network that are used: all but those with a zero at the end.
const ADDRESSES_MAX: u32 = 0xFF00;

/// Allows the process as many open files as the system lets it have.
///
/// # Errors
/// When those are too few for so many connections; the words say what to do.
pub fn allow_connections(count: u64) -> Result<(), String> {
    let mut limit = getrlimit(Resource::Nofile);
    let needed = count.saturating_add(OWN);
    if limit.maximum.is_some_and(|most| most < needed) {
        // Only who may raise the limit of the system can; otherwise it stays as it is.
        let raised = Rlimit { current: Some(needed), maximum: Some(needed) };
        setrlimit(Resource::Nofile, raised).ok();
        limit = getrlimit(Resource::Nofile);
    }
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).ok();
    match getrlimit(Resource::Nofile).current {
        Some(allowed) if allowed < needed => Err(format!(
            "the system allows this process {allowed} open files, and {count} connections need \
             {needed}: raise the limit (ulimit -n {needed}, or --ulimit nofile={needed} of the \
             container), or take several processes with fewer each"
        )),
        _ => Ok(()),
    }
}

/// The address that a name and a port stand for.
///
/// # Errors
/// When it stands for none.
pub fn resolve(target: &str) -> Result<SocketAddr, String> {
    let mut found = target.to_socket_addrs().map_err(|error| {
        format!("{target} is no address ({error}): write it as HOST:PORT, such as 127.0.0.1:5027")
    })?;
    found.next().ok_or_else(|| format!("{target} stands for no address"))
}

/// Dials one address again and again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dialer {
    target: SocketAddr,
    /// Connections of one source address, when the target is on loopback and there are many.
    per_address: u32,
}

impl Dialer {
    pub(crate) const fn new(target: SocketAddr, per_address: u32) -> Self {
        Self { target, per_address }
    }

    /// Begins the connection number `index`, in a receive buffer of this size if one is given.
    pub(crate) fn dial(&self, index: u32, receive_bytes: Option<usize>) -> io::Result<OwnedFd> {
        let family = if self.target.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = socket_with(family, SocketType::STREAM, flags, None)?;
        if let Some(bytes) = receive_bytes {
            sockopt::set_socket_recv_buffer_size(&socket, bytes)?;
        }
        sockopt::set_tcp_nodelay(&socket, true)?;
        if let Some(source) = self.source(index) {
            bind(&socket, &SocketAddr::from((source, 0)))?;
        }
        match connect(&socket, &self.target) {
            Ok(()) | Err(Errno::INPROGRESS) => Ok(socket),
            Err(error) => Err(error.into()),
        }
    }

    /// One address has some 28,000 ports for one target, and a server may allow it fewer; loopback
    /// has 16 million addresses.
    fn source(&self, index: u32) -> Option<Ipv4Addr> {
        let IpAddr::V4(target) = self.target.ip() else { return None };
        let network = (127 << 24) | (1 + process::id() % NETWORKS) << 16;
        let group = index / self.per_address.max(1) % ADDRESSES_MAX;
        let address = network | (group / 0xFF) << 8 | (1 + group % 0xFF);
        target.is_loopback().then(|| Ipv4Addr::from(address))
    }
}

/// What has become of a connection that was begun.
pub(crate) fn connection_result(socket: impl AsFd) -> io::Result<()> {
    match sockopt::socket_error(socket)? {
        Ok(()) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Sends as much as there is room for: none is not an error.
pub(crate) fn send_some(socket: impl AsFd, bytes: &[u8]) -> io::Result<usize> {
    match send(socket, bytes, SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
        Ok(sent) => Ok(sent),
        Err(Errno::AGAIN | Errno::INTR) => Ok(0),
        Err(error) => Err(error.into()),
    }
}

/// What one reading gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Received {
    Bytes(usize),
    Nothing,
    End,
}

/// Reads what is there, at most what `buffer` holds.
pub(crate) fn receive(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<Received> {
    match recv(socket, buffer, RecvFlags::DONTWAIT) {
        Ok((_, 0)) => Ok(Received::End),
        Ok((_, bytes)) => Ok(Received::Bytes(bytes)),
        Err(Errno::AGAIN | Errno::INTR) => Ok(Received::Nothing),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::{Dialer, allow_connections, resolve};

    #[test]
    fn connections_to_loopback_are_spread_over_source_addresses() {
        let dialer = Dialer::new(([127, 0, 0, 1], 80).into(), 400);
        let source = |index| dialer.source(index).unwrap().octets();
        let [first, network, ..] = source(0);
        assert!(first == 127 && network > 0, "never the network of the target");
        assert_eq!((source(0), source(399)), ([127, network, 0, 1], [127, network, 0, 1]));
        assert_eq!(source(400), [127, network, 0, 2]);
        assert_eq!(source(254 * 400), [127, network, 0, 255]);
        assert_eq!(source(255 * 400), [127, network, 1, 1]);
        assert_eq!(Dialer::new(([10, 0, 0, 1], 80).into(), 400).source(7), None);
    }

    #[test]
    fn too_few_descriptors_are_told_with_what_to_do() {
        assert_eq!(allow_connections(1), Ok(()));
        let words = allow_connections(u64::MAX).unwrap_err();
        assert!(words.contains("ulimit -n"), "{words}");
    }

    #[test]
    fn what_is_no_address_is_told() {
        assert_eq!(resolve("127.0.0.1:5027").unwrap(), ([127, 0, 0, 1], 5027).into());
        assert!(resolve("127.0.0.1").unwrap_err().contains("HOST:PORT"));
    }
}
