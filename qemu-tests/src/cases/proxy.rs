//! `bsbf-proxy` between a LAN and the Internet, with the real kernel's TPROXY and MPTCP.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::cases;
use super::proxy_router::{NFT, Router};
use super::proxy_transfers::{ECHO, comes_back_whole, echo};
use crate::answers::{Kind, ask_tcp, ask_udp, serve};
use crate::check;
use crate::failure::{Doing, Result, failed, skipped};
use crate::link::Wan;
use crate::manager::{self, Manager};
use crate::ns::{Ns, Running};
use crate::runner::{Case, patience};

pub const CASES: &[Case] = cases!("proxy":
    tcp_and_udp_of_the_lan_go_by_the_server,
    a_connection_that_is_half_closed_carries_all within 60,
    ipv6_is_refused_at_once_where_the_server_has_none,
    datagrams_leave_a_connection_that_hangs within 60,
    without_a_server_the_lan_goes_out_directly_and_comes_back within 90,
    a_server_that_does_not_know_us_is_told_and_left within 60,
    a_client_is_let_in_when_it_is_added_and_cut_off_when_it_is_removed within 60,
);

pub const UUID: &str = "6ba85e17-9dad-410e-809f-00c04fd430c8";
const CLIENTS: &str = "/run/clients";
/// A refusal that takes less does not wait for anything.
const AT_ONCE: Duration = Duration::from_millis(500);

pub fn start_server(router: &Router) -> Result<Running> {
    start_server_in(&router.lab.server)
}

/// Starts the server in this namespace, for one client.
pub fn start_server_in(server: &Ns) -> Result<Running> {
    fs::write(CLIENTS, format!("0 {UUID} -\n")).doing("write the list of clients")?;
    serve_clients(server, CLIENTS)
}

pub fn start_server_with(router: &Router, clients: &str) -> Result<Running> {
    serve_clients(&router.lab.server, clients)
}

fn serve_clients(server: &Ns, clients: &str) -> Result<Running> {
    has_server()?;
    let arguments = ["proxy", "server", "-v", "-v", "--clients", clients, "--run-dir", "/run/server"];
    start_program(server, &manager::binary()?, &arguments, "server")
}

/// Skips where the binary under test is one for routers with little flash. No build can read a list that is a directory.
pub fn has_server() -> Result {
    let said = manager::run_alone(&["proxy", "server", "--clients", "/"])?.stderr;
    if said.contains("this build is for routers") { skipped("this bsbf has no server") } else { Ok(()) }
}

/// Starts a program whose log is that of the "server" or of the "client".
pub fn start_program(ns: &Ns, program: &Path, arguments: &[&str], name: &str) -> Result<Running> {
    let log =
        File::options().create(true).append(true).open(format!("/run/{name}.log")).doing("open a log")?;
    let mut command = ns.command(&program.to_string_lossy());
    command.args(arguments).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    ns.spawn(&mut command)
}

pub fn start_client(router: &Router) -> Result<Manager> {
    fs::write("/run/uuid", UUID).doing("write the UUID")?;
    let arguments = [
        "client",
        "-v",
        "-v",
        "--server",
        "203.0.113.1:32768",
        "--uuid-file",
        "/run/uuid",
        "--lan",
        "lan0",
        "--down-after",
        "2",
    ];
    Manager::start_command(&router.lab, "proxy", &arguments, Path::new("/run/client.log"))
}

/// Hosts of the Internet answer the server alone, so whoever is answered came by it.
pub fn only_by_the_server(router: &Router) -> Result {
    router
        .lab
        .server
        .run(
            "nft table inet only { chain input { type filter hook input priority 0 ; \
             iifname != lo ip daddr 9.9.9.9 drop ; iifname != lo ip6 daddr 2620:fe::9 drop ; } ; }",
        )
        .map(drop)
}

/// The server is asked to reach this one over IPv6; whatever it says is an answer.
pub fn name_server(router: &Router) -> Result {
    serve(&router.lab.server, "name server", "[2620:fe::9]:53", Kind::Ordinary)
}

pub fn becomes(mut what: impl FnMut() -> Result<String>, expected: &str) -> Result {
    let start = Instant::now();
    loop {
        let is = what()?;
        if is == expected {
            return Ok(());
        }
        if start.elapsed() > Duration::from_secs(20) * patience() {
            return failed(format!("it is {is:?}, not {expected:?}: {}", logs()));
        }
        sleep(Duration::from_millis(100));
    }
}

pub fn logs() -> String {
    let log = |path| format!("{path}:\n{}", fs::read_to_string(path).unwrap_or_default());
    ["/run/client.log", "/run/server.log"].map(log).concat()
}

/// A router whose LAN reaches the Internet by the server alone.
pub fn proxied(wans: &[Wan]) -> Result<(Router, Running, Manager)> {
    let router = Router::with(NFT, wans)?;
    only_by_the_server(&router)?;
    name_server(&router)?;
    router.answers(&[("9.9.9.9:80", "silence")])?;
    let server = start_server(&router)?;
    let client = start_client(&router)?;
    becomes(|| ask_tcp(router.lan()?, "9.9.9.9:80"), "server 9.9.9.9:80")?;
    Ok((router, server, client))
}

fn tcp_and_udp_of_the_lan_go_by_the_server() -> Result {
    let (router, mut server, mut client) = proxied(&[Wan::mbit(100)])?;
    // Servers that speak first, as ssh's does.
    becomes(|| ask_tcp(router.lan()?, "[2620:fe::9]:80"), "server [2620:fe::9]:80")?;
    router
        .answers_udp(&[("9.9.9.9:80", "server 9.9.9.9:80"), ("[2620:fe::9]:80", "server [2620:fe::9]:80")])?;
    // The router's own services, and what nobody has.
    router.answers(&[("192.168.4.1:80", "router 192.168.4.1:80")])?;
    let asked = Instant::now();
    let refused = ask_tcp(router.lan()?, "9.9.9.9:7")?;
    check!(refused.contains("reset") && asked.elapsed() < AT_ONCE * patience(), "{refused}");
    check!(server.is_alive() && client.is_alive(), "one of them has ended: {}", logs());
    // CAP_NET_BIND_SERVICE, CAP_NET_ADMIN, and for the client CAP_NET_RAW.
    for (pid, rights) in [(server.child().id(), 0x1400), (client.pid(), 0x3400)] {
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        for set in ["CapInh", "CapPrm", "CapEff"] {
            let hex = status.lines().find_map(|line| line.strip_prefix(set)?.strip_prefix(":\t"));
            let has = hex.and_then(|hex| u64::from_str_radix(hex, 16).ok());
            check!(has.is_some_and(|has| has & !rights == 0), "{set} of {pid}: {status}");
        }
    }
    let status = manager::run(&router.lab, &["proxy", "status"])?;
    check!(status.stdout.contains("connections go to the server"), "{status:?}");
    client.end(Duration::from_secs(5))?;
    let rules = router.rules()?;
    check!(!rules.contains("bsbf_proxy"), "its rules are still there: {rules}");
    Ok(())
}

/// Before a connection stands, so that hosts take IPv4; and out of the proxy's way while no server answers.
fn ipv6_is_refused_at_once_where_the_server_has_none() -> Result {
    let router = Router::new(NFT)?;
    only_by_the_server(&router)?;
    let mut server = start_server(&router)?;
    let _client = start_client(&router)?;
    let lan = router.lan()?;
    becomes(|| ask_tcp(lan, "9.9.9.9:80"), "server 9.9.9.9:80")?;
    let asked = Instant::now();
    router.answers(&[("[2620:fe::9]:80", "refused")])?;
    let udp = ask_udp(lan, "[2620:fe::9]:80")?;
    check!(udp == "refused", "UDP: {udp}");
    check!(asked.elapsed() < AT_ONCE * patience(), "after {:?}", asked.elapsed());
    // Within the house, and the router itself.
    router.answers(&[("[2a00:4::1]:80", "router [2a00:4::1]:80")])?;
    server.child().kill()?;
    server.child().wait()?;
    router.lab.server.run("nft delete table inet only")?;
    becomes(|| ask_tcp(lan, "[2620:fe::9]:80"), "server [2620:fe::9]:80")
}

/// Every connection that stands swallows what it is given, as when the WAN of plain TCP has died; new ones work.
fn datagrams_leave_a_connection_that_hangs() -> Result {
    let (router, _server, _client) = proxied(&[Wan::mbit(100)])?;
    let lan = router.lan()?;
    becomes(|| ask_udp(lan, "9.9.9.9:80"), "server 9.9.9.9:80")?;
    let standing = router.lab.client.run("ss -Htn dport = :32768")?;
    let ports: Vec<&str> =
        standing.lines().filter_map(|line| line.split_whitespace().nth(3)?.rsplit(':').next()).collect();
    check!(!ports.is_empty(), "no connection stands: {standing}");
    router.lab.server.run(&format!(
        "nft table inet hang {{ chain input {{ type filter hook input priority -10 ; tcp sport {{ {} }} drop ; }} ; }}",
        ports.join(",")
    ))?;
    check!(ask_udp(lan, "9.9.9.9:80")? == "silence", "the connection does not hang");
    becomes(|| ask_udp(lan, "9.9.9.9:80"), "server 9.9.9.9:80")
}

/// What is sent comes back to its last byte, though the sender has said first that nothing more comes.
fn a_connection_that_is_half_closed_carries_all() -> Result {
    let (router, _server, _client) = proxied(&[Wan::mbit(100)])?;
    echo(&router)?;
    comes_back_whole(&router, 8 << 20)
}

/// While no server answers, hosts of the LAN go out directly; and to the server once it is back.
fn without_a_server_the_lan_goes_out_directly_and_comes_back() -> Result {
    let (router, mut server, _client) = proxied(&[Wan::mbit(100)])?;
    server.child().kill()?;
    server.child().wait()?;
    router.lab.server.run("nft delete table inet only")?;
    let lan = router.lan()?;
    becomes(|| ask_tcp(lan, "9.9.9.9:80"), "server 9.9.9.9:80")?;
    becomes(|| ask_udp(lan, "9.9.9.9:80"), "server 9.9.9.9:80")?;
    let status = manager::run(&router.lab, &["proxy", "status"])?;
    check!(status.stdout.contains("connections go out directly"), "{status:?}");
    only_by_the_server(&router)?;
    let _server = start_server(&router)?;
    becomes(|| ask_tcp(lan, "9.9.9.9:80"), "server 9.9.9.9:80")?;
    becomes(|| ask_udp(lan, "9.9.9.9:80"), "server 9.9.9.9:80")
}

/// The LAN is not cut off by a UUID that is wrong, or not the server's any more; and it is said what is wrong.
fn a_server_that_does_not_know_us_is_told_and_left() -> Result {
    const STRANGER: &str = "0 00000000-0000-4000-8000-000000000001 -\n";
    let router = Router::new(NFT)?;
    name_server(&router)?;
    fs::create_dir_all("/run/list").doing("make a directory")?;
    let put = |text: &str| -> Result {
        fs::write("/run/list/new", text).doing("write the list")?;
        fs::rename("/run/list/new", "/run/list/clients").doing("put the list in its place")
    };
    put(STRANGER)?;
    let _server = start_server_with(&router, "/run/list/clients")?;
    let _client = start_client(&router)?;
    let is_left = || {
        let status = manager::run(&router.lab, &["proxy", "status"])?.stdout;
        let is_left = ["connections go out directly", "has it a client of our UUID?"];
        Ok(is_left.iter().all(|what| status.contains(what)).to_string())
    };
    becomes(is_left, "true")?;
    router.answers(&[("9.9.9.9:80", "server 9.9.9.9:80")])?;
    let way = || {
        let status = manager::run(&router.lab, &["proxy", "status"])?.stdout;
        Ok(status.contains("connections go to the server").to_string())
    };
    put(&format!("0 {UUID} -\n"))?;
    becomes(way, "true")?;
    only_by_the_server(&router)?;
    becomes(|| ask_tcp(router.lan()?, "9.9.9.9:80"), "server 9.9.9.9:80")?;
    put(STRANGER)?;
    // Nothing but what the LAN asks for shows it.
    becomes(|| ask_tcp(router.lan()?, "9.9.9.9:80").and_then(|_| is_left()), "true")
}

/// Clients come and go while the server runs, without a word to the others.
fn a_client_is_let_in_when_it_is_added_and_cut_off_when_it_is_removed() -> Result {
    let router = Router::new(NFT)?;
    only_by_the_server(&router)?;
    fs::create_dir_all("/run/list").doing("make a directory")?;
    let mut server = start_server_with(&router, "/run/list/clients")?;
    let _client = start_client(&router)?;
    let lan = router.lan()?;
    becomes(|| Ok(ask_tcp(lan, "9.9.9.9:80")?.contains("reset").to_string()), "true")?;
    let put = |text: &str| -> Result {
        fs::write("/run/list/new", text).doing("write the list")?;
        fs::rename("/run/list/new", "/run/list/clients").doing("put the list in its place")
    };
    put(&format!("0 {UUID} -\n1 00000000-0000-4000-8000-000000000001 10\n"))?;
    becomes(|| ask_tcp(lan, "9.9.9.9:80"), "server 9.9.9.9:80")?;
    echo(&router)?;
    let stream = lan.enter(|| TcpStream::connect(ECHO)).doing("connect")?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    (&stream).write_all(b"x")?;
    (&stream).read_exact(&mut [0])?;
    // Bad lists change nothing.
    put("0 not-a-uuid -\n")?;
    becomes(|| Ok(fs::read_to_string("/run/server.log")?.contains("not-a-uuid").to_string()), "true")?;
    (&stream).write_all(b"x")?;
    (&stream).read_exact(&mut [0])?;
    put("1 00000000-0000-4000-8000-000000000001 10\n")?;
    let ended = (&stream).read(&mut [0]);
    check!(
        matches!(ended, Ok(0)) || ended.is_err_and(|e| e.kind() == std::io::ErrorKind::ConnectionReset),
        "it goes on"
    );
    check!(server.is_alive(), "the server has ended: {}", logs());
    Ok(())
}
