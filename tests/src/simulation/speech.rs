//! What a viewer says: masked frames, whole or in fragments, right or wrong.

use std::collections::VecDeque;

use super::model::Model;
use super::oracle::{Echo, Said};
use super::random::Random;

/// Bytes on their way to the server, and what they mean.
#[derive(Debug, Default)]
pub(crate) struct Speech {
    bytes: Vec<u8>,
    at: usize,
    /// Where in `bytes` each thing said ends.
    marks: VecDeque<(usize, Said)>,
    next_id: u32,
    ping_count: u32,
    /// Nothing is said after a close or a mistake of framing.
    is_over: bool,
}

/// What a viewer asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wish {
    /// The event.
    pub(crate) event: usize,
    /// To watch it, or to watch it no more.
    pub(crate) is_subscribe: bool,
    /// The request has an id.
    pub(crate) gives_id: bool,
}

impl Speech {
    /// True when there is nothing to deliver.
    #[must_use]
    pub(crate) const fn is_silent(&self) -> bool {
        self.at == self.bytes.len()
    }

    /// The next bytes to deliver: about `wanted`, but a mistake of framing is never cut, since
    /// the server may notice it at any of its bytes.
    pub(crate) fn next(&mut self, wanted: usize) -> &mut [u8] {
        let mut end = self.bytes.len().min(self.at + wanted);
        if let Some(&(mark, Said::Failure(_))) = self.marks.back()
            && self.marks.iter().rev().nth(1).is_none_or(|&(before, _)| before < end)
        {
            end = mark;
        }
        let from = self.at;
        self.at = end;
        &mut self.bytes[from..end]
    }

    /// What has been delivered whole.
    pub(crate) fn heard(&mut self) -> Option<Said> {
        let &(end, said) = self.marks.front()?;
        if end > self.at {
            return None;
        }
        self.marks.pop_front();
        if self.marks.is_empty() && self.is_silent() {
            self.bytes.clear();
            self.at = 0;
        }
        Some(said)
    }

    /// Subscribes or unsubscribes.
    pub(crate) fn request(&mut self, model: &Model, wish: Wish, random: &mut Random) {
        let Wish { event, is_subscribe, gives_id } = wish;
        let id = gives_id.then(|| self.id());
        let kind = if is_subscribe { "subscribe" } else { "unsubscribe" };
        let uuid = String::from_utf8_lossy(&model.events[event].uuid);
        let id_text = id.map_or_else(String::new, |id| format!(r#","id":"r{id:04}""#));
        let text = format!(r#"{{"type":"{kind}","topic":"event:{uuid}"{id_text}}}"#);
        let said = if is_subscribe {
            Said::Subscribe { event, id }
        } else {
            Said::Unsubscribe { event, id }
        };
        self.text(text.as_bytes(), said, random);
    }

    /// Says something that v1 does not know.
    pub(crate) fn nonsense(&mut self, model: &Model, event: usize, random: &mut Random) {
        const VIOLATION: &str = "protocol-violation";
        let id = self.id();
        let uuid = String::from_utf8_lossy(&model.events[event].uuid);
        let (text, code, topic, id) = match random.below(7) {
            0 => (r#"{"type":"subscribe"}"#.to_owned(), VIOLATION, Echo::Nothing, None),
            1 => ("not json".to_owned(), VIOLATION, Echo::Nothing, None),
            2 => (
                format!(r#"{{"type":"subscribe","topic":"race:1","id":"r{id:04}"}}"#),
                "unknown-topic",
                Echo::Text("race:1"),
                Some(id),
            ),
            3 => (
                r#"{"type":"unsubscribe","topic":"event:7"}"#.to_owned(),
                "unknown-topic",
                Echo::Text("event:7"),
                None,
            ),
            4 => (
                format!(r#"{{"type":"hello","topic":"event:{uuid}","id":"r{id:04}"}}"#),
                VIOLATION,
                Echo::Event(event),
                Some(id),
            ),
            5 => (
                format!(r#"{{"type":"subscribe","topic":"event:{uuid}","more":[1]}}"#),
                VIOLATION,
                Echo::Event(event),
                None,
            ),
            _ => ("[]".to_owned(), VIOLATION, Echo::Nothing, None),
        };
        self.text(text.as_bytes(), Said::Invalid { code, topic, id }, random);
    }

    /// Pings.
    pub(crate) fn ping(&mut self, random: &mut Random) {
        if !self.is_over {
            self.ping_count += 1;
            let payload = self.ping_count.to_be_bytes();
            self.frame(0x89, &payload, random);
            self.mark(Said::Ping(self.ping_count));
        }
    }

    /// Pongs.
    pub(crate) fn pong(&mut self, random: &mut Random) {
        if !self.is_over {
            self.frame(0x8A, b"", random);
            self.mark(Said::Pong);
        }
    }

    /// Says its close.
    pub(crate) fn close(&mut self, code: Option<u16>, random: &mut Random) {
        if !self.is_over {
            let bytes = code.unwrap_or(0).to_be_bytes();
            self.frame(0x88, if code.is_some() { &bytes } else { b"" }, random);
            self.mark(Said::Close(code));
            self.is_over = true;
        }
    }

    /// Breaks the rules of RFC 6455.
    pub(crate) fn blunder(&mut self, random: &mut Random) {
        if self.is_over {
            return;
        }
        let code = match random.below(9) {
            0 => {
                self.bytes.extend_from_slice(&[0x81, 2, b'{', b'}']);
                1002
            }
            1 => {
                self.frame(0x82, b"binary", random);
                1003
            }
            2 => {
                self.frame(0xC1, b"{}", random);
                1002
            }
            3 => {
                self.frame(0x81, &[b' '; 4097], random);
                1009
            }
            4 => {
                self.frame(0x81, b"\xFF\xFE", random);
                1007
            }
            5 => {
                self.frame(0x80, b"{}", random);
                1002
            }
            6 => {
                self.frame(0x88, &[3], random);
                1002
            }
            7 => {
                self.frame(0x88, &1005_u16.to_be_bytes(), random);
                1002
            }
            _ => {
                self.frame(0x09, b"", random);
                1002
            }
        };
        self.mark(Said::Failure(code));
        self.is_over = true;
    }

    fn text(&mut self, text: &[u8], said: Said, random: &mut Random) {
        if self.is_over {
            return;
        }
        if random.permille(800) {
            self.frame(0x81, text, random);
        } else {
            let (first, rest) = text.split_at(random.below(text.len()));
            let (second, third) = rest.split_at(random.below(rest.len()));
            self.frame(0x01, first, random);
            if random.permille(300) {
                self.ping(random);
            }
            self.frame(0x00, second, random);
            self.frame(0x80, third, random);
        }
        self.mark(said);
    }

    fn frame(&mut self, first: u8, payload: &[u8], random: &mut Random) {
        self.bytes.push(first);
        match u16::try_from(payload.len()).expect("viewers of this world are brief") {
            length @ 0..=125 => self.bytes.push(0x80 | length.to_be_bytes()[1]),
            length => {
                self.bytes.push(0x80 | 126);
                self.bytes.extend_from_slice(&length.to_be_bytes());
            }
        }
        let mask = random.bits().to_be_bytes();
        self.bytes.extend_from_slice(&mask[..4]);
        self.bytes.extend(payload.iter().zip(mask[..4].iter().cycle()).map(|(byte, m)| byte ^ m));
    }

    fn mark(&mut self, said: Said) {
        self.marks.push_back((self.bytes.len(), said));
    }

    fn id(&mut self) -> u32 {
        self.next_id += 1;
        self.next_id
    }
}
