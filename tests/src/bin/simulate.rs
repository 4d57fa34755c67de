//! Lives through many simulated worlds and says whether any broke a promise.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program of the command line")]

use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use tests::simulation::{Failure, Summary, run};

const USAGE: &str = "simulate [--seed N] [--seeds N] [--from N] [--threads N]";

/// What to live through.
#[derive(Clone, Copy, Debug)]
struct Order {
    from: u64,
    seeds: u64,
    threads: u64,
}

fn main() -> ExitCode {
    let order = match read(std::env::args().skip(1)) {
        Ok(order) => order,
        Err(mistake) => {
            eprintln!("{mistake}\nusage: {USAGE}");
            return ExitCode::from(2);
        }
    };
    // A panic of the engine is a result like any other here, printed with its seed.
    std::panic::set_hook(Box::new(|_| {}));
    let began = Instant::now();
    match live(order, began) {
        Ok(total) => {
            let seconds = began.elapsed().as_secs_f64();
            #[expect(clippy::cast_precision_loss, reason = "for reading")]
            let pace = order.seeds as f64 / seconds;
            println!(
                "{pace:.0} seeds/s, {} viewers, {} snapshots, {} repeats, {} conflated, {} kills, {} steps, hash {:016x}",
                total.viewers,
                total.snapshots,
                total.repeats,
                total.conflated,
                total.kills,
                total.steps,
                total.hash
            );
            println!("{}", total.verdict(order.seeds));
            ExitCode::SUCCESS
        }
        Err(failure) => {
            println!("{failure}");
            ExitCode::FAILURE
        }
    }
}

fn read(mut words: impl Iterator<Item = String>) -> Result<Order, String> {
    let mut order = Order { from: 0, seeds: 1000, threads: 1 };
    while let Some(word) = words.next() {
        let number = words.next().and_then(|text| text.parse().ok());
        let number = number.ok_or_else(|| format!("{word} wants a number"))?;
        match word.as_str() {
            "--seed" => (order.from, order.seeds) = (number, 1),
            "--seeds" => order.seeds = number,
            "--from" => order.from = number,
            "--threads" => order.threads = number.clamp(1, 64),
            _ => return Err(format!("{word} is unknown")),
        }
    }
    Ok(order)
}

/// Every thread takes the next seed; the sum does not depend on who took which.
fn live(order: Order, began: Instant) -> Result<Summary, Box<Failure>> {
    let next = AtomicU64::new(0);
    let has_failed = AtomicBool::new(false);
    let work = || {
        let mut results = Vec::new();
        while !has_failed.load(Ordering::Relaxed) {
            let at = next.fetch_add(1, Ordering::Relaxed);
            if at >= order.seeds {
                break;
            }
            if at % 500 == 499 && std::io::stderr().is_terminal() {
                eprint!("\r{} of {} seeds, {:.0?}", at + 1, order.seeds, began.elapsed());
            }
            let result = run(order.from + at);
            has_failed.fetch_or(result.is_err(), Ordering::Relaxed);
            results.push((at, result));
        }
        results
    };
    let mut results = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..order.threads).map(|_| scope.spawn(work)).collect();
        let joined = threads.into_iter().map(|thread| thread.join().expect("panics are caught"));
        joined.flatten().collect::<Vec<_>>()
    });
    if std::io::stderr().is_terminal() {
        eprintln!();
    }
    results.sort_by_key(|(at, _)| *at);
    let mut total = Summary::default();
    for (_, result) in results {
        total.add(&result?);
    }
    Ok(total)
}
