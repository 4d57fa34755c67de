//! The terminal: taken for pictures and single keys, and given back as it was.

use std::io::{self, IsTerminal as _, Read as _, Write as _, stdin, stdout};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

/// Another screen, and no cursor on it.
const TAKE: &str = "\x1b[?1049h\x1b[?25l";

/// The cursor, and the screen as it was.
const GIVE: &str = "\x1b[?25h\x1b[?1049l";

/// Keys that may wait; whoever presses more has seen enough.
const KEYS_MAX: usize = 16;

/// A taken terminal; dropped, it is as it was.
pub(super) struct Terminal {
    before: Termios,
}

impl Terminal {
    /// Takes the terminal, if input and output are one.
    pub(super) fn take() -> Option<Self> {
        if !stdin().is_terminal() || !stdout().is_terminal() {
            return None;
        }
        let before = tcgetattr(stdin()).ok()?;
        let mut single = before.clone();
        // Keys come at once and are not shown; Ctrl-C stays a signal.
        single.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
        tcsetattr(stdin(), OptionalActions::Now, &single).ok()?;
        let terminal = Self { before };
        write!(stdout(), "{TAKE}").ok()?;
        Some(terminal)
    }

    /// How many columns and rows there are.
    fn size() -> (u16, u16) {
        tcgetwinsize(stdout()).map_or((80, 24), |size| (size.ws_col, size.ws_row))
    }

    /// How many columns a picture may have.
    pub(super) fn columns() -> usize {
        Self::size().0.into()
    }

    /// Draws a picture, as far as there is room for it.
    pub(super) fn draw(&mut self, lines: &[String]) -> io::Result<()> {
        let size = Self::size();
        let mut picture = "\x1b[H".to_owned();
        for line in lines.iter().take(usize::from(size.1).saturating_sub(1)) {
            picture.push_str(cut(line, usize::from(size.0)));
            // Off what was there, and styles end with their line.
            picture.push_str("\x1b[0m\x1b[K\r\n");
        }
        picture.push_str("\x1b[J");
        let mut out = stdout().lock();
        out.write_all(picture.as_bytes())?;
        out.flush()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // A terminal that has gone needs nothing back.
        write!(stdout(), "{GIVE}").ok();
        stdout().flush().ok();
        tcsetattr(stdin(), OptionalActions::Now, &self.before).ok();
    }
}

/// The beginning of a line that fits into so many columns; styles take none.
fn cut(line: &str, columns: usize) -> &str {
    let (mut left, mut is_style) = (columns, false);
    for (at, character) in line.char_indices() {
        if character == '\x1b' {
            is_style = true;
        } else if is_style {
            is_style = character != 'm';
        } else if left == 0 {
            return &line[..at];
        } else {
            left -= 1;
        }
    }
    line
}

/// Keys as they are pressed.
pub(super) struct Keys(Receiver<u8>);

impl Keys {
    /// Listens on a thread of its own, which ends with the process.
    pub(super) fn listen() -> io::Result<Self> {
        let (keys, pressed) = sync_channel(KEYS_MAX);
        let listen = move || {
            let mut key = [0];
            while matches!(stdin().read(&mut key), Ok(1)) {
                // Full, the key is lost; gone, nobody looks any more.
                if let Err(std::sync::mpsc::TrySendError::Disconnected(_)) = keys.try_send(key[0]) {
                    return;
                }
            }
        };
        thread::Builder::new().name("keys".to_owned()).spawn(listen)?;
        Ok(Self(pressed))
    }

    /// The next key, if one is pressed within this time.
    pub(super) fn wait(&self, time: Duration) -> Option<u8> {
        match self.0.recv_timeout(time) {
            Ok(key) => Some(key),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => {
                thread::sleep(time);
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::cut;

    #[test]
    fn a_line_is_cut_by_what_is_seen_of_it() {
        assert_eq!(cut("abc", 2), "ab");
        assert_eq!(cut("\x1b[1mabc\x1b[0m", 3), "\x1b[1mabc\x1b[0m");
        assert_eq!(cut("\x1b[1mabcd", 3), "\x1b[1mabc");
        assert_eq!(cut("äöü", 2), "äö");
    }
}
