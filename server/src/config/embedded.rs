//! The embedded mode: the typed settings, and what they must be beside the others.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use super::sources::Gathered;
use super::{Config, Roles};
use crate::secret::Secret;

/// Where everything is kept, and who may see it.
#[derive(Clone, Debug)]
pub struct EmbeddedConfig {
    /// `EMBEDDED_DIR`.
    pub directory: PathBuf,
    /// `EMBEDDED_TOKEN`; without one whoever can connect may see everything.
    pub token: Option<Secret>,
}

/// What one process does that has nobody around.
pub(super) const ROLES: Roles = Roles { live: true, durable: false, ingest: true };

/// Settings of parties that the embedded mode does without.
const WITHOUT_EFFECT: [&str; 2] = ["REDIS_URL", "POSTGRES_URL"];

impl Config {
    /// The settings of somebody who sets only the folder of the embedded mode.
    #[must_use]
    pub fn embedded(directory: PathBuf) -> Self {
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let mut config = Self::new("", "");
        config.roles = ROLES;
        config.embedded = Some(EmbeddedConfig { directory, token: None });
        (config.live.host, config.ingest.host, config.admin.host) = (loopback, loopback, loopback);
        config.live.limits.viewers_per_user_max = 100_000;
        config
    }
}

/// What the embedded mode gives reason to say.
pub(super) fn judge(config: &Config, gathered: &mut Gathered) {
    let Some(embedded) = &config.embedded else {
        if is_set(gathered, "EMBEDDED_TOKEN") {
            let words =
                "is without effect: it opens the embedded mode, which EMBEDDED_DIR asks for.";
            gathered.warn("EMBEDDED_TOKEN", words);
        }
        return;
    };
    let is_wrong = |name: &str| gathered.mistakes.iter().any(|mistake| mistake.name == name);
    if config.roles != ROLES && !is_wrong("ROLES") {
        let words = "must be live,ingest in the embedded mode, which stores in its own folder: \
                     remove it, or EMBEDDED_DIR.";
        gathered.mistake("ROLES", words);
    }
    if embedded.token.is_none()
        && !is_set(gathered, "EMBEDDED_TOKEN")
        && !is_set(gathered, "EMBEDDED_TOKEN_FILE")
        && !config.live.host.is_loopback()
    {
        let words = "lets other machines connect, and everybody there would see every event: set \
                     EMBEDDED_TOKEN, which viewers then have to know, or listen on 127.0.0.1.";
        gathered.mistake("LIVE_WS_HOST", words);
    }
    for name in WITHOUT_EFFECT {
        if is_set(gathered, name) {
            gathered.warn(name, "is without effect in the embedded mode, which asks nobody.");
        }
    }
}

fn is_set(gathered: &Gathered, name: &str) -> bool {
    let value = gathered.values.iter().find(|value| value.setting.name == name);
    value.is_some_and(|value| !value.text.expose().is_empty())
}
