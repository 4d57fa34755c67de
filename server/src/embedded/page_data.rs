//! What the page cannot learn from `/ws-live`: the events with their courses, and how devices are
//! called. Finished bytes, made when the roster changes.

use std::sync::Arc;

use super::others::Others;
use super::roster::{Device, RosterFile};
use crate::log::push_escaped_whole;

/// The bytes of `/page.json`: at most [`SLOTS_MAX`](engine::limits::SLOTS_MAX) devices that came by
/// themselves, 70 bytes each, beside what the file names.
pub(super) fn bytes(
    file: &RosterFile,
    others: &Others,
    has_login: bool,
    style: Option<&str>,
) -> Arc<[u8]> {
    let mut text = String::with_capacity(4_096);
    text.push_str(if has_login { "{\"login\":\"token\"" } else { "{\"login\":null" });
    member(&mut text, ",\"style\":", style);
    text.push_str(",\"events\":[");
    for (index, event) in file.events.iter().enumerate() {
        text.push_str(if index == 0 { "" } else { "," });
        member(&mut text, "{\"id\":", Some(&event.id.to_string()));
        member(&mut text, ",\"name\":", Some(&event.name));
        if event.organization.is_some() {
            member(&mut text, ",\"organization\":", event.organization.as_deref());
        }
        text.push_str(",\"course\":");
        text.push_str(event.course.as_deref().unwrap_or("null"));
        text.push_str(",\"devices\":[");
        let mut separator = "";
        for device in file.devices_of(event) {
            text.push_str(std::mem::replace(&mut separator, ","));
            push_device(&mut text, &device.imei, Some(device));
        }
        for imei in others.of(event.id) {
            text.push_str(std::mem::replace(&mut separator, ","));
            push_device(&mut text, imei, file.device(imei));
        }
        text.push_str("]}");
    }
    text.push_str("]}");
    text.into_bytes().into()
}

/// A device without a name is called by the end of its IMEI, which is what stands on it.
fn push_device(text: &mut String, imei: &str, device: Option<&Device>) {
    let name = device.and_then(|device| device.name.as_deref());
    member(text, "{\"id\":", Some(imei));
    member(text, ",\"name\":", Some(name.unwrap_or(imei)));
    member(text, ",\"number\":", device.and_then(|device| device.number.as_deref()));
    text.push('}');
}

fn member(text: &mut String, key: &str, value: Option<&str>) {
    text.push_str(key);
    let Some(value) = value else { return text.push_str("null") };
    text.push('"');
    push_escaped_whole(text, value);
    text.push('"');
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use sonic_rs::{JsonValueTrait as _, Value};

    use super::bytes;
    use crate::embedded::others::Others;
    use crate::embedded::roster::tests::read_good;

    #[test]
    fn the_page_learns_events_and_devices_and_a_wildcard_takes_in_who_was_seen() {
        let file = read_good(
            "[[event]]\nname = \"a \\\"b\\\"\"\ndevices = \"any\"\n[[event]]\nname = \"c\"\n\
             [[device]]\nimei = \"356307042441013\"\nname = \"Blue\"\nnumber = 7\nevents = [\"c\"]\n",
            Path::new("/nowhere"),
        );
        let seen = ["356307042441013", "356307042441014"].map(Arc::from).into();
        let (others, _) = Others::default().next(&file, &seen, (10, 10));
        let page: Value = sonic_rs::from_slice(&bytes(&file, &others, true, None)).unwrap();
        let text = |path: &[&str]| page.pointer(path).and_then(|it| it.as_str().map(str::to_owned));
        assert_eq!(text(&["login"]).as_deref(), Some("token"));
        let event = |index: usize| page.get("events").and_then(|it| it.get(index)).unwrap();
        assert_eq!(event(0).get("name").as_str(), Some("a \"b\""));
        let device = |event: &Value, index: usize, key: &str| {
            let device = event.get("devices").and_then(|it| it.get(index).cloned());
            device.and_then(|it| it.get(key).as_str().map(str::to_owned))
        };
        assert_eq!(device(event(0), 0, "name").as_deref(), Some("Blue"));
        assert_eq!(device(event(0), 1, "name").as_deref(), Some("356307042441014"));
        assert_eq!(device(event(1), 0, "number").as_deref(), Some("7"));
        assert_eq!(device(event(1), 1, "name"), None);
    }
}
