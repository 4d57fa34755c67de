//! The inputs that once broke a target, kept as files under `tests/data/fuzz/<target>`.

use std::io;
use std::path::{Path, PathBuf};

use super::Target;
use super::feature::feature;

/// One kept input.
#[derive(Clone, Debug)]
pub struct Regression {
    /// The name of the target it belongs to: its folder.
    pub target: String,
    /// Where it lies.
    pub path: PathBuf,
    /// What it is.
    pub input: Vec<u8>,
}

/// The folder with one folder per target.
#[must_use]
pub fn data_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/fuzz")
}

/// Every kept input, in the order of their paths.
///
/// # Errors
///
/// When the folder or a file cannot be read.
pub fn regressions() -> io::Result<Vec<Regression>> {
    let mut kept = Vec::new();
    for folder in std::fs::read_dir(data_folder())? {
        let folder = folder?;
        for file in std::fs::read_dir(folder.path())? {
            let path = file?.path();
            let target = folder.file_name().to_string_lossy().into_owned();
            let input = std::fs::read(&path)?;
            kept.push(Regression { target, path, input });
        }
    }
    kept.sort_by(|left, right| left.path.cmp(&right.path));
    Ok(kept)
}

/// Writes a failing input where the regression test finds it, and tells where.
///
/// # Errors
///
/// When the file cannot be written.
pub fn keep(target: &Target, input: &[u8]) -> io::Result<PathBuf> {
    let folder = data_folder().join(target.name);
    std::fs::create_dir_all(&folder)?;
    let path = folder.join(format!("{:016x}.bin", feature(input)));
    std::fs::write(&path, input)?;
    Ok(path)
}
