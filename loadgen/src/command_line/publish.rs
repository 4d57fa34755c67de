//! `loadgen race --redis`: publishes a race, and says how well its schedule was kept.

use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use loadgen::publisher::{Published, Publisher, PublisherConfig};

use super::interrupt::Interrupt;
use super::progress::Progress;
use super::race::{RaceArguments, Trip};
use super::report::{Fact, Report};
use super::{Failure, finish};

/// Between two looks at how far it is.
const LOOK: Duration = Duration::from_millis(100);

/// A Redis that takes so long for some of the pipelines is what made the others late.
const SLOW_ANSWER_US: u64 = 50_000;

pub(super) fn run(url: &str, arguments: &RaceArguments, trip: &Trip) -> Result<ExitCode, Failure> {
    let config = PublisherConfig {
        stream: arguments.to.stream.clone(),
        entries_max: arguments.to.maxlen,
        seed: arguments.seed,
        race: trip.race,
        pace: trip.pace,
        dates: trip.dates,
        ..PublisherConfig::new(url)
    };
    let publisher = Publisher::start(&config)?;
    let mut progress = Progress::new(trip.length);
    let interrupt = Interrupt::watch()?;
    while !publisher.is_finished() && !interrupt.has_come() {
        thread::sleep(LOOK);
        let published = publisher.published();
        progress.tell(|| {
            let Published { entries, late, failures, .. } = published;
            format!("{entries} entries published, {late} of them late, {failures} failures")
        });
    }
    progress.end();
    let trouble = publisher.trouble();
    finish(&report(&publisher.stop(), &trouble), arguments.to.json)
}

fn report(published: &Published, trouble: &str) -> Report {
    let mut report = Report::default();
    report.number("entries", published.entries);
    report.fact("whole_race", Fact::Flag(published.is_over));
    report.number("late_entries", published.late);
    report.fact("lateness", Fact::Times(published.lateness));
    report.fact("answer", Fact::Times(published.answer));
    report.number("failures_of_redis", published.failures);
    report.fact("time_percent", Fact::Busy(published.busy));
    report.remark_if(published.failures > 0, || {
        format!(
            "Redis failed meanwhile ({trouble}); what it had taken without an answer is in the \
             stream twice"
        )
    });
    report.remark_if(published.is_behind(), || {
        let whose = if published.answer.p99_us > SLOW_ANSWER_US {
            "Redis was slower than the schedule: take a lower --rate"
        } else {
            published.busy.verdict()
        };
        format!("{} of the entries left late: {whose}", published.late)
    });
    report
}
