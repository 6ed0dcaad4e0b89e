//! What strangers, fools and accidents do to `bsbf-proxy`: those who belong to it go on.

use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::cases;
use super::proxy::{
    UUID, becomes, has_server, logs, only_by_the_server, proxied, start_client, start_program, start_server,
    start_server_with,
};
use super::proxy_router::{NFT, Router};
use super::proxy_transfers::{ECHO, echo};
use crate::answers::ask_tcp;
use crate::check;
use crate::failure::{Doing, Result};
use crate::link::Wan;
use crate::manager;
use crate::ns::Ns;
use crate::runner::{Case, needs_speed};

pub const CASES: &[Case] = cases!("proxy_abuse":
    strangers_are_told_nothing within 60,
    one_who_speaks_slowly_is_served within 60,
    of_silent_connections_the_oldest_go within 60,
    without_descriptors_it_waits_and_goes_on within 60,
    a_client_without_descriptors_says_nothing_of_the_server within 60,
    a_server_that_is_started_anew_is_used_at_once within 60,
    a_port_that_somebody_has_keeps_nobody_else_out within 60,
);

const SERVER: &str = "203.0.113.1:32768";
/// More than the server lets one host have open without a word.
const FLOOD: usize = 300;

/// A request for the host's port 80, as VLESS has it: version, UUID, no addons, TCP, port, kind and address.
fn request(uuid: &str) -> Vec<u8> {
    let digits: String = uuid.chars().filter(|c| *c != '-').collect();
    let byte = |i: usize| u8::from_str_radix(&digits[2 * i..2 * i + 2], 16).unwrap_or_default();
    let mut bytes = vec![0];
    bytes.extend((0..16).map(byte));
    bytes.extend([0, 1, 0, 80, 1, 9, 9, 9, 9]);
    bytes
}

fn connect(ns: &Ns) -> Result<TcpStream> {
    let stream = ns.enter(|| TcpStream::connect(SERVER)).doing("connect to the server")?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    Ok(stream)
}

/// What it is told until its end.
fn told(mut stream: TcpStream) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        // What it said was not read to its end.
        Err(e) if e.kind() != ErrorKind::ConnectionReset => Err(e),
        _ => Ok(bytes),
    }
}

fn strangers_are_told_nothing() -> Result {
    let (router, mut server, _client) = proxied(&[Wan::mbit(100)])?;
    let right = request(UUID);
    let with = |at: usize, byte: u8| {
        let mut bytes = right.clone();
        bytes[at] = byte;
        bytes
    };
    let strangers = [
        ("of no client", request("00000000-0000-4000-8000-000000000009")),
        ("of another version", with(0, 1)),
        ("with an unknown command", with(18, 9)),
        ("with an address of an unknown kind", with(21, 9)),
        ("that is longer than any", [with(17, 255), vec![0xff; 100_000]].concat()),
        ("of HTTP", b"GET / HTTP/1.1\r\nHost: 203.0.113.1\r\n\r\n".to_vec()),
        ("of TLS", [&[22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3][..], &[7; 506]].concat()),
    ];
    for (what, bytes) in strangers {
        let mut stream = connect(&router.lab.client)?;
        // It may be closed before all is written.
        let _ = stream.write_all(&bytes);
        let answer = told(stream).doing(format_args!("read what a request {what} is told"))?;
        check!(answer.is_empty(), "a request {what} is told {answer:?}");
    }
    let mut stream = connect(&router.lab.client)?;
    stream.write_all(&right)?;
    let answer = told(stream)?;
    check!(answer == b"\0\0server 9.9.9.9:80", "a client is told {answer:?}: {}", logs());
    check!(server.is_alive(), "the server has ended: {}", logs());
    Ok(())
}

/// A byte at a time.
fn one_who_speaks_slowly_is_served() -> Result {
    let (router, _server, _client) = proxied(&[Wan::mbit(100)])?;
    let mut stream = connect(&router.lab.client)?;
    stream.set_nodelay(true)?;
    for byte in request(UUID) {
        stream.write_all(&[byte])?;
        sleep(Duration::from_millis(20));
    }
    let answer = told(stream)?;
    check!(answer == b"\0\0server 9.9.9.9:80", "it is told {answer:?}: {}", logs());
    Ok(())
}

/// Once they have been silent for longer than a burst of new ones takes.
fn of_silent_connections_the_oldest_go() -> Result {
    needs_speed("they come in a burst")?;
    let (router, mut server, _client) = proxied(&[Wan::mbit(100)])?;
    let flood: Vec<TcpStream> = (0..FLOOD).map(|_| connect(&router.lab.client)).collect::<Result<_>>()?;
    flood.iter().try_for_each(|stream| stream.set_nonblocking(true))?;
    let gone = || flood.iter().filter(|stream| matches!((&**stream).read(&mut [0]), Ok(0))).count();
    check!(gone() == 0, "a burst does not go through");
    let another_comes = || {
        let at_once = connect(&router.lab.client).is_ok();
        Ok((at_once && gone() > 0).to_string())
    };
    becomes(another_comes, "true")?;
    becomes(|| ask_tcp(router.lan()?, "9.9.9.9:80"), "server 9.9.9.9:80")?;
    // The client has some open ahead, from the same address.
    check!((FLOOD - 256..FLOOD - 200).contains(&gone()), "{} of {FLOOD} are gone", gone());
    check!(server.is_alive(), "the server has ended: {}", logs());
    Ok(())
}

/// With descriptors for some tens of connections, it accepts no more until there are some again; and does not turn in
/// circles meanwhile.
fn without_descriptors_it_waits_and_goes_on() -> Result {
    let router = Router::new(NFT)?;
    has_server()?;
    only_by_the_server(&router)?;
    fs::write("/run/clients", format!("0 {UUID} -\n")).doing("write the list of clients")?;
    let binary = manager::binary()?;
    let line = format!(
        "ulimit -n 50; exec {} proxy server -v -v --clients /run/clients --run-dir /run/server",
        binary.display()
    );
    let mut server = start_program(&router.lab.server, Path::new("/bin/sh"), &["-c", &line], "server")?;
    let log = || fs::read_to_string("/run/server.log").unwrap_or_default();
    let is_open = || router.lab.client.enter(|| TcpStream::connect(SERVER)).is_ok();
    becomes(|| Ok(is_open().to_string()), "true")?;
    let flood: Vec<TcpStream> = (0..100).map(|_| connect(&router.lab.client)).collect::<Result<_>>()?;
    becomes(|| Ok(log().contains("cannot accept connections for a while").to_string()), "true")?;
    let used = cpu_ticks(server.child().id())?;
    sleep(Duration::from_secs(1));
    let used = cpu_ticks(server.child().id())? - used;
    check!(used < 20, "it used {used} ticks of a second while it had to wait");
    drop(flood);
    let _client = start_client(&router)?;
    becomes(|| ask_tcp(router.lan()?, "9.9.9.9:80"), "server 9.9.9.9:80")?;
    check!(server.is_alive(), "the server has ended: {}", logs());
    let times = log().matches("cannot accept connections").count();
    check!(times < 10, "it said so {times} times");
    Ok(())
}

/// That it cannot connect then is its own trouble.
fn a_client_without_descriptors_says_nothing_of_the_server() -> Result {
    let router = Router::new(NFT)?;
    only_by_the_server(&router)?;
    let _server = start_server(&router)?;
    fs::write("/run/uuid", UUID).doing("write the UUID")?;
    let words =
        ["proxy", "client", "-v", "-v", "--server", SERVER, "--uuid-file", "/run/uuid", "--lan", "lan0"];
    let mut client = start_program(&router.lab.client, &manager::binary()?, &words, "client")?;
    let pid = client.child().id();
    let lan = router.lan()?;
    becomes(|| ask_tcp(lan, "9.9.9.9:80"), "server 9.9.9.9:80")?;
    let limit = |most: u32| router.lab.client.run(&format!("prlimit --pid {pid} --nofile={most}:"));
    // Fewer than it has. News of a WAN have it open its connections ahead anew.
    limit(5)?;
    router.lab.client.run("ip address add 10.9.9.9/32 dev wan1")?;
    let said = |what: &dyn Fn(&str) -> bool| {
        let log = fs::read_to_string("/run/client.log").unwrap_or_default();
        log.lines().filter(|line| what(line)).count()
    };
    // EMFILE, whose text is each C library's own.
    let lacks = || said(&|line| line.starts_with("cannot connect to") && line.ends_with("(os error 24)"));
    let blames = || said(&|line| line.contains("does not serve us"));
    becomes(|| Ok((lacks() + blames() > 2).to_string()), "true")?;
    check!(blames() == 0, "it blames the server: {}", logs());
    check!(lacks() < 50, "it does not wait before it tries again: {} times", lacks());
    limit(1024)?;
    becomes(|| ask_tcp(lan, "9.9.9.9:80"), "server 9.9.9.9:80")?;
    check!(client.is_alive(), "the client has ended: {}", logs());
    Ok(())
}

/// Time on a processor, in 1/100 s (proc_pid_stat(5), fields 14 and 15).
fn cpu_ticks(pid: u32) -> Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    Ok(fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum())
}

/// What went by the old one ends at once, and the client's connections ahead with it.
fn a_server_that_is_started_anew_is_used_at_once() -> Result {
    let (router, mut server, _client) = proxied(&[Wan::mbit(100)])?;
    echo(&router)?;
    let lan = router.lan()?;
    let stream = lan.enter(|| TcpStream::connect(ECHO)).doing("connect")?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    (&stream).write_all(b"x")?;
    (&stream).read_exact(&mut [0])?;
    server.child().kill()?;
    server.child().wait()?;
    let ended = told(stream).doing("see the end of what went by the old server")?;
    check!(ended.is_empty(), "{ended:?}");
    let _server = start_server(&router)?;
    let start = Instant::now();
    becomes(|| ask_tcp(lan, "9.9.9.9:80"), "server 9.9.9.9:80")?;
    check!(start.elapsed() < Duration::from_secs(5), "after {:?}: {}", start.elapsed(), logs());
    Ok(())
}

/// And once it is free, its client is let in too.
fn a_port_that_somebody_has_keeps_nobody_else_out() -> Result {
    let router = Router::new(NFT)?;
    only_by_the_server(&router)?;
    has_server()?;
    let next = "203.0.113.1:32769";
    let somebody = router.lab.server.enter(|| TcpListener::bind("0.0.0.0:32769")).doing("take a port")?;
    fs::write("/run/clients", format!("0 {UUID} -\n1 00000000-0000-4000-8000-000000000001 -\n"))?;
    let mut server = start_server_with(&router, "/run/clients")?;
    let _client = start_client(&router)?;
    becomes(|| ask_tcp(router.lan()?, "9.9.9.9:80"), "server 9.9.9.9:80")?;
    check!(server.is_alive(), "the server has ended: {}", logs());
    drop(somebody);
    let is_open = || router.lab.client.enter(|| TcpStream::connect(next)).is_ok();
    becomes(|| Ok(is_open().to_string()), "true")
}
