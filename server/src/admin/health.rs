//! Do the loops turn, and may viewers be sent here?

use sonic_rs::{Value, json};

use super::http::{self, Request};
use crate::http::Answer;
use crate::status::{Component, Role, Status};

/// Says whether every loop has come round lately. It asks nobody: neither Redis nor the database can
/// have this process restarted.
pub(super) fn healthz(status: &Status) -> Answer {
    let mut stuck = String::new();
    for heartbeat in status.heartbeats() {
        let (silence_ms, most_ms) = (heartbeat.silence_ms(), heartbeat.silence_ms_max);
        if silence_ms > most_ms {
            let name = &heartbeat.name;
            stuck.push_str(&format!(
                "The loop `{name}` has been silent for {silence_ms} ms; {most_ms} are allowed. \
                 Start this process again.\n"
            ));
        }
    }
    if stuck.is_empty() { http::text(200, "ok") } else { http::text(503, &stuck) }
}

/// Says whether this process does what it is there for, or what one role of it is there for, and what
/// each component says of itself.
pub(super) fn readyz(status: &Status, request: &Request) -> Answer {
    let role = request.parameter("role");
    let known = role.and_then(Role::named);
    if role.is_some() && known.is_none() {
        return http::text(400, "A role is `live`, `durable` or `ingest`.");
    }
    let is_ready = status.is_ready_for(known);
    let body = json!({
        "ready": is_ready,
        "draining": status.is_draining(),
        "components": components(status),
    });
    http::json(if is_ready { 200 } else { 503 }, &body)
}

/// The components, in words.
pub(super) fn components(status: &Status) -> Vec<Value> {
    status.components().iter().map(|component| one(component)).collect()
}

fn one(component: &Component) -> Value {
    let report = component.report();
    json!({
        "name": component.name,
        "state": report.state.word(),
        "needed": component.needed_by.is_some(),
        "role": component.needed_by.map(Role::word),
        "reason": report.reason,
        "effect": report.effect,
        "remedy": report.remedy,
        "since": time(report.since_ms),
    })
}

/// Epoch milliseconds as people and programs read them.
pub(super) fn time(epoch_ms: i64) -> String {
    let mut text = String::new();
    crate::log::push_time(&mut text, epoch_ms);
    text
}
