//! What a WAN is: a device with a unicast default route in the main table, and no tunnel unless named.

use super::liveness::Obstacle;
use super::settings::Settings;
use super::world::World;
use crate::types::{IfIndex, IfName, Metric};
use crate::wire::rtnl::{Family, Link, Route, TABLE_MAIN};

/// IFLA_INFO_KIND of devices that run over other devices; their default route is not a way out of its own.
const TUNNELS: [&str; 14] = [
    "tun",
    "wireguard",
    "gre",
    "gretap",
    "ip6gre",
    "ip6gretap",
    "ipip",
    "sit",
    "ip6tnl",
    "vti",
    "vti6",
    "xfrm",
    "vxlan",
    "geneve",
];
const ARPHRD_LOOPBACK: u16 = 772;

/// The devices that are WANs now, best metric first.
pub fn wans<'a>(world: &'a World, settings: &Settings) -> Vec<&'a Link> {
    let mut found: Vec<(Metric, &Link)> = world
        .links
        .iter()
        .filter(|link| is_eligible(link, settings))
        .filter_map(|link| Some((best_metric(world, link.index)?, link)))
        .collect();
    found.sort_by_key(|(metric, link)| (*metric, link.index));
    found.into_iter().map(|(_, link)| link).collect()
}

/// The default of a device with the lowest metric, ours or others'; IPv4 counts where there is any.
pub fn best_default(world: &World, index: IfIndex) -> Option<&Route> {
    let best = |family| world.defaults(TABLE_MAIN, family, index).min_by_key(|r| r.metric);
    best(Family::V4).or_else(|| best(Family::V6))
}

/// Its metric.
pub fn best_metric(world: &World, index: IfIndex) -> Option<Metric> {
    best_default(world, index).map(|r| r.metric)
}

/// The settings let the device be a WAN.
pub fn is_eligible(link: &Link, settings: &Settings) -> bool {
    let named = settings.include.contains(&link.name);
    let tunnel = TUNNELS.contains(&link.kind.as_str());
    link.arphrd != ARPHRD_LOOPBACK && !settings.exclude.contains(&link.name) && (named || !tunnel)
}

/// What keeps a WAN from working, as far as the kernel knows, and whether it can be asked over IPv4.
pub fn obstacle(world: &World, name: &IfName) -> (Option<Obstacle>, bool) {
    let Some(link) = world.link(name) else { return (Some(Obstacle::Gone), true) };
    let usable = |family| {
        world.global_addresses(link.index, family).next().is_some()
            && world.defaults(TABLE_MAIN, family, link.index).next().is_some()
    };
    let has_address =
        Family::BOTH.into_iter().any(|f| world.global_addresses(link.index, f).next().is_some());
    let (v4, v6) = (usable(Family::V4), usable(Family::V6));
    let obstacle = match () {
        () if !link.up => Some(Obstacle::AdminDown),
        () if !link.carrier => Some(Obstacle::NoCarrier),
        () if !has_address => Some(Obstacle::NoAddress),
        () if !v4 && !v6 => Some(Obstacle::NoDefault),
        () => None,
    };
    (obstacle, v4 || !v6)
}
