//! The live group of this instance in Redis: placed behind what was last seen, and taken away.

use engine::rows::EntryId;

use crate::stream::{Class, Control, Failure, Server};

/// What the source calls itself, and what it reads.
#[derive(Clone, Debug)]
pub(super) struct Names {
    /// The stream.
    pub(super) stream: String,
    /// The own group.
    pub(super) group: String,
    /// The own, and only, consumer of it.
    pub(super) consumer: String,
}

/// Makes sure that the group exists and stands behind the entry `last`, on a connection of its own.
///
/// Also proves that Redis takes writes from us: whoever reads through the group writes.
pub(super) async fn place(server: Server, names: Names, last: EntryId) -> Result<(), Failure> {
    let mut control = Control::new(&server)?;
    let last = last.to_string();
    let mut command = redis::cmd("XGROUP");
    command.arg("SETID").arg(&names.stream).arg(&names.group).arg(&last);
    let placed: Result<redis::Value, Failure> = control.call(&command).await;
    match placed {
        // Without the stream Redis answers a plain ERR.
        Err(failure) if matches!(failure.class, Class::GroupLost | Class::Later) => {}
        result => return result.map(drop),
    }
    let mut command = redis::cmd("XGROUP");
    command.arg("CREATE").arg(&names.stream).arg(&names.group).arg(&last).arg("MKSTREAM");
    let created: Result<redis::Value, Failure> = control.call(&command).await;
    match created {
        Err(failure) if failure.class == Class::GroupExists => Ok(()),
        result => result.map(drop),
    }
}

/// The command that places the group, for the connection that will read through it.
pub(super) fn place_command(names: &Names, last: EntryId) -> Vec<u8> {
    let mut command = redis::cmd("XGROUP");
    command.arg("SETID").arg(&names.stream).arg(&names.group).arg(last.to_string());
    command.get_packed_command()
}

/// Takes the group away.
pub(super) async fn destroy(server: &Server, names: &Names) -> Result<(), Failure> {
    let mut control = Control::new(server)?;
    let mut command = redis::cmd("XGROUP");
    command.arg("DESTROY").arg(&names.stream).arg(&names.group);
    control.call::<redis::Value>(&command).await.map(drop)
}
