//! Settings: defaults, then the file in UCI's format, then the arguments; later ones win.
//!
//! A bad value is refused with file, line and what was expected, never guessed at.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use argh::FromArgs;

use crate::error::Error;
use crate::sys::files;
use crate::types::IfName;
use crate::wan::settings::{MAX_TARGETS, RESOLVER_PORT, SERVER_PORT, Settings, Target};
use crate::wire::uci::{self, Section};

#[cfg(test)]
mod tests;

/// Where the settings stand: on OpenWrt and RUTOS, else on other Linux.
pub const FILES: [&str; 2] = ["/etc/config/bsbf", "/etc/bsbf/bsbf"];
/// The list of backup WANs of the scripts that this replaces.
pub const LEGACY_FILE: &str = "/etc/config/bsbf-mptcp";
/// Intervals beyond an hour, or of less than ten milliseconds, are mistakes.
const INTERVALS: std::ops::RangeInclusive<u64> = 10..=3_600_000;

/// Keep several WANs bonded: probe each, and drive default routes and MPTCP endpoints from what works.
///
/// Every option overrides the settings file; lists are replaced, not added to.
#[derive(FromArgs, Clone, Default)]
#[argh(
    example = "{command_name} --server 203.0.113.1 --backup wwan0",
    example = "{command_name} --config /tmp/bsbf -v",
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
    /// WAN to be used only when no other lives; repeatable (default: none)
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
    /// tell a running manager that this interface is being taken down, and end (for hotplug's ifdown)
    #[argh(option, arg_name = "iface")]
    pub release: Option<IfName>,
    /// take every endpoint, table, rule and route of ours out of the kernel, and end; not while a manager runs
    #[argh(switch)]
    pub clean: bool,
    /// log each step too; twice: everything (default: changes and their reasons)
    #[argh(switch, short = 'v')]
    pub verbose: u8,
}

/// The settings from file and arguments; `halves` are routes and endpoints.
pub fn load(args: &ManagerArgs, halves: (bool, bool)) -> Result<Settings, Error> {
    let mut settings = Settings { routes: halves.0, endpoints: halves.1, ..Settings::default() };
    if let Some(text) = read(Path::new(LEGACY_FILE), false)? {
        apply_legacy(&mut settings, &text).map_err(|e| Error::new("use", LEGACY_FILE, e))?;
    }
    let file =
        args.config.as_ref().map_or_else(|| FILES.map(PathBuf::from).to_vec(), |file| vec![file.clone()]);
    for path in file {
        if let Some(text) = read(&path, args.config.is_some())? {
            apply_file(&mut settings, &text).map_err(|e| Error::new("use", path.display(), e))?;
            break;
        }
    }
    for (option, values) in args.given() {
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        let known = set(&mut settings, option, &values);
        known.map_err(|e| Error::new("use", format!("--{}", option.replace('_', "-")), e))?;
    }
    Ok(settings)
}

fn read(path: &Path, must_exist: bool) -> Result<Option<Vec<u8>>, Error> {
    match files::read(path) {
        Ok(text) => Ok(Some(text)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound && !must_exist => Ok(None),
        Err(e) => Err(Error::new("read", path.display(), e)),
    }
}

impl ManagerArgs {
    /// The options that were given, by their names in the file.
    fn given(&self) -> Vec<(&'static str, Vec<String>)> {
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

/// Takes in the sections `bond` of a settings file; other sections belong to other commands.
fn apply_file(settings: &mut Settings, text: &[u8]) -> Result<(), String> {
    let package = uci::parse(text).map_err(|e| e.to_string())?;
    for section in package.sections_of("bond") {
        // Servers before targets, whatever their order: replacing servers keeps the targets.
        for option in &section.options {
            let values = section.list(&option.name).map_err(|e| e.to_string())?;
            set(settings, &option.name, &values).map_err(|e| format!("line {}: {e}", option.line))?;
        }
    }
    Ok(())
}

/// Takes in what `bsbf-mptcp` of old had: `list subflow_backup`.
fn apply_legacy(settings: &mut Settings, text: &[u8]) -> Result<(), String> {
    let package = uci::parse(text).map_err(|e| e.to_string())?;
    let main = package.section("main").map(|s: &Section| s.list("subflow_backup")).transpose();
    for name in main.map_err(|e| e.to_string())?.unwrap_or_default() {
        settings.backup.push(name.parse()?);
    }
    Ok(())
}

/// Sets one option; a value that does not fit is named with what was expected.
fn set(settings: &mut Settings, option: &str, values: &[&str]) -> Result<(), String> {
    match option {
        "server" => set_targets(settings, values, true)?,
        "target" => set_targets(settings, values, false)?,
        "backup" => settings.backup = names(values)?,
        "metered" => settings.metered = names(values)?,
        "unmetered" => settings.unmetered = names(values)?,
        "include" => settings.include = names(values)?,
        "exclude" => settings.exclude = names(values)?,
        "backup_auto" => settings.backup_auto = one(values, boolean)?,
        "interval" => settings.interval = one(values, interval)?,
        "metered_interval" => settings.metered_interval = one(values, interval)?,
        "fast_interval" => settings.fast_interval = one(values, interval)?,
        "dead_interval" => settings.dead_interval = one(values, interval)?,
        "lost" => settings.lost = one(values, |v| within(v, 2..=40))?.into(),
        "replies" => settings.replies = one(values, |v| within(v, 1..=100))?.into(),
        _ => return Err(format!("unknown option '{option}'")),
    }
    Ok(())
}

fn set_targets(settings: &mut Settings, values: &[&str], servers: bool) -> Result<(), String> {
    let new = values.iter().map(|v| target(v, servers)).collect::<Result<Vec<Target>, String>>()?;
    let (old_servers, old_others): (Vec<Target>, Vec<Target>) =
        settings.targets.iter().partition(|t| t.is_server);
    let (servers, others) = if servers { (new, old_others) } else { (old_servers, new) };
    if servers.len() > MAX_TARGETS || !servers.is_empty() && others.is_empty() && servers.len() == MAX_TARGETS
    {
        return Err(format!("more than {} servers", MAX_TARGETS - 1));
    }
    settings.targets.clear();
    for target in servers.into_iter().chain(others) {
        // A server that is named as a target too is asked once.
        if settings.targets.iter().any(|t| t.address == target.address) {
            continue;
        }
        // The default resolvers give way to many servers; what was asked for must fit.
        if settings.targets.push(target).is_err() && target.port != RESOLVER_PORT {
            return Err(format!("more than {MAX_TARGETS} servers and targets"));
        }
    }
    Ok(())
}

fn target(text: &str, is_server: bool) -> Result<Target, String> {
    let default = if is_server { SERVER_PORT } else { RESOLVER_PORT };
    let parsed =
        SocketAddr::from_str(text).or_else(|_| IpAddr::from_str(text).map(|ip| SocketAddr::new(ip, default)));
    match parsed {
        Ok(at) if !at.ip().is_unspecified() && !at.ip().is_multicast() && at.port() != 0 => {
            Ok(Target { address: at.ip(), port: at.port(), is_server })
        }
        _ => Err(format!("'{text}' is not an address, ADDR:PORT or [ADDR6]:PORT")),
    }
}

fn names(values: &[&str]) -> Result<Vec<IfName>, String> {
    values.iter().map(|v| v.parse()).collect()
}

fn one<T>(values: &[&str], read: impl Fn(&str) -> Result<T, String>) -> Result<T, String> {
    match values {
        [value] => read(value),
        _ => Err(format!("one value expected, {} found", values.len())),
    }
}

fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "1" | "on" | "true" | "yes" | "enabled" => Ok(true),
        "0" | "off" | "false" | "no" | "disabled" => Ok(false),
        _ => Err(format!("'{text}' is not 0 or 1")),
    }
}

fn interval(text: &str) -> Result<Duration, String> {
    match text.parse::<u64>() {
        Ok(ms) if INTERVALS.contains(&ms) => Ok(Duration::from_millis(ms)),
        _ => Err(format!(
            "'{text}' is not a number of milliseconds from {} to {}",
            INTERVALS.start(),
            INTERVALS.end()
        )),
    }
}

fn within(text: &str, range: std::ops::RangeInclusive<u8>) -> Result<u8, String> {
    text.parse()
        .ok()
        .filter(|n| range.contains(n))
        .ok_or_else(|| format!("'{text}' is not a number from {} to {}", range.start(), range.end()))
}
