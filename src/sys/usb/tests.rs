//! Trees as sysfs has them, below a directory of the test's own.

use std::os::unix::fs::symlink;
use std::path::PathBuf;

use super::*;
use crate::modem::{named, ports};

/// A root directory that goes when the test ends.
struct Root(PathBuf);

impl Root {
    fn new(name: &str) -> Root {
        let root = Root(std::env::temp_dir().join(format!("bsbf-usb-{name}-{}", std::process::id())));
        fs::create_dir_all(root.0.join("sys/bus/usb/devices")).unwrap();
        fs::create_dir_all(root.0.join("sys/class/tty")).unwrap();
        fs::create_dir_all(root.0.join("dev")).unwrap();
        root
    }

    /// A device on bus 1, where the kernel has it, and the link that /sys/bus has of it.
    fn device(&self, place: &str, vendor: &str, product: &str) -> PathBuf {
        let dir = self.0.join("sys/devices/platform/1e1c0000.xhci/usb1").join(place);
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("idVendor"), format!("{vendor}\n")).unwrap();
        fs::write(dir.join("idProduct"), format!("{product}\n")).unwrap();
        symlink(&dir, self.0.join("sys/bus/usb/devices").join(place)).unwrap();
        dir
    }

    /// An interface of it, with a port below it at this path.
    fn interface(&self, place: &str, number: u8, class: &str, port: Option<&str>) {
        let name = format!("{place}:1.{number}");
        let device = fs::canonicalize(self.0.join("sys/bus/usb/devices").join(place)).unwrap();
        let dir = device.join(&name);
        fs::create_dir_all(&dir).unwrap();
        let words: Vec<&str> = class.split('/').collect();
        fs::write(dir.join("bInterfaceNumber"), format!("{number:02x}\n")).unwrap();
        fs::write(dir.join("bInterfaceClass"), format!("{}\n", words[0])).unwrap();
        fs::write(dir.join("bInterfaceSubClass"), format!("{}\n", words[1])).unwrap();
        fs::write(dir.join("bInterfaceProtocol"), format!("{}\n", words[2])).unwrap();
        symlink(&dir, self.0.join("sys/bus/usb/devices").join(&name)).unwrap();
        if let Some(port) = port {
            let port = dir.join(port);
            fs::create_dir_all(&port).unwrap();
            // As the kernel's own links have it: of the class to the tty, of the tty to what it is a port of.
            let tty = port.join("tty").join(port.file_name().unwrap());
            let (tty, owner) =
                if port.parent().unwrap().ends_with("tty") { (port, dir) } else { (tty, port) };
            fs::create_dir_all(&tty).unwrap();
            symlink(owner, tty.join("device")).unwrap();
            fs::write(self.0.join("dev").join(tty.file_name().unwrap()), "").unwrap();
            symlink(&tty, self.0.join("sys/class/tty").join(tty.file_name().unwrap())).unwrap();
        }
    }

    /// The names of the ports, in the order in which they are asked.
    fn asked(&self, place: &str, at_interface: u8) -> Vec<String> {
        let found = serial_ports(&self.0, place);
        ports::ranked(&found, at_interface).into_iter().map(|port| port.tty.clone()).collect()
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Diagnosis, positions, AT, PPP, network: EC25, whose interfaces say nothing of themselves.
#[test]
fn the_known_interface_is_asked_first_and_names_do_not_matter() {
    let root = Root::new("ec25");
    root.device("1-1.4", "2c7c", "0125");
    // Another modem was there before and took the first names.
    for (number, port) in [(0, "ttyUSB7"), (1, "ttyUSB4"), (2, "ttyUSB9"), (3, "ttyUSB5")] {
        root.interface("1-1.4", number, "ff/00/00", Some(port));
    }
    root.interface("1-1.4", 4, "ff/ff/ff", None);
    assert_eq!(root.asked("1-1.4", 2), ["ttyUSB9", "ttyUSB7", "ttyUSB4", "ttyUSB5"]);
    let device = device(&root.0, "1-1.4").unwrap();
    assert_eq!(device, UsbDevice { vendor: 0x2c7c, product: 0x0125 });
    assert_eq!(named("quectel").unwrap().model("", Some(device.product)).at_interface, 2);
}

/// RM520N, SRM825L: what is for diagnosis says so, and closing it may hang.
#[test]
fn what_says_that_it_is_something_else_is_not_asked() {
    let root = Root::new("rm520n");
    root.device("2-1", "2c7c", "0801");
    for (number, class) in [(0, "ff/ff/30"), (1, "ff/00/60"), (2, "ff/00/40"), (3, "ff/00/40")] {
        root.interface("2-1", number, class, Some(&format!("ttyUSB{number}")));
    }
    assert_eq!(root.asked("2-1", 2), ["ttyUSB2", "ttyUSB3"]);
    assert_eq!(root.asked("2-1", 3), ["ttyUSB3", "ttyUSB2"]);
    // What it says of itself counts more than what is written of its model.
    assert_eq!(root.asked("2-1", 1), ["ttyUSB2", "ttyUSB3"]);
}

#[test]
fn ports_of_cdc_acm_stand_one_directory_deeper() {
    let root = Root::new("acm");
    root.device("1-2", "1782", "4d00");
    root.interface("1-2", 0, "02/02/01", Some("tty/ttyACM0"));
    root.interface("1-2", 2, "ff/00/00", Some("ttyUSB0"));
    assert_eq!(root.asked("1-2", 2), ["ttyUSB0", "ttyACM0"]);
    assert_eq!(place_of(&root.0, &root.0.join("dev/ttyACM0")).as_deref(), Some("1-2"));
}

#[test]
fn a_device_is_not_mixed_up_with_its_neighbours() {
    let root = Root::new("neighbours");
    for (place, first) in [("1-1", 0), ("1-1.1", 4), ("1-11", 8)] {
        root.device(place, "2c7c", "0125");
        for number in 0..4 {
            root.interface(place, number, "ff/00/00", Some(&format!("ttyUSB{}", first + number)));
        }
    }
    assert_eq!(root.asked("1-1", 2), ["ttyUSB2", "ttyUSB0", "ttyUSB1", "ttyUSB3"]);
    assert_eq!(root.asked("1-1.1", 2)[0], "ttyUSB6");
    let devices: Vec<String> =
        places(&root.0).into_iter().filter(|place| device(&root.0, place).is_some()).collect();
    assert_eq!(devices, ["1-1", "1-1.1", "1-11"]);
    let by_id = root.0.join("dev/by-id");
    symlink("ttyUSB10", &by_id).unwrap();
    assert_eq!(place_of(&root.0, &by_id).as_deref(), Some("1-11"));
    assert_eq!(place_of(&root.0, Path::new("/dev/null")), None);
}

#[test]
fn a_system_without_usb_has_no_places() {
    let root = Path::new("/no/such/root");
    assert!(places(root).is_empty() && serial_ports(root, "1-1").is_empty() && !has_gsmd(root));
}

#[test]
fn gsmd_is_there_as_a_process_or_as_a_service() {
    let root = Root::new("gsmd");
    for (pid, comm) in [("1", "procd\n"), ("42", "gsmd2\n")] {
        fs::create_dir_all(root.0.join("proc").join(pid)).unwrap();
        fs::write(root.0.join("proc").join(pid).join("comm"), comm).unwrap();
    }
    assert!(!has_gsmd(&root.0));
    fs::write(root.0.join("proc/42/comm"), "gsmd\n").unwrap();
    assert!(has_gsmd(&root.0));
    fs::remove_dir_all(root.0.join("proc")).unwrap();
    fs::create_dir_all(root.0.join("etc/init.d")).unwrap();
    fs::write(root.0.join("etc/init.d/gsmd"), "").unwrap();
    assert!(has_gsmd(&root.0));
}
