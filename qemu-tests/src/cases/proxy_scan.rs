//! What somebody on the Internet finds who tries all ports: of ours the server's, and nothing of a router's.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpStream;
use std::path::Path;

use super::cases;
use super::managed::SETTLE;
use super::proxy::{UUID, becomes, logs, name_server, only_by_the_server, start_client, start_server_with};
use super::proxy_router::{NFT, Router};
use crate::answers::{ask_tcp, ask_udp};
use crate::check;
use crate::failure::{Doing, Result};
use crate::link::Wan;
use crate::manager::Manager;
use crate::ns::Ns;
use crate::runner::Case;
use crate::topology::SERVER;

pub const CASES: &[Case] = cases!("proxy_scan":
    only_the_servers_ports_are_open within 90,
);

/// The router's on its WAN.
const ROUTER: &str = "198.18.1.2";
/// Of a client that has a port of its own, and where all come in who encrypt.
const OURS: [&str; 2] = ["tcp 32768", "tcp 32767"];

fn only_the_servers_ports_are_open() -> Result {
    let router = Router::with(NFT, &[Wan::mbit(100)])?;
    only_by_the_server(&router)?;
    name_server(&router)?;
    let (client, server) = (&router.lab.client, &router.lab.server);
    let before = [open(client, ROUTER)?, open(server, SERVER)?];

    fs::write("/run/clients", format!("0 {UUID} -\n")).doing("write the list of clients")?;
    fs::write("/run/server.key", "5".repeat(64)).doing("write the server's key")?;
    let _server = start_server_with(&router, "/run/clients")?;
    let _client = start_client(&router)?;
    let mut manager = Manager::start(&router.lab, &[], Path::new("/run/bond.log"))?;
    manager.settle(&router.lab, SETTLE)?;
    // All that they open at work is open.
    becomes(|| ask_tcp(router.lan()?, "9.9.9.9:80"), "server 9.9.9.9:80")?;
    becomes(|| ask_udp(router.lan()?, "9.9.9.9:80"), "server 9.9.9.9:80")?;

    let [of_router, of_server] = [open(client, ROUTER)?, open(server, SERVER)?];
    let found: Vec<&String> = of_router.difference(&before[0]).collect();
    check!(found.is_empty(), "the router has opened {found:?}: {}", logs());
    // A client's session of UDP has a port as long as it lasts, as behind any masquerade.
    let found: Vec<&String> =
        of_server.difference(&before[1]).filter(|port| port.starts_with("tcp")).collect();
    check!(found.iter().all(|port| OURS.contains(&port.as_str())), "the server has opened {found:?}");
    check!(found.iter().any(|port| *port == OURS[0]), "the scan has found none of {OURS:?}: {found:?}");
    Ok(())
}

/// The ports of TCP that somebody is let in at, at this address of a namespace, and those of UDP where its sockets take what
/// comes for it.
fn open(ns: &Ns, host: &str) -> Result<BTreeSet<String>> {
    let lets_in = |port: u16| {
        let stream = TcpStream::connect((host, port));
        // One that has met itself is none (RFC 9293 section 3.5, simultaneous initiation).
        stream.is_ok_and(|stream| stream.local_addr().ok() != stream.peer_addr().ok())
    };
    let tcp = ns.enter(|| (1..=u16::MAX).filter(|port| lets_in(*port)).collect::<Vec<u16>>());
    let sockets = ns.run("ss -Hlun")?;
    let udp = sockets.lines().filter_map(|line| line.split_whitespace().nth(3));
    // Those that answer the LAN in the name of others have others' addresses, which nothing from the WAN is for.
    let udp = udp.filter(|at| ["0.0.0.0:", "*:", "[::]:", host].iter().any(|any| at.starts_with(any)));
    Ok(tcp.iter().map(|port| format!("tcp {port}")).chain(udp.map(|at| format!("udp {at}"))).collect())
}
