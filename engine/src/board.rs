//! The newest finished frame of each slot, on one shard: what a snapshot and a conflated viewer see.
//!
//! It is fed by blocks only, so it needs no roster, and every shard with viewers of an event holds
//! the same.

use crate::frame;
use crate::id::{Sequence, SlotIndex};
use crate::limits::FRAME_BYTES_TYPICAL;

/// Parallel arrays by slot.
#[derive(Debug)]
pub struct Board {
    /// Room for one frame; grows when a longer one comes.
    stride: usize,
    bytes: Vec<u8>,
    /// Length of the frame; 0 when the slot shows nothing.
    length: Vec<u16>,
    /// Sequence of the frame; 0 when it must not be streamed.
    sequence: Vec<Sequence>,
}

impl Default for Board {
    fn default() -> Self {
        let stride = FRAME_BYTES_TYPICAL;
        Self { stride, bytes: Vec::new(), length: Vec::new(), sequence: Vec::new() }
    }
}

impl Board {
    /// Number of slots.
    #[must_use]
    pub const fn slot_count(&self) -> usize {
        self.length.len()
    }

    /// Keeps a frame. `Sequence(0)` means: for snapshots only.
    pub fn set(&mut self, slot: SlotIndex, sequence: Sequence, frame: &[u8]) {
        let at = slot.0 as usize;
        self.fit(at, frame.len());
        self.bytes[at * self.stride..][..frame.len()].copy_from_slice(frame);
        self.length[at] = u16::try_from(frame.len()).expect("FRAME_BYTES_MAX is below 2^16");
        self.sequence[at] = sequence;
    }

    /// Shows nothing in the slot from now on.
    pub fn clear(&mut self, slot: SlotIndex) {
        let at = slot.0 as usize;
        if at < self.length.len() {
            self.length[at] = 0;
            self.sequence[at] = Sequence(0);
        }
    }

    /// Keeps the slot's frame for snapshots only.
    pub fn withhold(&mut self, slot: SlotIndex) {
        self.sequence[slot.0 as usize] = Sequence(0);
    }

    /// The frame of a slot; empty when it shows nothing.
    #[must_use]
    pub fn frame(&self, slot: SlotIndex) -> &[u8] {
        let at = slot.0 as usize;
        match self.length.get(at) {
            Some(&length) => &self.bytes[at * self.stride..][..usize::from(length)],
            None => &[],
        }
    }

    /// The sequences of all slots.
    #[must_use]
    pub fn sequences(&self) -> &[Sequence] {
        &self.sequence
    }

    /// Appends the snapshot: `[{…},{…}]}`, the closing brace that of the reply around it.
    pub fn write_snapshot(&self, out: &mut Vec<u8>) {
        out.push(b'[');
        let mut separator: &[u8] = b"{";
        for (frames, &length) in self.bytes.chunks_exact(self.stride).zip(&self.length) {
            if length > 0 {
                out.extend_from_slice(separator);
                out.extend_from_slice(frame::entry(&frames[..usize::from(length)]));
                separator = b",{";
            }
        }
        out.extend_from_slice(b"]}");
    }

    /// Bytes this board holds on the heap.
    #[must_use]
    pub const fn heap_bytes(&self) -> usize {
        self.bytes.capacity() + self.length.capacity() * 2 + self.sequence.capacity() * 8
    }

    fn fit(&mut self, at: usize, frame_bytes: usize) {
        if frame_bytes > self.stride {
            let stride = frame_bytes.next_multiple_of(16);
            let mut bytes = vec![0; stride * self.slot_count()];
            for (to, from) in
                bytes.chunks_exact_mut(stride).zip(self.bytes.chunks_exact(self.stride))
            {
                to[..self.stride].copy_from_slice(from);
            }
            (self.stride, self.bytes) = (stride, bytes);
        }
        if at >= self.slot_count() {
            self.length.resize(at + 1, 0);
            self.sequence.resize(at + 1, Sequence(0));
            self.bytes.resize((at + 1) * self.stride, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Board;
    use crate::frame::{encode, head};
    use crate::id::{DeviceIndex, EventId, Sequence, SlotIndex};
    use crate::position::{Codec, Position};

    fn frame(device: &str) -> Vec<u8> {
        let position = Position {
            timestamp_ms: 1_780_733_730_000,
            latitude: 1.5,
            longitude: 2.0,
            altitude: 0.0,
            angle: 0.0,
            speed: 0.0,
            device: DeviceIndex(0),
            satellites: 9,
            priority: 0,
            codec: Codec::Codec8,
        };
        let mut out = Vec::new();
        encode(&mut out, &head(EventId(1)), device.as_bytes(), &position);
        out
    }

    fn check(board: &Board, devices: &[&str]) {
        let entry = |d| format!(r#"{{"deviceId":"{d}","lat":1.5,"lon":2,"ts":1780733730000}}"#);
        let entries: Vec<_> = devices.iter().map(entry).collect();
        let mut out = Vec::new();
        board.write_snapshot(&mut out);
        assert_eq!(String::from_utf8(out).unwrap(), format!("[{}]}}", entries.join(",")));
    }

    #[test]
    fn a_snapshot_is_joined_from_the_frames_of_the_slots_that_show_one() {
        let mut board = Board::default();
        check(&board, &[]);
        board.set(SlotIndex(2), Sequence(1), &frame("c"));
        check(&board, &["c"]);
        board.set(SlotIndex(0), Sequence(2), &frame("a"));
        let long = "x".repeat(300);
        board.set(SlotIndex(3), Sequence(3), &frame(&long));
        check(&board, &["a", "c", &long]);
        board.clear(SlotIndex(2));
        board.clear(SlotIndex(9));
        check(&board, &["a", &long]);
        assert_eq!(board.frame(SlotIndex(0)), frame("a"));
    }
}
