//! What the process asks of the system for itself: no core dump, and as many descriptors as allowed.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::admin::CONNECTIONS_MAX;
use crate::config::Config;
use crate::live::shard_loop::LINGERING_MAX;

/// Descriptors that the program needs whoever comes: listeners, Redis, PostgreSQL, calls of Directus,
/// the log, the shards. Some 60 are in use with defaults and a few shards.
const OWN: u64 = 256;

/// Keeps cookies and passwords, which lie in memory, out of core dumps.
pub fn forbid_core_dumps() {
    let nothing = Rlimit { current: Some(0), maximum: Some(0) };
    // A process may always lower its own limits.
    setrlimit(Resource::Core, nothing).ok();
}

/// Allows as many descriptors as the system lets a process have, and says when those are too few for
/// so many connections.
pub fn allow_descriptors(config: &Config) -> Option<String> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).ok();
    let allowed = getrlimit(Resource::Nofile).current?;
    let parts = needed(config);
    let needed = parts.iter().map(|(count, _)| count).fold(0, |sum, part| part.saturating_add(sum));
    let parts: Vec<String> = parts.iter().map(|(count, what)| format!("{count} {what}")).collect();
    let parts = parts.join(", ");
    (allowed < needed).then(|| {
        format!(
            "the system allows this process {allowed} open files, and with every limit reached it \
             needs {needed} ({parts}): raise the limit (LimitNOFILE= of the unit, ulimits: of the \
             container) or lower LIVE_VIEWERS_MAX, LIVE_HALF_OPEN_MAX or INGEST_DEVICES_MAX"
        )
    })
}

/// Every bound on descriptors, and for what they are.
fn needed(config: &Config) -> Vec<(u64, &'static str)> {
    let live = &config.live;
    let mut parts = vec![(CONNECTIONS_MAX as u64, "for admin pages"), (OWN, "of its own")];
    if config.roles.live {
        parts.extend([
            (live.limits.viewers_max as u64, "for viewers"),
            (live.limits.half_open_max as u64, "for who is not a viewer yet"),
            (LINGERING_MAX as u64 * u64::from(live.shard_count), "for who was just closed"),
        ]);
    }
    if config.roles.ingest {
        parts.push((config.ingest.devices_max as u64, "for devices"));
    }
    parts
}

#[cfg(test)]
mod tests {
    use rustix::process::{Resource, getrlimit};

    use super::{LINGERING_MAX, allow_descriptors, forbid_core_dumps, needed};
    use crate::config::{Config, Roles};

    fn with_viewers(viewers_max: usize) -> Config {
        let mut config = Config::new("redis://127.0.0.1:1", "postgres://nobody@127.0.0.1:1/x");
        (config.live.shard_count, config.live.limits.half_open_max) = (2, 1);
        config.live.limits.viewers_max = viewers_max;
        config
    }

    #[test]
    fn t4_no_core_dump_carries_a_cookie_away() {
        forbid_core_dumps();
        let limit = getrlimit(Resource::Core);
        assert_eq!((limit.current, limit.maximum), (Some(0), Some(0)));
    }

    #[test]
    fn f83_too_few_descriptors_are_told_and_enough_are_not() {
        // What any system allows is enough for nobody, and what none allows is not.
        let of_nobody: u64 = needed(&with_viewers(0)).iter().map(|(count, _)| count).sum();
        assert_eq!(of_nobody, 1 + 2 * LINGERING_MAX as u64 + 64 + 256);
        let is_enough = getrlimit(Resource::Nofile).maximum.is_none_or(|most| most >= of_nobody);
        assert_eq!(allow_descriptors(&with_viewers(0)).is_none(), is_enough);
        let words = allow_descriptors(&with_viewers(usize::MAX / 2)).unwrap();
        for part in ["LimitNOFILE", "1 for who is not a viewer yet", "2048 for who was just closed"]
        {
            assert!(words.contains(part), "{words}");
        }
        let mut config = with_viewers(usize::MAX / 2);
        config.roles = Roles::DURABLE;
        let needed: u64 = needed(&config).iter().map(|(count, _)| count).sum();
        assert_eq!(needed, 64 + 256, "viewers who cannot come need nothing");
    }
}
