//! `pitwall demo`: a race of simulated cars through the whole embedded program, and one screen from
//! which things are broken.
//!
//! Nothing is played: cars are Teltonika devices on TCP connections of their own, positions go to
//! viewers and into SQLite by the same parts as in `pitwall serve`, and the numbers on the screen are
//! those of `/metrics`. Everything lies in a folder of its own, which goes away at the end.

mod acts;
mod folder;
mod numbers;
mod probe;
mod screen;
mod stage;
mod terminal;

use std::io::{self, Write};
use std::time::{Duration, Instant};

use clap::{Arg, ArgMatches, Command, value_parser};

use self::acts::Acts;
use self::numbers::Meter;
use self::screen::View;
use self::stage::{Stage, Wishes};
use self::terminal::{Keys, Terminal};
use crate::error::Stop;

/// Most cars: more are a load test, for which there is `loadgen`.
const CARS_MAX: i64 = 1_000;

/// Between two pictures on a terminal.
const PICTURE: Duration = Duration::from_millis(200);

/// Between two lines where there is no terminal.
const LINE: Duration = Duration::from_secs(5);

/// How the command line names it.
pub(crate) fn command() -> Command {
    let about = "Show a race of simulated cars on a map, with no service around.";
    let more = "Starts the embedded mode in a temporary folder, lets cars race that connect as \
                Teltonika trackers do, and prints where the live page is. On a terminal, keys break \
                things and show them heal. Ctrl-C ends it and removes everything.";
    Command::new("demo")
        .about(about)
        .long_about(format!("{about}\n\n{more}"))
        .arg(
            Arg::new("cars")
                .long("cars")
                .value_name("N")
                .default_value("60")
                .value_parser(value_parser!(u32).range(1..=CARS_MAX))
                .help("Cars in the race."),
        )
        .arg(
            Arg::new("speed")
                .long("speed")
                .value_name("TIMES")
                .default_value("5")
                .value_parser(value_parser!(u32).range(1..=50))
                .help("How many times as fast as a real race it passes."),
        )
        .arg(
            Arg::new("seed")
                .long("seed")
                .value_name("N")
                .default_value("1")
                .value_parser(value_parser!(u64))
                .help("Another seed is another course."),
        )
        .arg(
            Arg::new("host")
                .long("host")
                .value_name("ADDRESS")
                .default_value("127.0.0.1")
                .value_parser(value_parser!(std::net::IpAddr))
                .help("Where the page listens. Beyond loopback it asks for a token, which is printed."),
        )
        .arg(
            Arg::new("port")
                .long("port")
                .value_name("PORT")
                .value_parser(value_parser!(u16))
                .help("The port of the page; 8081 without one, or any that is free."),
        )
}

/// Runs the demo until somebody ends it.
pub(crate) fn run(matches: &ArgMatches) -> Result<(), Stop> {
    let one = |name: &str| matches.get_one::<u32>(name).copied().expect("it has a default");
    let wishes = Wishes {
        cars: one("cars"),
        speed: one("speed"),
        seed: *matches.get_one("seed").expect("it has a default"),
        host: *matches.get_one("host").expect("it has a default"),
        port: matches.get_one("port").copied(),
    };
    let mut stage = Stage::set(&wishes)?;
    let shown = match Terminal::take() {
        Some(terminal) => on_terminal(&mut stage, terminal),
        None => in_lines(&mut stage),
    };
    let ended = stage.clear();
    match shown {
        // Whoever read our output has seen enough.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Stop::Unavailable(format!("The screen cannot be written to: {error}.")))
        }
        _ => ended,
    }
}

/// Pictures, and keys that break things.
fn on_terminal(stage: &mut Stage, mut terminal: Terminal) -> io::Result<()> {
    let keys = Keys::listen()?;
    let (mut acts, mut meter) = (Acts::default(), Meter::new(stage.admin));
    while stage.goes_on() {
        let begun = Instant::now();
        meter.look();
        acts.look(stage);
        let view = View { stage, meter: &meter, acts: &acts };
        terminal.draw(&view.lines(Terminal::columns()))?;
        while let Some(key) = keys.wait(PICTURE.saturating_sub(begun.elapsed())) {
            if key == b'q' {
                stage.end();
            }
            acts.press(key, stage);
        }
    }
    drop(terminal);
    writeln!(io::stderr(), "pitwall demo: ending, and removing everything")
}

/// A line now and then, where nobody can press a key.
fn in_lines(stage: &mut Stage) -> io::Result<()> {
    let mut out = io::stdout();
    let mut meter = Meter::new(stage.admin);
    writeln!(out, "{}", screen::greeting(stage))?;
    out.flush()?;
    let mut last = Instant::now();
    while stage.goes_on() {
        std::thread::sleep(PICTURE);
        meter.look();
        if last.elapsed() >= LINE {
            last = Instant::now();
            writeln!(out, "{}", screen::line(stage, &meter))?;
            out.flush()?;
        }
    }
    Ok(())
}
