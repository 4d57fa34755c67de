//! GPX 1.1: a track for each device.

use std::fmt;
use std::io::{self, Write};

use super::{Driver, Fix, time};

/// Writes GPX.
#[derive(Debug)]
pub(super) struct Gpx<W> {
    out: W,
}

impl<W: Write> Gpx<W> {
    pub(super) const fn new(out: W) -> Self {
        Self { out }
    }

    pub(super) fn begin(&mut self, title: &str) -> io::Result<()> {
        writeln!(self.out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>")?;
        let space = "http://www.topografix.com/GPX/1/1";
        writeln!(self.out, "<gpx version=\"1.1\" creator=\"pitwall\" xmlns=\"{space}\">")?;
        writeln!(self.out, "<metadata><name>{}</name></metadata>", Xml(title))
    }

    pub(super) fn begin_track(&mut self, driver: &Driver) -> io::Result<()> {
        let name = match (&driver.number, &driver.name) {
            (Some(number), Some(name)) => format!("{number} {name}"),
            (Some(one), None) | (None, Some(one)) => one.clone(),
            (None, None) => driver.imei.clone(),
        };
        writeln!(
            self.out,
            "<trk><name>{}</name><desc>{}</desc><trkseg>",
            Xml(&name),
            Xml(&driver.imei)
        )
    }

    pub(super) fn fix(&mut self, fix: &Fix) -> io::Result<()> {
        let Fix { latitude, longitude, altitude, satellites, .. } = fix;
        let time = time(fix.time_us);
        write!(self.out, "<trkpt lat=\"{latitude}\" lon=\"{longitude}\"><ele>{altitude}</ele>")?;
        writeln!(self.out, "<time>{time}</time><sat>{satellites}</sat></trkpt>")
    }

    pub(super) fn end_track(&mut self) -> io::Result<()> {
        writeln!(self.out, "</trkseg></trk>")
    }

    pub(super) fn end(&mut self) -> io::Result<()> {
        writeln!(self.out, "</gpx>")?;
        self.out.flush()
    }
}

/// A text inside an element. What XML cannot hold at all is left out.
struct Xml<'a>(&'a str);

impl fmt::Display for Xml<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '&' => formatter.write_str("&amp;")?,
                '<' => formatter.write_str("&lt;")?,
                '>' => formatter.write_str("&gt;")?,
                '\t' | '\n' | '\r' => formatter.write_str(" ")?,
                '\0'..='\x1f' | '\u{fffe}' | '\u{ffff}' => {}
                character => write!(formatter, "{character}")?,
            }
        }
        Ok(())
    }
}
