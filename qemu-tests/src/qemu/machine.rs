//! A virtual machine as `cargo xtask qemu` describes it, and one that runs.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use miniserde::Deserialize;
use miniserde::json::{self, Value};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;

use super::monitor::Monitor;
use crate::failure::{Doing, Result, failed};
use crate::ns::{Ns, Running};

/// Names the description's file in the environment of a test.
pub const MACHINE: &str = "LAB_MACHINE";
/// In the environment of a test that was asked for by a part of its name.
pub const ASKED: &str = "LAB_ASKED";
/// Within this time qemu opens its sockets, long before the guest's first instruction.
const START: Duration = Duration::from_secs(20);
const INTERVAL: Duration = Duration::from_millis(10);
/// A phone's or modem's network, in CDC Ethernet (hw/usb/dev-network.c).
pub const USB_CARD: &str = "usb-net";
/// Cards share so many PCI slots as functions of them.
const SLOTS: usize = 4;
/// So much of the console is part of a failure's report.
const LAST_LINES: usize = 50;

/// What xtask knows of a machine: target/qemu/ARCH/machine.json.
#[derive(Clone, Debug, Deserialize)]
pub struct Machine {
    /// OpenWrt's name of the architecture.
    pub arch: String,
    /// The order of bytes: "little" or "big".
    pub endian: String,
    /// The emulator and its arguments for the bare machine.
    pub qemu: Vec<String>,
    /// The Debian package of the emulator.
    pub package: String,
    /// The kernel's file.
    pub kernel: String,
    /// The root file system as a cpio archive.
    pub initramfs: String,
    /// The kernel's name of the serial port.
    pub console: String,
    /// More of the kernel's command line.
    pub options: String,
    /// The model of network cards.
    pub nic: String,
    /// The first of the four PCI slots for them: on some boards not every slot has an interrupt.
    pub nic_slot: usize,
    /// The arguments that add a USB host controller.
    pub usb: Vec<String>,
    /// The directory for the consoles of failed tests.
    pub logs: String,
}

impl Machine {
    /// Reads a description.
    pub fn read(path: &Path) -> Result<Machine> {
        let text = fs::read_to_string(path).doing(format_args!("read {}", path.display()))?;
        json::from_str(&text).or_else(|_| failed(format!("{} describes no machine", path.display())))
    }

    /// Where the console of a test's machine is written, and kept if the test fails.
    pub fn console(&self, test: &str) -> PathBuf {
        Path::new(&self.logs).join(format!("{}.console", test.replace("::", ".")))
    }

    /// The machine under test.
    pub fn of_test() -> Result<Machine> {
        match env::var_os(MACHINE) {
            Some(path) => Machine::read(Path::new(&path)),
            None => failed(format!("{MACHINE} names no machine: this test is for `lab qemu`")),
        }
    }
}

/// One network card: frames go through two unix datagram sockets, one frame each.
#[derive(Clone, Debug)]
pub struct Card {
    /// The monitor's name for the card.
    pub id: String,
    /// Its hardware address.
    pub mac: String,
    /// An adapter on the USB bus, which can be unplugged, and not a card on the PCI bus.
    pub usb: bool,
    /// Where qemu gets frames from.
    pub guest: PathBuf,
    /// Where qemu sends frames to.
    pub host: PathBuf,
}

/// A running machine; it is killed when this is dropped.
pub struct Vm {
    /// Commands to the hardware.
    pub monitor: Monitor,
    package: String,
    /// Its end is wanted.
    over: Arc<AtomicBool>,
    _process: Running,
}

impl Vm {
    /// Switches a machine with these cards on. Its sockets are files in `dir`, and those of the cards are there
    /// when this returns; everything that it says goes to the file `log`.
    pub fn start(machine: &Machine, ns: &Ns, cards: &[Card], dir: &Path, log: &Path) -> Result<Vm> {
        let Some((program, arguments)) = machine.qemu.split_first() else {
            return failed(format!("the description of {} names no emulator", machine.arch));
        };
        let (qmp, complaints) = (dir.join("qmp"), dir.join("qemu"));
        let mut command = ns.command(program);
        command.args(arguments).args(&machine.usb);
        command.args(["-display", "none", "-vga", "none", "-monitor", "none", "-no-reboot", "-nic", "none"]);
        command.arg("-serial").arg(format!("file:{}", log.display()));
        command.arg("-qmp").arg(format!("unix:{},server=on,wait=off", qmp.display()));
        command.args(["-kernel", &machine.kernel, "-initrd", &machine.initramfs]);
        // A panic ends the machine: it reboots at once, and -no-reboot makes that an exit.
        let Machine { console, options, .. } = machine;
        command.args(["-append", &format!("console={console} rdinit=/init quiet panic=-1 {options}")]);
        for (i, card) in cards.iter().enumerate() {
            let Card { id, mac, usb, guest, host } = card;
            command.arg("-netdev").arg(format!(
                "dgram,id={id},local.type=unix,local.path={},remote.type=unix,remote.path={}",
                guest.display(),
                host.display()
            ));
            let (slot, function) = (machine.nic_slot + i % SLOTS, i / SLOTS);
            let (model, place) = if *usb {
                (USB_CARD, String::new())
            } else {
                (machine.nic.as_str(), format!(",addr={slot:#x}.{function},multifunction=on"))
            };
            command.arg("-device").arg(format!("{model},netdev={id},id=nic-{id},mac={mac}{place}"));
        }
        let said = File::create(&complaints).doing("make qemu's log")?;
        command.stdin(Stdio::null()).stdout(said.try_clone()?).stderr(said);
        let mut process = ns.spawn(&mut command)?;
        let start = Instant::now();
        let monitor = loop {
            match Monitor::connect(&qmp) {
                Ok(monitor) => break monitor,
                Err(why) => {
                    if !process.is_alive() {
                        let said = fs::read_to_string(&complaints).unwrap_or_default();
                        let said = explain(said.trim(), &machine.package);
                        return failed(format!("qemu has ended: {said}"));
                    }
                    if start.elapsed() > START {
                        return Err(why);
                    }
                }
            }
            sleep(INTERVAL);
        };
        let over = Arc::new(AtomicBool::new(false));
        watch_over(process.child().id(), complaints, over.clone());
        Ok(Vm { monitor, package: machine.package.clone(), over, _process: process })
    }

    /// Adds a device of this model; `more` are further properties as JSON members.
    pub fn plug_in(&mut self, model: &str, id: &str, more: &str) -> Result {
        let arguments = format!("{{\"driver\":\"{model}\",\"id\":\"{id}\",{more}}}");
        let added = self.monitor.execute("device_add", &arguments);
        added.map_err(|why| crate::failure::Failure::Failed(explain(&why.to_string(), &self.package)))
    }

    /// Takes a device away.
    pub fn unplug(&mut self, id: &str) -> Result {
        self.monitor.execute("device_del", &format!("{{\"id\":\"{id}\"}}"))
    }

    /// The thread of qemu's that is the machine's one processor, and idles when that does.
    pub fn processor(&mut self) -> Result<i64> {
        let told = self.monitor.ask("query-cpus-fast", "{}")?;
        if let Value::Array(processors) = &told
            && let Some(Value::Object(first)) = processors.iter().next()
            && let Some(Value::Number(thread)) = first.get("thread-id")
            && let Ok(thread) = thread.to_string().parse()
        {
            return Ok(thread);
        }
        failed(format!("qemu tells of no processor: {}", json::to_string(&told)))
    }

    /// Pulls the cable of a card, or plugs it in.
    pub fn set_link(&mut self, id: &str, up: bool) -> Result {
        self.monitor.execute("set_link", &format!("{{\"name\":\"nic-{id}\",\"up\":{up}}}"))
    }
}

impl Drop for Vm {
    fn drop(&mut self) {
        self.over.store(true, Relaxed);
    }
}

/// Ends the test as soon as the machine ends by itself: by a panic, or by qemu's own fault. Whatever the test waits for
/// will not come.
fn watch_over(pid: u32, complaints: PathBuf, over: Arc<AtomicBool>) {
    thread::spawn(move || {
        // Whoever started it also waits for it, so it is left to be waited for.
        let ended = waitid(Id::Pid(Pid::from_raw(pid as i32)), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT);
        if let (Ok(status), false) = (ended, over.load(Relaxed)) {
            let said = fs::read_to_string(&complaints).unwrap_or_default();
            let how = match status {
                WaitStatus::Signaled(_, signal, _) => format!("qemu itself, by {signal}"),
                _ => "a panic? See its console".to_owned(),
            };
            println!("the machine has ended: {how}. qemu says: {}", said.trim());
            std::process::exit(1);
        }
    });
}

/// The end of a console, for reports.
pub fn last_lines(console: &Path) -> String {
    let text = String::from_utf8_lossy(&fs::read(console).unwrap_or_default()).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    let last = lines[lines.len().saturating_sub(LAST_LINES)..].join("\n");
    format!("the last {LAST_LINES} lines of {}:\n{last}", console.display())
}

/// qemu's complaint, with what to do about it where that is known.
fn explain(said: &str, package: &str) -> String {
    let lacks = ["is not a valid device model", "not found in any module"];
    if lacks.iter().any(|words| said.contains(words)) {
        return format!("{said}: this qemu lacks a device that Debian's package {package} has");
    }
    said.to_string()
}

#[cfg(test)]
mod tests {
    use super::explain;

    #[test]
    fn a_missing_device_is_told_with_the_package_that_has_it() {
        let said = "qemu-system-mips: -device usb-net: 'usb-net' is not a valid device model name";
        let told = explain(said, "qemu-system-mips");
        assert!(
            told.contains("usb-net") && told.ends_with("Debian's package qemu-system-mips has"),
            "{told}"
        );
    }
}
