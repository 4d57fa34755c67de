//! One JSON object per line, for programs that read what a tool writes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::log::push_escaped_whole;

/// An object that is being written.
#[derive(Debug)]
pub(super) struct Object(String);

impl Object {
    /// One with nothing in it.
    pub(super) fn new() -> Self {
        Self("{".to_owned())
    }

    /// Adds a text.
    pub(super) fn text(mut self, name: &str, value: &str) -> Self {
        self.name(name);
        push_text(&mut self.0, value);
        self
    }

    /// Adds a number; null when it is not known.
    pub(super) fn number(mut self, name: &str, value: Option<u64>) -> Self {
        self.name(name);
        self.0 += &value.map_or_else(|| "null".to_owned(), |value| value.to_string());
        self
    }

    /// Adds a yes or no.
    pub(super) fn is(mut self, name: &str, value: bool) -> Self {
        self.name(name);
        self.0 += if value { "true" } else { "false" };
        self
    }

    /// Adds bytes: a text, or `{"base64": ...}` when they are none; null when there are none.
    pub(super) fn bytes(mut self, name: &str, value: Option<&[u8]>) -> Self {
        self.name(name);
        match value {
            None => self.0 += "null",
            Some(value) => push_bytes(&mut self.0, value),
        }
        self
    }

    /// Adds pairs, as a list since names may come twice.
    pub(super) fn pairs(mut self, name: &str, pairs: &[(Vec<u8>, Vec<u8>)]) -> Self {
        self.name(name);
        self.0.push('[');
        for (at, (name, value)) in pairs.iter().enumerate() {
            self.0 += if at == 0 { "[" } else { ",[" };
            push_bytes(&mut self.0, name);
            self.0.push(',');
            push_bytes(&mut self.0, value);
            self.0.push(']');
        }
        self.0.push(']');
        self
    }

    /// The whole line, without its end.
    pub(super) fn line(mut self) -> String {
        self.0.push('}');
        self.0
    }

    fn name(&mut self, name: &str) {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        push_text(&mut self.0, name);
        self.0.push(':');
    }
}

fn push_text(line: &mut String, value: &str) {
    line.push('"');
    push_escaped_whole(line, value);
    line.push('"');
}

fn push_bytes(line: &mut String, value: &[u8]) {
    match str::from_utf8(value) {
        Ok(value) => push_text(line, value),
        Err(_) => *line += &format!("{{\"base64\":\"{}\"}}", STANDARD.encode(value)),
    }
}

#[cfg(test)]
mod tests {
    use super::Object;

    #[test]
    fn a_line_is_json_whatever_is_in_it() {
        let pairs = [(b"a".to_vec(), b"\xff".to_vec()), (b"a".to_vec(), Vec::new())];
        let line = Object::new()
            .text("id", "1-0")
            .number("age_ms", None)
            .number("count", Some(3))
            .is("lost", true)
            .bytes("device", Some(b"\x1b\"\\"))
            .bytes("none", None)
            .pairs("fields", &pairs)
            .line();
        let expected = "{\"id\":\"1-0\",\"age_ms\":null,\"count\":3,\"lost\":true,\
                        \"device\":\"\\u001b\\\"\\\\\",\"none\":null,\
                        \"fields\":[[\"a\",{\"base64\":\"/w==\"}],[\"a\",\"\"]]}";
        assert_eq!(line, expected);
        let value: sonic_rs::Value = sonic_rs::from_str(&line).unwrap();
        assert!(sonic_rs::JsonValueTrait::is_object(&value));
    }
}
