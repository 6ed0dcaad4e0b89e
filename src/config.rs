//! Settings: defaults, then the file in UCI's format, then the arguments; later ones win.
//!
//! A bad value is refused with file, line and what was expected, never guessed at.

pub mod edit;
pub mod options;
pub mod proxy;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use argh::FromArgs;

use crate::error::{EXIT_USAGE, Error};
use crate::sys::files;
use crate::types::IfName;
use crate::wan::settings::Settings;
use crate::wire::uci::{self, Package};

/// Where the settings stand: on OpenWrt and RUTOS, else on other Linux.
pub const FILES: [&str; 2] = ["/etc/config/bsbf", "/etc/bsbf/bsbf"];
/// The list of backup WANs of the scripts that this replaces.
pub const LEGACY_FILE: &str = "/etc/config/bsbf-mptcp";

/// Keep several WANs bonded: probe each, and drive default routes and MPTCP endpoints from what works.
///
/// Every option overrides the settings file; lists are replaced, not added to.
#[derive(FromArgs, Clone, Default)]
#[argh(
    example = "{command_name} --server 203.0.113.1 --backup wwan0",
    example = "{command_name} --config /tmp/bsbf -v",
    example = "{command_name} --replay /tmp/bsbf.trace --set lost=12",
    note = "Reads /etc/config/bsbf, else /etc/bsbf/bsbf: a section 'config bond' whose options are named as the ones here, with _ for -; and the list subflow_backup of /etc/config/bsbf-mptcp. SIGHUP reads them again.",
    note = "Writes /var/run/bsbf: locks, moved routes, and the socket that bsbf-status asks.",
    note = "Exit codes: 0 ended by a signal, 1 failed, 2 wrong arguments, 4 another manager runs."
)]
pub struct ManagerArgs {
    /// address, ADDR:PORT or [ADDR6]:PORT of a bonding server, a probe target whose answer decides about endpoints; repeatable (default: none; port 443)
    #[argh(option, arg_name = "addr")]
    server: Vec<String>,
    /// address of another probe target; repeatable (default: 1.1.1.1 8.8.8.8 9.9.9.9 and the same operators' IPv6)
    #[argh(option, arg_name = "addr")]
    target: Vec<String>,
    /// WAN, by device or network as in all lists, to be used only when no other lives; repeatable (default: none)
    #[argh(option, arg_name = "iface")]
    backup: Vec<String>,
    /// make a WAN backup that is over 150 ms slower than the best and carries under a tenth for 30 s (default: off)
    #[argh(switch)]
    backup_auto: bool,
    /// WAN to be probed sparingly; repeatable (default: modems and phones, by driver)
    #[argh(option, arg_name = "iface")]
    metered: Vec<String>,
    /// modem or phone to be probed like the others; repeatable (default: none)
    #[argh(option, arg_name = "iface")]
    unmetered: Vec<String>,
    /// tunnel that is a WAN all the same; repeatable (default: none)
    #[argh(option, arg_name = "iface")]
    include: Vec<String>,
    /// interface that is no WAN though it has a default route; repeatable (default: none)
    #[argh(option, arg_name = "iface")]
    exclude: Vec<String>,
    /// between two probes of a quiet WAN, in ms, 10 to 3600000 (default: 1000)
    #[argh(option, arg_name = "ms")]
    interval: Option<String>,
    /// the same for metered WANs that are not the best default, in ms (default: 10000)
    #[argh(option, arg_name = "ms")]
    metered_interval: Option<String>,
    /// between two rounds of questions to a suspect WAN, in ms (default: 100)
    #[argh(option, arg_name = "ms")]
    fast_interval: Option<String>,
    /// between two probes of a dead WAN, in ms (default: 500)
    #[argh(option, arg_name = "ms")]
    dead_interval: Option<String>,
    /// probes lost, with none answered, for a verdict, 2 to 40 (default: 8; fewer with one or two targets)
    #[argh(option, arg_name = "n")]
    lost: Option<String>,
    /// answers in a row that bring a dead WAN back, 1 to 100 (default: 3)
    #[argh(option, arg_name = "n")]
    replies: Option<String>,
    /// settings file (default: see below)
    #[argh(option, arg_name = "file")]
    config: Option<PathBuf>,
    /// directory for locks, memory and socket (default: /var/run/bsbf)
    #[argh(option, arg_name = "dir")]
    pub run_dir: Option<PathBuf>,
    /// tell a running manager that this interface is being taken down by hand, and end
    #[argh(option, arg_name = "iface")]
    pub release: Option<IfName>,
    /// take this network of /etc/config/network down by netifd, once the manager has let go of its device
    #[argh(option, arg_name = "network")]
    pub ifdown: Option<IfName>,
    /// have netifd bring this network up
    #[argh(option, arg_name = "network")]
    pub ifup: Option<IfName>,
    /// take every endpoint, table, rule and route of ours out of the kernel, and end; not while a manager runs
    #[argh(switch)]
    pub clean: bool,
    /// write a trace of what is measured and decided into this file, up to 8 MiB, for --replay; it tells addresses (default: none)
    #[argh(option, arg_name = "file")]
    pub record: Option<PathBuf>,
    /// tell a trace to the same decisions on virtual time, print what they are, and end; exit 1 if they are not those recorded
    #[argh(option, arg_name = "file")]
    pub replay: Option<PathBuf>,
    /// with --replay: what if this option of the settings file had been other, lists with commas; repeatable
    #[argh(option, arg_name = "option=value")]
    set: Vec<String>,
    /// log each step too; twice: everything (default: changes and their reasons)
    #[argh(switch, short = 'v')]
    pub verbose: u8,
}

/// The settings from file and arguments; `halves` are routes and endpoints.
pub fn load(args: &ManagerArgs, halves: (bool, bool)) -> Result<Settings, Error> {
    if let Some(text) = args.set.first() {
        return Err(Error::new("use --set", text, "it is for --replay").with_exit(EXIT_USAGE));
    }
    let mut settings = Settings { routes: halves.0, endpoints: halves.1, ..Settings::default() };
    let path = args.config.clone().unwrap_or_else(settings_file);
    if let Some(text) = read(&path, args.config.is_some())? {
        options::apply_file(&mut settings, &text).map_err(|e| Error::new("use", path.display(), e))?;
    }
    // Beside the list of the same meaning in the file.
    if let Some(text) = read(Path::new(LEGACY_FILE), false)? {
        options::apply_legacy(&mut settings, &text).map_err(|e| Error::new("use", LEGACY_FILE, e))?;
    }
    arguments(&args.given(), &mut |option, values| options::set(&mut settings, option, values))?;
    Ok(settings)
}

/// Where MPTCP is spoken to: the servers of the proxy if it is enabled in the manager's file, else the manager's own.
pub fn mptcp_servers(args: &ManagerArgs, settings: &Settings) -> Vec<SocketAddr> {
    let mut client = proxy::Client::default();
    let path = args.config.clone().unwrap_or_else(settings_file);
    // What is wrong with its section is the proxy's to say.
    if let Ok(package) = package(&path) {
        let _ = proxy::apply(&mut client, &package);
    }
    if client.enabled && !client.servers.is_empty() {
        return client.servers;
    }
    let servers = settings.targets.iter().filter(|target| target.is_server);
    servers.map(|target| SocketAddr::new(target.address, target.port)).collect()
}

/// Options that were given as arguments, by their names in the file, and their values.
pub type Given = Vec<(&'static str, Vec<String>)>;

/// The settings of the proxy from its section and the arguments; `config` is the file if it is another than the usual one.
///
/// # Errors
/// What the section has that does not fit, with file and line; an argument that does not.
pub fn load_proxy(
    into: &mut dyn proxy::Options,
    config: Option<&Path>,
    given: &Given,
) -> Result<PathBuf, Error> {
    let path = config.map_or_else(settings_file, Path::to_path_buf);
    if let Some(text) = read(&path, config.is_some())? {
        let cannot = |e: &dyn std::fmt::Display| Error::new("use", path.display(), e);
        let package = uci::parse(&text).map_err(|e| cannot(&e))?;
        if let Some(first) = proxy::apply(into, &package).first() {
            return Err(cannot(first));
        }
    }
    arguments(given, &mut |option, values| into.set(option, values))?;
    Ok(path)
}

/// Sets an option.
type Set<'a> = dyn FnMut(&str, &[&str]) -> Result<(), String> + 'a;

fn arguments(given: &Given, set: &mut Set<'_>) -> Result<(), Error> {
    for (option, values) in given {
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        let argument = || ["--", &option.replace('_', "-")].concat();
        set(option, &values).map_err(|e| Error::new("use", argument(), e).with_exit(EXIT_USAGE))?;
    }
    Ok(())
}

#[cfg(feature = "replay")]
/// What a replay is to do otherwise: `--set`, and options that were given as such.
pub fn overrides(args: &ManagerArgs) -> Result<Vec<(String, Vec<String>)>, Error> {
    let mut options: Vec<(String, Vec<String>)> =
        args.given().into_iter().map(|(option, values)| (option.to_string(), values)).collect();
    for text in &args.set {
        let (option, values) =
            text.split_once('=').ok_or_else(|| Error::new("use --set", text, "OPTION=VALUE expected"))?;
        let values = values.split(',').filter(|v| !v.is_empty()).map(String::from);
        match options.iter_mut().find(|(known, _)| known == option) {
            Some((_, list)) => list.extend(values),
            None => options.push((option.to_string(), values.collect())),
        }
    }
    Ok(options)
}

/// The first of [`FILES`] that is there, else the first.
pub fn settings_file() -> PathBuf {
    let there = FILES.iter().find(|path| files::exists(Path::new(path)));
    PathBuf::from(there.unwrap_or(&FILES[0]))
}

/// The content of a settings file; `None` if it may be missing and is.
///
/// # Errors
/// What [`files::read_settings`] says, with the file's name.
pub fn read(path: &Path, must_exist: bool) -> Result<Option<Vec<u8>>, Error> {
    match files::read_settings(path) {
        Ok(text) => Ok(Some(text)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound && !must_exist => Ok(None),
        Err(e) => Err(Error::new("read", path.display(), e)),
    }
}

/// A settings file; one that is not there is empty.
///
/// # Errors
/// As [`read`], and what `uci` refuses in it.
pub fn package(path: &Path) -> Result<Package, Error> {
    uci::parse(&read(path, false)?.unwrap_or_default()).map_err(|e| Error::new("read", path.display(), e))
}

impl ManagerArgs {
    /// The options that were given, by their names in the file.
    fn given(&self) -> Given {
        let lists = [
            ("server", &self.server),
            ("target", &self.target),
            ("backup", &self.backup),
            ("metered", &self.metered),
            ("unmetered", &self.unmetered),
            ("include", &self.include),
            ("exclude", &self.exclude),
        ];
        let numbers = [
            ("interval", &self.interval),
            ("metered_interval", &self.metered_interval),
            ("fast_interval", &self.fast_interval),
            ("dead_interval", &self.dead_interval),
            ("lost", &self.lost),
            ("replies", &self.replies),
        ];
        let lists = lists.into_iter().filter(|(_, v)| !v.is_empty()).map(|(name, v)| (name, v.clone()));
        let numbers = numbers.into_iter().filter_map(|(name, v)| Some((name, vec![v.clone()?])));
        let auto = self.backup_auto.then(|| ("backup_auto", vec!["1".to_string()]));
        lists.chain(numbers).chain(auto).collect()
    }
}
