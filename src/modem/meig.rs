//! MeiG: `AT+SER`, after which the modem restarts by itself.
//!
//! Numbers mean other modes on other chips, so those of a model that nobody has written down are not guessed. Sources:
//! what RUTOS's gsmd sends, users' reports, drivers/usb/serial/option.c (ids, interfaces).

use super::{Family, Id, Mode, Model, Modes};

const QUALCOMM: Modes = &[(1, Mode::Qmi), (2, Mode::Ecm), (3, Mode::Rndis), (7, Mode::Mbim)];
/// SLM770A.
const ASR: Modes = &[(2, Mode::Ecm), (3, Mode::Rndis)];
/// SRM821.
const UNISOC: Modes = &[(1, Mode::Ncm), (2, Mode::Ecm), (3, Mode::Rndis)];

/// The row of the table.
pub const FAMILY: Family = Family {
    name: "meig",
    maker: "MeiG",
    says: "meig",
    // Qualcomm's own vendor id, of which one product is MeiG's; Unisoc's, of which SRM821 is one.
    ids: &[Id::Vendor(0x2dee), Id::Product(0x05c6, 0xf601), Id::Some(0x1782)],
    query: "AT+SER?",
    answer: "+SER:",
    // The second number has it kept.
    set: ["AT+SER=", ",1"],
    reset: None,
    models: &[
        // 4d57 is RNDIS, 4d58 ECM. Interface 2 is for diagnosis, 4 another one for AT commands.
        Model { names: &["SLM770A"], products: &[0x4d57, 0x4d58], at_interface: 3, modes: ASR },
        Model { names: &["SRM821"], products: &[], at_interface: 3, modes: UNISOC },
        Model { names: &["SLM750"], products: &[0xf601], at_interface: 1, modes: QUALCOMM },
        // With RNDIS on interfaces 0 and 1, and 2 for diagnosis.
        Model { names: &[], products: &[0x4d38], at_interface: 3, modes: QUALCOMM },
        // 4d22 is QMI, 4d23 ECM, 4d53 and 4d59 MBIM.
        Model {
            names: &["SRM815", "SRM825", "SLM828"],
            products: &[0x4d02, 0x4d22, 0x4d23, 0x4d53, 0x4d59],
            at_interface: 2,
            modes: QUALCOMM,
        },
    ],
    other: Model { names: &[], products: &[], at_interface: 2, modes: &[] },
};
