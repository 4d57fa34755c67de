//! One connection over which entries are read or added: commands out, replies in, with deadlines.
//!
//! It connects, logs in and asks for Redis's clock; what a failure means is the caller's. After one
//! that is not Redis's own answer the link must be dropped: a late reply may still arrive on it.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::cursor::Cursor;
use super::failure::Failure;
use super::reply::{Malformed, ReplyReader};
use super::server::Server;

/// How long connecting and logging in may take together: three round trips on the worst of links.
const OPEN_MS_MAX: u64 = 3_000;

/// One connection to Redis.
#[derive(Debug)]
pub struct Link {
    socket: TcpStream,
    reader: ReplyReader,
}

/// Commands that go before another one, each of which answers with a number.
#[derive(Clone, Debug, Default)]
pub struct Before {
    /// The commands, packed.
    pub bytes: Vec<u8>,
    /// How many there are.
    pub count: usize,
}

impl Link {
    /// Connects, logs in and says who is connected.
    ///
    /// # Errors
    /// When that cannot be done.
    pub async fn open(server: &Server, client_name: &str) -> Result<Self, Failure> {
        let open = async {
            let socket = TcpStream::connect((&*server.host, server.port)).await?;
            socket.set_nodelay(true)?;
            let mut link = Self { socket, reader: ReplyReader::new() };
            link.log_in(server, client_name).await?;
            Ok(link)
        };
        let opened = timeout(Duration::from_millis(OPEN_MS_MAX), open).await;
        opened.unwrap_or_else(|_| Err(Failure::timeout("let us connect", OPEN_MS_MAX)))
    }

    async fn log_in(&mut self, server: &Server, client_name: &str) -> Result<(), Failure> {
        let within = Duration::from_millis(OPEN_MS_MAX);
        if let Some(password) = &server.password {
            let mut command = redis::cmd("AUTH");
            if let Some(username) = &server.username {
                command.arg(username);
            }
            command.arg(password.expose());
            self.call(&command.get_packed_command(), within).await.map_err(Failure::held)?;
        }
        if server.database != 0 {
            let command = redis::cmd("SELECT").arg(server.database).get_packed_command();
            self.call(&command, within).await.map_err(Failure::held)?;
        }
        let command = redis::cmd("CLIENT").arg("SETNAME").arg(client_name).get_packed_command();
        match self.call(&command, within).await {
            // The name only helps whoever looks at Redis's list of clients.
            Err(failure) if failure.class != super::Class::Cut => Ok(()),
            result => result.map(drop),
        }
    }

    /// Sends a command and waits for its reply. Redis may be silent for so long; a reply that is long
    /// and comes slowly is waited for as long as some of it comes.
    ///
    /// # Errors
    /// When Redis refuses it, does not answer in time, or answers without sense.
    pub async fn call(&mut self, command: &[u8], within: Duration) -> Result<Cursor<'_>, Failure> {
        Ok(self.call_behind(&Before::default(), command, within).await?.1)
    }

    /// Sends commands that answer with numbers and one more behind them, in one go; gives the sum of
    /// the numbers and the reply to the last command.
    ///
    /// # Errors
    /// As [`Self::call`]; when one of the first is refused, the replies to the others are still to
    /// come, so the link must be dropped after any failure.
    pub async fn call_behind(
        &mut self,
        before: &Before,
        command: &[u8],
        within: Duration,
    ) -> Result<(u64, Cursor<'_>), Failure> {
        self.reader.consume();
        let sent = timeout(within, async {
            if before.count > 0 {
                self.socket.write_all(&before.bytes).await?;
            }
            self.socket.write_all(command).await
        });
        sent.await.map_err(|_| silent(within))??;
        let mut sum = 0;
        for _ in 0..before.count {
            self.whole_reply(within).await?;
            let mut reply = self.reader.reply();
            if let Some(text) = reply.error() {
                return Err(Failure::refused(text));
            }
            sum += u64::try_from(reply.integer()?).unwrap_or(0);
            self.reader.consume();
        }
        self.whole_reply(within).await?;
        let reply = self.reader.reply();
        reply.error().map_or(Ok((sum, reply)), |text| Err(Failure::refused(text)))
    }

    /// Sends commands without waiting for their replies, which [`Self::expect`] announces and
    /// [`Self::expected`] takes.
    ///
    /// # Errors
    /// When Redis does not take them in time.
    pub async fn send(&mut self, commands: &[u8], within: Duration) -> Result<(), Failure> {
        let sent = timeout(within, self.socket.write_all(commands));
        Ok(sent.await.map_err(|_| silent(within))??)
    }

    /// The replies to so many commands come next, and are waited for together.
    pub fn expect(&mut self, replies: usize) {
        self.reader.expect(replies);
    }

    /// Waits for the replies that are expected and gives them, errors among them. Who gives up
    /// waiting may wait again.
    ///
    /// # Errors
    /// When Redis is silent for so long, or answers without sense.
    pub async fn expected(&mut self, within: Duration) -> Result<Cursor<'_>, Failure> {
        self.whole_reply(within).await?;
        Ok(self.reader.reply())
    }

    async fn whole_reply(&mut self, within: Duration) -> Result<(), Failure> {
        while !self.reader.measure()? {
            let read = timeout(within, self.socket.read_buf(self.reader.room())).await;
            if read.map_err(|_| silent(within))?? == 0 {
                return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
            }
        }
        Ok(())
    }

    /// The reply to the last call, once more.
    ///
    /// # Panics
    /// When the last call brought none.
    #[must_use]
    pub fn reply(&self) -> Cursor<'_> {
        self.reader.reply()
    }

    /// What has arrived of a reply that was too long.
    #[must_use]
    pub fn fragment(&self) -> Cursor<'_> {
        self.reader.fragment()
    }

    /// How far Redis's clock is ahead of this machine's, in milliseconds.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn clock_ahead_ms(&mut self, within: Duration) -> Result<i64, Failure> {
        let command = redis::cmd("TIME").get_packed_command();
        let mut reply = self.call(&command, within).await?;
        let now_ms = crate::clock::wall_ms();
        if reply.array()? != Some(2) {
            return Err(Malformed::Unexpected.into());
        }
        let redis_ms = whole(reply.text()?)? * 1000 + whole(reply.text()?)? / 1000;
        Ok(redis_ms - now_ms)
    }
}

fn silent(within: Duration) -> Failure {
    Failure::timeout("answer", u64::try_from(within.as_millis()).unwrap_or(u64::MAX))
}

/// A number below 10¹³, such as seconds or microseconds, written as text.
fn whole(text: Option<&[u8]>) -> Result<i64, Malformed> {
    let text = text.filter(|text| text.len() < 14).and_then(|text| str::from_utf8(text).ok());
    text.and_then(|text| text.parse().ok()).ok_or(Malformed::Unexpected)
}
