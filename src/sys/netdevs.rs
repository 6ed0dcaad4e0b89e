//! What sysfs tells of network devices and of the USB devices that they are on.

use std::fs;
use std::path::{Path, PathBuf};

use super::files;
use super::usb::names;
use crate::setup::device::{Netdev, Usb};

/// ARPHRD_ETHER (include/uapi/linux/if_arp.h).
const ETHERNET: &str = "1";
/// Where usbmuxd keeps that a phone trusts this machine: a file for each, with its serial number for a name.
const TRUSTS: &str = "var/lib/lockdown";
/// By which usbmuxd answers.
const USBMUXD: &str = "var/run/usbmuxd";

/// The device of this name on the system whose root directory this is; `None` if there is none.
pub fn look(root: &Path, name: &str) -> Option<Netdev> {
    let dir = root.join("sys/class/net").join(name);
    let kind = line(&dir.join("type"))?;
    let mut netdev = Netdev {
        name: name.to_string(),
        ethernet: kind == ETHERNET,
        wireless: files::exists(&dir.join("phy80211")) || files::exists(&dir.join("wireless")),
        conduit: files::exists(&dir.join("dsa")),
        // It cannot be read while the device is down.
        carrier: line(&dir.join("carrier")).is_some_and(|carrier| carrier == "1"),
        ..Netdev::default()
    };
    let Ok(device) = fs::canonicalize(dir.join("device")) else { return Some(netdev) };
    netdev.driver = last(fs::read_link(device.join("driver")).unwrap_or_default());
    netdev.control = names(&device.join("usbmisc")).into_iter().find(|name| name.starts_with("cdc-wdm"));
    netdev.usb = usb(root, &device);
    netdev.path = below(root, &device, "sys/devices");
    Some(netdev)
}

/// All of them.
pub fn all(root: &Path) -> Vec<Netdev> {
    names(&root.join("sys/class/net")).iter().filter_map(|name| look(root, name)).collect()
}

/// The network device beside a modem's file `cdc-wdm0`.
pub fn of_control(root: &Path, control: &str) -> Option<String> {
    let net = root.join("sys/class/usbmisc").join(control).join("device/net");
    names(&net).into_iter().next()
}

/// Whether usbmuxd runs, and whether the phone with this serial number trusts this machine. What newer phones say of
/// themselves has a dash behind the eighth digit in the file's name.
pub fn trust(root: &Path, serial: &str) -> (bool, bool) {
    let dir = root.join(TRUSTS);
    let has = |name: &str| files::exists(&dir.join([name, ".plist"].concat()));
    let dashed = serial.split_at_checked(8).map(|(start, rest)| [start, "-", rest].concat());
    let paired = has(serial) || dashed.is_some_and(|name| has(&name));
    (files::exists(&root.join(USBMUXD)), paired)
}

/// What the owners of iPhones that are plugged in have to do.
pub fn phone_notes(root: &Path) -> Vec<String> {
    let note = |netdev: Netdev| phone_note(root, &netdev);
    all(root).into_iter().filter_map(note).collect()
}

/// The same of one device.
pub fn phone_note(root: &Path, netdev: &Netdev) -> Option<String> {
    let (has_usbmuxd, is_paired) = trust(root, &netdev.usb.as_ref()?.serial);
    netdev.phone_note(has_usbmuxd, is_paired)
}

/// The USB device that this device is of: the one above it that has a vendor's number.
fn usb(root: &Path, device: &Path) -> Option<Usb> {
    let mut interface = device;
    let mut dir = device.parent()?;
    loop {
        if let Some(vendor) = line(&dir.join("idVendor")) {
            return Some(Usb {
                vendor,
                product: line(&dir.join("idProduct")).unwrap_or_default(),
                serial: line(&dir.join("serial")).unwrap_or_default(),
                port: last(dir.to_path_buf()),
                interface: last(interface.to_path_buf()),
                path: ["/sys/devices/", &below(root, dir, "sys/devices")].concat(),
            });
        }
        (interface, dir) = (dir, dir.parent()?);
        if dir == root {
            return None;
        }
    }
}

/// The first line of a file.
fn line(path: &Path) -> Option<String> {
    let text = String::from_utf8_lossy(&fs::read(path).ok()?).into_owned();
    Some(text.lines().next().unwrap_or_default().trim().to_string())
}

/// The last component of a path.
fn last(path: PathBuf) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The path below a directory of the root's.
fn below(root: &Path, path: &Path, dir: &str) -> String {
    let dir = fs::canonicalize(root.join(dir)).unwrap_or_default();
    path.strip_prefix(&dir).unwrap_or(path).to_string_lossy().into_owned()
}
