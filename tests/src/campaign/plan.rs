//! What happens in a cycle: chance that the seed and the number of the cycle decide wholly.

use std::fmt;

use loadgen::random::Random;

use super::point::{self, Point};

/// So many cycles one instance runs alone, and then so many beside another.
const CREW_CYCLES: u32 = 10;

/// What is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Victim {
    Pitwall,
    Redis,
    Postgres,
    /// One process of PostgreSQL, over which it starts all of them again.
    Backend,
}

/// When it is killed.
#[derive(Clone, Debug)]
pub(super) enum When {
    /// As soon as what was killed before has started, whether it works again or not.
    AtOnce,
    /// When so many more rows are there.
    Rows(u64),
    /// When this has passed so often and comes once more.
    Point(Point, usize),
}

/// One cycle.
#[derive(Clone, Debug)]
pub(super) struct Cycle {
    pub(super) when: When,
    pub(super) victims: Vec<Victim>,
    /// Whether a second instance is at work.
    pub(super) has_second: bool,
    /// Whether it is the second one whose wire is watched, and which is killed.
    pub(super) is_second: bool,
    /// What is down stays so until so many more records were produced, unless Redis is down.
    pub(super) records_down: usize,
    /// Whether pitwall comes back under its name, or its entries are left to whoever claims them.
    pub(super) keeps_name: bool,
    /// Whether pitwall starts before the servers that were killed with it.
    pub(super) is_pitwall_first: bool,
}

impl Cycle {
    /// The cycle of this number.
    pub(super) fn new(seed: u64, number: u32) -> Self {
        let mut random = Random::of_part(seed, number.into());
        let has_second = (number / CREW_CYCLES) % 2 == 1;
        let is_second = random.happens(0.5) && has_second;
        let skip = random.below(5) as usize;
        let (when, victims) = if number.is_multiple_of(2) {
            // Every point in turn, whatever chance says.
            let points = point::all();
            let point = points[(number / 2) as usize % points.len()].clone();
            let others: &[Victim] = match random.below(10) {
                0 => &[Victim::Redis],
                1 => &[Victim::Postgres],
                _ => &[],
            };
            (When::Point(point, skip), [&[Victim::Pitwall], others].concat())
        } else {
            (when(&mut random, skip), victims(&mut random))
        };
        Self {
            when,
            victims,
            has_second,
            is_second,
            records_down: random.below(60) as usize,
            keeps_name: random.happens(0.7),
            is_pitwall_first: random.happens(0.5),
        }
    }

    /// True when this is killed.
    pub(super) fn kills(&self, victim: Victim) -> bool {
        self.victims.contains(&victim)
    }
}

fn when(random: &mut Random, skip: usize) -> When {
    let points = point::all();
    let at = random.below(u32::try_from(points.len()).expect("they are few")) as usize;
    let rows = u64::from(random.below(150));
    match random.below(10) {
        0..3 => When::AtOnce,
        3..6 => When::Point(points[at].clone(), skip),
        _ => When::Rows(rows),
    }
}

fn victims(random: &mut Random) -> Vec<Victim> {
    match random.below(20) {
        0..4 => vec![Victim::Pitwall],
        4..9 => vec![Victim::Redis],
        9..13 => vec![Victim::Postgres],
        13..16 => vec![Victim::Backend],
        16 => vec![Victim::Pitwall, Victim::Redis],
        17 => vec![Victim::Pitwall, Victim::Postgres],
        18 => vec![Victim::Redis, Victim::Postgres],
        _ => vec![Victim::Pitwall, Victim::Redis, Victim::Postgres],
    }
}

impl fmt::Display for Victim {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Pitwall => "pitwall",
            Self::Redis => "Redis",
            Self::Postgres => "PostgreSQL",
            Self::Backend => "a process of PostgreSQL",
        })
    }
}

impl fmt::Display for When {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtOnce => formatter.write_str("at once"),
            Self::Rows(rows) => write!(formatter, "after {rows} rows"),
            Self::Point(point, skip) if *skip == 0 || point.is_first => {
                formatter.write_str(&point.name)
            }
            Self::Point(point, skip) => write!(formatter, "{}, {skip} later", point.name),
        }
    }
}

impl fmt::Display for Cycle {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let victims: Vec<String> = self.victims.iter().map(Victim::to_string).collect();
        let seat = if self.is_second { " (the second)" } else { "" };
        write!(formatter, "{}{seat} {}", victims.join(" and "), self.when)
    }
}
