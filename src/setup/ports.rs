//! The ports of the LAN: which one it keeps, and what the others are as devices of their own.
//!
//! Where the kernel has a device for each port (DSA), they are ports of the LAN's bridge. Where `swconfig` sets a switch
//! up, they are ports of a VLAN, and each gets a VLAN of its own, tagged towards the processor: `eth0.3`.

use crate::types::IfName;
use crate::wire::uci::edits::{text, words};
use crate::wire::uci::{Package, Section};

/// The LAN, and what leaves it.
#[derive(Debug)]
pub struct Lan<'a> {
    /// The bridge, or the VLAN of a switch.
    pub section: &'a Section,
    /// It is a VLAN of a switch.
    pub on_switch: bool,
    /// Its ports, as they are called there, in the order of their numbers; without the processor's.
    pub ports: Vec<&'a str>,
    /// The one that stays.
    pub keeps: &'a str,
    /// The processor's port.
    pub cpu: &'a str,
    /// The device of the LAN's VLAN, without the VLAN's number.
    pub base: &'a str,
}

/// Finds the LAN's ports; `keep` is the one that stays, else that with the highest number.
///
/// # Errors
/// A LAN that is neither of the two above, or set up further; a port to keep that it does not have.
pub fn find<'a>(network: &'a Package, keep: Option<&str>) -> Result<Lan<'a>, (Option<&'a Section>, String)> {
    let lan = network.section("lan").filter(|section| section.kind == "interface");
    let lan = lan.ok_or((None, "there is no network 'lan'".to_string()))?;
    let wrong = |section, why: &str| Err((Some(section), why.to_string()));
    if text(lan, "proto") != "static" || words(lan, "ipaddr").is_empty() {
        return wrong(lan, "the network 'lan' has no address of its own");
    }
    if let Some(vlan) = network.sections_of("bridge-vlan").next() {
        return wrong(vlan, "VLANs of a bridge are not this command's to rearrange");
    }
    let is_bridge = |section: &&Section| {
        text(section, "name") == text(lan, "device") && text(section, "type") == "bridge"
    };
    let Some(bridge) = network.sections_of("device").find(is_bridge) else {
        return wrong(lan, "the device of the network 'lan' is no bridge here");
    };
    let mut lan = Lan {
        section: bridge,
        on_switch: false,
        ports: words(bridge, "ports"),
        keeps: "",
        cpu: "",
        base: "",
    };
    if !lan.ports.iter().all(|port| port.parse::<IfName>().is_ok()) {
        return wrong(bridge, "the bridge of the LAN has what is no device");
    }
    if let [port] = lan.ports.as_slice()
        && let Some(vlan) = vlan_of(network, port)
    {
        if text(vlan, "device").is_empty() {
            return wrong(vlan, "the VLAN of the LAN names no switch");
        }
        (lan.section, lan.on_switch) = (vlan, true);
        lan.base = port.split('.').next().unwrap_or_default();
        lan.ports = words(vlan, "ports");
        let is_port = |port: &&str| port.trim_end_matches('t').parse::<u8>().is_ok();
        if !lan.ports.iter().all(is_port) {
            return wrong(vlan, "the VLAN of the LAN has what is no port of a switch");
        }
        let Some(cpu) = lan.ports.iter().position(|port| is_cpu(network, vlan, port)) else {
            return wrong(vlan, "which of its ports is the processor's cannot be told");
        };
        lan.cpu = lan.ports.remove(cpu);
        lan.ports.sort_by_key(|port| port.parse::<u32>().ok());
    }
    let kept = match keep {
        Some(name) => lan.ports.iter().find(|port| **port == name),
        None => lan.ports.last(),
    };
    match kept {
        Some(kept) => lan.keeps = kept,
        None => {
            let why =
                format!("the LAN has no port '{}'; it has: {}", keep.unwrap_or(""), lan.ports.join(", "));
            return wrong(lan.section, &why);
        }
    }
    Ok(lan)
}

/// The VLAN that a device is of: by its number in `eth0.1`; the first one where the switch gives it without a tag.
fn vlan_of<'a>(network: &'a Package, device: &str) -> Option<&'a Section> {
    let number = device.split_once('.').map_or("1", |(_, number)| number);
    network
        .sections_of("switch_vlan")
        .find(|vlan| text(vlan, "vlan") == number || text(vlan, "vid") == number)
}

/// The processor's port is tagged; where it is not, it is the one that is in another VLAN of the switch too.
fn is_cpu(network: &Package, vlan: &Section, port: &str) -> bool {
    let others = || network.sections_of("switch_vlan").filter(|other| other.line != vlan.line);
    port.ends_with('t')
        || others().any(|other| {
            text(other, "device") == text(vlan, "device") && words(other, "ports").contains(&port)
        })
}
