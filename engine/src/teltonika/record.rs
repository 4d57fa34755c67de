//! One record as a view into its packet: the fix, and the IO elements read where they lie.

use crate::position::Codec;

/// The fixed part of a record, exactly as the wire has it.
///
/// Any value the wire can carry is kept, also a latitude beyond the pole: which positions are
/// credible is decided once, in [`crate::decode`], for every way a position can arrive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fix {
    /// Device time, epoch milliseconds.
    pub timestamp_ms: u64,
    /// 0 low, 1 high, 2 panic.
    pub priority: u8,
    /// Degrees east, in units of 1e-7.
    pub longitude_e7: i32,
    /// Degrees north, in units of 1e-7.
    pub latitude_e7: i32,
    /// Metres above sea level.
    pub altitude_m: i16,
    /// Degrees from north.
    pub angle_deg: u16,
    /// Satellites in use; 0 means that there is no fix and the rest may be old.
    pub satellites: u8,
    /// Kilometres per hour.
    pub speed_kmh: u16,
    /// The IO element that made the device send the record; 0 when it was only time.
    pub event_io_id: u16,
    /// Why the record was made: present exactly in codec 16.
    pub generation_type: Option<u8>,
}

/// The value of an IO element. The sizes are the wire's; how to read them is the device's affair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// One byte.
    U8(u8),
    /// Two bytes.
    U16(u16),
    /// Four bytes.
    U32(u32),
    /// Eight bytes, unsigned.
    U64(u64),
    /// Of variable length; codec 8E only.
    Bytes(&'a [u8]),
}

/// One IO element: what a device says beside its position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element<'a> {
    /// Which property; the table of ids depends on the device's model.
    pub id: u16,
    /// Its value.
    pub value: Value<'a>,
}

/// One record of a packet. Borrows the packet's bytes, allocates nothing.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Where and when.
    pub fix: Fix,
    /// The codec it was written in.
    codec: Codec,
    /// The element groups, each behind its count.
    groups: &'a [u8],
}

impl<'a> Record<'a> {
    /// A record whose `groups` are known to be whole.
    pub(super) const fn new(fix: Fix, codec: Codec, groups: &'a [u8]) -> Self {
        Self { fix, codec, groups }
    }

    /// The IO elements in the order of the wire: one, two, four, eight bytes, then variable ones.
    #[must_use]
    pub const fn elements(&self) -> Elements<'a> {
        Elements { layout: Layout::of(self.codec), rest: self.groups, group: 0, left: 0 }
    }
}

/// Iterates over the IO elements of a record.
#[derive(Clone, Debug)]
pub struct Elements<'a> {
    layout: Layout,
    rest: &'a [u8],
    /// The groups whose count has been read; [`GROUP_VALUE_BYTES`] names their sizes.
    group: usize,
    /// Elements left in the group.
    left: u16,
}

impl<'a> Iterator for Elements<'a> {
    type Item = Element<'a>;

    fn next(&mut self) -> Option<Element<'a>> {
        while self.left == 0 {
            if self.group == self.layout.group_count() {
                return None;
            }
            self.left = read_number(&mut self.rest, self.layout.count_bytes)?;
            self.group += 1;
        }
        self.left -= 1;
        let id = read_number(&mut self.rest, self.layout.id_bytes)?;
        let value = match self.group {
            1 => Value::U8(u8::from_be_bytes(take(&mut self.rest)?)),
            2 => Value::U16(u16::from_be_bytes(take(&mut self.rest)?)),
            3 => Value::U32(u32::from_be_bytes(take(&mut self.rest)?)),
            4 => Value::U64(u64::from_be_bytes(take(&mut self.rest)?)),
            _ => {
                let length = u16::from_be_bytes(take(&mut self.rest)?);
                Value::Bytes(self.rest.split_off(..usize::from(length))?)
            }
        };
        Some(Element { id, value })
    }
}

/// Bytes per value in the groups of fixed size, in their order.
pub(super) const GROUP_VALUE_BYTES: [usize; 4] = [1, 2, 4, 8];

/// What distinguishes the three codecs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    /// An element id, also that of the event.
    pub(super) id_bytes: usize,
    /// A count of elements.
    pub(super) count_bytes: usize,
    /// Codec 16 says why the record was made.
    pub(super) has_generation_type: bool,
    /// Codec 8E has a fifth group, of values with a length of their own.
    pub(super) has_variable_group: bool,
}

impl Layout {
    pub(super) const fn of(codec: Codec) -> Self {
        let (id_bytes, count_bytes) = match codec {
            Codec::Codec8 => (1, 1),
            Codec::Codec8Extended => (2, 2),
            Codec::Codec16 => (2, 1),
        };
        Self {
            id_bytes,
            count_bytes,
            has_generation_type: matches!(codec, Codec::Codec16),
            has_variable_group: matches!(codec, Codec::Codec8Extended),
        }
    }

    const fn group_count(self) -> usize {
        GROUP_VALUE_BYTES.len() + self.has_variable_group as usize
    }
}

/// Takes the next `N` bytes, if there are as many.
pub(super) fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (bytes, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(*bytes)
}

/// Takes an id or a count, which is one or two bytes wide.
pub(super) fn read_number(rest: &mut &[u8], width_bytes: usize) -> Option<u16> {
    if width_bytes == 1 {
        take::<1>(rest).map(|[byte]| u16::from(byte))
    } else {
        take(rest).map(u16::from_be_bytes)
    }
}
