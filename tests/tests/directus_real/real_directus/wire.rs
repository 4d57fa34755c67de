//! What viewers with real sessions get from the whole program.

use pitwall::config::Authority;
use serde_json::json;

use super::platform::{Program, Race, answer, decided, shared, until};

/// Waits until newcomers with this cookie are closed 4401; what was said of it is reused for a few
/// seconds, and nothing else may be said of it.
fn until_logged_out(program: &Program, cookie: &str) {
    until("a newcomer is closed", || {
        let refusal = program.refusal(cookie);
        assert!(matches!(refusal, None | Some(4401)), "{refusal:?}");
        refusal.is_some()
    });
}

#[test]
fn both_authorities_show_the_own_event_and_forbid_any_other() {
    let directus = shared();
    let race = Race::add(&directus);
    let cookie = directus.log_in(&race.name);
    for authority in [Authority::Directus, Authority::Membership] {
        let mut program = Program::start(&directus, authority);
        let mut viewer = program.viewer(&cookie, &race.own);
        for event in [&race.foreign, &tests::platform::uuid(404)] {
            assert_eq!(decided(&mut viewer, event), "forbidden", "{authority:?} about {event}");
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
    let directus = shared();
    let race = Race::add(&directus);
    let mut program = Program::start(&directus, Authority::Directus);
    let cookie = directus.log_in(&race.name);
    let mut viewer = program.viewer(&cookie, &race.own);
    directus.log_out(&cookie);
    until_logged_out(&program, &cookie);
    program.wait_for_revalidation();
    program.shows(&race, &mut viewer);
}

#[test]
fn a_refreshed_session_is_let_in_and_the_old_one_ends_soon() {
    let directus = shared();
    let race = Race::add(&directus);
    let mut program = Program::start(&directus, Authority::Directus);
    let old = directus.log_in(&race.name);
    let mut viewer = program.viewer(&old, &race.own);
    let new = directus.refresh(&old);
    assert_ne!(old, new);
    let mut second = program.viewer(&new, &race.own);
    until_logged_out(&program, &old);
    assert_eq!(program.refusal(&new), None);
    program.shows(&race, &mut viewer);
    second.message();
    program.shows(&race, &mut second);
}

#[test]
fn f58_a_user_who_is_suspended_is_closed_4401_by_the_next_look() {
    let directus = shared();
    let race = Race::add(&directus);
    let program = Program::start(&directus, Authority::Directus);
    let cookie = directus.log_in(&race.name);
    let mut viewer = program.viewer(&cookie, &race.own);
    program.wait_for_revalidation();
    assert_eq!(decided(&mut viewer, &race.own), "subscribed", "nobody is closed without a reason");
    directus.change_user(&race.user, &json!({ "status": "suspended" }));
    assert_eq!(viewer.closed().0, 4401);
    until_logged_out(&program, &cookie);
}

#[test]
fn f57_t23_who_loses_the_membership_gets_forbidden_and_unsubscribed() {
    let directus = shared();
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
        assert_eq!(decided(&mut viewer, &race.own), "forbidden", "{authority:?}");
        race.join(&directus);
    }
}

#[test]
fn f52_f56_a_killed_directus_logs_nobody_out_and_all_is_well_when_it_is_back() {
    let directus = shared();
    let race = Race::add(&directus);
    let mut asked = directus.another("8s");
    let start = |authority| Program::start_asking(asked.port(), &directus, authority);
    let (mut program, mut by_table) = (start(Authority::Directus), start(Authority::Membership));
    let (cookie, other) = (directus.log_in(&race.name), directus.log_in(&race.name));
    let mut viewer = program.viewer(&cookie, &race.own);
    let mut viewer_by_table = by_table.viewer(&cookie, &race.own);
    let short = asked.log_in(&race.name);
    let mut expires = program.viewer(&short, &race.own);

    asked.kill();
    assert_eq!(program.refusal(&other), Some(1013));
    assert_eq!(by_table.refusal(&other), Some(1013));
    assert_eq!(answer(&mut viewer, &race.foreign), "error");
    assert_eq!(answer(&mut viewer_by_table, &race.foreign), "forbidden");
    assert_eq!(answer(&mut viewer_by_table, &race.own_empty), "subscribed");
    program.wait_for_revalidation();
    program.shows(&race, &mut viewer);
    by_table.shows(&race, &mut viewer_by_table);

    asked.run();
    until("a newcomer is let in", || match program.refusal(&other) {
        None => true,
        Some(code) => {
            assert_eq!(code, 1013, "nobody is logged out");
            false
        }
    });
    until("questions are answered", || answer(&mut viewer, &race.foreign) == "forbidden");
    until_logged_out(&program, &short);
    assert_eq!(program.refusal(&cookie), None, "the others have a day");
    expires.message();
    program.shows(&race, &mut expires);
    viewer.message();
    program.shows(&race, &mut viewer);
}
