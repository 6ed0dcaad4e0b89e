//! Quectel: `AT+QCFG="usbnet"`, in effect after a reset of the modem.
//!
//! A number means the same on every model; which of them a model has differs by the maker of its chip. Sources: Quectel's
//! AT manuals, QModem's quectel.sh, drivers/usb/serial/option.c (ids, interfaces).

use super::{Family, Id, Mode, Model, Modes};

/// Qualcomm's chips: EC2x, EG2x, EP06, EM12, RM500Q, RM520N and all that is not named below.
const QUALCOMM: Modes = &[(0, Mode::Qmi), (1, Mode::Ecm), (2, Mode::Mbim), (3, Mode::Rndis)];
/// Unisoc's have no QMI.
const UNISOC: Modes = &[(1, Mode::Ecm), (2, Mode::Mbim), (3, Mode::Rndis), (5, Mode::Ncm)];

/// The row of the table.
pub const FAMILY: Family = Family {
    name: "quectel",
    maker: "Quectel",
    says: "quectel",
    ids: &[Id::Vendor(0x2c7c)],
    query: "AT+QCFG=\"usbnet\"",
    answer: "+QCFG: \"usbnet\",",
    set: ["AT+QCFG=\"usbnet\",", ""],
    reset: Some("AT+CFUN=1,1"),
    models: &[
        // Interfaces 0 and 1 are the network's, 2 is for diagnosis, 3 for logs.
        Model { names: &["RM500U", "RG500U", "RG200U"], products: &[0x0900], at_interface: 4, modes: UNISOC },
    ],
    // Interface 0 is for diagnosis, 1 for positions, 3 another one for AT commands, often PPP's.
    other: Model { names: &[], products: &[], at_interface: 2, modes: QUALCOMM },
};
