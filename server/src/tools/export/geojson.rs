//! GeoJSON: a FeatureCollection with a line for each device, and the time of each of its points.

use std::io::{self, Write};

use super::{Driver, Fix, time};
use crate::log::push_escaped_whole;

/// Points of one line; a longer track is several. Their times wait until the line ends, 800 KB.
const POINTS_MAX: usize = 100_000;

/// Writes GeoJSON.
#[derive(Debug)]
pub(super) struct GeoJson<W> {
    out: W,
    feature_count: u64,
    /// The first point of a line, held back: one alone is no line.
    first: Option<String>,
    times_us: Vec<i64>,
}

impl<W: Write> GeoJson<W> {
    pub(super) const fn new(out: W) -> Self {
        Self { out, feature_count: 0, first: None, times_us: Vec::new() }
    }

    pub(super) fn begin(&mut self, title: &str) -> io::Result<()> {
        let title = text(title);
        write!(self.out, "{{\"type\":\"FeatureCollection\",\"name\":{title},\"features\":[")
    }

    pub(super) fn fix(&mut self, driver: &Driver, fix: &Fix) -> io::Result<()> {
        if self.times_us.len() == POINTS_MAX {
            self.end_track(driver)?;
        }
        let point = format!("[{},{},{}]", fix.longitude, fix.latitude, fix.altitude);
        match self.times_us.len() {
            0 => self.first = Some(point),
            1 => {
                let first = self.first.take().expect("it was held back");
                self.begin_feature("LineString")?;
                write!(self.out, "[{first},\n{point}")?;
            }
            _ => write!(self.out, ",\n{point}")?,
        }
        self.times_us.push(fix.time_us);
        Ok(())
    }

    pub(super) fn end_track(&mut self, driver: &Driver) -> io::Result<()> {
        if let Some(point) = self.first.take() {
            self.begin_feature("Point")?;
            write!(self.out, "{point}")?;
        } else if self.times_us.is_empty() {
            return Ok(());
        } else {
            write!(self.out, "]")?;
        }
        write!(self.out, "}},\"properties\":{{\"deviceId\":{}", text(&driver.imei))?;
        for (name, value) in [("name", &driver.name), ("number", &driver.number)] {
            if let Some(value) = value {
                write!(self.out, ",\"{name}\":{}", text(value))?;
            }
        }
        write!(self.out, ",\"coordTimes\":[")?;
        for (index, time_us) in self.times_us.drain(..).enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(self.out, "{comma}\"{}\"", time(time_us))?;
        }
        write!(self.out, "]}}}}")
    }

    pub(super) fn end(&mut self) -> io::Result<()> {
        writeln!(self.out, "]}}")?;
        self.out.flush()
    }

    fn begin_feature(&mut self, kind: &str) -> io::Result<()> {
        let comma = if self.feature_count == 0 { "" } else { "," };
        self.feature_count += 1;
        let geometry = format!("{{\"type\":\"{kind}\",\"coordinates\":");
        write!(self.out, "{comma}\n{{\"type\":\"Feature\",\"geometry\":{geometry}")
    }
}

fn text(value: &str) -> String {
    let mut text = "\"".to_owned();
    push_escaped_whole(&mut text, value);
    text + "\""
}
