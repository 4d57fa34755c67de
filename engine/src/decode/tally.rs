//! Counts what decoding forgave: nothing is repaired in silence.

/// What was forgiven, over all accepted entries of one [`crate::decode::Decoder`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Payloads read by the fast reader.
    pub fast: u64,
    /// Payloads read by the general reader. A large share of the whole means that somebody writes
    /// payloads in another form than the platform does.
    pub general: u64,
    /// Fields that v1 does not know, in entries and payloads: ignored.
    pub unknown_fields: u64,
    /// Numbers outside their range: moved to its end.
    pub clamped: u64,
    /// Optional fields that were missing or null: 0, or `{}`.
    pub defaulted: u64,
    /// Entries whose `device_id` or `ts` field differs from the payload: the payload won.
    pub entry_mismatch: u64,
    /// Attribute values that are neither numbers nor sentinels: kept as they are.
    pub attributes_unusual: u64,
}

impl Tally {
    #[inline]
    pub(super) fn count(&mut self, notes: &Notes) {
        self.fast += u64::from(notes.fast);
        self.general += u64::from(!notes.fast);
        self.unknown_fields += u64::from(notes.unknown_fields);
        self.clamped += u64::from(notes.clamped);
        self.defaulted += u64::from(notes.defaulted);
        self.attributes_unusual += u64::from(notes.attributes_unusual);
    }
}

/// What was forgiven in one payload; it enters the [`Tally`] only if the entry is accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Notes {
    pub(super) fast: bool,
    pub(super) unknown_fields: u32,
    pub(super) clamped: u32,
    pub(super) defaulted: u32,
    pub(super) attributes_unusual: u32,
}
