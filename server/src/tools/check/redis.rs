//! Whether Redis answers, keeps what is in it, has the stream, and allows what is done with it.

use std::time::Duration;

use redis::{AsyncConnectionConfig, Client, ErrorKind, RedisError, aio::MultiplexedConnection};

use super::{Finding, rights};
use crate::config::Roles;
use crate::tools::ask::{DEADLINE_MS, within};

/// The first version with every command that pitwall uses.
const VERSION_MIN: (u32, u32) = (6, 2);

/// Looks at the server and at the stream.
pub(super) async fn look(url: &str, stream: &str, roles: Roles) -> Vec<Finding> {
    let mut connection = match within(connect(url)).await {
        Ok(connection) => connection,
        Err(words) => {
            let what = format!("Redis cannot be reached: {words}. No position would be shown.");
            let remedy = "Start Redis, or let REDIS_URL name its host, port and password.";
            return vec![Finding::failed(what, remedy)];
        }
    };
    let info = match within(info(&mut connection)).await {
        Ok(info) => server(&info),
        Err(words) => vec![Finding::warning(
            format!("Redis answers, and does not say how it is set up: {words}."),
            "Allow its user the command +info, see ACL SETUSER.",
        )],
    };
    let rights = rights::look(&mut connection, stream, roles).await;
    let stream = match within(is_stream(&mut connection, stream)).await {
        Ok(is_stream) => stream_of(stream, is_stream),
        Err(words) => Finding::failed(
            format!("Redis does not say what {stream} is: {words}."),
            format!("Allow its user +xinfo and the key ~{stream}, see ACL SETUSER."),
        ),
    };
    info.into_iter().chain([stream, rights]).collect()
}

async fn connect(url: &str) -> Result<MultiplexedConnection, String> {
    let deadline = Duration::from_millis(DEADLINE_MS);
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(deadline))
        .set_response_timeout(Some(deadline));
    let client = Client::open(url).map_err(|error| plain(&error))?;
    let connected = client.get_multiplexed_async_connection_with_config(&config).await;
    let mut connection = connected.map_err(|error| plain(&error))?;
    let pong: Result<String, RedisError> = redis::cmd("PING").query_async(&mut connection).await;
    match pong {
        // Whoever may not ask is there.
        Err(error) if error.code() != Some("NOPERM") => Err(plain(&error)),
        _ => Ok(connection),
    }
}

async fn info(connection: &mut MultiplexedConnection) -> Result<String, String> {
    redis::cmd("INFO").query_async(connection).await.map_err(|error| plain(&error))
}

async fn is_stream(
    connection: &mut MultiplexedConnection,
    stream: &str,
) -> Result<Option<bool>, String> {
    let mut command = redis::cmd("XINFO");
    let answer: Result<redis::Value, RedisError> =
        command.arg("STREAM").arg(stream).query_async(connection).await;
    match answer {
        Ok(_) => Ok(Some(true)),
        Err(error) if error.code() == Some("WRONGTYPE") => Ok(Some(false)),
        Err(error) if error.to_string().contains("no such key") => Ok(None),
        Err(error) => Err(plain(&error)),
    }
}

/// What the server says of itself.
fn server(info: &str) -> Vec<Finding> {
    let field = |name: &str| {
        let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap_or_default().trim()
    };
    let mut findings = vec![version(field("redis_version"))];
    if field("redis_mode") == "cluster" || field("cluster_enabled") == "1" {
        findings.push(Finding::failed(
            "Redis runs as a cluster, which this version of pitwall does not speak to.",
            "Let REDIS_URL name a single Redis, or a primary with replicas.",
        ));
    }
    if field("role") == "slave" {
        findings.push(Finding::warning(
            "This Redis is a replica: it takes no group, so pitwall reads without one and holds \
             no lease on its name.",
            "Let REDIS_URL name the primary.",
        ));
    }
    findings.push(policy(field("maxmemory_policy")));
    findings
}

fn version(version: &str) -> Finding {
    let mut numbers = version.split('.').map_while(|number| number.parse::<u32>().ok());
    let numbers = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if numbers >= VERSION_MIN {
        return Finding::fine(format!("Redis answers: version {version}."));
    }
    let (major, minor) = VERSION_MIN;
    Finding::failed(
        format!("Redis is of version {version}, which lacks commands that pitwall uses."),
        format!("Use Redis {major}.{minor} or newer."),
    )
}

fn policy(policy: &str) -> Finding {
    if policy.starts_with("allkeys-") {
        return Finding::failed(
            format!(
                "Redis may evict the stream with its groups when memory is short \
                 (maxmemory-policy {policy}): positions would be lost in silence."
            ),
            "redis-cli CONFIG SET maxmemory-policy noeviction, and the same in redis.conf.",
        );
    }
    Finding::fine(format!("Redis keeps what has no expiry (maxmemory-policy {policy})."))
}

fn stream_of(stream: &str, is_stream: Option<bool>) -> Finding {
    match is_stream {
        Some(true) => Finding::fine(format!("The stream {stream} is there.")),
        None => Finding::warning(
            format!("There is no stream {stream} yet: nothing has been added to it."),
            "Start the ingestion service, or let REDIS_TELEMETRY_STREAM name its stream.",
        ),
        Some(false) => Finding::failed(
            format!("{stream} is no stream."),
            "Let REDIS_TELEMETRY_STREAM name the stream that positions are added to.",
        ),
    }
}

/// What the client says, without what it was given.
fn plain(error: &RedisError) -> String {
    match error.kind() {
        ErrorKind::AuthenticationFailed => "it refuses the user or the password".to_owned(),
        ErrorKind::InvalidClientConfig => "its address cannot be used".to_owned(),
        _ if error.is_timeout() => format!("no answer within {} s", DEADLINE_MS / 1_000),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::{server, version};
    use crate::tools::check::Verdict;

    #[test]
    fn an_old_version_is_refused() {
        for (text, expected) in [
            ("7.0.15", Verdict::Fine),
            ("6.2", Verdict::Fine),
            ("10.0.0", Verdict::Fine),
            ("6.0.16", Verdict::Failed),
            ("5.0.9", Verdict::Failed),
            ("", Verdict::Failed),
        ] {
            assert_eq!(version(text).verdict, expected, "{text}");
        }
    }

    #[test]
    fn f27_a_cluster_is_refused_with_a_sentence() {
        let info = "redis_version:7.0.15\r\nredis_mode:cluster\r\nmaxmemory_policy:noeviction\r\n";
        let findings = server(info);
        let failed: Vec<_> =
            findings.iter().filter(|finding| finding.verdict == Verdict::Failed).collect();
        assert!(failed.len() == 1 && failed[0].what.contains("cluster"), "{failed:?}");
    }
}
