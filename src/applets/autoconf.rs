//! `bsbf-autoconf-dhcp`, `bsbf-autoconf-cellular` and `bsbf-usb-netdev-autodhcp`: a device that is plugged in becomes a WAN
//! by itself, and the same one when it is back.
//!
//! What its network is, and which device is which, is decided in `setup/plugged.rs` and `setup/device.rs`.

use std::cell::Cell;
use std::path::{Path, PathBuf};

use argh::FromArgs;

use crate::applet::{self, Applet};
use crate::config::edit::{self, Place};
use crate::error::{EXIT_DONE, EXIT_USAGE, Error, Outcome};
use crate::logging;
use crate::setup::device::{Netdev, Taken};
use crate::setup::plugged::{self, Device, PACKAGES, Verdict};
use crate::sys::environment::variable;
use crate::sys::{files, netdevs, ubus, usb};
use crate::wire::uci::Package;

/// For any device that a DHCP client works on.
pub const DHCP: Applet = Applet {
    name: "bsbf-autoconf-dhcp",
    summary: "Make a WAN of a network device by DHCP when it is plugged in",
    run: |words| applet::with_args("bsbf-autoconf-dhcp", words, |args| run(args, Taken::Dhcp)),
};

/// For modems.
pub const CELLULAR: Applet = Applet {
    name: "bsbf-autoconf-cellular",
    summary: "Make a WAN of a modem in MBIM or QMI mode when it is plugged in",
    run: |words| applet::with_args("bsbf-autoconf-cellular", words, |args| run(args, Taken::Cellular)),
};

/// The old name.
pub const USB: Applet = Applet {
    name: "bsbf-usb-netdev-autodhcp",
    summary: "Make a WAN of a phone or adapter on USB by DHCP when it is plugged in",
    run: |words| applet::with_args("bsbf-usb-netdev-autodhcp", words, |args| run(args, Taken::UsbDhcp)),
};

/// Make a WAN of a network device when it is plugged in: a network of its own, in the firewall's zone 'wan', with the lowest metric from 1 to 8 that is free. The same device has the same network when it is back, by its serial number.
#[derive(FromArgs)]
#[argh(
    example = "{command_name}                     # from /etc/hotplug.d/net\n{command_name} usb0                # by hand\n{command_name} --all --dry-run     # what would be done\n{command_name} --forget wan_usb0   # its metric is free again",
    note = "Without a device it reads ACTION and INTERFACE from the environment. What is set up in another way stays so; what is unplugged keeps its network.",
    note = "Modems connect to 'option apn' of a section 'config autoconf' in /etc/config/bsbf, else to 'internet'; a modem's own APN stands in its network.",
    note = "Exit codes: 0 done, or nothing to do; 1 a device has no network now: all metrics are taken, or the settings cannot be written; 2 wrong arguments; 4 another one is changing settings."
)]
struct Args {
    /// network devices, or a modem's cdc-wdm0
    #[argh(positional, arg_name = "device")]
    devices: Vec<String>,
    /// every such device that is there
    #[argh(switch)]
    all: bool,
    /// print what would be done, and change nothing
    #[argh(switch)]
    dry_run: bool,
    /// remove a network that this made
    #[argh(option, arg_name = "network")]
    forget: Option<String>,
    /// directory in which /etc, /tmp, /var and /sys are (default: /)
    #[argh(option, arg_name = "dir", default = "\"/\".into()")]
    root: PathBuf,
}

fn run(args: Args, taken: Taken) -> Outcome {
    logging::start_command(log::LevelFilter::Warn);
    let place = Place {
        dir: args.root.join("etc/config"),
        pending: args.root.join("tmp/.uci"),
        run_dir: args.root.join("var/run/bsbf"),
    };
    // Without a firewall there is no zone.
    let packages = match files::exists(&place.dir.join("firewall")) {
        true => &PACKAGES[..],
        false => &PACKAGES[..1],
    };
    let router = Router { root: &args.root, place, packages, taken, dry_run: args.dry_run };
    match (&args.forget, args.devices.as_slice(), args.all) {
        (Some(network), [], false) => router.forget(network),
        (None, [], true) => router.take_all(),
        (None, [_, ..], false) => router.take_named(&args.devices),
        (None, [], false) => router.take_event(),
        _ => Err(Error::new("do", "all of that", "devices, --all or --forget").with_exit(EXIT_USAGE)),
    }
}

struct Router<'a> {
    root: &'a Path,
    place: Place,
    packages: &'static [&'static str],
    taken: Taken,
    dry_run: bool,
}

impl Router<'_> {
    /// What the kernel says by the variables of a script of /etc/hotplug.d/net. A device that is renamed (`move`) is bound
    /// by its new name; of one that goes (`remove`) the manager hears from the kernel, and the network waits for its return.
    fn take_event(&self) -> Outcome {
        let [action, name] = ["ACTION", "INTERFACE"].map(variable);
        let (Some(action), Some(name)) = (action, name) else {
            let cause =
                "name a device, or --all; from a script of /etc/hotplug.d/net, ACTION and INTERFACE are set";
            return Err(Error::new("tell", "what was plugged in", cause).with_exit(EXIT_USAGE));
        };
        if !matches!(action.as_str(), "add" | "move") {
            return Ok(EXIT_DONE);
        }
        match netdevs::look(self.root, &name).map(|netdev| (self.device(&netdev), netdev)) {
            Some((Ok(device), netdev)) => self.take(&netdev, &device).map(|()| EXIT_DONE),
            // Events come for every device, also for those that are gone by now.
            _ => Ok(EXIT_DONE),
        }
    }

    fn take_all(&self) -> Outcome {
        let netdevs = netdevs::all(self.root);
        self.each(netdevs.iter().filter_map(|netdev| Some((netdev, Ok(self.device(netdev).ok()?)))))
    }

    fn take_named(&self, names: &[String]) -> Outcome {
        let mut found = Vec::new();
        for name in names {
            let of_control = || netdevs::of_control(self.root, name.trim_start_matches("/dev/"));
            let netdev = netdevs::look(self.root, name)
                .or_else(|| netdevs::look(self.root, &of_control()?))
                .ok_or_else(|| Error::new("make a WAN of", name, "there is no such device"))?;
            found.push(netdev);
        }
        let device = |netdev| {
            self.device(netdev)
                .map_err(|why| Error::new("make a WAN of", &netdev.name, ["it ", why].concat()))
        };
        self.each(found.iter().map(|netdev| (netdev, device(netdev))))
    }

    /// Each for itself: what is wrong with one is no reason to leave the others.
    fn each<'d>(&self, devices: impl Iterator<Item = (&'d Netdev, Result<Device, Error>)>) -> Outcome {
        let mut code = EXIT_DONE;
        for (netdev, device) in devices {
            if let Err(e) = device.and_then(|device| self.take(netdev, &device)) {
                applet::complain(&e.to_string());
                code = code.max(e.exit);
            }
        }
        Ok(code)
    }

    fn device(&self, netdev: &Netdev) -> Result<Device, &'static str> {
        // Scripts of 2025 and later have the option.
        let by_path = |proto: &str| {
            let script = self.root.join(["lib/netifd/proto/", proto, ".sh"].concat());
            let text = files::read(&script).unwrap_or_default();
            text.windows(b" devpath".len()).any(|words| words == b" devpath")
        };
        let device = netdev.device(self.taken, &by_path)?;
        // A modem that makes an Ethernet card of itself is its too, and is called so by its driver.
        let is_modem = self.taken == Taken::Cellular || netdev.name.starts_with("wwan");
        if is_modem && usb::has_gsmd(self.root) {
            return Err("belongs to RUTOS's gsmd, which makes its network");
        }
        Ok(device)
    }

    fn take(&self, netdev: &Netdev, device: &Device) -> Result<(), Error> {
        let present: Vec<Device> =
            netdevs::all(self.root).iter().filter_map(|other| self.device(other).ok()).collect();
        let apn = self.apn();
        let cannot = |why: String| Error::new("make a WAN of", &device.name, why);
        let plan = |files: &[Package]| plugged::plan(files, device, &present, &apn).map_err(cannot);
        let has_lines = |verdict: &Verdict| match verdict {
            Verdict::InUse(_) => false,
            Verdict::Network { batch, .. } => !batch.is_empty(),
        };
        let changed = Cell::new(false);
        if self.dry_run {
            let verdict = plan(&edit::read(&self.place, self.packages)?)?;
            if let Verdict::Network { batch, .. } = &verdict {
                applet::print_bytes(batch.as_bytes())?;
            }
            return tell(device, &verdict, has_lines(&verdict));
        }
        let lines = |files: &[Package]| {
            let verdict = plan(files)?;
            changed.set(has_lines(&verdict));
            match verdict {
                Verdict::Network { batch, .. } => Ok(batch),
                Verdict::InUse(_) => Ok(Default::default()),
            }
        };
        let holds = |files: &[Package]| plan(files).is_ok_and(|verdict| !has_lines(&verdict));
        edit::edit(&self.place, self.packages, &lines, &holds)?;
        let verdict = plan(&edit::read(&self.place, self.packages)?)?;
        tell(device, &verdict, changed.get())?;
        if let Verdict::Network { name, comes_up, .. } = &verdict {
            self.bring_up(name, *comes_up, changed.get());
        }
        if let Some(note) = netdevs::phone_note(self.root, netdev) {
            log::warn!("{note}");
        }
        Ok(())
    }

    /// At a boot netifd is not there yet, and finds the network by itself.
    fn bring_up(&self, network: &str, comes_up: bool, changed: bool) {
        if changed && let Err(e) = ubus::call("network", "reload", "{}") {
            log::debug!("netifd does not take {network} in now: {e}");
            return;
        }
        if comes_up && let Err(e) = ubus::call(&["network.interface.", network].concat(), "up", "{}") {
            log::debug!("netifd does not bring {network} up now: {e}");
        }
        // A network that comes up has the firewall look at its zones; one that was up had better be in one too.
        if changed && let Err(e) = edit::tell("firewall") {
            log::debug!("the firewall was not told of {network}: {e}");
        }
    }

    fn forget(&self, network: &str) -> Outcome {
        let plan = |files: &[Package]| {
            plugged::forget(files, network).map_err(|why| Error::new("forget", network, why))
        };
        if self.dry_run {
            applet::print_bytes(plan(&edit::read(&self.place, self.packages)?)?.as_bytes())?;
            return Ok(EXIT_DONE);
        }
        let gone = |files: &[Package]| files.first().is_some_and(|file| file.section(network).is_none());
        edit::edit(&self.place, self.packages, &plan, &gone)?;
        for package in self.packages {
            if let Err(e) = edit::tell(package) {
                log::warn!("services of {package} could not be told ({e})");
            }
        }
        Ok(EXIT_DONE)
    }

    /// The owner's, or the one that most operators take.
    fn apn(&self) -> String {
        let settings = crate::config::package(&self.place.dir.join("bsbf")).unwrap_or_default();
        let apn = settings.sections_of("autoconf").find_map(|section| section.get("apn").ok()?);
        // A line of `uci batch` has no room for more than one.
        apn.filter(|apn| !apn.contains(char::is_control)).unwrap_or("internet").to_string()
    }
}

/// What came of it, in a line.
fn tell(device: &Device, verdict: &Verdict, changed: bool) -> Result<(), Error> {
    let line = match (verdict, changed) {
        (Verdict::InUse(user), _) => [&device.name, ": left as it is: ", user, " has it\n"].concat(),
        (Verdict::Network { name, .. }, true) => [&device.name, ": network ", name, ", written\n"].concat(),
        (Verdict::Network { name, .. }, false) => [&device.name, ": network ", name, "\n"].concat(),
    };
    applet::print(&line)
}
