//! A WebSocket server that echoes every text message, made of the parts that serve viewers: any
//! suite of tests for RFC 6455 can be pointed at `ws://127.0.0.1:PORT/ws-live`.
//!
//! ```text
//! cargo run --release --package tests --bin conformance -- PORT
//! ```
//!
//! The reader of heads, the rules and the answer of an upgrade, and the reader of frames are those
//! of the program; sockets, shards, log-ins and rates are not. It refuses what the contract refuses:
//! binary messages (1003), messages over 4 KiB (1009), more than 16 fragments (1008).
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program of the command line")]

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use clap::Parser;
use engine::websocket::{
    Failure, Incoming, Input, Reader, text_header, write_close, write_close_echo, write_pong,
};
use pitwall::config::LimitConfig;
use pitwall::http::{Answer, Head, HeadLimits, HeadReader, Refusal};
use pitwall::live::upgrade::Request;

/// Bytes of one read: a few messages, and less than many, so that long input is split.
const READ_BYTES: usize = 16 * 1024;

/// How long a peer may be silent, and how long what it still sends is read away after the end.
const SILENCE: Duration = Duration::from_secs(60);

#[derive(Debug, Parser)]
#[command(name = "conformance")]
struct Arguments {
    /// Where to listen on 127.0.0.1; 0 takes a free port.
    port: u16,
}

fn main() -> ExitCode {
    match serve(Arguments::parse().port) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("The port cannot be listened on: {error}. Choose another one.");
            ExitCode::FAILURE
        }
    }
}

fn serve(port: u16) -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    println!("ws://{}/ws-live echoes text messages", listener.local_addr()?);
    for stream in listener.incoming() {
        let stream = stream?;
        thread::spawn(move || {
            // A peer that has gone is its own affair.
            converse(stream).ok();
        });
    }
    Ok(())
}

fn converse(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(SILENCE))?;
    let mut bytes = match read_head(&mut stream)?.and_then(accept) {
        Ok((acceptance, rest)) => {
            stream.write_all(&acceptance)?;
            rest
        }
        Err(refusal) => {
            stream.write_all(&Answer::from(refusal).into_bytes())?;
            return linger(&mut stream);
        }
    };
    let mut reader = Reader::default();
    let (mut buffer, mut out) = (vec![0; READ_BYTES], Vec::new());
    loop {
        let mut input = Input::new(&mut bytes);
        while let Some(step) = reader.poll(&mut input) {
            answer(step, &mut out);
        }
        stream.write_all(&out)?;
        out.clear();
        if reader.is_finished() {
            return linger(&mut stream);
        }
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        bytes.clear();
        bytes.extend_from_slice(&buffer[..count]);
    }
}

fn read_head(stream: &mut TcpStream) -> io::Result<Result<Head, Refusal>> {
    let limits = LimitConfig::default();
    let (bytes_max, headers_max) = (limits.head_bytes_max, limits.headers_max);
    let mut reader = HeadReader::new(HeadLimits { bytes_max, headers_max });
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if let Some(read) = reader.handle_input(&buffer[..count]).transpose() {
            return Ok(read);
        }
    }
}

/// The bytes that accept the upgrade, and those that came behind its head.
fn accept(head: Head) -> Result<(Vec<u8>, Vec<u8>), Refusal> {
    let request = Request::of(&head, LimitConfig::default().cookie_bytes_max)?;
    Ok((request.acceptance(), head.rest))
}

fn answer(step: Result<Incoming<'_>, Failure>, out: &mut Vec<u8>) {
    match step {
        Ok(Incoming::Text(text)) => {
            out.extend_from_slice(text_header(text.len()).as_bytes());
            out.extend_from_slice(text.as_bytes());
        }
        Ok(Incoming::Ping(payload)) => write_pong(out, payload),
        Ok(Incoming::Pong(_)) => {}
        Ok(Incoming::Close { code, .. }) => write_close_echo(out, code),
        Err(failure) => write_close(out, failure.close_code(), failure.sentence()),
    }
}

/// Ends our side and reads away what still comes: a socket that is closed over unread bytes resets
/// the connection, and the reset may overtake what was said.
fn linger(stream: &mut TcpStream) -> io::Result<()> {
    stream.shutdown(Shutdown::Write)?;
    io::copy(stream, &mut io::sink()).map(drop)
}
