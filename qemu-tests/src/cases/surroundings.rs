//! What belongs to others on the router: endpoints, limits, tunnels.

use std::thread::sleep;
use std::time::{Duration, Instant};

use super::cases;
use super::managed::{Managed, RECOVERY, SILENCE, SOON, sysctl, until};
use crate::check;
use crate::endpoint_watch::Endpoint;
use crate::failure::{Result, skipped};
use crate::manager;
use crate::runner::Case;
use crate::topology::Lab;

pub const CASES: &[Case] = cases!("surroundings":
    endpoints_of_others_are_left_alone within 60,
    limits_are_raised_and_blackhole_detection_is_off,
    a_tunnel_is_no_wan_unless_named,
    an_excluded_interface_is_no_wan within 60,
);

fn endpoints_of_others_are_left_alone() -> Result {
    let lab = Lab::two_wans()?;
    lab.client.run("ip mptcp endpoint add 192.0.2.7 subflow backup")?;
    lab.client.run("ip mptcp endpoint add 192.0.2.8 signal")?;
    // An administrator's own for WAN 2: the manager needs no second one and must not take this one away.
    lab.client.run("ip mptcp endpoint add 198.18.2.2 dev wan2 subflow")?;
    let mut managed = Managed::unmanaged(lab)?;
    let foreign = managed.endpoints.endpoints.now();
    check!(foreign.len() == 3, "endpoints {foreign:?}");
    let others = |list: Vec<Endpoint>| -> Vec<Endpoint> {
        list.into_iter().filter(|e| foreign.iter().any(|f| f.address == e.address)).collect()
    };
    managed.begin(&[])?;
    let start = Instant::now();
    let complete = managed.endpoints.present("198.18.1.2", start, SOON);
    check!(complete.is_some(), "endpoints {:?}", managed.endpoints.endpoints.now());
    for wan in [1, 2] {
        managed.lab.blackhole(wan, true);
        managed.says(wan, |wan| wan.state == "down", SILENCE)?;
        let repaired = Instant::now();
        managed.lab.blackhole(wan, false);
        managed.says(wan, |wan| wan.state == "up", RECOVERY)?;
        managed.returns(&[wan], repaired, RECOVERY)?;
    }
    let changed =
        managed.endpoints.endpoints.since(start).into_iter().find(|(_, l)| others(l.clone()) != foreign);
    check!(changed.is_none(), "foreign endpoints {foreign:?} became {changed:?}");
    managed.end(start)
}

fn limits_are_raised_and_blackhole_detection_is_off() -> Result {
    let lab = Lab::two_wans()?;
    lab.client.run("ip mptcp limits set subflows 2 add_addr_accepted 0")?;
    let timeout = "net/mptcp/blackhole_timeout";
    let known = lab.client.sysctl(timeout, 3600).is_ok();
    let managed = Managed::start(lab, &[])?;
    let start = Instant::now();
    let limits = || managed.lab.client.run("ip mptcp limits show");
    let right = |text: &str| text.contains("subflows 8") && text.contains("add_addr_accepted 8");
    check!(right(&limits()?), "limits are {}", limits()?);
    if known {
        check!(sysctl(&managed.lab, timeout)? == "0", "{timeout} is {}", sysctl(&managed.lab, timeout)?);
    }
    managed.end(start)
}

/// The devices that the manager has for WANs.
fn listed() -> Vec<String> {
    manager::status().map_or(Vec::new(), |now| now.wans.into_iter().map(|wan| wan.name).collect())
}

fn a_tunnel_is_no_wan_unless_named() -> Result {
    let lab = Lab::two_wans()?;
    if let Err(e) = lab.client.run("ip tuntap add dev tun0 mode tun") {
        return skipped(format!("no tun device here: {e}"));
    }
    lab.client.ip_batch(
        "address add 10.9.0.2/24 dev tun0\nlink set tun0 up\nroute add default via 10.9.0.1 dev tun0 metric 70\n",
    )?;
    let mut managed = Managed::start(lab, &[])?;
    let start = Instant::now();
    sleep(Duration::from_millis(500));
    check!(listed() == ["wan1", "wan2"], "WANs are {:?}", listed());
    managed.stays(start)?;
    managed.crash();
    managed.begin(&["--include", "tun0"])?;
    check!(until(SOON, || Ok(listed().contains(&"tun0".to_string())))?.is_some(), "WANs are {:?}", listed());
    managed.end(start)
}

fn an_excluded_interface_is_no_wan() -> Result {
    let mut managed = Managed::unmanaged(Lab::two_wans()?)?;
    managed.launch(&["--exclude", "wan1"])?;
    managed.says(2, |wan| wan.state == "up", RECOVERY)?;
    let start = Instant::now();
    check!(listed() == ["wan2"], "WANs are {:?}", listed());
    managed.lab.blackhole(1, true);
    sleep(Duration::from_secs(3));
    check!(managed.metrics(1) == [1], "the route of an excluded interface moved: {:?}", managed.metrics(1));
    let endpoints = managed.endpoints.endpoints.now();
    check!(endpoints.len() == 1, "endpoints {endpoints:?}");
    managed.end(start)
}
