//! Which of a modem's serial ports takes AT commands.

/// One of a modem's serial ports, as sysfs has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The tty's name: "ttyUSB2".
    pub tty: String,
    /// The number of its USB interface.
    pub interface: u8,
    /// Class, subclass and protocol of the interface.
    pub class: [u8; 3],
}

/// More ports than any modem has that is worth asking.
const MOST: usize = 6;

/// Diagnosis, and positions (NMEA), on Qualcomm's newer chips; the first may hang whoever closes it.
const NOT_AT: [u8; 2] = [0x30, 0x60];
/// AT commands, there.
const AT: u8 = 0x40;
/// The last rank that is asked.
const REST: u8 = 3;

/// The ports worth asking, the likeliest first: what says of itself that it is one, what is known to be one, and the
/// rest but for those that say that they are something else.
pub fn ranked(ports: &[Candidate], at_interface: u8) -> Vec<&Candidate> {
    let rank = |port: &Candidate| match (port.class, port.interface == at_interface) {
        ([0xff, _, AT], true) => 0,
        ([0xff, _, AT], false) => 1,
        ([0xff, _, protocol], _) if NOT_AT.contains(&protocol) => REST + 1,
        (_, true) => 2,
        _ => REST,
    };
    let mut ranked = Vec::new();
    // There are few of them, and a sort is 2 KB on MIPS.
    for wanted in 0..=REST {
        for interface in 0..=u8::MAX {
            let is_next = |port: &&Candidate| port.interface == interface && rank(port) == wanted;
            ranked.extend(ports.iter().filter(is_next));
        }
    }
    ranked.truncate(MOST);
    ranked
}
