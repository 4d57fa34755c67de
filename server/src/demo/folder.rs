//! The folder of a demo: roster, course and store, gone when dropped.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use loadgen::race::{Irregular, Race, imei_of_device};

/// How the folders are called, before the number of their process.
const PREFIX: &str = "pitwall-demo-";

/// The uuid of the event: the same in every demo, so that a page that was left open goes on.
pub(super) const EVENT: &str = "6d656472-616c-4000-8000-000000000001";

/// A folder that exists as long as this does.
#[derive(Debug)]
pub(super) struct Folder(PathBuf);

impl Folder {
    /// Makes one with a roster of so many cars, and removes those whose process was killed.
    ///
    /// # Errors
    /// When the temporary folder cannot be written to.
    pub(super) fn make(cars: u32, seed: u64) -> io::Result<Self> {
        let parent = std::env::temp_dir();
        remove_left(&parent);
        let folder = Self(parent.join(format!("{PREFIX}{}", std::process::id())));
        // What the same number left behind is nobody's.
        fs::remove_dir_all(&folder.0).ok();
        fs::DirBuilder::new().mode(0o700).create(&folder.0)?;
        fs::write(folder.0.join("roster.toml"), roster(cars))?;
        let course = Race::course_of(seed, &Irregular::default()).geojson();
        fs::write(folder.0.join("course.geojson"), course)?;
        Ok(folder)
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed is found by the next demo.
        fs::remove_dir_all(&self.0).ok();
    }
}

/// Removes the folders of demos that were killed.
fn remove_left(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let process = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
        let Some(process) = process.and_then(|text| text.parse::<u32>().ok()) else { continue };
        if !Path::new(&format!("/proc/{process}")).exists() {
            fs::remove_dir_all(entry.path()).ok();
        }
    }
}

/// The number of the car that [`super::probe`] drives: it is in no race.
pub(super) const PROBE: u32 = 999_999;

/// The roster: one event with every car, numbered from 1, and the one that measures.
fn roster(cars: u32) -> String {
    let mut text = format!(
        "[[event]]\nname = \"Demo race\"\norganization = \"pitwall demo\"\nuuid = \"{EVENT}\"\n\
         course = \"course.geojson\"\n"
    );
    let mut add = |device, name: &str, number: u32| {
        write!(
            text,
            "\n[[device]]\nimei = \"{}\"\nname = \"{name}\"\nnumber = \"{number}\"\n\
             events = [\"Demo race\"]\n",
            imei_of_device(device).as_str()
        )
        .expect("text grows");
    };
    (0..cars).for_each(|car| add(car, &format!("Car {}", car + 1), car + 1));
    add(PROBE, "Timing car", 0);
    text
}

#[cfg(test)]
mod tests {
    use super::Folder;

    #[test]
    fn a_folder_goes_away_and_so_does_that_of_a_killed_process() {
        // No process has the largest number.
        let left = std::env::temp_dir().join(format!("{}{}", super::PREFIX, u32::MAX));
        std::fs::create_dir_all(left.join("store")).expect("a folder");
        let folder = Folder::make(3, 1).expect("room for a folder");
        assert!(!left.exists());
        let path = folder.path().to_owned();
        let roster = std::fs::read_to_string(path.join("roster.toml")).expect("a roster");
        assert_eq!(roster.matches("[[device]]").count(), 4);
        drop(folder);
        assert!(!path.exists());
    }
}
