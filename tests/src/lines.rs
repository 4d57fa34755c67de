//! What a program under test logs, kept to be read.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pitwall::log::{Level, Log};

/// How long the log may take to be written.
const PATIENCE: Duration = Duration::from_secs(10);

/// All lines of one log.
#[derive(Clone, Debug)]
pub struct Lines {
    log: Log,
    written: Written,
}

impl Lines {
    /// A log of lines of at least this level, and what it writes.
    #[must_use]
    pub fn of(least: Level, instance_id: &str) -> (Log, Self) {
        let written = Written::default();
        let log = Log::to(least, instance_id, written.clone());
        (log.clone(), Self { log, written })
    }

    /// Everything that was logged until now.
    #[must_use]
    pub fn text(&self) -> String {
        self.log.flush(PATIENCE);
        let bytes = self.written.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// How many lines contain this.
    #[must_use]
    pub fn count(&self, part: &str) -> usize {
        self.text().lines().filter(|line| line.contains(part)).count()
    }
}

#[derive(Clone, Debug, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
