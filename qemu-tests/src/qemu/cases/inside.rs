//! The lab's own tests once more, in the router: its namespaces, the router's binary and kernel. Network
//! order and structures are another architecture's matter, so they are all of those that need no fast machine.

use crate::cases::cases;
use crate::check;
use crate::failure::{Result, failed};
use crate::link::Wan;
use crate::qemu::rig::Rig;
use crate::runner::Case;

pub const CASES: &[Case] = cases!("inside":
    the_labs_tests_pass_in_the_router within 1500,
);

fn the_labs_tests_pass_in_the_router() -> Result {
    let rig = Rig::start(&[Wan::mbit(10)])?;
    let mut lab = rig.agent.start(&["lab", "test", "--slow"])?.patient()?;
    let mut closing = None;
    while let Some(line) = lab.line()? {
        println!("{line}");
        closing = line.strip_prefix("lab: ").map(str::to_string);
    }
    let Some(closing) = closing else { return failed("the lab did not come to its end") };
    println!("= {closing}");
    check!(lab.code == Some(0), "{closing}");
    Ok(())
}
