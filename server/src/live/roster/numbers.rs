//! What the roster's keeper shows of its work.

use engine::limits::{DEVICES_MAX, EVENTS_MAX, SLOTS_MAX};

use crate::metrics::{Counter, Gauge, Histogram, LimitUse, Page, Section};

/// The numbers of the keeper.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    /// Devices of the roster in use.
    pub(super) devices: Gauge,
    /// Its events.
    pub(super) events: Gauge,
    /// Its registrations.
    pub(super) registrations: Gauge,
    /// Rows of the last read without a usable IMEI or event.
    pub(super) skipped: Gauge,
    /// Reads with another result than the one before.
    pub(super) changed: Counter,
    /// Reads with the same result.
    pub(super) unchanged: Counter,
    /// Reads that failed.
    pub(super) failed: Counter,
    /// When it was last read, in epoch milliseconds; 0 is never.
    pub(super) read_ms: Gauge,
    /// How long a read of the roster takes.
    pub(super) roster: Histogram,
    /// How long a look at the fixes of all devices takes.
    pub(super) fixes: Histogram,
    /// Fixes of the database that were offered to slots.
    pub(super) offered: Counter,
    /// Times that a device's flagged fixes were others than before.
    pub(super) withdrawn: Counter,
    /// Devices whose newest fix is flagged.
    pub(super) fallbacks: Gauge,
}

impl Section for Numbers {
    fn write(&self, page: &mut Page) {
        let name = "processor_live_roster_devices";
        page.gauge(name, "Devices that are registered to an event.", Some(self.devices.value()));
        let name = "processor_live_roster_events";
        page.gauge(name, "Events with devices.", Some(self.events.value()));
        let name = "processor_live_roster_registrations";
        page.gauge(name, "Devices times events.", Some(self.registrations.value()));
        let name = "processor_live_roster_skipped";
        let help = "Registrations without a usable IMEI or event.";
        page.gauge(name, help, Some(self.skipped.value()));
        let values = [
            ("changed", self.changed.value()),
            ("unchanged", self.unchanged.value()),
            ("failed", self.failed.value()),
        ];
        let name = "processor_live_roster_refreshes_total";
        page.counters(name, "Reads of the roster.", "result", &values);
        let read_ms = Some(self.read_ms.value()).filter(|&read_ms| read_ms > 0);
        let age = read_ms.map(|read_ms| (crate::clock::wall_ms() - read_ms).max(0) / 1_000);
        let name = "processor_live_roster_age_seconds";
        page.gauge(name, "Since the roster was last read; absent when it never was.", age);
        let name = "processor_live_roster_read_seconds";
        let help = "How long reading takes: registrations, and the newest fixes of all devices.";
        let values = [("registrations", &self.roster), ("fixes", &self.fixes)];
        page.histograms(name, help, "what", &values);
        let name = "processor_live_roster_offers_total";
        page.counter(name, "Fixes of the database offered to slots.", self.offered.value());
        let name = "processor_live_roster_withdrawals_total";
        let help = "Times that a device was found with other flagged fixes than before.";
        page.counter(name, help, self.withdrawn.value());
        let name = "processor_live_roster_fallbacks";
        let help = "Devices whose newest fix is flagged.";
        page.gauge(name, help, Some(self.fallbacks.value()));
    }

    fn limits(&self) -> Vec<LimitUse> {
        let of = |name, gauge: &Gauge, allowed: usize| LimitUse {
            name,
            used: u64::try_from(gauge.value()).unwrap_or_default(),
            allowed: allowed as u64,
        };
        vec![
            of("DEVICES_MAX", &self.devices, DEVICES_MAX),
            of("EVENTS_MAX", &self.events, EVENTS_MAX),
            of("SLOTS_MAX", &self.registrations, SLOTS_MAX),
        ]
    }
}
