//! What listening to devices shows of its work.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::packets::Packet;
use super::places::Places;
use crate::metrics::{Counter, Gauge, Histogram, LimitUse, Page, Section};

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The device has closed it.
    Left,
    /// The system or the way to the device has broken it.
    Broken,
    /// It did not say who it is in time.
    Nameless,
    /// Whether it may send was not known in time.
    Undecided,
    /// It may not send.
    Refused,
    /// It was silent for too long.
    Idle,
    /// It sent what cannot be understood.
    Malformed,
    /// It sent a codec that is none of ours.
    Codec,
    /// It did not wait for an answer that it will not get.
    Impatient,
    /// It sent a packet again when that may just have been answered.
    Crossed,
    /// The process leaves.
    Leaving,
}

impl End {
    const ALL: [(Self, &'static str); 11] = [
        (Self::Left, "left"),
        (Self::Broken, "broken"),
        (Self::Nameless, "nameless"),
        (Self::Undecided, "undecided"),
        (Self::Refused, "refused"),
        (Self::Idle, "idle"),
        (Self::Malformed, "malformed"),
        (Self::Codec, "codec"),
        (Self::Impatient, "impatient"),
        (Self::Crossed, "crossed"),
        (Self::Leaving, "leaving"),
    ];
}

/// The numbers of the listener and of the devices.
#[derive(Debug)]
pub(super) struct Numbers {
    places: Arc<Places>,
    /// For its capacity; weak, so that it does not keep the queue open.
    queue: mpsc::WeakSender<Packet>,
    queue_packets_max: usize,
    /// Handshakes that were answered with yes.
    pub(super) accepted: Counter,
    /// Connections for which there was no place.
    pub(super) shed: Counter,
    /// Connections that the system refused.
    pub(super) accept_errors: Counter,
    /// Packets whose records are safe, and which were answered.
    pub(super) answered: Counter,
    /// Their records.
    pub(super) answered_records: Counter,
    /// Packets that could not be made safe.
    pub(super) unsafe_packets: Counter,
    /// Packets that found the queue full.
    pub(super) queue_full: Counter,
    /// Packets that were sent again before their answer was heard, and have had it.
    pub(super) repeated: Counter,
    /// Packets with another checksum than they say.
    pub(super) checksum: Counter,
    /// Packets with two counts.
    pub(super) counts: Counter,
    /// Packets that wait to be made safe.
    pub(super) waiting: Gauge,
    /// From a whole packet to its answer.
    pub(super) answer: Histogram,
    ends: [Counter; End::ALL.len()],
}

impl Numbers {
    pub(super) fn new(places: Arc<Places>, packets: &mpsc::Sender<Packet>) -> Self {
        Self {
            places,
            queue: packets.downgrade(),
            queue_packets_max: packets.max_capacity(),
            accepted: Counter::default(),
            shed: Counter::default(),
            accept_errors: Counter::default(),
            answered: Counter::default(),
            answered_records: Counter::default(),
            unsafe_packets: Counter::default(),
            queue_full: Counter::default(),
            repeated: Counter::default(),
            checksum: Counter::default(),
            counts: Counter::default(),
            waiting: Gauge::default(),
            answer: Histogram::default(),
            ends: Default::default(),
        }
    }

    /// A connection has ended.
    pub(super) fn count_end(&self, end: End) {
        for ((of, _), counter) in End::ALL.iter().zip(&self.ends) {
            if *of == end {
                counter.increment();
            }
        }
    }

    fn queued(&self) -> usize {
        self.queue.upgrade().map_or(0, |queue| queue.max_capacity() - queue.capacity())
    }
}

impl Section for Numbers {
    fn write(&self, page: &mut Page) {
        let gauge = |count: usize| Some(i64::try_from(count).unwrap_or(i64::MAX));
        let help = "Connections of devices, those that have not said who they are included.";
        page.gauge("pitwall_ingest_connections", help, gauge(self.places.used().0));
        let help = "Handshakes that were answered with yes.";
        page.counter("pitwall_ingest_handshakes_accepted_total", help, self.accepted.value());
        let help = "Connections that were closed at once, for want of a place.";
        page.counter("pitwall_ingest_shed_total", help, self.shed.value());
        let help = "Times that the system refused a new connection.";
        page.counter("pitwall_ingest_accept_errors_total", help, self.accept_errors.value());
        let help = "Packets that came in, by what became of them.";
        let values = [
            ("answered", self.answered.value()),
            ("unsafe", self.unsafe_packets.value()),
            ("queue_full", self.queue_full.value()),
            ("repeated", self.repeated.value()),
            ("checksum", self.checksum.value()),
            ("counts", self.counts.value()),
        ];
        page.counters("pitwall_ingest_packets_total", help, "result", &values);
        let help = "Records of answered packets.";
        page.counter("pitwall_ingest_records_total", help, self.answered_records.value());
        let help = "Packets that wait to be made safe.";
        page.gauge("pitwall_ingest_packets_waiting", help, Some(self.waiting.value()));
        let help = "Packets of those that wait for their turn.";
        page.gauge("pitwall_ingest_queue_packets", help, gauge(self.queued()));
        let help = "From a whole packet to its answer.";
        let values = [("safe", &self.answer)];
        page.histograms("pitwall_ingest_answer_seconds", help, "packet", &values);
        let help = "Connections of devices that have ended, by the reason.";
        let ends = End::ALL.iter().zip(&self.ends);
        let values: Vec<_> = ends.map(|((_, word), counter)| (*word, counter.value())).collect();
        page.counters("pitwall_ingest_ends_total", help, "reason", &values);
    }

    fn limits(&self) -> Vec<LimitUse> {
        let ((devices, of_address), (devices_max, of_address_max)) =
            (self.places.used(), self.places.allowed());
        [
            ("INGEST_DEVICES_MAX", devices, devices_max),
            ("INGEST_DEVICES_PER_ADDRESS_MAX", of_address, of_address_max),
            ("INGEST_QUEUE_MAX", self.queued(), self.queue_packets_max),
        ]
        .map(|(name, used, allowed)| LimitUse { name, used: used as u64, allowed: allowed as u64 })
        .into()
    }
}
