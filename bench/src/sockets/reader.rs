//! The process that reads all connections, throws the bytes away and counts them.
//!
//! It sweeps over the connections on a beat instead of waiting for each: a reader that waits would be
//! woken by the sender, at the sender's expense, a thousand times a round. `MSG_TRUNC` drops the bytes
//! inside of the kernel, so they are not copied either.
//!
//! The two processes talk by lines: the reader says its port; asked with the number of bytes that
//! every connection must have had since the last question, it answers with a [`Reading`].

use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv, sockopt};

use super::{cpu_time, pin};

/// First argument of the program when it is to be the reader; core and number of connections follow.
pub const CHILD: &str = "--reader";

/// Least rest between two sweeps. Far shorter than a round.
const BEAT: Duration = Duration::from_millis(1);

/// What the kernel may hold for a connection that was not read for a while: room for a whole leg's
/// hiccup, so that no send is cut.
const RECEIVE_BUFFER_BYTES: usize = 1024 * 1024;

/// More than this at once means that the reader has fallen behind: windows begin to close.
const BACKLOG_BYTES_MAX: u64 = RECEIVE_BUFFER_BYTES as u64 / 4;

/// How long the last bytes may be on their way.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the reader saw from one question to the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Bytes of the connection that had the fewest.
    pub least_bytes: u64,
    /// Bytes of the connection that had the most.
    pub most_bytes: u64,
    /// Most bytes that waited at one connection.
    pub backlog_bytes: u64,
    /// CPU time of the reader.
    pub cpu_us: u64,
    /// Time that passed.
    pub wall_us: u64,
}

impl Reading {
    /// Share of the time in which the reader worked.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a leg is far below 2^53 microseconds")]
    pub fn load(&self) -> f64 {
        self.cpu_us as f64 / self.wall_us.max(1) as f64
    }

    /// Whether every connection got exactly `bytes` and none waited for long.
    ///
    /// # Errors
    /// When the leg must not count.
    pub fn verdict(&self, bytes: u64) -> Result<(), String> {
        if (self.least_bytes, self.most_bytes) != (bytes, bytes) {
            return Err(format!(
                "each connection was sent {bytes} bytes, but {} to {} arrived",
                self.least_bytes, self.most_bytes
            ));
        }
        if self.backlog_bytes > BACKLOG_BYTES_MAX {
            return Err(format!("the reader fell {} bytes behind", self.backlog_bytes));
        }
        Ok(())
    }

    fn line(&self) -> String {
        format!(
            "{} {} {} {} {}",
            self.least_bytes, self.most_bytes, self.backlog_bytes, self.cpu_us, self.wall_us
        )
    }

    fn of_line(line: &str) -> Option<Self> {
        let mut numbers = line.split_whitespace().map(str::parse);
        let mut next = || numbers.next()?.ok();
        Some(Self {
            least_bytes: next()?,
            most_bytes: next()?,
            backlog_bytes: next()?,
            cpu_us: next()?,
            wall_us: next()?,
        })
    }
}

/// A running reader, seen from the sender.
#[derive(Debug)]
pub struct Reader {
    child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
    /// Where it listens.
    pub port: u16,
}

impl Reader {
    /// Starts one on `core` that takes `count` connections.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(core: usize, count: u32) -> Result<Self, String> {
        let words = |error: io::Error| format!("the reader: {error}");
        let mut child = Command::new(std::env::current_exe().map_err(words)?)
            .args([CHILD, &core.to_string(), &count.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(words)?;
        let questions = child.stdin.take().ok_or("the reader has no input")?;
        let answers = child.stdout.take().ok_or("the reader has no output")?;
        let mut reader = Self { child, questions, answers: BufReader::new(answers), port: 0 };
        let line = reader.answer()?;
        reader.port = line.trim().parse().map_err(|_| format!("the reader said {line:?}"))?;
        Ok(reader)
    }

    /// Waits until everything is read and says what was seen since the last question.
    ///
    /// # Errors
    /// When the reader is gone, or the leg must not count.
    pub fn ask(&mut self, bytes: u64) -> Result<Reading, String> {
        writeln!(self.questions, "{bytes}").map_err(|error| format!("the reader: {error}"))?;
        let line = self.answer()?;
        let reading = Reading::of_line(&line).ok_or_else(|| format!("the reader said {line:?}"))?;
        reading.verdict(bytes)?;
        Ok(reading)
    }

    fn answer(&mut self) -> Result<String, String> {
        let mut line = String::new();
        match self.answers.read_line(&mut line) {
            Ok(0) => Err("the reader is gone".to_owned()),
            Ok(_) => Ok(line),
            Err(error) => Err(format!("the reader: {error}")),
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to end.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// The life of the reader's process.
///
/// # Errors
/// When a connection breaks or the sender says something else than a number.
pub fn run(core: usize, count: u32) -> Result<(), String> {
    let words = |error: io::Error| format!("reading: {error}");
    pin(core)?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(words)?;
    // Connections inherit it; a size that is set stays, so no leg meets another than the last one.
    sockopt::set_socket_recv_buffer_size(&listener, RECEIVE_BUFFER_BYTES)
        .map_err(|error| words(error.into()))?;
    let port = listener.local_addr().map_err(words)?.port();
    say(&port.to_string()).map_err(words)?;
    let accepted: io::Result<Vec<_>> =
        (0..count).map(|_| listener.accept().map(|(stream, _)| stream)).collect();
    let mut sweeper = Sweeper::new(accepted.map_err(words)?);
    let mut rest = BEAT;
    let mut line = String::new();
    loop {
        if asked(rest).map_err(words)? {
            line.clear();
            if io::stdin().read_line(&mut line).map_err(words)? == 0 {
                return Ok(());
            }
            let bytes = line.trim().parse().map_err(|_| format!("not a number: {line:?}"))?;
            say(&sweeper.reading(bytes).map_err(words)?.line()).map_err(words)?;
        }
        let began = Instant::now();
        match sweeper.sweep() {
            // The sender has what it wanted, or says itself what went wrong.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            swept => swept.map_err(words)?,
        }
        // At least half of the time is rest, however many connections there are.
        rest = BEAT.max(began.elapsed());
    }
}

#[derive(Debug)]
struct Sweeper {
    streams: Vec<TcpStream>,
    /// By connection, since the last question.
    bytes: Vec<u64>,
    backlog_bytes: u64,
    /// Never written: it says how much may be dropped at once.
    room: Vec<u8>,
    cpu_began: Duration,
    began: Instant,
}

impl Sweeper {
    fn new(streams: Vec<TcpStream>) -> Self {
        let bytes = vec![0; streams.len()];
        let room = vec![0; RECEIVE_BUFFER_BYTES];
        let (cpu_began, began) = (cpu_time(), Instant::now());
        Self { streams, bytes, backlog_bytes: 0, room, cpu_began, began }
    }

    /// Reads every connection once.
    fn sweep(&mut self) -> io::Result<()> {
        for (stream, bytes) in self.streams.iter().zip(&mut self.bytes) {
            match recv(stream, self.room.as_mut_slice(), RecvFlags::TRUNC | RecvFlags::DONTWAIT) {
                Ok((_, 0)) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok((_, read_bytes)) => {
                    *bytes += read_bytes as u64;
                    self.backlog_bytes = self.backlog_bytes.max(read_bytes as u64);
                }
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// What was seen since the last question, as soon as `bytes` are in everywhere.
    fn reading(&mut self, bytes: u64) -> io::Result<Reading> {
        let (asked, cpu_spent) = (Instant::now(), cpu_time());
        while self.bytes.iter().any(|&read| read < bytes) && asked.elapsed() < PATIENCE {
            self.sweep()?;
        }
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let reading = Reading {
            least_bytes: self.bytes.iter().copied().min().unwrap_or(0),
            most_bytes: self.bytes.iter().copied().max().unwrap_or(0),
            backlog_bytes: self.backlog_bytes,
            cpu_us: micros(cpu_spent.saturating_sub(self.cpu_began)),
            wall_us: micros(asked.saturating_duration_since(self.began)),
        };
        self.bytes.fill(0);
        self.backlog_bytes = 0;
        (self.cpu_began, self.began) = (cpu_time(), Instant::now());
        Ok(reading)
    }
}

/// Rests, and says whether the sender has asked meanwhile.
fn asked(rest: Duration) -> io::Result<bool> {
    let stdin = io::stdin();
    let mut waited = [PollFd::new(&stdin, PollFlags::IN)];
    let timeout = Timespec::try_from(rest).map_err(|_| io::ErrorKind::InvalidInput)?;
    match poll(&mut waited, Some(&timeout)) {
        Ok(ready_count) => Ok(ready_count > 0),
        Err(Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn say(line: &str) -> io::Result<()> {
    let mut stdout = io::stdout();
    writeln!(stdout, "{line}")?;
    stdout.flush()
}

#[cfg(test)]
mod tests {
    use super::Reading;

    const FINE: Reading = Reading {
        least_bytes: 4_000,
        most_bytes: 4_000,
        backlog_bytes: 200_000,
        cpu_us: 300,
        wall_us: 1_000,
    };

    fn check(reading: Reading, is_fine: bool) {
        assert_eq!(reading.verdict(4_000).is_ok(), is_fine, "{reading:?}");
        assert_eq!(Reading::of_line(&reading.line()), Some(reading));
    }

    #[test]
    fn a_lost_or_surplus_byte_or_a_slow_reader_refuses_the_leg() {
        check(FINE, true);
        check(Reading { least_bytes: 3_999, ..FINE }, false);
        check(Reading { most_bytes: 4_001, ..FINE }, false);
        check(Reading { backlog_bytes: 300_000, ..FINE }, false);
    }

    #[test]
    fn the_load_is_the_share_of_the_time_with_work() {
        assert!((FINE.load() - 0.3).abs() < 1e-9);
    }
}
