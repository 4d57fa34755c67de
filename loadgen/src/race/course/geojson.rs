//! The road as GeoJSON (RFC 7946), for maps: stages, stretches without reception, start and finish.

use std::fmt::Write;

use super::{Course, Place, Stretch};

/// Between two points of a line: as far apart as the road's own, so that no bend is cut.
const STEP_M: f64 = 50.0;

impl Course {
    /// A `FeatureCollection`. Each feature has a `kind`: `special` and `road` for stages, with their
    /// `number`, `dead-zone`, `start` and `finish`.
    #[must_use]
    pub fn geojson(&self) -> String {
        let mut text = r#"{"type":"FeatureCollection","features":["#.to_owned();
        for (number, stage) in (1..).zip(&self.stages) {
            let kind = if stage.is_special { "special" } else { "road" };
            let properties = format!(r#""kind":"{kind}","number":{number}"#);
            append_feature(&properties, "LineString", &self.line(&stage.stretch), &mut text);
            text.push(',');
        }
        for zone in &self.dead_zones {
            append_feature(r#""kind":"dead-zone""#, "LineString", &self.line(zone), &mut text);
            text.push(',');
        }
        append_feature(r#""kind":"start""#, "Point", &point(&self.place(0.0)), &mut text);
        text.push(',');
        let finish = point(&self.place(self.length_m()));
        append_feature(r#""kind":"finish""#, "Point", &finish, &mut text);
        text.push_str("]}");
        text
    }

    /// The coordinates of a stretch.
    fn line(&self, stretch: &Stretch) -> String {
        let mut text = "[".to_owned();
        let mut at_m = stretch.start_m;
        while at_m < stretch.end_m {
            text.push_str(&point(&self.place(at_m)));
            text.push(',');
            at_m += STEP_M;
        }
        text.push_str(&point(&self.place(stretch.end_m)));
        text.push(']');
        text
    }
}

fn append_feature(properties: &str, geometry: &str, coordinates: &str, text: &mut String) {
    write!(
        text,
        r#"{{"type":"Feature","properties":{{{properties}}},"geometry":{{"type":"{geometry}","coordinates":{coordinates}}}}}"#
    )
    .expect("text grows");
}

/// East before north, as GeoJSON has it; six decimals are a hand's breadth.
fn point(place: &Place) -> String {
    let east = f64::from(place.longitude_e7) / 1e7;
    let north = f64::from(place.latitude_e7) / 1e7;
    format!("[{east:.6},{north:.6}]")
}

#[cfg(test)]
mod tests {
    use crate::race::{Irregular, Race};

    #[test]
    fn a_course_is_told_with_all_its_stages_and_dead_zones_and_both_its_ends() {
        let course = Race::course_of(1, &Irregular::default());
        let text = course.geojson();
        let count = |part: &str| text.matches(part).count();
        assert_eq!(count("\"Feature\""), course.stages().len() + course.dead_zones().len() + 2);
        assert_eq!(count("\"special\""), 4);
        assert_eq!(count("\"dead-zone\""), course.dead_zones().len());
        assert_eq!((count("\"start\""), count("\"finish\"")), (1, 1));
        assert_eq!((count("{"), count("[")), (count("}"), count("]")));
        assert!(text.contains("\"coordinates\":[19.818700,41.327500]"), "{}", &text[..200]);
    }
}
