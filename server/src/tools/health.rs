//! `pitwall health`: asks a running pitwall on this machine whether its loops turn.
//!
//! It is what a container's health check runs, since an image need not have an HTTP client.

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::ask::ask;
use crate::config::AdminConfig;

/// Prints one line; true when all is well.
pub(crate) fn write(admin: &AdminConfig, out: &mut impl Write) -> io::Result<bool> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let host = reachable(admin.host).to_string();
    let (is_well, words) = match runtime.block_on(ask(&host, admin.port, "/healthz")) {
        Ok(answer) if answer.status == 200 => (true, "pitwall is well".to_owned()),
        Ok(answer) => {
            let said = answer.body.trim().escape_debug().to_string();
            (false, format!("pitwall answers {}: {said}", answer.status))
        }
        Err(words) => (false, format!("pitwall does not answer on port {}: {words}", admin.port)),
    };
    writeln!(out, "{words}")?;
    Ok(is_well)
}

/// Where somebody who listens on this address can be asked from here.
fn reachable(host: IpAddr) -> IpAddr {
    match host {
        IpAddr::V4(host) if host.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(host) if host.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        host => host,
    }
}
