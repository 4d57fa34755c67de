//! How devices are listened to: the typed settings.

use std::net::{IpAddr, Ipv4Addr};

/// Listening to devices.
#[derive(Clone, Debug)]
pub struct IngestConfig {
    /// `INGEST_HOST`.
    pub host: IpAddr,
    /// `INGEST_PORT`.
    pub port: u16,
    /// `DEVICE_AUTHORITY_MODE`.
    pub authority: DeviceAuthority,
    /// `DEVICE_AUTHORITY_REFRESH_MS`: how often the known devices are read.
    pub authority_refresh_ms: u64,
    /// `INGEST_STREAM_LENGTH_MAX`: how many entries the stream keeps, approximately. An entry
    /// with four elements costs Redis 370 bytes: 370 MB for a million.
    pub stream_length_max: u64,
    /// `INGEST_QUEUE_MAX`: packets that wait to be made safe. One costs its data, 1.3 kB as devices
    /// are specified and 9 kB at most: 11 MB for 8,192 of them, 76 MB at worst.
    pub queue_packets_max: usize,
    /// `INGEST_DEVICES_MAX`: connections of devices. A silent one costs its task, less than 1 kB: 100 MB
    /// for 100,000. One that sends holds what came with one read, and half a packet if it stops there:
    /// 25 kB at most, 2.6 GB if all of them do their worst at once. Beside that the kernel keeps 32 KiB
    /// at most of what is not read.
    pub devices_max: usize,
    /// `INGEST_DEVICES_PER_ADDRESS_MAX`.
    pub devices_per_address_max: usize,
    /// `INGEST_HANDSHAKE_TIMEOUT_MS`: how long a device may take to say who it is.
    pub handshake_timeout_ms: u64,
    /// `INGEST_IDLE_TIMEOUT_MS`: how long a device may be silent.
    pub idle_timeout_ms: u64,
}

/// Which devices may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceAuthority {
    /// Every one that says an IMEI.
    Open,
    /// Those that the platform's table `devices` names.
    Strict,
}

impl Default for IngestConfig {
    fn default() -> Self {
        Self {
            host: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            port: 5027,
            authority: DeviceAuthority::Open,
            authority_refresh_ms: 30_000,
            stream_length_max: 1_000_000,
            queue_packets_max: 8_192,
            devices_max: 100_000,
            devices_per_address_max: 50_000,
            handshake_timeout_ms: 10_000,
            idle_timeout_ms: 600_000,
        }
    }
}
