//! Rosters as people write them, and what is said about their slips.

use std::path::Path;

use super::read::read;
use super::{EXAMPLE, RosterFile};

/// A roster without mistakes.
pub(in crate::embedded) fn read_good(text: &str, directory: &Path) -> RosterFile {
    read(text, directory).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

fn good(text: &str) -> RosterFile {
    read_good(text, Path::new("/nowhere"))
}

fn check(text: &str, expected: &[&str]) {
    let words = read(text, Path::new("/nowhere")).unwrap_err().to_string();
    for expected in expected {
        assert!(words.contains(expected), "{expected} is missing in: {words}");
    }
    assert_eq!(words.matches("roster.toml line ").count(), expected.len(), "{words}");
}

#[test]
fn the_example_is_a_roster_in_which_every_device_drives() {
    let file = good(EXAMPLE);
    assert_eq!((file.events.len(), file.devices.len()), (1, 0));
    assert!(file.events[0].takes_any && file.events[0].name == "race");
    // Every line that is commented out is right as well, but for the course, which is not there.
    let all = EXAMPLE
        .lines()
        .map(|line| {
            line.strip_prefix("# ")
                .filter(|it| it.contains(" = ") || it.starts_with('['))
                .unwrap_or(line)
        })
        .filter(|line| !line.starts_with("course"))
        .collect::<Vec<_>>()
        .join("\n");
    let file = good(&all);
    assert_eq!(file.devices[0].events, [0], "{all}");
    assert_eq!(file.events[0].organization.as_deref(), Some("Our club"));
}

#[test]
fn an_event_without_a_uuid_has_the_one_of_its_name_for_ever() {
    let file = good(
        "[[event]]\nname = \"race\"\n[[event]]\nname = \"Rally\"\nuuid = \"1F0C5B9A-6D3E-4C8A-9F3E-2B7D1A4E8C55\"",
    );
    let id = file.events[0].id.to_string();
    assert_eq!(&id[14..15], "5", "{id}");
    assert!(["8", "9", "a", "b"].contains(&&id[19..20]), "{id}");
    assert_eq!(id, "6f59d114-a26c-5b6e-bfe1-b2c97f69ccfd", "an address that people have kept");
    assert_eq!(file.event("race").map(|it| it.id), file.event(&id).map(|it| it.id));
    assert_eq!(file.events[1].id.to_string(), "1f0c5b9a-6d3e-4c8a-9f3e-2b7d1a4e8c55");
}

#[test]
fn a_number_is_written_with_or_without_quotes() {
    let file = good(
        "[[device]]\nimei = \"356307042441013\"\nnumber = 7\n[[device]]\nimei = \"356307042441014\"\nnumber = \"07a\"",
    );
    let numbers: Vec<_> = file.devices.iter().map(|it| it.number.as_deref()).collect();
    assert_eq!(numbers, [Some("7"), Some("07a")]);
}

#[test]
fn all_mistakes_are_named_at_once_with_line_and_column() {
    check(
        "[[event]]\nname = \"race\"\ndevices = \"all\"\ncolour = 1\n\n[[device]]\nimei = \"35630\"\n  \
         events = [\"race\", \"rally\"]\n",
        &[
            "line 3, column 11: devices can only be \"any\"",
            "line 4, column 1: an event has no \"colour\"",
            "line 7, column 8: imei is none",
            "line 8, column 21: there is no event \"rally\"",
        ],
    );
}

#[test]
fn what_is_not_toml_is_named_where_it_stands() {
    check("[[event]]\nname = \"race\n", &["line 2, column"]);
    check("[[event]\n", &["line 1, column"]);
}

#[test]
fn what_is_missing_double_or_of_another_kind_is_named() {
    check("[[event]]\n", &["line 1, column 1: this event has no name"]);
    check("[[device]]\nname = \"x\"", &["this device has no imei"]);
    check("[event]\nname = \"x\"", &["write [[event]], with two brackets"]);
    check("[[event]]\nname = 7", &["name must be text"]);
    check("[[event]]\nname = \"\"", &["line 2, column 8: name must be 1 to 100 bytes"]);
    check("[[event]]\nname = \"x\"\nuuid = \"x\"", &["line 3, column 8: uuid is none"]);
    check(
        "[[event]]\nname = \"x\"\n[[event]]\nname = \"x\"",
        &["line 3, column 1: an event of this name"],
    );
    let device = "[[device]]\nimei = \"356307042441013\"\n";
    check(&device.repeat(2), &["line 3, column 1: a device with this imei"]);
    check(&format!("{device}events = \"race\""), &["events must be a list"]);
    check(
        "[[event]]\nname = \"x\"\ncourse = \"../x\"",
        &["line 3, column 10: course names no file"],
    );
    check("[[event]]\nname = \"x\"\ncourse = \"x\"", &["course names a file that cannot be read"]);
}
