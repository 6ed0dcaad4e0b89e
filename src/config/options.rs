//! From text to settings: the values of a file's sections and of the arguments, each checked here.
//!
//! Pure like `wire` and `wan`: the files are read in the module above, and fuzzed without it.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use super::proxy;
use crate::types::IfName;
use crate::wan::settings::{MAX_TARGETS, RESOLVER_PORT, SERVER_PORT, Settings, Target};
use crate::wire::uci::{self, Package, Section, UciOption};

/// Intervals beyond an hour, or of less than ten milliseconds, are mistakes.
const INTERVALS: std::ops::RangeInclusive<u64> = 10..=3_600_000;

/// What is taken of the old `bsbf-mptcp`'s settings: a list of interfaces in the section `main`.
pub const LEGACY_OPTION: &str = "subflow_backup";

/// Takes in the sections `bond` of a settings file; other sections belong to other commands.
///
/// # Errors
/// What `uci` refuses, an unknown option, a value that does not fit: with its line and what was expected.
pub fn apply_file(settings: &mut Settings, text: &[u8]) -> Result<(), String> {
    apply_but(settings, &uci::parse(text).map_err(|e| e.to_string())?, &|_| false)
}

/// The same of a file that was read, without options that are to be others.
///
/// # Errors
/// As [`apply_file`].
pub fn apply_but(
    settings: &mut Settings,
    package: &Package,
    but: &dyn Fn(&str) -> bool,
) -> Result<(), String> {
    for section in package.sections_of("bond") {
        // In whatever order: replacing servers keeps the targets, and the other way round.
        for option in section.options.iter().filter(|option| !but(&option.name)) {
            apply(settings, section, option)?;
        }
    }
    Ok(())
}

fn apply(settings: &mut Settings, section: &Section, option: &UciOption) -> Result<(), String> {
    let values = section.list(&option.name).map_err(|e| e.to_string())?;
    set(settings, &option.name, &values).map_err(|e| format!("line {}: {e}", option.line))
}

impl proxy::Options for Settings {
    fn kind(&self) -> &'static str {
        "bond"
    }

    fn set(&mut self, option: &str, values: &[&str]) -> Result<(), String> {
        set(self, option, values)
    }

    fn knows(&self, option: &str) -> bool {
        self.options().iter().any(|(known, _)| *known == option)
    }
}

/// What is wrong with a settings file, each with its line.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// What the manager refuses, or the proxy: with any of these it does not start, or keeps the settings that it has.
    pub refused: Vec<String>,
    /// What nobody reads, so that it is likely to be misspelt.
    pub unread: Vec<String>,
}

/// All that is wrong with a settings file, where [`apply_file`] ends at the first.
pub fn findings(package: &Package) -> Findings {
    let mut findings = Findings::default();
    let mut settings = Settings::default();
    for section in &package.sections {
        if matches!(section.kind.as_str(), "proxy" | "proxy_server") {
            continue;
        }
        if section.kind == "autoconf" {
            let known = |option: &&UciOption| option.name != "apn";
            let unread = section.options.iter().filter(known);
            findings.unread.extend(unread.map(|option| {
                [
                    "line ",
                    &option.line.to_string(),
                    ": no command reads '",
                    &option.name,
                    "' of such sections",
                ]
                .concat()
            }));
            continue;
        }
        if section.kind != "bond" {
            let line = section.line;
            findings
                .unread
                .push(format!("line {line}: no command reads sections of the type '{}'", section.kind));
            continue;
        }
        let wrong = section.options.iter().filter_map(|option| apply(&mut settings, section, option).err());
        findings.refused.extend(wrong);
    }
    findings.refused.extend(proxy::findings(package));
    findings
}

/// The same of the settings of the old `bsbf-mptcp`.
pub fn legacy_findings(package: &Package) -> Findings {
    let refused = apply_backups(&mut Settings::default(), package).err();
    Findings { refused: refused.into_iter().collect(), unread: Vec::new() }
}

/// Takes in what `bsbf-mptcp` of old had: `list subflow_backup`.
///
/// # Errors
/// What `uci` refuses, and what is no interface's name.
pub fn apply_legacy(settings: &mut Settings, text: &[u8]) -> Result<(), String> {
    apply_backups(settings, &uci::parse(text).map_err(|e| e.to_string())?)
}

fn apply_backups(settings: &mut Settings, package: &Package) -> Result<(), String> {
    let Some(main) = package.section("main") else { return Ok(()) };
    let line = main.option(LEGACY_OPTION).map_or(main.line, |option| option.line);
    for name in main.list(LEGACY_OPTION).map_err(|e| e.to_string())? {
        settings.backup.push(name.parse().map_err(|e| format!("line {line}: {e}"))?);
    }
    Ok(())
}

/// Whether an option is a list in the file.
pub fn is_list(option: &str) -> bool {
    ["server", "target", "backup", "metered", "unmetered", "include", "exclude"].contains(&option)
}

/// Sets one option, by its name in the file.
///
/// # Errors
/// An unknown option; a value that does not fit is named with what was expected.
pub fn set(settings: &mut Settings, option: &str, values: &[&str]) -> Result<(), String> {
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
    if servers && new.len() >= MAX_TARGETS {
        return Err(format!("more than {} servers", MAX_TARGETS - 1));
    }
    let full = settings.targets.is_full();
    let (old_servers, old_others): (Vec<Target>, Vec<Target>) =
        settings.targets.iter().partition(|t| t.is_server);
    // The default resolvers, or as many of them as servers left room for.
    let defaults = Settings::default().targets;
    let are_defaults = defaults.starts_with(&old_others) && (full || old_others.len() == defaults.len());
    let (servers, others, must_fit) = match (servers, are_defaults) {
        (true, true) => (new, defaults.to_vec(), false),
        (true, false) => (new, old_others, true),
        (false, _) => (old_servers, new, true),
    };
    settings.targets.clear();
    for target in servers.into_iter().chain(others) {
        // A server that is named as a target too is asked once.
        if settings.targets.iter().any(|t| t.address == target.address) {
            continue;
        }
        if settings.targets.push(target).is_err() && must_fit {
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

/// A switch, in whichever of UCI's words.
pub(super) fn boolean(text: &str) -> Result<bool, String> {
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
