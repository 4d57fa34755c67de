//! Whether the folder of the embedded mode has a roster without mistakes.

use std::path::Path;

use super::Finding;
use crate::embedded::roster::{FILE, RosterFile};

/// Looks at the roster alone: whatever else is in the folder belongs to who runs there.
pub(super) fn look(directory: &Path) -> Finding {
    let path = directory.join(FILE);
    if !path.exists() {
        let what = format!("There is no {} yet: it is made at the first start.", path.display());
        return Finding::fine(what);
    }
    match RosterFile::read(directory) {
        Ok(file) => Finding::fine(format!(
            "The roster has {} events and {} devices.",
            file.events.len(),
            file.devices.len()
        )),
        Err(mistakes) => Finding::failed(
            format!("The roster cannot be used. {mistakes}"),
            format!("Put {} right.", path.display()),
        ),
    }
}
