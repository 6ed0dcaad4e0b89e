//! `bsbf-tlt-sw-link`: on Teltonika's routers the ports of a switch do not show in the devices of their VLANs: `eth0.3` has
//! a carrier whether a cable is in LAN2 or not. This follows the links of the ports, and has netifd take the network of a
//! port's VLAN down when the link goes, and up when it comes.
//!
//! Whose link it is, is in `switch/map.rs`; when it counts and what is done then, in `switch/settle.rs`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use argh::FromArgs;
use log::Level;

use crate::applet::{self, Applet};
use crate::error::{EXIT_DONE, EXIT_LOCKED, EXIT_USAGE, Error, Outcome};
use crate::manager::RUN_DIR;
use crate::switch::map::{self, Port};
use crate::sys::kernel::Kernel;
use crate::sys::rundir::RunDir;
use crate::sys::signals::EndSignals;
use crate::sys::ubus;
use crate::{config, logging};

mod daemon;
mod source;

use daemon::Daemon;
use source::Source;

/// The row of the table.
pub const APPLET: Applet = Applet {
    name: "bsbf-tlt-sw-link",
    summary: "Bring networks up and down with the links of a switch's ports (Teltonika)",
    run: |arguments| applet::with_args("bsbf-tlt-sw-link", arguments, run),
};

/// Bring networks up and down with the links of a switch's ports (Teltonika).
#[derive(FromArgs)]
#[argh(
    example = "{command_name} --dry-run\n{command_name} --source log -v",
    note = "Only WANs (dhcp, dhcpv6, pppoe, static with a gateway) at a port that has a VLAN or a device to itself. A link counts after 300 ms. At the end every network that it took down is brought up again.",
    note = "Reads network and firewall of /etc/config, again on SIGHUP; runs ubus, logread and swconfig. Writes /var/run/bsbf/tlt-sw-link: what it has taken down.",
    note = "Exit codes: 0 ended by a signal, 1 failed, 2 wrong arguments, 4 another one runs."
)]
struct Args {
    /// port-events (of RUTOS's ubus), log, or netlink (DSA) (default: auto, the first that is there)
    #[argh(option, arg_name = "source")]
    source: Option<String>,
    /// print each port, its link, device and networks, and end
    #[argh(switch)]
    dry_run: bool,
    /// directory of settings (default: /etc/config)
    #[argh(option, arg_name = "dir")]
    config_dir: Option<PathBuf>,
    /// directory for lock and memory (default: /var/run/bsbf)
    #[argh(option, arg_name = "dir")]
    run_dir: Option<PathBuf>,
    /// log each step too (default: changes and their reasons)
    #[argh(switch, short = 'v')]
    verbose: u8,
}

/// For the widest column.
const BLANKS: &str = "                ";
const LOCK: &str = "tlt-sw-link.lock";
/// One that is ending, or what it was just starting when it was killed, is waited for.
const ENDING: Duration = Duration::from_secs(3);

fn run(args: Args) -> Outcome {
    let source = match args.source.as_deref() {
        None | Some("auto") => None,
        Some(name) => Some(Source::named(name).ok_or_else(|| {
            Error::new("follow", name, "auto, port-events, log or netlink expected").with_exit(EXIT_USAGE)
        })?),
    };
    let settings = args.config_dir.unwrap_or_else(|| PathBuf::from("/etc/config"));
    let kernel = Kernel::open().map_err(|e| Error::new("open", "a netlink socket", e))?;
    if args.dry_run {
        logging::start_command(log::LevelFilter::Warn);
        return tell(&ports(&settings)?, source, kernel);
    }
    logging::start_daemon(applet::level(args.verbose));
    let ports = ports(&settings)?;
    let path = args.run_dir.unwrap_or_else(|| Path::new(RUN_DIR).to_path_buf());
    let run_dir = RunDir::open(&path).map_err(|e| Error::new("make", path.display(), e))?;
    let me = ["bsbf-tlt-sw-link (pid ", &std::process::id().to_string(), ")"].concat();
    let lock = run_dir
        .lock_within(LOCK, &me, ENDING)
        .map_err(|e| Error::new("lock", run_dir.path(LOCK).display(), e))?;
    let _lock =
        lock.map_err(|holder| Error::new("follow", "the switch", holder + " does").with_exit(EXIT_LOCKED))?;
    let signals = EndSignals::catch().map_err(|e| Error::new("catch", "signals", e))?;
    let daemon = Daemon::new(settings, ports, source, kernel, run_dir, signals);
    daemon.and_then(Daemon::run).map_err(|e| Error::new("listen to", "the system", e))?;
    Ok(EXIT_DONE)
}

fn ports(settings: &Path) -> Result<Vec<Port>, Error> {
    let network = config::package(&settings.join("network"))?;
    Ok(map::ports(&network, &config::package(&settings.join("firewall"))?))
}

/// `--dry-run`.
fn tell(ports: &[Port], source: Option<Source>, mut kernel: Kernel) -> Outcome {
    let source = match source {
        Some(source) => source,
        None => Source::choose(ports).map_err(|e| Error::new("ask", "port_events", e))?,
    };
    let links = source.links(ports, &mut kernel);
    let networks = match ubus::networks() {
        Ok(networks) => networks,
        Err(e) => {
            log(Level::Warn, &["netifd does not tell its networks: ", &e.to_string()]);
            Vec::new()
        }
    };
    let mut text = ["links by ", source.name(), "\n"].concat();
    row(&mut text, ["PORT", "LINK", "DEVICE", "NETWORKS"]);
    for (number, port) in ports.iter().enumerate() {
        let link = match links.iter().find(|(of, _)| *of == number) {
            Some((_, true)) => "up",
            Some((_, false)) => "down",
            None => "?",
        };
        let device = if port.device.is_empty() { "-" } else { &port.device };
        let mut at_it = String::new();
        for name in &port.networks {
            let state = match networks.iter().find(|network| network.name == *name) {
                Some(network) if network.up => " (up) ",
                Some(_) => " (down) ",
                None => " (not there) ",
            };
            at_it += name;
            at_it += state;
        }
        row(&mut text, [&port.name, link, device, if at_it.is_empty() { "-" } else { at_it.trim_end() }]);
    }
    applet::print(&text)?;
    Ok(EXIT_DONE)
}

fn row(text: &mut String, columns: [&str; 4]) {
    for (column, width) in columns.iter().zip([8, 6, 16, 0]) {
        *text += column;
        *text += BLANKS.get(..usize::saturating_sub(width, column.len())).unwrap_or_default();
    }
    *text += "\n";
}

/// Logs these words: the code for a line once, and not for each of them.
fn log(level: Level, words: &[&str]) {
    log::log!(level, "{}", words.concat());
}
