//! `bsbf-config`: reads settings in UCI's format on any Linux, as `uci` prints them, and tells beforehand what the
//! manager or the proxy would refuse.
//!
//! `set` has `uci` write options of both, on OpenWrt and RUTOS; elsewhere files are the editor's.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use argh::FromArgs;

use crate::applet::{self, Applet};
use crate::config::{self, options};
use crate::error::{EXIT_DONE, EXIT_FAILED, EXIT_USAGE, Error, Outcome};
use crate::sys::files;
use crate::wire::uci::print::Anonymous;
use crate::wire::uci::query::{self, Query, Reference};
use crate::wire::uci::{self, Order, Package, delta};

pub mod set;

/// The row of the table.
pub const APPLET: Applet = Applet {
    name: "bsbf-config",
    summary: "Show settings in UCI's format; check and set those of manager and proxy",
    run: |arguments| applet::with_args("bsbf-config", arguments, run),
};

/// Show settings in UCI's format as uci does, on any Linux; check those of manager and proxy, and set them by uci.
#[derive(FromArgs)]
#[argh(
    example = "{command_name} check\n{command_name} show network.wan\n{command_name} get 'network.@device[0].ports' --dir /tmp/config\n{command_name} export --pending /tmp/.uci\n{command_name} set server=203.0.113.1:443 backup=wwan,usb0 lost=\n{command_name} set proxy.enabled=1 proxy.server=203.0.113.1:32768,[2001:db8::1]:32768 proxy.uuid=",
    note = "show, get and export print what uci prints; check names every option that the manager or the proxy would refuse, with its file and line.",
    note = "set checks options as the manager and the proxy do, has 'uci batch' write them under a lock in /var/run/bsbf, and lets procd reload these. Those of the sections proxy and proxy_server have proxy. and proxy_server. before them. Several values make a list, none the default. Needs uci; changes that others have pending are committed with it.",
    note = "Exit codes: 0 done, 1 not there, not readable, not written, or refused by check; 2 wrong arguments; 4 another one is changing settings."
)]
struct Args {
    /// show: a line for each option; get: one value; export: files in canonical form; check: what the manager or the proxy would refuse; set: their options
    #[argh(positional, arg_name = "show|get|export|check|set")]
    verb: Verb,
    /// what to show: PACKAGE[.SECTION[.OPTION]], a section without a name as @TYPE[N]; to export: PACKAGE (default: all); to set: [SECTION.]OPTION=VALUE[,VALUE], as many as you like
    #[argh(positional, arg_name = "WHAT")]
    what: Vec<String>,
    /// directory of the files (default: /etc/config, else /etc/bsbf)
    #[argh(option, arg_name = "dir")]
    dir: Option<PathBuf>,
    /// merge the changes pending in this directory, for which uci has /tmp/.uci (default: committed settings alone; for set /tmp/.uci)
    #[argh(option, arg_name = "dir")]
    pending: Option<PathBuf>,
    /// give sections without a name their automatic one, as uci -X show and uci -n export do
    #[argh(switch, short = 'X')]
    names: bool,
    /// directory of set's lock (default: /var/run/bsbf)
    #[argh(option, arg_name = "dir")]
    run_dir: Option<PathBuf>,
    /// put options that were set again last, as RUTOS's uci does
    #[argh(switch)]
    rutos: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Query(Query),
    Check,
    Set,
}

impl FromStr for Verb {
    type Err = String;

    fn from_str(text: &str) -> Result<Verb, String> {
        match text {
            "show" => Ok(Verb::Query(Query::Show)),
            "get" => Ok(Verb::Query(Query::Get)),
            "export" => Ok(Verb::Query(Query::Export)),
            "check" => Ok(Verb::Check),
            "set" => Ok(Verb::Set),
            _ => Err(format!("'{text}' is none of show, get, export, check, set")),
        }
    }
}

fn run(args: Args) -> Outcome {
    let (query, what) = match (args.verb, args.what.as_slice()) {
        (Verb::Set, _) => return set::run(&args),
        (Verb::Check, []) => return check(&args),
        (Verb::Query(query), []) => (query, None),
        (Verb::Query(query), [what]) => (query, Some(what)),
        (_, [.., what]) => {
            return Err(Error::new("use", what, "a word too many").with_exit(EXIT_USAGE));
        }
    };
    match what {
        Some(what) => {
            applet::print_bytes(&one(&args, query, what)?)?;
            Ok(EXIT_DONE)
        }
        None if query == Query::Get => {
            Err(Error::new("get", "", "PACKAGE.SECTION[.OPTION] expected").with_exit(EXIT_USAGE))
        }
        None => all(&args, query),
    }
}

/// What is printed of one reference.
fn one(args: &Args, query: Query, what: &str) -> Result<Vec<u8>, Error> {
    let of = Reference::parse(what)
        .ok_or_else(|| Error::new("find", what, "PACKAGE[.SECTION[.OPTION]] expected"))?;
    let dir = args.dir();
    let package = args.read(&dir, of.package)?;
    query::answer(&package, query, of, args.anonymous())
        .ok_or_else(|| Error::new("find", what, format!("it is not in {}", dir.join(of.package).display())))
}

/// Every package of the directory, one after the other; those that cannot be read are named, the others printed.
fn all(args: &Args, query: Query) -> Outcome {
    let dir = args.dir();
    let entries = files::list(&dir).map_err(|e| Error::new("read", dir.display(), e))?;
    let mut found = false;
    for entry in entries.iter().filter(|entry| query::is_package_name(&entry.name)) {
        match args.read(&dir, &entry.name) {
            Ok(package) => {
                let of = Reference { package: &entry.name, section: None, option: None };
                let text = query::answer(&package, query, of, args.anonymous());
                applet::print_bytes(&text.unwrap_or_default())?;
                found = true;
            }
            Err(error) => applet::complain(&error.to_string()),
        }
    }
    // As the real tool has it: a file that cannot be read hides none of the others.
    if found {
        Ok(EXIT_DONE)
    } else {
        Err(Error::new("find", "settings", format!("none in {}", dir.display())))
    }
}

/// Tells what the manager would refuse of its settings, and of the list of backups of the scripts before it.
fn check(args: &Args) -> Outcome {
    let [own, legacy] = args.of_manager();
    let own = told(&own, args.package(&own, false), options::findings)?;
    let legacy = told(&legacy, args.package(&legacy, false), options::legacy_findings)?;
    Ok(if own && legacy { EXIT_DONE } else { EXIT_FAILED })
}

/// Prints what is found in a file, if it is there; whether nothing is refused.
fn told(
    path: &Path,
    package: Result<Option<Package>, Error>,
    find: impl Fn(&Package) -> options::Findings,
) -> Result<bool, Error> {
    let path = path.display();
    let options::Findings { refused, unread } = match package {
        Ok(Some(package)) => find(&package),
        Ok(None) => {
            applet::print(&format!("{path}: not there, so nothing is set\n"))?;
            return Ok(true);
        }
        Err(error) => {
            applet::complain(&error.to_string());
            return Ok(false);
        }
    };
    refused.iter().for_each(|refused| applet::complain(&format!("{path}: {refused}")));
    unread.iter().try_for_each(|unread| applet::print(&format!("{path}: {unread}\n")))?;
    if refused.is_empty() {
        applet::print(&format!("{path}: nothing is refused\n"))?;
    }
    Ok(refused.is_empty())
}

impl Args {
    /// Where the files are: given, or where the manager's are.
    fn dir(&self) -> PathBuf {
        let own = || config::settings_file().parent().unwrap_or(Path::new("/")).to_path_buf();
        self.dir.clone().unwrap_or_else(own)
    }

    /// The files that the manager reads.
    fn of_manager(&self) -> [PathBuf; 2] {
        match &self.dir {
            Some(dir) => ["bsbf", "bsbf-mptcp"].map(|name| dir.join(name)),
            None => [config::settings_file(), config::LEGACY_FILE.into()],
        }
    }

    fn anonymous(&self) -> Anonymous {
        if self.names { Anonymous::Named } else { Anonymous::AsWritten }
    }

    /// Reads a package of the directory.
    fn read(&self, dir: &Path, name: &str) -> Result<Package, Error> {
        // One that must exist is there or an error.
        Ok(self.package(&dir.join(name), true)?.unwrap_or_default())
    }

    /// Reads a file, with what is pending for it; `None` if it may be missing and is.
    fn package(&self, path: &Path, must_exist: bool) -> Result<Option<Package>, Error> {
        let order = if self.rutos { Order::Renewed } else { Order::Kept };
        let Some(text) = config::read(path, must_exist)? else { return Ok(None) };
        let mut package = uci::parse_in(&text, order).map_err(|e| Error::new("read", path.display(), e))?;
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let Some(path) = self.pending.as_ref().map(|dir| dir.join(name)) else { return Ok(Some(package)) };
        for error in delta::apply(&mut package, name, &config::read(&path, false)?.unwrap_or_default(), order)
        {
            applet::complain(&Error::new("apply", path.display(), error).to_string());
        }
        Ok(Some(package))
    }
}
