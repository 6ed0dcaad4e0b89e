//! What `bsbf-proxy` lets one have, so that others get some too; and how it ends what it ends.

use std::fs;
use std::io::{self, ErrorKind::ConnectionReset, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::cases;
use super::proxy::{
    UUID, becomes, has_server, logs, only_by_the_server, proxied, start_client, start_program, start_server,
};
use super::proxy_router::{NFT, Router};
use super::proxy_transfers::{ECHO, echo};
use crate::answers::{ask_tcp, ask_tcp_from};
use crate::check;
use crate::failure::{Doing, Result};
use crate::link::Wan;
use crate::manager::{self, Manager};
use crate::ns::{Ns, Running};
use crate::runner::{Case, patience};

pub const CASES: &[Case] = cases!("proxy_bounds":
    what_a_removed_client_gets_is_broken_off within 60,
    what_a_server_carries_is_broken_off_when_it_ends within 60,
    what_the_lan_gets_is_broken_off_when_its_router_ends_or_dies within 60,
    a_host_with_connections_without_end_leaves_some_for_others within 60,
    a_client_with_sessions_without_end_keeps_its_connections within 60,
);

/// A service of the Internet that sends without end.
const SOURCE: &str = "9.9.9.9:7002";
/// Descriptors of a process that has few, and more connections than that.
const FEW: usize = 200;
const MANY: usize = 300;
/// A second host of the LAN.
const OTHER: &str = "192.168.4.3";

/// The lab of one download after another.
fn with_source(wans: &[Wan]) -> Result<(Router, Running, Manager)> {
    let (router, server, client) = proxied(wans)?;
    let listener = router.lab.server.enter(|| TcpListener::bind(SOURCE)).doing("listen")?;
    router.lab.server.thread("source", move || {
        for mut stream in listener.incoming().flatten() {
            while stream.write_all(&[7; 10_000]).is_ok() {}
        }
    })?;
    Ok((router, server, client))
}

/// A download of a LAN host's, of which something has come.
fn download(router: &Router) -> Result<TcpStream> {
    let mut stream = router.lan()?.enter(|| TcpStream::connect(SOURCE)).doing("connect")?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.read_exact(&mut [0; 100_000])?;
    Ok(stream)
}

/// It must not look like a whole.
fn is_broken_off(mut stream: TcpStream) -> Result {
    let ended = io::copy(&mut stream, &mut io::sink());
    let is_reset = ended.as_ref().is_err_and(|e| e.kind() == ConnectionReset);
    check!(is_reset, "it ends with {ended:?}: {}", logs());
    Ok(())
}

fn what_a_removed_client_gets_is_broken_off() -> Result {
    let (router, mut server, _client) = with_source(&[Wan::mbit(100), Wan::mbit(100)])?;
    let stream = download(&router)?;
    fs::write("/run/clients", "1 00000000-0000-4000-8000-000000000001 -\n").doing("write the list")?;
    is_broken_off(stream)?;
    check!(server.is_alive(), "the server has ended: {}", logs());
    Ok(())
}

fn what_a_server_carries_is_broken_off_when_it_ends() -> Result {
    let (router, mut server, _client) = with_source(&[Wan::mbit(100), Wan::mbit(100)])?;
    let stream = download(&router)?;
    kill(Pid::from_raw(server.child().id() as i32), Signal::SIGTERM)?;
    is_broken_off(stream)?;
    becomes(|| Ok(server.is_alive().to_string()), "false")
}

fn what_the_lan_gets_is_broken_off_when_its_router_ends_or_dies() -> Result {
    let (router, _server, client) = with_source(&[Wan::mbit(100)])?;
    let stream = download(&router)?;
    client.end(Duration::from_secs(5))?;
    is_broken_off(stream)?;
    let client = start_client(&router)?;
    becomes(|| ask_tcp(router.lan()?, "9.9.9.9:80"), "server 9.9.9.9:80")?;
    let stream = download(&router)?;
    client.crash();
    is_broken_off(stream)
}

/// Starts half of the proxy with few descriptors.
fn start_with_few(ns: &Ns, half: &str, arguments: &str) -> Result<Running> {
    let binary = manager::binary()?;
    let line = format!("ulimit -n {FEW}; exec {} proxy {half} -v -v {arguments}", binary.display());
    start_program(ns, Path::new("/bin/sh"), &["-c", &line], half)
}

/// Which of these connections stand: the others were reset.
fn stand(flood: &[TcpStream]) -> Result<usize> {
    let mut count = 0;
    for mut stream in flood {
        stream.set_read_timeout(Some(Duration::from_secs(5) * patience()))?;
        let echoed = stream.write_all(b"x").and_then(|()| stream.read_exact(&mut [0]));
        count += usize::from(echoed.is_ok());
    }
    Ok(count)
}

fn a_host_with_connections_without_end_leaves_some_for_others() -> Result {
    let router = Router::new(NFT)?;
    only_by_the_server(&router)?;
    let _server = start_server(&router)?;
    echo(&router)?;
    let lan = router.lan()?;
    lan.ip_batch(&format!("address add {OTHER}/24 dev eth0\n"))?;
    fs::write("/run/uuid", UUID).doing("write the UUID")?;
    let arguments = "--server 203.0.113.1:32768 --uuid-file /run/uuid --lan lan0 --when-down reject";
    let mut client = start_with_few(&router.lab.client, "client", arguments)?;
    becomes(|| ask_tcp(lan, "9.9.9.9:80"), "server 9.9.9.9:80")?;
    let connect = || (0..MANY).map(|_| TcpStream::connect(ECHO)).collect::<io::Result<Vec<_>>>();
    let flood = lan.enter(connect).doing("open connections")?;
    let standing = stand(&flood)?;
    check!((FEW / 8..FEW / 4).contains(&standing), "{standing} stand of {MANY}: {}", logs());
    let others = ask_tcp_from(lan, Some(OTHER), "9.9.9.9:80")?;
    check!(others == "server 9.9.9.9:80", "another host is told {others:?}: {}", logs());
    let told = fs::read_to_string("/run/client.log")?.matches("it gets no more").count();
    check!(told == 1, "it was told {told} times: {}", logs());
    drop(flood);
    becomes(|| ask_tcp(lan, "9.9.9.9:80"), "server 9.9.9.9:80")?;
    check!(client.is_alive(), "the client has ended: {}", logs());
    Ok(())
}

/// Whatever sends from socket after socket, a household's pages still come.
fn a_client_with_sessions_without_end_keeps_its_connections() -> Result {
    has_server()?;
    let router = Router::new(NFT)?;
    only_by_the_server(&router)?;
    fs::write("/run/clients", format!("0 {UUID} -\n")).doing("write the list of clients")?;
    let arguments = "--clients /run/clients --run-dir /run/server";
    let mut server = start_with_few(&router.lab.server, "server", arguments)?;
    let _client = start_client(&router)?;
    let lan = router.lan()?;
    becomes(|| ask_tcp(lan, "9.9.9.9:80"), "server 9.9.9.9:80")?;
    let asked = || -> io::Result<(Vec<UdpSocket>, bool)> {
        let mut sockets = Vec::new();
        let mut is_answered = false;
        for _ in 0..MANY {
            let socket = UdpSocket::bind("0.0.0.0:0")?;
            socket.set_read_timeout(Some(Duration::from_secs(5) * patience()))?;
            socket.connect("9.9.9.9:80")?;
            socket.send(b"who are you?")?;
            is_answered = socket.recv(&mut [0; 100]).is_ok();
            sockets.push(socket);
        }
        Ok((sockets, is_answered))
    };
    let (_sockets, is_answered) = lan.enter(asked).doing("ask")?;
    check!(is_answered, "the last of many sockets is not answered: {}", logs());
    for _ in 0..10 {
        let answer = ask_tcp(lan, "9.9.9.9:80")?;
        check!(answer == "server 9.9.9.9:80", "a connection is told {answer:?}: {}", logs());
    }
    check!(server.is_alive(), "the server has ended: {}", logs());
    Ok(())
}
