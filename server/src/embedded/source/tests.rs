//! What devices send on its way to two who do not wait for each other: the store and viewers.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use engine::id::DeviceIndex;
use engine::roster::Roster;
use tokio::sync::mpsc;

use super::{Parts, start};
use crate::config::Config;
use crate::context::Context;
use crate::embedded::keeper::Keeper;
use crate::embedded::records::tests::packet;
use crate::embedded::roster::{self, RosterFile};
use crate::embedded::store::queue::{Receiver, queue};
use crate::embedded::store::{Numbers, table::Table};
use crate::ingest::packets::Packet;
use crate::live::source::SourceMail;
use crate::log::{Level, Log};
use crate::shutdown::Shutdown;

static CREATED: AtomicU32 = AtomicU32::new(0);

/// How long anything may take, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

const TIME_MS: u64 = 1_749_197_730_000;

/// A running source between a listener, a store and viewers that the test plays.
struct Scene {
    folder: PathBuf,
    context: Context,
    packets: mpsc::Sender<Packet>,
    parcels: Receiver,
    mail: mpsc::Receiver<SourceMail>,
    numbers: Arc<Numbers>,
}

impl Scene {
    /// With room for so many parcels and so many letters, in an event that takes any device.
    fn new(parcels_max: usize, letters_max: usize) -> Self {
        let number = CREATED.fetch_add(1, Ordering::Relaxed);
        let name = format!("pitwall-source-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        roster::write_example(&folder).unwrap();
        drop(Table::open(&folder).unwrap());
        let config = Config::embedded(folder.clone());
        let log = Log::to(Level::Error, "test", io::sink());
        let context = Context::new(config, log, Shutdown::default());
        let file = RosterFile::read(&folder).unwrap();
        let (keeper, _told) = Keeper::new(&context, &folder, file).unwrap();
        let (packets_in, packets) = mpsc::channel(64);
        let (parcels_in, parcels) = queue(parcels_max);
        let (mail_in, mail) = mpsc::channel(letters_max);
        let numbers = Arc::new(Numbers::new(parcels.clone()));
        let parts =
            Parts { packets, mail: mail_in, parcels: parcels_in, keeper, numbers: numbers.clone() };
        start(&context, parts).unwrap();
        Self { folder, context, packets: packets_in, parcels, mail, numbers }
    }

    fn send(&self, imei: &str, time_ms: u64) {
        let (packet, _told) = packet(imei, &[time_ms]);
        self.packets.blocking_send(packet).unwrap();
    }

    /// The times of the next positions that are shown, so many of them.
    fn shown(&mut self, count: usize) -> Vec<i64> {
        let mut shown = Vec::new();
        while shown.len() < count {
            if let SourceMail::Arrived(some) = self.mail.blocking_recv().unwrap() {
                shown.extend(some.iter().map(|(_, position)| position.timestamp_ms));
            }
        }
        shown
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.context.shutdown.begin();
        std::fs::remove_dir_all(&self.folder).ok();
    }
}

fn imei(number: u64) -> String {
    format!("3563070424{number:05}")
}

fn times() -> Vec<i64> {
    (TIME_MS..TIME_MS + 50).map(u64::cast_signed).collect()
}

#[test]
fn the_store_gets_everything_while_viewers_have_no_room_and_viewers_get_it_later() {
    let mut scene = Scene::new(100, 1);
    for after_ms in 0..50 {
        scene.send(&imei(1), TIME_MS + after_ms);
        let parcel = scene.parcels.recv_timeout(PATIENCE).expect("nobody reads the mail");
        assert_eq!(parcel.rows.len(), 1);
    }
    assert_eq!(scene.shown(50), times());
}

#[test]
fn viewers_see_everything_at_once_while_the_store_has_no_room() {
    let mut scene = Scene::new(1, 1);
    for after_ms in 0..50 {
        scene.send(&imei(1), TIME_MS + after_ms);
    }
    assert_eq!(scene.shown(50), times());
    assert_eq!((scene.parcels.len(), scene.numbers.unanswered.value()), (1, 49));
}

#[test]
fn two_hundred_newcomers_make_a_roster_a_second_and_each_is_shown() {
    let mut scene = Scene::new(1, 1_000);
    let began = Instant::now();
    for number in 0..200 {
        scene.send(&imei(number), TIME_MS);
        // One after the other: each could make a roster of its own.
        scene.parcels.recv_timeout(PATIENCE).unwrap();
    }
    let (mut roster, mut rosters) = (Arc::<Roster>::default(), 0);
    let mut shown = BTreeSet::new();
    while shown.len() < 200 {
        match scene.mail.blocking_recv().unwrap() {
            SourceMail::Roster(next) => {
                roster = next;
                rosters += 1;
            }
            SourceMail::Arrived(some) => {
                let names = some.iter().map(|(imei, _)| imei.as_str());
                let placed = names.filter(|imei| roster.device(imei) != DeviceIndex::ORPHAN);
                shown.extend(placed.map(str::to_owned));
            }
            SourceMail::Offer(some) => shown.extend(some.iter().map(|(imei, _)| imei.to_string())),
            SourceMail::Withdraw(_) => panic!("nothing is flagged"),
        }
    }
    // One at the start, one for the first device, then one a second.
    assert!(rosters <= 3 + began.elapsed().as_secs(), "{rosters}");
}
