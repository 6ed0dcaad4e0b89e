//! A network device as sysfs tells of it: whether a DHCP client works on it, and what it is known by when it is back.

use super::plugged::Device;

/// What sysfs tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Netdev {
    /// Its name, `usb0`: the kernel's to give, and another one next time.
    pub name: String,
    /// Its driver's; empty for what is made of software.
    pub driver: String,
    /// Where the device is, below /sys/devices.
    pub path: String,
    /// The USB device that it is on.
    pub usb: Option<Usb>,
    /// The file of the same USB interface by which a modem is told to connect, `cdc-wdm0`.
    pub control: Option<String>,
    /// ARPHRD_ETHER: it carries Ethernet frames, so a DHCP client can ask by it.
    pub ethernet: bool,
    /// It is a radio's.
    pub wireless: bool,
    /// Ports of a switch are behind it, each with a device of its own (DSA).
    pub conduit: bool,
    /// Somebody is at the other end.
    pub carrier: bool,
}

/// What is known of a USB device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usb {
    /// idVendor, four hex digits.
    pub vendor: String,
    /// idProduct.
    pub product: String,
    /// iSerialNumber's text; empty if it has none.
    pub serial: String,
    /// The port: `1-1.2`.
    pub port: String,
    /// The interface: `1-1.2:1.0`.
    pub interface: String,
    /// Its directory, `/sys/devices/.../1-1.2`.
    pub path: String,
}

/// What a command makes networks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// USB devices that a DHCP client works on.
    UsbDhcp,
    /// Any device that a DHCP client works on.
    Dhcp,
    /// Modems that are told to connect by a file of their own.
    Cellular,
}

impl Netdev {
    /// The device as its network is to be made of it. `by_path` tells whether the system's script for a protocol takes the
    /// modem's path for its file, which has another number next time.
    ///
    /// # Errors
    /// Why this command makes no network of it, in words that follow "it".
    pub fn device(&self, taken: Taken, by_path: &dyn Fn(&str) -> bool) -> Result<Device, &'static str> {
        // Drivers of drivers/net/usb; what they have in common is no name of a device but how it is connected.
        let proto = match (self.driver.as_str(), &self.control) {
            ("", _) => return Err("is made of software"),
            _ if self.wireless => return Err("is a radio"),
            ("cdc_mbim", Some(_)) => "mbim",
            ("qmi_wwan", Some(_)) => "qmi",
            ("cdc_mbim" | "qmi_wwan", None) => return Err("is a modem without a file to tell it to connect"),
            (_, Some(_)) => return Err("has to be told to connect in a way that is not known here"),
            _ if !self.ethernet => return Err("carries no Ethernet frames"),
            _ if self.conduit => return Err("leads to the ports of a switch"),
            _ => "dhcp",
        };
        match (taken, proto) {
            (Taken::Cellular, "dhcp") => return Err("is no modem of the kind that is told to connect"),
            (Taken::UsbDhcp | Taken::Dhcp, "mbim" | "qmi") => {
                return Err("is a modem that is told to connect: bsbf-autoconf-cellular is for it");
            }
            (Taken::UsbDhcp, _) if self.usb.is_none() => return Err("is not on USB"),
            _ => {}
        }
        let (id, place) = match &self.usb {
            Some(usb) => (usb.id(), usb.interface.clone()),
            None => (self.path.clone(), self.path.clone()),
        };
        let bound = match (&self.control, &self.usb) {
            (Some(_), Some(usb)) if by_path(proto) => ("devpath", usb.path.clone()),
            (Some(control), _) => ("device", ["/dev/", control].concat()),
            (None, _) => ("device", self.name.clone()),
        };
        Ok(Device { name: self.name.clone(), id, place, proto, bound })
    }

    /// What the owner of an iPhone has to do before it carries anything. It gives an address only to whom it trusts, and
    /// only while its hotspot is on; until then its device has no carrier (drivers/net/usb/ipheth.c,
    /// `ipheth_carrier_set`).
    ///
    /// `has_usbmuxd`: the program runs that asks the phone for its trust; `is_paired`: it has been given.
    pub fn phone_note(&self, has_usbmuxd: bool, is_paired: bool) -> Option<String> {
        if self.driver != "ipheth" || self.carrier {
            return None;
        }
        let what = match (is_paired, has_usbmuxd) {
            (true, _) => "give no internet: switch its Personal Hotspot on",
            (false, true) => "not trust this router yet: unlock it and tap Trust",
            (false, false) => {
                "not trust this router, and usbmuxd, which would ask it to, does not run: install it"
            }
        };
        Some([&self.name, " is an iPhone that does ", what].concat())
    }
}

impl Usb {
    /// By its serial number, which goes with it from port to port, and stays when its product's number is another: a phone's
    /// is with every function that is switched on. Without one it is what it is and where.
    fn id(&self) -> String {
        let parts: &[&str] = match self.serial.as_str() {
            "" => &[&self.vendor, ":", &self.product, "@", &self.port],
            serial => &[&self.vendor, ":", serial],
        };
        // It becomes a value of the settings.
        let plain = |c: char| if c.is_ascii_graphic() { c } else { '_' };
        parts.concat().chars().map(plain).collect()
    }
}
