//! What operators look at: health, metrics, and the state of every part in words.
//!
//! Pages tell nothing about single users or devices, and no secret. Whatever shows connections or
//! profiles is for loopback peers, or for who has `ADMIN_TOKEN`. Each connection is answered once
//! and closed.

mod guard;
mod health;
mod http;
mod places;
mod process;
mod profile;
mod statusz;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use self::guard::Guard;
use self::http::Request;
use self::places::{Place, Places};
use self::process::Process;
use self::profile::Profiler;
use crate::context::Context;
use crate::http::Answer;
use crate::log::Log;
use crate::metrics::{Page, Section};

/// Connections that are served at once; further ones wait in the kernel. Probes and scrapers need a
/// handful. A connection costs a task and [`http::HEAD_BYTES_MAX`].
pub(crate) const CONNECTIONS_MAX: usize = 64;

/// Connections of one address at once; further ones are closed without a word. Loopback is exempt:
/// the probes come from there.
const CONNECTIONS_PER_ADDRESS_MAX: usize = 8;

/// How long a request may take to arrive while half of the places are taken: then those who say
/// nothing make room sooner.
const CROWDED_DEADLINE: Duration = Duration::from_secs(1);

/// How long a request may take to arrive, and an answer to leave.
const DEADLINE: Duration = Duration::from_secs(5);

/// After a connection could not be accepted, mostly because the process has no file left.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// What there is, for whoever asks for something else.
const PATHS: &str = "/healthz            do the loops of this process turn?
/readyz             is all well that is needed? Each component, its state and the effect;
                    ?role=live: may viewers be sent here? ?role=durable: are positions stored?
                    ?role=ingest: are devices answered?
/statusz            everything: components, loops, limits; ?format=text or ?format=json
/metrics            numbers, for Prometheus
/debug/flamegraph   where the time goes: ?seconds=1 to 60; loopback peers or ADMIN_TOKEN only
";

/// All that pages are made of.
struct Office {
    context: Context,
    sections: Vec<Arc<dyn Section>>,
    guard: Guard,
    profiler: Profiler,
}

/// Answers on the admin listener until the process is gone.
pub async fn run(context: Context, listener: TcpListener, sections: Vec<Arc<dyn Section>>) {
    let log = context.log.clone();
    let opened = listener.set_nonblocking(true).map(|()| listener);
    let opened = opened.and_then(tokio::net::TcpListener::from_std);
    let listener = match opened {
        Ok(listener) => listener,
        Err(error) => {
            let words = format!("The admin listener cannot be used: {error}. Start pitwall again.");
            context.shutdown.fail(crate::error::Stop::Unavailable(words));
            return;
        }
    };
    let mut all: Vec<Arc<dyn Section>> = vec![Arc::new(Process::new(context.clock))];
    all.extend(sections);
    let guard = Guard::new(context.config.admin.token.as_ref());
    let office = Arc::new(Office { context, sections: all, guard, profiler: Profiler::default() });
    accept(&listener, &office, &log).await
}

async fn accept(listener: &tokio::net::TcpListener, office: &Arc<Office>, log: &Log) -> ! {
    let places = Places::new(CONNECTIONS_MAX, CONNECTIONS_PER_ADDRESS_MAX);
    loop {
        places.wait().await;
        match listener.accept().await {
            Ok((stream, peer)) => {
                // Dropping the stream closes it: an answer would cost what somebody else needs.
                let Some(place) = places.take(peer.ip()) else { continue };
                let office = office.clone();
                tokio::spawn(async move { office.serve(stream, peer, place).await });
            }
            Err(error) => {
                log.warn("the admin listener could not accept", &[("error", &error.to_string())]);
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

impl Office {
    async fn serve(&self, mut stream: TcpStream, peer: SocketAddr, place: Place) {
        let in_time = if place.is_crowded { CROWDED_DEADLINE } else { DEADLINE };
        let answer = match timeout(in_time, http::read(&mut stream)).await {
            Ok(Ok(request)) => self.answer(&request, peer).await,
            Ok(Err(Some(refusal))) => refusal,
            // Nobody is there to be answered, or nothing was asked.
            Ok(Err(None)) | Err(_) => return,
        };
        // A peer who does not take the answer does without it.
        timeout(DEADLINE, http::write(&mut stream, answer)).await.ok();
    }

    async fn answer(&self, request: &Request, peer: SocketAddr) -> Answer {
        if request.path.starts_with("/debug/")
            && let Err(words) = self.guard.admit(request, peer)
        {
            return http::text(403, words);
        }
        match request.path.as_str() {
            "/healthz" => health::healthz(&self.context.status),
            "/readyz" => health::readyz(&self.context.status, request),
            "/statusz" => statusz::statusz(request, &self.context, &self.sections),
            "/metrics" => self.metrics(),
            "/debug/flamegraph" => self.profiler.flamegraph(request).await,
            _ => http::text(404, &format!("There is no such page. These are:\n\n{PATHS}")),
        }
    }

    fn metrics(&self) -> Answer {
        let mut page = Page::default();
        for section in &self.sections {
            section.write(&mut page);
        }
        Answer::new(200, "text/plain; version=0.0.4", page.into_text())
    }
}
