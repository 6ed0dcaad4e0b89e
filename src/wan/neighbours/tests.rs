use super::*;
use crate::wan::source_rules::OUR_MARKS;
use crate::wire::rtnl::Family;

const UNREACHABLE: u8 = 7;
const BLACKHOLE: u8 = 6;

fn lookup(priority: u32, mark: u32, mask: u32, table: u32) -> AnyRule {
    let (family, action) = (Family::V4, TO_TABLE);
    let (source, destination, iif, oif) = (None, None, None, None);
    let inverted = false;
    AnyRule {
        family,
        priority,
        protocol: 0,
        action,
        source,
        destination,
        iif,
        oif,
        mark,
        mask,
        table,
        inverted,
    }
}

fn refuse(priority: u32, mark: u32, mask: u32, action: u8) -> AnyRule {
    AnyRule { action, ..lookup(priority, mark, mask, 0) }
}

/// What mwan3 2.10 shows for two interfaces (openwrt/packages issue 16837).
fn mwan3(mask: u32, unit: u32) -> Vec<AnyRule> {
    vec![
        lookup(1001, 0, 0, 1),
        lookup(1002, 0, 0, 2),
        lookup(2001, unit, mask, 1),
        lookup(2002, 2 * unit, mask, 2),
        refuse(2061, 0x3d * unit, mask, BLACKHOLE),
        refuse(2062, 0x3e * unit, mask, UNREACHABLE),
        refuse(3001, unit, mask, UNREACHABLE),
        refuse(3002, 2 * unit, mask, UNREACHABLE),
    ]
}

fn systems() -> Vec<AnyRule> {
    vec![lookup(0, 0, 0, 255), lookup(32766, 0, 0, 254), lookup(32767, 0, 0, 253)]
}

fn service(name: &'static str, config: &str) -> Service {
    Service { name, config: config.as_bytes().to_vec(), is_script: name.starts_with("bsbf-") }
}

/// The only note, which has all of `words`; without words, there is none.
fn check(what: &str, facts: Facts, words: &[&str]) {
    let notes = notes(&facts);
    let expected = usize::from(!words.is_empty());
    assert!(notes.len() == expected && notes.iter().all(|n| n.lines().count() == 1), "{what}: {notes:?}");
    for word in words {
        assert!(notes.iter().all(|n| n.contains(word)), "{what}: no {word:?} in {notes:?}");
    }
}

#[test]
fn who_steers_packets_is_known_by_rules() {
    let tailscale = vec![
        lookup(5210, 0x80000, 0xff0000, 254),
        lookup(5230, 0x80000, 0xff0000, 253),
        refuse(5250, 0x80000, 0xff0000, UNREACHABLE),
        lookup(5270, 0, 0, 52),
    ];
    let netifd = vec![lookup(10000, 0, 0, 7), lookup(20000, 0, 0, 7), lookup(90034, 0, 0, 7)];
    let wireguard = AnyRule { inverted: true, ..lookup(32000, 51820, u32::MAX, 51820) };
    // BSBF's proxy: `ip rule add priority 0 fwmark 1 lookup 100`.
    let proxy = lookup(0, 1, u32::MAX, 100);
    let pbr = [lookup(29998, 0x20000, 0xff0000, 257), lookup(30000, 0x10000, 0xff0000, 256)];
    let table: &[(&str, Vec<AnyRule>, &[&str])] = &[
        ("a system alone", vec![], &[]),
        (
            "netifd, Tailscale, WireGuard, our proxy",
            [tailscale, netifd, vec![wireguard, proxy]].concat(),
            &[],
        ),
        (
            "mwan3",
            mwan3(0x3f00, 0x100),
            &[
                "mwan3 ",
                "rules 1001-1002, 2001-2002, 2061-2062, 3001-3002",
                "mask 0x3f00",
                "init.d/mwan3 stop",
            ],
        ),
        ("mwan3 with another mask", mwan3(0x3f0000, 0x10000), &["mwan3 ", "mark mask 0x3f0000"]),
        (
            "mwan3 with no interface up",
            mwan3(0x3f00, 0x100)[4..6].to_vec(),
            &["mwan3 ", "rules 2061-2062, mark mask 0x3f00"],
        ),
        ("rules that only stand where mwan3's do", vec![lookup(1001, 0, 0, 1), lookup(2001, 8, 8, 90)], &[]),
        ("pbr", pbr.to_vec(), &["pbr ", "rules 29998, 30000, mark mask 0xff0000"]),
        ("pbr moved before mwan3", vec![lookup(900, 0x10000, 0xff0000, 256)], &["pbr ", "rules 900,"]),
        (
            "a mark like a probe's",
            vec![lookup(100, 4, 0xff, 100)],
            &["4 (probes)", "rules 100, mark mask 0xff"],
        ),
        ("a bit of ours", vec![lookup(100, 2, 2, 100)], &["2 (to the server)", "mark mask 0x2"]),
        ("a mark beside ours", vec![lookup(100, 0x14, 0xff, 100)], &[]),
    ];
    for (what, rules, words) in table {
        let v6: Vec<AnyRule> =
            rules.iter().map(|r| AnyRule { family: Family::V6, ..r.clone() }).chain(systems()).collect();
        for rules in [[systems(), rules.clone()].concat(), [rules.clone(), v6].concat()] {
            check(what, Facts { rules, ..Facts::default() }, words);
        }
    }
    let both = Facts { rules: [mwan3(0x3f00, 0x100), pbr.to_vec()].concat(), ..Facts::default() };
    assert_eq!(notes(&both).len(), 2);
}

#[test]
fn our_rules_pass_over_the_marks_of_others_and_not_over_ours() {
    let ours = AnyRule { protocol: 152, ..lookup(5101, 0, !OUR_MARKS, 5201) };
    let catches = |mark: u32| (ours.mark ^ mark) & ours.mask == 0;
    assert!([0, 1, 2, 4].into_iter().all(catches));
    assert!(![0x100, 0x3f00, 0x10000, 0x80000, 51820, 0x104].into_iter().any(catches));
}

#[test]
fn services_and_their_settings_name_who_will_come() {
    let rutos =
        "config interface 'mob1s1a1'\n\toption enabled '1'\nconfig interface 'wan'\n\toption enabled '0'\n";
    let off = rutos.replace("'1'", "'0'");
    let on = "config interface 'wan'\n\toption enabled '1'\n";
    let wired = "config policy 'mwan_default'\n\nconfig interface 'wan'\n\toption enabled '1'\n";
    let table: [(&str, Service, &[&str]); 10] = [
        ("mwan3", service("mwan3", on), &["mwan3 starts", "/etc/init.d/mwan3 disable"]),
        ("mwan4", service("mwan4", on), &["mwan4 starts"]),
        ("RUTOS", service("mwan3", rutos), &["RUTOS failover (mwan3) starts", "WebUI"]),
        ("RUTOS without a modem", service("mwan3", wired), &["RUTOS failover (mwan3) starts", "WebUI"]),
        ("RUTOS with failover off", service("mwan3", &off), &[]),
        ("mwan3 with a broken file", service("mwan3", "config interface 'wan"), &[]),
        ("pbr", service("pbr", "config pbr 'config'\n\toption enabled 1\n"), &["pbr starts"]),
        ("pbr as installed", service("pbr", "config pbr 'config'\n\toption enabled '0'\n"), &[]),
        ("an old script", service("bsbf-route", ""), &["old script bsbf-route "]),
        ("our own", Service { is_script: false, ..service("bsbf-route", "") }, &[]),
    ];
    for (what, service, words) in table {
        check(what, Facts { services: vec![service], ..Facts::default() }, words);
    }
    let rules = mwan3(0x3f00, 0x100);
    let running = Facts { rules, services: vec![service("mwan3", rutos)], ..Facts::default() };
    check("RUTOS at work", running, &["RUTOS failover (mwan3) steers", "rules 1001-1002", "WebUI"]);
}

#[test]
fn rp_filter_is_the_larger_of_all_and_own() {
    let table: &[(u8, u8, u8, &[&str])] = &[
        (0, 0, 0, &[]),
        (1, 0, 0, &["on wan1, wan2 (net.ipv4.conf.all.rp_filter is 1)", "2 (loose)"]),
        (0, 0, 1, &["on wan2 (net.ipv4.conf.wan2.rp_filter is 1)"]),
        (1, 2, 0, &["on wan2 "]),
        (2, 1, 1, &[]),
    ];
    for (all, one, two, words) in table {
        let rp_filter = vec![("wan1".parse().unwrap(), *one), ("wan2".parse().unwrap(), *two)];
        let facts = Facts { rp_filter_all: *all, rp_filter, ..Facts::default() };
        check(&format!("{all} {one} {two}"), facts, words);
    }
}

#[test]
fn what_makes_endpoints_useless_is_named() {
    let table: [([&str; 4], &[&str]); 8] = [
        (["1", "0", "kernel", "default"], &[]),
        (["1", "", "", ""], &[]),
        (["0", "0", "kernel", "default"], &["net.mptcp.enabled is 0"]),
        (["1", "1", "", "default"], &["path manager is userspace"]),
        (["1", "1", "userspace", "default"], &["path manager is userspace", "net.mptcp.pm_type is 1"]),
        (["1", "2", "mine", "default"], &["path manager is mine"]),
        (["1", "0", "kernel", "bpf_red"], &["scheduler is bpf_red"]),
        (["", "", "", ""], &[]),
    ];
    for (values, words) in table {
        let [enabled, pm_type, path_manager, scheduler] = values.map(String::from);
        let mptcp = Some(Mptcp { enabled, pm_type, path_manager, scheduler });
        check(&format!("{values:?}"), Facts { mptcp: mptcp.clone(), ..Facts::default() }, words);
    }
    let services = vec![service("mptcp", "")];
    let mptcp = Some(Mptcp::default());
    check("mptcpd", Facts { services: services.clone(), mptcp, ..Facts::default() }, &["mptcpd starts"]);
    check("mptcpd without endpoints of ours", Facts { services, ..Facts::default() }, &[]);
}
