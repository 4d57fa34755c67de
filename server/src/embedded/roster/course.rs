//! The course of an event: a GeoJSON file, brought into the one form that the page draws.

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use sonic_rs::{JsonContainerTrait as _, JsonValueTrait as _, Value, json};

/// Longest course: 40,000 points. It is sent to every viewer once.
const COURSE_BYTES_MAX: u64 = 1024 * 1024;

/// What a geometry of GeoJSON may be.
const GEOMETRIES: [&str; 7] = [
    "Point",
    "MultiPoint",
    "LineString",
    "MultiLineString",
    "Polygon",
    "MultiPolygon",
    "GeometryCollection",
];

/// Reads the file, which is named from the folder of the roster. The error is a sentence.
pub(super) fn read(directory: &Path, name: &str) -> Result<(PathBuf, Arc<str>), String> {
    let is_plain = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
    if name.is_empty() || !Path::new(name).components().all(is_plain) {
        return Err("names no file within the folder of the roster: write only its name, such as \
                    \"course.geojson\"."
            .to_owned());
    }
    let path = directory.join(name);
    let text = super::text_of(&path, COURSE_BYTES_MAX)
        .map_err(|error| format!("names a file that cannot be read: {error}."))?;
    let value: Value = sonic_rs::from_str(&text)
        .map_err(|error| format!("names a file that is not JSON, in its line {}.", error.line()))?;
    let collection = collection(value).ok_or_else(|| {
        "names a file that is not GeoJSON: a FeatureCollection, a Feature or a geometry.".to_owned()
    })?;
    let text = sonic_rs::to_string(&collection).expect("what was JSON can be written again");
    Ok((path, text.into()))
}

/// The value as a FeatureCollection, if it is GeoJSON at all.
fn collection(value: Value) -> Option<Value> {
    let kind = value.get("type")?.as_str()?;
    if kind == "FeatureCollection" {
        value.get("features")?.as_array()?;
        return Some(value);
    }
    let feature = if kind == "Feature" {
        value.get("geometry")?;
        value
    } else if GEOMETRIES.contains(&kind) {
        json!({ "type": "Feature", "properties": {}, "geometry": value })
    } else {
        return None;
    };
    Some(json!({ "type": "FeatureCollection", "features": [feature] }))
}

#[cfg(test)]
mod tests {
    use super::collection;

    fn check(text: &str, expected: Option<usize>) {
        let found = collection(sonic_rs::from_str(text).unwrap());
        let text = found.map(|found| sonic_rs::to_string(&found).unwrap());
        assert_eq!(text.as_ref().map(|text| text.matches("\"Feature\"").count()), expected);
        assert!(text.is_none_or(|text| text.contains("\"FeatureCollection\"")));
    }

    #[test]
    fn every_kind_of_geojson_becomes_a_collection() {
        check(r#"{"type":"LineString","coordinates":[[1,2],[3,4]]}"#, Some(1));
        check(r#"{"type":"Feature","geometry":null,"properties":null}"#, Some(1));
        check(r#"{"type":"FeatureCollection","features":[]}"#, Some(0));
        for text in ["{}", "[]", r#"{"type":"Topology"}"#, r#"{"type":"FeatureCollection"}"#] {
            check(text, None);
        }
    }
}
