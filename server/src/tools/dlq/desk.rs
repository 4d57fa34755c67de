//! Where dead letters are worked on: each command of `pitwall dlq`, in its words.

use std::io::Write;

use engine::rows::EntryId;

use super::change::{Requeued, delete, delete_up_to, requeue};
use super::letter::{Letter, one, page};
use super::shown;
use crate::durable::dead_letter::key;
use crate::stream::{Control, Failure, Server};
use crate::tools::now_ms_of;
use crate::tools::trouble::Trouble;

/// Letters that are fetched at once: each may be some hundred kilobytes.
const PAGE: u64 = 100;

/// What stands for the oldest letter, and for the newest.
const ENDS: (&str, &str) = ("-", "+");

/// The letters of a stream, and whoever reads about them.
pub(super) struct Desk<'a, W> {
    control: Control,
    stream: String,
    key: String,
    out: &'a mut W,
}

impl<'a, W: Write> Desk<'a, W> {
    /// Not connected yet.
    pub(super) fn new(server: &Server, stream: &str, out: &'a mut W) -> Result<Self, Failure> {
        let (stream, key) = (stream.to_owned(), key(stream));
        Ok(Self { control: Control::new(server)?, stream, key, out })
    }

    /// Prints a line for each letter, and where the next list begins.
    pub(super) async fn list(
        &mut self,
        count: u64,
        from: Option<EntryId>,
        is_oldest_first: bool,
        is_json: bool,
    ) -> Result<(), Trouble> {
        let now_ms = now_ms_of(&mut self.control).await?;
        let total: u64 = self.control.call(redis::cmd("XLEN").arg(&self.key)).await?;
        let (first, last) = if is_oldest_first { ENDS } else { (ENDS.1, ENDS.0) };
        let mut from = from.map_or_else(|| first.to_owned(), |id| id.to_string());
        let (mut left, mut rows) = (count, Vec::new());
        // One letter more than is wanted tells where the next list begins.
        let next = 'pages: loop {
            let asked = PAGE.min(left + 1);
            let range = (from.as_str(), last);
            let found = page(&mut self.control, &self.key, range, !is_oldest_first, asked).await?;
            for letter in &found {
                if left == 0 {
                    break 'pages Some(letter.id);
                }
                left -= 1;
                if is_json {
                    writeln!(self.out, "{}", shown::object(letter, now_ms).line())?;
                } else {
                    rows.push(shown::row(letter, now_ms));
                }
            }
            match found.last() {
                Some(letter) if found.len() as u64 == asked => from = format!("({}", letter.id),
                _ => break None,
            }
        };
        if is_json {
            return Ok(());
        }
        if rows.is_empty() {
            let there = if total == 0 { "are no" } else { "are no such" };
            writeln!(self.out, "There {there} dead letters in {}.", self.key)?;
            return Ok(());
        }
        shown::write_table(&rows, self.out)?;
        writeln!(self.out, "\n{} of {total} dead letters in {}", rows.len(), self.key)?;
        if let Some(next) = next {
            let oldest = if is_oldest_first { " --oldest" } else { "" };
            writeln!(self.out, "More: pitwall dlq list --from {next}{oldest}")?;
        }
        Ok(())
    }

    /// Prints all that is in a letter.
    pub(super) async fn show(&mut self, id: EntryId, is_json: bool) -> Result<(), Trouble> {
        let Some(letter) = one(&mut self.control, &self.key, id).await? else {
            return Err(self.missing(id));
        };
        let now_ms = now_ms_of(&mut self.control).await?;
        if is_json {
            let object = shown::object(&letter, now_ms).pairs("fields", &letter.fields);
            writeln!(self.out, "{}", object.line())?;
        } else {
            shown::write_whole(&letter, now_ms, self.out)?;
        }
        Ok(())
    }

    /// Puts the entries of these letters back.
    pub(super) async fn requeue(&mut self, ids: &[EntryId]) -> Result<(), Trouble> {
        let mut refused = 0;
        for &id in ids {
            let Some(letter) = one(&mut self.control, &self.key, id).await? else {
                return Err(self.missing(id));
            };
            let names = (self.stream.as_str(), self.key.as_str());
            match requeue(&mut self.control, names, &letter).await? {
                Requeued::Back(new) => self.tell_back(&letter, new)?,
                Requeued::Gone => return Err(self.missing(id)),
                Requeued::Refused(words) => {
                    refused += 1;
                    writeln!(self.out, "{id} stays: {words}.")?;
                }
            }
        }
        if refused > 0 {
            return Err(Trouble::Undone(format!(
                "{refused} of {} letters were not put back. Look at them with `pitwall dlq show`, \
                 and delete them with `pitwall dlq drop` when they are of no use.",
                ids.len()
            )));
        }
        Ok(())
    }

    fn tell_back(&mut self, letter: &Letter, new: EntryId) -> Result<(), Trouble> {
        let remark = match (letter.are_fields_lost(), letter.decodes()) {
            (true, _) => " Its fields were made from its row, since the entry had been trimmed.",
            (false, Ok(())) => "",
            (false, Err(_)) => " It still cannot be decoded, and will be a dead letter again.",
        };
        writeln!(self.out, "{} is back in {} as {new}.{remark}", letter.id, self.stream)?;
        Ok(())
    }

    /// Puts the entries of all letters back that are there now: what becomes a letter again
    /// meanwhile waits for the next time.
    pub(super) async fn requeue_all(&mut self) -> Result<(), Trouble> {
        let (mut back, mut undecodable, mut refused) = (0_u64, 0_u64, 0_u64);
        let newest = self.newest().await?;
        let (mut from, to) = (ENDS.0.to_owned(), newest.unwrap_or_default().to_string());
        loop {
            let range = (from.as_str(), to.as_str());
            let found = page(&mut self.control, &self.key, range, false, PAGE).await?;
            for letter in &found {
                let names = (self.stream.as_str(), self.key.as_str());
                match requeue(&mut self.control, names, letter).await? {
                    Requeued::Back(_) => {
                        back += 1;
                        undecodable += u64::from(letter.decodes().is_err());
                    }
                    Requeued::Gone => {}
                    Requeued::Refused(words) => {
                        refused += 1;
                        writeln!(self.out, "{} stays: {words}.", letter.id)?;
                    }
                }
            }
            let Some(last) = found.last() else { break };
            from = format!("({}", last.id);
        }
        writeln!(self.out, "{back} entries are back in {}.", self.stream)?;
        if undecodable > 0 {
            let words = "still cannot be decoded, and will be dead letters again";
            writeln!(self.out, "{undecodable} of them {words}.")?;
        }
        if refused > 0 {
            return Err(Trouble::Undone(format!("{refused} letters were not put back.")));
        }
        Ok(())
    }

    /// Deletes these letters.
    pub(super) async fn drop(&mut self, ids: &[EntryId]) -> Result<(), Trouble> {
        for &id in ids {
            if !delete(&mut self.control, &self.key, id).await? {
                return Err(self.missing(id));
            }
            writeln!(self.out, "{id} is deleted.")?;
        }
        Ok(())
    }

    /// Deletes all letters, if that is meant.
    pub(super) async fn drop_all(&mut self, is_meant: bool) -> Result<(), Trouble> {
        let total: u64 = self.control.call(redis::cmd("XLEN").arg(&self.key)).await?;
        if !is_meant {
            return Err(Trouble::Undone(format!(
                "This would delete {total} dead letters for good: say --yes as well if that is \
                 meant."
            )));
        }
        let deleted = match self.newest().await? {
            None => 0,
            Some(newest) => delete_up_to(&mut self.control, &self.key, newest).await?,
        };
        writeln!(self.out, "{deleted} dead letters are deleted.")?;
        Ok(())
    }

    async fn newest(&mut self) -> Result<Option<EntryId>, Failure> {
        let range = (ENDS.1, ENDS.0);
        let newest = page(&mut self.control, &self.key, range, true, 1).await?;
        Ok(newest.first().map(|letter| letter.id))
    }

    fn missing(&self, id: EntryId) -> Trouble {
        Trouble::Undone(format!(
            "There is no dead letter {id} in {}. `pitwall dlq list` names those that are there.",
            self.key
        ))
    }
}
