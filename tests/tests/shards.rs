//! A shard's thread by itself: what it does when an invariant breaks, and when it is told to end.
#![expect(clippy::unwrap_used, reason = "a failed case is reported by its panic")]

use std::sync::Arc;
use std::thread::JoinHandle;

use engine::id::{EventId, EventIndex, ShardIndex, SlotIndex};
use engine::roster::{Registration, Roster};
use engine::route::Routed;
use pitwall::config::Config;
use pitwall::context::Context;
use pitwall::error::Stop;
use pitwall::live::mailbox::{Address, Batch, FeedMail, Order, mailbox};
use pitwall::live::shard_loop::{Parts, Window, start};
use pitwall::log::{Level, Log};
use pitwall::shutdown::Shutdown;
use tests::sample::position;
use tokio::sync::mpsc;

struct Rig {
    context: Context,
    address: Address,
    thread: JoinHandle<()>,
}

fn rig() -> Rig {
    let config = Config::new("redis://nowhere", "postgres://nowhere");
    let log = Log::to(Level::Error, "test", std::io::sink());
    let context = Context::new(config, log, Shutdown::default());
    let (address, mailbox) = mailbox(ShardIndex(0)).unwrap();
    let (asks, _) = mpsc::channel(1);
    let thread = start(Parts {
        context: context.clone(),
        shard: ShardIndex(0),
        mailbox,
        addresses: Arc::new([address.clone()]),
        asks,
        window: Arc::new(Window::default()),
    });
    Rig { context, address, thread: thread.unwrap() }
}

#[test]
fn f74_the_early_end_of_a_shard_is_the_end_of_the_process_and_says_so() {
    let rig = rig();
    let rows = [Registration { device_id: "356307042400001", event: EventId(7) }];
    let roster = Arc::new(Roster::default().next(&rows).unwrap());
    rig.address.feed(FeedMail::Roster(roster)).unwrap();
    // A slot that no roster has: whoever routed it has broken an invariant.
    let routed = Routed { event: EventIndex(0), slot: SlotIndex(9_999), position: position(1) };
    let batch = Batch { routed: vec![routed], read_us: 0 };
    rig.address.feed(FeedMail::Positions(batch)).unwrap();
    rig.thread.join().unwrap();
    let stop = rig.context.shutdown.failure().unwrap();
    assert!(matches!(&stop, Stop::Broken(words) if words.contains("shard-0")), "{stop}");
    assert_eq!(stop.exit_code(), 70);
}

#[test]
fn a_shard_without_viewers_ends_as_soon_as_it_is_told_to() {
    let rig = rig();
    rig.address.order(Order::Drain(10_000)).unwrap();
    rig.thread.join().unwrap();
    assert_eq!(rig.context.shutdown.failure(), None);
}
