//! The lab's own tests once more, in the router: in its namespaces, with its binary and its kernel. All of those
//! that need no fast machine.
//!
//! Each run takes minutes, so unless they are asked for they run where they show most: where the order of bytes
//! is not that of the machine on which everything was written.

use std::time::Duration;

use crate::cases::cases;
use crate::check;
use crate::failure::{Result, failed, skipped};
use crate::link::Wan;
use crate::qemu::machine::{ASKED, Machine};
use crate::qemu::rig::Rig;
use crate::runner::Case;

pub const CASES: &[Case] = cases!("inside":
    the_labs_tests_pass_in_the_router within 1000,
);

/// The longest of them, at a slow machine's pace, and no line in between.
const SILENCE: Duration = Duration::from_secs(400);
/// So many of them need nothing that a router may lack.
const ENOUGH: u32 = 50;

fn the_labs_tests_pass_in_the_router() -> Result {
    let machine = Machine::of_test()?;
    if machine.endian == "little" && std::env::var_os(ASKED).is_none() {
        return skipped(format!(
            "by default on big-endian routers alone; cargo xtask qemu {} inside",
            machine.arch
        ));
    }
    let rig = Rig::start(&[Wan::mbit(10)])?;
    let mut lab = rig.agent.start(&["lab", "test", "--slow", "--again"])?.patient(SILENCE)?;
    let mut closing = None;
    while let Some(line) = lab.line()? {
        // Of more than a hundred lines those that say why.
        if ![" ... ok (", " ... skipped: "].iter().any(|passed| line.contains(passed)) {
            println!("{line}");
        }
        closing = line.strip_prefix("lab: ").map(str::to_string);
    }
    let Some(closing) = closing else { return failed("the lab did not come to its end") };
    println!("= {closing}");
    // Where the router has no namespaces, or its kernel no MPTCP, they are all skipped.
    let passed = closing.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0);
    check!(passed >= ENOUGH, "{closing}");
    check!(lab.code == Some(0), "{closing}");
    Ok(())
}
