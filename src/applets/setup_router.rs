//! `bsbf-setup-router`: makes a bonding router of one that is as its first boot made it: one port stays LAN, every other
//! one becomes a WAN.
//!
//! A router that somebody has set up is changed only when asked to (`--apply`), and what it was is put back unless
//! something answers within a minute and a half, or when somebody asks for it (`--undo`).

use std::path::PathBuf;
use std::time::Duration;

use argh::FromArgs;

use crate::applet::{self, Applet};
use crate::config::edit::{self, Place};
use crate::error::{EXIT_DONE, EXIT_FAILED, EXIT_LOCKED, EXIT_USAGE, Error, Outcome};
use crate::logging;
use crate::setup::plan::{self, PACKAGES, Plan};
use crate::sys::lock::Lock;
use crate::sys::rundir::RunDir;
use crate::sys::signals::DaemonSignals;
use crate::sys::{ubus, uci};
use crate::wire::uci::Package;
use answer::Answer;
use kept::{Kept, Stage};

mod answer;
mod kept;

/// The row of the table.
pub const APPLET: Applet = Applet {
    name: "bsbf-setup-router",
    summary: "Make a bonding router: one LAN port, every other port a WAN",
    run: |arguments| applet::with_args("bsbf-setup-router", arguments, run),
};

const LOCK: &str = "setup.lock";
/// For modems, which take a minute to connect.
const WITHIN: u32 = 90;

/// Make a bonding router: the LAN port with the highest number stays LAN, every other port becomes a WAN with DHCP (wan1, wan2, ...) whose metric is its number.
#[derive(FromArgs)]
#[argh(
    example = "{command_name}\n{command_name} --apply\n{command_name} --apply --lan lan1\n{command_name} --undo",
    note = "Without an option, or with --dry-run, it only tells what it would change: network, firewall and dhcp, in one 'uci batch'. What is so already is left as it is.",
    note = "--apply puts everything back unless a server or target of /etc/config/bsbf answers by one of the WANs within --within seconds, be there a reboot meanwhile.",
    note = "Exit codes: 0 done, 1 not done, or put back because nothing answered; 2 wrong arguments; 4 another one is at it."
)]
struct Args {
    /// change nothing
    #[argh(switch)]
    dry_run: bool,
    /// change it, on a router that is running
    #[argh(switch)]
    apply: bool,
    /// put back what the last change replaced
    #[argh(switch)]
    undo: bool,
    /// with --undo: also files that were changed since; as they are now they stay in /etc/bsbf/setup
    #[argh(switch)]
    force: bool,
    /// for /etc/uci-defaults: change it if nothing is running yet and nobody has changed the settings
    #[argh(switch)]
    first_boot: bool,
    /// for the boot: go on waiting for an answer if that was interrupted
    #[argh(switch)]
    confirm: bool,
    /// the port that stays LAN: its device, or its number in the switch
    #[argh(option, arg_name = "port")]
    lan: Option<String>,
    /// seconds to wait for an answer (default: 90; 0: wait for none)
    #[argh(option, arg_name = "seconds", default = "WITHIN")]
    within: u32,
    /// directory in which /etc, /tmp and /var are (default: /)
    #[argh(option, arg_name = "dir", default = "\"/\".into()")]
    root: PathBuf,
}

fn run(args: Args) -> Outcome {
    logging::start_command(log::LevelFilter::Warn);
    let place = Place {
        dir: args.root.join("etc/config"),
        pending: args.root.join("tmp/.uci"),
        run_dir: args.root.join("var/run/bsbf"),
    };
    let kept = Kept::new(args.root.join("etc/bsbf/setup"), place.dir.clone());
    let router = Router { args: &args, place, kept };
    match (args.apply, args.undo, args.first_boot, args.confirm, args.dry_run) {
        (true, false, false, false, false) => router.apply(),
        (false, true, false, false, false) => router.undo(),
        (false, false, true, false, false) => router.first_boot(),
        (false, false, false, true, false) => router.confirm(),
        (false, false, false, false, _) => router.show(),
        _ => Err(Error::new("do", "all of that", "one of the actions expected").with_exit(EXIT_USAGE)),
    }
}

struct Router<'a> {
    args: &'a Args,
    place: Place,
    kept: Kept,
}

impl Router<'_> {
    fn show(&self) -> Outcome {
        let plan = self.plan()?;
        applet::print(&told(&plan))?;
        if plan.batch.is_empty() {
            applet::print("Nothing to do: it is so already.\n")?;
            return Ok(EXIT_DONE);
        }
        applet::print("\nLines for uci batch:\n")?;
        applet::print_bytes(plan.batch.as_bytes())?;
        let lan = self.args.lan.as_ref().map(|port| format!(" --lan {port}")).unwrap_or_default();
        applet::print(&format!("\nNothing is changed. To do so: bsbf-setup-router --apply{lan}\n"))?;
        Ok(EXIT_DONE)
    }

    fn apply(&self) -> Outcome {
        let signals = DaemonSignals::catch().map_err(|e| Error::new("catch", "signals", e))?;
        let _lock = self.lock()?;
        self.recover()?;
        if let [pending, ..] = edit::pending(&self.place, &PACKAGES).as_slice() {
            let cause = "it has changes that were not committed; 'uci commit' or 'uci revert' first";
            return Err(Error::new("go on with", pending.display(), cause));
        }
        let plan = self.plan()?;
        applet::say(&told(&plan));
        match (plan.batch.is_empty(), self.kept.stage()) {
            // Somebody ended the command that waited for an answer.
            (true, Stage::Unconfirmed) => {}
            (true, _) => {
                applet::say("Nothing to do: it is so already.\n");
                return Ok(EXIT_DONE);
            }
            (false, _) => self.write(self.args.within == 0)?,
        }
        self.tell();
        if self.args.within == 0 {
            self.kept.confirmed()?;
            return Ok(EXIT_DONE);
        }
        self.wait(&signals)
    }

    fn first_boot(&self) -> Outcome {
        // netifd answers: this is no boot, but a package that is installed on a running router.
        let runs = ubus::has_netifd();
        let _lock = self.lock()?;
        self.recover()?;
        if !runs {
            self.commit_pending();
        }
        let plan = match self.plan() {
            Ok(plan) => plan,
            Err(why) => {
                applet::say(&format!("bsbf-setup-router: nothing changed: {why}\n"));
                return Ok(EXIT_DONE);
            }
        };
        if plan.batch.is_empty() {
            return Ok(EXIT_DONE);
        }
        let why = match (&plan.configured, runs) {
            (Some(what), _) => format!("this router is set up already ({what})"),
            (None, true) => "this router is running".to_string(),
            (None, false) => {
                self.write(true)?;
                applet::say(&told(&plan));
                return Ok(EXIT_DONE);
            }
        };
        applet::say(&format!(
            "bsbf-setup-router: {why}, so its ports stay as they are.\n\
             To see what it would make of them: bsbf-setup-router\n\
             To make every port but one a WAN: bsbf-setup-router --apply\n"
        ));
        Ok(EXIT_DONE)
    }

    fn undo(&self) -> Outcome {
        let _lock = self.lock()?;
        if self.kept.stage() == Stage::None {
            return Err(Error::new("undo", "the last change", "none is kept"));
        }
        let changed = match self.kept.stage() {
            Stage::Writing => Vec::new(),
            _ => self.kept.changed_since(),
        };
        if !(changed.is_empty() || self.args.force) {
            let what = changed.iter().map(|name| self.place.dir.join(name).display().to_string());
            let cause = "changed since; --force puts back what was, and keeps what is now";
            return Err(Error::new("undo", what.collect::<Vec<String>>().join(", "), cause));
        }
        self.kept.put_back()?;
        self.tell();
        applet::say("Everything is as it was.\n");
        if let [_, ..] = changed.as_slice() {
            applet::say("What was changed since is kept: /etc/bsbf/setup/NAME.after\n");
        }
        Ok(EXIT_DONE)
    }

    fn confirm(&self) -> Outcome {
        let signals = DaemonSignals::catch().map_err(|e| Error::new("catch", "signals", e))?;
        let _lock = self.lock()?;
        self.recover()?;
        match self.kept.stage() {
            Stage::Unconfirmed => self.wait(&signals),
            _ => Ok(EXIT_DONE),
        }
    }

    /// Waits for an answer, and puts everything back if there is none.
    fn wait(&self, signals: &DaemonSignals) -> Outcome {
        let within = self.args.within;
        applet::say(&format!(
            "Waiting up to {within} s for an answer; without one everything is put back.\n"
        ));
        let wans: Vec<String> = self.plan()?.wans.into_iter().map(|(name, _)| name).collect();
        let why = match answer::wait(signals, &wans, Duration::from_secs(within.into())) {
            Ok(Answer::Of(who)) => {
                self.kept.confirmed()?;
                applet::say(&format!("{who}: it stays. To undo it: bsbf-setup-router --undo\n"));
                return Ok(EXIT_DONE);
            }
            Ok(Answer::None) => format!("nothing answered within {within} s"),
            Ok(Answer::Ended) => "told to end".to_string(),
            Err(e) => e.to_string(),
        };
        self.kept.put_back()?;
        self.tell();
        applet::complain(&format!("{why}: everything is put back"));
        Ok(EXIT_FAILED)
    }

    fn plan(&self) -> Result<Plan, Error> {
        self.plan_for(&edit::read(&self.place, &PACKAGES)?)
    }

    /// With the files' place in what is wrong.
    fn plan_for(&self, files: &[Package]) -> Result<Plan, Error> {
        let cannot = |e| Error::new("make a bonding router of", self.place.dir.display(), e);
        plan::plan(files, self.args.lan.as_deref()).map_err(cannot)
    }

    /// Makes the change; what was is kept, and put back if it cannot be made whole.
    fn write(&self, confirmed: bool) -> Result<(), Error> {
        let change = |files: &[Package]| {
            let plan = self.plan_for(files)?;
            self.kept.begin()?;
            Ok(plan.batch)
        };
        let holds = |files: &[Package]| self.plan_for(files).is_ok_and(|plan| plan.batch.is_empty());
        match edit::edit(&self.place, &PACKAGES, &change, &holds) {
            Ok(()) => self.kept.written(confirmed),
            Err(why) => {
                self.recover()?;
                Err(why)
            }
        }
    }

    /// Puts back what a power cut left half written, with which the services may have been started since.
    fn recover(&self) -> Result<(), Error> {
        if self.kept.stage() == Stage::Writing {
            self.kept.put_back()?;
            self.tell();
            applet::complain("an earlier change was interrupted: everything is as it was before it");
        }
        Ok(())
    }

    /// Changes that earlier scripts of the first boot left to be committed after the last one.
    fn commit_pending(&self) {
        let lines: String = PACKAGES.iter().map(|name| format!("commit {name}\n")).collect();
        if !edit::pending(&self.place, &PACKAGES).is_empty() {
            let _ = uci::batch(&self.place.dir, &self.place.pending, lines.as_bytes());
        }
    }

    fn lock(&self) -> Result<Lock, Error> {
        let dir = &self.place.run_dir;
        let run_dir = RunDir::open(dir).map_err(|e| Error::new("make", dir.display(), e))?;
        let lock = run_dir.lock(LOCK, &format!("pid {}", std::process::id()));
        let taken = |holder: String| {
            Error::new("set up", "this router", format!("{holder} is at it")).with_exit(EXIT_LOCKED)
        };
        lock.map_err(|e| Error::new("lock", run_dir.path(LOCK).display(), e))?.map_err(taken)
    }

    /// Lets the services take the settings in.
    fn tell(&self) {
        for package in PACKAGES {
            if let Err(e) = edit::tell(package) {
                log::warn!("services of {package} could not be told ({e}); restart the router");
            }
        }
    }
}

fn told(plan: &Plan) -> String {
    let mut text = match &plan.configured {
        Some(what) => ["Somebody has set this router up already: network: ", what, ".\nlan   "].concat(),
        None => "The ports are as the router's first boot made them.\nlan   ".to_string(),
    };
    text += &plan.lan;
    plan.wans.iter().for_each(|(name, what)| text += &["\n", name, "  ", what].concat());
    text + "\n"
}
