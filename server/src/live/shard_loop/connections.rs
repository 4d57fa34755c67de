//! The sockets of a shard's viewers, by the viewers' places in the engine's table.

use std::net::TcpStream;
use std::sync::Arc;

use engine::id::ViewerId;

use crate::live::admission::Permit;
use crate::live::mailbox::Place;
use crate::live::session::Session;

/// What belongs to one viewer outside the engine.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) generation: u32,
    pub(super) socket: TcpStream,
    pub(super) session: Arc<Session>,
    /// Given back when the connection goes.
    pub(super) _permit: Permit,
    pub(super) _place: Place,
    /// On the clock of the process.
    pub(super) connected_ms: u64,
    /// It is among those that are to be read again.
    pub(super) is_to_read: bool,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Connections {
    places: Vec<Option<Connection>>,
    count: usize,
}

impl Connections {
    pub(super) fn insert(&mut self, viewer: ViewerId, connection: Connection) {
        let index = viewer.index as usize;
        if index >= self.places.len() {
            self.places.resize_with(index + 1, || None);
        }
        let before = self.places[index].replace(connection);
        self.count += usize::from(before.is_none());
    }

    /// The connection of this very viewer, not of one that had its place before.
    pub(super) fn of(&mut self, viewer: ViewerId) -> Option<&mut Connection> {
        let place = self.places.get_mut(viewer.index as usize)?.as_mut();
        place.filter(|connection| connection.generation == viewer.generation)
    }

    /// Forgets it.
    pub(super) fn remove(&mut self, viewer: ViewerId) -> Option<Connection> {
        self.of(viewer)?;
        self.count -= 1;
        self.places[viewer.index as usize].take()
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Number of places, those that are free included.
    pub(super) fn places(&self) -> usize {
        self.places.len()
    }

    /// Who is in a range of places.
    pub(super) fn range(
        &self,
        places: std::ops::Range<usize>,
    ) -> impl Iterator<Item = (ViewerId, &Connection)> {
        let first = places.start;
        self.places[places].iter().enumerate().filter_map(move |(at, place)| {
            let connection = place.as_ref()?;
            let index = u32::try_from(first + at).expect("the engine's places are u32");
            Some((ViewerId { index, generation: connection.generation }, connection))
        })
    }
}
