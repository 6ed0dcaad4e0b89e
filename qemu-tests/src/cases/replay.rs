//! What a manager records is decided again exactly, by its replay outside the lab's router.
//!
//! With `BSBF_TRACES=DIR` each trace is kept there under its case's name; `tests/traces` was made so.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::cases;
use super::managed::{Managed, RECOVERY, SILENCE, SOON};
use crate::check;
use crate::failure::{Doing, Result, failed, skipped};
use crate::link::Wan;
use crate::manager::{self, Ran};
use crate::runner::Case;
use crate::topology::Lab;
use crate::traffic::Transfer;

pub const CASES: &[Case] = cases!("replay":
    of_an_idle_blackhole within 60,
    of_a_loaded_blackhole within 60,
    of_a_world_that_was_away within 60,
    of_five_percent_loss within 120,
    of_a_wan_that_flaps within 120,
    of_a_lost_carrier within 60,
    with_other_options_says_what_would_have_been within 60,
    record_destroys_no_other_file within 60,
);

const TRACE: &str = "/run/bsbf.trace";
const KEEP: &str = "BSBF_TRACES";
/// So that they can be kept with the sources, in bytes.
const SMALL: u64 = 60 << 10;

/// Records what happens to a manager and replays it.
fn recorded(name: &str, lab: Lab, happen: impl FnOnce(&Managed) -> Result) -> Result {
    let managed = Managed::start(lab, &["--record", TRACE])?;
    let start = Instant::now();
    sleep(SOON);
    happen(&managed)?;
    managed.end(start)?;
    let about = fs::metadata(TRACE).doing("look at the trace")?;
    println!("{} bytes", about.len());
    check!(about.permissions().mode() & 0o777 == 0o600, "its mode is {:o}", about.permissions().mode());
    check!(about.len() < SMALL, "the trace has {} bytes", about.len());
    if let Some(directory) = env::var_os(KEEP) {
        let path = Path::new(&directory).join(name).with_extension("trace");
        fs::copy(TRACE, &path).doing(format_args!("keep {}", path.display()))?;
    }
    let replayed = replay(&[])?;
    let same = replayed.code == Some(0) && replayed.stdout.ends_with("same decisions as recorded\n");
    // A lost carrier needs no suspicion.
    check!(same && (name == "carrier" || replayed.stdout.contains(": suspect -> ")), "{replayed:?}");
    Ok(())
}

/// `bsbf bond --replay`, with neither the router's network nor any of the manager's arguments.
fn replay(more: &[&str]) -> Result<Ran> {
    let done = Command::new(manager::binary()?).args(["bond", "--replay", TRACE]).args(more).output();
    let done = done.doing("replay")?;
    if String::from_utf8_lossy(&done.stderr).contains("this build is for small flash") {
        return skipped("recorded, but this build for small flash cannot replay");
    }
    Ok(Ran {
        code: done.status.code(),
        stdout: String::from_utf8_lossy(&done.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&done.stderr).into_owned(),
    })
}

/// A silent break of WAN 1, until it is left, and its repair.
fn break_and_repair(managed: &Managed) -> Result {
    let cut = Instant::now();
    managed.lab.blackhole(1, true);
    managed.leaves(&[1], cut, SILENCE)?;
    sleep(SOON);
    let repaired = Instant::now();
    managed.lab.blackhole(1, false);
    managed.returns(&[1], repaired, RECOVERY)?;
    sleep(SOON);
    Ok(())
}

fn of_an_idle_blackhole() -> Result {
    recorded("idle-blackhole", Lab::two_wans()?, break_and_repair)
}

fn of_a_loaded_blackhole() -> Result {
    recorded("loaded-blackhole", Lab::two_wans()?, |managed| {
        let transfer = Transfer::start(&managed.lab)?;
        sleep(Duration::from_secs(5));
        break_and_repair(managed)?;
        transfer.finish()?;
        Ok(())
    })
}

fn of_a_world_that_was_away() -> Result {
    recorded("world-away", Lab::two_wans()?, |managed| {
        let start = Instant::now();
        for on in [true, false] {
            managed.lab.blackhole(1, on);
            managed.lab.blackhole(2, on);
            sleep(Duration::from_secs(3));
        }
        managed.stays(start)
    })
}

fn of_five_percent_loss() -> Result {
    let wan = |delay| Wan::mbit(20).delay_ms(delay).loss(0.05);
    let lab = Lab::builder().wan(wan(10)).wan(wan(25)).build()?;
    recorded("five-percent-loss", lab, |managed| {
        let start = Instant::now();
        sleep(Duration::from_secs(60));
        managed.stays(start)
    })
}

fn of_a_wan_that_flaps() -> Result {
    recorded("flapping", Lab::two_wans()?, |managed| {
        for _ in 0..3 {
            managed.lab.blackhole(1, true);
            managed.says(1, |wan| wan.state == "down", SILENCE)?;
            managed.lab.blackhole(1, false);
            managed.says(1, |wan| wan.state == "up" || wan.reason.contains("held down"), RECOVERY)?;
        }
        managed.says(1, |wan| wan.state == "up", Duration::from_secs(60))
    })
}

fn of_a_lost_carrier() -> Result {
    recorded("carrier", Lab::two_wans()?, |managed| {
        let cut = Instant::now();
        managed.lab.far_carrier(1, false)?;
        managed.leaves(&[1], cut, SILENCE)?;
        sleep(SOON);
        let repaired = Instant::now();
        managed.lab.far_carrier(1, true)?;
        managed.returns(&[1], repaired, RECOVERY)
    })
}

/// The two times of a row of the comparison, in seconds.
fn times(printed: &str, what: &str) -> Result<[f64; 2]> {
    let row = printed.lines().find(|line| line.contains(what)).unwrap_or_default();
    let numbers: Vec<f64> = row.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    match numbers[..] {
        [recorded, now] => Ok([recorded, now]),
        _ => failed(format!("no two times in {row:?} of {printed}")),
    }
}

fn with_other_options_says_what_would_have_been() -> Result {
    recorded("what-if", Lab::two_wans()?, break_and_repair)?;
    let same = replay(&["--set", "replies=3"])?;
    println!("{}", same.stdout);
    let [recorded, now] = times(&same.stdout, "taken out at")?;
    check!(
        (recorded - now).abs() < 0.3,
        "with the same options the verdict comes at {now} s, not {recorded}"
    );
    let later = replay(&["--set", "replies=20"])?;
    println!("{}", later.stdout);
    let [recorded, now] = times(&later.stdout, "taken back at")?;
    check!(now > recorded + 1.0, "with 20 answers WAN 1 is back at {now} s, with 3 at {recorded}");
    let without = replay(&["--set", "exclude=wan1"])?;
    check!(without.code == Some(0) && !without.stdout.contains("wan1: "), "{without:?}");
    let unknown = replay(&["--set", "losst=5"])?;
    check!(unknown.code == Some(2) && unknown.stderr.contains("unknown option 'losst'"), "{unknown:?}");
    // Whoever decides otherwise than recorded is told where.
    let text = fs::read_to_string(TRACE).doing("read the trace")?;
    fs::write(TRACE, text.replacen(" wan1 suspect down lost ", " wan1 suspect up lost ", 1))?;
    let differs = replay(&[])?;
    let told = differs.stdout.contains("not the same decisions as recorded, first at");
    check!(differs.code == Some(1) && told, "{differs:?}");
    Ok(())
}

fn record_destroys_no_other_file() -> Result {
    let mut managed = Managed::unmanaged(Lab::two_wans()?)?;
    let other = "/run/precious";
    fs::write(other, "precious\n")?;
    std::os::unix::fs::symlink(other, "/run/link")?;
    for path in [other, "/run/link", "/run", "/dev/null", "/run/missing/file"] {
        let refused = manager::run(&managed.lab, &["bond", "--record", path])?;
        check!(refused.code == Some(1) && refused.stderr.contains("cannot record into"), "{refused:?}");
    }
    check!(fs::read_to_string(other)? == "precious\n", "it was changed");
    // An empty file and an old trace give way.
    for old in ["", "bsbf-trace 1\nkind bond\nstart 5\n"] {
        fs::write(TRACE, old)?;
        managed.begin(&["--record", TRACE])?;
        let Some(manager) = managed.manager.take() else { return failed("no manager was started") };
        manager.end(SOON)?;
        let text = fs::read_to_string(TRACE)?;
        check!(text.starts_with("bsbf-trace 1\nkind bond\nstart ") && text.len() > 1000, "{text}");
    }
    Ok(())
}
