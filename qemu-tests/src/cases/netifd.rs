//! The stand-in makes and unmakes routes as netifd does.

use super::cases;
use crate::check;
use crate::failure::Result;
use crate::route_watch::{DefaultRoutes, RouteWatch, preferred_wan};
use crate::runner::Case;
use crate::topology::{Lab, ifindex};

pub const CASES: &[Case] = cases!("netifd":
    ifdown_takes_the_route_and_ifup_brings_it_back,
    ifdown_leaves_a_moved_route,
    renewal_adds_a_second_route_beside_a_moved_one,
    a_new_address_moves_the_preferred_source,
    a_new_gateway_replaces_the_old_one,
);

/// RTPROT_STATIC, as netifd marks its routes.
const STATIC: u8 = 4;

/// The default routes now, by a dump of their own.
fn routes(lab: &Lab) -> Result<DefaultRoutes> {
    Ok(RouteWatch::start(&lab.client)?.routes.now())
}

/// The metrics of a WAN's default routes.
fn metrics(lab: &Lab, wan: usize) -> Result<Vec<u32>> {
    let routes = routes(lab)?;
    Ok(routes.iter().filter(|route| route.ifindex == ifindex(wan)).map(|route| route.metric).collect())
}

/// What a manager does to demote WAN 1.
fn move_route(lab: &Lab, source: &str) -> Result {
    lab.client
        .run(&format!("ip route add default via 198.18.1.1 dev wan1 proto static src {source} metric 50"))?;
    lab.client.run("ip route del default via 198.18.1.1 dev wan1 metric 1").map(|_| ())
}

fn ifdown_takes_the_route_and_ifup_brings_it_back() -> Result {
    let lab = Lab::two_wans()?;
    check!(metrics(&lab, 1)? == [1] && metrics(&lab, 2)? == [2], "wrong at the start: {:?}", routes(&lab)?);
    check!(
        routes(&lab)?.iter().all(|route| route.protocol == STATIC),
        "not proto static: {:?}",
        routes(&lab)?
    );
    lab.netifd.ifdown(1)?;
    check!(metrics(&lab, 1)?.is_empty(), "a route is left: {:?}", routes(&lab)?);
    check!(preferred_wan(&routes(&lab)?) == Some(2), "WAN 2 is not preferred");
    lab.netifd.ifup(1)?;
    check!(metrics(&lab, 1)? == [1], "the route did not come back: {:?}", routes(&lab)?);
    Ok(())
}

fn ifdown_leaves_a_moved_route() -> Result {
    let lab = Lab::two_wans()?;
    // The kernel drops routes whose preferred source goes; one of another source shows what netifd's own
    // delete, by metric, does to a moved route: nothing.
    lab.client.run("ip address add 198.18.1.3/32 dev wan1")?;
    move_route(&lab, "198.18.1.3")?;
    lab.netifd.ifdown(1)?;
    check!(metrics(&lab, 1)? == [50], "the moved route is gone: {:?}", routes(&lab)?);
    Ok(())
}

fn renewal_adds_a_second_route_beside_a_moved_one() -> Result {
    let lab = Lab::two_wans()?;
    move_route(&lab, "198.18.1.2")?;
    lab.netifd.renew(1)?;
    check!(metrics(&lab, 1)? == [1, 50], "expected both: {:?}", routes(&lab)?);
    lab.netifd.renew(1)?;
    check!(metrics(&lab, 1)? == [1, 50], "a second renewal changed something: {:?}", routes(&lab)?);
    Ok(())
}

fn a_new_address_moves_the_preferred_source() -> Result {
    let lab = Lab::two_wans()?;
    lab.netifd.change_address(1, "198.18.1.77")?;
    let sources: Vec<String> = routes(&lab)?
        .iter()
        .filter(|route| route.ifindex == ifindex(1))
        .filter_map(|route| route.prefsrc.map(|address| address.to_string()))
        .collect();
    check!(sources == ["198.18.1.77"], "preferred sources are {sources:?}");
    let addresses = lab.client.run("ip -4 -o address show dev wan1")?;
    check!(!addresses.contains("198.18.1.2/"), "the old address is still there: {addresses}");
    Ok(())
}

fn a_new_gateway_replaces_the_old_one() -> Result {
    let lab = Lab::two_wans()?;
    lab.netifd.change_gateway(1, "198.18.1.254")?;
    let gateways: Vec<String> = routes(&lab)?
        .iter()
        .filter(|route| route.ifindex == ifindex(1))
        .filter_map(|route| route.gateway.map(|address| address.to_string()))
        .collect();
    check!(gateways == ["198.18.1.254"], "gateways are {gateways:?}");
    Ok(())
}
