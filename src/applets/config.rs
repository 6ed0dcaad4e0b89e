//! `bsbf-config`: reads settings in UCI's format on any Linux, as `uci` prints them, and tells beforehand what the
//! manager would refuse.
//!
//! It writes nothing: on OpenWrt and RUTOS that is `uci`'s, elsewhere the editor's.

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

/// The row of the table.
pub const APPLET: Applet = Applet {
    name: "bsbf-config",
    summary: "Show settings in UCI's format, and check those of the manager",
    run: |arguments| applet::with_args("bsbf-config", arguments, run),
};

/// Show settings in UCI's format as uci does, on any Linux, and check those of the manager.
#[derive(FromArgs)]
#[argh(
    example = "{command_name} check\n{command_name} show network.wan\n{command_name} get 'network.@device[0].ports' --dir /tmp/config\n{command_name} export --pending /tmp/.uci",
    note = "show, get and export print what uci prints; check names every option that the manager would refuse, with its file and line. Nothing is written.",
    note = "Exit codes: 0 done, 1 not there, not readable, or refused by check; 2 wrong arguments."
)]
struct Args {
    /// show: a line for each option; get: one value; export: files in canonical form; check: what the manager would refuse
    #[argh(positional, arg_name = "show|get|export|check")]
    verb: Verb,
    /// what to show: PACKAGE[.SECTION[.OPTION]], a section without a name as @TYPE[N]; to export: PACKAGE (default: all)
    #[argh(positional, arg_name = "WHAT")]
    what: Option<String>,
    /// directory of the files (default: /etc/config, else /etc/bsbf)
    #[argh(option, arg_name = "dir")]
    dir: Option<PathBuf>,
    /// merge the changes pending in this directory, for which uci has /tmp/.uci (default: committed settings alone)
    #[argh(option, arg_name = "dir")]
    pending: Option<PathBuf>,
    /// give sections without a name their automatic one, as uci -X show and uci -n export do
    #[argh(switch, short = 'X')]
    names: bool,
    /// put options that were set again last, as RUTOS's uci does
    #[argh(switch)]
    rutos: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Query(Query),
    Check,
}

impl FromStr for Verb {
    type Err = String;

    fn from_str(text: &str) -> Result<Verb, String> {
        match text {
            "show" => Ok(Verb::Query(Query::Show)),
            "get" => Ok(Verb::Query(Query::Get)),
            "export" => Ok(Verb::Query(Query::Export)),
            "check" => Ok(Verb::Check),
            _ => Err(format!("'{text}' is none of show, get, export, check")),
        }
    }
}

fn run(args: Args) -> Outcome {
    let query = match (args.verb, &args.what) {
        (Verb::Query(query), _) => query,
        (Verb::Check, None) => return check(&args),
        (Verb::Check, Some(what)) => {
            return Err(Error::new("use", what, "check takes no more words").with_exit(EXIT_USAGE));
        }
    };
    match &args.what {
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
    let dir = args.dir();
    let mut code = EXIT_DONE;
    for (name, find) in [
        ("bsbf", options::findings as fn(&Package) -> options::Findings),
        ("bsbf-mptcp", options::legacy_findings),
    ] {
        let path = dir.join(name);
        match files::read_settings(&path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                applet::print(&format!("{}: not there, so nothing is set\n", path.display()))?;
                continue;
            }
            _ => {}
        }
        let findings = match args.read(&dir, name) {
            Ok(package) => find(&package),
            Err(error) => {
                applet::complain(&error.to_string());
                code = EXIT_FAILED;
                continue;
            }
        };
        for refused in &findings.refused {
            applet::complain(&format!("{}: {refused}", path.display()));
            code = EXIT_FAILED;
        }
        for unread in &findings.unread {
            applet::print(&format!("{}: {unread}\n", path.display()))?;
        }
        if findings.refused.is_empty() {
            applet::print(&format!("{}: nothing is refused\n", path.display()))?;
        }
    }
    Ok(code)
}

impl Args {
    fn dir(&self) -> PathBuf {
        let first = |paths: [&str; 2]| {
            let dirs = paths.map(|path| Path::new(path).parent().unwrap_or(Path::new("/")).to_path_buf());
            let found = dirs.iter().find(|dir| files::canonical(dir).is_ok()).cloned();
            found.unwrap_or_else(|| dirs[0].clone())
        };
        self.dir.clone().unwrap_or_else(|| first(config::FILES))
    }

    fn anonymous(&self) -> Anonymous {
        if self.names { Anonymous::Named } else { Anonymous::AsWritten }
    }

    /// Reads a package of the directory, with what is pending for it.
    fn read(&self, dir: &Path, name: &str) -> Result<Package, Error> {
        let order = if self.rutos { Order::Renewed } else { Order::Kept };
        let path = dir.join(name);
        let text = files::read_settings(&path).map_err(|e| Error::new("read", path.display(), e))?;
        let mut package = uci::parse_in(&text, order).map_err(|e| Error::new("read", path.display(), e))?;
        let Some(pending) = &self.pending else { return Ok(package) };
        let path = pending.join(name);
        let changes = match files::read_settings(&path) {
            Ok(changes) => changes,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(package),
            Err(e) => return Err(Error::new("read", path.display(), e)),
        };
        for error in delta::apply(&mut package, name, &changes, order) {
            applet::complain(&Error::new("apply", path.display(), error).to_string());
        }
        Ok(package)
    }
}
