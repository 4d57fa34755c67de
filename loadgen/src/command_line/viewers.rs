//! `loadgen viewers`: opens a crowd, watches it, and says what it saw.

use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use loadgen::sockets::resolve;
use loadgen::viewers::{Crowd, CrowdConfig, Kind, Snapshot, VIEWERS_MAX};

use super::interrupt::Interrupt;
use super::progress::Progress;
use super::report::{Fact, Report};
use super::{Failure, finish};

/// Between two looks at how far it is.
const LOOK: Duration = Duration::from_millis(100);

/// Longest wait for those who are still joining after the ramp.
const JOIN: Duration = Duration::from_secs(40);

#[derive(Debug, clap::Args)]
pub(super) struct ViewersArguments {
    /// The address of pitwall itself: ws://HOST:PORT, with /ws-live when no path is given.
    url: String,
    /// The uuid of an event; with several, viewers are spread over them.
    #[arg(long = "event", value_name = "UUID", required = true, num_args = 1..)]
    events: Vec<String>,
    /// How many viewers.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=i64::from(VIEWERS_MAX)))]
    viewers: u32,
    /// Seconds over which they come.
    #[arg(long, default_value_t = 5)]
    ramp: u32,
    /// Seconds for which all of them watch.
    #[arg(long, default_value_t = 60)]
    seconds: u32,
    /// A share of them reads slowly: 0.1@40 is a tenth, each at 40 kB/s.
    #[arg(long, value_name = "SHARE@KBPS", value_parser = slow)]
    slow: Option<(f64, u32)>,
    /// A share of them does not read at all.
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    stalled: f64,
    /// What `Cookie` says; {user} stands for the number of the user, from 1.
    #[arg(long)]
    cookie: Option<String>,
    /// What `Origin` says.
    #[arg(long)]
    origin: Option<String>,
    /// Viewers of one user; pitwall allows 20 unless told otherwise.
    #[arg(long, default_value_t = 12)]
    per_user: u32,
    /// Viewers of one source address, on loopback; pitwall allows 500 unless told otherwise.
    #[arg(long, default_value_t = 400)]
    per_address: u32,
    /// Viewers of whom every position is checked, beside all slow ones.
    #[arg(long, default_value_t = 2_000)]
    checked: u32,
    /// Milliseconds between two positions of a device that count as a gap.
    #[arg(long, default_value_t = 2_500)]
    gap_ms: u64,
    /// Print the report as one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &ViewersArguments) -> Result<ExitCode, Failure> {
    let (host, path) = parts(&arguments.url)?;
    let config = CrowdConfig {
        path: path.to_owned(),
        host: host.to_owned(),
        cookie: arguments.cookie.clone(),
        origin: arguments.origin.clone(),
        viewers_per_user: arguments.per_user,
        viewers_per_address: arguments.per_address,
        checked_max: arguments.checked,
        gap_ms: arguments.gap_ms,
        ..CrowdConfig::new(resolve(host)?, &arguments.events)
    };
    let crowd = Crowd::start(config, arguments.viewers)?;
    let ramp = Duration::from_secs(arguments.ramp.into());
    let (slow_share, kilobytes) = arguments.slow.unwrap_or((0.0, 1));
    let slow = share_of(arguments.viewers, slow_share)?;
    let stalled = share_of(arguments.viewers, arguments.stalled)?;
    let Some(brisk) = arguments.viewers.checked_sub(slow + stalled) else {
        return Err("the shares of slow and stalled viewers are more than all".to_owned().into());
    };
    let bytes_per_second = kilobytes.saturating_mul(1_000);
    crowd.add(brisk, Kind::Brisk, ramp);
    crowd.add(slow, Kind::Slow { bytes_per_second }, ramp);
    crowd.add(stalled, Kind::Stalled, ramp);
    watch(&crowd, arguments, ramp, &Interrupt::watch()?);
    let seen = crowd.snapshot();
    crowd.stop()?;
    finish(&report(&seen, arguments), arguments.json)
}

/// Waits until all have come, and then for as long as they watch.
fn watch(crowd: &Crowd, arguments: &ViewersArguments, ramp: Duration, interrupt: &Interrupt) {
    let watching = Duration::from_secs(arguments.seconds.into());
    let mut progress = Progress::new(ramp + watching);
    let began = Instant::now();
    let mut came = None;
    while !interrupt.has_come() {
        thread::sleep(LOOK);
        let seen = crowd.snapshot();
        let are_all_here = seen.waiting + seen.joining == 0 && seen.joined.count > 0;
        if came.is_none() && (are_all_here || began.elapsed() > ramp + JOIN) {
            came = Some(Instant::now());
        }
        let is_anybody = seen.waiting + seen.joining + seen.watching > 0;
        let has_begun = seen.watching > 0 || seen.gone() > 0;
        if came.is_some_and(|came| came.elapsed() >= watching) || (has_begun && !is_anybody) {
            break;
        }
        progress.tell(|| line(&seen));
    }
    progress.end();
}

fn line(seen: &Snapshot) -> String {
    format!(
        "{} watching, {} to come, {} gone, {} MB, p50 {} ms, p99 {} ms, reader {} % busy",
        seen.watching,
        seen.waiting + seen.joining,
        seen.gone(),
        seen.bytes / 1_000_000,
        seen.freshness.p50_us / 1_000,
        seen.freshness.p99_us / 1_000,
        seen.busy.now_percent
    )
}

fn report(seen: &Snapshot, arguments: &ViewersArguments) -> Report {
    let mut report = Report::default();
    report.number("watching_at_the_end", seen.watching.into());
    report.number("slow", seen.slow.into());
    report.number("stalled", seen.stalled.into());
    let closes = seen.closes.iter().map(|(code, count)| (code.to_string(), *count));
    report.fact("closes", Fact::Counts(closes.collect()));
    let counts = |counts: &std::collections::BTreeMap<String, u64>| {
        Fact::Counts(counts.iter().map(|(what, count)| (what.clone(), *count)).collect())
    };
    report.fact("not_let_in", counts(&seen.refusals));
    report.fact("errors", counts(&seen.errors));
    report.number("received_bytes", seen.bytes);
    report.number("texts", seen.texts);
    report.number("checked_viewers", seen.checked.into());
    report.number("checked_positions", seen.positions);
    report.number("order_violations", seen.order_violations);
    report.fact("violations", Fact::Words(seen.violations_told.clone()));
    report.number("unreadable", seen.unreadable);
    report.number("gaps", seen.gaps);
    report.number("longest_gap_ms", seen.longest_gap_ms);
    report.fact("freshness", Fact::Times(seen.freshness));
    report.fact("freshness_of_slow", Fact::Times(seen.slow_freshness));
    report.fact("from_connect_to_snapshot", Fact::Times(seen.joined));
    report.fact("begun_late", Fact::Times(seen.lateness));
    report.fact("turns", Fact::Times(seen.turns));
    report.fact("time_percent", Fact::Busy(seen.busy));
    judge(seen, arguments, &mut report);
    report
}

fn judge(seen: &Snapshot, arguments: &ViewersArguments, report: &mut Report) {
    report.fail_if(seen.order_violations > 0, || {
        "positions went back in time: that is a mistake of the server's".to_owned()
    });
    report.fail_if(seen.unreadable > 0, || {
        "the server sent what version 1 of the protocol does not have".to_owned()
    });
    report.fail_if(!seen.refusals.is_empty(), || {
        "not everybody was let in. Connection refused: is this the port for viewers? HTTP 403: give \
         --origin. error forbidden: may these users see the \
         event? Addresses or ports run out: give more --per-address, or LIVE_VIEWERS_PER_ADDRESS_MAX"
            .to_owned()
    });
    report.fail_if(!seen.closes.is_empty(), || {
        "viewers were sent away. 4401: give --cookie. 1013: the limits for a user or an address are \
         reached (--per-user, --per-address), or Directus is away. 1006: stalled viewers are cut \
         after a minute"
            .to_owned()
    });
    report.fail_if(seen.waiting + seen.joining > 0, || {
        format!("{} viewers had no snapshot at the end", seen.waiting + seen.joining)
    });
    report.remark_if(seen.checked < arguments.viewers, || {
        format!(
            "every position was checked at {} viewers; of the others bytes and frames were counted",
            seen.checked
        )
    });
    report.remark_if(seen.is_own_limit(), || {
        format!("the figures are about the reader: {}", seen.busy.verdict())
    });
    report.remark_if(seen.positions == 0, || {
        "no position came: does anything drive in this event? `loadgen race` does".to_owned()
    });
}

/// Host and path of an address.
fn parts(url: &str) -> Result<(&str, &str), String> {
    let rest = url.strip_prefix("ws://").ok_or_else(|| {
        format!("{url} is not the address of pitwall itself: write it as ws://HOST:PORT")
    })?;
    Ok(rest.find('/').map_or((rest, "/ws-live"), |at| rest.split_at(at)))
}

fn slow(text: &str) -> Result<(f64, u32), String> {
    let words = || "write it as SHARE@KBPS, such as 0.1@40".to_owned();
    let (share, kilobytes) = text.split_once('@').ok_or_else(words)?;
    Ok((share.parse().map_err(|_| words())?, kilobytes.parse().map_err(|_| words())?))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of a count is a count"
)]
fn share_of(count: u32, share: f64) -> Result<u32, String> {
    if (0.0..=1.0).contains(&share) {
        Ok((f64::from(count) * share).round() as u32)
    } else {
        Err(format!("{share} is no share: give a number from 0 to 1"))
    }
}

#[cfg(test)]
mod tests {
    use super::{parts, share_of, slow};

    #[test]
    fn an_address_has_a_host_and_the_usual_path() {
        assert_eq!(parts("ws://127.0.0.1:8081").unwrap(), ("127.0.0.1:8081", "/ws-live"));
        assert_eq!(parts("ws://a:1/b").unwrap(), ("a:1", "/b"));
        assert!(parts("wss://a").unwrap_err().contains("ws://HOST:PORT"));
    }

    #[test]
    fn shares_are_numbers_from_0_to_1() {
        assert_eq!(slow("0.1@40"), Ok((0.1, 40)));
        assert!(slow("0.1").is_err() && slow("a@40").is_err());
        assert_eq!(share_of(1_000, 0.125), Ok(125));
        assert!(share_of(1_000, 1.5).is_err());
    }
}
