//! The folder of an embedded pitwall: made when it is not there, and held by one process at a time.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use crate::error::Stop;

/// The file whose lock says that somebody lives here.
const LOCK_FILE: &str = "pitwall.lock";

/// A folder that is ours until this is dropped. The system gives the lock back whatever ends us.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    _lock: File,
}

impl Directory {
    /// Makes the folder if need be, and takes it.
    ///
    /// # Errors
    /// When it cannot be had, or another process has it.
    pub(super) fn take(path: &Path) -> Result<Self, Stop> {
        let shown = path.display();
        let cannot = |error: &std::io::Error| {
            Stop::Config(format!(
                "EMBEDDED_DIR: {shown} cannot be used: {error}. Give a folder that this user may \
                 make or write to."
            ))
        };
        fs::create_dir_all(path).map_err(|error| cannot(&error))?;
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(false);
        let mut lock = options.open(path.join(LOCK_FILE)).map_err(|error| cannot(&error))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(taken(path, &mut lock)),
            Err(TryLockError::Error(error)) => return Err(cannot(&error)),
        }
        let noted = lock.set_len(0).and_then(|()| lock.rewind());
        noted
            .and_then(|()| writeln!(lock, "{}", std::process::id()))
            .map_err(|error| cannot(&error))?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

fn taken(path: &Path, lock: &mut File) -> Stop {
    let mut process = String::new();
    // Without its number the sentence is still true.
    lock.read_to_string(&mut process).ok();
    let process = process.trim();
    let of = if process.is_empty() { String::new() } else { format!(" (process {process})") };
    Stop::Config(format!(
        "EMBEDDED_DIR: another pitwall{of} uses {}. End it, or give this one a folder of its own.",
        path.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::Directory;

    #[test]
    fn a_folder_is_made_and_held_by_one_at_a_time() {
        let name = format!("pitwall-directory-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let first = Directory::take(&path.join("deep")).unwrap();
        let stop = Directory::take(first.path()).unwrap_err().to_string();
        let process = format!("(process {})", std::process::id());
        assert!(stop.contains(&process) && stop.contains("End it"), "{stop}");
        drop(first);
        drop(Directory::take(&path.join("deep")).unwrap());
        std::fs::remove_dir_all(path).unwrap();
    }
}
