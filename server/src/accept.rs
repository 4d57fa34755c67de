//! Accepts connections until the process leaves, and outlives a system that has no more to give.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::metrics::Counter;
use crate::shutdown::{Shutdown, Stage};
use crate::status::{Component, State};

/// The pause after the system has refused a connection for want of something, so that it can recover.
const PAUSE_MS: u64 = 100;

/// Who accepts, and what is said about it.
#[derive(Debug)]
pub struct Reception<'a> {
    /// The end.
    pub shutdown: &'a Shutdown,
    /// Tells how it is.
    pub component: &'a Component,
    /// Connections that the system refused.
    pub errors: &'a Counter,
    /// What is the case while all is well.
    pub works: &'static str,
    /// What it means that the system refuses connections.
    pub effect: &'static str,
    /// What an operator can do then.
    pub remedy: &'static str,
}

impl Reception<'_> {
    /// Gives each connection to `admit`, which makes a task of it or drops it.
    pub async fn run(
        &self,
        listener: &TcpListener,
        connections: &mut JoinSet<()>,
        mut admit: impl FnMut(TcpStream, SocketAddr, &mut JoinSet<()>),
    ) {
        let leaving = self.shutdown.reached(Stage::Leaving);
        tokio::pin!(leaving);
        let mut is_impaired = false;
        self.component.is_working(self.works);
        loop {
            tokio::select! {
                biased;
                () = &mut leaving => return,
                // One that has panicked has closed its connection, and nobody else's.
                Some(_) = connections.join_next() => {}
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => {
                        if std::mem::take(&mut is_impaired) {
                            self.component.is_working(self.works);
                        }
                        admit(stream, peer, connections);
                    }
                    Err(error) => is_impaired |= self.refused(&error).await,
                },
            }
        }
    }

    /// True when the system lacks something. Then it waits a moment: the connection is still there and
    /// would be refused again at once.
    async fn refused(&self, error: &io::Error) -> bool {
        use io::ErrorKind;
        // The peer had gone before it was accepted.
        if matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset) {
            return false;
        }
        self.errors.increment();
        let reason = format!("The system refuses new connections: {error}.");
        self.component.set(State::Impaired, &reason, self.effect, self.remedy);
        sleep(Duration::from_millis(PAUSE_MS)).await;
        true
    }
}
