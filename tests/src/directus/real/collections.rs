//! The platform's collections, its role and the rule that users see events of their organizations.

use serde_json::{Value, json};

use super::RealDirectus;

/// Collections with their fields beside `id`, each with its type.
const COLLECTIONS: [(&str, &[(&str, &str)]); 6] = [
    ("organizations", &[("name", "string")]),
    (
        "events",
        &[
            ("organization_id", "uuid"),
            ("name", "string"),
            ("slug", "string"),
            ("starts_at", "timestamp"),
            ("ends_at", "timestamp"),
        ],
    ),
    ("organization_users", &[("organization_id", "uuid"), ("user_id", "uuid"), ("role", "string")]),
    ("devices", &[("imei", "string")]),
    ("entries", &[("event_id", "uuid"), ("race_number", "integer"), ("status", "string")]),
    ("entry_devices", &[("entry_id", "uuid"), ("device_id", "uuid")]),
];

/// Which field leads to which collection.
const RELATIONS: [(&str, &str, &str); 6] = [
    ("events", "organization_id", "organizations"),
    ("organization_users", "organization_id", "organizations"),
    ("organization_users", "user_id", "directus_users"),
    ("entries", "event_id", "events"),
    ("entry_devices", "entry_id", "entries"),
    ("entry_devices", "device_id", "devices"),
];

/// Makes everything, and returns the id of the role.
pub(super) fn create(directus: &RealDirectus) -> String {
    for (collection, fields) in COLLECTIONS {
        directus.admin("POST", "/collections", Some(&collection_of(collection, fields)));
    }
    // The way back from an organization to its users, by which the rule below finds them.
    let users = json!({ "field": "users", "type": "alias", "meta": { "special": ["o2m"] } });
    directus.admin("POST", "/fields/organizations", Some(&users));
    for (collection, field, related) in RELATIONS {
        let is_members = (collection, field) == ("organization_users", "organization_id");
        let relation = json!({
            "collection": collection,
            "field": field,
            "related_collection": related,
            "schema": { "on_delete": "SET NULL" },
            "meta": { "one_field": is_members.then_some("users") },
        });
        directus.admin("POST", "/relations", Some(&relation));
    }
    let policy = json!({ "name": "Sees own events", "admin_access": false, "app_access": false });
    let policy = directus.admin("POST", "/policies", Some(&policy)).text("id");
    let rule = json!({
        "policy": policy,
        "collection": "events",
        "action": "read",
        "fields": ["*"],
        "permissions": {
            "organization_id": { "users": { "user_id": { "_eq": "$CURRENT_USER" } } },
        },
    });
    directus.admin("POST", "/permissions", Some(&rule));
    let role = directus.admin("POST", "/roles", Some(&json!({ "name": "Racer" }))).text("id");
    directus.admin("POST", "/access", Some(&json!({ "role": role, "policy": policy })));
    role
}

/// A collection whose key is a uuid, like all of them.
fn collection_of(collection: &str, fields: &[(&str, &str)]) -> Value {
    let key = json!({
        "field": "id",
        "type": "uuid",
        "schema": { "is_primary_key": true, "has_auto_increment": false },
        "meta": { "special": ["uuid"] },
    });
    let others = fields.iter().map(|(field, kind)| json!({ "field": field, "type": kind }));
    let fields: Vec<Value> = std::iter::once(key).chain(others).collect();
    json!({ "collection": collection, "schema": {}, "meta": {}, "fields": fields })
}
