//! A process that listens to signals as the program does, and never ends by itself.

use std::thread;

use pitwall::log::{Level, Log};
use pitwall::shutdown::Shutdown;

fn main() -> ! {
    let log = Log::to_standard_error(Level::Info, "stubborn");
    pitwall::signals::listen(Shutdown::default(), log.clone()).expect("signals can be had");
    log.info("ready", &[]);
    loop {
        thread::park();
    }
}
