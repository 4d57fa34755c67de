//! How a shard meets the kernel: waiting for sockets, and moving bytes.

pub mod epoll;

use std::net::TcpStream;

use engine::fanout::Sent;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};

/// What a read brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// So many bytes.
    Bytes(usize),
    /// Nothing now.
    Nothing,
    /// The other side has ended the connection, or it is broken.
    End,
}

/// Gives bytes to the kernel, which takes them all, some, or says that the connection is broken.
#[must_use]
pub fn send(socket: &TcpStream, bytes: &[u8]) -> Sent {
    loop {
        return match rustix::net::send(socket, bytes, SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
            Ok(count) if count == bytes.len() => Sent::All,
            Ok(count) => Sent::Part(count),
            // Out of memory for now: the kernel says when there is room again, as when it is full.
            Err(Errno::AGAIN | Errno::NOBUFS | Errno::NOMEM) => Sent::Part(0),
            Err(Errno::INTR) => continue,
            Err(_) => Sent::Broken,
        };
    }
}

/// Takes from the kernel what has come in.
#[must_use]
pub fn receive(socket: &TcpStream, buffer: &mut [u8]) -> Received {
    loop {
        return match rustix::net::recv(socket, &mut *buffer, RecvFlags::DONTWAIT) {
            Ok((0, _)) => Received::End,
            Ok((count, _)) => Received::Bytes(count),
            Err(Errno::AGAIN) => Received::Nothing,
            Err(Errno::INTR) => continue,
            Err(_) => Received::End,
        };
    }
}
