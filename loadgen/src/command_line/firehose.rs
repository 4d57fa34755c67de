//! `loadgen race --teltonika`: a connection for each device, and what came of it.

use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use loadgen::firehose::{Counts, DEVICES_MAX, Firehose, FirehoseConfig};
use loadgen::sockets::resolve;

use super::interrupt::Interrupt;
use super::progress::Progress;
use super::race::{RaceArguments, Trip};
use super::report::{Fact, Report};
use super::{Failure, finish};

/// Between two looks at how far it is.
const LOOK: Duration = Duration::from_millis(100);

pub(super) fn run(
    target: &str,
    arguments: &RaceArguments,
    trip: &Trip,
) -> Result<ExitCode, Failure> {
    if trip.race.devices > DEVICES_MAX {
        return Err(format!(
            "one process opens at most {DEVICES_MAX} devices: start several, each with another \
             --first-device"
        )
        .into());
    }
    let config = FirehoseConfig {
        seed: arguments.seed,
        race: trip.race,
        pace: trip.pace,
        dates: trip.dates,
        dials_per_second: arguments.to.dials,
        ..FirehoseConfig::new(resolve(target)?)
    };
    let ramp = Duration::from_secs(u64::from(trip.race.devices / arguments.to.dials));
    let firehose = Firehose::start(config)?;
    let mut progress = Progress::new(ramp + trip.length);
    let interrupt = Interrupt::watch()?;
    while !firehose.is_finished() && !interrupt.has_come() {
        thread::sleep(LOOK);
        progress.tell(|| {
            let Counts { connected, sent, answered, resent, kept, .. } = firehose.counts();
            format!(
                "{connected} connected, {sent} records sent, {answered} answered, {kept} kept, \
                 {resent} sent again"
            )
        });
    }
    progress.end();
    finish(&report(&firehose.stop()?), arguments.to.json)
}

fn report(counts: &Counts) -> Report {
    let mut report = Report::default();
    report.number("devices", counts.devices.into());
    report.number("connected_at_the_end", counts.connected.into());
    report.number("dials", counts.dials);
    report.fact("whole_race", Fact::Flag(counts.is_over));
    report.number("records_due", counts.due);
    report.number("records_sent", counts.sent);
    report.number("records_answered", counts.answered);
    report.number("records_sent_again", counts.resent);
    report.number("records_kept", counts.kept);
    report.number("records_forgotten", counts.forgotten);
    report.number("records_late", counts.late);
    report.fact("lateness", Fact::Times(counts.lateness));
    report.fact("answer", Fact::Times(counts.answer));
    report.number("handshakes_refused", counts.refused);
    report.number("connections_broken", counts.broken);
    report.number("packets_unanswered", counts.unanswered);
    report.number("packets_misanswered", counts.misanswered);
    report.fact("time_percent", Fact::Busy(counts.busy));
    report.fail_if(counts.answered == 0 && counts.due > 0, || {
        "no record was answered: is this the port of a Teltonika listener, and are the IMEIs \
         (`loadgen race --format hex` shows them) allowed there?"
            .to_owned()
    });
    report.fail_if(counts.is_over && counts.kept > 0, || {
        format!(
            "{} records were not answered in time: see on /readyz of the server what it waits for",
            counts.kept
        )
    });
    report.fail_if(counts.forgotten > 0, || {
        format!("devices had to forget {} records: the server is too slow", counts.forgotten)
    });
    report.fail_if(counts.misanswered > 0, || {
        "the server answered with another number of records than were sent".to_owned()
    });
    report.remark_if(counts.is_own_limit(), || {
        format!("{} of the records left late: {}", counts.late, counts.busy.verdict())
    });
    report
}
