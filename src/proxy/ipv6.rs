//! Whether the server in use reaches the Internet over IPv6: it is asked to bring a question to well-known name servers
//! there. While it cannot, hosts are better refused at once than let in here and broken off there.

use std::io;
use std::net::{Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use smol::future::FutureExt;

use super::client::{Client, Way};
use super::relay::skip_head;
use super::servers::Upstream;
use crate::wire::tproxy::Ipv6;
use crate::wire::vless::{Command, Destination, Request};

/// Name servers for everybody, of two operators: 2620:fe::9 and 2606:4700:4700::1111.
const HOSTS: [Ipv6Addr; 2] = [
    Ipv6Addr::new(0x2620, 0xfe, 0, 0, 0, 0, 0, 9),
    Ipv6Addr::new(0x2606, 0x4700, 0x4700, 0, 0, 0, 0, 0x1111),
];
const PORT: u16 = 53;
/// The root's name servers, asked over TCP (RFC 1035, 4.1 and 4.2.2): length, number, RD, one question, its name, NS, IN.
const QUESTION: [u8; 19] = [0, 17, 0xb5, 0xbf, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1];
/// For an answer.
const PATIENCE: Duration = Duration::from_secs(4);
/// Until the next question: where it was answered, where it was not, and where the server itself was silent.
const YES: Duration = Duration::from_secs(3600);
const NO: Duration = Duration::from_secs(60);
const UNKNOWN: Duration = Duration::from_secs(5);

/// Asks whenever another server is in use, and now and then, and hands over what becomes of IPv6 each time that it changes.
pub async fn look_after(client: Rc<Client>, put: impl Fn(Ipv6)) {
    let mut last = Ipv6::Refuse;
    loop {
        let (ipv6, wait) = match client.way() {
            Way::Server(upstream) => match has_ipv6(&client, &upstream, PATIENCE).await {
                Ok(true) => (Ipv6::Proxy, YES),
                Ok(false) => (Ipv6::Refuse, NO),
                Err(_) => (last, UNKNOWN),
            },
            // It goes out as whatever the proxy takes.
            Way::Direct => (Ipv6::Proxy, YES),
            Way::Reject => (Ipv6::Refuse, YES),
        };
        if ipv6 != last {
            last = ipv6;
            put(ipv6);
        }
        let late = async {
            smol::Timer::after(wait).await;
        };
        client.another_way().or(late).await;
    }
}

/// Waits so long for each answer.
///
/// # Errors
/// It is not known: the server does not answer, or it is slow, as in the middle of a change of WANs.
async fn has_ipv6(client: &Client, upstream: &Upstream, patience: Duration) -> io::Result<bool> {
    let mut known = Ok(false);
    for host in HOSTS {
        let stream = client.connect(upstream).await?;
        let command = Command::Tcp(Destination::Address(SocketAddr::new(host.into(), PORT)));
        let said = [&Request { user: client.settings.user, command }.bytes(), &QUESTION[..]].concat();
        let asks = async {
            stream.write_all(&said).await?;
            skip_head(&stream).await?;
            io::Result::Ok(stream.read(&mut [0]).await? > 0)
        };
        let late = async {
            smol::Timer::after(patience).await;
            Err(io::ErrorKind::TimedOut.into())
        };
        match asks.or(late).await {
            Ok(true) => return Ok(true),
            Err(e) if e.kind() == io::ErrorKind::TimedOut => known = Err(e),
            // It said that it does not get there.
            Ok(false) | Err(_) => {}
        }
    }
    known
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::Executor;
    use crate::proxy::client::Settings;
    use crate::sys::caps::{self, Capability};
    use crate::sys::stream::{Listener, Protocol};
    use crate::wire::tproxy::WhenDown;
    use crate::wire::vless::Uuid;

    /// What is learned of a server that says nothing and keeps connections, or ends them; nothing where we may not mark
    /// packets.
    fn learned(patience: Duration, keeps: bool) -> Option<io::Result<bool>> {
        if !caps::missing(&[Capability::NetAdmin]).is_empty() {
            eprintln!("skipped: it needs CAP_NET_ADMIN");
            return None;
        }
        let open = |port: u16| {
            let at = SocketAddr::from(([127, 0, 0, 1], port));
            Listener::open(at, Protocol::Tcp, false).ok().map(|listener| (listener, at))
        };
        let (listener, at) = (20_000..).find_map(open).unwrap();
        let settings = Settings {
            servers: vec![at],
            user: Uuid([7; 16]),
            keys: None,
            when_down: WhenDown::Direct,
            down_after: Duration::from_secs(10),
            run_dir: std::path::PathBuf::new(),
        };
        let client = Client::new(Executor::default(), settings, 1024);
        let Way::Server(upstream) = client.way() else { panic!("there is a server") };
        let serves = async {
            let mut kept = Vec::new();
            loop {
                let stream = listener.accept().await?;
                if keeps {
                    kept.push(stream);
                }
            }
        };
        Some(smol::block_on(has_ipv6(&client, &upstream, patience).or(serves)))
    }

    #[test]
    fn slow_answers_are_not_no_ipv6() {
        let Some(learned) = learned(Duration::from_millis(50), true) else { return };
        assert_eq!(learned.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn a_server_that_ends_the_connection_has_none() {
        let Some(learned) = learned(Duration::from_secs(60), false) else { return };
        assert!(!learned.unwrap());
    }
}
