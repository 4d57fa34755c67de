//! The folder of a demo: roster, course and store, gone when dropped.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use loadgen::race::{Irregular, Race, imei_of_device};

/// How the folders are called, before a word that nobody can guess.
const PREFIX: &str = "pitwall-demo-";

/// The file whose lock says that the demo of a folder runs.
const LOCK_FILE: &str = "demo.lock";

/// The uuid of the event: the same in every demo, so that a page that was left open goes on.
pub(super) const EVENT: &str = "6d656472-616c-4000-8000-000000000001";

/// A folder that exists as long as this does.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    /// The system gives its lock back whatever ends us.
    _lock: File,
}

impl Folder {
    /// Makes one with a roster of so many cars, and removes those of demos that were killed.
    ///
    /// # Errors
    /// When the temporary folder cannot be written to.
    pub(super) fn make(cars: u32, seed: u64) -> io::Result<Self> {
        let parent = std::env::temp_dir();
        remove_left(&parent);
        let path = parent.join(format!("{PREFIX}{}", random_word(8)?));
        fs::DirBuilder::new().mode(0o700).create(&path)?;
        let lock = File::create_new(path.join(LOCK_FILE))?;
        lock.try_lock().map_err(io::Error::other)?;
        let folder = Self { path, _lock: lock };
        fs::write(folder.path.join("roster.toml"), roster(cars))?;
        let course = Race::course_of(seed, &Irregular::default()).geojson();
        fs::write(folder.path.join("course.geojson"), course)?;
        Ok(folder)
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed is found by the next demo.
        fs::remove_dir_all(&self.path).ok();
    }
}

/// A word of so many random bytes, in hexadecimal digits.
pub(super) fn random_word(bytes: usize) -> io::Result<String> {
    let mut random = vec![0; bytes];
    File::open("/dev/urandom")?.read_exact(&mut random)?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Removes the folders whose demo was killed: nobody holds their lock. One without a lock is just
/// being made.
fn remove_left(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let is_ours = entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX));
        let lock = is_ours.then(|| File::open(entry.path().join(LOCK_FILE)));
        if let Some(Ok(lock)) = lock
            && lock.try_lock().is_ok()
        {
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
    use super::{Folder, LOCK_FILE, PREFIX, random_word};

    #[test]
    fn a_folder_goes_away_and_so_does_that_of_a_killed_demo_but_not_that_of_a_running_one() {
        let left = format!("{PREFIX}{}", random_word(8).expect("random bytes"));
        let left = std::env::temp_dir().join(left);
        std::fs::create_dir_all(left.join("store")).expect("a folder");
        std::fs::write(left.join(LOCK_FILE), "").expect("a file");
        let running = Folder::make(1, 1).expect("room for a folder");
        assert!(!left.exists());
        let folder = Folder::make(3, 1).expect("room for a folder");
        assert!(running.path().join("roster.toml").exists());
        let path = folder.path().to_owned();
        let roster = std::fs::read_to_string(path.join("roster.toml")).expect("a roster");
        assert_eq!(roster.matches("[[device]]").count(), 4);
        drop(folder);
        assert!(!path.exists());
    }
}
