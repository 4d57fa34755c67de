//! Where the race goes: a winding road of stages, and the stretches of it without reception.
//!
//! Only additions, multiplications, divisions and roundings: their results are the same on every
//! machine, those of a library's sine are not.

mod geojson;

use crate::random::Random;

/// Distance between two points of the road.
const POINT_M: f64 = 50.0;

/// Metres per degree of latitude.
const DEGREE_M: f64 = 111_320.0;

/// Where the start is.
const START_LATITUDE: f64 = 41.3275;
const START_LONGITUDE: f64 = 19.8187;

/// How far from the start the road may lead before it bends back.
const RADIUS_M: f64 = 25_000.0;

const STAGE_COUNT: u32 = 9;

/// The road of one race.
#[derive(Clone, Debug)]
pub struct Course {
    points: Vec<Point>,
    stages: Vec<Stage>,
    /// Stretches without reception, in ascending order; never the start nor the finish.
    dead_zones: Vec<Stretch>,
}

/// A piece of the road.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stretch {
    /// Where it begins, in metres from the start.
    pub start_m: f64,
    /// Where it ends.
    pub end_m: f64,
}

/// A part of the race that is driven at one kind of speed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stage {
    /// Its place on the road.
    pub stretch: Stretch,
    /// True where time counts; the road sections between are driven with the traffic.
    pub is_special: bool,
    /// What an average device drives on the straight.
    pub speed_kmh: f64,
}

/// What a perfect receiver would say at one place of the road.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Degrees north, in units of 1e-7.
    pub latitude_e7: i32,
    /// Degrees east, in units of 1e-7.
    pub longitude_e7: i32,
    /// Metres above the sea.
    pub altitude_m: i16,
    /// Direction of the road, degrees from north, below 360.
    pub angle_deg: u16,
}

#[derive(Clone, Copy, Debug)]
struct Point {
    /// Metres east and north of the start.
    east_m: f64,
    north_m: f64,
    altitude_m: f64,
    angle_deg: u16,
    /// The share of a straight's speed that can be driven here.
    speed_share: f64,
}

impl Course {
    /// The road of a seed. `dead_share` of it, between 0 and 0.5, has no reception.
    #[must_use]
    pub fn new(random: &mut Random, dead_share: f64) -> Self {
        let stages = plan_stages(random);
        let length_m = stages.last().map_or(0.0, |last| last.stretch.end_m);
        let dead_zones = plan_dead_zones(random, length_m, dead_share.clamp(0.0, 0.5));
        let points = build_road(random, length_m);
        Self { points, stages, dead_zones }
    }

    /// From start to finish.
    #[must_use]
    pub fn length_m(&self) -> f64 {
        self.stages.last().map_or(0.0, |last| last.stretch.end_m)
    }

    /// The stages from start to finish, without gaps.
    #[must_use]
    pub fn stages(&self) -> &[Stage] {
        &self.stages
    }

    /// The stretches without reception.
    #[must_use]
    pub fn dead_zones(&self) -> &[Stretch] {
        &self.dead_zones
    }

    /// The place `distance_m` from the start.
    #[must_use]
    pub fn place(&self, distance_m: f64) -> Place {
        let (index, share) = point_index(distance_m);
        let here = self.point(index);
        let next = self.point(index + 1);
        let blend = |from: f64, to: f64| from + (to - from) * share;
        let north_m = blend(here.north_m, next.north_m);
        let east_m = blend(here.east_m, next.east_m);
        let east_degree_m = DEGREE_M * sine(90.0 - START_LATITUDE);
        Place {
            latitude_e7: rounded((START_LATITUDE + north_m / DEGREE_M) * 1e7),
            longitude_e7: rounded((START_LONGITUDE + east_m / east_degree_m) * 1e7),
            altitude_m: i16::try_from(rounded(blend(here.altitude_m, next.altitude_m)))
                .unwrap_or(0),
            angle_deg: here.angle_deg,
        }
    }

    /// What an average device drives `distance_m` from the start, in km/h.
    #[must_use]
    pub fn speed_kmh(&self, distance_m: f64) -> f64 {
        let stage = self.stages.iter().find(|stage| distance_m < stage.stretch.end_m);
        let (index, _) = point_index(distance_m);
        stage.map_or(0.0, |stage| stage.speed_kmh * self.point(index).speed_share)
    }

    /// True where nothing can be sent.
    #[must_use]
    pub fn is_dead(&self, distance_m: f64) -> bool {
        self.dead_zones.iter().any(|zone| (zone.start_m..zone.end_m).contains(&distance_m))
    }

    fn point(&self, index: usize) -> &Point {
        &self.points[index.min(self.points.len() - 1)]
    }
}

fn plan_stages(random: &mut Random) -> Vec<Stage> {
    let mut start_m = 0.0;
    (0..STAGE_COUNT)
        .map(|number| {
            let is_special = number % 2 == 1;
            let (length_m, speed_kmh) = if is_special {
                (random.between(8_000.0, 20_000.0), random.between(85.0, 125.0))
            } else {
                (random.between(3_000.0, 9_000.0), random.between(45.0, 65.0))
            };
            let stretch = Stretch { start_m, end_m: start_m + length_m };
            start_m = stretch.end_m;
            Stage { stretch, is_special, speed_kmh }
        })
        .collect()
}

/// One dead zone in each equal part of the road, at a place of its own within that part.
fn plan_dead_zones(random: &mut Random, length_m: f64, dead_share: f64) -> Vec<Stretch> {
    if dead_share <= 0.0 {
        return Vec::new();
    }
    let part_m = length_m / f64::from(STAGE_COUNT);
    let zone_m = part_m * dead_share;
    (0..STAGE_COUNT)
        .map(|number| {
            // The margins keep start and finish in reception.
            let place_m = random.between(0.02 * part_m, 0.98 * part_m - zone_m);
            let start_m = f64::from(number) * part_m + place_m;
            Stretch { start_m, end_m: start_m + zone_m }
        })
        .collect()
}

fn build_road(random: &mut Random, length_m: f64) -> Vec<Point> {
    let mut points: Vec<Point> = Vec::new();
    let (mut east_m, mut north_m, mut altitude_m) = (0.0, 0.0, 110.0);
    let mut angle_deg = i32::try_from(random.below(360)).unwrap_or(0);
    let (mut turn_deg, mut slope) = (0_i32, 0.0);
    let mut at_m = 0.0;
    while at_m <= length_m + POINT_M {
        let bend = turn_deg.unsigned_abs();
        points.push(Point {
            east_m,
            north_m,
            altitude_m,
            angle_deg: u16::try_from(angle_deg).unwrap_or(0),
            speed_share: 1.0 - f64::from(bend) / 30.0,
        });
        let (east, north) = (sine(f64::from(angle_deg)), sine(f64::from(90 - angle_deg)));
        east_m += east * POINT_M;
        north_m += north * POINT_M;
        altitude_m = (altitude_m + slope * POINT_M).clamp(0.0, 1_600.0);
        slope = (slope + random.between(-0.01, 0.01)).clamp(-0.08, 0.08);
        if random.happens(0.15) {
            turn_deg = i32::try_from(random.below(41)).unwrap_or(0) - 20;
        } else if random.happens(0.3) {
            turn_deg = 0;
        }
        if east_m * east_m + north_m * north_m > RADIUS_M * RADIUS_M {
            // Outside: bend towards the side on which the start lies.
            turn_deg = if east * north_m - north * east_m > 0.0 { 8 } else { -8 };
        }
        angle_deg = (angle_deg + turn_deg).rem_euclid(360);
        at_m += POINT_M;
    }
    points
}

/// The point at or before a distance, and how far it is to the next.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a road has a few thousand points, and no distance is negative"
)]
fn point_index(distance_m: f64) -> (usize, f64) {
    let points = distance_m.max(0.0) / POINT_M;
    (points as usize, points.fract())
}

/// The nearest whole number; coordinates of a road are far within the range.
#[expect(clippy::cast_possible_truncation, reason = "saturates, and the caller's range is small")]
pub(super) fn rounded(number: f64) -> i32 {
    number.round() as i32
}

/// The sine of an angle in degrees, right to nine decimals.
fn sine(angle_deg: f64) -> f64 {
    let turned = (angle_deg + 90.0).rem_euclid(360.0) - 90.0;
    let folded = if turned > 90.0 { 180.0 - turned } else { turned };
    let x = folded * (std::f64::consts::PI / 180.0);
    let mut term = x;
    let mut sum = x;
    for step in 1..8 {
        let n = f64::from(2 * step);
        term *= -x * x / (n * (n + 1.0));
        sum += term;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn course() -> Course {
        Course::new(&mut Random::new(3), 0.1)
    }

    #[test]
    fn sine_is_right_to_nine_decimals() {
        for angle in -720..720 {
            let angle_deg = f64::from(angle) / 2.0;
            assert!((sine(angle_deg) - angle_deg.to_radians().sin()).abs() < 1e-9, "{angle_deg}");
        }
    }

    #[test]
    fn road_has_no_jumps_and_stays_in_its_country() {
        let course = course();
        let mut before = course.place(0.0);
        let mut at_m = 0.0;
        while at_m < course.length_m() {
            at_m += 10.0;
            let place = course.place(at_m);
            let north = (place.latitude_e7 - before.latitude_e7).abs();
            let east = (place.longitude_e7 - before.longitude_e7).abs();
            assert!(north < 1_000 && east < 1_300, "{before:?} {place:?}");
            assert!((410_000_000..416_600_000).contains(&place.latitude_e7), "{place:?}");
            assert!((194_000_000..202_500_000).contains(&place.longitude_e7), "{place:?}");
            assert!(place.angle_deg < 360);
            before = place;
        }
    }

    #[test]
    fn stages_cover_the_road_and_can_be_driven_everywhere() {
        let course = course();
        let mut end_m = 0.0;
        for stage in course.stages() {
            assert!((stage.stretch.start_m - end_m).abs() < 1e-9);
            end_m = stage.stretch.end_m;
            assert!(course.speed_kmh(stage.stretch.start_m) > 10.0);
        }
        assert!(course.speed_kmh(course.length_m()).abs() < f64::EPSILON);
    }

    #[test]
    fn dead_zones_have_their_share_and_spare_start_and_finish() {
        let course = course();
        let dead_m: f64 = course.dead_zones().iter().map(|it| it.end_m - it.start_m).sum();
        assert!((dead_m / course.length_m() - 0.1).abs() < 1e-9);
        assert!(!course.is_dead(0.0) && !course.is_dead(course.length_m()));
        assert!(course.is_dead(course.dead_zones()[0].start_m));
        assert!(Course::new(&mut Random::new(3), 0.0).dead_zones().is_empty());
    }
}
