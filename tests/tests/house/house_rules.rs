//! One test per rule, with the examples that prove it.

use crate::{Example, check, manifests, project, sources, texts};

#[test]
fn every_source_says_first_what_it_is_responsible_for() {
    let examples: &[Example<'_>] = &[
        ("engine/src/a.rs", "use b::c;\n", &[1]),
        ("engine/src/a.rs", "//! (later)\n", &[1]),
        ("engine/src/a.rs", "//! Keeps the newest position.\n", &[]),
        ("server/web/page/src/a.ts", "import b from 'c';\n", &[1]),
        ("server/web/page/src/a.ts", "// Keeps the list of cars.\n", &[]),
        ("README.md", "# Title\n", &[]),
    ];
    check(sources::opens_with_its_responsibility, examples);
}

#[test]
fn every_source_fits_in_one_sitting() {
    let longest = "\n".repeat(500);
    let too_long = "\n".repeat(501);
    check(
        sources::fits_in_one_sitting,
        &[
            ("engine/src/a.rs", &too_long, &[501]),
            ("server/web/page/src/a.ts", &too_long, &[501]),
            ("engine/src/a.rs", &longest, &[]),
        ],
    );
}

#[test]
fn every_name_tells_what_is_inside() {
    let examples: &[Example<'_>] = &[
        ("engine/src/slots/mod.rs", "", &[1]),
        ("engine/src/frame_utils.rs", "", &[1]),
        ("engine/src/a.rs", "\nstruct SlotManager;", &[2]),
        ("engine/src/a.rs", "\nfn parse_helper() {}", &[2]),
        ("engine/src/a.rs", "// a manager\nstruct Slots;", &[]),
    ];
    check(sources::has_a_telling_name, examples);
}

#[test]
fn no_function_is_called_get() {
    let examples: &[Example<'_>] = &[
        ("engine/src/a.rs", "pub fn get_slot() {}", &[1]),
        ("engine/src/a.rs", "pub fn slot() { a.get_or_init() }", &[]),
    ];
    check(sources::no_function_is_called_get, examples);
}

#[test]
fn live_and_durable_do_not_know_each_other() {
    let examples: &[Example<'_>] = &[
        ("server/src/live/source.rs", "use crate::durable::writer;", &[1]),
        ("server/src/durable.rs", "\nuse crate::{live, error};", &[2]),
        ("server/src/ingest/listener.rs", "use crate::live::admission;", &[1]),
        ("server/src/live/source.rs", "// durable reads apart\nuse engine::decode;", &[]),
        ("server/src/live/access.rs", "use crate::embedded::StoreHandle;", &[1]),
        ("server/src/durable/lane.rs", "use crate::embedded::StoreHandle;", &[1]),
        ("server/src/embedded/keeper.rs", "use crate::live::source::SourceMail;", &[]),
        ("server/src/embedded/store.rs", "use crate::durable::lane;", &[1]),
        ("server/src/lib.rs", "mod durable; mod live;", &[]),
    ];
    check(sources::planes_do_not_know_each_other, examples);
}

#[test]
fn the_engine_is_pure() {
    let examples: &[Example<'_>] = &[
        ("engine/src/a.rs", "use std::net::TcpStream;", &[1]),
        ("engine/src/a.rs", "use std::{fmt, thread};", &[1]),
        ("engine/src/a.rs", "let now = Instant::now();", &[1]),
        ("engine/src/a.rs", "/// Not std::net.\nuse std::{fmt, mem};", &[]),
        ("server/src/a.rs", "use std::net::TcpStream;", &[]),
    ];
    check(sources::engine_is_pure, examples);
}

#[test]
fn the_engine_forbids_unsafe_code() {
    let examples: &[Example<'_>] = &[
        ("engine/src/lib.rs", "//! Pure.\n// #![forbid(unsafe_code)]\n", &[1]),
        ("engine/src/lib.rs", "//! Pure.\n#![forbid(unsafe_code)]\n", &[]),
    ];
    check(manifests::engine_forbids_unsafe, examples);
}

#[test]
fn unsafe_code_stands_only_where_it_was_audited() {
    let examples: &[Example<'_>] = &[
        ("server/src/a.rs", "\nunsafe { b() }", &[2]),
        ("bench/src/counting.rs", "unsafe { b() }", &[]),
        ("server/src/a.rs", "// unsafe\n#![forbid(unsafe_code)]", &[]),
    ];
    check(sources::unsafe_is_only_where_it_was_audited, examples);
}

#[test]
fn one_word_has_one_meaning() {
    let examples: &[Example<'_>] = &[
        ("engine/src/a.rs", "struct TrackerId(u32);", &[1]),
        ("engine/src/a.rs", "\nlet spectator_count = 1;", &[2]),
        ("engine/src/a.rs", "let viewer_count = 1; // spectators", &[]),
    ];
    check(sources::words_have_one_meaning, examples);
}

#[test]
fn every_limit_says_what_it_costs() {
    let examples: &[Example<'_>] = &[
        (
            "engine/src/limits.rs",
            "/// Costs 1 B.\npub const A: u8 = 1;\npub const B: u8 = 2;",
            &[3],
        ),
        ("engine/src/limits.rs", "/// Costs 1 B.\npub const A: u8 = 1;", &[]),
    ];
    check(sources::every_limit_is_explained, examples);
}

#[test]
fn no_test_is_ignored() {
    let examples: &[Example<'_>] = &[
        ("tests/tests/a.rs", "#[test]\n#[ignore = \"slow\"]\nfn a() {}", &[2]),
        ("tests/tests/a.rs", "// #[ignore]\n#[test]\nfn a() {}", &[]),
    ];
    check(sources::no_test_is_ignored, examples);
}

#[test]
fn no_test_sleeps() {
    let examples: &[Example<'_>] = &[
        ("tests/tests/a.rs", "use std::thread::sleep;\n\nthread::sleep(second);", &[1, 3]),
        ("tests/src/program.rs", "thread::sleep(pause);", &[]),
        ("tests/tests/a.rs", "// sleep\nasleep();", &[]),
    ];
    check(sources::no_test_sleeps, examples);
}

#[test]
fn every_dependency_has_a_reason() {
    let table = "[workspace.dependencies]\nengine = { path = \"engine\" }\n";
    let bad = format!("{table}# Why.\na = \"1\"\nb = \"1\"\n[profile.dev]\ndebug = 1\n");
    let good = format!("{table}# Why.\na = \"1\"\n");
    check(
        manifests::every_dependency_has_a_reason,
        &[("Cargo.toml", &bad, &[5]), ("Cargo.toml", &good, &[])],
    );
}

#[test]
fn members_take_versions_and_lints_from_the_workspace() {
    let member = "[package]\nname = \"a\"\n";
    let bad = format!("{member}[dependencies]\nb = \"1\"\nc.workspace = true\n");
    let good =
        format!("{member}[lints]\nworkspace = true\n[dev-dependencies]\nc.workspace = true\n");
    let examples: &[Example<'_>] =
        &[("bench/Cargo.toml", bad.as_str(), &[4, 1]), ("bench/Cargo.toml", good.as_str(), &[])];
    check(manifests::members_inherit, examples);
}

#[test]
fn the_engine_depends_on_little() {
    let examples: &[Example<'_>] = &[
        ("engine/Cargo.toml", "[dependencies]\ntokio.workspace = true\n", &[2]),
        ("engine/Cargo.toml", "[dependencies]\nhashbrown.workspace = true\n", &[]),
    ];
    check(manifests::engine_depends_on_little, examples);
}

#[test]
fn clippy_bounds_functions_and_argument_lists() {
    let good = "too-many-lines-threshold = 70\ntoo-many-arguments-threshold = 5\n";
    let bad = "too-many-lines-threshold = 700\ntoo-many-arguments-threshold = 5\n";
    check(
        manifests::clippy_bounds_functions,
        &[(".clippy.toml", bad, &[1]), ("engine/clippy.toml", good, &[])],
    );
    assert!(project::file(".clippy.toml").text.contains("threshold"));
    assert!(project::file("engine/clippy.toml").text.contains("threshold"));
}

#[test]
fn public_text_speaks_of_the_project_alone() {
    let examples: &[Example<'_>] = &[
        ("README.md", concat!("\nSee /", "work/notes."), &[2]),
        ("engine/src/a.rs", "//! A.\n// TODO: b", &[2]),
        ("README.md", "The network/ folder; see the issues.", &[]),
    ];
    check(texts::speaks_of_the_project_alone, examples);
}

#[test]
fn every_link_leads_somewhere() {
    let examples: &[Example<'_>] = &[
        ("README.md", "\n[gone](nowhere.md#part) [web](https://example.org)", &[2]),
        ("tests/README.md", "[the map](../Cargo.toml) [below](#below)", &[]),
    ];
    check(texts::links_lead_somewhere, examples);
}

#[test]
fn the_top_level_is_short() {
    let examples: &[Example<'_>] = &[
        ("notes.md", "", &[1]),
        ("scripts/a.sh", "", &[1]),
        (".gitignore", "", &[]),
        ("tests/run", "", &[]),
    ];
    check(texts::top_level_is_short, examples);
}
