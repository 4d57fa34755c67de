//! What viewers with real sessions get from the whole program.

use pitwall::config::Authority;
use serde_json::json;

use super::platform::{Program, Race, answer, read, shared, until, write};

#[test]
fn both_authorities_show_the_own_event_and_forbid_any_other() {
    let shared = shared();
    let directus = read(&shared);
    let race = Race::add(&directus);
    let cookie = directus.log_in(&race.name);
    for authority in [Authority::Directus, Authority::Membership] {
        let mut program = Program::start(&directus, authority);
        let mut viewer = program.viewer(&cookie, &race.own);
        for event in [&race.foreign, &tests::platform::uuid(404)] {
            assert_eq!(answer(&mut viewer, event), "forbidden", "{authority:?} about {event}");
        }
        program.shows(&race, &mut viewer);
        let mut second = program.connect(&cookie);
        second.subscribe(&race.own, "again");
        let snapshot = second.reply("subscribed")["snapshot"].clone();
        assert_eq!(snapshot[0]["deviceId"], race.imei, "{snapshot}");
        assert_eq!(snapshot.as_array().map(Vec::len), Some(1), "{snapshot}");
    }
}

#[test]
fn t24_after_a_log_out_newcomers_are_closed_4401_and_who_stands_stays() {
    let shared = shared();
    let directus = read(&shared);
    let race = Race::add(&directus);
    let mut program = Program::start(&directus, Authority::Directus);
    let cookie = directus.log_in(&race.name);
    let mut viewer = program.viewer(&cookie, &race.own);
    directus.log_out(&cookie);
    until("a newcomer is closed", || match program.refusal(&cookie) {
        // What was said of the cookie is reused for a few seconds.
        None => false,
        Some(code) => {
            assert_eq!(code, 4401);
            true
        }
    });
    program.wait_for_revalidation();
    program.shows(&race, &mut viewer);
}

#[test]
fn a_refreshed_session_is_let_in_and_the_old_one_ends_soon() {
    let shared = shared();
    let directus = read(&shared);
    let race = Race::add(&directus);
    let mut program = Program::start(&directus, Authority::Directus);
    let old = directus.log_in(&race.name);
    let mut viewer = program.viewer(&old, &race.own);
    let new = directus.refresh(&old);
    assert_ne!(old, new);
    let mut second = program.viewer(&new, &race.own);
    until("the old session has ended", || match program.refusal(&old) {
        None => false,
        Some(code) => {
            assert_eq!(code, 4401);
            true
        }
    });
    assert_eq!(program.refusal(&new), None);
    program.shows(&race, &mut viewer);
    second.message();
    program.shows(&race, &mut second);
}

#[test]
fn f58_a_user_who_is_suspended_is_closed_4401_by_the_next_look() {
    let shared = shared();
    let directus = read(&shared);
    let race = Race::add(&directus);
    let program = Program::start(&directus, Authority::Directus);
    let cookie = directus.log_in(&race.name);
    let mut viewer = program.viewer(&cookie, &race.own);
    program.wait_for_revalidation();
    assert_eq!(answer(&mut viewer, &race.own), "subscribed", "nobody is closed without a reason");
    directus.change_user(&race.user, &json!({ "status": "suspended" }));
    assert_eq!(viewer.closed().0, 4401);
    until("a newcomer is closed", || program.refusal(&cookie) == Some(4401));
}

#[test]
fn f57_t23_who_loses_the_membership_gets_forbidden_and_unsubscribed() {
    let shared = shared();
    let directus = read(&shared);
    let race = Race::add(&directus);
    for authority in [Authority::Directus, Authority::Membership] {
        let mut program = Program::start(&directus, authority);
        let cookie = directus.log_in(&race.name);
        let mut viewer = program.viewer(&cookie, &race.own);
        program.wait_for_revalidation();
        program.shows(&race, &mut viewer);
        directus.remove("organization_users", &race.membership);
        assert_eq!(viewer.reply("error")["code"], "forbidden");
        viewer.reply("unsubscribed");
        // The connection stays, and asking again does not help.
        assert_eq!(answer(&mut viewer, &race.own), "forbidden", "{authority:?}");
        race.join(&directus);
    }
}

#[test]
fn f52_f56_a_killed_directus_logs_nobody_out_and_all_is_well_when_it_is_back() {
    let shared = shared();
    let mut directus = write(&shared);
    let race = Race::add(&directus);
    let mut program = Program::start(&directus, Authority::Directus);
    let mut by_table = Program::start(&directus, Authority::Membership);
    let (cookie, other) = (directus.log_in(&race.name), directus.log_in(&race.name));
    let mut viewer = program.viewer(&cookie, &race.own);
    let mut viewer_by_table = by_table.viewer(&cookie, &race.own);

    directus.kill();
    assert_eq!(program.refusal(&other), Some(1013));
    assert_eq!(by_table.refusal(&other), Some(1013));
    assert_eq!(answer(&mut viewer, &race.foreign), "error");
    assert_eq!(answer(&mut viewer_by_table, &race.foreign), "forbidden");
    assert_eq!(answer(&mut viewer_by_table, &race.own_empty), "subscribed");
    program.wait_for_revalidation();
    program.shows(&race, &mut viewer);
    by_table.shows(&race, &mut viewer_by_table);

    directus.run("8s");
    until("a newcomer is let in", || match program.refusal(&other) {
        None => true,
        Some(code) => {
            assert_eq!(code, 1013, "it never logs anybody out");
            false
        }
    });
    until("questions are answered", || answer(&mut viewer, &race.foreign) == "forbidden");
    let short = directus.log_in(&race.name);
    assert_eq!(program.refusal(&short), None);
    until("the short session has expired", || match program.refusal(&short) {
        None => false,
        Some(code) => {
            assert_eq!(code, 4401);
            true
        }
    });
    assert_eq!(program.refusal(&cookie), None, "the others have a day");
    program.shows(&race, &mut viewer);
    // As the other tests want it.
    directus.kill();
    directus.run("1d");
}
