//! The three forms of an export behind one door.

use std::io::{self, Write};

use super::csv::Csv;
use super::geojson::GeoJson;
use super::gpx::Gpx;
use super::{Driver, Fix};

/// Which form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Gpx,
    GeoJson,
    Csv,
}

impl Format {
    /// The format of this word, which the command line has checked.
    pub(super) fn named(word: &str) -> Self {
        match word {
            "gpx" => Self::Gpx,
            "geojson" => Self::GeoJson,
            _ => Self::Csv,
        }
    }
}

/// Writes an export: begun, then each track begun, filled and ended, then ended.
#[derive(Debug)]
pub(super) enum Form<W> {
    Gpx(Gpx<W>),
    GeoJson(GeoJson<W>),
    Csv(Csv<W>),
}

impl<W: Write> Form<W> {
    /// Writes to `out`, which had better be buffered.
    pub(super) const fn new(format: Format, out: W) -> Self {
        match format {
            Format::Gpx => Self::Gpx(Gpx::new(out)),
            Format::GeoJson => Self::GeoJson(GeoJson::new(out)),
            Format::Csv => Self::Csv(Csv::new(out)),
        }
    }

    pub(super) fn begin(&mut self, title: &str) -> io::Result<()> {
        match self {
            Self::Gpx(gpx) => gpx.begin(title),
            Self::GeoJson(geojson) => geojson.begin(title),
            Self::Csv(csv) => csv.begin(),
        }
    }

    pub(super) fn begin_track(&mut self, driver: &Driver) -> io::Result<()> {
        match self {
            Self::Gpx(gpx) => gpx.begin_track(driver),
            Self::GeoJson(_) | Self::Csv(_) => Ok(()),
        }
    }

    pub(super) fn fix(&mut self, driver: &Driver, fix: &Fix) -> io::Result<()> {
        match self {
            Self::Gpx(gpx) => gpx.fix(fix),
            Self::GeoJson(geojson) => geojson.fix(driver, fix),
            Self::Csv(csv) => csv.fix(driver, fix),
        }
    }

    pub(super) fn end_track(&mut self, driver: &Driver) -> io::Result<()> {
        match self {
            Self::Gpx(gpx) => gpx.end_track(),
            Self::GeoJson(geojson) => geojson.end_track(driver),
            Self::Csv(_) => Ok(()),
        }
    }

    pub(super) fn end(&mut self) -> io::Result<()> {
        match self {
            Self::Gpx(gpx) => gpx.end(),
            Self::GeoJson(geojson) => geojson.end(),
            Self::Csv(csv) => csv.end(),
        }
    }
}
