//! A connection for the rare commands: leases, groups, settings. Made when it is needed, dropped when
//! it has failed.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, FromRedisValue};

use super::failure::Failure;
use super::server::Server;

/// How long connecting, and each answer, may take. A command that Redis holds back (a pause, a full
/// disk that hangs) fails after that and is tried again by whoever sent it.
const ANSWER_MS_MAX: u64 = 2_000;

/// A connection that is there when it is needed.
#[derive(Debug)]
pub struct Control {
    client: Client,
    connection: Option<MultiplexedConnection>,
}

impl Control {
    /// One that is not connected yet.
    ///
    /// # Errors
    /// When the server's address cannot be used.
    pub fn new(server: &Server) -> Result<Self, Failure> {
        Ok(Self { client: Client::open(server.connection_info())?, connection: None })
    }

    /// Sends a command and waits for its answer.
    ///
    /// # Errors
    /// When Redis cannot be reached, refuses, or does not answer in time.
    pub async fn call<T: FromRedisValue>(&mut self, command: &Cmd) -> Result<T, Failure> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        let answer: redis::RedisResult<redis::Value> = command.query_async(&mut connection).await;
        // What Redis itself refuses says nothing against the connection; READONLY says that another
        // server may have the name by now.
        let is_kept = match &answer {
            Ok(_) => true,
            Err(error) => error.code().is_some_and(|code| code != "READONLY"),
        };
        self.connection = is_kept.then_some(connection);
        Ok(redis::from_redis_value(answer?).map_err(redis::RedisError::from)?)
    }

    /// Runs a script, given with its keys and arguments.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn script<T: FromRedisValue>(
        &mut self,
        text: &str,
        keys: &[&str],
        arguments: &[&str],
    ) -> Result<T, Failure> {
        let mut command = redis::cmd("EVAL");
        command.arg(text).arg(keys.len()).arg(keys).arg(arguments);
        self.call(&command).await
    }

    async fn connect(&self) -> Result<MultiplexedConnection, Failure> {
        let within = Some(Duration::from_millis(ANSWER_MS_MAX));
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(within)
            .set_response_timeout(within);
        Ok(self.client.get_multiplexed_async_connection_with_config(&config).await?)
    }
}
