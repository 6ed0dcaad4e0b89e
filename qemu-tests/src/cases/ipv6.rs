//! IPv6: routes of router advertisements stay where they are; copies of ours stand in front while they must.

use std::thread::sleep;
use std::time::{Duration, Instant};

use super::cases;
use super::managed::{Managed, RECOVERY, SILENCE, SOON, until};
use crate::advertise;
use crate::check;
use crate::failure::Result;
use crate::link::Wan;
use crate::manager;
use crate::route_watch::{DefaultRoute, DefaultRoutes};
use crate::runner::Case;
use crate::topology::{Lab, SERVER_V6, device, ifindex};

pub const CASES: &[Case] = cases!("ipv6":
    copies_stand_in_front_of_a_dead_wans_advertised_default within 60,
    static_defaults_are_not_moved_either within 60,
    a_server_of_ipv6_has_endpoints_of_ipv6 within 60,
);

/// Who made a route: RTPROT_RA and ours.
const RA: u8 = 9;
const OURS: u8 = 152;
/// What the kernel gives to advertised defaults.
const ADVERTISED: u32 = 1024;

fn lab() -> Result<Lab> {
    Lab::builder().wan(Wan::mbit(20).delay_ms(15)).wan(Wan::mbit(10).delay_ms(30)).ipv6().build()
}

/// A lab whose IPv6 defaults are advertised.
fn advertised() -> Result<Lab> {
    let lab = lab()?;
    advertise::accept(&lab)?;
    for wan in 1..=lab.wans() {
        lab.client.run(&format!("ip -6 route del default dev {} metric {wan}", device(wan)))?;
    }
    Ok(lab)
}

fn v6(routes: &DefaultRoutes, protocol: u8) -> Vec<DefaultRoute> {
    routes.iter().filter(|route| route.v6 && route.protocol == protocol).cloned().collect()
}

/// The device that an IPv6 packet without a source address yet would take.
fn way_out(lab: &Lab) -> Result<String> {
    let answer = lab.client.run(&format!("ip -6 route get {SERVER_V6}"))?;
    let mut words = answer.split_whitespace().skip_while(|word| *word != "dev");
    Ok(words.nth(1).unwrap_or_default().to_string())
}

fn copies_stand_in_front_of_a_dead_wans_advertised_default() -> Result {
    let lab = advertised()?;
    let managed = Managed::unmanaged(lab)?;
    let both = |routes: &DefaultRoutes| {
        let list = v6(routes, RA);
        list.len() == 2 && list.iter().all(|route| route.metric == ADVERTISED)
    };
    // Repeated, as real ISPs do: the kernel drops those that come before a device is ready.
    let mut come = None;
    for _ in 0..10 {
        for wan in 1..=managed.lab.wans() {
            advertise::send(&managed.lab, wan, 1800)?;
        }
        come = managed.routes.routes.wait(Instant::now(), SOON / 10, both);
        if come.is_some() {
            break;
        }
    }
    check!(come.is_some(), "no advertised defaults: {:?}", managed.routes.routes.now());
    let mut managed = managed;
    managed.begin(&[])?;
    sleep(Duration::from_millis(500));
    let advertised = v6(&managed.routes.routes.now(), RA);
    check!(v6(&managed.routes.routes.now(), OURS).is_empty(), "{:?}", managed.routes.routes.now());
    // Each of them dies once: without copies the kernel would keep one of two equal routes, whichever.
    for (dead, alive) in [(1, 2), (2, 1)] {
        let cut = Instant::now();
        managed.lab.blackhole(dead, true);
        managed.leaves(&[dead], cut, SILENCE)?;
        let in_front = |routes: &DefaultRoutes| {
            let copies = v6(routes, OURS);
            matches!(&copies[..], [one] if one.ifindex == ifindex(alive) && (9..ADVERTISED).contains(&one.metric))
        };
        let copied = managed.routes.routes.wait(cut, SILENCE, in_front);
        check!(copied.is_some(), "no copy in front: {:?}", managed.routes.routes.now());
        check!(way_out(&managed.lab)? == device(alive), "the way out is {}", way_out(&managed.lab)?);
        // The living ISP goes on advertising.
        advertise::send(&managed.lab, alive, 1800)?;
        sleep(Duration::from_millis(300));
        check!(in_front(&managed.routes.routes.now()), "{:?}", managed.routes.routes.now());
        let repaired = Instant::now();
        managed.lab.blackhole(dead, false);
        managed.returns(&[dead], repaired, RECOVERY)?;
        let gone = managed.routes.routes.wait(repaired, RECOVERY, |routes| v6(routes, OURS).is_empty());
        println!("copy in front after {copied:?}, gone after {gone:?}");
        check!(gone.is_some(), "a copy is left: {:?}", managed.routes.routes.now());
        check!(v6(&managed.routes.routes.now(), RA) == advertised, "{:?}", managed.routes.routes.now());
    }
    let touched =
        managed.routes.routes.since(repaired_start(&managed)).into_iter().find(|(_, now)| !both(now));
    check!(touched.is_none(), "an advertised default was touched: {touched:?}");
    managed.end(Instant::now())
}

/// From when on both advertised defaults were there.
fn repaired_start(managed: &Managed) -> Instant {
    let all = managed.routes.routes.since(Instant::now() - Duration::from_secs(600));
    let first = all.iter().find(|(_, routes)| v6(routes, RA).len() == 2);
    first.map_or_else(Instant::now, |(at, _)| *at)
}

fn static_defaults_are_not_moved_either() -> Result {
    let managed = Managed::start(lab()?, &[])?;
    let start = Instant::now();
    let originals = |routes: &DefaultRoutes| v6(routes, 4);
    let before = originals(&managed.routes.routes.now());
    check!(before.len() == 2, "defaults {:?}", managed.routes.routes.now());
    managed.lab.blackhole(1, true);
    managed.leaves(&[1], start, SILENCE)?;
    sleep(Duration::from_millis(300));
    println!("{:#?}", managed.lab.client.run("ip -6 -N route show default")?);
    check!(originals(&managed.routes.routes.now()) == before, "{:?}", managed.routes.routes.now());
    let repaired = Instant::now();
    managed.lab.blackhole(1, false);
    managed.returns(&[1], repaired, RECOVERY)?;
    let left = until(SOON, || Ok(v6(&managed.routes.routes.now(), OURS).is_empty()))?;
    check!(left.is_some(), "a copy is left: {:?}", managed.routes.routes.now());
    managed.end(start)
}

fn a_server_of_ipv6_has_endpoints_of_ipv6() -> Result {
    let mut managed = Managed::unmanaged(lab()?)?;
    let start = Instant::now();
    managed.begin(&["--server", SERVER_V6])?;
    for wan in [1, 2] {
        for address in [managed.lab.netifd.address(wan), managed.lab.netifd.address_v6(wan)] {
            let present = managed.endpoints.present(&address, start, start.elapsed() + SOON);
            check!(present.is_some(), "no endpoint {address}: {:?}", manager::status());
        }
        let rules = managed.lab.client.run("ip -6 -N rule show")?;
        let rule =
            format!("from {} fwmark 0/0xfffffff8 lookup {}", managed.lab.netifd.address_v6(wan), 5200 + wan);
        check!(rules.contains(&rule), "no IPv6 rule of WAN {wan}: {rules}");
    }
    let cut = Instant::now();
    managed.lab.blackhole(1, true);
    managed.leaves(&[1], cut, SILENCE)?;
    let address = managed.lab.netifd.address_v6(1);
    let gone = managed.endpoints.removed(&address, cut, SILENCE);
    check!(gone.is_some(), "the IPv6 endpoint stayed: {:?}", managed.endpoints.endpoints.now());
    let repaired = Instant::now();
    managed.lab.blackhole(1, false);
    managed.returns(&[1], repaired, RECOVERY)?;
    let back = managed.endpoints.present(&address, repaired, RECOVERY);
    check!(back.is_some(), "the IPv6 endpoint did not come back: {:?}", managed.endpoints.endpoints.now());
    managed.end(start)
}
