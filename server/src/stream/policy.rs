//! Whether this Redis can be relied on: that it throws no stream away, and that it is no cluster.

use std::time::Duration;

use tokio::time::sleep;

use super::{Class, Control, Failure, Server, clustered};
use crate::context::Context;
use crate::shutdown::Stage;

/// How often Redis is asked: a change by an operator is seen within that time.
const ASK_MS: u64 = 5_000;

/// Asks again and again, until the process ends. `tell` is told why this Redis must not be relied on,
/// and nothing when it may be.
pub(crate) async fn watch(context: Context, server: Server, tell: impl Fn(Option<String>)) {
    let mut control = None;
    let mut is_told = false;
    while context.shutdown.stage() < Stage::Farewell {
        match ask(&mut control, &server).await {
            Ok(found) => {
                let policy = found.policy.as_deref();
                if found.is_cluster {
                    context.shutdown.fail(clustered("It says cluster_enabled:1."));
                }
                if policy.is_none() && !is_told {
                    is_told = true;
                    context.log.info(
                        "Redis does not say how it uses its memory: make sure that its \
                         maxmemory-policy is noeviction, or allow CONFIG GET",
                        &[],
                    );
                }
                let evicts = policy.filter(|policy| policy.starts_with("allkeys-"));
                tell(evicts.map(|policy| {
                    format!(
                        "Redis may throw away the stream when memory is short: its \
                         maxmemory-policy is {policy}."
                    )
                }));
            }
            // Whoever reads tells that Redis cannot be reached.
            Err(failure) => context.log.debug(&failure.words, &[]),
        }
        sleep(Duration::from_millis(ASK_MS)).await;
    }
}

struct Found {
    /// Nothing when we may not ask.
    policy: Option<String>,
    is_cluster: bool,
}

async fn ask(control: &mut Option<Control>, server: &Server) -> Result<Found, Failure> {
    let control = match control {
        Some(control) => control,
        None => control.insert(Control::new(server)?),
    };
    let asked = control.call(redis::cmd("CONFIG").arg("GET").arg("maxmemory-policy")).await;
    let setting: Option<Vec<String>> = unless_forbidden(asked)?;
    let asked = control.call(redis::cmd("INFO").arg("cluster")).await;
    let info: Option<String> = unless_forbidden(asked)?;
    Ok(Found {
        policy: setting.and_then(|pair| pair.into_iter().nth(1)),
        is_cluster: info.is_some_and(|info| info.lines().any(|line| line == "cluster_enabled:1")),
    })
}

/// Some services forbid such questions by access lists, others by taking the commands out.
fn unless_forbidden<T>(asked: Result<T, Failure>) -> Result<Option<T>, Failure> {
    match asked {
        Ok(answer) => Ok(Some(answer)),
        Err(failure) if failure.class == Class::Hold => Ok(None),
        Err(failure) if failure.words.contains("unknown command") => Ok(None),
        Err(failure) => Err(failure),
    }
}
