//! The manager's loop, shared by `bsbf-bond`, `bsbf-route` and `bsbf-mptcp`: kernel and answers to the mind, its
//! actions to the kernel.
//!
//! Everything is event-driven on one thread: notifications, answers, signals and clients wake it; else it sleeps
//! until the mind's next deadline. A notification is a hint: what it hints at is read anew, so that lost or
//! misunderstood ones do no harm; and now and then without any.

use std::cell::Cell;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use smol::LocalExecutor;
use smol::channel::{Receiver, Sender};
use smol::future::FutureExt;

use crate::applet;
use crate::config::{self, ManagerArgs};
use crate::error::{EXIT_DONE, EXIT_FAILED, Error, Outcome};
use crate::logging;
use crate::sys::caps::{self, Capability};
use crate::sys::clock;
use crate::sys::control::{self, Client, ControlSocket};
use crate::sys::kernel::Kernel;
use crate::sys::rundir::RunDir;
use crate::sys::signals::{Asked, DaemonSignals};
use crate::types::{IfIndex, IfName, Time};
use crate::wan::mind::{Action, Event, Mind};
use crate::wan::mptcp::{Mptcp, Running};
use crate::wan::networks::Networks;
use crate::wan::record::Reason;
use crate::wan::settings::{MAX_WANS, Settings};
use crate::wan::world::{Change, Failures, Memory};
use crate::wire::question::Question;
use crate::wire::ubus::Interface;

mod halves;
mod listening;
mod mirror;
mod mptcp;
mod neighbours;
mod networks;
mod probing;
mod recording;
#[cfg(feature = "replay")]
mod replay;
mod report;

pub use mirror::file_name as record_name;

use halves::{read_memory, take_locks, write_memory};
use mirror::Mirror;
use probing::Echoes;
use recording::Recording;

/// Where locks, memory and sockets are.
pub const RUN_DIR: &str = "/var/run/bsbf";
/// The kernel is read anew at least this often: it drops routes with a dead next hop without a word, and endpoints
/// are changed without notification.
const RESYNC: Duration = Duration::from_secs(30);
/// After a failed change the kernel is read anew soon, but not in a loop.
const RETRY: Duration = Duration::from_secs(1);
/// Notifications come in bunches (a link's end takes its address and routes with it); this long after the first the
/// kernel is read, once for all of them.
const BUNCH: Duration = Duration::from_millis(2);

/// The answer to news.
const DONE: &str = "ok\n";

/// Which of the managers this is.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// Name of the socket and in messages: "bond", "route", "mptcp".
    pub name: &'static str,
    /// Moves default routes.
    pub routes: bool,
    /// Keeps endpoints.
    pub endpoints: bool,
}

impl Kind {
    /// Both halves together have both locks, each half its own: two managers never fight over one thing.
    fn locks(&self) -> impl Iterator<Item = &'static str> {
        [self.routes.then_some("route"), self.endpoints.then_some("mptcp")].into_iter().flatten()
    }
}

/// Runs a manager until a signal ends it.
pub fn run(kind: Kind, args: ManagerArgs) -> Outcome {
    let path = args.run_dir.clone().unwrap_or_else(|| Path::new(RUN_DIR).to_path_buf());
    if let Some(name) = &args.release {
        return release(kind, &path, name);
    }
    if let Some(network) = args.ifdown.as_ref().or(args.ifup.as_ref()) {
        return networks::take(kind, &path, network, args.ifdown.is_none());
    }
    if let Some(trace) = &args.replay {
        #[cfg(feature = "replay")]
        return replay::run(trace, &args);
        #[cfg(not(feature = "replay"))]
        return Err(Error::new(
            "replay",
            trace.display(),
            "this build is for small flash; bsbf for aarch64 or x86_64 can",
        ));
    }
    logging::start_daemon(applet::level(args.verbose));
    let settings = config::load(&args, (kind.routes, kind.endpoints))?;
    let run_dir = RunDir::open(&path).map_err(|e| Error::new("make", path.display(), e))?;
    let needed = [Capability::NetAdmin, Capability::NetRaw];
    let missing = caps::missing(&needed);
    if !missing.is_empty() {
        let cause = format!("{} missing; run it as root or with these capabilities", missing.join(" and "));
        return Err(Error::new("manage", "routes and endpoints", cause));
    }
    caps::keep(&needed).map_err(|e| Error::new("give up", "capabilities", e))?;
    let _locks = take_locks(kind, &run_dir)?;
    let mut kernel = Kernel::open().map_err(|e| Error::new("open", "a netlink socket", e))?;
    let memory = read_memory(kind, &run_dir)?;
    if args.clean {
        return clean(kind, &run_dir, &mut kernel, settings, memory);
    }
    let signals = DaemonSignals::catch().map_err(|e| Error::new("catch", "signals", e))?;
    let executor = LocalExecutor::new();
    let manager = Manager::new(kind, args, settings, memory, run_dir, kernel)?;
    smol::block_on(executor.run(manager.run(&executor, signals)))
}

/// Tells the running manager to let an interface go.
fn release(kind: Kind, run_dir: &Path, name: &IfName) -> Outcome {
    let socket = run_dir.join(format!("{}.sock", kind.name));
    match control::ask(&socket, &Question::Release(name.clone())) {
        Ok(Some(_)) => Ok(EXIT_DONE),
        Ok(None) => Err(Error::new("release", name, format!("no bsbf-{} is running", kind.name))),
        Err(e) => Err(Error::new("ask", socket.display(), e)),
    }
}

fn clean(kind: Kind, run_dir: &RunDir, kernel: &mut Kernel, settings: Settings, memory: Memory) -> Outcome {
    let mut mind = Mind::new(settings, memory.clone(), clock::now());
    let world = kernel.world().map_err(|e| Error::new("read", "the kernel's routes", e))?;
    mind.see(world);
    let mut failed = false;
    let mut failures = Failures::default();
    for mut change in mind.clean() {
        if failures.bar(&change) {
            continue;
        }
        failures.mend(&mut change, &memory);
        let result = match &change {
            Change::Remember(memory) => write_memory(kind, run_dir, memory),
            change => kernel.apply(change),
        };
        if let Err(e) = result {
            log::error!("cannot {change}: {e}");
            failures.note(&change);
            failed = true;
        }
    }
    Ok(if failed { EXIT_FAILED } else { EXIT_DONE })
}

/// What wakes the loop.
enum Wake {
    Answer {
        index: IfIndex,
        seq: u16,
    },
    KernelChanged,
    SubflowFailed(std::net::IpAddr),
    Tested(Running, Option<Mptcp>),
    Signal(Asked),
    Client(Client),
    Networks(Vec<Interface>),
    /// A listener broke; there is no going on without it.
    Broken(Error),
}

struct Manager {
    kind: Kind,
    began: Time,
    args: ManagerArgs,
    run_dir: RunDir,
    kernel: Kernel,
    mind: Mind,
    /// As they are written; the mind's have devices for networks.
    settings: Settings,
    networks: Networks,
    trace: Recording,
    echoes: Vec<(IfIndex, Echoes)>,
    sender: Sender<Wake>,
    receiver: Receiver<Wake>,
    resync_at: Time,
    /// What stands in the run directory.
    written: Memory,
    /// The record's copy there.
    mirror: Mirror,
    /// How long after a failed change the kernel is read again.
    retry: Duration,
    /// TCP probes under way.
    knocks: Rc<Cell<usize>>,
    mptcp: mptcp::Watch,
    /// Something has changed since the kernel was read.
    stale: Rc<Cell<bool>>,
    next_echo_id: u16,
    /// What is wrong with the machine, for the status.
    notes: Vec<String>,
}

impl Manager {
    fn new(
        kind: Kind,
        args: ManagerArgs,
        settings: Settings,
        memory: Memory,
        run_dir: RunDir,
        kernel: Kernel,
    ) -> Result<Manager, Error> {
        // A full channel makes the listeners wait, and the kernel's own queues after them.
        let (sender, receiver) = smol::channel::bounded(64);
        let now = clock::now();
        let mut notes = Vec::new();
        if kind.endpoints && !kernel.has_mptcp() {
            let missing = "this kernel has no MPTCP (CONFIG_MPTCP): no endpoints";
            if !kind.routes {
                return Err(Error::new("manage", "MPTCP endpoints", missing));
            }
            notes.push(format!("{missing}, routes are managed all the same"));
        }
        let servers = config::mptcp_servers(&args, &settings);
        let mptcp = mptcp::Watch::new(servers);
        let trace = Recording::begin(kind, &args, &settings, &memory, now)?;
        let mut mind = Mind::new(settings.clone(), memory.clone(), now);
        let mirror = Mirror::new(kind.name);
        mind.begin(mirror.read(&run_dir, now), now);
        Ok(Manager {
            written: memory,
            mirror,
            trace,
            mind,
            settings,
            networks: Networks::default(),
            kind,
            began: now,
            args,
            run_dir,
            kernel,
            echoes: Vec::new(),
            sender,
            receiver,
            resync_at: now,
            retry: RETRY,
            knocks: Rc::new(Cell::new(0)),
            mptcp,
            stale: Rc::new(Cell::new(false)),
            // Another manager's echoes have ids elsewhere.
            next_echo_id: std::process::id() as u16,
            notes,
        })
    }

    async fn run(mut self, executor: &LocalExecutor<'_>, signals: DaemonSignals) -> Outcome {
        self.keep_mptcp_on();
        let socket = self.run_dir.path(&format!("{}.sock", self.kind.name));
        let control =
            ControlSocket::open(&socket).map_err(|e| Error::new("listen at", socket.display(), e))?;
        let _listeners = self.listen(executor, signals, control)?;
        let targets: Vec<String> =
            self.mind.settings().targets.iter().map(|t| t.address.to_string()).collect();
        log::info!("bsbf-{}: asking {}", self.kind.name, targets.join(" "));
        self.ask_netifd();
        self.resync(executor);
        self.all_notes().iter().for_each(|note| log::warn!("{note}"));
        loop {
            let now = clock::now();
            let tests = self.mptcp.deadline().unwrap_or(self.resync_at);
            let deadline = self.mind.next_deadline(now).min(self.resync_at).min(tests);
            match self.wait(deadline).await {
                None => {}
                Some(Wake::Signal(Asked::End)) => return self.farewell(),
                Some(Wake::Signal(Asked::Reload)) => self.reload(executor),
                Some(Wake::Broken(error)) => {
                    // The routes go home first; whoever restarts us begins from there.
                    self.farewell()?;
                    return Err(error);
                }
                Some(Wake::KernelChanged) => {
                    smol::Timer::after(BUNCH).await;
                    self.resync(executor);
                }
                Some(Wake::Answer { index, seq }) => self.tell_mind(Event::Answer { index, seq }, executor),
                Some(Wake::SubflowFailed(address)) => self.tell_mind(Event::SubflowFailed(address), executor),
                Some(Wake::Tested(ran, found)) => self.on_tested(ran, found, executor),
                Some(Wake::Client(client)) => self.serve(client, executor),
                Some(Wake::Networks(networks)) => self.on_networks(&networks, executor),
            }
            let now = clock::now();
            if now >= self.resync_at {
                self.resync(executor);
            }
            if self.mind.wants_counters(now) {
                let counters = self.counters();
                self.tell_mind(Event::Counters(counters), executor);
            } else if now >= self.mind.next_deadline(now) {
                self.tell_mind(Event::Tick, executor);
            }
            self.test_mptcp(executor);
        }
    }

    /// The next thing that happens before `deadline`.
    async fn wait(&self, deadline: Time) -> Option<Wake> {
        if let Ok(wake) = self.receiver.try_recv() {
            return Some(wake);
        }
        let left = deadline.since(clock::now());
        if left.is_zero() {
            return None;
        }
        let wake = async { self.receiver.recv().await.ok() };
        let late = async {
            smol::Timer::after(left).await;
            None
        };
        wake.or(late).await
    }

    /// Reads the kernel and lets the mind compare.
    fn resync(&mut self, executor: &LocalExecutor<'_>) {
        self.stale.set(false);
        let world = match self.kernel.world() {
            Ok(world) => world,
            // Short of memory, perhaps. The routes stay as they are, and the WANs are asked all the same.
            Err(e) => {
                log::warn!("cannot read the kernel's routes: {e}");
                self.resync_at = clock::now() + RETRY;
                return;
            }
        };
        self.resync_at = clock::now() + RESYNC;
        self.tell_mind(Event::World(world), executor);
        let wans: Vec<IfIndex> = self.mind.wans().iter().map(|w| w.index).collect();
        self.echoes.retain(|(index, _)| wans.contains(index));
    }

    fn reload(&mut self, executor: &LocalExecutor<'_>) {
        match config::load(&self.args, (self.kind.routes, self.kind.endpoints)) {
            Ok(settings) => {
                log::info!("settings read again");
                self.set_mptcp_servers(config::mptcp_servers(&self.args, &settings), executor);
                let resolved = self.networks.resolve(&settings);
                self.settings = settings;
                self.tell_mind(Event::Settings(Box::new(resolved)), executor);
                self.ask_netifd();
            }
            Err(e) => log::error!("{e}; the old settings stay in force"),
        }
    }

    fn counters(&mut self) -> Vec<(IfIndex, u64, u64)> {
        let mut counters = Vec::with_capacity(MAX_WANS);
        for wan in self.mind.wans() {
            // A device that is gone has none; the notification of its end is on the way.
            if let Ok(link) = self.kernel.link(wan.index) {
                counters.push((link.index, link.rx_bytes, link.tx_bytes));
            }
        }
        counters
    }

    fn tell_mind(&mut self, event: Event, executor: &LocalExecutor<'_>) {
        let at = clock::now();
        // Endpoints change without notification, so what was done is looked at; what failed, a little later.
        let (mut failures, mut changes) = (Failures::default(), Vec::new());
        self.trace.event(&event, at);
        let actions = self.mind.handle(event, at);
        self.trace.actions(&actions);
        for action in actions {
            match action {
                Action::Tell(decision) if decision.is_routine() => log::debug!("{decision}"),
                Action::Tell(decision) => log::info!("{decision}"),
                Action::Change(change) if failures.bar(&change) => {}
                Action::Change(mut change) => {
                    failures.mend(&mut change, &self.written);
                    let done = self.apply(&change);
                    if !done {
                        failures.note(&change);
                    }
                    changes.push((change, done));
                }
                Action::Probe(index, probe, target) => self.probe(index, probe, target, executor),
            }
        }
        self.conclude(at, &changes);
        if changes.is_empty() {
            return;
        }
        let failed = changes.iter().any(|(_, done)| !done);
        let look_after = if failed { self.retry } else { Duration::ZERO };
        if failed {
            self.trace.recall(&self.written, clock::now());
            self.mind.recall(self.written.clone());
        }
        // What cannot be done (a kernel without this or that) is tried more and more rarely.
        self.retry = if failed { (self.retry * 2).min(RESYNC) } else { RETRY };
        self.resync_at = match failed {
            // Notifications of what did succeed must not bring the next try forward.
            true => clock::now() + look_after,
            false => self.resync_at.min(clock::now() + look_after),
        };
    }

    /// Does one change and says whether it is done.
    fn apply(&mut self, change: &Change) -> bool {
        let result = match change {
            Change::Remember(memory) => {
                write_memory(self.kind, &self.run_dir, memory).inspect(|()| self.written = memory.clone())
            }
            change => self.kernel.apply(change),
        };
        let subject = report::subject(change, &self.mind);
        match &result {
            Ok(()) => log::log!(report::level_of(change), "{subject}{change}"),
            Err(e) => log::warn!("{subject}cannot {change}: {e}"),
        }
        result.is_ok()
    }

    /// Notes what came of the last decisions.
    fn conclude(&mut self, at: Time, changes: &[(Change, bool)]) {
        let lines = self.mind.conclude(at, changes, clock::now().since(at));
        if !lines.is_empty() {
            self.mirror.append(&self.run_dir, &lines, self.mind.record());
        }
    }

    fn serve(&mut self, client: Client, executor: &LocalExecutor<'_>) {
        let answer = match &client.question {
            Ok(Question::Status) => {
                let notes = self.all_notes();
                let subflows = self.mptcp.subflows.borrow();
                report::status(self.kind.name, self.began, &self.mind, &subflows, notes, clock::now())
                    .to_json()
            }
            Ok(Question::Decisions) => self.mind.record().to_text(),
            Ok(Question::Release(name)) => {
                self.tell_mind(Event::Release(name.clone()), executor);
                DONE.to_string()
            }
            Ok(Question::Up { network, device }) => {
                self.on_ifup(network, device.clone(), executor);
                DONE.to_string()
            }
            Ok(Question::FellBack(address)) => {
                self.mptcp.doubt(*address);
                DONE.to_string()
            }
            Ok(Question::Down(network)) => {
                self.on_ifdown(network, executor);
                DONE.to_string()
            }
            Err(e) => format!("error: {e}\n"),
        };
        crate::tasks::spawn(executor, async move { client.answer(&answer).await }).detach();
    }

    /// Gives the routes back and ends.
    fn farewell(&mut self) -> Outcome {
        // What happened since the last reading counts: a route must not be restored over another's.
        match self.kernel.world() {
            Ok(world) => self.mind.see(world),
            Err(e) => log::warn!("cannot read the kernel's routes, what was seen last has to do: {e}"),
        }
        let (at, mut failures, mut changes) = (clock::now(), Failures::default(), Vec::new());
        for mut change in self.mind.farewell() {
            if failures.bar(&change) {
                continue;
            }
            failures.mend(&mut change, &self.written);
            let done = self.apply(&change);
            if !done {
                failures.note(&change);
            }
            changes.push((change, done));
        }
        self.mind.note(Reason::Ended, at);
        self.conclude(at, &changes);
        log::info!("bsbf-{}: ended, default routes are where they were", self.kind.name);
        Ok(EXIT_DONE)
    }
}
