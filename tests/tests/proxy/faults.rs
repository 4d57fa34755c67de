//! Faults that know bytes alone, between a client and a server that only hold sockets.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use tests::proxy::{Door, Ending, Fault, Place, Proxy, Way, Which};

/// Nothing comes of what has not come by then; long enough to be no matter of luck.
const QUIET: Duration = Duration::from_millis(100);

/// Both ends of one connection, and the wire between them.
struct Rig {
    proxy: Proxy,
    server: TcpListener,
}

impl Rig {
    fn new() -> Self {
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let proxy = Proxy::to(server.local_addr().unwrap().port());
        Self { proxy, server }
    }

    /// A client and what the server has of it.
    fn connect(&self) -> [TcpStream; 2] {
        let client = knock(&self.proxy);
        [client, prepared(self.server.accept().unwrap().0)]
    }
}

fn knock(proxy: &Proxy) -> TcpStream {
    prepared(TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port())).unwrap())
}

fn prepared(stream: TcpStream) -> TcpStream {
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// What comes until the end, and how it ends.
fn rest(stream: &mut TcpStream) -> (Vec<u8>, Option<ErrorKind>) {
    let mut bytes = Vec::new();
    let error = stream.read_to_end(&mut bytes).err();
    (bytes, error.map(|error| error.kind()))
}

/// So many bytes.
fn some(stream: &mut TcpStream, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    stream.read_exact(&mut bytes).unwrap();
    bytes
}

fn is_quiet(stream: &mut TcpStream) -> bool {
    stream.set_read_timeout(Some(QUIET)).unwrap();
    let error = stream.read(&mut [0]).err().map(|error| error.kind());
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    error == Some(ErrorKind::WouldBlock)
}

fn cut(at: u64, ending: Ending) -> Fault {
    Fault::Cut { at: Place::FromNow(at), ending }
}

#[test]
fn a_healthy_wire_passes_everything_and_each_end_apart() {
    let rig = Rig::new();
    let [mut client, mut server] = rig.connect();
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|at| at.to_le_bytes()[1]).collect();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            client.write_all(&bytes).unwrap();
            client.shutdown(std::net::Shutdown::Write).unwrap();
        });
        assert_eq!(rest(&mut server), (bytes.clone(), None));
    });
    server.write_all(b"answer").unwrap();
    drop(server);
    assert_eq!(rest(&mut client), (b"answer".to_vec(), None));
    assert_eq!(rig.proxy.bytes_passed(0, Way::ToServer), 3_000_000);
    assert_eq!(rig.proxy.bytes_passed(0, Way::ToClient), 6);
}

#[test]
fn a_reset_of_one_end_is_a_reset_of_the_other() {
    let rig = Rig::new();
    let [client, mut server] = rig.connect();
    rustix::net::sockopt::set_socket_linger(&client, Some(Duration::ZERO)).unwrap();
    drop(client);
    assert_eq!(rest(&mut server).1, Some(ErrorKind::ConnectionReset));
}

#[test]
fn delayed_bytes_come_late_in_order_and_by_the_seed() {
    let rig = Rig::new();
    let [mut client, mut server] = rig.connect();
    let delay = Fault::Delay { ms: 50, jitter_ms: 20, seed: 7 };
    rig.proxy.set(Which::Existing, Way::ToServer, delay);
    for round in 0..5 {
        let began = Instant::now();
        client.write_all(&[round]).unwrap();
        assert_eq!(some(&mut server, 1), [round]);
        assert!(began.elapsed() >= Duration::from_millis(50), "{:?}", began.elapsed());
    }
    // Many are under way at once: not one delay after the other.
    let began = Instant::now();
    for round in 0..100 {
        client.write_all(&[round]).unwrap();
    }
    assert_eq!(some(&mut server, 100), (0..100).collect::<Vec<u8>>());
    assert!(began.elapsed() < Duration::from_millis(2_500), "{:?}", began.elapsed());
    // The other direction, and other connections, know nothing of it.
    server.write_all(b"x").unwrap();
    assert_eq!(some(&mut client, 1), b"x");
    // The end comes as late as what was said before it.
    client.write_all(b"last").unwrap();
    drop(client);
    assert_eq!(rest(&mut server), (b"last".to_vec(), None));
}

#[test]
fn a_narrow_wire_takes_its_time() {
    let rig = Rig::new();
    rig.proxy.set(Which::New, Way::ToClient, Fault::Bandwidth { bytes_per_second: 100_000 });
    let [mut client, mut server] = rig.connect();
    let began = Instant::now();
    server.write_all(&[7; 30_000]).unwrap();
    some(&mut client, 30_000);
    assert!(began.elapsed() >= Duration::from_millis(250), "{:?}", began.elapsed());
    rig.proxy.heal();
    let began = Instant::now();
    server.write_all(&[7; 100_000]).unwrap();
    some(&mut client, 100_000);
    assert!(began.elapsed() < Duration::from_millis(900), "{:?}", began.elapsed());
}

#[test]
fn a_silent_wire_passes_nothing_closes_nothing_and_goes_on_when_healed() {
    let rig = Rig::new();
    let [mut client, mut server] = rig.connect();
    rig.proxy.set(Which::Existing, Way::ToServer, Fault::Silence);
    client.write_all(b"request").unwrap();
    assert!(is_quiet(&mut server));
    server.write_all(b"answer").unwrap();
    assert_eq!(some(&mut client, 6), b"answer", "the other direction passes");
    // Not even an end passes.
    client.shutdown(std::net::Shutdown::Write).unwrap();
    assert!(is_quiet(&mut server));
    let [mut other, mut other_server] = rig.connect();
    other.write_all(b"x").unwrap();
    assert_eq!(some(&mut other_server, 1), b"x", "new ones work");
    rig.proxy.heal();
    assert_eq!(rest(&mut server), (b"request".to_vec(), None));
}

#[test]
fn a_cut_passes_exactly_what_it_is_told_to_and_ends_as_it_is_told_to() {
    for ending in [Ending::Reset, Ending::Close] {
        for at in 0..=6 {
            let rig = Rig::new();
            let [mut client, mut server] = rig.connect();
            client.write_all(b"before").unwrap();
            some(&mut server, 6);
            rig.proxy.set(Which::Existing, Way::ToServer, cut(at, ending));
            let written = client.write_all(b"behind").err().map(|error| error.kind());
            let is_reset = ending == Ending::Reset;
            let expected = is_reset.then_some(ErrorKind::ConnectionReset);
            let length = usize::try_from(at).unwrap();
            // A reset may take with it what was not read yet.
            let (bytes, error) = rest(&mut server);
            assert_eq!(error, expected, "{ending:?} at {at}");
            assert!(bytes == b"behind"[..length] || is_reset, "{bytes:?} at {at}");
            // Who writes behind a reset is told of it then, and once.
            let (bytes, error) = rest(&mut client);
            assert_eq!((bytes.len(), written.or(error)), (0, expected), "{ending:?} at {at}");
            assert_eq!(rig.proxy.bytes_passed(0, Way::ToServer), 6 + at);
        }
    }
}

#[test]
fn a_cut_counts_from_the_start_of_a_connection_when_told_so() {
    let rig = Rig::new();
    let fault = Fault::Cut { at: Place::FromStart(10), ending: Ending::Close };
    let [mut client, mut server] = rig.connect();
    client.write_all(b"before").unwrap();
    some(&mut server, 6);
    rig.proxy.set(Which::All, Way::ToServer, fault);
    client.write_all(b"behind").unwrap();
    assert_eq!(rest(&mut server).0, b"behi");
    let [mut next, mut next_server] = rig.connect();
    next.write_all(b"behind and beyond").unwrap();
    assert_eq!(rest(&mut next_server).0, b"behind and");
}

#[test]
fn a_half_closed_wire_passes_on_in_the_other_direction() {
    let rig = Rig::new();
    let [mut client, mut server] = rig.connect();
    rig.proxy.set(Which::Existing, Way::ToServer, cut(3, Ending::HalfClose));
    client.write_all(b"request").unwrap();
    assert_eq!(rest(&mut server), (b"req".to_vec(), None));
    server.write_all(b"answer").unwrap();
    assert_eq!(some(&mut client, 6), b"answer");
    client.write_all(b"nobody hears this").unwrap();
    drop(server);
    assert_eq!(rest(&mut client), (Vec::new(), None));
    drop(client);
    until_open(&rig.proxy, 0);
}

#[test]
fn a_cut_into_silence_leaves_both_ends_waiting() {
    let rig = Rig::new();
    let [mut client, mut server] = rig.connect();
    rig.proxy.set(Which::Existing, Way::ToServer, cut(3, Ending::Silence));
    client.write_all(b"request").unwrap();
    assert_eq!(some(&mut server, 3), b"req");
    server.write_all(b"answer").unwrap();
    assert!(is_quiet(&mut server) && is_quiet(&mut client));
    rig.proxy.release();
    assert_eq!(
        (some(&mut server, 4), some(&mut client, 6)),
        (b"uest".to_vec(), b"answer".to_vec())
    );
}

#[test]
fn one_byte_is_changed_and_no_other() {
    for at in 0..6 {
        let rig = Rig::new();
        let fault = Fault::Corrupt { at: Place::FromStart(at), mask: 0x20 };
        rig.proxy.set(Which::New, Way::ToClient, fault);
        let [mut client, mut server] = rig.connect();
        let mut expected = b"answer, and more".to_vec();
        server.write_all(&expected).unwrap();
        expected[usize::try_from(at).unwrap()] ^= 0x20;
        assert_eq!(some(&mut client, 16), expected);
    }
}

#[test]
fn a_door_is_open_closed_resets_or_hangs() {
    let rig = Rig::new();
    let [mut client, mut server] = rig.connect();
    rig.proxy.set_door(Door::Closed);
    let error = TcpStream::connect((Ipv4Addr::LOCALHOST, rig.proxy.port())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    rig.proxy.set_door(Door::Resets);
    assert_eq!(rest(&mut knock(&rig.proxy)).1, Some(ErrorKind::ConnectionReset));
    rig.proxy.set_door(Door::Hangs);
    let mut hanging = knock(&rig.proxy);
    hanging.write_all(b"anybody?").unwrap();
    assert!(is_quiet(&mut hanging));
    assert_eq!(rig.proxy.connection_count(), 1, "the server heard nothing of them");
    rig.proxy.heal();
    assert_eq!(rest(&mut hanging).1, Some(ErrorKind::ConnectionReset));
    rig.connect();
    // Whoever was in all the time has noticed nothing.
    client.write_all(b"x").unwrap();
    assert_eq!(some(&mut server, 1), b"x");
}

#[test]
fn a_server_that_is_not_there_resets() {
    let Rig { proxy, server } = Rig::new();
    drop(server);
    assert_eq!(rest(&mut knock(&proxy)).1, Some(ErrorKind::ConnectionReset));
}

#[test]
fn everything_ends_when_the_proxy_does() {
    let rig = Rig::new();
    let mut ends: Vec<TcpStream> = rig.connect().into_iter().chain(rig.connect()).collect();
    rig.proxy.hold_existing();
    rig.proxy.set_door(Door::Hangs);
    ends.push(knock(&rig.proxy));
    let port = rig.proxy.port();
    drop(rig);
    for end in &mut ends {
        assert!(rest(end).0.is_empty());
    }
    assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err());
}

/// Waits until so many connections are open.
fn until_open(proxy: &Proxy, count: usize) {
    let patience = Duration::from_secs(20);
    let is_so = || proxy.open_count() == count;
    assert!(tests::program::comes_true(patience, Duration::from_millis(2), is_so));
}
