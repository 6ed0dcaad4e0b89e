//! The measurements.

use std::io;
use std::net::TcpStream;
use std::path::Path;
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource::RLIMIT_NOFILE, getrlimit, setrlimit};

use super::bed::{Bed, Contender, HOST, Proxy};
use super::load;
use crate::bench::processes::{ran, rss};
use crate::by_hand;
use crate::check;
use crate::failure::{Doing, Result, failed};
use crate::link::Wan;
use crate::ns::Ns;
use crate::topology::Lab;
use crate::traffic::Transfer;

/// Where the Internet's host listens.
const AT: &str = "9.9.9.9:7000";
/// Of each bulk transfer.
const BULK: u64 = 1 << 30;
/// Short connections, and how many at a time.
const CONNECTIONS: usize = 4000;
const AT_A_TIME: usize = 8;
/// Questions whose middle counts.
const QUESTIONS: usize = 400;
/// Until both subflows of a download have found their rates, and how long is counted after that.
const WARM_UP: Duration = Duration::from_secs(5);
const WINDOW: Duration = Duration::from_secs(20);
/// Of both links, in bit/s.
const SUM: f64 = 30e6;
/// As many idle connections as one host may have where this system lets a process have 20,000 descriptors.
const MANY: usize = 3_700;
/// After which a process has freed what it needed for a start.
const REST: Duration = Duration::from_secs(2);

/// What is measured together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Bulk,
    Connections,
    Latency,
    Memory,
    Goodput,
}

impl Kind {
    pub const ALL: [Kind; 5] = [Kind::Bulk, Kind::Connections, Kind::Latency, Kind::Memory, Kind::Goodput];

    pub fn name(self) -> &'static str {
        match self {
            Kind::Bulk => "bulk",
            Kind::Connections => "connections",
            Kind::Latency => "latency",
            Kind::Memory => "memory",
            Kind::Goodput => "goodput",
        }
    }

    pub fn named(name: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Without a proxy there is no process to ask.
    pub fn concerns(self, contender: Contender) -> bool {
        contender != Contender::Plain || self == Kind::Goodput
    }

    pub fn measure(self, contender: Contender, sing_box: Option<&Path>) -> Result {
        if self == Kind::Goodput {
            return goodput(contender, sing_box);
        }
        let bed = Bed::new()?;
        load::serve(&bed.internet, AT)?;
        let plain = if self == Kind::Latency { latency(&bed.lan)? } else { 0.0 };
        let Some(mut proxy) = Proxy::start(contender, sing_box, &bed.router, &bed.internet)? else {
            return failed("there is nobody to measure");
        };
        // Connections ahead are there, and the first request has warmed everything up.
        bed.lan.enter(|| load::ask(AT)).doing("ask for the first time")?;
        sleep(REST);
        match self {
            Kind::Bulk => bulk(&bed.lan, &proxy.pids()),
            Kind::Connections => connections(&bed.lan, &proxy.pids()),
            Kind::Latency => {
                say("latency", (latency(&bed.lan)? - plain) * 1e6);
                Ok(())
            }
            Kind::Memory => memory(&bed.lan, &proxy.pids()),
            Kind::Goodput => Ok(()),
        }
    }
}

fn say(name: &str, value: f64) {
    println!("{name} {value}");
}

/// CPU seconds of both ends so far.
fn used(pids: &[u32; 2]) -> Result<[f64; 2]> {
    match pids.map(ran) {
        [Some(client), Some(server)] => Ok([client, server]),
        _ => failed("one of them has ended, or the kernel counts no times (CONFIG_SCHED_INFO)"),
    }
}

fn bulk(lan: &Ns, pids: &[u32; 2]) -> Result {
    type Transfer = fn(&str, u64) -> io::Result<Duration>;
    let ways: [(Transfer, [&str; 3]); 2] = [
        (load::download, ["down_client", "down_server", "down_rate"]),
        (load::upload, ["up_client", "up_server", "up_rate"]),
    ];
    for (transfer, [client, server, rate]) in ways {
        let before = used(pids)?;
        let took = lan.enter(|| transfer(AT, BULK)).doing("transfer")?;
        let after = used(pids)?;
        let gigabytes = BULK as f64 / 1e9;
        say(client, (after[0] - before[0]) / gigabytes);
        say(server, (after[1] - before[1]) / gigabytes);
        say(rate, gigabytes * 8.0 / took.as_secs_f64());
    }
    Ok(())
}

fn connections(lan: &Ns, pids: &[u32; 2]) -> Result {
    let before = used(pids)?;
    let some = || (0..CONNECTIONS / AT_A_TIME).try_for_each(|_| load::ask(AT).map(drop));
    let all = || {
        thread::scope(|scope| {
            // Threads have the namespace of who starts them.
            let workers: Vec<_> = (0..AT_A_TIME).map(|_| scope.spawn(some)).collect();
            workers
                .into_iter()
                .try_for_each(|worker| worker.join().unwrap_or(Err(io::ErrorKind::Other.into())))
        })
    };
    lan.enter(all).doing("connect")?;
    // The last ends are still being carried.
    sleep(Duration::from_millis(300));
    let after = used(pids)?;
    say("connection_client", (after[0] - before[0]) * 1e6 / CONNECTIONS as f64);
    say("connection_server", (after[1] - before[1]) * 1e6 / CONNECTIONS as f64);
    Ok(())
}

/// In seconds.
fn latency(lan: &Ns) -> Result<f64> {
    let ask = || -> io::Result<Vec<Duration>> {
        (0..QUESTIONS)
            .map(|_| {
                sleep(Duration::from_millis(2));
                load::ask(AT)
            })
            .collect()
    };
    let mut times = lan.enter(ask).doing("ask")?;
    times.sort_unstable();
    Ok(times[QUESTIONS / 2].as_secs_f64())
}

fn memory(lan: &Ns, pids: &[u32; 2]) -> Result {
    // Both ends of every connection are this process's.
    let (_, most) = getrlimit(RLIMIT_NOFILE)?;
    setrlimit(RLIMIT_NOFILE, most, most)?;
    let tell = |names: [&str; 2]| -> Result {
        sleep(REST);
        for (name, pid) in names.iter().zip(pids) {
            let rss = rss(*pid).map_or_else(|| failed("it has ended"), Ok)?;
            if !name.is_empty() {
                say(name, rss as f64);
            }
        }
        Ok(())
    };
    tell(["idle_client", "idle_server"])?;
    let mut open: Vec<TcpStream> = Vec::new();
    for (count, names) in [(1_000, ["thousand_client", "thousand_server"]), (MANY, ["", "many_server"])] {
        let more = || (open.len()..count).map(|_| load::idle(AT)).collect::<io::Result<Vec<_>>>();
        match lan.enter(more) {
            Ok(more) => open.extend(more),
            // With more than two descriptors for each.
            Err(e) if count == MANY => {
                eprintln!("bench: {MANY} idle connections are too many: {e}");
                return Ok(());
            }
            Err(e) => return Err(e).doing("open idle connections"),
        }
        tell(names)?;
    }
    Ok(())
}

/// Over links as people have them, with static endpoints.
fn goodput(contender: Contender, sing_box: Option<&Path>) -> Result {
    let lab = Lab::builder().wan(Wan::mbit(20).delay_ms(10)).wan(Wan::mbit(10).delay_ms(30)).lan().build()?;
    by_hand::set_up(&lab)?;
    lab.client.ip_batch("rule add fwmark 0x1/0x7 lookup 100\nroute add local default dev lo table 100\n")?;
    lab.server.run(&format!("ip address add {HOST}/32 dev lo"))?;
    load::serve(&lab.server, AT)?;
    let proxy = Proxy::start(contender, sing_box, &lab.client, &lab.server)?;
    let bits = match &proxy {
        None => {
            let transfer = Transfer::start(&lab)?;
            sleep(WARM_UP);
            let from = Instant::now();
            sleep(WINDOW);
            let rate = transfer.timeline.goodput(from, Instant::now());
            check!(transfer.finish()?.is_mptcp, "the connection fell back to TCP");
            rate
        }
        Some(_) => {
            let Some(lan) = &lab.lan else { return failed("the lab has no LAN") };
            sleep(REST);
            let got = lan.enter(|| load::download_for(AT, WARM_UP, WARM_UP + WINDOW)).doing("download")?;
            got as f64 * 8.0 / WINDOW.as_secs_f64()
        }
    };
    say("goodput", bits / SUM * 100.0);
    Ok(())
}
