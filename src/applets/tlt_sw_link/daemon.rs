//! The loop: news of links to what is to be done, and that to netifd.
//!
//! What is asked of `ubus` is asked in the loop: it answers at once or within 3 s not at all, and news wait in their pipes.

use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::Duration;

use log::Level;

use super::log;
use super::source::{Source, find};
use crate::switch::map::{Place, Port};
use crate::switch::settle::{Links, News, Settled, Step, step};
use crate::sys::follow::{Follower, Said};
use crate::sys::kernel::{Kernel, device_bell};
use crate::sys::netlink::Bell;
use crate::sys::rundir::RunDir;
use crate::sys::signals::{Asked, EndSignals};
use crate::sys::watch::Watch;
use crate::sys::{clock, ready, ubus};
use crate::types::Time;

/// What was taken down, a name a line.
const MEMORY: &str = "tlt-sw-link";
/// Until a program that has ended is started again: at first, and at most.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(30)];
/// Links are asked for once more when the program that tells of changes has certainly begun to listen.
const LISTENS: Duration = Duration::from_secs(2);
/// netifd reads changed settings at about the same time as we do.
const RELOAD: Duration = Duration::from_secs(2);
/// Until what netifd did not do is asked of it again.
const RETRY: Duration = Duration::from_secs(5);
/// Where ubusd listens: newer, older.
const BUS: [&str; 2] = ["/var/run/ubus/ubus.sock", "/var/run/ubus.sock"];
/// Until something else has its turn.
const MOST_LINES: u32 = 64;
/// Of ports that were told of as not being followed: a switch has no more.
const MOST_TOLD: usize = 32;

/// The daemon.
pub struct Daemon {
    settings: PathBuf,
    ports: Vec<Port>,
    links: Links,
    /// What arguments say, or what was found.
    source: Option<Source>,
    asked: Option<Source>,
    follower: Option<Follower>,
    kernel: Kernel,
    devices: Bell,
    bus: Option<Watch>,
    signals: EndSignals,
    run_dir: RunDir,
    /// Networks that were taken down here.
    taken: Vec<String>,
    told: Vec<String>,
    pause: Duration,
    began: Time,
    follow_at: Option<Time>,
    read_at: Option<Time>,
}

impl Daemon {
    /// Takes over from one that was killed.
    ///
    /// # Errors
    /// What cannot be opened.
    pub fn new(
        settings: PathBuf,
        ports: Vec<Port>,
        asked: Option<Source>,
        kernel: Kernel,
        run_dir: RunDir,
        signals: EndSignals,
    ) -> std::io::Result<Daemon> {
        let devices = device_bell()?;
        // `ubus subscribe` survives a restart of ubusd, and hears nothing more.
        let bus = Watch::of(&BUS)?;
        let memory = run_dir.read(MEMORY)?;
        Ok(Daemon {
            settings,
            links: Links::new(ports.len()),
            ports,
            source: asked,
            asked,
            follower: None,
            kernel,
            devices,
            bus,
            signals,
            run_dir,
            taken: memory.lines().map(String::from).collect(),
            told: Vec::new(),
            pause: PAUSES[0],
            began: clock::now(),
            follow_at: None,
            read_at: None,
        })
    }

    /// Runs until a signal ends it.
    ///
    /// # Errors
    /// The system does not tell any more.
    pub fn run(mut self) -> std::io::Result<()> {
        // Whether their links are there may be nobody's to tell; if they are not, they are taken down again.
        self.give_back(&[]);
        self.begin();
        self.follow();
        let result = self.go_on();
        self.give_back(&[]);
        log(Level::Info, &["ended"]);
        result
    }

    /// Does what is to be done until a signal asks for the end.
    fn go_on(&mut self) -> std::io::Result<()> {
        let mut more = false;
        loop {
            self.sleep(more)?;
            match self.signals.asked()? {
                Some(Asked::End) => return Ok(()),
                Some(Asked::Reload) => self.reload(),
                None => {}
            }
            let restarted = self.bus.as_ref().map_or(Ok(false), Watch::was_made)?;
            if restarted && self.source == Some(Source::PortEvents) {
                log(Level::Info, &["ubusd was started anew"]);
                (self.follower, self.pause) = (None, PAUSES[0]);
                self.follow_later();
            }
            if self.devices.rang()? {
                self.look();
            }
            more = self.listen()?;
            let now = clock::now();
            let is_due = |at: Option<Time>| at.is_some_and(|at| at <= now);
            if is_due(self.follow_at) {
                self.follow();
            }
            if is_due(self.read_at) {
                self.read_at = None;
                self.read();
            }
            while let Some(settled) = self.links.due(clock::now()) {
                self.act(settled);
            }
        }
    }

    /// Waits for the next thing that happens; not at all if there is `more` to do.
    fn sleep(&self, more: bool) -> std::io::Result<()> {
        let mut fds = vec![self.signals.as_fd(), self.devices.as_fd()];
        fds.extend(self.bus.as_ref().map(AsFd::as_fd));
        fds.extend(self.follower.as_ref().map(AsFd::as_fd));
        let deadlines = [self.links.next_deadline(), self.follow_at, self.read_at];
        let deadline = deadlines.into_iter().flatten().min();
        let left = deadline.map(|at| at.since(clock::now()));
        ready::wait(&fds, if more { Some(Duration::ZERO) } else { left }).map(drop)
    }

    /// Hears what the program that tells has to say, and says whether there may be more: a flood holds up nothing else.
    fn listen(&mut self) -> std::io::Result<bool> {
        for _ in 0..MOST_LINES {
            let Some(follower) = &mut self.follower else { return Ok(false) };
            match follower.next()? {
                Said::Line(line) => self.hear(&line),
                Said::Nothing => return Ok(false),
                Said::End => self.ended(),
            }
        }
        Ok(true)
    }

    /// Says what is followed.
    fn begin(&self) {
        let mut any = false;
        for port in self.ports.iter().filter(|port| !port.networks.is_empty()) {
            log(Level::Info, &[&port.name, ": ", &port.device, " ", &port.networks.join(" ")]);
            any = true;
        }
        if !any {
            log(
                Level::Warn,
                &["no port has a VLAN or a device to itself with a WAN: there is nothing to follow"],
            );
        }
    }

    fn reload(&mut self) {
        match super::ports(&self.settings) {
            Ok(ports) => {
                self.ports = ports;
                (self.links, self.source, self.follower) = (Links::new(self.ports.len()), self.asked, None);
                (self.pause, self.read_at) = (PAUSES[0], None);
                self.told.clear();
                log(Level::Info, &["settings read again"]);
                let mut known = Vec::new();
                for port in &self.ports {
                    known.extend_from_slice(&port.networks);
                }
                self.give_back(&known);
                self.begin();
                self.follow_at = Some(clock::now() + RELOAD);
            }
            Err(e) => log(Level::Error, &[&e.to_string(), "; the old settings stay in force"]),
        }
    }

    /// Starts what tells of links, and asks for those that are.
    fn follow(&mut self) {
        self.follow_at = None;
        if self.ports.iter().all(|port| port.networks.is_empty()) {
            return;
        }
        let source = match self.source.map_or_else(|| Source::choose(&self.ports), Ok) {
            Ok(source) => source,
            Err(e) => return self.failed(&e.to_string()),
        };
        log(self.level(Level::Info), &["links by ", source.name()]);
        self.source = Some(source);
        match source.follow() {
            Ok(follower) => {
                self.began = clock::now();
                self.read_at = follower.is_some().then(|| self.began + LISTENS);
                self.follower = follower;
                self.read();
            }
            Err(e) => self.failed(&[source.name(), ": ", &e.to_string()].concat()),
        }
    }

    /// What tells of links has ended.
    fn ended(&mut self) {
        self.follower = None;
        if clock::now().since(self.began) > PAUSES[1] {
            self.pause = PAUSES[0];
        }
        self.failed("what tells of links has ended");
    }

    /// Says why there are no news, and tries again later.
    fn failed(&mut self, why: &str) {
        log(self.level(Level::Warn), &[why, "; again in ", &self.pause.as_secs().to_string(), " s"]);
        self.follow_later();
    }

    /// The level of a line that is of interest the first time.
    fn level(&self, first: Level) -> Level {
        if self.pause == PAUSES[0] { first } else { Level::Debug }
    }

    fn follow_later(&mut self) {
        self.read_at = None;
        self.follow_at = Some(clock::now() + self.pause);
        self.pause = (self.pause * 2).min(PAUSES[1]);
    }

    /// Asks for the links that are.
    fn read(&mut self) {
        let Some(source) = self.source else { return };
        for (port, up) in source.links(&self.ports, &mut self.kernel) {
            self.links.see(port, up, News::Reading, clock::now());
        }
    }

    fn hear(&mut self, line: &[u8]) {
        let Some(link) = self.source.and_then(|source| source.read(line)) else { return };
        log(Level::Debug, &[&link.port, ": link ", word(link.up)]);
        let Some(port) = find(&self.ports, &link.port) else {
            return self.tell_once(link.port, "the settings have no such port: left alone");
        };
        match self.ports.get(port) {
            Some(known) if !known.networks.is_empty() => {
                self.links.see(port, link.up, News::Event, clock::now());
            }
            _ => self.tell_once(link.port, "no WAN has it to itself: left alone"),
        }
    }

    fn tell_once(&mut self, port: String, what: &str) {
        if self.told.len() < MOST_TOLD && !self.told.contains(&port) {
            log(Level::Info, &[&port, ": ", what]);
            self.told.push(port);
        }
    }

    /// Devices have changed. netifd sets that of a network down with it, and no cable would be noticed in such a port.
    fn look(&mut self) {
        for port in &self.ports {
            let Place::Device(name) = &port.place else { continue };
            if !port.networks.iter().any(|network| self.taken.contains(network)) {
                continue;
            }
            let result = match self.kernel.link_named(name) {
                Ok(Some(link)) if !link.up => self.kernel.set_link_up(link.index),
                link => link.map(drop),
            };
            if let Err(e) = result {
                log(
                    Level::Warn,
                    &[name.as_str(), " cannot be set up, and no cable noticed: ", &e.to_string()],
                );
            }
        }
        if self.source == Some(Source::Netlink) {
            self.read();
        }
    }

    /// Has netifd do what a link that has settled asks for.
    fn act(&mut self, settled: Settled) {
        let Some(port) = self.ports.get(settled.port).filter(|port| !port.networks.is_empty()) else {
            return;
        };
        let (name, networks) = (port.name.clone(), port.networks.clone());
        let known = match ubus::networks() {
            Ok(known) => known,
            Err(e) => {
                let why = [
                    ": link ",
                    word(settled.up),
                    ", but netifd does not tell its networks: ",
                    &e.to_string(),
                ];
                log(Level::Warn, &[&name, &why.concat()]);
                return self.links.again(settled, clock::now() + RETRY);
            }
        };
        for network in networks {
            let now = known.iter().find(|known| known.name == network);
            let done = match step(settled, self.taken.contains(&network), now) {
                Step::Leave(why) => {
                    // Somebody else brought it up.
                    if now.is_none_or(|now| now.up) {
                        self.forget(&network);
                    }
                    Ok(why)
                }
                Step::Down => {
                    // First, so that one who is killed in between leaves nothing down for ever.
                    self.remember(&network);
                    order(&network, "down")
                }
                Step::Up => order(&network, "up").inspect(|_| self.forget(&network)),
            };
            let (level, what) = match done {
                Ok(what) => (Level::Info, what.to_string()),
                Err(e) => {
                    self.links.again(settled, clock::now() + RETRY);
                    (Level::Warn, ["stays as it is: ", &e.to_string()].concat())
                }
            };
            log(level, &[&name, ": link ", word(settled.up), ": network ", &network, " ", &what]);
        }
    }

    /// Brings up what was taken down here, but these: netifd decides from then on.
    fn give_back(&mut self, but: &[String]) {
        for network in self.taken.clone() {
            if but.contains(&network) {
                continue;
            }
            let (level, what) = match order(&network, "up") {
                Ok(what) => {
                    self.forget(&network);
                    (Level::Info, what.to_string())
                }
                Err(e) => (Level::Warn, ["stays down: ", &e.to_string()].concat()),
            };
            log(level, &["given back: network ", &network, " ", &what]);
        }
    }

    fn remember(&mut self, network: &str) {
        if !self.taken.iter().any(|known| known == network) {
            self.taken.push(network.into());
            self.save();
        }
    }

    fn forget(&mut self, network: &str) {
        let before = self.taken.len();
        self.taken.retain(|known| known != network);
        if self.taken.len() < before {
            self.save();
        }
    }

    fn save(&self) {
        let mut text = self.taken.join("\n");
        if !text.is_empty() {
            text.push('\n');
        }
        if let Err(e) = self.run_dir.write(MEMORY, &text) {
            log(Level::Warn, &["cannot write ", MEMORY, ": ", &e.to_string()]);
        }
    }
}

/// Has netifd do it, and says what came of it.
fn order(network: &str, method: &'static str) -> std::io::Result<&'static str> {
    let answer = ubus::ask(&["network.interface.", network].concat(), method, "{}")?;
    Ok(if answer.is_some() { method } else { "is not there" })
}

fn word(up: bool) -> &'static str {
    if up { "up" } else { "down" }
}
