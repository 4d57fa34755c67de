//! Holds messages against the JSON Schema of v1, the same file that the client for browsers is made of.
//!
//! It knows the words of JSON Schema that the file uses, and refuses a file that uses others: a rule
//! that nobody looks at must not stand there.

use std::sync::LazyLock;

use serde_json::{Map, Value};

/// The one schema of all messages.
static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
    let text = include_str!("../../server/web/client/schema/v1.schema.json");
    serde_json::from_str(text).expect("the schema is JSON")
});

/// Words that explain and demand nothing.
const EXPLAIN: [&str; 3] = ["title", "description", "$comment"];

/// What is wrong with a message of the server, if anything is.
///
/// # Panics
/// When the schema says something that is not known here.
#[must_use]
pub fn complaint(message: &Value) -> Option<String> {
    follow("#/definitions/serverMessage").complaint(message)
}

/// One schema within the file.
#[derive(Clone, Copy)]
struct Rule(&'static Map<String, Value>);

fn follow(reference: &str) -> Rule {
    let found = reference.strip_prefix('#').and_then(|path| SCHEMA.pointer(path));
    rule(found.unwrap_or_else(|| panic!("{reference} is not in the schema")))
}

fn rule(value: &'static Value) -> Rule {
    Rule(value.as_object().unwrap_or_else(|| panic!("{value} is no schema")))
}

impl Rule {
    fn complaint(self, value: &Value) -> Option<String> {
        self.0.iter().find_map(|(word, demand)| self.one(word, demand, value))
    }

    fn one(self, word: &str, demand: &'static Value, value: &Value) -> Option<String> {
        let not = |is_right: bool| (!is_right).then(|| format!("{value} is not {word} {demand}"));
        let number = || value.as_f64().unwrap_or(f64::NAN);
        let bound = || demand.as_f64().expect("a bound is a number");
        match word {
            "$ref" => follow(demand.as_str().expect("a reference is a text")).complaint(value),
            "oneOf" => {
                let all = demand.as_array().expect("a list of schemas").iter();
                let complaints: Vec<String> =
                    all.clone().filter_map(|it| rule(it).complaint(value)).collect();
                (complaints.len() + 1 != all.count()).then(|| complaints.join("; "))
            }
            "type" => not(is_of(value, demand.as_str().expect("a type is a text"))),
            "const" => not(value == demand),
            "enum" => not(demand.as_array().expect("a list of values").contains(value)),
            "minimum" => not(number() >= bound()),
            "maximum" => not(number() <= bound()),
            "exclusiveMinimum" => not(number() > bound()),
            "minLength" => not(length(value) as f64 >= bound()),
            "maxLength" => not(length(value) as f64 <= bound()),
            "pattern" => {
                let pattern = demand.as_str().expect("a pattern is a text");
                not(value.as_str().is_some_and(|text| matches(pattern, text)))
            }
            "items" => value.as_array()?.iter().find_map(|item| rule(demand).complaint(item)),
            "required" => {
                let mut names = demand.as_array().expect("a list of names").iter();
                not(names.all(|name| value.get(name.as_str().expect("a name")).is_some()))
            }
            "properties" => value.as_object()?.iter().find_map(|(name, value)| {
                rule(demand.get(name)?).complaint(value).map(|words| format!("{name}: {words}"))
            }),
            "additionalProperties" => {
                assert_eq!(*demand, false, "nothing else is said of them");
                let known = self.0.get("properties").and_then(Value::as_object);
                let known = |name: &String| known.is_some_and(|known| known.contains_key(name));
                not(value.as_object()?.keys().all(known))
            }
            word if EXPLAIN.contains(&word) => None,
            word => panic!("the schema says {word}, which nobody here understands"),
        }
    }
}

fn is_of(value: &Value, kind: &str) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.is_i64() || value.is_u64(),
        kind => panic!("nobody here knows the type {kind}"),
    }
}

/// Characters of a text.
fn length(value: &Value) -> usize {
    value.as_str().map_or(usize::MAX, |text| text.chars().count())
}

/// Matches a whole text against a pattern of characters and classes like `[0-9a-f]{8}`.
fn matches(pattern: &str, text: &str) -> bool {
    let pattern = pattern.strip_prefix('^').and_then(|rest| rest.strip_suffix('$'));
    let mut pattern = pattern.expect("a pattern of whole texts").chars();
    let mut text = text.chars();
    while let Some(character) = pattern.next() {
        if character != '[' {
            assert!(character.is_alphanumeric() || "-:".contains(character), "{character:?}");
            if text.next() != Some(character) {
                return false;
            }
            continue;
        }
        let class: Vec<char> = pattern.by_ref().take_while(|&it| it != ']').collect();
        assert_eq!(pattern.next(), Some('{'), "a class says how often");
        let count: String = pattern.by_ref().take_while(|&it| it != '}').collect();
        let ranges = class.chunks(3);
        let is_in = |it: char| ranges.clone().any(|range| (range[0]..=range[2]).contains(&it));
        for _ in 0..count.parse::<usize>().expect("a count") {
            if !text.next().is_some_and(is_in) {
                return false;
            }
        }
    }
    text.next().is_none()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{complaint, matches};

    const TOPIC: &str = "event:1f0c5b9a-6d3e-4c8a-9f3e-2b7d1a4e8c55";

    fn position() -> Value {
        json!({"type": "position", "topic": TOPIC, "deviceId": "356307042441013", "lat": 41.5,
            "lon": 19, "ts": 1_780_733_730_000_i64, "speed": 63})
    }

    #[test]
    fn a_message_as_the_schema_says_is_right_and_one_that_differs_is_not() {
        assert_eq!(complaint(&position()), None);
        for (name, value) in [
            ("deviceId", json!("35630704244101")),
            ("lat", json!(90.5)),
            ("lon", json!("19")),
            ("ts", json!(1.5)),
            ("speed", json!(0)),
            ("course", json!(361)),
            ("topic", json!("event:1F0C5B9A-6d3e-4c8a-9f3e-2b7d1a4e8c55")),
            ("accuracy", json!(3)),
            ("type", json!("positions")),
        ] {
            let mut message = position();
            message[name] = value;
            assert!(complaint(&message).is_some(), "{message}");
        }
        let subscribed = json!({"type": "subscribed", "topic": TOPIC, "id": "a", "snapshot": []});
        assert_eq!(complaint(&subscribed), None);
        assert!(complaint(&json!({"type": "subscribed", "topic": TOPIC})).is_some());
    }

    #[test]
    fn patterns_match_whole_texts() {
        for (pattern, text, expected) in [
            ("^[0-9]{2}$", "12", true),
            ("^[0-9]{2}$", "1", false),
            ("^[0-9]{2}$", "123", false),
            ("^a:[0-9a-f]{1}-$", "a:f-", true),
            ("^a:[0-9a-f]{1}-$", "a:g-", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }
}
