//! What is legal, as a client of other people says it: `tokio-tungstenite` checks what it hears.

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{CloseFrame, Frame};
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::echo::Echo;

type Client = WebSocketStream<TcpStream>;

async fn connect(echo: &Echo) -> Client {
    let request = format!("ws://{}/ws-live", echo.address);
    let stream = TcpStream::connect(echo.address).await.unwrap();
    tokio_tungstenite::client_async(request, stream).await.unwrap().0
}

/// Says something and gives what comes back.
async fn ask(client: &mut Client, message: Message) -> Message {
    client.send(message).await.unwrap();
    client.next().await.unwrap().unwrap()
}

/// The code of the close that comes next; nothing follows it.
async fn closed(client: &mut Client) -> u16 {
    let close = client.next().await.unwrap().unwrap();
    let Message::Close(Some(frame)) = close else { panic!("a close was awaited, not {close}") };
    let after = client.next().await;
    assert!(after.is_none(), "nothing follows a close, but {after:?}");
    frame.code.into()
}

fn fragment(payload: &str, opcode: Data, is_final: bool) -> Message {
    Message::Frame(Frame::message(payload.to_owned(), OpCode::Data(opcode), is_final))
}

#[tokio::test]
async fn texts_of_all_lengths_come_back() {
    let echo = Echo::start();
    let mut client = connect(&echo).await;
    for length in (0..300).chain([511, 512, 1_023, 1_024, 4_095, 4_096]) {
        let message = Message::text("x".repeat(length));
        assert_eq!(ask(&mut client, message.clone()).await, message, "{length} bytes");
    }
}

#[tokio::test]
async fn characters_of_all_lengths_come_back() {
    let echo = Echo::start();
    let mut client = connect(&echo).await;
    for text in ["\0", "\u{7f}", "ß", "€", "\u{feff}", "\u{ffff}", "\u{10ffff}", "🏁e\u{301}"]
    {
        let message = Message::text(text.repeat(20));
        assert_eq!(ask(&mut client, message.clone()).await, message, "{text:?}");
    }
}

#[tokio::test]
async fn pings_of_all_lengths_are_answered_with_what_they_carry() {
    let echo = Echo::start();
    let mut client = connect(&echo).await;
    for length in 0..=125_u8 {
        let payload: Vec<u8> = (0..length).map(|at| at ^ 0xa5).collect();
        let pong = ask(&mut client, Message::Ping(payload.clone().into())).await;
        assert_eq!(pong, Message::Pong(payload.into()));
    }
}

#[tokio::test]
async fn pongs_nobody_asked_for_are_not_answered() {
    let echo = Echo::start();
    let mut client = connect(&echo).await;
    for payload in ["", "unasked"] {
        client.send(Message::Pong(payload.into())).await.unwrap();
    }
    assert_eq!(ask(&mut client, Message::text("next")).await, Message::text("next"));
}

#[tokio::test]
async fn fragments_with_control_frames_between_them_come_back_as_one_message() {
    let echo = Echo::start();
    let mut client = connect(&echo).await;
    for round in 0..10 {
        for (at, part) in ["Wer ", "", "zu spät ", "bremst"].into_iter().enumerate() {
            let opcode = if at == 0 { Data::Text } else { Data::Continue };
            client.send(fragment(part, opcode, false)).await.unwrap();
            let pong = ask(&mut client, Message::Ping(vec![round].into())).await;
            assert_eq!(pong, Message::Pong(vec![round].into()), "at once, not behind the message");
        }
        let whole = ask(&mut client, fragment("", Data::Continue, true)).await;
        assert_eq!(whole, Message::text("Wer zu spät bremst"));
    }
}

#[tokio::test]
async fn closes_are_answered_with_their_code() {
    let echo = Echo::start();
    for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1011, 1012, 3000, 4000, 4999] {
        let mut client = connect(&echo).await;
        let reason = "Zielflagge".repeat(12).into();
        let close = CloseFrame { code: CloseCode::from(code), reason };
        client.close(Some(close)).await.unwrap();
        assert_eq!(closed(&mut client).await, code);
    }
    let mut client = connect(&echo).await;
    client.close(None).await.unwrap();
    assert_eq!(client.next().await.unwrap().unwrap(), Message::Close(None));
    assert!(client.next().await.is_none());
}

#[tokio::test]
async fn d2_14_d2_26_what_the_contract_refuses_is_closed_with_its_code() {
    let echo = Echo::start();
    for (message, code) in [
        (Message::binary(vec![1, 2, 3]), 1003),
        (Message::binary(Vec::new()), 1003),
        (Message::text("x".repeat(4_097)), 1009),
        (Message::text("x".repeat(1_000_000)), 1009),
    ] {
        let mut client = connect(&echo).await;
        client.send(message).await.unwrap();
        assert_eq!(closed(&mut client).await, code);
    }
}

#[tokio::test]
async fn the_subprotocol_is_echoed_when_it_is_offered() {
    let echo = Echo::start();
    let answer = async |offers: &'static str| {
        let mut request = format!("ws://{}/ws-live", echo.address).into_client_request().unwrap();
        let offers = HeaderValue::from_static(offers);
        request.headers_mut().insert("Sec-WebSocket-Protocol", offers);
        let stream = TcpStream::connect(echo.address).await.unwrap();
        tokio_tungstenite::client_async(request, stream).await.map(|(_, answer)| answer)
    };
    for offers in ["trm.live.v1", "trm.live.v2, trm.live.v1"] {
        let answer = answer(offers).await.unwrap();
        assert_eq!(answer.headers().get("Sec-WebSocket-Protocol").unwrap(), "trm.live.v1");
    }
    // An offer is ignored; that this client insists on an answer is its own decision.
    let refused = answer("trm.live.v2").await;
    assert!(matches!(refused, Err(Error::Protocol(_))), "{refused:?}");
}
