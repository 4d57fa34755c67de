//! A shard's thread by itself: what it does when an invariant breaks, and when it is told to end.
#![expect(clippy::unwrap_used, reason = "a failed case is reported by its panic")]

use std::sync::Arc;
use std::thread::JoinHandle;

use engine::id::ShardIndex;
use pitwall::config::Config;
use pitwall::context::Context;
use pitwall::error::Stop;
use pitwall::live::mailbox::{Address, Order, mailbox};
use pitwall::live::shard_loop::{Parts, Window, start};
use pitwall::log::{Level, Log};
use pitwall::shutdown::Shutdown;
use tokio::sync::mpsc;

struct Rig {
    context: Context,
    address: Address,
    thread: JoinHandle<()>,
}

/// A shard that is told to be this one.
fn rig(shard: u8) -> Rig {
    let mut config = Config::new("redis://nowhere", "postgres://nowhere");
    config.live.shard_count = 1;
    let log = Log::to(Level::Error, "test", std::io::sink());
    let context = Context::new(config, log, Shutdown::default());
    let (address, mailbox) = mailbox(ShardIndex(shard)).unwrap();
    let (asks, _) = mpsc::channel(1);
    let thread = start(Parts {
        context: context.clone(),
        shard: ShardIndex(shard),
        mailbox,
        addresses: Arc::new([address.clone()]),
        asks,
        window: Arc::new(Window::default()),
    });
    Rig { context, address, thread: thread.unwrap() }
}

#[test]
fn f74_the_early_end_of_a_shard_is_the_end_of_the_process_and_says_so() {
    // There are not so many shards: the engine's assertion ends the thread.
    let rig = rig(63);
    rig.thread.join().unwrap();
    let stop = rig.context.shutdown.failure().unwrap();
    assert!(matches!(&stop, Stop::Broken(words) if words.contains("shard-63")), "{stop}");
    assert_eq!(stop.exit_code(), 70);
}

#[test]
fn a_shard_without_viewers_ends_as_soon_as_it_is_told_to() {
    let rig = rig(0);
    rig.address.order(Order::Drain(10_000)).unwrap();
    rig.thread.join().unwrap();
    assert_eq!(rig.context.shutdown.failure(), None);
}
