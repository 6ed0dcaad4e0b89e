//! Which networks are at which port, by /etc/config/network and /etc/config/firewall.
//!
//! ```text
//! event LAN1 -> config port '_lan1', port_num 2 -> switch_vlan "0t 2", vid 3 -> device eth0.3 -> networks of that device
//!                                ifname lan1    ----------------------------------> device lan1 (DSA), or
//!                                                  bridge-vlan with lan1 alone   -> device br-lan.3
//! ```
//!
//! RUTOS has the sections `port`; whether its `port_num` is the number by which `swconfig` knows the port is not
//! confirmed. Without such sections LAN1 is port 1 of the switch, as BSBF's script had it, and lan1 where devices are
//! called so. Only a VLAN of one port and the processor's, tagged, counts; what several ports share is left alone.

use crate::types::IfName;
use crate::wire::uci::edits::{text, words};
use crate::wire::uci::{Package, Section};

/// Protocols that give a network its default route; `static` does with a gateway.
const WAN_PROTOCOLS: [&str; 3] = ["dhcp", "dhcpv6", "pppoe"];

/// Networks of these names are no WANs, whatever they have.
const NEVER: [&str; 2] = ["lan", "loopback"];

/// A port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// As events call it, whatever the case: `LAN1`.
    pub name: String,
    /// What the system knows it by.
    pub place: Place,
    /// The device that it has to itself: `eth0.3`, `lan1`. Empty if there is none.
    pub device: String,
    /// The WANs at that device.
    pub networks: Vec<String>,
}

/// What the system knows a port by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A number of a switch that `swconfig` sets up.
    Switch {
        /// `switch0`.
        switch: String,
        /// `2`.
        number: String,
    },
    /// A device of its own (DSA).
    Device(IfName),
}

/// What the settings have, by type.
struct Settings<'a> {
    ports: Vec<&'a Section>,
    networks: Vec<&'a Section>,
    /// Bridges among them.
    devices: Vec<&'a Section>,
    switch_vlans: Vec<&'a Section>,
    bridge_vlans: Vec<&'a Section>,
}

// Plain loops over lists: as chains of iterators this has twice the size.

fn of_kind<'a>(package: &'a Package, kind: &str) -> Vec<&'a Section> {
    package.sections_of(kind).collect()
}

/// The ports that the settings name.
pub fn ports(network: &Package, firewall: &Package) -> Vec<Port> {
    let settings = Settings {
        ports: of_kind(network, "port"),
        networks: of_kind(network, "interface"),
        devices: of_kind(network, "device"),
        switch_vlans: of_kind(network, "switch_vlan"),
        bridge_vlans: of_kind(network, "bridge-vlan"),
    };
    let mut ports = settings.places();
    for port in &mut ports {
        port.device = match &port.place {
            Place::Switch { number, .. } => settings.device_of_number(number).into(),
            Place::Device(name) => settings.device_of_device(name.as_str()),
        };
    }
    let mut lan = Vec::new();
    for zone in of_kind(firewall, "zone") {
        if text(zone, "name") == "lan" {
            lan.extend(words(zone, "network"));
        }
    }
    for at in 0..ports.len() {
        let Some(device) = ports.get(at).map(|port| port.device.clone()) else { continue };
        // What two ports would have to themselves is neither's.
        let alone = ports.iter().filter(|other| other.device == device).count() == 1;
        let networks = if alone { settings.wans_at(&device, &lan) } else { Vec::new() };
        if let Some(port) = ports.get_mut(at) {
            port.networks = networks;
        }
    }
    ports
}

/// A port that two sections name is the first one's.
fn push(ports: &mut Vec<Port>, name: String, place: Place) {
    if !ports.iter().any(|port| port.name == name || port.place == place) {
        ports.push(Port { name, place, device: String::new(), networks: Vec::new() });
    }
}

impl Settings<'_> {
    /// The ports, without what is at them.
    fn places(&self) -> Vec<Port> {
        let mut ports = Vec::new();
        let wans = self.ports.iter().filter(|section| section.name.starts_with("_wan")).count();
        for section in &self.ports {
            // `_lan1` is LAN1. `_wan4` is WAN where no other port is called so, as on all routers of Teltonika's.
            let name = match wans == 1 && section.name.starts_with("_wan") {
                true => "WAN".into(),
                false => section.name.trim_start_matches('_').to_ascii_uppercase(),
            };
            match (text(section, "ifname").parse(), text(section, "port_num")) {
                (Ok(device), _) => push(&mut ports, name, Place::Device(device)),
                (_, "") => {}
                (_, number) => push(&mut ports, name, self.on_switch(number)),
            }
        }
        if ports.is_empty() {
            self.unnamed(&mut ports);
        }
        ports
    }

    /// Ports of settings that have no sections for them.
    fn unnamed(&self, ports: &mut Vec<Port>) {
        let mut numbers = Vec::new();
        for vlan in &self.switch_vlans {
            numbers.extend(words(vlan, "ports"));
        }
        for number in &numbers {
            // The processor's port is tagged, or in several VLANs.
            let times = numbers.iter().filter(|other| other.trim_end_matches('t') == *number).count();
            if is_number(number) && times == 1 {
                push(ports, ["LAN", number].concat(), self.on_switch(number));
            }
        }
        let mut devices = Vec::new();
        for network in &self.networks {
            devices.push(device(network));
        }
        for bridge in &self.devices {
            devices.extend(words(bridge, "ports"));
        }
        for name in devices {
            let number = name.strip_prefix("lan").or_else(|| name.strip_prefix("wan"));
            let is_port = number.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()));
            if let (true, Ok(device)) = (is_port, name.parse()) {
                push(ports, name.to_ascii_uppercase(), Place::Device(device));
            }
        }
    }

    fn on_switch(&self, number: &str) -> Place {
        let switch = match self.switch_vlans.first().map(|vlan| text(vlan, "device")) {
            None | Some("") => "switch0",
            Some(name) => name,
        };
        Place::Switch { switch: switch.into(), number: number.into() }
    }

    /// The device of the VLAN that this port of the switch has to itself; empty if there is none.
    fn device_of_number(&self, number: &str) -> &str {
        let Some(vlan) = self.switch_vlans.iter().find(|vlan| single(vlan) == Some(number)) else {
            return "";
        };
        let number = vid(vlan);
        if self.switch_vlans.iter().filter(|other| vid(other) == number).count() > 1 {
            return "";
        }
        for network in &self.networks {
            let device = device(network);
            if let Some((cpu, of)) = device.split_once('.')
                && cpu.starts_with("eth")
                && of == number
            {
                return device;
            }
        }
        ""
    }

    /// The device that this port, a device, is or has to itself; empty if it shares a bridge.
    fn device_of_device(&self, name: &str) -> String {
        for vlan in &self.bridge_vlans {
            if let [port] = words(vlan, "ports").as_slice()
                && port.split(':').next() == Some(name)
            {
                return [text(vlan, "device"), ".", text(vlan, "vlan")].concat();
            }
        }
        match self.devices.iter().any(|bridge| words(bridge, "ports").contains(&name)) {
            true => String::new(),
            false => name.into(),
        }
    }

    /// The networks at a device that have a default route, that netifd starts by itself, and that are not the LAN's;
    /// `lan` are those of its zone.
    fn wans_at(&self, at: &str, lan: &[&str]) -> Vec<String> {
        let mut wans = Vec::new();
        for section in &self.networks {
            let is_set = |option: &str| section.option(option).is_some();
            let leads_out = match text(section, "proto") {
                "static" => is_set("gateway") || is_set("ip6gw"),
                proto => WAN_PROTOCOLS.contains(&proto),
            };
            let name = section.name.as_str();
            let is_lans = text(section, "area_type") == "lan" || NEVER.contains(&name) || lan.contains(&name);
            let is_off = text(section, "auto") == "0" || text(section, "disabled") == "1";
            if leads_out
                && !section.anonymous
                && !is_lans
                && !is_off
                && !at.is_empty()
                && device(section) == at
            {
                wans.push(section.name.clone());
            }
        }
        wans
    }
}

/// The device of a network; empty if it has none of its own, or several.
fn device(network: &Section) -> &str {
    let mut devices = words(network, "device");
    if devices.is_empty() {
        devices = words(network, "ifname");
    }
    match devices.as_slice() {
        [device] if text(network, "type") != "bridge" => device,
        _ => "",
    }
}

fn is_number(port: &str) -> bool {
    port.parse::<u8>().is_ok()
}

/// The number in the names of a VLAN's devices.
fn vid(vlan: &Section) -> &str {
    text(vlan, if vlan.option("vid").is_some() { "vid" } else { "vlan" })
}

/// The port of a VLAN that has one beside the processor's, which is tagged: `0t 2`, `4 6t`.
fn single(vlan: &Section) -> Option<&str> {
    let is_cpu = |port: &str| port.strip_suffix('t').is_some_and(is_number);
    match *words(vlan, "ports").as_slice() {
        [port, cpu] | [cpu, port] if is_number(port) && is_cpu(cpu) => Some(port),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
