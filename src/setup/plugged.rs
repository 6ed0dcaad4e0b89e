//! What becomes of a device that was plugged in: a network of its own, which it has again when it is back, whatever name
//! it has by then and whatever port it is in.
//!
//! A network says by the option `bsbf_id` which device it is for; netifd passes over options that it does not know.

use super::plan::zone;
use crate::wire::uci::batch::Batch;
use crate::wire::uci::edits::{Edits, text, words};
use crate::wire::uci::{Package, Section};

/// The files, in the order in which they come and are committed. Where there is no firewall the first is enough.
pub const PACKAGES: [&str; 2] = ["network", "firewall"];

const ID: &str = "bsbf_id";
/// Of networks as the system brings them up: the manager has those from 9 up.
const METRICS: std::ops::RangeInclusive<u32> = 1..=8;
/// A network of a longer name than a device's cannot be named in the manager's settings.
const LONGEST: usize = 15;

/// A device that a network can be made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Of its network device.
    pub name: String,
    /// What it is known by; two of the same make may have one in common.
    pub id: String,
    /// Where it is, which tells those two apart.
    pub place: String,
    /// The network's protocol.
    pub proto: &'static str,
    /// The option by which the network names it, and the value.
    pub bound: (&'static str, String),
}

/// What is to be done for a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing: it is in use in a way that somebody has set up.
    InUse(String),
    /// It has this network, once these lines are done; there are none if it has it already.
    Network {
        /// The network's name.
        name: String,
        /// Lines for `uci batch`.
        batch: Batch,
        /// It is to come up by itself (`auto`, `disabled`).
        comes_up: bool,
    },
}

/// What is to be done for `device`, where `present` are all that are there now, and modems connect to `apn`.
///
/// # Errors
/// Why no network can be made for it: nothing may be changed then.
pub fn plan(files: &[Package], device: &Device, present: &[Device], apn: &str) -> Result<Verdict, String> {
    let Some((network, firewall)) = files.split_first() else { return Err("no settings".to_string()) };
    let own = own(network, device, present);
    if own.is_none()
        && let Some(user) = user(network, device)
    {
        return Ok(Verdict::InUse(user));
    }
    let mut batch = Batch::default();
    let mut edits = Edits { name: "network", package: network, batch: &mut batch };
    let (option, value) = (device.bound.0, device.bound.1.as_str());
    // The name was that of a device that is not here now, or that has another.
    for section in network.sections_of("interface") {
        let is_own = own.is_some_and(|own| own.name == section.name);
        if !is_own && section.option(ID).is_some() && text(section, option) == value {
            edits.batch.delete(&["network.", &section.name, ".", option].concat());
        }
    }
    let (name, comes_up) = match own {
        Some(section) => {
            edits.set(section, &[(option, value)]);
            if is_cellular(device.proto) {
                edits.set(section, &[("proto", device.proto)]);
                // What named it before the system's script took paths, or took them no more.
                let other = if option == "device" { "devpath" } else { "device" };
                if section.option(other).is_some() {
                    edits.batch.delete(&["network.", &section.name, ".", other].concat());
                }
            }
            let is_off = text(section, "auto") == "0" || text(section, "disabled") == "1";
            if section.option(ID).is_some() {
                return Ok(Verdict::Network { name: section.name.clone(), batch, comes_up: !is_off });
            }
            // Of the old script: from now on it is known by more than its name.
            edits.set(section, &[(ID, &device.id)]);
            (section.name.clone(), !is_off)
        }
        None => (make(&mut edits, device, apn)?, true),
    };
    if let [firewall, ..] = firewall {
        zone(&mut Edits { name: "firewall", package: firewall, batch: &mut batch }, &[&name], &[])?;
    }
    Ok(Verdict::Network { name, batch, comes_up })
}

/// A network that [`plan`] made is no more, and its metric is free. Gives the lines.
///
/// # Errors
/// There is none of this name, or somebody else made it.
pub fn forget(files: &[Package], name: &str) -> Result<Batch, String> {
    let Some((network, firewall)) = files.split_first() else { return Err("no settings".to_string()) };
    let Some(section) = network.section(name) else { return Err("there is no such network".to_string()) };
    if section.option(ID).is_none() {
        return Err("it was not made by this command; 'uci delete' removes any".to_string());
    }
    let mut batch = Batch::default();
    batch.delete(&["network.", name].concat());
    if let [firewall, ..] = firewall {
        // Without a zone there is nothing to leave.
        let _ = zone(&mut Edits { name: "firewall", package: firewall, batch: &mut batch }, &[], &[name]);
    }
    Ok(batch)
}

/// The network that is the device's.
fn own<'a>(network: &'a Package, device: &Device, present: &[Device]) -> Option<&'a Section> {
    let networks = || network.sections_of("interface").filter(|section| of_kind(section, device));
    let with_id = |id: &str| networks().find(|section| text(section, ID) == id);
    let of_place = |device: &Device| with_id(&[&device.id, "@", &device.place].concat());
    if let Some(section) = of_place(device) {
        return Some(section);
    }
    if let Some(section) = with_id(&device.id) {
        // Unless it is that of one that says it is the same: cheap ones have all one serial number.
        let has_it = |other: &&Device| {
            other.place != device.place
                && other.id == device.id
                && text(section, other.bound.0) == other.bound.1
                && of_place(other).is_none()
        };
        return present.iter().find(has_it).is_none().then_some(section);
    }
    // As bsbf-usb-netdev-autodhcp made them when it was a script.
    let old = ["wan_", &plain(&device.name)].concat();
    let is_old = |section: &&Section| {
        section.name == old && section.option(ID).is_none() && text(section, "device") == device.name
    };
    networks().find(is_old)
}

/// A modem that is switched between QMI and MBIM keeps its network; as a network card it has another.
fn of_kind(section: &Section, device: &Device) -> bool {
    is_cellular(text(section, "proto")) == is_cellular(device.proto)
}

fn is_cellular(proto: &str) -> bool {
    matches!(proto, "mbim" | "qmi")
}

/// Who uses the device by settings that are not this module's: a network, a bridge, a VLAN.
fn user(network: &Package, device: &Device) -> Option<String> {
    let names = |word: &str| {
        // `lan1:u*` in a bridge's VLANs; `eth0.2` is a VLAN of eth0.
        let word = word.split(':').next().unwrap_or_default();
        let below =
            word.strip_prefix(&device.name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        below || word == device.bound.1
    };
    let uses = |section: &&Section| {
        let options: &[&str] = match section.kind.as_str() {
            "interface" if section.option(ID).is_some() => &[],
            "interface" => &["device", "ifname", "devpath"],
            "device" | "bridge-vlan" => &["ports", "ifname"],
            _ => &[],
        };
        options.iter().any(|option| words(section, option).into_iter().any(names))
    };
    let section = network.sections.iter().find(uses)?;
    let name = match section.kind.as_str() {
        "device" => text(section, "name"),
        "bridge-vlan" => text(section, "device"),
        _ => &section.name,
    };
    Some(["the ", &section.kind, " ", name].concat())
}

/// A new network; gives its name.
fn make(edits: &mut Edits, device: &Device, apn: &str) -> Result<String, String> {
    let network = edits.package;
    let metric = metric(network)?;
    let name = free_name(network, device);
    let is_taken = |id: &str| network.sections_of("interface").any(|section| text(section, ID) == id);
    let id = match is_taken(&device.id) {
        true => [&device.id, "@", &device.place].concat(),
        false => device.id.clone(),
    };
    let mut options = vec![
        ("proto", device.proto),
        (device.bound.0, device.bound.1.as_str()),
        ("metric", metric.as_str()),
        ("peerdns", "0"),
        (ID, id.as_str()),
    ];
    if is_cellular(device.proto) {
        options.push(("apn", apn));
    }
    // RUTOS tells its own pages by it what an interface is for.
    if network.section("lan").is_some_and(|lan| lan.option("area_type").is_some()) {
        options.push(("area_type", "wan"));
    }
    edits.make(&name, "interface", &options)?;
    Ok(name)
}

/// The lowest that nobody has. DHCPv6's is another family's.
fn metric(network: &Package) -> Result<String, String> {
    let mut taken = "all metrics from 1 to 8 are taken:".to_string();
    for metric in METRICS {
        let metric = metric.to_string();
        let has_it =
            |section: &&Section| text(section, "metric") == metric && text(section, "proto") != "dhcpv6";
        match network.sections_of("interface").find(has_it) {
            Some(section) => taken += &[" ", &metric, " ", &section.name, ","].concat(),
            None => return Ok(metric),
        }
    }
    taken.pop();
    Err(taken + "; --forget NETWORK frees that of a device that does not come back")
}

fn free_name(network: &Package, device: &Device) -> String {
    let is_free = |name: &String| network.section(name).is_none();
    if is_cellular(device.proto) {
        // Preferably the device's own name: settings may name either, and would mean two modems.
        let all = (0..).map(|number: u32| ["wwan", &number.to_string()].concat());
        let own = device.name.starts_with("wwan").then(|| device.name.clone());
        return own.into_iter().chain(all).find(is_free).unwrap_or_default();
    }
    // What tells two apart is at the end: `enx001122334455`.
    let mut end = plain(&device.name);
    end.drain(..end.len().saturating_sub(LONGEST - "wan_".len()));
    let name = ["wan_", &end].concat();
    let more = (2..).map(|number: u32| {
        let number = ["_", &number.to_string()].concat();
        let room = LONGEST.saturating_sub(number.len());
        [name.get(..room).unwrap_or(&name), &number].concat()
    });
    [name.clone()].into_iter().chain(more).find(is_free).unwrap_or_default()
}

/// In letters that a section's name may have.
fn plain(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests;
