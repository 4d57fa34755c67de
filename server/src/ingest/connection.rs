//! One device: who it is, its packets one after the other, and an answer for each that is safe.
//!
//! A silent device holds no buffer: what has arrived is read into memory that all devices of the
//! thread share, and only half a packet is kept, until it is whole. It is read when the queue has room
//! for a packet, or when it is clear that it will have none soon. One packet of a device waits at a
//! time; what it sends meanwhile stays in the kernel. So a device holds at most half a packet and what
//! came with one read: 25 KiB, if it waits for no answer.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use engine::position::Codec;
use engine::teltonika::{
    HELLO_ACCEPTED, HELLO_REFUSED, Imei, Incoming, Malformed, Reaction, Stream,
};
use tokio::net::TcpStream;
use tokio::sync::mpsc::Permit;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use super::answers::{Answers, Print, Verdict};
use super::authority::Known;
use super::listener::Door;
use super::numbers::{End, Numbers};
use super::packets::Packet;
use super::places::Place;
use crate::clock::microseconds;

/// How long a device is left unread while the queue is full: a crowd is over by then, and devices wait
/// longer for an answer. Then it is read, and what it sent is thrown away: it is still there, too.
const ROOM_MS_MAX: u64 = 5_000;

/// Read at once from one device: the largest packet and what follows it. One such buffer for all
/// devices of a thread.
const READ_BYTES: usize = 16 * 1024;

thread_local! {
    static ROOM: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BYTES].into_boxed_slice());
}

/// What a device has said, taken out of the shared memory.
enum Said {
    Hello(Imei),
    Packet { codec: Codec, data: Vec<u8>, checksum: [u8; 4], records: u8 },
    Malformed(Malformed),
}

struct Connection {
    stream: TcpStream,
    peer: SocketAddr,
    parser: Stream,
    answers: Answers,
    door: Arc<Door>,
}

/// Serves a device until its connection ends.
pub(super) async fn conduct(stream: TcpStream, peer: SocketAddr, place: Place, door: Arc<Door>) {
    let numbers = door.numbers.clone();
    let (parser, answers) = (Stream::new(), Answers::new());
    let mut connection = Connection { stream, peer, parser, answers, door };
    let end = connection.run().await.unwrap_err();
    numbers.count_end(end);
    drop(place);
}

/// A connection has no good end.
type Never = std::convert::Infallible;

impl Connection {
    async fn run(&mut self) -> Result<Never, End> {
        let config = &self.door.context.config.ingest;
        let handshake = Duration::from_millis(config.handshake_timeout_ms);
        let idle = Duration::from_millis(config.idle_timeout_ms);
        let (imei, first) = timeout(handshake, self.introduction())
            .await
            .unwrap_or_else(|_elapsed| Err(self.unintroduced()))?;
        self.send(&[HELLO_ACCEPTED])?;
        self.door.numbers.accepted.increment();
        let door = self.door.clone();
        self.listen(&imei, first, Instant::now(), None).await?;
        loop {
            let readable = timeout(idle, self.stream.readable()).await;
            readable.map_err(|_elapsed| End::Idle)?.map_err(|_error| End::Broken)?;
            let since = Instant::now();
            let room = room(&door).await;
            if let Some(said) = self.heard()? {
                self.listen(&imei, said, since, room).await?;
            }
        }
    }

    /// Who it is, once that is known to be welcome, and what it has said beyond that.
    async fn introduction(&mut self) -> Result<(Imei, Vec<Said>), End> {
        let mut said = loop {
            self.stream.readable().await.map_err(|_error| End::Broken)?;
            if let Some(said) = self.heard()?.filter(|said| !said.is_empty()) {
                break said.into_iter();
            }
        };
        let imei = match said.next() {
            Some(Said::Hello(imei)) => imei,
            Some(Said::Malformed(malformed)) => return Err(self.malformed(malformed, None)),
            Some(Said::Packet { .. }) | None => {
                unreachable!("a connection begins with a handshake")
            }
        };
        let mut known = self.door.known.clone();
        // When the table was never read, nobody is accepted or refused: not even when it is clear that
        // it will not be any more, as at the end.
        let known = known.wait_for(|known| !matches!(known, Known::Unread)).await;
        if known.map_err(|_gone| End::Undecided)?.has(&imei) {
            return Ok((imei, said.collect()));
        }
        self.send(&[HELLO_REFUSED])?;
        Err(End::Refused)
    }

    /// Why it has not got through the handshake in time.
    fn unintroduced(&self) -> End {
        match *self.door.known.borrow() {
            Known::Unread => End::Undecided,
            Known::Everyone | Known::These(_) => End::Nameless,
        }
    }

    /// What has arrived says this; nothing when nothing has.
    fn heard(&mut self) -> Result<Option<Vec<Said>>, End> {
        if self.door.is_leaving() {
            return Err(End::Leaving);
        }
        ROOM.with_borrow_mut(|room| match self.stream.try_read(room) {
            Ok(0) => Err(End::Left),
            Ok(count) => {
                self.answers.handle_read(count);
                Ok(Some(taken(&mut self.parser, &room[..count])))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(_) => Err(End::Broken),
        })
    }

    /// Does with each thing what it deserves; it may have been there since then. There may be room
    /// for one packet already.
    async fn listen(
        &mut self,
        imei: &Imei,
        said: Vec<Said>,
        since: Instant,
        mut room: Option<Permit<'_, Packet>>,
    ) -> Result<(), End> {
        let door = self.door.clone();
        let mut said = said.into_iter();
        while let Some(one) = said.next() {
            match one {
                Said::Hello(_) => unreachable!("a connection has one handshake"),
                Said::Packet { codec, data, checksum, records } => {
                    if !door.known.borrow().has(imei) {
                        return Err(End::Refused);
                    }
                    let print = Print::of(&data, checksum);
                    match self.answers.judge(print) {
                        Verdict::Take => {}
                        Verdict::PassOver => {
                            door.numbers.repeated.increment();
                            continue;
                        }
                        Verdict::Cut(end) => return Err(end),
                    }
                    let place = match room.take() {
                        Some(place) => Some(place),
                        None => self::room(&door).await,
                    };
                    let told = place.map(|place| {
                        let (safe, told) = oneshot::channel();
                        place.send(Packet { imei: *imei, codec, data, checksum, records, safe });
                        told
                    });
                    // It counts as waiting until it is answered.
                    match safe(&door.numbers, told).await {
                        Some(_waiting) => self.answer(print, records, since)?,
                        None => self.answers.handle_unanswered(print),
                    }
                }
                Said::Malformed(malformed) => match malformed.reaction() {
                    Reaction::Silent => self.pass_over(malformed, said.len() > 0)?,
                    Reaction::Close | Reaction::Answer(_) => {
                        return Err(self.malformed(malformed, Some(imei)));
                    }
                },
            }
        }
        Ok(())
    }

    /// Answers a packet that is safe, and may have been there since then.
    fn answer(&mut self, print: Print, records: u8, since: Instant) -> Result<(), End> {
        // Seen before it is answered: what comes later may have been sent after that.
        let behind_bytes = self.behind_bytes()?;
        self.send(&u32::from(records).to_be_bytes())?;
        self.answers.handle_answered(print, since.elapsed(), behind_bytes);
        self.door.numbers.answered.increment();
        self.door.numbers.answered_records.add(records.into());
        Ok(())
    }

    /// Leaves a packet unanswered that was damaged on its way. Which one it was cannot be told: what
    /// came behind it, before it could have been sent again, is another one, and cannot be answered.
    fn pass_over(&self, damaged: Malformed, is_followed: bool) -> Result<(), End> {
        let is_followed = is_followed || self.behind_bytes()? > 0;
        match damaged {
            Malformed::Checksum => self.door.numbers.checksum.increment(),
            _ => self.door.numbers.counts.increment(),
        }
        if is_followed { Err(End::Impatient) } else { Ok(()) }
    }

    /// What has come behind the packets that were read: into the kernel, and half a packet here.
    fn behind_bytes(&self) -> Result<u64, End> {
        let unread_bytes =
            rustix::io::ioctl_fionread(&self.stream).map_err(|_error| End::Broken)?;
        Ok(unread_bytes + self.parser.buffer_bytes() as u64)
    }

    /// Answers. There is room for that, unless a device takes no answer and sends on and on.
    fn send(&self, answer: &[u8]) -> Result<(), End> {
        let is_sent = self.stream.try_write(answer).is_ok_and(|count| count == answer.len());
        if is_sent { Ok(()) } else { Err(End::Broken) }
    }

    fn malformed(&self, malformed: Malformed, imei: Option<&Imei>) -> End {
        self.door.remark(&malformed.to_string(), self.peer, imei);
        match malformed {
            Malformed::Codec(_) => End::Codec,
            _ => End::Malformed,
        }
    }
}

/// Room for one packet, when there is some soon.
async fn room(door: &Door) -> Option<Permit<'_, Packet>> {
    // At the end, when nobody takes packets any more, there is none, either.
    timeout(Duration::from_millis(ROOM_MS_MAX), door.packets.reserve()).await.ok()?.ok()
}

/// Waits until a packet is safe, if there was room for it; nothing when it cannot be made safe now.
async fn safe(numbers: &Numbers, told: Option<oneshot::Receiver<()>>) -> Option<Waiting<'_>> {
    let Some(told) = told else {
        numbers.queue_full.increment();
        return None;
    };
    let (waiting, began) = (Waiting::new(numbers), Instant::now());
    if told.await.is_err() {
        numbers.unsafe_packets.increment();
        return None;
    }
    numbers.answer.observe_us(microseconds(began.elapsed()));
    Some(waiting)
}

/// What the bytes say, and what was kept of those before.
fn taken(parser: &mut Stream, bytes: &[u8]) -> Vec<Said> {
    let (mut input, mut said) = (bytes, Vec::new());
    while let Some(incoming) = parser.handle_input(&mut input) {
        said.push(match incoming {
            Incoming::Hello(imei) => Said::Hello(imei),
            Incoming::Packet(packet) => Said::Packet {
                codec: packet.codec(),
                data: packet.data().to_vec(),
                checksum: packet.checksum(),
                records: packet.record_count(),
            },
            Incoming::Malformed(malformed) => Said::Malformed(malformed),
        });
    }
    said
}

/// Counts a packet that waits.
struct Waiting<'a>(&'a Numbers);

impl<'a> Waiting<'a> {
    fn new(numbers: &'a Numbers) -> Self {
        numbers.waiting.add(1);
        Self(numbers)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.add(-1);
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::net::{Ipv4Addr, SocketAddr};
    use std::sync::Arc;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::sync::{mpsc, watch};

    use super::{Door, Known, Place, conduct};
    use crate::config::Config;
    use crate::context::Context;
    use crate::ingest::places::Places;
    use crate::log::{Level, Log};
    use crate::metrics::Page;
    use crate::shutdown::Shutdown;

    /// The size of what a function with these arguments gives.
    const fn size<F>(_: fn(TcpStream, SocketAddr, Place, Arc<Door>) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn a_device_costs_its_task_less_than_a_kilobyte() {
        let bytes = size(conduct);
        assert!(bytes <= 1_024, "{bytes} bytes");
    }

    #[tokio::test]
    async fn nobody_is_refused_because_the_table_will_not_be_read_any_more() {
        let config = Config::new("redis://127.0.0.1:1", "postgres://nobody@127.0.0.1:1/none");
        let place = Places::new(&config.ingest).take(Ipv4Addr::LOCALHOST.into()).unwrap();
        let log = Log::to(Level::Error, "test", io::sink());
        let context = Context::new(config, log, Shutdown::default());
        let (keeper, known) = watch::channel(Known::Unread);
        let door = Arc::new(Door::new(&context, mpsc::channel(1).0, known));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let mut device = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        device.write_all(b"\x00\x0f356307042441013").await.unwrap();
        let (stream, peer) = listener.accept().await.unwrap();
        drop(keeper);
        conduct(stream, peer, place, door.clone()).await;
        let mut heard = Vec::new();
        device.read_to_end(&mut heard).await.unwrap();
        assert_eq!(heard, b"", "it would take a refusal for good");
        let mut page = Page::default();
        door.section().write(&mut page);
        let page = page.into_text();
        assert!(page.contains("pitwall_ingest_ends_total{reason=\"undecided\"} 1"), "{page}");
    }
}
