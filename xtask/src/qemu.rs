//! `qemu`: virtual routers, one for each architecture, in which the lab runs its tests.
//!
//! A guest is a kernel, busybox, iproute2's `ip` and the firewall's tool from Debian, kept in a cache outside the
//! repository; and our binary, the lab and the files of qemu-tests/router/, new each time. What the lab has to know of it is in
//! target/qemu/ARCH/machine.json.

mod apt;
mod cache;
mod compiled;
mod cpio;
mod emulator;
mod image;
mod libraries;
pub mod machine;
mod modules;
mod packaged;
mod parts;

use std::num::NonZero;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Instant;

use crate::cross::Tools;
use crate::paths::Paths;
use crate::tally::Tally;
use crate::targets::{self, Endian, Target};
use crate::{Result, ci, cross, lab, sing_box};
use cache::Cache;
use image::Programs;
use parts::Parts;

/// What all architectures share.
struct Common {
    tools: Tools,
    cache: Cache,
    /// The lab's program, for this machine.
    lab: PathBuf,
}

/// Runs the tests of these names, or all, in a guest of the architecture that the first word names, or of each.
pub fn command(paths: &Paths, words: &[&str]) -> Result<ExitCode> {
    let (arch, tests) = match words {
        [] => (None, words),
        ["all", tests @ ..] => (None, tests),
        [arch, tests @ ..] => (Some(*arch), tests),
    };
    let targets = targets::named(&paths.root, arch)?;
    let mut sum = Tally::default();
    run(paths, &targets, tests, &mut sum);
    Ok(ci::close(sum))
}

/// Fetches and compiles what guests have that is not ours, so that [`run`] finds it in the cache: to be done while
/// something else leaves processors idle. What fails here fails again there, and is counted there.
pub fn fetch(paths: &Paths, targets: &[Target]) {
    let Ok(cache) = Cache::find() else { return };
    for target in targets {
        if let Err(why) = Parts::find(&cache, &paths.root, target) {
            eprintln!("xtask: {}: {why}", target.arch);
        }
    }
}

/// The same as a part of other commands. An architecture whose guest cannot be made does not stop the others. As many
/// guests run at a time as there are processors, for an emulated one mostly keeps one of them busy.
pub fn run(paths: &Paths, targets: &[Target], tests: &[&str], sum: &mut Tally) {
    let common = match Common::find(paths, targets) {
        Ok(common) => common,
        Err(why) => return sum.check("qemu", Err(why)),
    };
    let (ready, guests) = mpsc::channel::<(&Target, PathBuf)>();
    let (guests, sum) = (Mutex::new(guests), Mutex::new(sum));
    let sum = || sum.lock().unwrap_or_else(PoisonError::into_inner);
    let next = || guests.lock().unwrap_or_else(PoisonError::into_inner).recv();
    let work = || {
        while let Ok((target, machine)) = next() {
            let (counted, outcome) = lab::qemu_test(&common.lab, &target.arch, &machine, tests);
            sum().step(&format!("qemu {}", target.arch), counted, outcome);
        }
    };
    // The longest first: the lab's own tests run where the big end comes first.
    let mut order: Vec<&Target> = targets.iter().collect();
    order.sort_by_key(|target| target.elf.endian != Endian::Big);
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    thread::scope(|scope| {
        // This thread is one of them, once it has prepared all guests.
        (1..processors).for_each(|_| drop(scope.spawn(work)));
        for target in order {
            match prepare(paths, &common, target, "qemu", Vec::new()) {
                // Received below at the latest.
                Ok(machine) => drop(ready.send((target, machine))),
                Err(why) => sum().check(&format!("qemu {}", target.arch), Err(why)),
            }
        }
        drop(ready);
        work();
    });
}

impl Common {
    fn find(paths: &Paths, targets: &[Target]) -> Result<Common> {
        Ok(Common { tools: Tools::find(paths, targets)?, cache: Cache::find()?, lab: lab::build(paths)? })
    }
}

/// Makes the guests that are measured, beside those that are tested: with sing-box where there is one. Gives the lab's
/// program and the guests' descriptions.
pub fn for_bench(paths: &Paths, targets: &[Target]) -> Result<(PathBuf, Vec<PathBuf>)> {
    let common = Common::find(paths, targets)?;
    let machines = targets.iter().map(|target| {
        let sing_box = sing_box::for_routers(paths, target)?;
        let more = sing_box.map(|program| (program, "sing-box"));
        prepare(paths, &common, target, "bench/routers", more.into_iter().collect())
    });
    let machines = machines.collect::<Result<_>>()?;
    Ok((common.lab, machines))
}

/// Makes the guest of one architecture, with more programs in it, in a directory below the target directory's `place`,
/// and gives the path of its machine.json.
fn prepare(
    paths: &Paths,
    common: &Common,
    target: &Target,
    place: &str,
    more: Vec<(PathBuf, &'static str)>,
) -> Result<PathBuf> {
    let start = Instant::now();
    let machine = &target.machine;
    let (program, arguments) =
        machine.qemu.split_first().ok_or_else(|| format!("targets/{}.toml: qemu is empty", target.arch))?;
    let mut qemu = emulator::command(&common.cache, program, &machine.package)?;
    qemu.extend_from_slice(arguments);
    let parts = Parts::find(&common.cache, &paths.root, target)?;
    let programs = Programs {
        bsbf: cross::compile(paths, &common.tools, target, &cross::PRODUCT)?,
        lab: cross::compile(paths, &common.tools, target, &cross::LAB)?,
        names: common.tools.names(),
        more,
    };
    let dir = paths.target.join(place).join(&target.arch);
    let image = image::build(&paths.root, target, &parts, &programs, &dir)?;
    let description = machine::describe(target, &qemu, &parts.linux.join(parts::KERNEL), &image, &dir)?;
    println!(
        "xtask: {} is ready after {:.1} s: {}",
        target.arch,
        start.elapsed().as_secs_f32(),
        description.display()
    );
    Ok(description)
}
