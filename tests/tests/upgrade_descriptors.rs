//! The listener in a process that has no more files to open. It has a program of its own, since the
//! limit is the process's.
#![expect(
    clippy::unwrap_used,
    reason = "a test fails at the line where something is not as it must be"
)]
#![expect(dead_code, reason = "the other tests of the listener use the rest of the entrance")]

#[path = "upgrade/entrance.rs"]
mod entrance;

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::time::{Duration, Instant};

use entrance::{Entrance, is_cut, patient};
use pitwall::status::State;
use rustix::net::{AddressFamily, SocketType, connect, socket};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// How long the process is left without files.
const DROUGHT: Duration = Duration::from_millis(600);

/// Clients that knock meanwhile.
const CLIENTS: usize = 10;

fn limit_files(current: Option<u64>) {
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current, maximum }).unwrap();
}

#[test]
fn f83_without_files_the_listener_waits_says_so_and_recovers_by_itself() {
    let entrance = Entrance::new();
    let report = || {
        let components = entrance.context.status.components();
        components.iter().find(|component| component.name == "listener").map(|it| it.report())
    };
    let is = |state: State| report().is_some_and(|report| report.state == state);
    entrance.until("the listener works", || is(State::Working));
    // Sockets that exist already can connect; whoever accepts them needs a file more.
    let mut sockets: Vec<OwnedFd> = (0..=CLIENTS)
        .map(|_| socket(AddressFamily::INET, SocketType::STREAM, None).unwrap())
        .collect();
    let before = getrlimit(Resource::Nofile).current;
    let highest = sockets.iter().map(|socket| socket.as_raw_fd()).max().unwrap();
    limit_files(Some(u64::try_from(highest).unwrap() + 1));
    // Directus is of this process, too: it has no file left for whoever comes next.
    let at_directus = sockets.pop().unwrap();
    connect(&at_directus, &SocketAddr::from((Ipv4Addr::LOCALHOST, entrance.authority.port)))
        .unwrap();
    for socket in &sockets {
        connect(socket, &entrance.address).unwrap();
    }
    entrance.until("the listener says so", || is(State::Impaired));
    let said = report().unwrap();
    assert!(said.reason.contains("files") && said.remedy.contains("LimitNOFILE"), "{said:?}");

    let errors = || entrance.metric("processor_live_accept_errors_total");
    let (began, first) = (Instant::now(), errors());
    entrance.until("a while has passed", || began.elapsed() >= DROUGHT);
    let tries = errors() - first;
    assert!((1..=10).contains(&tries), "{tries} tries: it neither spins nor gives up");

    limit_files(before);
    entrance.until("the listener works again", || is(State::Working));
    // Who knocked meanwhile is served, too.
    for socket in sockets {
        let mut waited = patient(TcpStream::from(socket));
        std::io::Write::write_all(&mut waited, b"get\r\n").unwrap();
        assert!(!is_cut(&mut waited), "it gets an answer");
    }
    let _client = entrance.upgrade();
    entrance.any_newcomer();
}
