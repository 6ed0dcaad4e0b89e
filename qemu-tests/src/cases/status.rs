//! `bsbf-status`: every form of it, with a manager and without, and the numbers behind a decision.

use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use miniserde::{Deserialize, json};
use nix::sys::signal::Signal;

use super::cases;
use super::managed::{Managed, SETTLE, SILENCE, SOON, until};
use crate::check;
use crate::failure::{Doing, Result, failed};
use crate::link::Wan;
use crate::manager::{self, Manager, Ran, WanStatus};
use crate::runner::Case;
use crate::topology::Lab;

pub const CASES: &[Case] = cases!("status":
    a_manager_is_shown_in_every_form,
    without_a_manager_every_form_says_so,
    why_has_the_numbers_of_a_blackhole,
    why_reads_what_a_killed_manager_left,
    a_manager_that_hangs_is_told_of within 60,
    what_cannot_be_written_is_an_error,
    times_and_names_that_are_none_are_refused,
    a_debug_report_masks_secrets,
    watching_into_a_pipe_outlives_the_manager,
);

pub const ALONE: &[Case] = cases!("status":
    it_answers_at_once_and_watching_costs_little within 120,
);

/// Asked for: an answer in 10 ms, watching for 0.5 % of a core. Five times that on any machine.
const ANSWER: Duration = Duration::from_millis(50);
const WATCHING: f64 = 0.025;
const WATCHED: Duration = Duration::from_secs(30);
/// From the decision to the route's move, beside the time that the manager took for it.
const CLOSE: f64 = 0.1;

#[derive(Deserialize)]
struct Shown {
    version: u32,
    time: f64,
    managers: Vec<ManagerStatus>,
    system: Option<System>,
}

#[derive(Deserialize)]
struct ManagerStatus {
    daemon: String,
    wans: Vec<WanStatus>,
}

#[derive(Deserialize)]
struct System {
    devices: Vec<Device>,
}

#[derive(Deserialize)]
struct Device {
    name: String,
    carrier: bool,
    addresses: Vec<String>,
    routes: Vec<Route>,
}

#[derive(Deserialize)]
struct Route {
    gateway: Option<String>,
    metric: u32,
}

#[derive(Deserialize, Debug)]
struct Why {
    running: bool,
    states: Vec<State>,
    decisions: Vec<Decision>,
}

#[derive(Deserialize, Debug)]
struct State {
    wan: String,
    state: String,
}

#[derive(Deserialize, Debug)]
struct Decision {
    time: f64,
    wan: Option<String>,
    from: Option<String>,
    to: Option<String>,
    kind: String,
    values: Values,
    witness: Option<String>,
    outcome: Outcome,
}

#[derive(Deserialize, Debug)]
struct Values {
    lost: Option<u64>,
    sent: Option<u64>,
    targets: Option<u64>,
    span_us: Option<u64>,
}

#[derive(Deserialize, Debug)]
struct Outcome {
    routes: u64,
    removed: u64,
    failed: u64,
    took_us: u64,
}

fn wall() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64())
}

fn status(lab: &Lab, arguments: &[&str]) -> Result<Ran> {
    let all: Vec<&str> = [&["status"], arguments].concat();
    manager::run(lab, &all)
}

fn shown(ran: &Ran) -> Result<Shown> {
    json::from_str(&ran.stdout).or_else(|_| failed(format!("not the JSON that was promised: {ran:?}")))
}

/// What `why` with these arguments tells; it must succeed.
fn why(lab: &Lab, arguments: &[&str]) -> Result<Why> {
    let ran = status(lab, &[&["why", "--json"], arguments].concat())?;
    check!(ran.code == Some(0), "why {arguments:?}: {ran:?}");
    json::from_str(&ran.stdout).or_else(|_| failed(format!("not the JSON that was promised: {ran:?}")))
}

fn a_manager_is_shown_in_every_form() -> Result {
    let managed = Managed::start(Lab::two_wans()?, &[])?;
    let lab = &managed.lab;
    let table = status(lab, &[])?;
    println!("{}", table.stdout);
    let parts = ["bsbf-bond", "wan1", "wan2", "METRIC", "198.18.1.2", "subflow", "answered"];
    let all = parts.iter().all(|part| table.stdout.contains(part));
    check!(table.code == Some(0) && all && table.stderr.is_empty(), "{table:?}");
    let ran = status(lab, &["--json"])?;
    let now = shown(&ran)?;
    let [bond] = &now.managers[..] else { return failed(format!("not one manager: {ran:?}")) };
    check!(bond.daemon == "bond" && now.version == 2 && now.system.is_none(), "{ran:?}");
    check!((now.time - wall()).abs() < 5.0, "it thinks that it is {}", now.time);
    check!(bond.wans.len() == 2 && bond.wans.iter().all(|wan| wan.state == "up"), "{:?}", bond.wans);
    let metrics = status(lab, &["--prometheus"])?;
    for line in ["bsbf_up 1", "bsbf_wan_up{manager=\"bond\",wan=\"wan2\"} 1"] {
        check!(
            metrics.code == Some(0) && metrics.stdout.lines().any(|l| l == line),
            "no {line}: {metrics:?}"
        );
    }
    let socket = fs::metadata("/var/run/bsbf/bond.sock").doing("look at the socket")?;
    let mode = socket.permissions().mode() & 0o7777;
    check!(socket.file_type().is_socket() && mode == 0o660, "the socket's mode is {mode:o}");
    Ok(())
}

fn without_a_manager_every_form_says_so() -> Result {
    let lab = Lab::two_wans()?;
    for form in [&[][..], &["--json"], &["--prometheus"], &["why"]] {
        let ran = status(&lab, form)?;
        check!(ran.code == Some(3) && ran.stderr.contains("none runs"), "{form:?}: {ran:?}");
        check!(ran.stdout.is_empty() == (form == ["why"]), "{form:?}: {ran:?}");
    }
    let table = status(&lab, &[])?.stdout;
    check!(table.contains("wan2: up") && table.contains("via 198.18.2.1 src 198.18.2.2 metric 2"), "{table}");
    let Some(system) = shown(&status(&lab, &["--json"])?)?.system else { return failed("no system") };
    let wan = system.devices.iter().find(|device| device.name == "wan1");
    let sees = wan.is_some_and(|wan| {
        let route = wan.routes.iter().any(|r| r.metric == 1 && r.gateway.as_deref() == Some("198.18.1.1"));
        route && wan.carrier && wan.addresses == ["198.18.1.2"]
    });
    check!(sees, "wan1 is not shown as it is");
    let metrics = status(&lab, &["--prometheus"])?.stdout;
    check!(metrics.lines().last() == Some("bsbf_up 0"), "{metrics}");
    Ok(())
}

fn why_has_the_numbers_of_a_blackhole() -> Result {
    let managed = Managed::start(Lab::two_wans()?, &[])?;
    sleep(Duration::from_secs(2));
    let (cut, cut_wall) = (Instant::now(), wall());
    managed.lab.blackhole(1, true);
    managed.leaves(&[1], cut, SILENCE)?;
    let Some(moved) = managed.routes.moved_to(2, cut, SILENCE) else { return failed("nothing moved") };
    let told = why(&managed.lab, &["wan1"])?;
    let Some(lost) = told.decisions.iter().find(|d| d.kind == "lost") else {
        return failed(format!("no loss was decided: {told:?}"));
    };
    println!("moved {moved:?} after the cut; {lost:?}");
    let ours = lost.wan.as_deref() == Some("wan1") && lost.witness.as_deref() == Some("wan2");
    let states = (lost.from.as_deref(), lost.to.as_deref()) == (Some("suspect"), Some("down"));
    check!(ours && states && told.running, "{lost:?}");
    let link = managed.lab.link(1);
    let dropped = [&link.up, &link.down].map(|way| way.counters.dropped_by_blackhole.load(Relaxed));
    let number = |of: Option<u64>| of.unwrap_or_default();
    let (gone, sent) = (number(lost.values.lost), number(lost.values.sent));
    check!(
        gone >= 1 && gone <= sent && gone <= dropped.iter().sum(),
        "{gone} of {sent}, {dropped:?} dropped"
    );
    let targets = number(lost.values.targets);
    check!((1..=3).contains(&targets), "{targets} targets");
    let span = number(lost.values.span_us) as f64 / 1e6;
    check!(span > 0.0 && span < moved.as_secs_f64() + 0.5, "{gone} lost in {span} s");
    let Outcome { routes, removed, failed, took_us } = lost.outcome;
    let took = took_us as f64 / 1e6;
    check!((routes, removed, failed) == (1, 1, 0) && took > 0.0 && took < 1.0, "{:?}", lost.outcome);
    let after = cut_wall + moved.as_secs_f64() - lost.time;
    check!((-CLOSE..took + CLOSE).contains(&after), "the route moved {after:.3} s after the decision");
    // The same by its time, and a second before the cut.
    let there = why(&managed.lab, &["wan1", "--at", "-0s"])?;
    check!(there.states.iter().any(|s| s.wan == "wan1" && s.state == "down"), "{there:?}");
    let ago = (wall() - cut_wall).ceil() as u64 + 1;
    let before = why(&managed.lab, &["wan1", "--at", &format!("-{ago}s")])?;
    check!(before.states.iter().any(|s| s.wan == "wan1" && s.state == "up"), "{ago} s ago: {before:?}");
    let words = status(&managed.lab, &["why"])?;
    println!("{}", words.stdout);
    check!(words.stdout.contains(&format!("{gone} of {sent} probes")), "{words:?}");
    managed.end(cut)
}

fn why_reads_what_a_killed_manager_left() -> Result {
    let mut managed = Managed::start(Lab::two_wans()?, &[])?;
    let cut = Instant::now();
    managed.lab.blackhole(2, true);
    managed.says(2, |wan| wan.state == "down", SILENCE)?;
    // The file is written with the outcome.
    let before = why(&managed.lab, &["wan2"])?;
    managed.crash();
    let ran = status(&managed.lab, &["why", "wan2"])?;
    check!(ran.code == Some(0) && ran.stderr.contains("no manager answers"), "{ran:?}");
    let after = why(&managed.lab, &["wan2"])?;
    check!(!after.running && after.states.is_empty(), "{after:?}");
    let losses = |of: &Why| -> Vec<(u64, u64)> {
        let lost = of.decisions.iter().filter(|d| d.kind == "lost");
        lost.map(|d| (d.values.lost.unwrap_or_default(), d.outcome.took_us)).collect()
    };
    check!(losses(&before).len() == 1 && losses(&before) == losses(&after), "{before:?}, then {after:?}");
    println!("asked {:?} after the cut", cut.elapsed());
    fs::remove_file("/var/run/bsbf/bond.record")?;
    let ran = status(&managed.lab, &["why"])?;
    check!(ran.code == Some(3) && ran.stdout.is_empty(), "without a record: {ran:?}");
    Ok(())
}

fn a_manager_that_hangs_is_told_of() -> Result {
    let mut managed = Managed::start(Lab::two_wans()?, &[])?;
    managed.manager()?.signal(Signal::SIGSTOP)?;
    let metrics = status(&managed.lab, &["--prometheus"])?;
    check!(metrics.code == Some(1) && metrics.stderr.contains("it does not answer"), "{metrics:?}");
    check!(metrics.stdout.lines().last() == Some("bsbf_up 0"), "{metrics:?}");
    // What it decided is written down.
    let told = why(&managed.lab, &["wan1"])?;
    check!(!told.running && told.decisions.iter().any(|d| d.kind == "answered"), "{told:?}");
    managed.manager()?.signal(Signal::SIGCONT)?;
    managed.says(1, |wan| wan.state == "up", SOON)
}

fn what_cannot_be_written_is_an_error() -> Result {
    let managed = Managed::start(Lab::two_wans()?, &[])?;
    for form in [&[][..], &["--json"], &["--prometheus"], &["--debug-report"], &["why"]] {
        let into_full = ["sh", "-c", "exec \"$@\" >/dev/full", "sh"];
        let ran = manager::run_as(&managed.lab, &into_full, &[&["status"], form].concat())?;
        let said = ran.stderr.contains("cannot write to stdout: ");
        check!(ran.code == Some(1) && said, "{form:?} into a full disk: {ran:?}");
    }
    Ok(())
}

fn times_and_names_that_are_none_are_refused() -> Result {
    let managed = Managed::start(Lab::two_wans()?, &[])?;
    let ran = status(&managed.lab, &["why", "--at", "soon"])?;
    check!(ran.code == Some(2) && ran.stderr.contains("14:03"), "{ran:?}");
    let ran = status(&managed.lab, &["why", "wan7"])?;
    check!(ran.code == Some(1) && ran.stderr.contains("wan1 wan2"), "{ran:?}");
    for forms in [&["--json", "--prometheus"][..], &["--watch", "--debug-report"], &["--interval", "1"]] {
        let ran = status(&managed.lab, forms)?;
        check!(ran.code == Some(2) && ran.stdout.is_empty(), "{forms:?}: {ran:?}");
    }
    let help = status(&managed.lab, &["why", "--help"])?;
    check!(help.code == Some(0) && help.stdout.contains("--at"), "{help:?}");
    Ok(())
}

fn a_debug_report_masks_secrets() -> Result {
    let file = "/run/bsbf.conf";
    fs::write(file, "config bond 'bond'\n\toption interval '1000'\n\nconfig tunnel\n\toption Key 'hush'\n")?;
    let mut managed = Managed::start(Lab::two_wans()?, &[])?;
    for runs in [true, false] {
        let ran = status(&managed.lab, &["--debug-report", "--config", file])?;
        let parts = [
            "== versions",
            "bsbf ",
            "default via 198.18.1.1 src 198.18.1.2 metric 1 proto static",
            "table 5201 proto bsbf",
            "lookup 5202",
            "net/mptcp/enabled = 1",
            "net/ipv4/conf/wan1/rp_filter = 0",
            "wan2: up, carrier, veth",
            "option interval '1000'",
            "option Key '***'",
            "bond.record",
            "wan2: testing -> up",
        ];
        let missing: Vec<&&str> = parts.iter().filter(|part| !ran.stdout.contains(**part)).collect();
        check!(ran.code == Some(0) && missing.is_empty(), "no {missing:?}: {}{}", ran.stdout, ran.stderr);
        check!(!ran.stdout.contains("hush"), "the secret is told: {}", ran.stdout);
        check!(ran.stdout.contains("no manager answers") != runs, "a manager runs, {runs}: {}", ran.stdout);
        managed.crash();
    }
    Ok(())
}

fn watching_into_a_pipe_outlives_the_manager() -> Result {
    let mut managed = Managed::start(Lab::two_wans()?, &[])?;
    let pictures = "/run/pictures";
    let drawn = || fs::read_to_string(pictures).unwrap_or_default();
    let arguments = ["--watch", "--interval", "0.2"];
    let mut watch = Manager::start_command(&managed.lab, "status", &arguments, Path::new(pictures))?;
    let three = until(SOON, || Ok(drawn().matches("bsbf-bond").count() >= 3))?;
    check!(three.is_some(), "not three pictures: {}", drawn());
    managed.crash();
    let gone = until(SOON, || Ok(drawn().contains("no manager runs")))?;
    check!(gone.is_some() && watch.is_alive(), "the manager's end was not shown: {}", drawn());
    let before = drawn().len();
    managed.launch(&[])?;
    let back = until(SETTLE, || Ok(drawn().get(before..).is_some_and(|text| text.contains("bsbf-bond"))))?;
    check!(back.is_some(), "the manager's return was not shown: {}", drawn());
    let asked = Instant::now();
    watch.signal(Signal::SIGTERM)?;
    let ended = watch.end(SOON)?;
    println!("ended {:?} after SIGTERM: {ended}", asked.elapsed());
    let text = drawn();
    check!(ended.success() && !text.contains('\u{1b}'), "{ended}: {text:?}");
    check!(text.contains("▁"), "there is no graph: {text}");
    Ok(())
}

fn median(mut of: Vec<Duration>) -> Duration {
    of.sort();
    of.get(of.len() / 2).copied().unwrap_or_default()
}

fn it_answers_at_once_and_watching_costs_little() -> Result {
    let lab = (1..=4).fold(Lab::builder(), |lab, i| lab.wan(Wan::mbit(50).delay_ms(5 * i)));
    let mut managed = Managed::start(lab.build()?, &[])?;
    sleep(Duration::from_secs(2));
    // What it takes to start a program in the lab is none of its own.
    let time = |arguments: &[&str]| -> Result<Duration> {
        let times = (0..20).map(|_| {
            let start = Instant::now();
            let ran = status(&managed.lab, arguments)?;
            check!(ran.code == Some(0), "{ran:?}");
            Ok(start.elapsed())
        });
        Ok(median(times.collect::<Result<Vec<Duration>>>()?))
    };
    let (nothing, table, json) = (time(&["--version"])?, time(&[])?, time(&["--json"])?);
    println!("median of 20: --version {nothing:?}, table {table:?}, --json {json:?}");
    check!(table < nothing + ANSWER, "the table takes {table:?}, --version {nothing:?}");
    let share = |used: f64, start: Instant| used / start.elapsed().as_secs_f64();
    let (start, before) = (Instant::now(), managed.manager()?.cpu_seconds()?);
    sleep(WATCHED);
    let idle = share(managed.manager()?.cpu_seconds()? - before, start);
    let mut watch = Manager::start_command(&managed.lab, "status", &["--watch"], Path::new("/run/pictures"))?;
    let (start, before) = (Instant::now(), managed.manager()?.cpu_seconds()?);
    sleep(WATCHED);
    let asked = share(managed.manager()?.cpu_seconds()? - before, start);
    let watching = share(watch.cpu_seconds()?, start);
    let percent = |part: f64| format!("{:.2} %", part * 100.0);
    println!(
        "watching takes {}, the manager {} instead of {}",
        percent(watching),
        percent(asked),
        percent(idle)
    );
    check!(watching + (asked - idle).max(0.0) < WATCHING, "watching costs too much");
    check!(watch.end(SOON)?.success(), "the watch did not end well");
    Ok(())
}
