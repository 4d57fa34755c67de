//! A file that is there whole or not at all: written beside its place and moved there at the end.
//!
//! What is no file, such as a device or a pipe, is written to as it is, and a link stays one.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use super::Trouble;

/// Links that are followed; the system follows as many.
const LINKS_MAX: usize = 40;

/// What is being written.
#[derive(Debug)]
pub(super) struct Target {
    /// What was asked for.
    path: PathBuf,
    /// A file until it is whole; nothing once it is in its place.
    unfinished: Option<Unfinished>,
    out: BufWriter<File>,
}

/// A file that is not in its place yet.
#[derive(Debug)]
struct Unfinished {
    /// Where it is.
    beside: PathBuf,
    /// Where it goes.
    place: PathBuf,
}

impl Target {
    /// Begins it. A file that is at `path` stays there until the new one is whole.
    pub(super) fn open(path: &Path) -> Result<Self, Trouble> {
        Self::begin(path).map_err(|error| undone(path, &error))
    }

    fn begin(path: &Path) -> io::Result<Self> {
        let is_other = fs::metadata(path).is_ok_and(|metadata| !metadata.is_file());
        let (unfinished, file) = if is_other {
            (None, File::options().write(true).open(path)?)
        } else {
            let place = behind_links(path)?;
            let name = place.file_name().unwrap_or_default().to_string_lossy();
            let beside = place.with_file_name(format!(".{name}.{}.part", std::process::id()));
            let file = File::create_new(&beside)?;
            (Some(Unfinished { beside, place }), file)
        };
        Ok(Self { path: path.to_owned(), unfinished, out: BufWriter::new(file) })
    }

    /// What to write to.
    pub(super) const fn file(&mut self) -> &mut BufWriter<File> {
        &mut self.out
    }

    /// Puts it into its place.
    pub(super) fn finish(mut self) -> Result<(), Trouble> {
        let finished = self.out.flush().and_then(|()| match &self.unfinished {
            // A device or a pipe has nothing to be synchronized.
            None => Ok(()),
            Some(Unfinished { beside, place }) => {
                self.out.get_ref().sync_all().and_then(|()| fs::rename(beside, place))
            }
        });
        finished.map_err(|error| undone(&self.path, &error))?;
        self.unfinished = None;
        Ok(())
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if let Some(Unfinished { beside, .. }) = &self.unfinished {
            // What cannot be taken away is at least not where it was asked for.
            fs::remove_file(beside).ok();
        }
    }
}

/// Where a path leads, whether or not there is something.
fn behind_links(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..LINKS_MAX {
        match fs::read_link(&path) {
            Ok(next) => path = path.with_file_name(next),
            // It is no link, or nothing is there.
            Err(_) => return Ok(path),
        }
    }
    Err(io::Error::other("its links lead in a circle"))
}

fn undone(path: &Path, error: &io::Error) -> Trouble {
    let shown = path.display();
    Trouble::Undone(format!("{shown} cannot be written: {error}. Give another --output."))
}
