//! What settings must be beside each other, and what is allowed but deserves a warning.
//!
//! A rule is silent about settings that are wrong by themselves: they have been told of already.

use std::net::IpAddr;

use super::sources::Gathered;
use super::{Config, embedded, origin};

/// How the name of a dead-letter stream ends.
const DEAD_LETTER_SUFFIX: &str = ":dlq";

/// After so long without a message clients reconnect, and usual proxies give a connection up.
const CLIENT_SILENCE_MS: u64 = 60_000;

/// So long clients wait for the reply to a subscribe.
const CLIENT_REPLY_MS: u64 = 5_000;

/// More than this in flight to one viewer is film, not the present: at 200 bytes a frame and 500
/// frames a second it is 2.6 seconds old when it arrives.
const FRESH_BYTES_MAX: usize = 256 * 1024;

/// Adds what the settings, taken together, give reason to say.
pub(super) fn apply(config: &Config, gathered: &mut Gathered) {
    refuse(config, gathered);
    embedded::judge(config, gathered);
    warn(config, gathered);
}

fn refuse(config: &Config, gathered: &mut Gathered) {
    let (live, write, admin) = (&config.live, &config.write, &config.admin);
    if config.stream.ends_with(DEAD_LETTER_SUFFIX) {
        gathered.mistake(
            "REDIS_TELEMETRY_STREAM",
            "names a stream of dead letters (`:dlq`): give the stream that devices' positions \
             arrive in.",
        );
    }
    // Its work must never be split with viewers, nor be taken for a group that one of them left.
    if live.group_prefix == write.group && !write.group.is_empty() {
        gathered.mistake(
            "LIVE_BROADCAST_GROUP_PREFIX",
            "is the name of the group that positions are stored by, WRITE_GROUP: give another, \
             such as live-broadcast.",
        );
    }
    let is_live_group =
        write.group.strip_prefix(&live.group_prefix).is_some_and(|rest| rest.starts_with('-'));
    if is_live_group && !live.group_prefix.is_empty() {
        gathered.mistake(
            "WRITE_GROUP",
            "may be the name of an instance's live group, since it begins with \
             LIVE_BROADCAST_GROUP_PREFIX and a dash: give another, such as processor.",
        );
    }
    let write_ms_max = write.deadline_ms + write.linger_ms;
    // 0 stands for a threshold that is wrong by itself.
    if (1..write_ms_max).contains(&write.claim_threshold_ms) {
        gathered.mistake(
            "CLAIM_THRESHOLD_MS",
            "is less than WRITE_TIMEOUT_MS and WRITE_LINGER_MS together: what is still being \
             written would be taken over by another instance. Make it larger, or those smaller.",
        );
    }
    let overlap = |left: IpAddr, right: IpAddr| {
        left == right || left.is_unspecified() || right.is_unspecified()
    };
    // 0 stands for a port that is wrong by itself.
    let is_same = live.port == admin.port && live.port != 0;
    if config.roles.live && is_same && overlap(live.host, admin.host) {
        gathered.mistake(
            "METRICS_PORT",
            "is the same as LIVE_WS_PORT: give them different ports, so that viewers cannot reach \
             the metrics.",
        );
    }
    let ingest = &config.ingest;
    let others = [
        (config.roles.live, live.host, live.port, "LIVE_WS_PORT"),
        (true, admin.host, admin.port, "METRICS_PORT"),
    ];
    for (is_used, host, port, name) in others {
        let is_same = ingest.port == port && port != 0;
        if config.roles.ingest && is_used && is_same && overlap(ingest.host, host) {
            let words = format!("is the same as {name}: give devices a port of their own.");
            gathered.mistake("INGEST_PORT", words);
        }
    }
    let limits = &live.limits;
    if limits.cookie_bytes_max >= limits.head_bytes_max && limits.head_bytes_max > 0 {
        gathered.mistake(
            "LIVE_COOKIE_BYTES_MAX",
            "is not less than LIVE_HEAD_BYTES_MAX, which the cookie is a part of: make it smaller, \
             or that larger.",
        );
    }
}

fn warn(config: &Config, gathered: &mut Gathered) {
    let live = &config.live;
    if live.ping_interval_ms >= CLIENT_SILENCE_MS {
        gathered.warn(
            "LIVE_WS_PING_INTERVAL_MS",
            "is a minute or more: proxies cut connections that are silent for so long, and viewers \
             who are gone hold their place for twice as long. 30000 is usual.",
        );
    }
    if config.directus.authz_timeout_ms > CLIENT_REPLY_MS {
        gathered.warn(
            "DIRECTUS_AUTHZ_TIMEOUT_MS",
            "is longer than the 5000 ms for which clients wait for a reply.",
        );
    }
    if live.in_flight_bytes_max > FRESH_BYTES_MAX {
        gathered.warn(
            "LIVE_WS_BACKPRESSURE_THRESHOLD_BYTES",
            "lets so much wait on the way to a slow viewer that what arrives is seconds old, and \
             takes that memory for each: 16384 is usual.",
        );
    }
    let origins = &live.access.allowed_origins;
    if origins.iter().any(|origin| origin::is_in_the_clear(origin)) {
        gathered.warn(
            "LIVE_ALLOWED_ORIGINS",
            "has an origin without TLS: whoever is on the way can read its users' cookies. Use \
             https:// for whatever is not a trial.",
        );
    }
    if live.access.trusted_proxies.iter().any(|network| network.prefix_bits == 0) {
        gathered.warn(
            "LIVE_TRUSTED_PROXIES",
            "holds every address there is: anybody can then pretend to come from another address. \
             Name the proxy's network alone.",
        );
    }
}
