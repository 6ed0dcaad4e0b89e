//! What only sysfs and the sysctls under /proc/sys tell.

use std::fs;
use std::io;
use std::path::Path;

use crate::types::IfName;

/// Drivers of modems and tethered phones (drivers/net/usb, drivers/net/wwan), where data is usually paid for.
const MODEM_DRIVERS: [&str; 9] = [
    "cdc_ether",
    "cdc_mbim",
    "cdc_ncm",
    "huawei_cdc_ncm",
    "ipheth",
    "mhi_net",
    "qmi_wwan",
    "rndis_host",
    "t7xx",
];

/// The device is a modem's or a phone's, by its driver; QMAP's children (qmimux) have none and are known by name.
pub fn is_modem(name: &IfName) -> bool {
    match driver(name) {
        Some(driver) => MODEM_DRIVERS.contains(&driver.as_str()),
        None => ["qmimux", "rmnet", "wwan"].iter().any(|prefix| name.as_str().starts_with(prefix)),
    }
}

/// The driver of a device; None for what is made of software.
pub fn driver(name: &IfName) -> Option<String> {
    let driver = fs::read_link(Path::new("/sys/class/net").join(name.as_str()).join("device/driver"));
    driver.ok().and_then(|d| Some(d.file_name()?.to_str()?.to_owned()))
}

/// The value of a sysctl, named by its path below /proc/sys; None where the kernel has none of that name.
pub fn sysctl(path: &str) -> io::Result<Option<String>> {
    match fs::read_to_string(Path::new("/proc/sys").join(path)) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        text => Ok(Some(text?.trim().replace('\t', " "))),
    }
}

/// Sets a sysctl, named by its path below /proc/sys. Gives false where the kernel has none of that name.
pub fn set_sysctl(path: &str, value: &str) -> io::Result<bool> {
    match fs::write(Path::new("/proc/sys").join(path), value) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        result => result.map(|()| true),
    }
}
