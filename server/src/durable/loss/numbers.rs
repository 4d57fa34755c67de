//! What the loss meter has read, for the page of metrics and in words.

use std::sync::{Mutex, PoisonError};

use super::meter::Reading;
use crate::metrics::{Page, Section};

/// With less time than this until unread entries are trimmed, a person should know.
const TIME_TO_TRIM_MS_MIN: u64 = 10 * 60_000;

/// A writer that is behind by less than this part of the stream keeps up, however short the stream.
const PART_IN_USE_MIN: u64 = 10;

/// What a component says when entries are about to be trimmed unread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Danger {
    /// What is the case.
    pub reason: String,
    /// What that means.
    pub effect: &'static str,
    /// What to do about it.
    pub remedy: &'static str,
}

/// The danger in a reading, if there is one: the writer is behind, and what it has not stored will be
/// trimmed within ten minutes.
#[must_use]
pub fn danger(reading: &Reading) -> Option<Danger> {
    let time_ms = reading.time_to_trim_ms.filter(|&ms| ms < TIME_TO_TRIM_MS_MIN)?;
    let in_use = reading.undelivered?.saturating_add(reading.pending?);
    if in_use == 0 || in_use < reading.length / PART_IN_USE_MIN {
        return None;
    }
    let seconds = time_ms / 1_000;
    Some(Danger {
        reason: format!(
            "{in_use} entries of the stream are not stored yet, and trimming reaches them in {} min \
             {} s.",
            seconds / 60,
            seconds % 60
        ),
        effect: "Positions that are trimmed before they are stored are lost.",
        remedy: "Let the stream keep more entries (MAXLEN of the ingestion service), and look why \
                 the writer is behind.",
    })
}

/// What was read last.
#[derive(Debug, Default)]
pub struct Numbers(Mutex<Reading>);

impl Numbers {
    pub(super) fn set(&self, reading: Reading) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = reading;
    }

    /// The last reading; of one that failed nothing is known.
    #[must_use]
    pub fn reading(&self) -> Reading {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Section for Numbers {
    fn write(&self, page: &mut Page) {
        let reading = self.reading();
        let count = |number: Option<u64>| number.map(|it| i64::try_from(it).unwrap_or(i64::MAX));
        page.gauge(
            "processor_consumer_lag",
            "Entries that wait to be delivered to the writer; absent when it is not known.",
            count(reading.undelivered),
        );
        page.gauge(
            "processor_consumer_pending",
            "Entries delivered and not yet acknowledged; absent when it is not known.",
            count(reading.pending),
        );
        if let Some(lost) = reading.lost {
            page.counter(
                "processor_lost_trimmed_total",
                "Entries trimmed before they were delivered, as Redis knows it; absent when it is \
                 not known.",
                lost,
            );
        }
        if let Some(gaps) = reading.gaps {
            page.counter(
                "processor_lost_unknown_total",
                "Times entries may have been trimmed before they were delivered, and how many \
                 cannot be told.",
                gaps,
            );
        }
        page.gauge_of_seconds(
            "processor_time_to_trim_seconds",
            "Until entries that are not acknowledged would be trimmed, if nothing was read any \
             more; absent when it is not known or nothing is trimmed.",
            reading.time_to_trim_ms.map(|ms| ms.saturating_mul(1_000)),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::{Numbers, danger};
    use crate::durable::loss::meter::Reading;
    use crate::metrics::{Page, Section};

    const BEHIND: Reading = Reading {
        length: 1_000_000,
        undelivered: Some(300_000),
        lost: Some(0),
        gaps: Some(0),
        pending: Some(1_000),
        time_to_trim_ms: Some(599_999),
    };

    fn page(reading: Reading) -> Vec<String> {
        let numbers = Numbers::default();
        numbers.set(reading);
        let mut page = Page::default();
        numbers.write(&mut page);
        let text = page.into_text();
        text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
    }

    #[test]
    fn f15_what_is_not_known_is_absent_and_never_0() {
        assert_eq!(page(Reading::default()), Vec::<String>::new());
        assert_eq!(
            page(BEHIND),
            [
                "processor_consumer_lag 300000",
                "processor_consumer_pending 1000",
                "processor_lost_trimmed_total 0",
                "processor_lost_unknown_total 0",
                "processor_time_to_trim_seconds 599.999",
            ]
        );
    }

    #[test]
    fn f13_the_danger_is_told_while_there_is_time_and_something_at_stake() {
        let told = danger(&BEHIND).unwrap();
        assert_eq!(
            told.reason,
            "301000 entries of the stream are not stored yet, and trimming reaches them in 9 min \
             59 s."
        );
        for safe in [
            Reading { time_to_trim_ms: Some(600_000), ..BEHIND },
            Reading { time_to_trim_ms: None, ..BEHIND },
            Reading { undelivered: None, ..BEHIND },
            Reading { undelivered: Some(50_000), ..BEHIND },
            Reading::default(),
        ] {
            assert_eq!(danger(&safe), None, "{safe:?}");
        }
        let full = Reading { length: 5, undelivered: Some(5), pending: Some(0), ..BEHIND };
        assert!(danger(&Reading { time_to_trim_ms: Some(0), ..full }).is_some());
        let empty = Reading { length: 0, undelivered: Some(0), pending: Some(0), ..BEHIND };
        assert_eq!(danger(&empty), None, "there is nothing to lose");
    }
}
