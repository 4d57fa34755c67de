//! The protocol as a client of other people speaks it, from the upgrade to the close.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use tests::entries::Fix;
use tests::live::Live;
use tests::scene::{DEVICE, EVENT, EVENT_OTHER, Scene};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Bytes, Message};

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(10);

/// A client's connection and what drives it.
struct Other {
    runtime: Runtime,
    socket: WebSocketStream<TcpStream>,
}

impl Other {
    /// Connects with the first user's cookie and the subprotocol, which the client checks.
    fn connect(live: &Live) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let mut request = format!("ws://{}/ws-live", live.address).into_client_request().unwrap();
        let cookie = Scene::cookie(1);
        for (name, value) in [
            ("Cookie", cookie.as_str()),
            ("Origin", &format!("http://{}", live.address)),
            ("Sec-WebSocket-Protocol", "trm.live.v1"),
        ] {
            request.headers_mut().insert(name, HeaderValue::from_str(value).unwrap());
        }
        let socket = runtime.block_on(async {
            let stream = TcpStream::connect(live.address).await.unwrap();
            let (socket, answer) = tokio_tungstenite::client_async(request, stream).await.unwrap();
            assert_eq!(answer.headers().get("Sec-WebSocket-Protocol").unwrap(), "trm.live.v1");
            socket
        });
        Self { runtime, socket }
    }

    fn say(&mut self, message: impl Into<Message>) {
        self.runtime.block_on(self.socket.send(message.into())).unwrap();
    }

    /// What comes next, whatever it is; nothing when the connection has ended.
    fn hear(&mut self) -> Option<Message> {
        let next = async { timeout(PATIENCE, self.socket.next()).await };
        self.runtime.block_on(next).expect("something in time").map(Result::unwrap)
    }

    /// The message that comes next.
    fn message(&mut self) -> Value {
        let heard = self.hear().unwrap();
        let Message::Text(text) = &heard else { panic!("a message was awaited, not {heard}") };
        serde_json::from_str(text).unwrap()
    }

    fn ask(&mut self, kind: &str, event: &str, id: &str) -> Value {
        self.say(format!(r#"{{"type":"{kind}","topic":"event:{event}","id":"{id}"}}"#));
        self.message()
    }
}

#[test]
fn a_foreign_client_goes_from_the_upgrade_to_the_close() {
    let mut scene = Scene::new();
    let live = scene.start();
    let mut client = Other::connect(&live);
    let topic = format!("event:{EVENT}");

    let subscribed = client.ask("subscribe", EVENT, "s1");
    assert_eq!(subscribed["type"], "subscribed", "{subscribed}");
    assert_eq!((&subscribed["topic"], &subscribed["id"]), (&topic.as_str().into(), &"s1".into()));
    assert_eq!(subscribed["snapshot"], Value::Array(Vec::new()));

    let began_ms = scene.now_ms();
    for at_ms in began_ms..began_ms + 100 {
        scene.publish(&Fix::new(DEVICE, at_ms));
        let position = client.message();
        assert_eq!(position["type"], "position", "{position}");
        assert_eq!(position["deviceId"], DEVICE, "{position}");
        assert_eq!(position["ts"], at_ms, "{position}");
    }

    let again = client.ask("subscribe", EVENT, "s2");
    assert_eq!(again["id"], "s2");
    assert_eq!(again["snapshot"][0]["deviceId"], DEVICE, "{again}");
    assert_eq!(again["snapshot"][0]["ts"], began_ms + 99, "{again}");

    assert_eq!(client.ask("subscribe", EVENT_OTHER, "s3")["code"], "forbidden");

    let payload = Bytes::from_static(b"are you there?");
    client.say(Message::Ping(payload.clone()));
    assert_eq!(client.hear(), Some(Message::Pong(payload)));

    let unsubscribed = client.ask("unsubscribe", EVENT, "u1");
    assert_eq!(unsubscribed["type"], "unsubscribed", "{unsubscribed}");
    scene.publish_next();
    assert_eq!(client.ask("unsubscribe", EVENT, "u2")["id"], "u2", "no frame follows");

    client.say(Message::Close(Some(CloseFrame { code: CloseCode::Normal, reason: "bye".into() })));
    let Some(Message::Close(Some(close))) = client.hear() else { panic!("a close was awaited") };
    assert_eq!(close.code, CloseCode::Normal);
    assert_eq!(client.hear(), None, "the server has ended the connection");
}

#[test]
fn a_foreign_client_answers_the_pings_by_itself_and_stays() {
    let mut scene = Scene::new();
    let mut config = scene.config();
    config.live.ping_interval_ms = 200;
    let live = scene.start_with(config);
    let mut client = Other::connect(&live);
    client.ask("subscribe", EVENT, "");
    // Whoever leaves two pings unanswered is cut; the answer to the last may still be on its way.
    for _ in 0..6 {
        assert!(matches!(client.hear(), Some(Message::Ping(_))));
    }
    let fix = scene.publish_next();
    loop {
        match client.hear().unwrap() {
            Message::Text(text) => {
                let position: Value = serde_json::from_str(&text).unwrap();
                assert_eq!(position["ts"], fix.ts_ms);
                return;
            }
            other => assert!(other.is_ping(), "{other}"),
        }
    }
}

#[test]
fn a_foreign_client_hears_1012_when_the_service_restarts() {
    let scene = Scene::new();
    let live = scene.start();
    let mut client = Other::connect(&live);
    client.ask("subscribe", EVENT, "s");
    live.begin_end();
    let Some(Message::Close(Some(close))) = client.hear() else { panic!("a close was awaited") };
    assert_eq!(close.code, CloseCode::Restart);
    assert_eq!(client.hear(), None);
    live.end().unwrap();
}
