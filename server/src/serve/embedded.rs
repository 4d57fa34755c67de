//! Starts a process that has nobody around: its folder, its viewers, its devices.

use std::path::Path;
use std::sync::Arc;

use tokio::task::JoinSet;

use super::Running;
use super::viewers::Plane;
use crate::context::Context;
use crate::embedded::{self, StoreHandle};
use crate::error::Stop;
use crate::live::access::doorkeeper::Doorkeeper;
use crate::metrics::Section;
use crate::page::{Page, Token};
use crate::{Listeners, admin};

impl Running {
    /// Takes the folder and starts everything that it is for. Viewers come first: what a device sends
    /// finds somebody to show it.
    pub(super) fn start_embedded(
        context: &Context,
        listeners: Listeners,
        directory: &Path,
        store: StoreHandle,
    ) -> Result<Self, Stop> {
        let opened = embedded::open(context, directory)?;
        let config = context.config.embedded.as_ref();
        let token = config.and_then(|it| it.token.as_ref()).map(Token::new);
        let page = Page { data: opened.page.clone(), token };
        let doorkeeper = Doorkeeper::new(page.token.clone(), opened.events.clone());
        let mut sections: Vec<Arc<dyn Section>> = Vec::new();
        let mut tasks = JoinSet::new();
        let (Some(viewers), Some(devices)) = (listeners.live, listeners.ingest) else {
            return Err(Stop::Broken("The embedded mode needs both of its listeners.".to_owned()));
        };
        let into = (&mut tasks, &mut sections);
        let (live, mail) = Plane::start_local(context, viewers, (doorkeeper, page), into)?;
        let started = embedded::start(context, opened, (devices, mail), store)?;
        sections.extend(started.sections);
        tasks.spawn(admin::run(context.clone(), listeners.admin, sections));
        Ok(Self {
            live: Some(live),
            durable: Some(started.store),
            ingest: Some(started.devices),
            tasks,
            held: Some(started.held),
        })
    }
}
