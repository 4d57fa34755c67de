//! The process has no file left: nobody new gets in, nobody is lost, and it heals.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use tests::scene::{EVENT, Scene, metric, metric_sum};

use tests::child::Pitwall;

#[test]
fn f83_without_a_file_left_viewers_are_served_the_processor_rests_and_it_heals() {
    const FILES: u32 = 64;
    let mut scene = Scene::new();
    let settings = [("LIVE_HEAD_TIMEOUT_MS", "60000"), ("LIVE_SHARDS", "1")];
    let process = Pitwall::start_with_files(&scene, &settings, FILES);
    let mut viewer = scene.viewer_at(process.live, 1);
    viewer.subscribe(EVENT, "");
    viewer.reply("subscribed");
    let crowd: Vec<TcpStream> =
        (0..100).map(|_| TcpStream::connect(process.live).unwrap()).collect();
    scene.until("it is told", || process.log().contains("refuses new connections"));
    assert!(process.log().contains("LimitNOFILE"), "what to do about it: {}", process.log());
    let (began, used) = (Instant::now(), process.processor_time());
    let mut published = 0;
    while began.elapsed() < Duration::from_secs(2) {
        let fix = scene.publish_next();
        assert_eq!(viewer.message()["ts"], fix.ts_ms, "who is connected is not touched");
        published += 1;
        viewer.hears_nothing_for(Duration::from_millis(50));
    }
    assert!(published > 10);
    let used = process.processor_time().saturating_sub(used);
    assert!(used < began.elapsed() / 4, "{used:?} of {:?}", began.elapsed());
    assert!(process.log().lines().count() < 100, "{}", process.log());
    drop(crowd);
    scene.until("it is well again", || {
        metric(process.admin, "processor_live_accept_errors_total").is_some_and(|n| n > 0.0)
            && metric_sum(process.admin, "processor_live_half_open") == Some(0.0)
    });
    let mut newcomer = scene.viewer_at(process.live, 2);
    newcomer.subscribe(EVENT, "");
    newcomer.reply("subscribed");
    scene.until("that is told, too", || process.log().contains("Viewers are let in."));
}
