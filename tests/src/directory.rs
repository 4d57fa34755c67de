//! A directory of its own for one test, removed with all it holds when dropped.

use std::fs;
use std::io::{Error, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// Numbers the directories of this process, so that tests in parallel threads never share one.
static CREATED: AtomicU32 = AtomicU32::new(0);

/// A temporary directory that only its owner may enter.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
}

impl Directory {
    /// Creates an empty directory whose name tells what it is for.
    pub fn new(purpose: &str) -> Result<Self, Error> {
        let process = std::process::id();
        loop {
            let number = CREATED.fetch_add(1, Ordering::Relaxed);
            let path = std::env::temp_dir().join(format!("pitwall-{purpose}-{process}-{number}"));
            match fs::DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Self { path }),
                // Left behind by a process of the same number that was killed.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The user it belongs to: whoever runs the tests, until it is given away.
    pub fn owner(&self) -> Result<u32, Error> {
        Ok(fs::metadata(&self.path)?.uid())
    }

    /// Gives the directory to another user; only root may.
    pub fn give_to(&self, user: u32, group: u32) -> Result<(), Error> {
        chown(&self.path, Some(user), Some(group))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // What cannot be removed stays in the temporary folder: no reason to fail a test.
        drop(fs::remove_dir_all(&self.path));
    }
}
