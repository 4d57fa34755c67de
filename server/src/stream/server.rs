//! Which Redis, and as whom: what `REDIS_URL` says, with its secret kept.

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo};

use crate::error::Stop;
use crate::secret::Secret;

/// A Redis server. Its name is resolved again at every connect.
#[derive(Clone, Debug)]
pub struct Server {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// The user of its access list; without one the password is the default user's.
    pub username: Option<String>,
    /// The password.
    pub password: Option<Secret>,
    /// The number of the database.
    pub database: i64,
}

impl Server {
    /// Reads `REDIS_URL`.
    ///
    /// # Errors
    /// When it is none, or names a way of connecting that this version does not have.
    pub fn parse(url: &Secret) -> Result<Self, Stop> {
        let refused = |words: &str| Stop::Config(format!("REDIS_URL: {words}"));
        let expected = "expected redis://[user:password@]host[:port][/database].";
        let info = url.expose().into_connection_info().map_err(|_| refused(expected))?;
        let ConnectionAddr::Tcp(host, port) = info.addr() else {
            return Err(refused("only plain TCP is supported; expected redis://host:port."));
        };
        let settings = info.redis_settings();
        Ok(Self {
            host: host.clone(),
            port: *port,
            username: settings.username().map(str::to_owned),
            password: settings.password().map(Secret::new),
            database: settings.db(),
        })
    }

    /// The same for the redis crate.
    pub(super) fn connection_info(&self) -> ConnectionInfo {
        let address = ConnectionAddr::Tcp(self.host.clone(), self.port);
        let mut settings = redis::RedisConnectionInfo::default().set_db(self.database);
        if let Some(username) = &self.username {
            settings = settings.set_username(username);
        }
        if let Some(password) = &self.password {
            settings = settings.set_password(password.expose());
        }
        let tcp = redis::io::tcp::TcpSettings::default().set_nodelay(true);
        let info = address.into_connection_info().expect("an address is an address");
        info.set_redis_settings(settings).set_tcp_settings(tcp)
    }
}

/// Why a cluster is refused.
#[must_use]
pub fn clustered(words: &str) -> Stop {
    Stop::Config(format!(
        "REDIS_URL: this Redis is a cluster, which this version does not read from. {words} \
         Use a single Redis, or one behind a name that follows its primary."
    ))
}

#[cfg(test)]
mod tests {
    use super::Server;
    use crate::secret::Secret;

    #[test]
    fn all_of_the_url_is_used_and_its_secret_is_not_shown() {
        let url = Secret::new("redis://live:pa%24s@cache.example:7000/3");
        let server = Server::parse(&url).unwrap();
        assert_eq!((&*server.host, server.port, server.database), ("cache.example", 7000, 3));
        assert_eq!(server.username.as_deref(), Some("live"));
        assert_eq!(server.password.as_ref().unwrap().expose(), "pa$s");
        assert!(!format!("{server:?}").contains("pa$s"));
    }

    #[test]
    fn other_ways_to_connect_are_refused_without_showing_the_url() {
        for url in ["rediss://u:hidden@host", "unix:///hidden", "http://hidden", "hidden"] {
            let error = Server::parse(&Secret::new(url)).unwrap_err().to_string();
            assert!(error.starts_with("REDIS_URL: ") && !error.contains("hidden"), "{error}");
        }
    }
}
