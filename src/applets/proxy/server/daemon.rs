//! The server itself, which builds for little flash have not.

use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use bsbf_noise::keys::SecretKey;
use smol::LocalExecutor;

use super::super::{SERVER, attend, listen, lock};
use super::Args;
use crate::applet;
use crate::config::{self, Given};
use crate::error::{Error, Outcome};
use crate::logging;
use crate::proxy::client_list::{self, FILE};
use crate::proxy::key_files;
use crate::proxy::server::{Server, Settings};
use crate::sys::caps::{self, Capability};
use crate::sys::kernel::Kernel;
use crate::sys::rundir::RunDir;
use crate::sys::signals::DaemonSignals;
use crate::sys::watch::Watch;
use crate::sys::{files, limits, sysfs};
use crate::tasks::spawn;
use crate::wan::world::Change;
use crate::wire::mptcp_pm::Limits;

/// A router has at most so many WANs. It is they who connect: an address that one announces is not connected to, or any
/// stranger could have the kernel knock at any door, this machine's own network among them (mptcp_pm_nl_add_addr_received,
/// net/mptcp/pm_kernel.c, does not ask who is the server).
const LIMITS: Limits = Limits { subflows: 8, add_addr_accepted: 0 };
/// Clients' ports, and the usual one of all who encrypt: the kernel is not to use them for connections of its own.
const PORTS: &str = "32767-49151";
const RESERVED: &str = "net/ipv4/ip_local_reserved_ports";

impl Args {
    /// The options that were given, by their names in the file.
    fn given(&self) -> Given {
        let mut given = Given::new();
        for (option, file) in [("clients", &self.clients), ("key_file", &self.key_file)] {
            if let Some(file) = file {
                given.push((option, vec![files::absolute(file)]));
            }
        }
        for (option, port) in [("port", &self.port), ("secure_port", &self.secure_port)] {
            if let Some(port) = port {
                given.push((option, vec![port.clone()]));
            }
        }
        if self.no_plain {
            given.push(("plain", vec![String::from("0")]));
        }
        if self.allow_private {
            given.push(("allow_private", vec![String::from("1")]));
        }
        given
    }
}

/// Our key; nothing as long as no client has one, or where none may come in by it.
fn key(set: &config::proxy::Server) -> Result<Option<SecretKey>, Error> {
    let file = Path::new(set.key_file.as_deref().unwrap_or(key_files::SERVER));
    let is_there = set.secure_port != 0 && files::exists(file);
    is_there.then(|| key_files::read(file)).transpose()
}

/// Runs it until a signal ends it.
pub fn run(args: Args) -> Outcome {
    logging::start_daemon(applet::level(args.verbose));
    let mut set = config::proxy::Server::default();
    config::load_proxy(&mut set, args.config.as_deref(), &args.given())?;
    let clients = PathBuf::from(set.clients.as_deref().unwrap_or(FILE));
    let list = client_list::read(&clients)?;
    let own_key = key(&set)?;
    let run_dir = RunDir::open(&args.run_dir);
    let run_dir = run_dir.map_err(|e| Error::new("make", args.run_dir.display(), e))?;
    let _lock = lock(&run_dir, SERVER)?;
    // For marks.
    let missing = caps::missing(&[Capability::NetAdmin]);
    if !missing.is_empty() {
        return Err(Error::new("be", "the server", [&missing.concat(), " missing"].concat()));
    }
    caps::keep(&[Capability::NetAdmin, Capability::NetBindService])
        .map_err(|e| Error::new("give up", "capabilities", e))?;
    let descriptors = limits::raise_descriptors();
    set_limits();
    if set.port.is_none() {
        reserve_ports();
    }
    let signals = DaemonSignals::catch().map_err(|e| Error::new("catch", "signals", e))?;
    let executor = Rc::new(LocalExecutor::new());
    let settings =
        Settings { allow_private: set.allow_private, port: set.port.map(NonZeroU16::get), plain: set.plain };
    let server = Server::new(executor.clone(), settings, descriptors);
    match own_key {
        Some(key) => server.encrypt(set.secure_port, key),
        None if !set.plain => {
            log::warn!("nobody can come in before bsbf-add-client has made our key: 'plain' is 0")
        }
        None => {}
    }
    if let Err(e) = server.take(&list) {
        if !server.listens() {
            return Err(e);
        }
        // One port that somebody else has keeps nobody else out.
        log::error!("{e}; it is tried again");
    }
    spawn(&executor, server.clone().look_after_ports()).detach();
    let path = clients.clone();
    let of = server.clone();
    let reread = move || {
        if !of.encrypts() {
            // With the first client that has a key, ours is made too.
            match key(&set) {
                Ok(Some(key)) => of.encrypt(set.secure_port, key),
                Ok(None) => {}
                Err(e) => log::error!("{e}"),
            }
        }
        // What is wrong changes nothing: those who are there stay.
        if let Err(e) = client_list::read(&path).and_then(|list| of.take(&list)) {
            log::error!("{e}");
        }
    };
    // A link's file is what changes.
    let watched = files::canonical(&clients).unwrap_or_else(|_| clients.clone());
    let watch = Watch::content_of(&watched.to_string_lossy())
        .and_then(|watch| watch.map(smol::Async::new).transpose());
    match watch {
        Ok(Some(watch)) => {
            let reread = reread.clone();
            // What was changed before it was watched.
            reread();
            let watches = async move {
                let made = |watch: &Watch| match watch.was_made() {
                    Ok(true) => Ok(()),
                    Ok(false) => Err(std::io::ErrorKind::WouldBlock.into()),
                    Err(e) => Err(e),
                };
                while watch.read_with(made).await.is_ok() {
                    reread();
                }
            };
            spawn(&executor, watches).detach();
        }
        Ok(None) => log::warn!("{} has no directory: SIGHUP has it read again", clients.display()),
        Err(e) => log::warn!("cannot watch {}: SIGHUP has it read again: {e}", clients.display()),
    }
    let control = listen(&run_dir, SERVER)?;
    let of = server.clone();
    let tell = move || of.status();
    smol::block_on(executor.run(async {
        let ended = attend(&executor, control, signals, tell, reread).await;
        server.end().await;
        ended
    }))
}

fn set_limits() {
    let set = Kernel::open().and_then(|mut kernel| kernel.apply(&Change::SetLimits(LIMITS)));
    if let Err(e) = set {
        log::warn!("cannot set MPTCP's limits, so clients may have fewer subflows: {e}");
    }
}

fn reserve_ports() {
    let reserved = sysfs::sysctl(RESERVED).ok().flatten().unwrap_or_default();
    if !reserved.split(',').any(|range| range == PORTS) {
        let comma = if reserved.is_empty() { "" } else { "," };
        if let Err(e) = sysfs::set_sysctl(RESERVED, &[&reserved, comma, PORTS].concat()) {
            log::warn!("cannot reserve the ports of clients: {e}");
        }
    }
}
