//! One entry as it was produced: what was meant by it, and the exact bytes that say so.

use engine::rows::EntryId;

use crate::entries::iso;
use crate::platform::imei;

/// The name and the value of one field of an entry.
pub type RawField = (Vec<u8>, Vec<u8>);

/// One thing produced. The bytes of its entry follow from it, see [`Record::fields`].
#[derive(Clone, Debug)]
pub struct Record {
    /// Its place in the log. It stands in the attributes, so no two records have the same payload
    /// unless one repeats the other word for word.
    pub number: u32,
    /// Where it is in the stream.
    pub entry: Entry,
    /// The number of its device, see [`imei`].
    pub device: u32,
    /// Device time.
    pub ts_ms: i64,
    /// What is to become of it.
    pub kind: Kind,
    /// What the device measured.
    pub values: Values,
}

/// Where a record is in the stream, as far as its producer knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Redis has taken it, under this id.
    At(EntryId),
    /// The answer was lost: it may be there or not.
    Perhaps,
    /// Redis has refused it.
    Nowhere,
}

/// What is to become of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// The device's newest fix so far.
    New,
    /// Older than all that the device has sent.
    Late,
    /// Has the device and the time of an earlier record, and the same words or others.
    Duplicate,
    /// Cannot be decoded, and belongs to the dead letters.
    Undecodable,
    /// Can be decoded, and is stored unless the table refuses it, see [`REFUSE`].
    Refused,
}

/// Makes the table refuse every [`Kind::Refused`] with the SQLSTATE 23514; no other record.
pub const REFUSE: &str = "ALTER TABLE positions ADD CONSTRAINT no_panic CHECK (priority <> 2)";

/// Lets the table take them again.
pub const ACCEPT: &str = "ALTER TABLE positions DROP CONSTRAINT no_panic";

/// What a device measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Values {
    /// Ten-millionths of a degree north.
    pub latitude_e7: i32,
    /// Ten-millionths of a degree east.
    pub longitude_e7: i32,
    /// Metres.
    pub altitude: i16,
    /// Degrees.
    pub angle: u16,
    /// Kilometres an hour.
    pub speed: u16,
    /// Satellites in sight.
    pub satellites: u8,
    /// Which number the attributes tell: the record's own, or that of the one it repeats.
    pub told_number: u32,
}

/// Ways not to be decodable.
const BROKEN_SHAPES: u32 = 9;

impl Record {
    /// The IMEI.
    #[must_use]
    pub fn device_id(&self) -> String {
        imei(u64::from(self.device))
    }

    /// 2, a panic button, for what the table refuses.
    #[must_use]
    pub fn priority(&self) -> i16 {
        if self.kind == Kind::Refused { 2 } else { 0 }
    }

    /// The codec in which the device wrote.
    #[must_use]
    pub fn codec(&self) -> &'static str {
        ["8", "8E", "16"][self.values.told_number as usize % 3]
    }

    /// The attributes as the database keeps them.
    #[must_use]
    pub fn stored_attributes(&self) -> String {
        let number = self.values.told_number;
        if number.is_multiple_of(4) {
            let bigint = u64::MAX - u64::from(number);
            format!("{{\"239\":1,\"199\":{number},\"16\":\"{bigint}\",\"385\":\"q83v\"}}")
        } else {
            format!("{{\"239\":1,\"199\":{number}}}")
        }
    }

    /// The fields of its entry, in order.
    #[must_use]
    pub fn fields(&self) -> Vec<RawField> {
        let time = iso(self.ts_ms);
        let mut fields = vec![
            field("ts", time.as_bytes()),
            field("device_id", self.device_id().as_bytes()),
            field("codec", self.codec().as_bytes()),
            field("payload", self.payload(&time).as_bytes()),
        ];
        if self.kind == Kind::Undecodable {
            self.spoil(&mut fields);
        }
        fields
    }

    fn payload(&self, time: &str) -> String {
        let Values { latitude_e7, longitude_e7, altitude, angle, speed, satellites, told_number } =
            self.values;
        let (latitude, longitude) = (f64::from(latitude_e7) / 1e7, f64::from(longitude_e7) / 1e7);
        let mut attributes = self.stored_attributes();
        if told_number.is_multiple_of(4) {
            let bigint = u64::MAX - u64::from(told_number);
            attributes = attributes
                .replace(&format!("\"{bigint}\""), &format!("{{\"__bigint\":\"{bigint}\"}}"))
                .replace("\"q83v\"", "{\"__buffer_b64\":\"q83v\"}");
        }
        format!(
            "{{\"device_id\":\"{}\",\"timestamp\":\"{time}\",\"latitude\":{latitude},\
             \"longitude\":{longitude},\"altitude\":{altitude},\"angle\":{angle},\
             \"speed\":{speed},\"satellites\":{satellites},\"priority\":{},\
             \"attributes\":{attributes}}}",
            self.device_id(),
            self.priority(),
        )
    }

    /// Makes the fields undecodable, in one of several ways, and keeps the number in them.
    fn spoil(&self, fields: &mut Vec<RawField>) {
        let payload = String::from_utf8_lossy(&fields[3].1).into_owned();
        let number = self.number;
        match number % BROKEN_SHAPES {
            0 => fields[3].1.truncate(payload.len() - 1),
            1 => fields[3].1 = [format!("{number} ").as_bytes(), &[0xff, 0, 0xfe]].concat(),
            2 => fields[3].1 = payload.replace("\"latitude\":", "\"latitude\":1").into_bytes(),
            3 => fields[3] = field("Payload", payload.as_bytes()),
            4 => fields[2].1 = b"8e".to_vec(),
            5 => fields[3].1 = payload.replacen(&self.device_id(), "", 1).into_bytes(),
            6 => fields[3].1 = payload.replace("{\"239\":1", "{\"239\":\"\\u0000\"").into_bytes(),
            7 => fields[3].1 = payload.replacen("Z\"", "\"", 1).into_bytes(),
            // A field twice, and one that nobody knows.
            _ => fields.extend([field("codec", b"8"), field("x\r\n", b"")]),
        }
    }
}

fn field(name: &str, value: &[u8]) -> RawField {
    (name.as_bytes().to_vec(), value.to_vec())
}
