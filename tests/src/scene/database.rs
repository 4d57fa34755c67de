//! Where the tables of a scene are: in a server of its own or in one that somebody has named.

use crate::postgres::named::Named;
use crate::postgres::{FAST, Postgres};

/// Where the tables are.
#[derive(Debug)]
pub(super) enum Database {
    /// In a server of this scene.
    Own(Postgres),
    /// In a server of somebody else's.
    Named(Named),
}

impl Database {
    /// One in the server that is named, if one is.
    pub(super) fn anywhere() -> Self {
        Named::make().map_or_else(|| Self::Own(Postgres::start(FAST)), Self::Named)
    }

    pub(super) fn url(&self) -> String {
        match self {
            Self::Own(server) => server.url(),
            Self::Named(database) => database.url(),
        }
    }

    pub(super) fn port(&self) -> u16 {
        match self {
            Self::Own(server) => server.port(),
            Self::Named(database) => database.port(),
        }
    }

    pub(super) fn server(&mut self) -> &mut Postgres {
        match self {
            Self::Own(server) => server,
            Self::Named(_) => panic!("a test that does this takes a server of its own"),
        }
    }
}
