//! Datagrams by `bsbf-proxy`: whom a host hears, and which connection carries what.

use std::io::{self, ErrorKind};
use std::net::UdpSocket;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::cases;
use super::proxy::{becomes, logs, proxied};
use super::proxy_router::Router;
use crate::answers::ask_udp;
use crate::check;
use crate::failure::{Doing, Result};
use crate::link::Wan;
use crate::runner::{Case, patience};

pub const CASES: &[Case] = cases!("proxy_udp":
    who_was_not_asked_is_not_heard_and_can_be_asked_afterwards within 60,
    an_upload_that_nobody_answers_keeps_its_connection within 60,
);

/// An address of the Internet, beside the usual 9.9.9.9.
const STRANGER: &str = "149.112.112.112";
/// Longer than a connection has to stand before one that may hang is left (10 s), and so much that it shows.
const UPLOAD: Duration = Duration::from_secs(14);

/// Who is asked has a stranger answer before it answers itself. That one is answered too once it is asked itself.
fn two_answer(router: &Router, port: u16) -> Result {
    let server = &router.lab.server;
    let open = |host: &str| server.enter(|| UdpSocket::bind((host, port))).doing("open a socket");
    let (asked, stranger) = (open("9.9.9.9")?, open(STRANGER)?);
    let answer = move || -> io::Result<()> {
        loop {
            let (_, host) = asked.recv_from(&mut [0; 100])?;
            stranger.send_to(b"from a stranger", host)?;
            asked.send_to(b"as asked", host)?;
            let (_, host) = stranger.recv_from(&mut [0; 100])?;
            stranger.send_to(b"from the stranger, as asked", host)?;
        }
    };
    server.thread("two that answer", move || drop(answer()))?;
    Ok(())
}

/// What this socket hears first after it has asked there.
fn ask(host: &UdpSocket, to: (&str, u16)) -> io::Result<String> {
    host.send_to(b"?", to)?;
    let mut text = [0; 100];
    match host.recv_from(&mut text) {
        Ok((length, _)) => Ok(String::from_utf8_lossy(&text[..length]).into_owned()),
        Err(e) if e.kind() == ErrorKind::WouldBlock => Ok("silence".to_string()),
        Err(e) => Err(e),
    }
}

/// Were the stranger heard, it would have begun the connection for the router's conntrack, and what is sent to it would be
/// answers, which go past the proxy.
fn hears_whom_it_asks(router: &Router, port: u16) -> Result {
    two_answer(router, port)?;
    let host = router.lan()?.enter(|| UdpSocket::bind("0.0.0.0:0")).doing("open a socket")?;
    host.set_read_timeout(Some(Duration::from_secs(2) * patience()))?;
    for (to, expected) in [("9.9.9.9", "as asked"), (STRANGER, "from the stranger, as asked")] {
        let heard = ask(&host, (to, port))?;
        check!(heard == expected, "asked {to}, the host hears {heard:?}: {}", logs());
    }
    Ok(())
}

/// By the server, and past it while it is away.
fn who_was_not_asked_is_not_heard_and_can_be_asked_afterwards() -> Result {
    let (router, mut server, _client) = proxied(&[Wan::mbit(100)])?;
    let far = &router.lab.server;
    far.ip_batch(&format!("address add {STRANGER}/32 dev lo\n"))?;
    far.run(&format!("nft add rule inet only input iifname != lo ip daddr {STRANGER} drop"))?;
    hears_whom_it_asks(&router, 7001)?;
    server.child().kill()?;
    server.child().wait()?;
    far.run("nft delete table inet only")?;
    becomes(|| ask_udp(router.lan()?, "9.9.9.9:80"), "server 9.9.9.9:80")?;
    hears_whom_it_asks(&router, 7002)
}

/// What each connection to the server has sent so far, in bytes.
fn sent(router: &Router) -> Result<Vec<u64>> {
    let connections = router.lab.client.run("ss -HOtin dport = :32768")?;
    let bytes =
        |line: &str| line.split_whitespace().find_map(|word| word.strip_prefix("bytes_sent:")?.parse().ok());
    Ok(connections.lines().filter_map(bytes).collect())
}

/// As a camera's.
fn an_upload_that_nobody_answers_keeps_its_connection() -> Result {
    let (router, _server, _client) = proxied(&[Wan::mbit(100)])?;
    let sink = router.lab.server.enter(|| UdpSocket::bind("9.9.9.9:7001")).doing("open a socket")?;
    sink.set_read_timeout(Some(Duration::from_secs(2) * patience()))?;
    let host = router.lan()?.enter(|| UdpSocket::bind("0.0.0.0:0")).doing("open a socket")?;
    let start = Instant::now();
    while start.elapsed() < UPLOAD {
        host.send_to(&[0; 500], "9.9.9.9:7001")?;
        sink.recv_from(&mut [0; 500]).doing("receive the upload")?;
        sleep(Duration::from_millis(50));
    }
    let sent = sent(&router)?;
    let (most, all) = (sent.iter().max().copied().unwrap_or_default(), sent.iter().sum::<u64>());
    check!(most > 10_000 && most * 10 > all * 9, "the connections have sent {sent:?}: {}", logs());
    Ok(())
}
