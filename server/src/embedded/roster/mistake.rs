//! What is wrong with a roster, and where: lines and columns, counted as editors count them.

use std::fmt;
use std::ops::Range;

/// Mistakes that are told at once; a file with more of them is some other kind of file.
const MISTAKES_MAX: usize = 10;

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mistake {
    /// Line and column, from 1; nothing for a mistake of the file as a whole.
    place: Option<(usize, usize)>,
    /// What is wrong and what would be right.
    words: String,
}

/// All mistakes of a file, in its order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mistakes {
    found: Vec<Mistake>,
}

impl Mistakes {
    /// One of the file as a whole.
    pub(super) fn of_file(words: String) -> Self {
        Self { found: vec![Mistake { place: None, words }] }
    }

    /// One more, at this place of the text.
    pub(super) fn add(&mut self, text: &str, span: &Range<usize>, words: impl Into<String>) {
        let place = Some(place(text, span.start));
        self.found.push(Mistake { place, words: words.into() });
    }

    /// The mistakes in the order of the file, unless there are none.
    pub(super) fn into_result(mut self) -> Result<(), Self> {
        self.found.sort_by_key(|mistake| mistake.place);
        if self.found.is_empty() { Ok(()) } else { Err(self) }
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, mistake) in self.found.iter().take(MISTAKES_MAX).enumerate() {
            let space = if index == 0 { "" } else { " " };
            write!(formatter, "{space}{}", super::FILE)?;
            if let Some((line, column)) = mistake.place {
                write!(formatter, " line {line}, column {column}")?;
            }
            write!(formatter, ": {}", mistake.words)?;
        }
        let more = self.found.len().saturating_sub(MISTAKES_MAX);
        if more > 0 { write!(formatter, " And {more} more.") } else { Ok(()) }
    }
}

/// Line and column of an offset. A column is a character, not a byte.
fn place(text: &str, offset: usize) -> (usize, usize) {
    let before = &text[..text.floor_char_boundary(offset)];
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let line = before.matches('\n').count() + 1;
    (line, before[line_start..].chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use super::place;

    #[test]
    fn a_place_is_counted_in_lines_and_characters() {
        let text = "ä = 1\r\nbö = 2\n";
        assert_eq!(place(text, 0), (1, 1));
        assert_eq!(place(text, text.find("= 1").unwrap()), (1, 3));
        assert_eq!(place(text, text.find("= 2").unwrap()), (2, 4));
        assert_eq!(place(text, text.len() + 9), (3, 1));
    }
}
