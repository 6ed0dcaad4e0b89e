//! The binary as a person at the router's prompt sees it.

use crate::cases::cases;
use crate::check;
use crate::failure::Result;
use crate::link::Wan;
use crate::qemu::rig::Rig;
use crate::runner::Case;

pub const CASES: &[Case] = cases!("commands":
    install_makes_every_command_and_each_has_help within 200,
    exit_codes_are_the_documented_ones within 200,
);

fn install_makes_every_command_and_each_has_help() -> Result {
    let rig = Rig::start(&[Wan::mbit(10)])?;
    let list = rig.agent.shell("bsbf --list")?;
    let names: Vec<&str> = list.lines().filter_map(|line| line.split_whitespace().next()).collect();
    check!(names.len() >= 6, "--list names {names:?}");
    // As a package's postinst does it, twice: an upgrade.
    let there = rig.agent.shell(
        "mkdir /tmp/sbin && cp /usr/sbin/bsbf /tmp/sbin && /tmp/sbin/bsbf --install && \
         /tmp/sbin/bsbf --install && ls /tmp/sbin",
    )?;
    for name in names {
        check!(there.lines().any(|file| file == name), "--install made no {name}: {there}");
        let help = rig.agent.run(&[&format!("/tmp/sbin/{name}"), "--help"])?;
        check!(help.code == 0, "{name} --help ended with {}: {}", help.code, help.output);
        check!(help.output.starts_with(&format!("Usage: {name}")), "{name} --help says {}", help.output);
    }
    Ok(())
}

fn exit_codes_are_the_documented_ones() -> Result {
    let rig = Rig::start(&[Wan::mbit(10)])?;
    for (line, code) in [
        ("bsbf --version", 0),
        ("bsbf no-such-command", 127),
        ("bsbf-bond --no-such-option", 2),
        ("bsbf-status", 3),
        ("bsbf-status why", 3),
        ("bsbf-mptcp-helper add no-such-device", 1),
        ("bsbf-mptcp-helper add wan1", 0),
        ("bsbf-mptcp-helper remove wan1", 0),
        ("bsbf-bond --release wan1", 1),
        // Timers, which once never fired on 32-bit MIPS: it asks, waits, and prints one round.
        ("timeout 20 bsbf-netspeed 0.5 wan1 --count 2", 0),
    ] {
        let ran = rig.agent.run(&["sh", "-c", line])?;
        check!(ran.code == code, "`{line}` ended with {} and not {code}: {}", ran.code, ran.output);
    }
    Ok(())
}
