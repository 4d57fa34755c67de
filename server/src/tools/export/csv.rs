//! CSV as RFC 4180 has it, but with the line breaks of Unix: a line for each position.

use std::borrow::Cow;
use std::io::{self, Write};

use super::{Driver, Fix, time};

/// Writes CSV.
#[derive(Debug)]
pub(super) struct Csv<W> {
    out: W,
}

impl<W: Write> Csv<W> {
    pub(super) const fn new(out: W) -> Self {
        Self { out }
    }

    pub(super) fn begin(&mut self) -> io::Result<()> {
        writeln!(
            self.out,
            "device_id,number,name,time,latitude,longitude,altitude,speed,course,satellites,\
             priority,codec,attributes"
        )
    }

    pub(super) fn fix(&mut self, driver: &Driver, fix: &Fix) -> io::Result<()> {
        let Fix { latitude, longitude, altitude, speed, angle, .. } = fix;
        let number = driver.number.as_deref().unwrap_or_default();
        let name = driver.name.as_deref().unwrap_or_default();
        let (number, name, time) = (field(number), field(name), time(fix.time_us));
        write!(self.out, "{},{number},{name},{time},", field(&driver.imei))?;
        write!(self.out, "{latitude},{longitude},{altitude},{speed},{angle},")?;
        let (codec, attributes) = (field(&fix.codec), field(&fix.attributes));
        writeln!(self.out, "{},{},{codec},{attributes}", fix.satellites, fix.priority)
    }

    pub(super) fn end(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// A field, in quotes where it needs them.
fn field(text: &str) -> Cow<'_, str> {
    if text.contains(['"', ',', '\n', '\r']) {
        Cow::Owned(format!("\"{}\"", text.replace('"', "\"\"")))
    } else {
        Cow::Borrowed(text)
    }
}
