//! Who drives in an event that takes any device without being named for it.
//!
//! Who has a place keeps it: a newcomer for whom there is none is left out, and that is told.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use engine::id::EventId;

use super::roster::RosterFile;

/// The devices of each event that came by themselves, in order. At most
/// [`SLOTS_MAX`](engine::limits::SLOTS_MAX) of all events together, 30 bytes each.
#[derive(Debug, Default)]
pub(super) struct Others(HashMap<EventId, BTreeSet<Arc<str>>>);

impl Others {
    /// Those of an event.
    pub(super) fn of(&self, event: EventId) -> impl Iterator<Item = &Arc<str>> {
        self.0.get(&event).into_iter().flatten()
    }

    /// Who drives by this file, of the devices that were seen; and why somebody does not who should.
    /// An event has room for so many devices, all events together have it for so many.
    pub(super) fn next(
        &self,
        file: &RosterFile,
        seen: &BTreeSet<Arc<str>>,
        (event_max, all_max): (usize, usize),
    ) -> (Self, Option<String>) {
        let named_count: usize = file.events.iter().map(|event| event.devices.len()).sum();
        let mut left = all_max.saturating_sub(named_count);
        let (mut next, mut full) = (HashMap::new(), None);
        for (place, event) in file.events.iter().enumerate().filter(|(_, event)| event.takes_any) {
            let count_max = event_max.saturating_sub(event.devices.len()).min(left);
            let is_unnamed = |imei: &&Arc<str>| !file.names(imei, place);
            let stay = self.of(event.id).filter(is_unnamed).take(count_max);
            let mut drive: BTreeSet<Arc<str>> = stay.cloned().collect();
            for imei in seen.iter().filter(is_unnamed) {
                if drive.contains(imei) {
                    continue;
                }
                if drive.len() == count_max {
                    let count = count_max + event.devices.len();
                    let words =
                        format!("Event {} has no room beyond its {count} devices.", event.name);
                    full.get_or_insert(words);
                    break;
                }
                drive.insert(imei.clone());
            }
            left -= drive.len();
            next.insert(event.id, drive);
        }
        (Self(next), full)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;
    use std::sync::Arc;

    use super::Others;
    use crate::embedded::roster::tests::read_good;

    fn imei(number: usize) -> Arc<str> {
        format!("3563070424{number:05}").into()
    }

    fn check(others: &Others, event: engine::id::EventId, expected: &[usize]) {
        let drive: Vec<_> = others.of(event).cloned().collect();
        let expected: Vec<_> = expected.iter().map(|&number| imei(number)).collect();
        assert_eq!(drive, expected);
    }

    #[test]
    fn a_newcomer_takes_nobodys_place_and_it_is_told_that_there_is_none() {
        let file = read_good("[[event]]\nname = \"a\"\ndevices = \"any\"\n", Path::new("/nowhere"));
        let event = file.events[0].id;
        let mut seen: BTreeSet<_> = [5, 7].map(imei).into();
        let (others, full) = Others::default().next(&file, &seen, (2, 10));
        check(&others, event, &[5, 7]);
        assert_eq!(full, None);
        seen.insert(imei(1));
        let (others, full) = others.next(&file, &seen, (2, 10));
        check(&others, event, &[5, 7]);
        assert_eq!(full.as_deref(), Some("Event a has no room beyond its 2 devices."));
        let (others, full) = others.next(&file, &seen, (3, 10));
        check(&others, event, &[1, 5, 7]);
        assert_eq!(full, None);
    }

    #[test]
    fn who_is_named_goes_first_and_all_events_share_what_room_there_is() {
        let named = imei(9);
        let file = read_good(
            &format!(
                "[[event]]\nname = \"a\"\ndevices = \"any\"\n[[event]]\nname = \"b\"\ndevices = \
                 \"any\"\n[[device]]\nimei = \"{named}\"\nevents = [\"b\"]\n"
            ),
            Path::new("/nowhere"),
        );
        let [a, b] = [0, 1].map(|place| file.events[place].id);
        let seen: BTreeSet<_> = [1, 2, 9].map(imei).into();
        let (others, full) = Others::default().next(&file, &seen, (2, 10));
        check(&others, a, &[1, 2]);
        check(&others, b, &[1]);
        assert!(full.is_some());
        let (others, _) = Others::default().next(&file, &seen, (10, 5));
        check(&others, a, &[1, 2, 9]);
        check(&others, b, &[1]);
    }
}
