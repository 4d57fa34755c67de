//! `loadgen course`: the road of a race, for maps.

use std::io::{self, Write};
use std::process::ExitCode;

use loadgen::race::{Irregular, Race};

use super::Failure;

#[derive(Debug, clap::Args)]
pub(super) struct CourseArguments {
    /// Decides everything that is random: the same seed as the race's.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// A race in which nothing goes wrong has no stretches without reception.
    #[arg(long)]
    calm: bool,
    /// Print it as a GeoJSON `FeatureCollection`; there is no other form.
    #[arg(long)]
    geojson: bool,
}

pub(super) fn run(arguments: &CourseArguments) -> Result<ExitCode, Failure> {
    let irregular = if arguments.calm { Irregular::NONE } else { Irregular::default() };
    let course = Race::course_of(arguments.seed, &irregular);
    // The only form is also what is printed when none is asked for.
    let CourseArguments { geojson: _, .. } = arguments;
    writeln!(io::stdout(), "{}", course.geojson())?;
    Ok(ExitCode::SUCCESS)
}
