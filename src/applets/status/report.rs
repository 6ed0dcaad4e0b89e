//! `bsbf-status --debug-report`: all that somebody far away needs to understand a router, in one text. No child
//! process; secrets are masked; each section says what it could not read.

use std::fmt::{self, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use crate::config::proxy::{self, Options};
use crate::config::{self, options};
use crate::sys::kernel::Kernel;
use crate::sys::{files, sysfs};
use crate::types::IfName;
use crate::wan::settings::Settings;
use crate::wan::world::World;
use crate::wire::rtnl::{AnyRule, Rule};
use crate::wire::status::Status;
use crate::wire::uci;

use super::times::{Times, ago};
use super::{alone, table, why};

/// Decisions at the end.
const DECISIONS: usize = 50;
/// What says which system it is; the first that is there.
const RELEASES: [&str; 2] = ["/etc/openwrt_release", "/etc/os-release"];
/// What decides about MPTCP, routing and throughput.
const SYSCTLS: [&str; 21] = [
    "net/mptcp/enabled",
    "net/mptcp/pm_type",
    "net/mptcp/path_manager",
    "net/mptcp/scheduler",
    "net/mptcp/checksum_enabled",
    "net/mptcp/allow_join_initial_addr_port",
    "net/mptcp/add_addr_timeout",
    "net/mptcp/stale_loss_cnt",
    "net/mptcp/blackhole_timeout",
    "net/mptcp/syn_retrans_before_tcp_fallback",
    "net/ipv4/conf/all/rp_filter",
    "net/ipv4/conf/default/rp_filter",
    "net/ipv4/conf/all/src_valid_mark",
    "net/ipv4/conf/all/ignore_routes_with_linkdown",
    "net/ipv4/ip_forward",
    "net/ipv6/conf/all/forwarding",
    "net/ipv4/tcp_congestion_control",
    "net/ipv4/tcp_available_congestion_control",
    "net/ipv4/tcp_rmem",
    "net/ipv4/tcp_wmem",
    "net/core/default_qdisc",
];
/// In the place of what nobody else should read, perhaps.
const MASK: &str = "***";

/// The report; `config` is the settings file, if it is another than usual.
pub fn text(dir: &Path, config: Option<&Path>, times: &Times) -> String {
    let mut report = Report(String::new());
    report.section("versions");
    report.line(format_args!(concat!("bsbf ", env!("CARGO_PKG_VERSION"))));
    report.file("Linux", "/proc/sys/kernel/osrelease");
    match RELEASES.iter().find_map(|path| files::read(Path::new(path)).ok()) {
        Some(text) => report.line(format_args!("{}", String::from_utf8_lossy(&text))),
        None => report.line(format_args!("cannot read {}", RELEASES.join(" or "))),
    }
    report.line(format_args!("up {}; local time {}", ago(times.now.0 / 1000), times.show(times.wall)));
    report.section("managers");
    let managers = super::ask(dir).unwrap_or_else(|e| {
        report.line(format_args!("{e}"));
        Vec::new()
    });
    managers.iter().for_each(|status| report.line(format_args!("{}", table::status(status, times))));
    if managers.is_empty() {
        report.line(format_args!("no manager answers"));
    }
    report.section("proxy");
    match super::proxy_or_complaint(dir) {
        Some(proxy) => report.line(format_args!("{}", proxy.text())),
        None => report.line(format_args!("none runs")),
    }
    match alone::world() {
        Ok(world) => kernel(&mut report, &world, &managers),
        Err(e) => report.line(format_args!("{e}")),
    }
    settings(&mut report, config);
    report.section(&format!("files in {}", dir.display()));
    match files::list(dir) {
        Ok(entries) => {
            entries.iter().for_each(|e| report.line(format_args!("{:o} {:>8} {}", e.mode, e.size, e.name)))
        }
        Err(e) => report.line(format_args!("cannot list: {e}")),
    }
    report.section("last decisions");
    match why::read(dir, times.now) {
        Ok((told, running)) => {
            let question = why::Asked { wan: None, at: None, count: DECISIONS };
            let answer = why::answer(&question, &told, &[], times, running);
            report.line(format_args!("{}", why::text(&answer, None, times)));
        }
        Err(e) => report.line(format_args!("{e}")),
    }
    report.0
}

/// The text as it grows.
struct Report(String);

impl Report {
    fn section(&mut self, name: &str) {
        let gap = if self.0.is_empty() { "" } else { "\n" };
        let _ = writeln!(self.0, "{gap}== {name}");
    }

    fn line(&mut self, line: fmt::Arguments<'_>) {
        let _ = self.0.write_fmt(line); // writing to a string does not fail
        // What comes as a whole text has its own end.
        self.0.truncate(self.0.trim_end().len());
        self.0.push('\n');
    }

    /// The first line of a small file.
    fn file(&mut self, name: &str, path: &str) {
        match files::read(Path::new(path)) {
            Ok(text) => self.line(format_args!("{name} {}", String::from_utf8_lossy(&text))),
            Err(e) => self.line(format_args!("{name}: cannot read {path}: {e}")),
        }
    }
}

fn kernel(report: &mut Report, world: &World, managers: &[Status]) {
    report.section("default routes, endpoints, limits, addresses");
    report.line(format_args!("{}", alone::text(&alone::system(world))));
    report.section("rules of ours");
    for rule in &world.rules {
        let suppress = if rule.no_default { " suppress_prefixlength 0" } else { "" };
        let Rule { priority, source, table, mask, .. } = rule;
        report.line(format_args!("{priority}: from {source} fwmark 0/{mask:#x} lookup {table}{suppress}"));
    }
    report.section("rules of others");
    match Kernel::open().and_then(|mut kernel| kernel.foreign_rules()) {
        Ok(rules) => rules.iter().for_each(|rule| report.line(format_args!("{}", rule_text(rule)))),
        Err(e) => report.line(format_args!("cannot read them: {e}")),
    }
    report.section("sysctls");
    let mut paths: Vec<String> = SYSCTLS.map(String::from).to_vec();
    let with_default = |index| world.routes.iter().any(|r| r.oif == Some(index));
    let managed = |name: &str| managers.iter().any(|s| s.wans.iter().any(|w| w.name == name));
    for link in world.links.iter().filter(|l| with_default(l.index) || managed(l.name.as_str())) {
        paths.push(format!("net/ipv4/conf/{}/rp_filter", link.name));
    }
    for path in paths {
        match sysfs::sysctl(&path) {
            Ok(Some(value)) => report.line(format_args!("{path} = {value}")),
            Ok(None) => report.line(format_args!("{path}: this kernel has none")),
            Err(e) => report.line(format_args!("{path}: {e}")),
        }
    }
    report.section("interfaces");
    for link in &world.links {
        let driver = sysfs::driver(&link.name).unwrap_or_else(|| "-".to_string());
        let modem = if world.modems.contains(&link.index) { ", modem" } else { "" };
        let kind = if link.kind.is_empty() { "hardware" } else { link.kind.as_str() };
        let (up, carrier) =
            (if link.up { "up" } else { "down" }, if link.carrier { "carrier" } else { "no carrier" });
        report.line(format_args!(
            "{} {}: {up}, {carrier}, {kind}, type {}, driver {driver}{modem}, {} B in, {} B out",
            link.index.0, link.name, link.arphrd, link.rx_bytes, link.tx_bytes
        ));
    }
}

/// What it catches, as far as it was read, and what it does.
fn rule_text(rule: &AnyRule) -> String {
    let AnyRule { family, priority, protocol, action, mark, mask, table, .. } = rule;
    let prefix = |word, prefix: Option<(IpAddr, u8)>| {
        prefix.map_or(String::new(), |(a, len)| format!(" {word} {a}/{len}"))
    };
    let device =
        |word, name: &Option<IfName>| name.as_ref().map_or(String::new(), |n| format!(" {word} {n}"));
    format!(
        "{priority}: {family}{}{}{}{}{} fwmark {mark:#x}/{mask:#x} action {action} table {table} proto {protocol}",
        if rule.inverted { " not" } else { "" },
        prefix("from", rule.source),
        prefix("to", rule.destination),
        device("iif", &rule.iif),
        device("oif", &rule.oif)
    )
}

fn settings(report: &mut Report, given: Option<&Path>) {
    let usual = || config::FILES.iter().chain([&config::LEGACY_FILE]).map(PathBuf::from).collect();
    let paths: Vec<PathBuf> = given.map_or_else(usual, |path| vec![path.to_path_buf()]);
    for path in paths {
        let text = match files::read(&path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound && given.is_none() => continue,
            Err(e) => format!("cannot be read: {e}"),
            Ok(text) => masked(&text),
        };
        report.section(&format!("settings in {}", path.display()));
        report.line(format_args!("{text}"));
    }
}

/// A settings file as it was understood, without secrets: of what is not known to be none, only the name. A file that
/// is not understood is not shown.
fn masked(text: &[u8]) -> String {
    let package = match uci::parse(text) {
        Ok(package) => package,
        // What was found may be a part of a secret.
        Err(e) => return format!("cannot be parsed: line {}: {} expected", e.line, e.expected),
    };
    let mut out = format!("# {MASK}: a secret, an option that is not ours, or a value that does not fit\n");
    for section in &package.sections {
        let ours = matches!(section.kind.as_str(), "bond" | "proxy" | "proxy_server");
        let name = if ours || section.name == "main" { &section.name } else { MASK };
        out += &format!("config {} '{name}'\n", section.kind);
        for option in &section.options {
            let word = if matches!(option.value, uci::Value::List(_)) { "list" } else { "option" };
            let shown = is_harmless(section, option);
            for item in option.value.items() {
                let item = if shown { item } else { MASK.as_bytes() };
                out += &format!("\t{word} {} '{}'\n", option.name, item.escape_ascii());
            }
        }
    }
    out
}

/// Addresses, interfaces and numbers that the manager or the proxy takes.
fn is_harmless(section: &uci::Section, option: &uci::UciOption) -> bool {
    let values = section.list(&option.name).unwrap_or_default();
    match section.kind.as_str() {
        "bond" => options::set(&mut Settings::default(), &option.name, &values).is_ok(),
        "proxy" => option.name != "uuid" && proxy::Client::default().set(&option.name, &values).is_ok(),
        "proxy_server" => proxy::Server::default().set(&option.name, &values).is_ok(),
        _ => option.name == options::LEGACY_OPTION && values.iter().all(|v| v.parse::<IfName>().is_ok()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_and_the_rest_is_shown() {
        let text = b"config bond 'bond'\n\tlist server '203.0.113.1'\n\toption PrivateKey 'hush'\n\
            \tlist target 'vless://hush@203.0.113.1:443'\n\toption interval '1000'\n\
            config main 'main'\n\tlist subflow_backup 'wwan0'\n\
            config proxy 'proxy'\n\tlist server '203.0.113.9:443'\n\toption uuid '6ba85e179dad410e809f00c04fd43hush'\n\
            \toption uuid '6ba85e17-9dad-410e-809f-00c04fd430c8'\n\toption port 'hush'\n\
            config proxy_server 's'\n\toption clients '/etc/list'\n\
            config client 'c'\n\toption id '0d3e0a3c7a364c109f5ehush'\n\toption interval 'hush'\n";
        let shown = masked(text);
        for part in [
            "config bond 'bond'",
            "server '203.0.113.1'",
            "interval '1000'",
            "backup 'wwan0'",
            "203.0.113.9:443",
            "/etc/list",
        ] {
            assert!(shown.contains(part), "{shown}");
        }
        assert!(!shown.contains("hush") && !shown.contains("6ba85e17"), "{shown}");
        assert_eq!(shown.matches("'***'").count(), 7, "{shown}");
    }

    #[test]
    fn a_file_that_is_not_understood_is_not_shown() {
        for text in [&b"config wifi\n\toption key 'hush\n"[..], b"hush 'x'\n", b"config a 'b' hush\n"] {
            let shown = masked(text);
            assert!(shown.starts_with("cannot be parsed: line ") && !shown.contains("hush"), "{shown}");
        }
    }
}
