//! USB devices and their serial ports, as sysfs has them; and who else may want them.

use std::fs;
use std::path::{Path, PathBuf};

use crate::modem::ports::Candidate;

/// A device on the USB bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsbDevice {
    /// Who made it.
    pub vendor: u16,
    /// What it is; a modem has another one in another mode.
    pub product: u16,
}

fn devices_dir(root: &Path) -> PathBuf {
    root.join("sys/bus/usb/devices")
}

/// What is on the bus, in order: devices, and their interfaces, which are none. Nothing where the kernel has no USB. `root`
/// is the system's root directory.
pub fn places(root: &Path) -> Vec<String> {
    names(&devices_dir(root))
}

/// The device of this place: "1-1.4" is port 4 of the hub in port 1 of bus 1. None for interfaces (with ':' in their names),
/// hubs' ports, and where there is none.
pub fn device(root: &Path, place: &str) -> Option<UsbDevice> {
    let dir = devices_dir(root).join(place);
    let [vendor, product] = ["idVendor", "idProduct"].map(|file| hex(&dir, file));
    Some(UsbDevice { vendor: vendor?, product: product? })
}

/// The serial ports of the device of this place: the children of its interfaces, `ttyUSB2` of usb-serial's drivers and
/// `tty/ttyACM0` of cdc_acm.
pub fn serial_ports(root: &Path, place: &str) -> Vec<Candidate> {
    let mut ports = Vec::new();
    let start = [place, ":"].concat();
    for name in places(root) {
        if !name.starts_with(&start) {
            continue;
        }
        let dir = devices_dir(root).join(name);
        // One that is just going has no numbers any more.
        let number = |file| hex(&dir, file).and_then(|number| u8::try_from(number).ok()).unwrap_or(0);
        let interface = number("bInterfaceNumber");
        let class = ["bInterfaceClass", "bInterfaceSubClass", "bInterfaceProtocol"].map(number);
        let mut ttys = names(&dir);
        ttys.append(&mut names(&dir.join("tty")));
        for tty in ttys {
            if tty.starts_with("ttyUSB") || tty.starts_with("ttyACM") {
                ports.push(Candidate { tty, interface, class });
            }
        }
    }
    ports
}

/// The place of the USB device that this serial port belongs to, links like those of /dev/serial/by-id followed.
pub fn place_of(root: &Path, port: &Path) -> Option<String> {
    let port = fs::canonicalize(port).ok()?;
    let device = fs::canonicalize(root.join("sys/class/tty").join(port.file_name()?).join("device")).ok()?;
    // The last directory of an interface ("1-1:1.2"); buses before it may have such names too.
    let mut parts = device.iter().rev().filter_map(|part| part.to_str());
    let (place, _) = parts.find_map(|part| part.split_once(':'))?;
    Some(place.to_owned())
}

/// Whether RUTOS's gsmd, to which the modems of its routers belong, runs or is going to.
pub fn has_gsmd(root: &Path) -> bool {
    if root.join("etc/init.d/gsmd").exists() {
        return true;
    }
    let proc = root.join("proc");
    // Others than processes have no such file.
    let is_gsmd = |name: String| fs::read(proc.join(name).join("comm")).is_ok_and(|comm| comm == b"gsmd\n");
    names(&proc).into_iter().any(is_gsmd)
}

/// What is in a directory, in order; nothing if it cannot be read, as when its device is just going.
pub(super) fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if let Ok(name) = entry.file_name().into_string() {
            let at = names.partition_point(|before| *before < name);
            names.insert(at, name);
        }
    }
    names
}

/// The hexadecimal number that is in a file.
fn hex(dir: &Path, file: &str) -> Option<u16> {
    u16::from_str_radix(fs::read_to_string(dir.join(file)).ok()?.trim(), 16).ok()
}

#[cfg(test)]
mod tests;
