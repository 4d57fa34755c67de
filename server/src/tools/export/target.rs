//! A file that is there whole or not at all: written beside its place and moved there at the end.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use super::Trouble;

/// A file that is being written.
#[derive(Debug)]
pub(super) struct Target {
    path: PathBuf,
    /// Where it is until it is whole; nothing once it is in its place.
    beside: Option<PathBuf>,
    file: BufWriter<File>,
}

impl Target {
    /// Begins it. What is at `path` stays there until the new file is whole.
    pub(super) fn open(path: &Path) -> Result<Self, Trouble> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let beside = path.with_file_name(format!(".{name}.{}.part", std::process::id()));
        let file = File::create_new(&beside).map_err(|error| undone(path, &error))?;
        Ok(Self { path: path.to_owned(), beside: Some(beside), file: BufWriter::new(file) })
    }

    /// What to write to.
    pub(super) const fn file(&mut self) -> &mut BufWriter<File> {
        &mut self.file
    }

    /// Puts it into its place.
    pub(super) fn finish(mut self) -> Result<(), Trouble> {
        let beside = self.beside.take().expect("it is finished once");
        let flushed = self.file.flush().and_then(|()| self.file.get_ref().sync_all());
        let moved = flushed.and_then(|()| fs::rename(&beside, &self.path));
        moved.map_err(|error| {
            self.beside = Some(beside);
            undone(&self.path, &error)
        })
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if let Some(beside) = &self.beside {
            // What cannot be taken away is at least not where it was asked for.
            fs::remove_file(beside).ok();
        }
    }
}

fn undone(path: &Path, error: &io::Error) -> Trouble {
    let shown = path.display();
    Trouble::Undone(format!("{shown} cannot be written: {error}. Give another --output."))
}
