//! What the LAN sends by `bsbf-proxy` and gets back, to the last byte: much, many at once, and while WANs break.

use std::fs;
use std::io::{self, ErrorKind::Other, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use nix::libc::linger;
use nix::sys::resource::{Resource::RLIMIT_NOFILE, getrlimit, setrlimit};
use nix::sys::socket::{setsockopt, sockopt::Linger};

use super::cases;
use super::managed::SETTLE;
use super::proxy::{logs, proxied};
use super::proxy_router::{HOST, Router};
use crate::check;
use crate::counters::Reading;
use crate::failure::{Doing, Result, failed};
use crate::link::Wan;
use crate::manager::Manager;
use crate::ns::Ns;
use crate::runner::{Case, needs_speed, patience};

pub const CASES: &[Case] = cases!("proxy_transfers":
    what_is_broken_off_is_not_ended,
    a_thousand_connections_at_once within 60,
    nothing_is_lost_on_lossy_wans within 90,
    wans_that_die_and_come_back_break_nothing within 120,
);

/// A service of the Internet that sends back what it is sent, from the first byte on.
pub const ECHO: &str = "9.9.9.9:7000";
/// One that breaks off what it sends, and one that tells how what it is sent ends.
const BREAKER: &str = "9.9.9.9:7001";
pub const TAKER: &str = "9.9.9.9:7002";
/// Longer than a transfer may stand still while a WAN dies.
pub const STALL: Duration = Duration::from_secs(20);
/// Of each of many connections.
const LITTLE: usize = 3000;

/// Starts the service.
pub fn echo(router: &Router) -> Result {
    echo_in(&router.lab.server)
}

/// Starts it in this namespace.
pub fn echo_in(server: &Ns) -> Result {
    let listener = server.enter(|| TcpListener::bind(ECHO)).doing("listen")?;
    server.thread("echo", move || {
        for stream in listener.incoming().flatten() {
            let echoes = move || io::copy(&mut &stream, &mut &stream);
            // Short of threads, the connection ends, and the test tells.
            let _ = thread::Builder::new().stack_size(64 << 10).spawn(echoes);
        }
    })?;
    Ok(())
}

/// Or else a part would be taken for the whole.
fn what_is_broken_off_is_not_ended() -> Result {
    let (router, _server, _client) = proxied(&[Wan::mbit(100), Wan::mbit(100)])?;
    let ends = breaker_in(&router.lab.server)?;
    for _ in 0..5 {
        is_broken_off(router.lan()?, &ends)?;
    }
    Ok(())
}

/// Starts services in this namespace that break off what they send, and tell how what they are sent ends.
pub fn breaker_in(server: &Ns) -> Result<Receiver<io::Result<u64>>> {
    let (breaker, taker) = server
        .enter(|| TcpListener::bind(BREAKER).and_then(|one| Ok((one, TcpListener::bind(TAKER)?))))
        .doing("listen")?;
    server.thread("breaker", move || {
        for mut stream in breaker.incoming().flatten() {
            // Only once the host has begun to read.
            let _ = stream.read(&mut [0]);
            break_off(stream);
        }
    })?;
    let (tell, ends) = channel();
    server.thread("taker", move || {
        for mut stream in taker.incoming().flatten() {
            let _ = tell.send(io::copy(&mut stream, &mut io::sink()));
        }
    })?;
    Ok(ends)
}

/// Sends something, and ends with a reset.
fn break_off(mut stream: TcpStream) {
    let _ = stream.write_all(&[7; 300_000]);
    let _ = setsockopt(&stream, Linger, &linger { l_onoff: 1, l_linger: 0 });
}

/// A service's reset reaches a host in this namespace.
pub fn host_hears_of_a_break(lan: &Ns) -> Result {
    let mut stream = lan.enter(|| TcpStream::connect(BREAKER)).doing("connect")?;
    stream.set_read_timeout(Some(STALL))?;
    stream.write_all(b"x")?;
    let ended = io::copy(&mut stream, &mut io::sink());
    check!(is_reset(&ended), "for the host it ends with {ended:?}: {}", logs());
    Ok(())
}

fn is_reset(ended: &io::Result<u64>) -> bool {
    ended.as_ref().is_err_and(|e| e.kind() == io::ErrorKind::ConnectionReset)
}

/// The same, and a host's reaches the service.
pub fn is_broken_off(lan: &Ns, ends: &Receiver<io::Result<u64>>) -> Result {
    host_hears_of_a_break(lan)?;
    let connect = |to| lan.enter(|| TcpStream::connect(to)).doing("connect");
    break_off(connect(TAKER)?);
    let ended =
        ends.recv_timeout(STALL * patience()).or_else(|_| failed("for the service it does not end"))?;
    check!(is_reset(&ended), "for the service it ends with {ended:?}: {}", logs());
    Ok(())
}

/// Bytes that no other number has.
pub fn pattern(number: u32, length: usize) -> Vec<u8> {
    let word = |i: u32| (i ^ number.rotate_left(16)).wrapping_mul(2_654_435_761).to_le_bytes();
    (0..).flat_map(word).take(length).collect()
}

/// A host of the LAN sends so much, says that nothing more comes, and reads to the end: all of it comes back.
pub fn comes_back_whole(router: &Router, length: usize) -> Result {
    check!(is_returned(router.lan()?, length)?, "something else came back: {}", logs());
    Ok(())
}

/// The same of a host in this namespace; whether it came back as it was sent.
pub fn is_returned(lan: &Ns, length: usize) -> Result<bool> {
    let sent = pattern(0, length);
    let transfer = || -> io::Result<bool> {
        let mut out = TcpStream::connect(ECHO)?;
        out.set_read_timeout(Some(STALL))?;
        let mut back = out.try_clone()?;
        thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let mut got = Vec::new();
                back.read_to_end(&mut got).map(|_| got)
            });
            out.write_all(&sent)?;
            out.shutdown(Shutdown::Write)?;
            let got = reader.join().map_err(|_| Other)??;
            Ok(got == sent)
        })
    };
    lan.enter(transfer).doing("send and receive")
}

/// So many connections that are all open before the first of them says its last word, each with bytes of its own.
pub fn many_at_once(router: &Router, count: u32) -> Result {
    // Two ends of each are ours.
    let (_, most) = getrlimit(RLIMIT_NOFILE)?;
    setrlimit(RLIMIT_NOFILE, most, most)?;
    let exchange = || -> io::Result<u32> {
        let mut open = Vec::new();
        for number in 0..count {
            let mut stream = TcpStream::connect(ECHO)?;
            stream.set_read_timeout(Some(STALL))?;
            stream.write_all(&pattern(number, LITTLE))?;
            open.push(stream);
        }
        let mut same = 0;
        for (number, stream) in (0..count).zip(&mut open) {
            stream.shutdown(Shutdown::Write)?;
            let mut got = Vec::new();
            stream.read_to_end(&mut got)?;
            same += u32::from(got == pattern(number, LITTLE));
        }
        Ok(same)
    };
    let same = router.lan()?.enter(exchange).doing("send and receive")?;
    check!(same == count, "{same} of {count} came back as they were: {}", logs());
    Ok(())
}

fn a_thousand_connections_at_once() -> Result {
    let (router, mut server, mut client) = proxied(&[Wan::mbit(100)])?;
    echo(&router)?;
    many_at_once(&router, 1000)?;
    check!(server.is_alive() && client.is_alive(), "one has ended: {}", logs());
    Ok(())
}

/// The lab's two usual WANs under a manager, with the proxy over both.
pub fn bonded(loss: f64) -> Result<(Router, impl Sized)> {
    let wans = [(20, 15), (10, 30)].map(|(mbit, ms)| Wan::mbit(mbit).delay_ms(ms).loss(loss));
    let (router, server, client) = proxied(&wans)?;
    let mut manager = Manager::start(&router.lab, &[], Path::new("/run/bond.log"))?;
    manager.settle(&router.lab, SETTLE)?;
    echo(&router)?;
    Ok((router, (server, client, manager)))
}

/// Both WANs have carried their part of what was received since then.
pub fn both_carried(router: &Router, since: &Reading) -> Result {
    let shares = Reading::now(&router.lab)?.rx_shares(since);
    let bond = fs::read_to_string("/run/bond.log").unwrap_or_default();
    check!(shares.iter().all(|share| *share > 0.1), "the WANs' shares are {shares:?}: {bond}{}", logs());
    Ok(())
}

fn nothing_is_lost_on_lossy_wans() -> Result {
    let (router, _running) = bonded(0.01)?;
    let before = Reading::now(&router.lab)?;
    comes_back_whole(&router, 6 << 20)?;
    both_carried(&router, &before)
}

/// Each WAN dies silently, and one loses its cable too, while a host sends and receives.
fn wans_that_die_and_come_back_break_nothing() -> Result {
    needs_speed("both WANs carry their part only while the router keeps up with them")?;
    let (router, _running) = bonded(0.0)?;
    let before = Reading::now(&router.lab)?;
    let start = Instant::now();
    thread::scope(|scope| -> Result {
        let transfer = scope.spawn(|| comes_back_whole(&router, 24 << 20));
        let lab = &router.lab;
        let pause = || thread::sleep(Duration::from_millis(1500));
        for wan in [1, 2] {
            pause();
            lab.blackhole(wan, true);
            pause();
            lab.blackhole(wan, false);
            pause();
        }
        lab.far_carrier(1, false)?;
        pause();
        lab.far_carrier(1, true)?;
        lab.netifd.ifup(1)?;
        check!(!transfer.is_finished(), "it was over after {:?}: {HOST} is too near", start.elapsed());
        transfer.join().unwrap_or_else(|_| crate::failure::failed("the transfer panicked"))
    })?;
    both_carried(&router, &before)
}
