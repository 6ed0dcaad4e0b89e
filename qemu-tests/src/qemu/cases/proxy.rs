//! The router's LAN by `bsbf-proxy client`, over WANs that the manager bonds, to a server of ours beyond them. The client
//! is a service, with init script and settings as its package has them, and stand-ins for procd and uci
//! (qemu-tests/router/).

use std::sync::atomic::Ordering::Relaxed;
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use crate::answers::{Kind, ask_tcp, ask_udp, serve};
use crate::cases::cases;
use crate::cases::proxy::{UUID, logs, start_server_in};
use crate::cases::proxy_transfers::{breaker_in, echo_in, host_hears_of_a_break, is_returned};
use crate::check;
use crate::failure::{Result, failed, skipped};
use crate::link::Wan;
use crate::qemu::rig::{Rig, by_default};
use crate::qemu::watch::Watch;
use crate::runner::Case;
use crate::topology::SERVER;

use super::packages;

pub const CASES: &[Case] = cases!("proxy":
    the_routers_lan_goes_by_the_server within 400,
);

/// Mbit/s and one-way delay in ms.
const WANS: [(u64, u64); 2] = [(20, 10), (10, 20)];
/// Hosts of the Internet; of the second the router has no network.
const HOST: &str = "9.9.9.9";
const HOST_V6: &str = "2620:fe::9";
/// What a host of the LAN asks for, and what it is answered, for it is the server that speaks first.
const ASKED: [&str; 2] = ["9.9.9.9:80", "[2620:fe::9]:80"];
/// MB: to measure with, and to be in the middle of while a WAN is silent.
const MEASURED: usize = 3;
const LONG: usize = 12;
/// So long a WAN is silent: the manager leaves it.
const SILENCE: Duration = Duration::from_secs(3);
/// So long no server has to answer, in seconds.
const DOWN_AFTER: &str = "3";
/// For a change to be seen by a host of the LAN, on a busy machine.
const CHANGE: Duration = Duration::from_secs(40);
const INTERVAL: Duration = Duration::from_millis(200);
/// Less than this part of the traffic means that a WAN is not used.
const IDLE: f64 = 0.05;
/// Ticks a second of /proc/PID/stat, on every architecture here (USER_HZ).
const TICKS: f64 = 100.0;

/// The service and its settings, as the packages have them.
const SERVICE: &str = include_str!("../../../../openwrt-feed/files/etc/init.d/bsbf-proxy");
const SETTINGS: &str = include_str!("../../../../openwrt-feed/files/etc/config/bsbf");

/// What the router's packets to the proxy need, as its settings have it; and IPv6 on the LAN.
const ADDRESSES: &str = "for family in -4 -6; do \
     /usr/sbin/ip $family rule add fwmark 0x1/0x7 lookup 100 && \
     /usr/sbin/ip $family route add local default dev lo table 100 || exit 1; done; \
     /usr/sbin/ip address add 2a00:4::1/64 dev lan0 nodad";
/// A firewall of somebody else's.
const MASQUERADE: &str = "if [ -x /usr/sbin/nft ]; then nft 'table inet fw4 { chain srcnat { \
     type nat hook postrouting priority srcnat ; oifname \"wan*\" masquerade ; } ; }'; \
     else iptables -t nat -A POSTROUTING -o wan+ -j MASQUERADE; fi";
/// All rules without their counts; lists of tables that iptables has made meanwhile, and are empty, do not count.
const RULES: &str = "if [ -x /usr/sbin/nft ]; then nft list ruleset; \
     else iptables-save | grep ^-A; ip6tables-save | grep ^-A; true; fi";

fn the_routers_lan_goes_by_the_server() -> Result {
    by_default(
        "proxy",
        |arch| ["mipsel_24kc", "mips_24kc", "aarch64_cortex-a53"].contains(&arch),
        "MIPS and aarch64",
    )?;
    let rig = Rig::start(&WANS.map(|(rate, delay)| Wan::mbit(rate).delay_ms(delay)))?;
    prepare(&rig)?;
    becomes(&rig, ask_tcp, ASKED[0], "server 9.9.9.9:80")?;
    let rules = rig.agent.shell(RULES)?;
    only_by_the_server(&rig, true)?;
    becomes(&rig, ask_tcp, ASKED[0], "silence")?;

    let watch = Watch::start(&rig.agent)?;
    let _manager = rig.manage(&watch)?;
    // It asks the kernel 200 times a second.
    drop(watch);
    let mut server = start_server_in(&rig.far.server)?;
    install_service(&rig)?;
    enable_client(&rig)?;
    for to in ASKED {
        becomes(&rig, ask_tcp, to, &format!("server {to}"))?;
        becomes(&rig, ask_udp, to, &format!("server {to}"))?;
    }
    check!(rig.agent.shell(RULES)? != rules, "there are no rules of the proxy's");

    let _ends = breaker_in(&rig.far.server)?;
    host_hears_of_a_break(&rig.lan)?;
    measure(&rig)?;
    a_silent_wan_loses_nothing(&rig)?;
    check!(server.is_alive(), "the server has ended: {}", logs());

    server.child().kill()?;
    server.child().wait()?;
    only_by_the_server(&rig, false)?;
    let since = Instant::now();
    becomes(&rig, ask_tcp, ASKED[0], "server 9.9.9.9:80")?;
    println!("= without a server the LAN goes out directly after {:.1?}", since.elapsed());
    becomes(&rig, ask_udp, ASKED[0], "server 9.9.9.9:80")?;
    let status = rig.agent.shell("bsbf-proxy status")?;
    check!(status.contains("connections go out directly"), "{status}");

    // Once while it runs, and once when a crash has left its rules.
    for before in ["", "kill -9 $(pidof bsbf-proxy) && "] {
        packages::becomes(&rig, "pidof bsbf-proxy")?;
        let has_rules = || Ok((rig.agent.shell(RULES)? != rules).to_string());
        lasts_until(has_rules, "true")?;
        rig.agent.shell(&[before, "/etc/init.d/bsbf-proxy stop"].concat())?;
        packages::becomes(&rig, "! pidof bsbf-proxy")?;
        let now = rig.agent.shell(RULES)?;
        check!(now == rules, "the rules were {rules} and are {now}");
        rig.agent.shell("/etc/init.d/bsbf-proxy start")?;
    }
    // It runs; disabled, it does not.
    packages::becomes(&rig, "pidof bsbf-proxy")?;
    rig.agent.shell("bsbf-config set proxy.enabled=0")?;
    packages::becomes(&rig, "! pidof bsbf-proxy")?;
    check!(rig.agent.shell(RULES)? == rules, "there are rules of the proxy's");
    becomes(&rig, ask_tcp, ASKED[0], "server 9.9.9.9:80")
}

/// Hosts of the Internet, a LAN with both families, and a router that forwards to WANs.
fn prepare(rig: &Rig) -> Result {
    rig.far
        .server
        .ip_batch(&format!("address add {HOST}/32 dev lo\naddress add {HOST_V6}/128 dev lo nodad\n"))?;
    for to in ASKED {
        serve(&rig.far.server, "server", to, Kind::Ordinary)?;
    }
    // By which the server is found to reach the Internet over IPv6.
    serve(&rig.far.server, "name server", &format!("[{HOST_V6}]:53"), Kind::Ordinary)?;
    echo_in(&rig.far.server)?;
    rig.lan.ip_batch("address add 2a00:4::2/64 dev eth0 nodad\nroute add default via 2a00:4::1\n")?;
    rig.agent.shell(ADDRESSES)?;
    let ran = rig.agent.run(&["sh", "-c", MASQUERADE])?;
    if ran.code != 0 {
        return skipped(format!("no firewall in this router: {}", ran.output.trim()));
    }
    Ok(())
}

/// No ISP leads to the Internet's host, or each does again.
fn only_by_the_server(rig: &Rig, on: bool) -> Result {
    let verb = if on { "add" } else { "del" };
    rig.far.isps.iter().try_for_each(|isp| isp.ip_batch(&format!("route {verb} blackhole {HOST}\n")))
}

/// Puts the service there as it is shipped: it does not run, and waits for its settings.
fn install_service(rig: &Rig) -> Result {
    for (path, text) in [("/etc/init.d/bsbf-proxy", SERVICE), ("/etc/config/bsbf", SETTINGS)] {
        rig.agent.shell(&format!("cat >{path} <<'end of file'\n{text}end of file\n"))?;
    }
    rig.agent
        .shell("chmod +x /etc/init.d/bsbf-proxy && /etc/init.d/bsbf-proxy start && ! pidof bsbf-proxy")?;
    Ok(())
}

/// Sets it and nothing more: procd reloads what did not run yet.
fn enable_client(rig: &Rig) -> Result {
    rig.agent.shell(&format!("umask 077; echo {UUID} >/run/uuid"))?;
    rig.agent.shell(&format!(
        "bsbf-config set proxy.enabled=1 proxy.server={SERVER}:32768 proxy.uuid_file=/run/uuid proxy.lan=lan0 \
         proxy.down_after={DOWN_AFTER}"
    ))?;
    packages::becomes(rig, "pidof bsbf-proxy")?;
    let limit = rig.agent.shell("grep '^Max open files' /proc/$(pidof bsbf-proxy)/limits")?;
    check!(limit.contains("65536"), "{limit}");
    Ok(())
}

/// A host of the LAN is answered so in the end.
fn becomes(rig: &Rig, ask: fn(&crate::ns::Ns, &str) -> Result<String>, to: &str, expected: &str) -> Result {
    lasts_until(|| ask(&rig.lan, to), expected).or_else(|e| failed(format!("{to}: {e}")))
}

fn lasts_until(what: impl Fn() -> Result<String>, expected: &str) -> Result {
    let since = Instant::now();
    loop {
        let is = what()?;
        if is == expected {
            return Ok(());
        }
        if since.elapsed() > CHANGE {
            return failed(format!("it is {is:?} and not {expected:?}: {}", logs()));
        }
        sleep(INTERVAL);
    }
}

/// Each WAN's bytes in both directions.
fn carried(rig: &Rig) -> Vec<u64> {
    let bytes = |link: &crate::link::Link| -> u64 {
        link.down.counters.bytes.load(Relaxed) + link.up.counters.bytes.load(Relaxed)
    };
    rig.far.links.iter().map(|link| bytes(link)).collect()
}

/// Both WANs have carried their part since then.
fn both_carried(rig: &Rig, since: &[u64]) -> Result {
    let moved: Vec<f64> = carried(rig).iter().zip(since).map(|(now, then)| (now - then) as f64).collect();
    let sum: f64 = moved.iter().sum();
    let shares: Vec<f64> = moved.iter().map(|bytes| bytes / sum).collect();
    println!("the WANs' shares are {shares:.2?}");
    check!(shares.iter().all(|share| *share > IDLE), "the WANs carried {moved:?}");
    Ok(())
}

fn measure(rig: &Rig) -> Result {
    let ticks = || -> Result<f64> {
        let line = "awk '{ print $14 + $15 }' /proc/$(pidof bsbf-proxy)/stat";
        let said = rig.agent.shell(line)?;
        said.trim().parse().or_else(|_| failed(format!("the proxy has ended: {said:?}")))
    };
    let (before, ticks_before, start) = (carried(rig), ticks()?, Instant::now());
    check!(is_returned(&rig.lan, MEASURED << 20)?, "something else came back");
    let seconds = start.elapsed().as_secs_f64();
    let cpu = (ticks()? - ticks_before) / TICKS;
    let peak = rig.agent.shell("awk '/^VmHWM/ { print $2 }' /proc/$(pidof bsbf-proxy)/status")?;
    let megabytes = (2 * (MEASURED << 20)) as f64 / 1e6;
    println!(
        "= {:.1} Mbit/s each way; the proxy took {:.0} % of the CPU, {:.0} ms a MB; VmHWM {} KiB",
        megabytes * 4.0 / seconds,
        cpu / seconds * 100.0,
        cpu * 1000.0 / megabytes,
        peak.trim()
    );
    both_carried(rig, &before)
}

/// The WAN that all connections begin on is silent while a host of the LAN sends and receives, and comes back.
fn a_silent_wan_loses_nothing(rig: &Rig) -> Result {
    let start = Instant::now();
    let back = thread::scope(|scope| -> Result<Vec<u64>> {
        let transfer = scope.spawn(|| is_returned(&rig.lan, LONG << 20));
        sleep(SILENCE / 3);
        rig.blackhole(1, true);
        sleep(SILENCE);
        rig.blackhole(1, false);
        let back = carried(rig);
        check!(!transfer.is_finished(), "it was over after {:?}", start.elapsed());
        let same = transfer.join().unwrap_or_else(|_| failed("the transfer panicked"))?;
        check!(same, "something else came back");
        Ok(back)
    })?;
    println!("= a WAN silent for {SILENCE:?}: {LONG} MiB each way after {:.1?}, none lost", start.elapsed());
    both_carried(rig, &back)
}
