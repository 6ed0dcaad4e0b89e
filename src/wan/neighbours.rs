//! Others on the machine that steer packets, or stand in the way of those that do: who is there, by what they were
//! recognised, what it means, and what to do.
//!
//! Nothing is decided by it; people read it in the status and in the log. What each leaves in the kernel:
//!
//! - mwan3 (openwrt/packages, net/mwan3/files/lib/mwan3/mwan3.sh: mwan3_create_iface_rules, mwan3_set_general_rules):
//!   for its interface ID the rules 1000+ID `iif DEV lookup ID`, 2000+ID `fwmark M/MASK lookup ID` and 3000+ID
//!   `fwmark M/MASK unreachable`, and two that blackhole and refuse, 2061 and 2062 with the usual MASK 0x3f00. mwan4 and the
//!   ports of mwan3 to nftables keep these numbers. RUTOS's failover is mwan3 too: its scripts make the policy mwan_default,
//!   and interfaces like mob1s1a1 where there is a modem.
//! - pbr (net/pbr): `fwmark 0xN0000/0xff0000 lookup pbr_DEV` at 30000 and below (uplink_ip_rules_priority), tables from
//!   256 up. Tailscale has a mask like it, but looks up main and default.

use crate::types::IfName;
use crate::wire::rtnl::{AnyRule, TO_TABLE};
use crate::wire::uci;

/// Services that are looked for, by the names of their init scripts; "mptcp" is mptcpd's unit of systemd.
pub const SERVICES: [&str; 7] = ["mwan3", "mwan4", "pbr", "mptcpd", "mptcp", "bsbf-route", "bsbf-mptcp"];
/// FR_ACT_BLACKHOLE and FR_ACT_UNREACHABLE.
const REFUSING: std::ops::RangeInclusive<u8> = 6..=7;
const PBR_MASK: u32 = 0x00ff_0000;
/// The first table that pbr takes.
const PBR_TABLES: u32 = 256;
/// net.ipv4.conf.*.rp_filter: packets must come in where a route leads back to their source; 2 is loose.
const STRICT: u8 = 1;

/// A service that starts with the system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// One of `SERVICES`.
    pub name: &'static str,
    /// Its file in /etc/config; empty if it has none.
    pub config: Vec<u8>,
    /// The program of its name is a script.
    pub is_script: bool,
}

/// Sysctls below net.mptcp; empty where the kernel has none of that name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mptcp {
    /// 1 if sockets may be MPTCP.
    pub enabled: String,
    /// 0 kernel, 1 userspace; since 5.19.
    pub pm_type: String,
    /// The same by name; since 6.16.
    pub path_manager: String,
    /// Since 6.7.
    pub scheduler: String,
}

/// What is known of them.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Other people's rules, of both families.
    pub rules: Vec<AnyRule>,
    /// Services that start with the system.
    pub services: Vec<Service>,
    /// net.ipv4.conf.all.rp_filter.
    pub rp_filter_all: u8,
    /// The WANs with their own rp_filter.
    pub rp_filter: Vec<(IfName, u8)>,
    /// None where there are no endpoints to keep.
    pub mptcp: Option<Mptcp>,
}

/// One line for each thing that the owner should know, the gravest first.
pub fn notes(facts: &Facts) -> Vec<String> {
    let (mwan, pbr) = (mwan_rules(&facts.rules), pbr_rules(&facts.rules));
    let mut notes = Vec::new();
    notes.extend(mwan_note(&mwan, facts));
    notes.extend(pbr_note(&pbr, facts));
    let known = |r: &&AnyRule| !mwan.contains(r) && !pbr.contains(r);
    notes.extend(mark_note(facts.rules.iter().filter(known)));
    notes.extend(old_scripts_note(&facts.services));
    notes.extend(rp_filter_note(facts));
    if let Some(mptcp) = &facts.mptcp {
        mptcp_notes(mptcp, &facts.services, &mut notes);
    }
    notes
}

/// mwan3's rules, known by those with marks: interface and table must fit the priority.
fn mwan_rules(rules: &[AnyRule]) -> Vec<&AnyRule> {
    let is_marked = |r: &&AnyRule| {
        let steers = r.action == TO_TABLE && r.table == r.priority.wrapping_sub(2000);
        (2001..=2254).contains(&r.priority) && r.mark != 0 && (steers || REFUSING.contains(&r.action))
    };
    let Some(mask) = rules.iter().find(is_marked).map(|r| r.mask) else { return Vec::new() };
    let belongs = |r: &&AnyRule| match r.priority {
        1001..=1250 => r.action == TO_TABLE && r.table == r.priority - 1000,
        2001..=2254 => is_marked(r) && r.mask == mask,
        3001..=3250 => REFUSING.contains(&r.action) && r.mask == mask,
        _ => false,
    };
    rules.iter().filter(belongs).collect()
}

fn pbr_rules(rules: &[AnyRule]) -> Vec<&AnyRule> {
    let belongs = |r: &&AnyRule| {
        let place = r.mask == PBR_MASK || (29_000..=30_000).contains(&r.priority);
        place && r.mark != 0 && !r.inverted && r.action == TO_TABLE && r.table >= PBR_TABLES
    };
    rules.iter().filter(belongs).collect()
}

fn mwan_note(rules: &[&AnyRule], facts: &Facts) -> Option<String> {
    let service = facts.services.iter().find(|s| s.name.starts_with("mwan"));
    let config = service.and_then(|s| uci::parse(&s.config).ok()).unwrap_or_default();
    let is_rutos = config.section("mwan_default").is_some()
        || config.sections_of("interface").any(|i| i.name.starts_with("mob"));
    let name = service.map_or("mwan3", |s| s.name);
    let who = if is_rutos { "RUTOS failover (mwan3)" } else { name };
    let remedy = match is_rutos {
        true => "switch its interfaces off (WebUI: Network, Failover)".to_string(),
        false => format!("stop one of them: /etc/init.d/{name} stop; /etc/init.d/{name} disable"),
    };
    if let Some(evidence) = evidence(rules) {
        return Some(format!(
            "{who} steers packets too ({evidence}): what it marks, perhaps even our probes, goes where it says and not \
             where bsbf moves the default; {remedy}"
        ));
    }
    // mwan3 starts with the system even where none of its interfaces is in use, as on every RUTOS.
    config.sections_of("interface").any(|i| is_on(i, "enabled")).then(|| {
        format!("{who} starts with the system (no rules of it now) and will steer packets too; {remedy}")
    })
}

fn pbr_note(rules: &[&AnyRule], facts: &Facts) -> Option<String> {
    if let Some(evidence) = evidence(rules) {
        return Some(format!(
            "pbr steers packets by its policies ({evidence}): bsbf leaves what it marks alone, so a policy that names a \
             WAN holds when that WAN is dead; let its policies name tunnels only"
        ));
    }
    let service = facts.services.iter().find(|s| s.name == "pbr")?;
    let config = uci::parse(&service.config).ok()?;
    config.section("config").is_some_and(|c| is_on(c, "enabled")).then(|| {
        "pbr starts with the system (no rules of it now): a policy that names a WAN will hold when that WAN is dead"
            .to_string()
    })
}

/// Rules of others that catch what carries our marks. 1, the proxy's, is meant to be caught.
fn mark_note<'a>(rules: impl Iterator<Item = &'a AnyRule>) -> Option<String> {
    let caught: Vec<&AnyRule> = rules.filter(|r| r.wants(2) || r.wants(4)).collect();
    let evidence = evidence(&caught)?;
    Some(format!(
        "a policy rule of somebody else catches bsbf's marks 2 (to the server) or 4 (probes) ({evidence}): both may leave \
         by the wrong WAN; give that rule another mark or a mask without these bits"
    ))
}

fn old_scripts_note(services: &[Service]) -> Option<String> {
    let old: Vec<&str> =
        services.iter().filter(|s| s.name.starts_with("bsbf-") && s.is_script).map(|s| s.name).collect();
    let first = old.first()?;
    Some(format!(
        "the old script {} starts with the system and moves the same routes or endpoints; disable it: \
         /etc/init.d/{first} disable, or systemctl disable {first}",
        old.join(" and ")
    ))
}

/// The kernel takes the larger of "all" and the device's own (IN_DEV_RPFILTER, include/linux/inetdevice.h), and drops
/// only where that is 1 (__fib_validate_source, net/ipv4/fib_frontend.c). Our source rules answer for what is sent to
/// the WANs' own addresses.
fn rp_filter_note(facts: &Facts) -> Option<String> {
    let strict = facts.rp_filter.iter().filter(|(_, own)| facts.rp_filter_all.max(*own) == STRICT);
    let names: Vec<&str> = strict.map(|(name, _)| name.as_str()).collect();
    let key = if facts.rp_filter_all == STRICT { "all" } else { names.first()? };
    if names.is_empty() {
        return None;
    }
    Some(format!(
        "strict rp_filter on {} (net.ipv4.conf.{key}.rp_filter is 1): bsbf works, but forwarded packets that come in by \
         another WAN than the best default are dropped; 2 (loose) permits them",
        names.join(", ")
    ))
}

fn mptcp_notes(mptcp: &Mptcp, services: &[Service], notes: &mut Vec<String>) {
    if mptcp.enabled == "0" {
        notes.push(
            "net.mptcp.enabled is 0: connections use one WAN, endpoints do nothing; sysctl -w net.mptcp.enabled=1"
                .to_string(),
        );
    }
    let is_kernels = matches!(mptcp.path_manager.as_str(), "" | "kernel");
    if mptcp.pm_type == "1" || !is_kernels {
        let name = if is_kernels { "userspace" } else { &mptcp.path_manager };
        notes.push(format!(
            "MPTCP's path manager is {name} (net.mptcp.pm_type is {}): new connections ignore endpoints; sysctl -w \
             net.mptcp.pm_type=0",
            mptcp.pm_type
        ));
    }
    if services.iter().any(|s| matches!(s.name, "mptcpd" | "mptcp")) {
        notes.push("mptcpd starts with the system and keeps endpoints too; disable it".to_string());
    }
    if !matches!(mptcp.scheduler.as_str(), "" | "default") {
        notes.push(format!(
            "MPTCP's scheduler is {} (net.mptcp.scheduler): backup flags and the order of WANs mean what it makes of them",
            mptcp.scheduler
        ));
    }
}

/// "rules 1001-1002, 2001, mark mask 0x3f00"; None without rules. A rule of both families is named once.
fn evidence(rules: &[&AnyRule]) -> Option<String> {
    let mask = rules.iter().map(|r| r.mask).find(|m| *m != 0)?;
    // The kernel dumps by priority, IPv4 first.
    let mut priorities: Vec<u32> = Vec::new();
    for rule in rules {
        if let Err(at) = priorities.binary_search(&rule.priority) {
            priorities.insert(at, rule.priority);
        }
    }
    let mut text = String::from("rules ");
    let mut last = None;
    for (at, &priority) in priorities.iter().enumerate() {
        let follows = last.is_some_and(|l| priority - l == 1);
        let goes_on = priorities.get(at + 1).is_some_and(|next| next - priority == 1);
        last = Some(priority);
        // A range's inside is not named.
        if !(follows && goes_on) {
            let joint = if follows {
                "-"
            } else if at > 0 {
                ", "
            } else {
                ""
            };
            text += joint;
            text += &priority.to_string();
        }
    }
    text += &format!(", mark mask {mask:#x}");
    Some(text)
}

fn is_on(section: &uci::Section, option: &str) -> bool {
    let on: [&[u8]; 5] = [b"1", b"on", b"yes", b"true", b"enabled"];
    section
        .option(option)
        .is_some_and(|o| matches!(o.value.items(), [value] if on.contains(&value.as_slice())))
}

#[cfg(test)]
mod tests;
