//! Which packet the next answer of a connection is for: the wire does not say, an answer is a count.
//!
//! A device waits for the answer to one packet and sends that packet again when none comes. So the
//! next answer it hears is to that packet, whatever it was meant for; one that it takes for another
//! packet's makes it delete what is stored nowhere. Hence two rules. Behind a packet that stays
//! unanswered, only the same one is answered. And a packet that was sent again before its answer
//! was heard has had that answer. Where it cannot be told, the connection is cut, which takes every
//! doubt away: over a new one a device begins with what was not answered.

use std::hash::{DefaultHasher, Hasher};
use std::time::Duration;

use super::numbers::End;

/// No device gives up waiting sooner, by far: they are set up in whole seconds, mostly 30. An answer
/// that takes no longer cannot have crossed its packet on its way a second time.
const PATIENCE_MIN: Duration = Duration::from_secs(1);

/// What makes a packet the same as another: its data and checksum, as 64 bits. A device that makes
/// up two with the same print deceives nobody but itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Print(u64);

impl Print {
    pub(super) fn of(data: &[u8], checksum: [u8; 4]) -> Self {
        let mut hasher = DefaultHasher::new();
        hasher.write(data);
        hasher.write(&checksum);
        Self(hasher.finish())
    }
}

/// What is to be done with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is made safe and answered.
    Take,
    /// It has had its answer.
    PassOver,
    /// It cannot be told what the device would take an answer for.
    Cut(End),
}

#[derive(Clone, Copy, Debug)]
enum Last {
    Nothing,
    Unanswered(Print),
    /// Answered: so late, or not, that the device may have sent it again meanwhile.
    Answered(Print, bool),
}

/// What is remembered of a connection: of the last packet, and of what came behind it.
#[derive(Debug)]
pub(super) struct Answers {
    last: Last,
    /// Bytes that had come, but were not read, when the last answer went out, and still are not.
    behind_bytes: u64,
    /// What was read last had come by then, at least its beginning.
    is_behind: bool,
}

impl Answers {
    pub(super) const fn new() -> Self {
        Self { last: Last::Nothing, behind_bytes: 0, is_behind: false }
    }

    /// So many bytes were read. The packets that end in them are judged next.
    pub(super) fn handle_read(&mut self, bytes: usize) {
        self.is_behind = self.behind_bytes > 0;
        self.behind_bytes = self.behind_bytes.saturating_sub(bytes as u64);
    }

    /// What is to be done with this packet.
    pub(super) fn judge(&self, print: Print) -> Verdict {
        match self.last {
            Last::Unanswered(last) if last != print => Verdict::Cut(End::Impatient),
            Last::Answered(last, _) if last == print && self.is_behind => Verdict::PassOver,
            Last::Answered(last, true) if last == print => Verdict::Cut(End::Crossed),
            Last::Nothing | Last::Unanswered(_) | Last::Answered(..) => Verdict::Take,
        }
    }

    /// It stays unanswered.
    pub(super) fn handle_unanswered(&mut self, print: Print) {
        self.last = Last::Unanswered(print);
    }

    /// It is answered, so long after it may have been there. So many bytes have come meanwhile and
    /// are not read.
    pub(super) fn handle_answered(&mut self, print: Print, waited: Duration, behind_bytes: u64) {
        let is_late = waited >= PATIENCE_MIN || matches!(self.last, Last::Unanswered(_));
        self.last = Last::Answered(print, is_late);
        self.behind_bytes = behind_bytes;
        // What was read together with it came no later.
        self.is_behind = true;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Answers, PATIENCE_MIN, Print, Verdict};
    use crate::ingest::numbers::End;

    const PROMPT: Duration = Duration::from_millis(20);

    fn print(number: u8) -> Print {
        Print::of(&[number], [0; 4])
    }

    /// A connection on which the first packet was answered.
    fn answered(waited: Duration, behind_bytes: u64) -> Answers {
        let mut answers = Answers::new();
        answers.handle_read(100);
        assert_eq!(answers.judge(print(1)), Verdict::Take);
        answers.handle_answered(print(1), waited, behind_bytes);
        answers
    }

    #[test]
    fn behind_a_packet_without_an_answer_only_the_same_is_taken() {
        let mut answers = Answers::new();
        answers.handle_read(200);
        answers.handle_unanswered(print(1));
        for _ in 0..2 {
            assert_eq!(answers.judge(print(1)), Verdict::Take);
            assert_eq!(answers.judge(print(2)), Verdict::Cut(End::Impatient));
            // However long it takes.
            answers.handle_read(100);
        }
        answers.handle_answered(print(1), PROMPT, 0);
        assert_eq!(answers.judge(print(2)), Verdict::Take);
    }

    #[test]
    fn a_packet_that_had_come_again_when_it_was_answered_is_passed_over() {
        // Read together with the first.
        assert_eq!(answered(PROMPT, 0).judge(print(1)), Verdict::PassOver);
        // Left in the kernel, and read in pieces.
        for waited in [PROMPT, PATIENCE_MIN] {
            let mut answers = answered(waited, 150);
            answers.handle_read(100);
            assert_eq!(answers.judge(print(1)), Verdict::PassOver);
            answers.handle_read(100);
            assert_eq!(answers.judge(print(1)), Verdict::PassOver);
            assert_eq!(answers.judge(print(2)), Verdict::Take);
        }
    }

    #[test]
    fn a_packet_that_comes_again_after_a_prompt_answer_is_taken_and_after_a_late_one_cut() {
        let came_after = |mut answers: Answers| {
            answers.handle_read(100);
            (answers.judge(print(1)), answers.judge(print(2)))
        };
        assert_eq!(came_after(answered(PROMPT, 0)), (Verdict::Take, Verdict::Take));
        let cut = (Verdict::Cut(End::Crossed), Verdict::Take);
        assert_eq!(came_after(answered(PATIENCE_MIN, 0)), cut);
        // A packet that had no answer at first has waited long, too.
        let mut answers = Answers::new();
        answers.handle_read(100);
        answers.handle_unanswered(print(1));
        answers.handle_read(100);
        answers.handle_answered(print(1), PROMPT, 0);
        assert_eq!(came_after(answers), cut);
    }

    #[test]
    fn a_packet_is_the_same_by_its_data_and_its_checksum() {
        assert_eq!(Print::of(b"data", [0, 0, 1, 2]), Print::of(b"data", [0, 0, 1, 2]));
        assert_ne!(Print::of(b"data", [0, 0, 1, 2]), Print::of(b"data", [0, 0, 1, 3]));
        assert_ne!(Print::of(b"data", [0, 0, 1, 2]), Print::of(b"date", [0, 0, 1, 2]));
    }
}
