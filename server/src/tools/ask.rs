//! One HTTP question of a tool: a plain GET without any login, and the bounded answer.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long one question of a tool may take, whoever is asked.
pub(super) const DEADLINE_MS: u64 = 5_000;

/// Most of an answer that is read: its head and a sentence.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;

/// What somebody answered.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// The HTTP status.
    pub(super) status: u16,
    /// What follows the head, as far as it was read.
    pub(super) body: String,
}

/// Asks for `path`. The error is the end of a sentence that begins with who was asked.
pub(super) async fn ask(host: &str, port: u16, path: &str) -> Result<Answer, String> {
    within(async {
        let mut stream = TcpStream::connect((host, port)).await.map_err(|it| it.to_string())?;
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.map_err(|it| it.to_string())?;
        let mut bytes = Vec::new();
        let read = stream.take(ANSWER_BYTES_MAX).read_to_end(&mut bytes).await;
        // Some close without waiting for us; what came is judged.
        if bytes.is_empty() {
            read.map_err(|it| it.to_string())?;
        }
        parse(&bytes).ok_or_else(|| "it does not speak HTTP".to_owned())
    })
    .await
}

/// Waits for an answer, but not for ever.
pub(super) async fn within<T>(
    answer: impl Future<Output = Result<T, String>>,
) -> Result<T, String> {
    let deadline = Duration::from_millis(DEADLINE_MS);
    let late = || Err(format!("no answer within {} s", deadline.as_secs()));
    tokio::time::timeout(deadline, answer).await.unwrap_or_else(|_| late())
}

fn parse(bytes: &[u8]) -> Option<Answer> {
    let text = String::from_utf8_lossy(bytes);
    let rest = text.strip_prefix("HTTP/1.1 ").or_else(|| text.strip_prefix("HTTP/1.0 "))?;
    let status = rest.get(..3)?.parse().ok().filter(|status| (100..600).contains(status))?;
    let body = rest.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    Some(Answer { status, body: body.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::{Answer, parse};

    #[test]
    fn an_answer_is_a_status_and_what_follows_the_head() {
        let answer = |status, body: &str| Some(Answer { status, body: body.to_owned() });
        assert_eq!(parse(b"HTTP/1.1 200 OK\r\nA: b\r\n\r\nfine\n"), answer(200, "fine\n"));
        assert_eq!(parse(b"HTTP/1.0 401 \r\n"), answer(401, ""));
        for bytes in [&b""[..], b"-ERR", b"HTTP/2 200", b"HTTP/1.1 2", b"HTTP/1.1 999 x"] {
            assert_eq!(parse(bytes), None, "{bytes:?}");
        }
    }
}
