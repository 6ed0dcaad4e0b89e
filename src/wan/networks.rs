//! The system's networks (netifd's, /etc/config/network) and the devices that they have: settings may name either.

use super::settings::Settings;
use crate::types::IfName;

/// So many are remembered; a router with VLANs for every port has 50.
pub const MAX_NETWORKS: usize = 64;

/// A network. Its name has at most the length of a device's: others cannot be named in settings.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Network {
    name: IfName,
    device: IfName,
    up: bool,
}

/// What is known of them.
#[derive(Clone, Debug, Default)]
pub struct Networks(Vec<Network>);

impl Networks {
    /// A network has this device, and is up or not.
    pub fn set(&mut self, name: &IfName, device: &IfName, up: bool) {
        let network = Network { name: name.clone(), device: device.clone(), up };
        if let Some(known) = self.0.iter_mut().find(|known| known.name == *name) {
            *known = network;
        } else if self.0.len() < MAX_NETWORKS {
            self.0.push(network);
        }
    }

    /// A network goes down. Gives its device, and those of its children, unless another network that is up has it too, as
    /// DHCPv6 beside DHCP has.
    pub fn down(&mut self, name: &IfName) -> Vec<IfName> {
        let mut devices = Vec::new();
        for network in self.0.iter_mut().filter(|known| known.up && covers(name, &known.name)) {
            network.up = false;
            if !devices.contains(&network.device) {
                devices.push(network.device.clone());
            }
        }
        devices.retain(|device| !self.0.iter().any(|other| other.up && other.device == *device));
        devices
    }

    /// The settings with the devices of each network that they name, beside the name itself: it may be a device's too.
    pub fn resolve(&self, settings: &Settings) -> Settings {
        let mut resolved = settings.clone();
        let Settings { include, exclude, backup, metered, unmetered, .. } = &mut resolved;
        for list in [include, exclude, backup, metered, unmetered] {
            for network in &self.0 {
                let is_named = list.iter().any(|named| covers(named, &network.name));
                if is_named && !list.contains(&network.device) {
                    list.push(network.device.clone());
                }
            }
        }
        resolved
    }
}

/// It is the network, or one that netifd's modem protocols make for its IPv4 or IPv6, named so (qmi.sh, mbim.sh: `json_add_string
/// name "${interface}_4"`). On RUTOS these children alone have addresses: mob1s1a1_4 on qmimux0.
fn covers(named: &IfName, network: &IfName) -> bool {
    let rest = network.as_str().strip_prefix(named.as_str());
    matches!(rest, Some("" | "_4" | "_6"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> IfName {
        text.parse().unwrap()
    }

    fn networks(all: &[(&str, &str, bool)]) -> Networks {
        let mut networks = Networks::default();
        all.iter().for_each(|(network, device, up)| networks.set(&name(network), &name(device), *up));
        networks
    }

    #[test]
    fn settings_may_name_a_network_or_a_device() {
        let settings = Settings {
            backup: vec![name("wwan"), name("eth2")],
            metered: vec![name("mob1s1a1")],
            ..Settings::default()
        };
        let all = [("wan", "eth1", true), ("wwan", "wwan0", true), ("mob1s1a1", "qmimux0", false)];
        let resolved = networks(&all).resolve(&settings);
        assert_eq!(resolved.backup, ["wwan", "eth2", "wwan0"].map(name));
        assert_eq!(resolved.metered, ["mob1s1a1", "qmimux0"].map(name));
        assert_eq!(resolved.exclude, []);
        // A network of its device's name changes nothing, and one that moved is where it is now.
        let mut moved = networks(&[("eth2", "eth2", true), ("wwan", "wwan0", true)]);
        moved.set(&name("wwan"), &name("usb0"), true);
        assert_eq!(moved.resolve(&settings).backup, ["wwan", "eth2", "usb0"].map(name));
    }

    #[test]
    fn a_device_goes_with_its_last_network() {
        let mut networks =
            networks(&[("wan", "eth1", true), ("wan6", "eth1", true), ("wwan", "wwan0", false)]);
        assert_eq!(networks.down(&name("wan6")), [], "wan has it too");
        assert_eq!(networks.down(&name("wan")), ["eth1"].map(name));
        assert_eq!(networks.down(&name("wan")), [], "told twice");
        assert_eq!(networks.down(&name("wwan")), [], "was not up");
        assert_eq!(networks.down(&name("lan")), [], "never heard of");
    }

    /// Names and devices as RUTOS has them for a modem with two SIMs and for a port made a WAN.
    #[test]
    fn a_modems_network_stands_for_its_children() {
        let all = [
            ("wan", "eth1", true),
            ("ifWan2", "eth0.3", true),
            ("mob1s1a1", "wwan0", true),
            ("mob1s1a1_4", "qmimux0", true),
            ("mob1s1a1_6", "qmimux0", true),
            ("mob1s2a1_4", "qmimux1", true),
            ("mob1s1a12_4", "qmimux9", true),
        ];
        let mut networks = networks(&all);
        let settings = Settings {
            backup: vec![name("mob1s1a1"), name("ifWan2")],
            metered: vec![name("mob1s2a1")],
            exclude: vec![name("mob1s1a1_4"), name("wan_")],
            ..Settings::default()
        };
        let resolved = networks.resolve(&settings);
        assert_eq!(resolved.backup, ["mob1s1a1", "ifWan2", "eth0.3", "wwan0", "qmimux0"].map(name));
        assert_eq!(resolved.metered, ["mob1s2a1", "qmimux1"].map(name));
        assert_eq!(resolved.exclude, ["mob1s1a1_4", "wan_", "qmimux0"].map(name));

        assert_eq!(networks.down(&name("mob1s1a1_6")), [], "its IPv4 has it too");
        assert_eq!(networks.down(&name("mob1s1a1")), ["wwan0", "qmimux0"].map(name));
        assert_eq!(networks.down(&name("mob1s1a1_4")), [], "told by netifd afterwards");
    }

    #[test]
    fn memory_has_an_end() {
        let mut networks = Networks::default();
        for i in 0..200 {
            networks.set(&name(&format!("n{i}")), &name("eth0"), true);
        }
        assert_eq!(networks.0.len(), MAX_NETWORKS);
        networks.set(&name("n3"), &name("eth9"), true);
        assert_eq!(networks.0[3].device, name("eth9"));
    }
}
