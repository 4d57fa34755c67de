//! What the process asks of the system for itself: no core dump, and as many descriptors as allowed.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors beside those of viewers: listeners, Redis, PostgreSQL, Directus, the log, the shards.
const DESCRIPTORS_OWN: u64 = 256;

/// Keeps cookies and passwords, which lie in memory, out of core dumps.
pub fn forbid_core_dumps() {
    let nothing = Rlimit { current: Some(0), maximum: Some(0) };
    // A process may always lower its own limits.
    setrlimit(Resource::Core, nothing).ok();
}

/// Allows as many descriptors as the system lets a process have, and says when those are too few for
/// so many connections.
pub fn allow_descriptors(connections_max: usize) -> Option<String> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).ok();
    let allowed = getrlimit(Resource::Nofile).current?;
    let needed = connections_max as u64 + DESCRIPTORS_OWN;
    (allowed < needed).then(|| {
        format!(
            "the system allows this process {allowed} open files, and {connections_max} viewers \
             need {needed}: raise the limit (LimitNOFILE= of the unit, ulimits: of the container) \
             or lower LIVE_VIEWERS_MAX"
        )
    })
}

#[cfg(test)]
mod tests {
    use rustix::process::{Resource, getrlimit};

    use super::{allow_descriptors, forbid_core_dumps};

    #[test]
    fn t4_no_core_dump_carries_a_cookie_away() {
        forbid_core_dumps();
        let limit = getrlimit(Resource::Core);
        assert_eq!((limit.current, limit.maximum), (Some(0), Some(0)));
    }

    #[test]
    fn too_few_descriptors_are_told_and_enough_are_not() {
        assert_eq!(allow_descriptors(1), None);
        let words = allow_descriptors(usize::MAX / 2).unwrap();
        assert!(words.contains("LimitNOFILE"), "{words}");
    }
}
