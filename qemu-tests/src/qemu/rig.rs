//! A virtual router with a LAN and WANs, each WAN on an ISP of the lab: what every test of a machine begins with.

use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::net::if_::if_nametoindex;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, UnixAddr, bind, connect, setsockopt, socket, sockopt,
};

use super::agent::{Agent, Program};
use super::machine::{ASKED, Card, Machine, USB_CARD, Vm};
use super::watch::Watch;
use crate::failure::{Doing, Result, failed, skipped};
use crate::far::Far;
use crate::link::{Link, Wan};
use crate::ns::Ns;
use crate::sys;
use crate::topology::{INTERNET_HOSTS, SERVER, device};

/// Sockets and console; the sandbox's own tmpfs.
const DIR: &str = "/run/machine";
/// From switching on to the agent's first answer: 2 to 8 s on an idle host.
const BOOT: Duration = Duration::from_secs(120);
/// Frames that wait for a machine or for a relay; the system's own limit may be ten.
const BACKLOG: u32 = 1000;
/// Room for them in a socket.
const SOCKET_BUFFER: usize = 4 << 20;
const INTERVAL: Duration = Duration::from_millis(50);

/// The router and everything around it. Everything ends with the process.
pub struct Rig {
    /// Runs programs in the router.
    pub agent: Agent,
    /// The router's hardware.
    pub vm: Vm,
    /// ISPs, links and server.
    pub far: Far,
    /// A host of the LAN.
    pub lan: Ns,
    wans: usize,
}

impl Rig {
    /// Builds the network, switches the machine under test on and waits until it has booted with all WANs up.
    pub fn start(wans: &[Wan]) -> Result<Rig> {
        Rig::start_with(wans, &[])
    }

    /// The same with some of the WANs on USB adapters.
    pub fn start_with(wans: &[Wan], on_usb: &[usize]) -> Result<Rig> {
        Rig::boot(Machine::of_test()?, wans, on_usb)
    }

    /// The same with a router whose image was built with the packages, and with settings of its owner's
    /// (router/etc/init.d/rcS).
    pub fn start_packaged(wans: &[Wan]) -> Result<Rig> {
        Rig::start_packaged_with(wans, &[])
    }

    /// The same with some of the WANs on USB adapters.
    pub fn start_packaged_with(wans: &[Wan], on_usb: &[usize]) -> Result<Rig> {
        let mut machine = Machine::of_test()?;
        machine.options += " bsbf.packages";
        Rig::boot(machine, wans, on_usb)
    }

    fn boot(machine: Machine, wans: &[Wan], on_usb: &[usize]) -> Result<Rig> {
        let far = Far::new(wans, false)?;
        far.wire.sysctl("net/unix/max_dgram_qlen", BACKLOG)?;
        let lan = make_lan(&far.wire)?;
        let dir = Path::new(DIR);
        fs::create_dir_all(dir).doing("make the machine's directory")?;
        let cards: Vec<Card> = (0..=wans.len()).map(|i| card(i, on_usb.contains(&i), dir)).collect();
        let test = std::env::args().next_back().unwrap_or_default();
        fs::create_dir_all(&machine.logs).doing(format_args!("make {}", machine.logs))?;
        let vm = Vm::start(&machine, &far.wire, &cards, dir, &machine.console(&test))?;
        for (i, card) in cards.iter().enumerate() {
            let wired = far.wire.enter(|| cable(card)).doing("connect the machine's cards")?;
            match i {
                0 => {
                    let open = || sys::packet_socket(if_nametoindex("lan0")?);
                    let host = far.wire.enter(open).doing("open a packet socket")?;
                    far.carry("relay of the LAN", Arc::new(Link::new(&Wan::mbit(0))), (wired, host), 0)?;
                }
                wan => far.relay(wan, wired)?,
            }
        }
        let mut rig = Rig { agent: Agent::new(lan.clone()), vm, far, lan, wans: wans.len() };
        rig.wait_for_boot()?;
        Ok(rig)
    }

    fn wait_for_boot(&mut self) -> Result {
        let start = Instant::now();
        loop {
            let routes =
                if self.agent.answers() { self.agent.shell("ip route show") } else { Ok(String::new()) };
            let is_up =
                |wan| routes.as_ref().is_ok_and(|text| text.contains(&format!("dev {} ", device(wan))));
            if (1..=self.wans).all(is_up) {
                println!("booted within {:.1} s", start.elapsed().as_secs_f32());
                return Ok(());
            }
            if start.elapsed() > BOOT {
                return failed(format!("the machine has not booted within {BOOT:?}: {routes:?}"));
            }
            sleep(INTERVAL);
        }
    }

    /// The address of a WAN.
    pub fn address(&self, wan: usize) -> String {
        format!("198.18.{wan}.2")
    }

    /// How many WANs there are, numbered from 1.
    pub fn wans(&self) -> usize {
        self.wans
    }

    /// Silently drops everything on a WAN, or stops doing so.
    pub fn blackhole(&self, wan: usize, on: bool) {
        self.far.links[wan - 1].blackhole(on);
    }

    /// Pulls a WAN's cable, or plugs it in: the card tells its driver.
    pub fn cable(&mut self, wan: usize, plugged: bool) -> Result {
        self.vm.set_link(&device(wan), plugged)
    }

    /// Unplugs the USB adapter of a WAN; the kernel loses the device with all that it had.
    pub fn unplug(&mut self, wan: usize) -> Result {
        self.vm.unplug(&format!("nic-{}", device(wan)))
    }

    /// Plugs it in again: a new device, which hotplug sets up.
    pub fn plug_in(&mut self, wan: usize) -> Result {
        let id = device(wan);
        let more = format!(r#""netdev":"{id}","mac":"{}""#, mac(wan));
        self.vm.plug_in(USB_CARD, &format!("nic-{id}"), &more)
    }

    /// What an administrator without a manager sets up: an endpoint per WAN, a rule and a table for its address.
    /// Nothing reacts to a failure.
    pub fn by_hand(&self) -> Result {
        for wan in 1..=self.wans {
            self.ip(&format!("rule add from {} lookup 10{wan} priority 10{wan}", self.address(wan)))?;
            self.ip(&format!("route add default via 198.18.{wan}.1 dev {} table 10{wan}", device(wan)))?;
            self.ip(&format!("mptcp endpoint add {} dev {} subflow", self.address(wan), device(wan)))?;
        }
        self.ip("mptcp limits set subflows 8 add_addr_accepted 8")
    }

    /// Takes all of it away again, as far as the kernel has not done so.
    pub fn undo_by_hand(&self) -> Result {
        self.ip("mptcp endpoint flush")?;
        for wan in 1..=self.wans {
            self.ip(&format!("rule del from {} lookup 10{wan} priority 10{wan}", self.address(wan)))?;
            // Fails if the table has gone with its device.
            let _ = self.ip(&format!("route flush table 10{wan}"));
        }
        Ok(())
    }

    /// iproute2's `ip`; the shell's own knows less.
    fn ip(&self, arguments: &str) -> Result {
        self.agent.shell(&format!("/usr/sbin/ip {arguments}")).map(drop)
    }

    /// Starts the manager and waits until the watch has seen an endpoint for every WAN.
    pub fn manage(&self, watch: &Watch) -> Result<Daemon> {
        let mut words = vec!["bsbf-bond", "--server", SERVER, "--target", SERVER];
        words.extend(INTERNET_HOSTS.iter().flat_map(|host| ["--target", host]));
        let start = Instant::now();
        let managing = self.daemon(&words)?;
        let all =
            watch.wait(start, MANAGED, |now| (1..=self.wans).all(|wan| now.has_endpoint(&self.address(wan))));
        match all {
            Some(after) => println!("managed after {after:?}"),
            None => return failed(format!("not every WAN has an endpoint: {:?}", watch.seen.now())),
        }
        Ok(managing)
    }

    /// Starts a program that runs on.
    pub fn daemon(&self, words: &[&str]) -> Result<Daemon> {
        Daemon::start(self.agent.start(words)?)
    }
}

/// By default where most routers are, little-endian MIPS and ARM's 64 bits, a test runs that takes long; elsewhere where it
/// is asked for by its name.
pub fn usual_machines(test: &str) -> Result {
    by_default(
        test,
        |arch| ["mipsel_24kc", "aarch64_cortex-a53"].contains(&arch),
        "mipsel_24kc and aarch64_cortex-a53",
    )
}

/// By default everywhere but on x86_64, where the lab itself has such tests: of what a new processor may break.
pub fn foreign_machines(test: &str) -> Result {
    by_default(test, |arch| arch != "x86_64", "the others")
}

/// By default on the machines that `runs_on` tells, elsewhere where it is asked for by its name.
pub fn by_default(test: &str, runs_on: fn(&str) -> bool, names: &str) -> Result {
    let arch = Machine::of_test()?.arch;
    if runs_on(&arch) || std::env::var_os(ASKED).is_some() {
        return Ok(());
    }
    skipped(format!("by default on {names}; cargo xtask qemu {arch} {test}"))
}

/// From the manager's start to the last endpoint.
const MANAGED: Duration = Duration::from_secs(20);

/// Longer than any test: it has nothing to say while nothing happens.
const NO_END: Duration = Duration::from_secs(3600);

/// A program that runs on in the router, such as the manager; it is killed when this is dropped. Its log goes to the test's output.
pub struct Daemon {
    closer: std::net::TcpStream,
}

impl Daemon {
    fn start(program: Program) -> Result<Daemon> {
        let closer = program.closer()?;
        let mut program = program.patient(NO_END)?;
        std::thread::spawn(move || {
            while let Ok(Some(line)) = program.line() {
                println!("  | {line}");
            }
        });
        Ok(Daemon { closer })
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.closer.shutdown(std::net::Shutdown::Both);
    }
}

/// The router's card for WAN i, or for the LAN. Its MAC is how the router knows what it is for
/// (router/etc/hotplug.d/net/10-ports).
fn card(i: usize, usb: bool, dir: &Path) -> Card {
    let id = if i == 0 { "lan0".to_string() } else { device(i) };
    let path = |end: &str| -> PathBuf { dir.join(format!("{id}.{end}")) };
    Card { mac: mac(i), usb, guest: path("guest"), host: path("host"), id }
}

fn mac(i: usize) -> String {
    format!("02:0b:5b:00:00:0{i}")
}

/// Our end of a card's cable.
fn cable(card: &Card) -> Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd = socket(AddressFamily::Unix, SockType::Datagram, flags, None)?;
    bind(fd.as_raw_fd(), &UnixAddr::new(&card.host)?)?;
    connect(fd.as_raw_fd(), &UnixAddr::new(&card.guest)?)?;
    let _ = setsockopt(&fd, sockopt::SndBufForce, &SOCKET_BUFFER);
    Ok(fd)
}

/// A host on the LAN, with a veth to the machine's first card.
fn make_lan(wire: &Ns) -> Result<Ns> {
    let lan = Ns::new("lan")?;
    wire.ip_batch("link add lan0 index 9 type veth peer name eth0 index 8 netns lan\nlink set lan0 up\n")?;
    lan.ip_batch(
        "link set eth0 up\naddress add 192.168.4.2/24 dev eth0\nroute add default via 192.168.4.1\n",
    )?;
    lan.enter(|| sys::offloads_off("eth0")).doing("switch offloads off on the LAN")?;
    Ok(lan)
}
