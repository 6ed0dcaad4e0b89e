//! What can be seen without a manager: the kernel's default routes, addresses, endpoints and limits by device.

use crate::error::Error;
use crate::sys::kernel::Kernel;
use crate::types::IfIndex;
use crate::wan::world::World;
use crate::wire::mptcp_pm::{self, Endpoint, FLAG_BACKUP};
use crate::wire::rtnl::{Family, RTPROT_BSBF, Route, TABLE_MAIN};
use crate::wire::status::{DeviceStatus, EndpointStatus, LimitsStatus, RouteStatus, SystemStatus};

use super::table;

/// The names of RTPROT_ numbers that routers have (uapi/linux/rtnetlink.h), and ours.
const PROTOCOLS: [(u8, &str); 6] = [
    (libc::RTPROT_KERNEL, "kernel"),
    (libc::RTPROT_BOOT, "boot"),
    (libc::RTPROT_STATIC, "static"),
    (9, "ra"),
    (16, "dhcp"),
    (RTPROT_BSBF, "bsbf"),
];

/// Reads the kernel.
pub fn world() -> Result<World, Error> {
    let world = Kernel::open().and_then(|mut kernel| kernel.world());
    world.map_err(|e| Error::new("read", "the kernel's routes", e))
}

/// The devices that may be WANs, or were.
pub fn system(world: &World) -> SystemStatus {
    let mut devices: Vec<DeviceStatus> =
        world.links.iter().map(|link| device(world, Some(link.index))).collect();
    devices.push(device(world, None));
    let concerns = |d: &DeviceStatus| {
        let local = d.name == "lo" && d.routes.is_empty() && d.endpoints.is_empty();
        !local && (d.modem || !(d.addresses.is_empty() && d.routes.is_empty() && d.endpoints.is_empty()))
    };
    devices.retain(concerns);
    let limits =
        world.limits.map(|l| LimitsStatus { subflows: l.subflows, add_addr_accepted: l.add_addr_accepted });
    SystemStatus { limits, devices }
}

fn device(world: &World, index: Option<IfIndex>) -> DeviceStatus {
    let link = world.links.iter().find(|l| Some(l.index) == index);
    // Loopback's are of host scope, and those that do not reach beyond a link of link scope.
    let addresses =
        world.addresses.iter().filter(|a| Some(a.index) == index && a.scope == libc::RT_SCOPE_UNIVERSE);
    DeviceStatus {
        name: link.map_or(String::new(), |l| l.name.to_string()),
        ifindex: index.map_or(0, |i| i.0),
        up: link.is_some_and(|l| l.up),
        carrier: link.is_some_and(|l| l.carrier),
        modem: index.is_some_and(|i| world.modems.contains(&i)),
        addresses: addresses.map(|a| a.local.to_string()).collect(),
        routes: world.routes.iter().filter(|r| r.oif == index).map(route).collect(),
        endpoints: world.endpoints.iter().flatten().filter(|e| e.index == index).map(endpoint).collect(),
        rx_bytes: link.map_or(0, |l| l.rx_bytes),
        tx_bytes: link.map_or(0, |l| l.tx_bytes),
    }
}

fn route(r: &Route) -> RouteStatus {
    RouteStatus {
        family: if r.family == Family::V4 { 4 } else { 6 },
        gateway: r.gateway.map(|g| g.to_string()),
        from: r.source.map(|(prefix, len)| format!("{prefix}/{len}")),
        prefsrc: r.prefsrc.map(|address| address.to_string()),
        metric: r.metric.0,
        table: r.table,
        protocol: r.protocol.into(),
    }
}

fn endpoint(e: &Endpoint) -> EndpointStatus {
    EndpointStatus {
        id: e.id.0.into(),
        address: e.address.to_string(),
        backup: e.flags & FLAG_BACKUP != 0,
        flags: mptcp_pm::flag_names(e.flags),
    }
}

/// The same for people.
pub fn text(system: &SystemStatus) -> String {
    let limits = match &system.limits {
        Some(l) => format!("limits: {} subflows, {} announced addresses", l.subflows, l.add_addr_accepted),
        None => "this kernel has no MPTCP".to_string(),
    };
    let mut lines = vec![limits];
    for device in &system.devices {
        lines.push(device_line(device));
        lines.extend(device.routes.iter().map(|r| format!("  {}", route_line(r))));
        lines.extend(device.endpoints.iter().map(|e| format!("  endpoint {}", table::endpoint(e))));
    }
    lines.join("\n") + "\n"
}

fn device_line(d: &DeviceStatus) -> String {
    if d.name.is_empty() {
        return "on no device alone:".to_string();
    }
    let link = match (d.up, d.carrier) {
        (true, true) => "up",
        (true, false) => "no carrier",
        (false, _) => "administratively down",
    };
    let modem = if d.modem { ", modem" } else { "" };
    format!("{}: {link}{modem}  {}", d.name, d.addresses.join(" ")).trim_end().to_string()
}

fn route_line(r: &RouteStatus) -> String {
    let with = |word: &str, value: &Option<String>| {
        value.as_ref().map_or(String::new(), |value| format!(" {word} {value}"))
    };
    let (from, via, src) = (with("from", &r.from), with("via", &r.gateway), with("src", &r.prefsrc));
    let table = if r.table == TABLE_MAIN { String::new() } else { format!(" table {}", r.table) };
    let known = PROTOCOLS.iter().find(|(number, _)| u32::from(*number) == r.protocol);
    let protocol = known.map_or_else(|| r.protocol.to_string(), |(_, name)| name.to_string());
    format!("IPv{} default{from}{via}{src} metric {}{table} proto {protocol}", r.family, r.metric)
}
