//! `bsbf-proxy` encrypted: what the LAN gets by it, and what those learn and can do who are none of it.

use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::cases;
use super::managed::SETTLE;
use super::proxy::{UUID, becomes, has_server, logs, name_server, only_by_the_server, start_program};
use super::proxy_router::{NFT, Router};
use super::proxy_transfers::{
    ECHO, STALL, TAKER, both_carried, breaker_in, comes_back_whole, echo, many_at_once, pattern,
};
use crate::answers::ask_tcp;
use crate::check;
use crate::counters::Reading;
use crate::failure::{Doing, Result};
use crate::link::Wan;
use crate::manager::{self, Manager};
use crate::ns::Running;
use crate::runner::{Case, needs_speed, patience};

pub const CASES: &[Case] = cases!("proxy_secret":
    tcp_and_udp_of_the_lan_go_encrypted within 60,
    both_wans_carry_it_and_one_that_dies_breaks_nothing within 120,
    a_thousand_connections_at_once within 60,
    who_listens_learns_nothing within 60,
    who_cuts_a_connection_makes_no_whole_of_a_part within 60,
    strangers_are_told_nothing within 90,
    a_stranger_who_floods_keeps_nobody_waiting within 60,
    a_client_that_is_removed_is_cut_off within 60,
    a_server_takes_its_key_once_it_is_made within 60,
);

/// Where encrypted connections come in, and where somebody on the way hands them on from.
const SERVER: &str = "203.0.113.1:32767";
const ON_THE_WAY: &str = "203.0.113.1:31000";
/// RFC 7748 section 6.1: Alice's secret key and public key, and Bob's.
const CLIENT: [&str; 2] = [
    "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
    "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
];
const SERVERS: [&str; 2] = [
    "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
    "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
];
/// What a client says first.
const HELLO: usize = 104;
const LIST: &str = "/run/list/clients";

fn put_list(text: &str) -> Result {
    fs::create_dir_all("/run/list").doing("make a directory")?;
    fs::write("/run/list/new", text).doing("write the list")?;
    fs::rename("/run/list/new", LIST).doing("put the list in its place")
}

/// One that lets nobody in who does not encrypt.
fn start_server(router: &Router) -> Result<Running> {
    has_server()?;
    put_list(&format!("0 {UUID} -\n#key {UUID} {}\n", CLIENT[1]))?;
    fs::write("/run/server.key", SERVERS[0]).doing("write the server's key")?;
    serve(router)
}

fn serve(router: &Router) -> Result<Running> {
    let arguments = ["proxy", "server", "-v", "-v", "--clients", LIST, "--run-dir", "/run/server"];
    let arguments = [&arguments[..], &["--key-file", "/run/server.key", "--no-plain"]].concat();
    start_program(&router.lab.server, &manager::binary()?, &arguments, "server")
}

/// With this secret key, by this way.
fn start_client(router: &Router, key: &str, server: &str) -> Result<Manager> {
    fs::write("/run/uuid", UUID).doing("write the UUID")?;
    fs::write("/run/key", key).doing("write the key")?;
    let arguments = ["client", "-v", "-v", "--server", server, "--uuid-file", "/run/uuid", "--lan", "lan0"];
    let keys = ["--down-after", "2", "--server-key", SERVERS[1], "--key-file", "/run/key"];
    let arguments = [&arguments[..], &keys].concat();
    Manager::start_command(&router.lab, "proxy", &arguments, Path::new("/run/client.log"))
}

/// A router whose LAN reaches the Internet by the server alone.
fn proxied(wans: &[Wan], by: &str) -> Result<(Router, Running, Manager)> {
    let router = Router::with(NFT, wans)?;
    only_by_the_server(&router)?;
    name_server(&router)?;
    let server = start_server(&router)?;
    let client = start_client(&router, CLIENT[0], by)?;
    becomes(|| ask_tcp(router.lan()?, "9.9.9.9:80"), "server 9.9.9.9:80")?;
    Ok((router, server, client))
}

fn tcp_and_udp_of_the_lan_go_encrypted() -> Result {
    let (router, mut server, mut client) = proxied(&[Wan::mbit(100)], SERVER)?;
    becomes(|| ask_tcp(router.lan()?, "[2620:fe::9]:80"), "server [2620:fe::9]:80")?;
    router
        .answers_udp(&[("9.9.9.9:80", "server 9.9.9.9:80"), ("[2620:fe::9]:80", "server [2620:fe::9]:80")])?;
    let refused = ask_tcp(router.lan()?, "9.9.9.9:7")?;
    check!(refused.contains("reset"), "{refused}");
    echo(&router)?;
    comes_back_whole(&router, 8 << 20)?;
    let status = manager::run(&router.lab, &["proxy", "status"])?;
    check!(status.stdout.contains("connections go to the server"), "{status:?}");
    // There is no other way in.
    let plain = router.lab.client.enter(|| TcpStream::connect("203.0.113.1:32768"));
    check!(plain.is_err(), "the server listens to those who do not encrypt");
    check!(server.is_alive() && client.is_alive(), "one of them has ended: {}", logs());
    Ok(())
}

fn both_wans_carry_it_and_one_that_dies_breaks_nothing() -> Result {
    needs_speed("both WANs carry their part only while the router keeps up with them")?;
    let wans = [(20, 15), (10, 30)].map(|(mbit, ms)| Wan::mbit(mbit).delay_ms(ms));
    let (router, _server, _client) = proxied(&wans, SERVER)?;
    let mut manager = Manager::start(&router.lab, &[], Path::new("/run/bond.log"))?;
    manager.settle(&router.lab, SETTLE)?;
    echo(&router)?;
    let before = Reading::now(&router.lab)?;
    thread::scope(|scope| -> Result {
        let transfer = scope.spawn(|| comes_back_whole(&router, 16 << 20));
        let pause = || thread::sleep(Duration::from_millis(1500));
        for wan in [1, 2] {
            pause();
            router.lab.blackhole(wan, true);
            pause();
            router.lab.blackhole(wan, false);
        }
        check!(!transfer.is_finished(), "it was over before: {}", logs());
        transfer.join().unwrap_or_else(|_| crate::failure::failed("the transfer panicked"))
    })?;
    both_carried(&router, &before)
}

fn a_thousand_connections_at_once() -> Result {
    let (router, mut server, mut client) = proxied(&[Wan::mbit(100)], SERVER)?;
    echo(&router)?;
    many_at_once(&router, 1000)?;
    check!(server.is_alive() && client.is_alive(), "one has ended: {}", logs());
    Ok(())
}

/// Somebody on the way, who hears all that is said.
#[derive(Clone)]
struct Eavesdropper {
    heard: Arc<Mutex<Vec<u8>>>,
    /// After so many bytes, one way, he says that this was all: up and down.
    most: [Arc<AtomicUsize>; 2],
}

impl Eavesdropper {
    fn on_the_way(router: &Router) -> Result<Eavesdropper> {
        let all = || Arc::new(AtomicUsize::new(usize::MAX));
        let he = Eavesdropper { heard: Arc::default(), most: [all(), all()] };
        let listener = router.lab.server.enter(|| TcpListener::bind(ON_THE_WAY)).doing("listen")?;
        let hears = he.clone();
        router.lab.server.thread("eavesdropper", move || {
            for client in listener.incoming().flatten() {
                // A server that is not there yet is tried again by the client.
                let Ok(server) = TcpStream::connect(SERVER) else { continue };
                let (Ok(from_client), Ok(from_server)) = (client.try_clone(), server.try_clone()) else {
                    continue;
                };
                let (up, down) = (hears.clone(), hears.clone());
                thread::spawn(move || up.hand_on(from_client, server, 0));
                thread::spawn(move || down.hand_on(from_server, client, 1));
            }
        })?;
        Ok(he)
    }

    fn hand_on(&self, mut from: TcpStream, mut to: TcpStream, way: usize) {
        let (mut buffer, mut length) = ([0; 8192], 0);
        while let Ok(read @ 1..) = from.read(&mut buffer) {
            if let Ok(mut heard) = self.heard.lock() {
                heard.extend(&buffer[..read]);
            }
            length += read;
            if length > self.most[way].load(Relaxed) || to.write_all(&buffer[..read]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
        // He takes what else comes, so that nobody notices by that.
        let _ = io::copy(&mut from, &mut io::sink());
    }
}

fn who_listens_learns_nothing() -> Result {
    let router = Router::new(NFT)?;
    only_by_the_server(&router)?;
    let he = Eavesdropper::on_the_way(&router)?;
    let _server = start_server(&router)?;
    let _client = start_client(&router, CLIENT[0], ON_THE_WAY)?;
    becomes(|| ask_tcp(router.lan()?, "9.9.9.9:80"), "server 9.9.9.9:80")?;
    router.answers_udp(&[("9.9.9.9:80", "server 9.9.9.9:80")])?;
    echo(&router)?;
    comes_back_whole(&router, 1 << 20)?;
    let heard = he.heard.lock().map(|heard| heard.clone()).unwrap_or_default();
    check!(heard.len() > 2 << 20, "he has heard {} bytes", heard.len());
    let digits: String = UUID.chars().filter(|c| *c != '-').collect();
    let uuid: Vec<u8> =
        (0..16).filter_map(|i| u8::from_str_radix(&digits[2 * i..2 * i + 2], 16).ok()).collect();
    let secrets = [&uuid[..], b"server 9.9.9.9:80", &pattern(0, 16), &[9, 9, 9, 9, 9]];
    for secret in secrets {
        let is_there = heard.windows(secret.len()).any(|window| window == secret);
        // Five bytes come up by chance in one of 500,000 tests.
        check!(!is_there, "he has heard {secret:?}");
    }
    Ok(())
}

fn who_cuts_a_connection_makes_no_whole_of_a_part() -> Result {
    let router = Router::new(NFT)?;
    only_by_the_server(&router)?;
    let he = Eavesdropper::on_the_way(&router)?;
    let _server = start_server(&router)?;
    let _client = start_client(&router, CLIENT[0], ON_THE_WAY)?;
    let lan = router.lan()?;
    becomes(|| ask_tcp(lan, "9.9.9.9:80"), "server 9.9.9.9:80")?;
    echo(&router)?;
    let ends = breaker_in(&router.lab.server)?;
    he.most[1].store(200_000, Relaxed);
    let connect = |to| lan.enter(|| TcpStream::connect(to)).doing("connect");
    let mut stream = connect(ECHO)?;
    stream.set_read_timeout(Some(STALL * patience()))?;
    let mut writer = stream.try_clone()?;
    let writes = thread::spawn(move || {
        // It is broken off in the middle.
        let _ = writer.write_all(&pattern(0, 1 << 20));
        let _ = writer.shutdown(Shutdown::Write);
    });
    let ended = io::copy(&mut stream, &mut io::sink());
    check!(ended.as_ref().is_err_and(|e| e.kind() == ErrorKind::ConnectionReset), "for the host: {ended:?}");
    let _ = writes.join();
    he.most[1].store(usize::MAX, Relaxed);
    he.most[0].store(200_000, Relaxed);
    let mut stream = connect(TAKER)?;
    let _ = stream.write_all(&pattern(0, 1 << 20));
    let ended = ends.recv_timeout(STALL * patience()).unwrap_or(Ok(0));
    check!(
        ended.as_ref().is_err_and(|e| e.kind() == ErrorKind::ConnectionReset),
        "for the service: {ended:?}"
    );
    Ok(())
}

/// What a client with this key says first, to a server that is none.
fn hello(router: &Router, key: &str) -> Result<Vec<u8>> {
    let listener = router.lab.server.enter(|| TcpListener::bind(SERVER)).doing("listen")?;
    let _client = start_client(router, key, SERVER)?;
    let mut hello = vec![0; HELLO];
    listener.accept()?.0.read_exact(&mut hello)?;
    Ok(hello)
}

/// What somebody is told who says this: what has come a while later, and whether it has ended then, before he says that it
/// was all.
fn told(router: &Router, bytes: &[u8]) -> Result<(Vec<u8>, bool)> {
    let mut stream = router.lab.client.enter(|| TcpStream::connect(SERVER)).doing("connect to the server")?;
    stream.set_read_timeout(Some(Duration::from_millis(300)))?;
    stream.write_all(bytes)?;
    let mut told = vec![0; 100];
    let (length, has_ended) = match stream.read(&mut told) {
        Ok(0) => (0, true),
        Ok(length) => (length, false),
        Err(e) => (0, !matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)),
    };
    told.truncate(length);
    stream.set_read_timeout(Some(STALL * patience()))?;
    stream.shutdown(Shutdown::Write)?;
    match stream.read_to_end(&mut told) {
        Err(e) if e.kind() != ErrorKind::ConnectionReset => Err(e).doing("wait for the end"),
        _ => Ok((told, has_ended)),
    }
}

fn strangers_are_told_nothing() -> Result {
    let router = Router::new(NFT)?;
    only_by_the_server(&router)?;
    let of_a_client = hello(&router, CLIENT[0])?;
    let of_a_stranger = hello(&router, &"5".repeat(64))?;
    let mut server = start_server(&router)?;
    let is_open = || router.lab.client.enter(|| TcpStream::connect(SERVER)).is_ok();
    becomes(|| Ok(is_open().to_string()), "true")?;
    let flipped = |at: usize| {
        let mut bytes = of_a_client.clone();
        bytes[at] ^= 1;
        bytes
    };
    let strangers = [
        ("a hello of another key", of_a_stranger),
        ("a part of a hello", of_a_client[..HELLO - 1].to_vec()),
        ("a hello whose first byte was changed", flipped(0)),
        ("one whose key was changed", flipped(40)),
        ("one whose time was changed", flipped(85)),
        ("one whose last byte was changed", flipped(HELLO - 1)),
        ("a request of VLESS", [&[0; 17][..], &[0, 1, 0, 80, 1, 9, 9, 9, 9], &[7; 200]].concat()),
        ("a request of HTTP", [b"GET / HTTP/1.1\r\nHost: 203.0.113.1\r\n\r\n".repeat(4)].concat()),
        ("a hello of TLS", [&[22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3][..], &[7; 506]].concat()),
    ];
    for (what, bytes) in &strangers {
        let (told, has_ended) = told(&router, bytes)?;
        check!(told.is_empty() && !has_ended, "{what} is told {told:?}, and its end: {has_ended}");
    }
    // All of them were refused for what was wrong with them: this one is right, once.
    let (reply, _) = told(&router, &of_a_client)?;
    check!(reply.len() == 48, "a client is told {reply:?}: {}", logs());
    let (told, has_ended) = told(&router, &of_a_client)?;
    check!(told.is_empty() && !has_ended, "who says it again is told {told:?}, and its end: {has_ended}");
    check!(server.is_alive(), "the server has ended: {}", logs());
    Ok(())
}

/// What a stranger says is read and thrown away, as fast as he likes to say it; the others have their turn.
fn a_stranger_who_floods_keeps_nobody_waiting() -> Result {
    let (router, _server, _client) = proxied(&[Wan::mbit(100)], SERVER)?;
    let mut floods = Vec::new();
    for _ in 0..4 {
        let mut stream = router.lab.server.enter(|| TcpStream::connect(SERVER)).doing("connect")?;
        stream.set_write_timeout(Some(Duration::from_secs(1)))?;
        floods.push(thread::spawn(move || {
            let until = Instant::now() + Duration::from_secs(5);
            while Instant::now() < until && stream.write(&[7; 64 << 10]).is_ok() {}
        }));
    }
    let start = Instant::now();
    for _ in 0..10 {
        let answer = ask_tcp(router.lan()?, "9.9.9.9:80")?;
        check!(answer == "server 9.9.9.9:80", "{answer}: {}", logs());
    }
    check!(start.elapsed() < 4 * patience() * Duration::from_secs(1), "after {:?}", start.elapsed());
    check!(floods.iter().all(|flood| !flood.is_finished()), "nobody flooded meanwhile");
    Ok(())
}

fn a_client_that_is_removed_is_cut_off() -> Result {
    let (router, mut server, _client) = proxied(&[Wan::mbit(100)], SERVER)?;
    echo(&router)?;
    let lan = router.lan()?;
    let stream = lan.enter(|| TcpStream::connect(ECHO)).doing("connect")?;
    stream.set_read_timeout(Some(Duration::from_secs(10) * patience()))?;
    (&stream).write_all(b"x")?;
    (&stream).read_exact(&mut [0])?;
    put_list("1 00000000-0000-4000-8000-000000000001 -\n")?;
    let ended = (&stream).read(&mut [0]);
    check!(ended.as_ref().is_err_and(|e| e.kind() == ErrorKind::ConnectionReset), "it goes on: {ended:?}");
    let status = || {
        let status = manager::run(&router.lab, &["proxy", "status"])?.stdout;
        Ok(status.contains("does not answer our key").to_string())
    };
    becomes(status, "true")?;
    check!(server.is_alive(), "the server has ended: {}", logs());
    // It is known again.
    put_list(&format!("0 {UUID} -\n#key {UUID} {}\n", CLIENT[1]))?;
    becomes(|| ask_tcp(lan, "9.9.9.9:80"), "server 9.9.9.9:80")
}

/// bsbf-add-client makes it before it writes the first client that has one.
fn a_server_takes_its_key_once_it_is_made() -> Result {
    let router = Router::new(NFT)?;
    has_server()?;
    only_by_the_server(&router)?;
    put_list("")?;
    let _server = serve(&router)?;
    let _client = start_client(&router, CLIENT[0], SERVER)?;
    let waits = || Ok(fs::read_to_string("/run/server.log")?.contains("nobody can come in").to_string());
    becomes(waits, "true")?;
    fs::write("/run/server.key", SERVERS[0]).doing("write the server's key")?;
    put_list(&format!("0 {UUID} -\n#key {UUID} {}\n", CLIENT[1]))?;
    becomes(|| ask_tcp(router.lan()?, "9.9.9.9:80"), "server 9.9.9.9:80")
}
