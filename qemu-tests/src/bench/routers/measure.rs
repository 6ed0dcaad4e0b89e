//! The measurements of one virtual router: what it carries of its LAN, by each contender in turn.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use crate::bench::proxy::bed::{
    Contender, HOST, OUR_FILES, THEIR_RULES, THEIR_SETTINGS, log, our_client, our_server, their_client,
    their_server,
};
use crate::bench::proxy::load;
use crate::check;
use crate::failure::{Doing, Result, failed};
use crate::link::Wan;
use crate::ns::Running;
use crate::qemu::rig::{Daemon, Rig};

/// Where the Internet's host listens.
const AT: &str = "9.9.9.9:7000";
/// What stands before a quantity, its contender and its value, and before words for the reader.
pub const VALUE: &str = "value";
pub const ABOUT: &str = "about";
/// Until the rates are steady: TCP has no long way here.
const WARM_UP: Duration = Duration::from_secs(2);
/// After which what was under way has arrived or is given up, and a started proxy has its connections ahead.
const REST: Duration = Duration::from_secs(1);
/// An emulated router takes its time to start sing-box.
const PATIENCE: Duration = Duration::from_secs(60);
const INTERVAL: Duration = Duration::from_millis(200);
/// What is measured: the names of rate and cost, whether it is a download, and how many connections at once.
const TRANSFERS: [([&str; 2], bool, usize); 4] = [
    (["down_1", "down_1_cost"], true, 1),
    (["down_4", "down_4_cost"], true, 4),
    (["up_1", "up_1_cost"], false, 1),
    (["up_4", "up_4_cost"], false, 4),
];

/// As a router has it: packets to the proxy stay here, and the LAN's addresses are its own.
const PREPARE: &str = "for family in -4 -6; do \
     /usr/sbin/ip $family rule add fwmark 0x1/0x7 lookup 100 && \
     /usr/sbin/ip $family route add local default dev lo table 100 || exit 1; done; \
     if [ -x /usr/sbin/nft ]; then nft 'table inet fw4 { chain srcnat { \
     type nat hook postrouting priority srcnat ; oifname \"wan*\" masquerade ; } ; }'; \
     else iptables -t nat -A POSTROUTING -o wan+ -j MASQUERADE; fi";

/// One router, and what carries its LAN now.
struct Bench {
    rig: Rig,
    window: Duration,
    /// The emulator's thread that is the router's processor.
    processor: i64,
}

/// Boots the machine under test and measures all contenders that it has, each so long; `turn` says who is first.
pub fn measure(turn: usize, window: Duration, sing_box: Option<&Path>) -> Result {
    // Nothing slows the links down.
    let mut rig = Rig::start(&[Wan::mbit(0), Wan::mbit(0)])?;
    rig.by_hand()?;
    rig.agent.shell(PREPARE)?;
    for (path, text) in OUR_FILES {
        rig.agent.shell(&format!("umask 077; echo {text} >{path}"))?;
    }
    rig.far.server.ip_batch(&format!("address add {HOST}/32 dev lo\n"))?;
    load::serve(&rig.far.server, AT)?;
    println!("{ABOUT} Linux {}", rig.agent.shell("uname -r")?.trim());
    let has_sing_box = rig.agent.run(&["sing-box", "version"])?;
    if has_sing_box.code == 0 {
        println!("{ABOUT} {}", has_sing_box.output.lines().next().unwrap_or_default());
    }
    let mut contenders = Contender::ALL;
    // They take turns in being first.
    let count = contenders.len();
    contenders.rotate_left(turn % count);
    let processor = rig.vm.processor()?;
    let bench = Bench { rig, window, processor };
    for contender in contenders {
        match contender {
            Contender::SingBox if has_sing_box.code != 0 => {}
            _ => bench.contender(contender, sing_box).doing(format_args!("measure {}", contender.name()))?,
        }
    }
    Ok(())
}

impl Bench {
    fn contender(&self, contender: Contender, sing_box: Option<&Path>) -> Result {
        let running = self.start(contender, sing_box)?;
        let start = Instant::now();
        while let Err(e) = self.rig.lan.enter(|| load::ask(AT)) {
            if start.elapsed() > PATIENCE {
                return failed(format!("the LAN is not carried after {PATIENCE:?}: {e}; {}", log()));
            }
            sleep(INTERVAL);
        }
        sleep(REST);
        for ([rate, cost], is_download, at_once) in TRANSFERS {
            let (megabits, seconds) =
                self.transfer(is_download, at_once).doing(format_args!("measure {rate}"))?;
            say(contender, rate, megabits);
            say(contender, cost, seconds);
            sleep(REST);
        }
        let Some((_client, _server, name)) = running else { return Ok(()) };
        let agent = &self.rig.agent;
        let peak = agent.shell(&format!("awk '/^VmHWM/ {{ print $2 }}' /proc/$(pidof {name})/status"))?;
        say(contender, "memory", peak.trim().parse().or_else(|_| failed("the client has ended"))?);
        // Ours takes its rules out itself; what does not end is killed with the agent's connection.
        agent.shell(&format!("kill $(pidof {name}); while pidof {name}; do usleep 100000; done"))?;
        agent.shell("bsbf-proxy-rules take")?;
        self.only_by_the_server(false)
    }

    /// Starts client and server, and tells the client's name; nobody for [`Contender::Plain`].
    fn start(
        &self,
        contender: Contender,
        sing_box: Option<&Path>,
    ) -> Result<Option<(Daemon, Running, &'static str)>> {
        let (rig, internet) = (&self.rig, &self.rig.far.server);
        if contender == Contender::Plain {
            return Ok(None);
        }
        // What goes past the proxy is not to be taken for its work.
        self.only_by_the_server(true)?;
        if contender != Contender::SingBox {
            let server = our_server(internet)?;
            let arguments = our_client(contender == Contender::Encrypted);
            let [_, rest @ ..] = arguments.as_slice() else { return failed("no arguments") };
            return Ok(Some((rig.daemon(&[&["bsbf-proxy"], rest].concat())?, server, "bsbf-proxy")));
        }
        let Some(program) = sing_box else { return failed("SING_BOX names no program") };
        let server = their_server(program, internet)?;
        rig.agent
            .shell(&format!("cat >{THEIR_SETTINGS} <<'end of file'\n{}\nend of file\n", their_client()))?;
        let client = rig.daemon(&["sing-box", "run", "-c", THEIR_SETTINGS])?;
        let start = Instant::now();
        // Once somebody listens.
        loop {
            let put = rig.agent.run(&[&["bsbf"], &THEIR_RULES[..]].concat())?;
            if put.code == 0 {
                return Ok(Some((client, server, "sing-box")));
            }
            if start.elapsed() > PATIENCE {
                return failed(format!("put: {}{}", put.output, log()));
            }
            sleep(INTERVAL);
        }
    }

    /// No ISP leads to the Internet's host, or each does again.
    fn only_by_the_server(&self, on: bool) -> Result {
        let verb = if on { "add" } else { "del" };
        let line = format!("route {verb} blackhole {HOST}\n");
        self.rig.far.isps.iter().try_for_each(|isp| isp.ip_batch(&line))
    }

    /// Mbit/s in one direction by so many connections, and the seconds that the router's processor ran for a GB.
    fn transfer(&self, is_download: bool, at_once: usize) -> Result<(f64, f64)> {
        let over = AtomicBool::new(false);
        let mut measured = failed("nothing was measured");
        let run = || load::without_end(AT, is_download, &over);
        let watch = || -> Result<(f64, f64)> {
            sleep(WARM_UP);
            let (ran, arrived, start) = (self.ran()?, load::ARRIVED.load(Relaxed), Instant::now());
            sleep(self.window);
            let bytes = (load::ARRIVED.load(Relaxed) - arrived) as f64;
            let (took, ran) = (start.elapsed().as_secs_f64(), self.ran()? - ran);
            check!(bytes > 0.0, "nothing arrived within {took:.1} s");
            Ok((bytes * 8.0 / 1e6 / took, ran / bytes * 1e9))
        };
        let ended = self.rig.lan.enter(|| {
            scope(|scope| {
                // Threads have the namespace of who starts them.
                let flows: Vec<_> = (0..at_once).map(|_| scope.spawn(run)).collect();
                measured = watch();
                over.store(true, Relaxed);
                flows
                    .into_iter()
                    .try_for_each(|flow| flow.join().unwrap_or(Err(std::io::ErrorKind::Other.into())))
            })
        });
        ended.doing("transfer")?;
        measured
    }

    /// Seconds that the router's processor has run, whoever else wanted the host's.
    fn ran(&self) -> Result<f64> {
        let path = format!("/proc/{}/schedstat", self.processor);
        let text = fs::read_to_string(&path).doing(format_args!("read {path}"))?;
        match text.split_whitespace().next().and_then(|word| word.parse::<f64>().ok()) {
            Some(nanoseconds) => Ok(nanoseconds / 1e9),
            None => failed(format!("{path} says {text:?}")),
        }
    }
}

fn say(contender: Contender, name: &str, value: f64) {
    println!("{VALUE} {name} {} {value}", contender.name());
}
