//! What netifd, hotplug and the owner's hands do to a manager's routes, and what the manager makes of it.

use std::fmt::Write as _;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::cases;
use super::managed::{AT_ONCE, Managed, RECOVERY, SILENCE, SOON, defaults, has_source_rule, until};
use crate::check;
use crate::failure::Result;
use crate::manager::{self, WanStatus};
use crate::route_watch::{DefaultRoutes, preferred_wan};
use crate::runner::Case;
use crate::topology::{INTERNET_HOSTS, Lab, SERVER, ifindex};
use crate::traffic::Transfer;

pub const CASES: &[Case] = cases!("interplay":
    a_renewal_of_a_dead_wan_is_healed within 60,
    a_new_address_is_followed,
    a_new_gateway_is_followed within 60,
    a_new_gateway_of_a_dead_wan_is_followed within 60,
    ifdown_takes_route_rule_and_endpoint,
    ifdown_of_a_dead_wan_takes_the_copy_too,
    a_downed_link_is_left_and_taken_back,
    a_device_that_goes_and_comes_is_taken_back,
    a_default_of_metric_0_is_moved_too within 60,
    a_second_wan_with_the_same_address_gets_no_endpoint,
    a_released_interface_is_let_go,
);

/// A lab with WAN 1 dead and its route moved.
fn with_a_dead_wan() -> Result<(Managed, Instant)> {
    let managed = Managed::start(Lab::two_wans()?, &[])?;
    let cut = Instant::now();
    managed.lab.blackhole(1, true);
    managed.leaves(&[1], cut, SILENCE)?;
    Ok((managed, cut))
}

/// WAN 1 has one default, and behind that of WAN 2.
fn is_behind(managed: &Managed) -> bool {
    matches!((&managed.metrics(1)[..], &managed.metrics(2)[..]), ([one], [two]) if one > two)
}

fn a_renewal_of_a_dead_wan_is_healed() -> Result {
    let (managed, cut) = with_a_dead_wan()?;
    for _ in 0..3 {
        let renewed = Instant::now();
        managed.lab.netifd.renew(1)?;
        let healed = until(SOON, || Ok(is_behind(&managed)))?;
        println!("healed after {healed:?}");
        check!(healed.is_some(), "two defaults stay: {:?}", managed.routes.routes.now());
        let left = managed.routes.moved_to(2, renewed, SOON);
        check!(left.is_some(), "WAN 1 stays preferred: {:?}", managed.routes.routes.now());
    }
    let without = |routes: &DefaultRoutes, wan| routes.iter().all(|route| route.ifindex != ifindex(wan));
    let lost = managed.routes.routes.since(cut).into_iter().find(|(_, r)| without(r, 1) || without(r, 2));
    check!(lost.is_none(), "a WAN had no default route: {lost:?}");
    let repaired = Instant::now();
    managed.lab.blackhole(1, false);
    managed.returns(&[1], repaired, RECOVERY)?;
    managed.end(cut)
}

fn a_new_address_is_followed() -> Result {
    let managed = Managed::start(Lab::two_wans()?, &[])?;
    let start = Instant::now();
    let transfer = Transfer::start(&managed.lab)?;
    sleep(Duration::from_secs(1));
    let changed = Instant::now();
    managed.lab.netifd.change_address(1, "198.18.1.77")?;
    let new = managed.endpoints.present("198.18.1.77", changed, SOON);
    let old = managed.endpoints.removed("198.18.1.2", changed, SOON);
    println!("new endpoint after {new:?}, old one gone after {old:?}");
    check!(new.is_some() && old.is_some(), "endpoints {:?}", managed.endpoints.endpoints.now());
    let rule = until(SOON, || has_source_rule(&managed.lab, 1))?;
    check!(rule.is_some(), "no rule for the new address: {}", managed.lab.client.run("ip -N rule")?);
    let rules = managed.lab.client.run("ip -N rule")?;
    check!(!rules.contains("198.18.1.2 "), "a rule for the old address is left: {rules}");
    managed.says(1, |wan| wan.state == "up", SOON)?;
    let address = managed.lab.netifd.address(2);
    let gone = managed.endpoints.was_removed(&address, start);
    check!(gone.is_none(), "WAN 2's endpoint went after {gone:?}");
    // The first subflow had the old address; the transfer goes on over the others.
    transfer.finish()?;
    managed.end(start)
}

/// The ISP has another router with this address.
fn give_the_isp(lab: &Lab, gateway: &str) -> Result {
    lab.isp(1).run(&format!("ip address add {gateway}/24 dev customer")).map(|_| ())
}

fn a_new_gateway_is_followed() -> Result {
    let managed = Managed::start(Lab::two_wans()?, &[])?;
    let start = Instant::now();
    give_the_isp(&managed.lab, "198.18.1.254")?;
    managed.lab.netifd.change_gateway(1, "198.18.1.254")?;
    let followed = until(SOON, || has_source_rule(&managed.lab, 1))?;
    check!(followed.is_some(), "table: {}", managed.lab.client.run("ip route show table 5201")?);
    sleep(Duration::from_secs(1));
    managed.says(1, |wan| wan.state == "up", SOON)?;
    check!(managed.metrics(1) == [1], "WAN 1 has {:?}", managed.metrics(1));
    managed.end(start)
}

fn a_new_gateway_of_a_dead_wan_is_followed() -> Result {
    let (managed, cut) = with_a_dead_wan()?;
    give_the_isp(&managed.lab, "198.18.1.254")?;
    managed.lab.netifd.change_gateway(1, "198.18.1.254")?;
    let followed = until(SOON, || {
        let defaults = defaults(&managed.lab)?.join("\n");
        Ok(is_behind(&managed) && defaults.contains("198.18.1.254") && !defaults.contains("198.18.1.1 "))
    })?;
    println!("followed after {followed:?}");
    check!(followed.is_some(), "defaults {:#?}", defaults(&managed.lab)?);
    managed.lab.blackhole(1, false);
    let home = until(RECOVERY, || {
        let best = defaults(&managed.lab)?.first().cloned().unwrap_or_default();
        Ok(best == "default via 198.18.1.254 dev wan1 proto 4 src 198.18.1.2 metric 1")
    })?;
    check!(home.is_some(), "defaults {:#?}", defaults(&managed.lab)?);
    managed.end(cut)
}

/// Nothing of WAN 1 is left, and the manager says why.
fn is_gone(managed: &Managed, since: Instant) -> Result {
    let endpoint = managed.endpoints.removed(&managed.lab.netifd.address(1), since, SOON);
    check!(endpoint.is_some(), "the endpoint stayed; {:?}", manager::status());
    let rules = || Ok(!managed.lab.client.run("ip -N rule")?.contains("from 198.18.1.2 "));
    check!(until(SOON, rules)?.is_some(), "a rule is left: {}", managed.lab.client.run("ip -N rule")?);
    let routes = until(SOON, || Ok(managed.metrics(1).is_empty()))?;
    check!(routes.is_some(), "a route is left: {:?}", managed.routes.routes.now());
    let table = managed.lab.client.run("ip route show table 5201").unwrap_or_default();
    check!(table.is_empty(), "table 5201: {table}");
    managed.says(1, |wan| wan.state == "down" && wan.reason.starts_with("no "), SOON)
}

fn ifdown_takes_route_rule_and_endpoint() -> Result {
    let managed = Managed::start(Lab::two_wans()?, &[])?;
    let down = Instant::now();
    managed.lab.netifd.ifdown(1)?;
    is_gone(&managed, down)?;
    let up = Instant::now();
    managed.lab.netifd.ifup(1)?;
    managed.returns(&[1], up, RECOVERY)?;
    managed.end(down)
}

fn ifdown_of_a_dead_wan_takes_the_copy_too() -> Result {
    let (managed, cut) = with_a_dead_wan()?;
    let down = Instant::now();
    managed.lab.netifd.ifdown(1)?;
    is_gone(&managed, down)?;
    managed.lab.blackhole(1, false);
    let up = Instant::now();
    managed.lab.netifd.ifup(1)?;
    managed.returns(&[1], up, RECOVERY)?;
    managed.end(cut)
}

fn a_downed_link_is_left_and_taken_back() -> Result {
    let managed = Managed::start(Lab::two_wans()?, &[])?;
    let cut = Instant::now();
    managed.lab.link_down(1)?;
    managed.leaves(&[1], cut, AT_ONCE)?;
    managed.says(1, |wan| wan.state == "down" && wan.reason == "administratively down", SOON)?;
    sleep(Duration::from_millis(1100));
    let repaired = Instant::now();
    managed.lab.link_up(1)?;
    managed.returns(&[1], repaired, RECOVERY)?;
    managed.end(cut)
}

fn a_device_that_goes_and_comes_is_taken_back() -> Result {
    let managed = Managed::start(Lab::two_wans()?, &[])?;
    let cut = Instant::now();
    // As a USB modem that is unplugged: for the router it is the same whether the device ends or moves away.
    managed.lab.client.run("ip link set wan1 netns server")?;
    managed.leaves(&[1], cut, AT_ONCE)?;
    managed.says(1, |wan| wan.state == "down" && wan.reason == "device gone", SOON)?;
    sleep(Duration::from_millis(1100));
    let back = Instant::now();
    managed.lab.server.run("ip link set wan1 netns client")?;
    managed.lab.link_up(1)?;
    managed.returns(&[1], back, RECOVERY)?;
    managed.end(cut)
}

fn a_default_of_metric_0_is_moved_too() -> Result {
    let lab = Lab::two_wans()?;
    lab.netifd.set_metric(2, 0)?;
    let managed = Managed::start(lab, &[])?;
    check!(preferred_wan(&managed.routes.routes.now()) == Some(2), "{:?}", managed.routes.routes.now());
    let cut = Instant::now();
    managed.lab.blackhole(2, true);
    managed.leaves(&[2], cut, SILENCE)?;
    let repaired = Instant::now();
    managed.lab.blackhole(2, false);
    managed.returns(&[2], repaired, RECOVERY)?;
    check!(managed.metrics(2) == [0], "WAN 2 has {:?}", managed.metrics(2));
    managed.end(cut)
}

fn a_second_wan_with_the_same_address_gets_no_endpoint() -> Result {
    let managed = Managed::start(Lab::two_wans()?, &[])?;
    let start = Instant::now();
    // Two modems of one make hand out the same address, and each hides it from the world: ISP 2 stands for its own
    // modem and for all that lies behind that. Without it WAN 2 would be taken for dead before anything else.
    let mut modem = String::from("address add 198.18.1.1/24 dev customer\n");
    for host in [SERVER].iter().chain(&INTERNET_HOSTS) {
        let _ = writeln!(modem, "address add {host}/32 dev lo");
    }
    managed.lab.isp(2).ip_batch(&modem)?;
    managed.lab.client.ip_batch(
        "address add 198.18.1.2/24 dev wan2\nroute del default metric 2\n\
         route add default via 198.18.1.1 dev wan2 proto static src 198.18.1.2 metric 2\n\
         address del 198.18.2.2/24 dev wan2\n",
    )?;
    let gone = managed.endpoints.removed("198.18.2.2", start, SOON);
    check!(gone.is_some(), "the old endpoint stayed: {:?}", managed.endpoints.endpoints.now());
    let shared =
        |wan: &WanStatus| wan.state == "up" && wan.reason.contains("same address 198.18.1.2 as wan1");
    managed.says(2, shared, RECOVERY)?;
    let endpoints = managed.endpoints.endpoints.now();
    check!(
        endpoints.len() == 1 && endpoints[0].ifindex == ifindex(1),
        "the first WAN lost its endpoint: {endpoints:?}"
    );
    managed.end(start)
}

fn a_released_interface_is_let_go() -> Result {
    let (managed, cut) = with_a_dead_wan()?;
    let ran = manager::run(&managed.lab, &["bond", "--release", "wan1"])?;
    check!(ran.code == Some(0), "{ran:?}");
    managed.says(1, |wan| wan.reason == "interface taken down", SOON)?;
    let ran = manager::run(&managed.lab, &["bond", "--release", "wan2"])?;
    check!(ran.code == Some(0), "{ran:?}");
    let gone = managed.endpoints.removed(&managed.lab.netifd.address(2), cut, cut.elapsed() + SOON);
    check!(gone.is_some(), "a released WAN keeps its endpoint: {:?}", managed.endpoints.endpoints.now());
    managed.end(cut)
}
