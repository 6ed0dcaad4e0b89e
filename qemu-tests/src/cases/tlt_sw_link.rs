//! `bsbf-tlt-sw-link` with stand-ins for what a Teltonika router has: `ubus` with netifd and port_events, `logread` and
//! `swconfig`. Logs and events come by a pipe that the test holds.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use super::cases;
use super::managed::until;
use crate::check;
use crate::failure::{Doing, Result};
use crate::link::Wan;
use crate::manager::{self, Manager};
use crate::runner::Case;
use crate::topology::Lab;

pub const CASES: &[Case] = cases!("tlt_sw_link":
    lines_of_the_log_take_the_right_network_down_and_up,
    links_at_the_start_count,
    the_last_of_a_burst_counts,
    what_is_no_link_of_a_port_does_nothing,
    it_goes_on_when_logd_and_netifd_were_away,
    what_it_took_down_comes_up_at_its_end_and_after_a_crash,
    events_of_ubus_count_also_after_ubusd_was_started_anew,
    carriers_of_devices_count_although_netifd_sets_them_down,
    settings_are_read_again,
    dry_run_tells_ports_links_and_networks,
    a_second_one_and_wrong_arguments_are_refused,
);

const LOG: &str = "/run/sw-link.log";
const MEMORY: &str = "/run/bsbf/tlt-sw-link";
/// For what follows an event, on any machine.
const SOON: Duration = Duration::from_secs(10);

/// By their numbers in the switch, from 1.
const PORTS: [&str; 4] = ["LAN1", "LAN2", "LAN3", "WAN"];

/// As recorded of RUTOS's generator, LAN1 and LAN2 out of the LAN's VLAN.
const NETWORK: &str = "
config port '_lan1'
	option port_num '1'
config port '_lan2'
	option port_num '2'
config port '_lan3'
	option port_num '3'
config port '_wan4'
	option role 'wan'
	option port_num '4'
config interface 'lan'
	option device 'br-lan'
	option proto 'static'
	option ipaddr '192.168.1.1'
config device
	option name 'br-lan'
	option type 'bridge'
	list ports 'eth0.1'
config interface 'wan'
	option device 'eth0.2'
	option proto 'dhcp'
config interface 'wan2'
	option device 'eth0.13'
	option proto 'dhcp'
config interface 'wan3'
	option device 'eth0.4'
	option proto 'pppoe'
config switch_vlan
	option device 'switch0'
	option vlan '1'
	option ports '3 0t'
config switch_vlan
	option device 'switch0'
	option vlan '2'
	option ports '4 0t'
config switch_vlan
	option device 'switch0'
	option vlan '3'
	option vid '13'
	option ports '0t 1'
config switch_vlan
	option device 'switch0'
	option vlan '4'
	option ports '0t 2'
";

/// A device for each port.
const DSA: &str = "
config interface 'wan2'
	option device 'lan1'
	option proto 'static'
	option gateway '192.0.2.1'
";

const UBUS: &str = r#"
[ "$1" = -t ] && shift 2
[ -e /run/sw/away ] && { echo 'Failed to connect to ubus' >&2; exit 255; }
case "$1 $2 $3" in
"call network.interface dump")
	list=
	for file in /run/sw/net/*; do
		read -r up <"$file"
		list="$list${list:+,}{\"interface\":\"${file##*/}\",\"up\":$up,\"autostart\":$up,\"proto\":\"dhcp\"}"
	done
	echo "{\"interface\":[$list]}" ;;
"call network.interface."*)
	name=${2#network.interface.}
	[ -e "/run/sw/net/$name" ] || exit 4
	# As netifd does, some time after it has answered.
	[ "$3" = down ] && [ -e /run/sw/device ] && ip link set "$(cat /run/sw/device)" down
	case $3 in up) echo true ;; *) echo false ;; esac >"/run/sw/net/$name"
	echo "$name $3" >>/run/sw/calls ;;
"call port_events show") cat /run/sw/show 2>/dev/null || exit 4 ;;
"subscribe port_events ") echo ubus >>/run/sw/starts; exec cat /run/sw/feed ;;
*) exit 4 ;;
esac
"#;

struct Router {
    lab: Lab,
    feed: Option<File>,
    daemon: Option<Manager>,
}

impl Router {
    /// Networks are up, and so are all links of its switch.
    fn new(network: &str) -> Result<Router> {
        for dir in ["net", "link", "config"] {
            fs::create_dir_all(Path::new("/run/sw").join(dir))?;
        }
        mkfifo("/run/sw/feed", Mode::S_IRUSR | Mode::S_IWUSR).doing("make the pipe of events")?;
        put("config/network", network)?;
        put("calls", "")?;
        put("starts", "")?;
        ["lan", "wan", "wan2", "wan3"].iter().try_for_each(|name| put(&format!("net/{name}"), "true\n"))?;
        (1..=4).try_for_each(|port| link(port, "up"))?;
        manager::stand_in("ubus", UBUS)?;
        manager::stand_in("logread", "echo logread >>/run/sw/starts; exec cat /run/sw/feed")?;
        manager::stand_in("swconfig", "cat \"/run/sw/link/$4\"")?;
        let lab = Lab::builder().wan(Wan::mbit(100)).build()?;
        let mut router = Router { lab, feed: None, daemon: None };
        router.connect()?;
        Ok(router)
    }

    /// What logd or ubusd does when it starts. Open for both, so that nobody waits.
    fn connect(&mut self) -> Result {
        self.feed = Some(OpenOptions::new().read(true).write(true).open("/run/sw/feed")?);
        Ok(())
    }

    fn start(&mut self, more: &[&str]) -> Result {
        let mut words = vec!["--config-dir", "/run/sw/config"];
        words.extend(more);
        self.daemon = Some(Manager::start_command(&self.lab, "tlt-sw-link", &words, Path::new(LOG))?);
        Ok(())
    }

    /// The same, and the program that tells runs, and links were asked for.
    fn follow(&mut self) -> Result {
        self.start(&[])?;
        started(1)
    }

    fn say(&mut self, text: &str) -> Result {
        match &mut self.feed {
            Some(feed) => Ok(feed.write_all(text.as_bytes())?),
            None => Ok(()),
        }
    }

    /// Lines of the log with these ports and states; the switch says the same then.
    fn log(&mut self, events: &[(&str, &str)]) -> Result {
        for (port, state) in events {
            if let Some(number) = PORTS.iter().position(|name| name.eq_ignore_ascii_case(port)) {
                link(number + 1, &state.to_ascii_lowercase())?;
            }
        }
        self.say(&lines(events))
    }

    fn end(&mut self) -> Result {
        if let Some(daemon) = self.daemon.take() {
            let status = daemon.end(SOON)?;
            check!(status.code() == Some(0), "it ended with {status}: {}", read(LOG));
        }
        Ok(())
    }
}

fn lines(events: &[(&str, &str)]) -> String {
    let line = |(port, state): &(&str, &str)| {
        format!(
            "Tue Mar  4 10:11:12 2025 user.notice port_events: Switch Events: Port link state of port {port} changed to {state}\n"
        )
    };
    events.iter().map(line).collect()
}

fn put(name: &str, text: &str) -> Result {
    fs::write(Path::new("/run/sw").join(name), text).doing(format_args!("write {name}"))
}

fn link(port: usize, state: &str) -> Result {
    put(&format!("link/{port}"), &format!("port:{port} link:{state} speed:1000baseT full-duplex\n"))
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// What netifd was told so far, once that is so.
fn told(calls: &[&str]) -> Result {
    becomes("/run/sw/calls", |now| now.lines().eq(calls.iter().copied()))
}

/// So many programs that tell were started.
fn started(count: usize) -> Result {
    becomes("/run/sw/starts", |now| now.lines().count() == count)
}

fn becomes(path: &str, right: impl Fn(&str) -> bool) -> Result {
    let seen = until(SOON, || Ok(right(&read(path))))?;
    check!(seen.is_some(), "{path}: {:?}\n{}", read(path), read(LOG));
    Ok(())
}

fn lines_of_the_log_take_the_right_network_down_and_up() -> Result {
    let mut router = Router::new(NETWORK)?;
    router.follow()?;
    router.log(&[("LAN1", "DOWN")])?;
    told(&["wan2 down"])?;
    check!(read(MEMORY) == "wan2\n", "remembered: {:?}", read(MEMORY));
    link(1, "up")?;
    // In pieces, in another wording, and beside others.
    router.say("Tue Mar  4 10:11:13 2025 daemon.notice netifd: Interface 'wan2' is now down\nTue Mar  4 10:11:14 2025 x: Port link st")?;
    router.say("ate of port LAN1 (1000 baseT) changed")?;
    router.say(" to UP\n")?;
    told(&["wan2 down", "wan2 up"])?;
    becomes(MEMORY, str::is_empty)?;
    router.log(&[("WAN", "DOWN"), ("lan2", "down")])?;
    told(&["wan2 down", "wan2 up", "wan3 down", "wan down"])?;
    let log = read(LOG);
    for line in ["LAN1: link down: network wan2 down", "LAN1: link up: network wan2 up", "links by log"] {
        check!(log.contains(line), "no {line:?}: {log}");
    }
    Ok(())
}

fn links_at_the_start_count() -> Result {
    let mut router = Router::new(NETWORK)?;
    link(1, "down")?;
    // Somebody took it down; its cable is in, and that is no news.
    put("net/wan3", "false\n")?;
    router.start(&[])?;
    told(&["wan2 down"])?;
    becomes(LOG, |log| log.contains("LAN2: link up: network wan3 was taken down by somebody"))?;
    becomes(LOG, |log| log.contains("WAN: link up: network wan is up"))?;
    // Plugged in anew, it is tried.
    router.log(&[("LAN2", "DOWN")])?;
    becomes(LOG, |log| log.contains("LAN2: link down: network wan3 is down"))?;
    router.log(&[("LAN2", "UP")])?;
    told(&["wan2 down", "wan3 up"])
}

fn the_last_of_a_burst_counts() -> Result {
    let mut router = Router::new(NETWORK)?;
    router.follow()?;
    let burst = [("LAN1", "DOWN"), ("LAN1", "UP")].repeat(50);
    router.log(&burst)?;
    router.log(&[("LAN1", "DOWN")])?;
    told(&["wan2 down"])?;
    // One that ends as it began changes nothing, as those after it show.
    router.log(&[("LAN1", "UP"), ("LAN1", "DOWN"), ("LAN2", "DOWN")])?;
    told(&["wan2 down", "wan3 down"])
}

fn what_is_no_link_of_a_port_does_nothing() -> Result {
    let mut router = Router::new(NETWORK)?;
    router.follow()?;
    router.log(&[
        ("LAN9", "DOWN"),
        ("LAN3", "DOWN"),
        ("LAN9", "UP"),
        ("LAN9", "DOWN"),
        ("LAN1", "BROKEN"),
    ])?;
    router.say("\n\0\x01Port link state of port\nPort link state of port LAN1\nPort speed for port LAN1 changed from 1000 baseT to DOWN\n")?;
    // The pipe takes 64 KiB at once.
    let long = ["x".repeat(20_000), lines(&[("LAN1", "DOWN")])].concat();
    router.say(&long)?;
    router.log(&[("LAN2", "DOWN")])?;
    told(&["wan3 down"])?;
    let log = read(LOG);
    check!(log.matches("LAN9: the settings have no such port").count() == 1, "{log}");
    check!(log.matches("LAN3: no WAN has it to itself").count() == 1, "{log}");
    Ok(())
}

fn it_goes_on_when_logd_and_netifd_were_away() -> Result {
    let mut router = Router::new(NETWORK)?;
    router.follow()?;
    router.log(&[("LAN1", "DOWN")])?;
    told(&["wan2 down"])?;
    // logd ends; while nobody tells, two cables are changed.
    router.feed = None;
    link(1, "up")?;
    link(2, "down")?;
    started(2)?;
    told(&["wan2 down", "wan2 up", "wan3 down"])?;
    router.connect()?;
    put("away", "")?;
    router.log(&[("LAN2", "UP")])?;
    becomes(LOG, |log| log.contains("LAN2: link up, but netifd does not tell its networks"))?;
    fs::remove_file("/run/sw/away")?;
    told(&["wan2 down", "wan2 up", "wan3 down", "wan3 up"])
}

fn what_it_took_down_comes_up_at_its_end_and_after_a_crash() -> Result {
    let mut router = Router::new(NETWORK)?;
    router.follow()?;
    router.log(&[("LAN1", "DOWN")])?;
    told(&["wan2 down"])?;
    router.end()?;
    told(&["wan2 down", "wan2 up"])?;
    check!(read(MEMORY).is_empty(), "remembered: {:?}", read(MEMORY));
    link(1, "down")?;
    router.start(&[])?;
    told(&["wan2 down", "wan2 up", "wan2 down"])?;
    if let Some(daemon) = router.daemon.take() {
        daemon.crash();
    }
    link(1, "up")?;
    router.start(&[])?;
    told(&["wan2 down", "wan2 up", "wan2 down", "wan2 up"])?;
    becomes(LOG, |log| log.contains("LAN1: link up: network wan2 is up"))?;
    router.end()?;
    told(&["wan2 down", "wan2 up", "wan2 down", "wan2 up"])
}

fn events_of_ubus_count_also_after_ubusd_was_started_anew() -> Result {
    let mut router = Router::new(NETWORK)?;
    fs::create_dir_all("/run/ubus")?;
    fs::write("/run/ubus/ubus.sock", "")?;
    put(
        "show",
        r#"{"ports":[{"name":"LAN1","num":1,"state":"down"},{"name":"LAN2","state":"up","speed":1000}]}"#,
    )?;
    router.start(&[])?;
    told(&["wan2 down"])?;
    put("show", r#"{"ports":[{"name":"LAN1","state":"up"},{"name":"LAN2","state":"up"}]}"#)?;
    router.say("{ \"link_update\": {\"port\":\"LAN1\",\"state\":\"UP\"} }\n")?;
    told(&["wan2 down", "wan2 up"])?;
    check!(read(LOG).contains("links by port-events"), "{}", read(LOG));
    // It does not end, and hears nothing any more.
    put("show", r#"{"ports":[{"name":"LAN1","state":"up"},{"name":"LAN2","state":"down"}]}"#)?;
    fs::remove_file("/run/ubus/ubus.sock")?;
    fs::write("/run/ubus/ubus.sock", "")?;
    started(2)?;
    told(&["wan2 down", "wan2 up", "wan3 down"])?;
    let children = read("/run/sw/starts");
    check!(children.lines().all(|name| name == "ubus"), "{children}");
    Ok(())
}

fn carriers_of_devices_count_although_netifd_sets_them_down() -> Result {
    let mut router = Router::new(DSA)?;
    put("device", "lan1")?;
    let ip = |line: &str| router.lab.client.run(&format!("ip link {line}"));
    ip("add lan1 type veth peer name far")?;
    ip("set lan1 up")?;
    ip("set far up")?;
    router.start(&[])?;
    becomes(LOG, |log| log.contains("LAN1: link up: network wan2 is up"))?;
    let ip = |line: &str| router.lab.client.run(&format!("ip link {line}"));
    ip("set far down")?;
    told(&["wan2 down"])?;
    let is_up = || Ok(ip("show lan1")?.contains(",UP"));
    check!(until(SOON, is_up)?.is_some(), "{} {}", ip("show lan1")?, read(LOG));
    ip("set far up")?;
    told(&["wan2 down", "wan2 up"])?;
    // Set down by its owner, it says nothing of the cable.
    ip("set lan1 down")?;
    ip("set far down")?;
    ip("set lan1 up")?;
    told(&["wan2 down", "wan2 up", "wan2 down"])
}

fn settings_are_read_again() -> Result {
    let mut router = Router::new(NETWORK)?;
    router.follow()?;
    router.log(&[("LAN1", "DOWN"), ("LAN2", "DOWN")])?;
    told(&["wan2 down", "wan3 down"])?;
    // Its port is one of the LAN's now, and nobody's to follow.
    put("config/network", &NETWORK.replace("'0t 1'", "'0t 1 3'"))?;
    link(2, "down")?;
    if let Some(daemon) = &mut router.daemon {
        daemon.signal(nix::sys::signal::Signal::SIGHUP)?;
    }
    told(&["wan2 down", "wan3 down", "wan2 up"])?;
    started(2)?;
    becomes(LOG, |log| log.contains("LAN2: link down: network wan3 is down"))?;
    router.log(&[("LAN1", "DOWN"), ("LAN2", "UP")])?;
    told(&["wan2 down", "wan3 down", "wan2 up", "wan3 up"])
}

fn dry_run_tells_ports_links_and_networks() -> Result {
    let router = Router::new(NETWORK)?;
    link(2, "down")?;
    put("net/wan3", "false\n")?;
    let words = ["tlt-sw-link", "--dry-run", "--config-dir", "/run/sw/config"];
    let ran = manager::run(&router.lab, &words)?;
    let expected = "links by log
PORT    LINK  DEVICE          NETWORKS
LAN1    up    eth0.13         wan2 (up)
LAN2    down  eth0.4          wan3 (down)
LAN3    up    -               -
WAN     up    eth0.2          wan (up)
";
    check!(ran.code == Some(0) && ran.stdout == expected && ran.stderr.is_empty(), "{ran:?}");
    check!(read("/run/sw/calls").is_empty() && read("/run/sw/starts").is_empty(), "it did something");
    Ok(())
}

fn a_second_one_and_wrong_arguments_are_refused() -> Result {
    let mut router = Router::new(NETWORK)?;
    router.follow()?;
    let ran = manager::run(&router.lab, &["tlt-sw-link", "--config-dir", "/run/sw/config"])?;
    check!(ran.code == Some(4) && ran.stderr.contains("bsbf-tlt-sw-link (pid "), "{ran:?}");
    let ran = manager::run(&router.lab, &["tlt-sw-link", "--source", "guess"])?;
    check!(ran.code == Some(2) && ran.stderr.contains("port-events"), "{ran:?}");
    put("config/network", "config interface 'lan\n")?;
    let ran = manager::run(&router.lab, &["tlt-sw-link", "--dry-run", "--config-dir", "/run/sw/config"])?;
    check!(ran.code == Some(1) && ran.stderr.contains("network: line"), "{ran:?}");
    Ok(())
}
