//! Whether MPTCP passes, as a router's kernel tells: Linux 6.1 never leaves the options out of a SYN that is not answered.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::cases::cases;
use crate::cases::mptcp::{CONFIG, Does, begin, end};
use crate::cases::proxy::{UUID, start_server_in};
use crate::failure::{Result, failed};
use crate::link::Wan;
use crate::qemu::rig::{Rig, usual_machines};
use crate::runner::Case;
use crate::topology::SERVER;

pub const CASES: &[Case] = cases!("mptcp":
    a_wan_that_drops_or_strips_it_is_found within 400,
);

/// A connection ahead is opened every half a minute, and two tests wait 5 s each.
const TESTED: Duration = Duration::from_secs(100);
const PROXY: [&str; 9] = [
    "bsbf-proxy",
    "client",
    "--no-rules",
    "--server",
    "203.0.113.1:32768",
    "--uuid-file",
    "/run/uuid",
    "--lan",
    "lan0",
];
const INTERVAL: Duration = Duration::from_millis(500);
/// The kernel lists routes to the same by their metrics.
const BEST: &str = "ip route show default | head -n 1";

fn a_wan_that_drops_or_strips_it_is_found() -> Result {
    usual_machines("mptcp")?;
    let rig = Rig::start(&[Wan::mbit(10).delay_ms(10), Wan::mbit(10).delay_ms(20)])?;
    let _server = start_server_in(&rig.far.server)?;
    rig.agent.shell(&format!("cat >/tmp/mptcp.conf <<'end of file'\n{CONFIG}end of file\n"))?;
    rig.agent.shell(&format!("umask 077; echo {UUID} >/run/uuid"))?;
    let manager = ["bsbf-bond", "--config", "/tmp/mptcp.conf", "--server", SERVER, "--target", SERVER];
    let bond = rig.daemon(&manager)?;
    lasts_until(&rig, "bsbf-status --json", r#""mptcp":"passes""#)?;
    // Its connections ahead are what is heard of a box that begins to drop: they wait in vain.
    let _proxy = rig.daemon(&PROXY)?;
    lasts_until(&rig, "bsbf-proxy status", "connections go to the server")?;
    begin(&rig.far.isps[0], Does::Drops)?;
    lasts_until(&rig, "bsbf-status", "MPTCP is dropped on its way")?;
    lasts_until(&rig, BEST, "dev wan2 ")?;
    lasts_until(&rig, "bsbf-proxy status", "connections go to the server")?;
    drop(bond);
    rig.agent.shell("killall bsbf-bond; while pidof bsbf-bond; do sleep 1; done")?;
    end(&rig.far.isps[0])?;
    begin(&rig.far.isps[0], Does::Strips)?;
    let _bond = rig.daemon(&manager)?;
    lasts_until(&rig, "bsbf-status", "MPTCP is stripped on its way")
}

/// What a command of the router's prints has this in it, in the end.
fn lasts_until(rig: &Rig, command: &str, wanted: &str) -> Result {
    let since = Instant::now();
    loop {
        let is = rig.agent.run(&["sh", "-c", command])?.output;
        if is.contains(wanted) {
            println!("= {wanted:?} after {:.1?}", since.elapsed());
            return Ok(());
        }
        if since.elapsed() > TESTED {
            return failed(format!("{command} does not say {wanted:?} but {is}"));
        }
        sleep(INTERVAL);
    }
}
