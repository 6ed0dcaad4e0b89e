//! Modems: how to ask one for its USB network mode and how to set it, by maker. No I/O of its own, never a panic on
//! what a modem says.
//!
//! A family is one small file (its ids, its question, its order, its models) and a row in [`FAMILIES`].

pub mod at;
pub mod dialogue;
mod meig;
pub mod ports;
mod quectel;

#[cfg(test)]
mod tests;

use std::str::FromStr;

/// What a modem is on the USB bus, as far as networks go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Qualcomm's own: qmi_wwan, with a control protocol on /dev/cdc-wdmN.
    Qmi,
    /// An Ethernet card (cdc_ether); the modem is a router with DHCP.
    Ecm,
    /// The USB forum's for mobile networks: cdc_mbim, with a control protocol on /dev/cdc-wdmN.
    Mbim,
    /// Microsoft's Ethernet card (rndis_host); the modem is a router with DHCP.
    Rndis,
    /// A faster Ethernet card (cdc_ncm); the modem is a router with DHCP.
    Ncm,
}

/// Every mode, by the name that people know it by.
const NAMES: [(Mode, &str); 5] = [
    (Mode::Qmi, "qmi"),
    (Mode::Ecm, "ecm"),
    (Mode::Mbim, "mbim"),
    (Mode::Rndis, "rndis"),
    (Mode::Ncm, "ncm"),
];

impl Mode {
    /// Its name.
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(mode, _)| *mode == self).map_or("", |(_, name)| name)
    }
}

impl FromStr for Mode {
    type Err = String;

    fn from_str(text: &str) -> Result<Mode, String> {
        let known = NAMES.iter().find(|(_, name)| *name == text);
        known
            .map(|(mode, _)| *mode)
            .ok_or_else(|| ["'", text, "' is none of qmi, ecm, mbim, rndis, ncm"].concat())
    }
}

/// What a model has: the number by which it knows each mode.
pub type Modes = &'static [(u16, Mode)];

/// Models of a family that are alike.
pub struct Model {
    /// How their names (AT+CGMM) begin.
    pub names: &'static [&'static str],
    /// Their product ids on USB, for when one does not tell its name.
    pub products: &'static [u16],
    /// The USB interface whose port takes AT commands.
    pub at_interface: u8,
    /// Their modes; empty where nobody has written them down.
    pub modes: Modes,
}

/// A maker's modems, which take the same commands.
pub struct Family {
    /// As options have it.
    pub name: &'static str,
    /// As people write it.
    pub maker: &'static str,
    /// What its answer to AT+CGMI has in it, in small letters.
    pub says: &'static str,
    /// Its ids on USB: vendor, and the product where the vendor's are other makers' too. A vendor that is shared, and
    /// whose products nobody has written down, is asked who it is.
    pub ids: &'static [Id],
    /// Asks for the mode.
    pub query: &'static str,
    /// How the answer begins; the mode's number follows.
    pub answer: &'static str,
    /// What stands before and after the number in the order that sets it.
    pub set: [&'static str; 2],
    /// The order that starts the modem anew, for those that do not do so by themselves once the mode is set.
    pub reset: Option<&'static str>,
    /// The models that are known to differ, the most special first.
    pub models: &'static [Model],
    /// What any other model is taken for.
    pub other: Model,
}

/// One of a family's ids.
pub enum Id {
    /// All of the vendor's products are this family's.
    Vendor(u16),
    /// This product of a vendor of chips.
    Product(u16, u16),
    /// Some of the vendor's products are this family's: who it is tells the modem.
    Some(u16),
}

/// Every family.
pub const FAMILIES: [&Family; 2] = [&quectel::FAMILY, &meig::FAMILY];

/// The family of a name on the command line.
pub fn named(name: &str) -> Option<&'static Family> {
    FAMILIES.into_iter().find(|family| family.name == name)
}

/// The family whose modem answers AT+CGMI so.
pub fn made_by(maker: &str) -> Option<&'static Family> {
    let maker = maker.to_ascii_lowercase();
    FAMILIES.into_iter().find(|family| maker.contains(family.says))
}

/// The family of a USB device, and whether the device has to say itself that it is of it.
pub fn of_usb(vendor: u16, product: u16) -> Option<(&'static Family, bool)> {
    for family in FAMILIES {
        for id in family.ids {
            match *id {
                Id::Vendor(v) if v == vendor => return Some((family, false)),
                Id::Product(v, p) if (v, p) == (vendor, product) => return Some((family, false)),
                Id::Some(v) if v == vendor => return Some((family, true)),
                _ => {}
            }
        }
    }
    None
}

impl Family {
    /// The model that calls itself `name`, or else the one of the product id; the general one where neither is known.
    pub fn model(&self, name: &str, product: Option<u16>) -> &Model {
        let is_called = |model: &&Model| {
            model
                .names
                .iter()
                .any(|start| name.get(..start.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(start)))
        };
        let is_product = |model: &&Model| product.is_some_and(|product| model.products.contains(&product));
        let called = self.models.iter().find(is_called);
        called.or_else(|| self.models.iter().find(is_product)).unwrap_or(&self.other)
    }

    /// The number in the rest of an answer to the query.
    pub fn number(&self, rest: &str) -> Option<u16> {
        // Another value may follow, as it does in the order.
        let number = rest.split(',').next()?.trim();
        let is_number = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
        number.parse().ok().filter(|_| is_number)
    }
}

impl Model {
    /// The mode of a number.
    pub fn mode(&self, number: u16) -> Option<Mode> {
        self.modes.iter().find(|(n, _)| *n == number).map(|(_, mode)| *mode)
    }

    /// The number of a mode.
    pub fn number(&self, mode: Mode) -> Option<u16> {
        self.modes.iter().find(|(_, m)| *m == mode).map(|(number, _)| *number)
    }

    /// Its modes' names, for people.
    pub fn names(&self) -> String {
        let names: Vec<&str> = self.modes.iter().map(|(_, mode)| mode.name()).collect();
        names.join(", ")
    }
}
