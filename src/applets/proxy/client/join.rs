//! `bsbf-proxy client --join`: a router becomes a client by the one word that its owner has from the server.
//!
//! All of it or nothing: what was there is put back whatever fails, so that the LAN stays with what it had.

use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::super::CLIENT;
use super::Args;
use crate::applet;
use crate::applets::config::set;
use crate::config::{self, edit};
use crate::error::{EXIT_DONE, EXIT_FAILED, EXIT_LOCKED, EXIT_USAGE, Error, Outcome};
use crate::logging;
use crate::proxy::join::{Join, LONGEST};
use crate::setup::plan;
use crate::sys::lock::Lock;
use crate::sys::rundir::RunDir;
use crate::sys::signals::EndSignals;
use crate::sys::{child, clock, control, files, keep, resolve};
use crate::wire::question::Question;
use crate::wire::status::ProxyStatus;
use crate::wire::uci::batch::Batch;
use crate::wire::uci::edits::Edits;
use crate::wire::uci::print::{self, Anonymous};
use crate::wire::uci::{Package, Section};

/// The settings that are changed, where the system has `uci`.
const PACKAGES: [&str; 2] = ["bsbf", "network"];
/// One client that ends may still answer so long.
const SETTLE: Duration = Duration::from_secs(2);
/// Between two looks at whether the server answers.
const INTERVAL: Duration = Duration::from_millis(500);
/// A script of the service's waits for procd, and for an old client to take its rules out.
const WITHIN: Duration = Duration::from_secs(30);

/// Where all of it is.
struct Router {
    root: PathBuf,
    place: edit::Place,
    /// As OpenWrt and RUTOS; else the settings are a file of our own.
    has_uci: bool,
}

/// A file as it was; nothing if there was none.
type Kept = (PathBuf, Option<Vec<u8>>);

/// Makes this router a client by the token, or by the one on standard input if it is `-`.
pub fn run(args: &Args, token: &str) -> Outcome {
    logging::start_command(log::LevelFilter::Warn);
    if args.config.is_some() || args.given().iter().any(|(option, _)| *option != "encryption") {
        let cause = "it goes with --no-encryption, --within and --root alone";
        return Err(Error::new("use", "--join", cause).with_exit(EXIT_USAGE));
    }
    let cannot = |why: &str| Error::new("use", "the token", why).with_exit(EXIT_USAGE);
    let join = match token {
        "-" => Join::parse(&typed()?),
        token => Join::parse(token),
    };
    let join = join.map_err(cannot)?;
    let port = join.port(!args.no_encryption);
    let port = port.ok_or_else(|| cannot("its server lets nobody in who does not encrypt"))?;
    // One that comes in between is no reason to leave things half done.
    let signals = EndSignals::catch().map_err(|e| Error::new("catch", "signals", e))?;
    let server = address(&join.host, port)?;
    let root = args.root.clone();
    let place = edit::Place {
        dir: root.join("etc/config"),
        pending: root.join("tmp/.uci"),
        run_dir: root.join("var/run/bsbf"),
    };
    let has_uci = files::exists(&place.dir);
    Router { root, place, has_uci }.join(args, &join, server, &signals)
}

/// What is written to standard input, where nobody who lists processes sees it.
fn typed() -> Result<String, Error> {
    let mut text = String::new();
    let read = std::io::stdin().lock().take(LONGEST as u64 + 1).read_to_string(&mut text);
    read.map_err(|e| Error::new("read", "the token", e))?;
    Ok(text)
}

/// The server's address: of several the first one of IPv4, which more WANs have.
fn address(host: &str, port: u16) -> Result<SocketAddr, Error> {
    if let Ok(address) = [host, ":", &port.to_string()].concat().parse() {
        return Ok(address);
    }
    let found = smol::block_on(resolve::addresses(host.into(), port));
    let found = found.map_err(|e| Error::new("find the address of", host, e))?;
    let first = found.iter().find(|address| address.is_ipv4()).or(found.first()).copied();
    first.ok_or_else(|| Error::new("find the address of", host, "it has none"))
}

/// Has the service do something.
///
/// # Errors
/// It could not, or says no.
fn ran(service: &Path, verb: &str) -> Result<(), Error> {
    let cannot = |cause: &dyn std::fmt::Display| Error::new("start", service.display(), cause);
    let ran = child::run(&service.to_string_lossy(), &[verb], b"", WITHIN).map_err(|e| cannot(&e))?;
    if ran.code == 0 { Ok(()) } else { Err(cannot(&[verb, " ended with ", &ran.code.to_string()].concat())) }
}

impl Router {
    fn join(&self, args: &Args, join: &Join, server: SocketAddr, signals: &EndSignals) -> Outcome {
        let service = self.root.join("etc/init.d/bsbf-proxy");
        if self.has_uci && !files::exists(&service) {
            let cause = "it is not there: install the package bsbf-proxy";
            return Err(Error::new("start", service.display(), cause));
        }
        let _lock = self.lock()?;
        let key = join.secure.as_ref().filter(|_| !args.no_encryption);
        let uuid = [&join.uuid.text(), "\n"].concat();
        let mut secrets = vec![(self.root.join("etc/bsbf/uuid"), uuid)];
        if let Some(secure) = key {
            secrets.push((self.root.join("etc/bsbf/key"), [&secure.key.text(), "\n"].concat()));
        }
        let before = self.settings()?;
        let old = before.first().map(|package| list(package, "proxy")).unwrap_or_default();
        let words = words(&before, &old, &server.to_string(), key.map(|secure| secure.server.text()));
        let wishes = words.iter().map(|word| set::wish(word)).collect::<Result<Vec<_>, Error>>()?;
        let has = |(path, text): &(PathBuf, String)| {
            files::read(path).is_ok_and(|there| there == text.as_bytes())
                && !files::is_open_to_others(path).unwrap_or(true)
        };
        let is_so = self.holds(&before, &wishes) && secrets.iter().all(has);
        if is_so && (self.status().is_some() || !self.has_uci) {
            applet::say("Nothing to do: it is so already.\n");
        } else {
            if let Some(file) = edit::pending(&self.place, &PACKAGES).first().filter(|_| self.has_uci) {
                let cause = "there are changes of others, which could not be put back: commit or revert them";
                return Err(Error::new("join beside", file.display(), cause));
            }
            let kept = self.keep(&secrets)?;
            let was_enabled = self.has_uci && ran(&service, "enabled").is_ok();
            let done = self.write(&secrets, &wishes).and_then(|()| self.start(&service));
            if let Err(why) = done {
                self.put_back(&kept, &service, was_enabled);
                return Err(why);
            }
            self.say(join, server, &old, key.is_some());
        }
        if !self.has_uci {
            applet::say(LEFT);
            return Ok(EXIT_DONE);
        }
        self.wait(signals, server, args.within)
    }

    fn lock(&self) -> Result<Lock, Error> {
        let dir = &self.place.run_dir;
        let run_dir = RunDir::open(dir).map_err(|e| Error::new("make", dir.display(), e))?;
        let me = ["pid ", &std::process::id().to_string()].concat();
        let lock = run_dir.lock("join.lock", &me).map_err(|e| Error::new("lock", dir.display(), e))?;
        let taken = |holder: String| {
            Error::new("join", "a server", [&holder, " is at it"].concat()).with_exit(EXIT_LOCKED)
        };
        lock.map_err(taken)
    }

    /// The files of the settings.
    fn files(&self) -> Vec<PathBuf> {
        match self.has_uci {
            true => PACKAGES.map(|name| self.place.dir.join(name)).to_vec(),
            false => vec![self.root.join("etc/bsbf/bsbf")],
        }
    }

    fn settings(&self) -> Result<Vec<Package>, Error> {
        self.files().iter().map(|path| config::package(path)).collect()
    }

    fn holds(&self, packages: &[Package], wishes: &[set::Wish]) -> bool {
        let mut batch = Batch::default();
        let leads_here = !self.has_uci || network(packages, &mut batch).is_ok() && batch.is_empty();
        set::holds(packages, wishes) && leads_here
    }

    /// All that is going to be changed.
    fn keep(&self, secrets: &[(PathBuf, String)]) -> Result<Vec<Kept>, Error> {
        let paths = secrets.iter().map(|(path, _)| path.clone()).chain(self.files());
        let keep = |path: PathBuf| {
            let was = config::read(&path, false)?;
            Ok((path, was))
        };
        paths.map(keep).collect()
    }

    fn write(&self, secrets: &[(PathBuf, String)], wishes: &[set::Wish]) -> Result<(), Error> {
        for (path, text) in secrets {
            let dir = path.parent().unwrap_or(Path::new("/"));
            keep::make_dir(dir).map_err(|e| Error::new("make", dir.display(), e))?;
            keep::replace_secrets(path, text.as_bytes())
                .map_err(|e| Error::new("write", path.display(), e))?;
        }
        if self.has_uci {
            let plan = |packages: &[Package]| {
                let mut batch = set::plan(packages, wishes)?;
                network(packages, &mut batch)?;
                Ok(batch)
            };
            return edit::edit(&self.place, &PACKAGES, &plan, &|packages| self.holds(packages, wishes));
        }
        let (Some(path), Some(package)) = (self.files().pop(), self.settings()?.pop()) else { return Ok(()) };
        set::plan(std::slice::from_ref(&package), wishes)?;
        let text = print::export("bsbf", &set::with(package, wishes), Anonymous::AsWritten);
        keep::replace(&path, &text).map_err(|e| Error::new("write", path.display(), e))
    }

    /// Has everybody take the settings in, and the client start.
    fn start(&self, service: &Path) -> Result<(), Error> {
        if !self.has_uci {
            return Ok(());
        }
        for package in PACKAGES {
            if let Err(e) = edit::tell(package) {
                log::warn!("services of {package} could not be told ({e}); restart the router");
            }
        }
        ran(service, "enable")?;
        ran(service, "restart")
    }

    fn put_back(&self, kept: &[Kept], service: &Path, was_enabled: bool) {
        let mut is_back = true;
        for (path, was) in kept {
            if config::read(path, false).is_ok_and(|now| now == *was) {
                continue;
            }
            let put = match was {
                Some(was) => keep::replace(path, was),
                None => keep::remove(path),
            };
            if let Err(e) = put {
                is_back = false;
                applet::complain(&Error::new("put back", path.display(), e).to_string());
            }
        }
        if is_back {
            applet::complain("nothing is changed: keys and settings are as they were");
        }
        // One that was a client goes on as it was, and what was no service is none.
        let mut done = self.start(service);
        if !was_enabled && self.has_uci {
            done = ran(service, "stop").and(ran(service, "disable"));
        }
        if let Err(e) = done {
            applet::complain(&e.to_string());
        }
    }

    fn say(&self, join: &Join, server: SocketAddr, old: &[String], is_encrypted: bool) {
        let mut text = ["This router is a client of ", &server.to_string()].concat();
        if !join.name.is_empty() {
            text += &[" now, as ", &join.name].concat();
        }
        text += if is_encrypted { "; what it carries is encrypted.\n" } else { "; nothing is encrypted.\n" };
        if !old.is_empty() && *old != [server.to_string()] {
            text += &["Before it was one of ", &old.join(", "), ".\n"].concat();
        }
        applet::say(&text);
    }

    fn status(&self) -> Option<ProxyStatus> {
        let socket = self.place.run_dir.join([CLIENT, ".sock"].concat());
        ProxyStatus::from_json(&control::ask(&socket, &Question::Status).ok()??).ok()
    }

    /// Waits until the server answers.
    fn wait(&self, signals: &EndSignals, server: SocketAddr, within: u32) -> Outcome {
        if within == 0 {
            return Ok(EXIT_DONE);
        }
        let deadline = clock::now() + Duration::from_secs(within.into());
        let mut pause = SETTLE.min(Duration::from_secs(within.into()));
        let mut why = "no client runs";
        let mut trouble = String::new();
        while clock::now() < deadline {
            if signals.wait(pause).unwrap_or(true) {
                return Ok(EXIT_FAILED);
            }
            pause = INTERVAL;
            let Some(status) = self.status() else { continue };
            why = "it does not answer";
            let at = server.to_string();
            let Some(found) = status.servers.into_iter().find(|server| server.address == at) else {
                continue;
            };
            if let (None, Some(ms)) = (found.silent_ms, found.rtt_ms) {
                applet::say(&["The server answers, after ", &ms.to_string(), " ms.\n"].concat());
                return Ok(EXIT_DONE);
            }
            trouble = found.trouble;
        }
        let colon = if trouble.is_empty() { "" } else { ": " };
        let seconds = [" within ", &within.to_string(), " s"].concat();
        let end = ". It stays so, and is tried on: bsbf-proxy status";
        applet::complain(&[&server.to_string(), ": ", why, &seconds, colon, &trouble, end].concat());
        Ok(EXIT_FAILED)
    }
}

/// What is left to do where there is no `uci`: the unit has the rule and the route.
const LEFT: &str = "Left to do: systemctl enable bsbf-proxy-client; systemctl restart bsbf-proxy-client\n\
                    Then: bsbf-proxy status\n";

/// What the settings are to have: all that a token has no word of is as by default.
fn words(before: &[Package], old: &[String], server: &str, key: Option<String>) -> Vec<String> {
    // Without the servers' key it has to be said: our own, of another server, may still be there.
    let encryption = if key.is_some() { "encryption=" } else { "encryption=0" };
    let mut words: Vec<String> = ["enabled=1", encryption, "key_file=", "uuid=", "uuid_file="]
        .map(|word| ["proxy.", word].concat())
        .to_vec();
    words.push(["proxy.server=", server].concat());
    words.push(["proxy.server_key=", &key.unwrap_or_default()].concat());
    // A WAN that does not reach the server gets no endpoint. One that somebody has chosen stays.
    let managers = before.first().map(|package| list(package, "bond")).unwrap_or_default();
    if managers.is_empty() || managers == old {
        words.push(["server=", server].concat());
    }
    words
}

/// The servers of the section of this type.
fn list(package: &Package, kind: &str) -> Vec<String> {
    let section: Option<&Section> = package.sections_of(kind).next_back();
    let items = section.map(|section| section.list("server").unwrap_or_default()).unwrap_or_default();
    items.into_iter().map(str::to_owned).collect()
}

/// What the firewall marks for the client leads to this router itself.
fn network(packages: &[Package], batch: &mut Batch) -> Result<(), Error> {
    let [_, package] = packages else { return Ok(()) };
    let mut edits = Edits { name: "network", package, batch };
    plan::to_proxy(&mut edits).map_err(|e| Error::new("change", "/etc/config/network", e))
}
