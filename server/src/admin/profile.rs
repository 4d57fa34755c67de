//! Where the time goes: samples of all threads for some seconds, as a picture.
//!
//! One at a time. Sampling costs some per cent of one core; it interrupts system calls, which every
//! loop of the program takes up again.

use std::sync::atomic::{AtomicBool, Ordering};

use super::http::{self, Request};
use crate::http::Answer;

/// Longest time of sampling.
#[cfg(feature = "profile")]
const SECONDS_MAX: u64 = 60;

/// Takes pictures.
#[derive(Debug, Default)]
pub(super) struct Profiler {
    is_busy: AtomicBool,
}

/// Given back when the picture is finished, or nobody waits for it any more.
struct Turn<'a>(&'a AtomicBool);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

impl Profiler {
    /// Samples for `?seconds=n` and draws.
    pub(super) async fn flamegraph(&self, request: &Request) -> Answer {
        if self.is_busy.swap(true, Ordering::Acquire) {
            return http::text(503, "Another picture is being taken: ask again in a minute.");
        }
        let _turn = Turn(&self.is_busy);
        take(request).await
    }
}

#[cfg(not(feature = "profile"))]
async fn take(_request: &Request) -> Answer {
    std::future::ready(()).await;
    http::text(404, "This program was built without the feature `profile`.")
}

#[cfg(feature = "profile")]
async fn take(request: &Request) -> Answer {
    let seconds = request.parameter("seconds").unwrap_or("5").parse::<u64>();
    let Some(seconds) = seconds.ok().filter(|seconds| (1..=SECONDS_MAX).contains(seconds)) else {
        return http::text(400, "Say for how long: ?seconds=1 to ?seconds=60.");
    };
    match sampling::sample(std::time::Duration::from_secs(seconds)).await {
        Ok(picture) => Answer::new(200, "image/svg+xml", picture),
        Err(words) => http::text(500, &words),
    }
}

#[cfg(feature = "profile")]
mod sampling {
    use std::time::Duration;

    use pprof::{ProfilerGuardBuilder, Report};

    /// Samples a second of processor time; a prime, so that it does not keep step with a loop.
    const FREQUENCY_HZ: i32 = 199;

    /// The picture, or what went wrong.
    pub(super) async fn sample(time: Duration) -> Result<String, String> {
        let words = |error: &dyn std::fmt::Display| format!("No picture could be taken: {error}.");
        // Unwinding in the middle of these may take a lock that the interrupted code holds.
        let guard = ProfilerGuardBuilder::default()
            .frequency(FREQUENCY_HZ)
            .blocklist(&["libc", "libgcc", "pthread", "vdso"])
            .build()
            .map_err(|error| words(&error))?;
        tokio::time::sleep(time).await;
        let drawn = tokio::task::spawn_blocking(move || {
            let report = guard.report().build().map_err(|error| words(&error))?;
            // No more samples while it is drawn.
            drop(guard);
            draw(&report).map_err(|error| words(&error))
        });
        drawn.await.unwrap_or_else(|error| Err(words(&error)))
    }

    fn draw(report: &Report) -> Result<String, Box<dyn std::error::Error>> {
        let stacks = report.data.iter().map(|(stack, count)| {
            let frames = stack.frames.iter().rev().flat_map(|inlined| inlined.iter().rev());
            let mut line = stack.thread_name_or_id().replace(';', ":");
            for symbol in frames {
                line.push(';');
                line.push_str(&symbol.name().replace([';', '\n'], ":"));
            }
            format!("{line} {count}")
        });
        let stacks: Vec<String> = stacks.collect();
        if stacks.is_empty() {
            return Err("nothing ran meanwhile, so there is nothing to show".into());
        }
        let mut options = inferno::flamegraph::Options::default();
        "pitwall".clone_into(&mut options.title);
        let mut picture = Vec::new();
        let lines = stacks.iter().map(String::as_str);
        inferno::flamegraph::from_lines(&mut options, lines, &mut picture)?;
        Ok(String::from_utf8(picture)?)
    }
}
