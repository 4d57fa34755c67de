//! Everything about this process on one page, for programs and for people.

use std::fmt::Write as _;
use std::sync::Arc;

use sonic_rs::{Value, json};

use super::health::{components, time};
use super::http::{self, Request};
use crate::context::Context;
use crate::http::Answer;
use crate::metrics::{LimitUse, Section};

/// JSON, unless text is asked for: by `?format=text`, or by a browser.
pub(super) fn statusz(
    request: &Request,
    context: &Context,
    sections: &[Arc<dyn Section>],
) -> Answer {
    let limits: Vec<LimitUse> = sections.iter().flat_map(|section| section.limits()).collect();
    let is_text = match request.parameter("format") {
        Some(format) => format == "text",
        None => request.accept.contains("text/") && !request.accept.contains("application/json"),
    };
    if is_text {
        http::text(200, &text(context, &limits))
    } else {
        http::json(200, &value(context, &limits))
    }
}

fn value(context: &Context, limits: &[LimitUse]) -> Value {
    let status = &context.status;
    let loops: Vec<Value> = status
        .heartbeats()
        .iter()
        .map(|beat| {
            let silence_ms = beat.silence_ms();
            json!({ "name": beat.name, "silence_ms": silence_ms, "silence_ms_max": beat.silence_ms_max })
        })
        .collect();
    let limits: Vec<Value> = limits
        .iter()
        .map(|limit| json!({ "name": limit.name, "used": limit.used, "allowed": limit.allowed }))
        .collect();
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "instance_id": context.config.instance_id,
        "time": time(crate::clock::wall_ms()),
        "uptime_seconds": context.clock.monotonic_ms() / 1_000,
        "shards": shard_count(context),
        "ready": status.is_ready(),
        "draining": status.is_draining(),
        "components": components(status),
        "loops": loops,
        "limits": limits,
    })
}

/// The shards that run.
fn shard_count(context: &Context) -> u8 {
    if context.config.roles.live { context.config.live.shard_count } else { 0 }
}

fn text(context: &Context, limits: &[LimitUse]) -> String {
    let status = &context.status;
    let mut text = String::with_capacity(4_096);
    let mut line = |words: std::fmt::Arguments<'_>| {
        text.write_fmt(words).and_then(|()| text.write_char('\n')).expect("text grows");
    };
    let (version, instance_id) = (env!("CARGO_PKG_VERSION"), &context.config.instance_id);
    let ready = match (status.is_ready(), status.is_draining()) {
        (true, _) => "ready",
        (false, true) => "going away",
        (false, false) => "not ready",
    };
    let (shards, uptime) = (shard_count(context), context.clock.monotonic_ms() / 1_000);
    line(format_args!("pitwall {version}, instance {instance_id}: {ready}"));
    line(format_args!("up for {uptime} s, {shards} shards, {}", time(crate::clock::wall_ms())));
    line(format_args!("\nCOMPONENT    STATE     SINCE"));
    for component in status.components() {
        let report = component.report();
        let (state, since) = (report.state.word(), time(report.since_ms));
        line(format_args!("{:<12} {state:<9} {since}", component.name));
        for words in [&report.reason, &report.effect, &report.remedy] {
            if !words.is_empty() {
                line(format_args!("    {words}"));
            }
        }
    }
    line(format_args!("\n{:<32} {:>10} {:>10}", "LOOP", "SILENT MS", "AT MOST"));
    for beat in status.heartbeats() {
        let (name, silence_ms) = (&beat.name, beat.silence_ms());
        line(format_args!("{name:<32} {silence_ms:>10} {:>10}", beat.silence_ms_max));
    }
    line(format_args!("\n{:<32} {:>10} {:>10}", "LIMIT", "USED", "ALLOWED"));
    for limit in limits {
        line(format_args!("{:<32} {:>10} {:>10}", limit.name, limit.used, limit.allowed));
    }
    text
}
