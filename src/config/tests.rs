use std::time::Duration;

use super::options::{apply_file, apply_legacy, set};
use super::*;
use crate::wan::settings::{RESOLVER_PORT, SERVER_PORT};
use crate::wire::uci;

fn file(text: &str) -> Result<Settings, String> {
    let mut settings = Settings::default();
    apply_file(&mut settings, text.as_bytes()).map(|()| settings)
}

#[test]
fn a_file_sets_every_option() {
    let settings = file(
        "config bond 'bond'
        list server '203.0.113.1:8443'
        list server '2001:db8::1'
        list target '192.0.2.53'
        list backup 'wwan0'
        option metered 'eth3'
        option backup_auto '1'
        option interval '2000'
        option lost '12'
        config other
        option interval 'not ours'",
    )
    .unwrap();
    let addresses: Vec<String> =
        settings.targets.iter().map(|t| format!("{}:{} {}", t.address, t.port, t.is_server)).collect();
    assert_eq!(addresses, ["203.0.113.1:8443 true", "2001:db8::1:443 true", "192.0.2.53:53 false"]);
    assert_eq!(settings.backup[0].as_str(), "wwan0");
    assert_eq!(settings.metered[0].as_str(), "eth3");
    assert!(settings.backup_auto && settings.server_is_v6());
    assert_eq!((settings.interval, settings.lost), (Duration::from_secs(2), 12));
}

#[test]
fn a_bad_value_is_named_with_its_line_and_what_was_expected() {
    for (text, message) in [
        (
            "config bond\n option interval '5'",
            "line 2: '5' is not a number of milliseconds from 10 to 3600000",
        ),
        (
            "config bond\n\n list backup 'a/b'",
            "line 3: 'a/b' is not an interface name (1 to 15 bytes, no '/', ':' or blank)",
        ),
        ("config bond\n option lostt '5'", "line 2: unknown option 'lostt'"),
        (
            "config bond\n list server 'example.com'",
            "line 2: 'example.com' is not an address, ADDR:PORT or [ADDR6]:PORT",
        ),
        ("config bond\n list lost '5'\n list lost '6'", "line 3: one value expected, 2 found"),
    ] {
        assert_eq!(file(text).unwrap_err(), message);
    }
    assert!(file("config bond\n option interval '5").unwrap_err().starts_with("line 2"));
}

#[test]
fn all_that_is_wrong_is_found_and_what_nobody_reads() {
    let text = "config bond\n option lost '1'\n option interval '2000'\n option lostt '5'\nconfig bnd 'x'\n\
                config bond\n option replies '0'\nconfig autoconf\n option apn 'a'\n option apm 'b'\n";
    let findings = options::findings(&uci::parse(text.as_bytes()).unwrap());
    assert_eq!(
        findings.refused,
        [
            "line 2: '1' is not a number from 2 to 40",
            "line 4: unknown option 'lostt'",
            "line 7: '0' is not a number from 1 to 100",
        ]
    );
    assert_eq!(
        findings.unread,
        [
            "line 5: no command reads sections of the type 'bnd'",
            "line 10: no command reads 'apm' of such sections"
        ]
    );
    // The first of them is what the manager says.
    assert_eq!(file(text).unwrap_err(), findings.refused[0]);
    let old = "config endpoints 'main'\n list subflow_backup 'wan2'\n list subflow_backup 'a/b'\n";
    let findings = options::legacy_findings(&uci::parse(old.as_bytes()).unwrap());
    assert_eq!(
        findings.refused,
        ["line 3: 'a/b' is not an interface name (1 to 15 bytes, no '/', ':' or blank)"]
    );
}

#[test]
fn lists_are_those_options_that_take_several_values() {
    for (option, _) in Settings::default().options() {
        let several = options::set(&mut Settings::default(), option, &["192.0.2.1", "192.0.2.2"]);
        assert_eq!(several.is_ok(), options::is_list(option), "{option}");
    }
}

#[test]
fn the_old_list_of_backups_is_honoured() {
    let mut settings = Settings::default();
    let old = "config endpoints 'main'\n list subflow_backup 'wwan0'\n list subflow_backup 'eth1'";
    apply_legacy(&mut settings, old.as_bytes()).unwrap();
    assert_eq!(settings.backup.iter().map(IfName::as_str).collect::<Vec<_>>(), ["wwan0", "eth1"]);
}

#[test]
fn a_server_alone_keeps_the_resolvers() {
    let settings = file("config bond\n option server '203.0.113.1'").unwrap();
    assert_eq!(settings.targets.len(), 7);
    assert!(settings.targets[0].is_server);
}

#[test]
fn more_targets_than_places_are_refused_and_defaults_come_back() {
    let list = |option: &str, n: u32| -> String {
        (1..=n).map(|i| format!("list {option} '192.0.2.{i}'\n")).collect::<String>()
    };
    let refused = |option, n| file(&format!("config bond\n{}", list(option, n))).unwrap_err();
    assert!(refused("target", 9).ends_with(": more than 8 servers and targets"), "{}", refused("target", 9));
    assert!(refused("server", 8).ends_with(": more than 7 servers"), "{}", refused("server", 8));
    let seven_then_one = format!("config bond\n{}config bond\n{}", list("server", 7), list("server", 1));
    let settings = file(&seven_then_one).unwrap();
    assert_eq!(settings.targets.len(), 7, "one server and all resolvers: {:?}", settings.targets);
    // A target of the owner's is kept, though it is one of the defaults.
    let settings = file("config bond\nlist target '1.1.1.1'\nlist server '192.0.2.1'").unwrap();
    assert_eq!(settings.targets.len(), 2, "{:?}", settings.targets);
}

/// What the page of the configuration says of one option.
struct Row {
    option: &'static str,
    argument: &'static str,
    values: &'static str,
    default: &'static str,
}

/// The rows of the page's table of options: `name`, `--name`, values, `default`, and two of prose.
fn page() -> Vec<Row> {
    let rows = include_str!("../../docs/configuration.md").lines().filter_map(|line| {
        let cells: Vec<&str> = line.split('|').map(|cell| cell.trim().trim_matches('`')).collect();
        match cells[..] {
            ["", option, argument, values, default, _, _, ""]
                if argument.starts_with("--") && option != "---" =>
            {
                Some(Row { option, argument, values, default })
            }
            _ => None,
        }
    });
    rows.collect()
}

/// The options that `set` knows, by its own text: a match cannot be asked.
fn known() -> Vec<&'static str> {
    let body = include_str!("options.rs").split_once("\npub fn set(").unwrap().1.split_once("\n}").unwrap().0;
    body.lines().filter_map(|line| Some(line.trim().strip_prefix('"')?.split_once("\" =>")?.0)).collect()
}

/// The default of an option as the page has it.
fn default_of(option: &str) -> String {
    let settings = Settings::default();
    let addresses = |servers: bool| {
        let of_kind = settings.targets.iter().filter(|t| t.is_server == servers);
        of_kind.map(|t| t.address.to_string()).collect::<Vec<_>>()
    };
    let names = |names: &[IfName]| names.iter().map(IfName::to_string).collect::<Vec<_>>();
    let list = match option {
        "server" => addresses(true),
        "target" => addresses(false),
        "backup" => names(&settings.backup),
        "metered" => names(&settings.metered),
        "unmetered" => names(&settings.unmetered),
        "include" => names(&settings.include),
        "exclude" => names(&settings.exclude),
        "backup_auto" => vec![u8::from(settings.backup_auto).to_string()],
        "interval" => vec![settings.interval.as_millis().to_string()],
        "metered_interval" => vec![settings.metered_interval.as_millis().to_string()],
        "fast_interval" => vec![settings.fast_interval.as_millis().to_string()],
        "dead_interval" => vec![settings.dead_interval.as_millis().to_string()],
        "lost" => vec![settings.lost.to_string()],
        "replies" => vec![settings.replies.to_string()],
        _ => panic!("the page's option {option} is not compared with its default"),
    };
    if list.is_empty() { "none".into() } else { list.join(" ") }
}

#[test]
fn the_page_has_every_option_with_its_default() {
    let page = page();
    let (mut documented, mut known): (Vec<_>, _) = (page.iter().map(|row| row.option).collect(), known());
    documented.sort_unstable();
    known.sort_unstable();
    assert_eq!(documented, known);
    for row in &page {
        assert_eq!(row.argument, format!("--{}", row.option.replace('_', "-")));
        assert_eq!(row.default, default_of(row.option), "{}", row.option);
    }
}

#[test]
fn the_page_has_every_argument() {
    let help = ManagerArgs::from_args(&["bsbf-bond"], &["--help"]).err().unwrap().output;
    let mut arguments = 0;
    for word in help.lines().flat_map(str::split_whitespace).map(|word| word.trim_end_matches(',')) {
        let is_option =
            word.starts_with("--") && word[2..].chars().all(|c| c.is_ascii_lowercase() || c == '-');
        if is_option && word.len() > 2 {
            arguments += 1;
            let mention = format!("`{word}`");
            assert!(
                include_str!("../../docs/configuration.md").contains(&mention),
                "{word} is not on the page"
            );
        }
    }
    assert!(arguments > page().len(), "the help was not understood");
}

#[test]
fn the_page_has_the_ranges_that_are_enforced() {
    let accepts = |option: &str, value: u64| {
        set(&mut Settings::default(), option, &[value.to_string().as_str()]).is_ok()
    };
    let mut ranges = 0;
    for row in page() {
        let (low, high) = match row.values.split_once(" to ").or(row.values.split_once(" or ")) {
            Some((low, high)) => (low.rsplit(' ').next().unwrap(), high),
            None => continue,
        };
        let (low, high): (u64, u64) = (low.parse().unwrap(), high.parse().unwrap());
        ranges += 1;
        assert!(accepts(row.option, low) && accepts(row.option, high), "{}: {low} to {high}", row.option);
        assert!(low == 0 || !accepts(row.option, low - 1), "{}: {} is accepted", row.option, low - 1);
        assert!(!accepts(row.option, high + 1), "{}: {} is accepted", row.option, high + 1);
    }
    assert_eq!(ranges, 7, "numbers and switches");
}

#[test]
fn the_page_has_the_ports_that_are_assumed() {
    let (server, target) = (SERVER_PORT.to_string(), RESOLVER_PORT.to_string());
    for (option, port) in [("server", server), ("target", target)] {
        let row = page().into_iter().find(|row| row.option == option).unwrap();
        assert!(row.values.ends_with(&format!("port {port}")), "{}", row.values);
    }
}

#[test]
fn the_pages_examples_are_accepted() {
    let page = include_str!("../../docs/configuration.md");
    let examples: Vec<&str> = page.split("```\n").filter(|block| block.starts_with("config bond")).collect();
    assert_eq!(examples.len(), 3);
    examples.into_iter().for_each(|text| drop(file(text).unwrap()));
}

#[test]
fn settings_written_as_options_are_the_same_settings() {
    for text in [
        "config bond",
        "config bond\n list server '203.0.113.1:8443'\n list server '2001:db8::1'\n list target '192.0.2.53'
         list backup 'wwan0'\n list metered 'eth3'\n list metered 'a,b'\n list unmetered 'eth4'
         list include 'wg0'\n list exclude 'eth5'\n option backup_auto '1'\n option interval '2000'
         option metered_interval '20000'\n option fast_interval '50'\n option dead_interval '700'
         option lost '12'\n option replies '5'",
        // As many servers as there may be, and one of the resolvers.
        "config bond\n list server '192.0.2.1'\n list server '192.0.2.2'\n list server '192.0.2.3'
         list server '192.0.2.4'\n list server '192.0.2.5'\n list server '192.0.2.6'\n list server '192.0.2.7'",
    ] {
        let settings = file(text).unwrap();
        let mut again = Settings::default();
        for (option, values) in settings.options() {
            let values: Vec<&str> = values.iter().map(String::as_str).collect();
            set(&mut again, option, &values).unwrap();
        }
        assert_eq!(format!("{again:?}"), format!("{settings:?}"));
    }
}

#[test]
fn what_a_replay_sets_is_taken_apart() {
    let args = ManagerArgs {
        lost: Some("9".to_string()),
        set: ["exclude=a,b", "exclude=c", "backup=", "lost=20"].map(String::from).to_vec(),
        ..ManagerArgs::default()
    };
    let options = overrides(&args).unwrap();
    let text: Vec<String> = options.iter().map(|(o, v)| format!("{o}={}", v.join(" "))).collect();
    assert_eq!(text, ["lost=9 20", "exclude=a b c", "backup="]);
    let bad = ManagerArgs { set: vec!["lost".to_string()], ..ManagerArgs::default() };
    assert_eq!(overrides(&bad).unwrap_err().to_string(), "cannot use --set lost: OPTION=VALUE expected");
    assert_eq!(load(&bad, (true, true)).err().map(|e| e.exit), Some(EXIT_USAGE));
}

#[test]
fn the_package_shows_every_option_with_its_default() {
    let shipped = include_str!("../../openwrt-feed/files/etc/config/bsbf");
    let settings =
        |lines: &[&str]| format!("{:?}", file(&format!("config bond\n{}", lines.join("\n"))).unwrap());
    assert_eq!(format!("{:?}", file(shipped).unwrap()), settings(&[]), "it sets something");
    let is_option = |line: &&str| line.starts_with("option ") || line.starts_with("list ");
    // The manager's section; below it are other commands'.
    let of_manager = shipped.lines().take_while(|line| !line.starts_with("config autoconf"));
    let shown: Vec<&str> =
        of_manager.filter_map(|line| line.trim_start().strip_prefix("# ")).filter(is_option).collect();
    let name = |line: &str| line.split(' ').nth(1).unwrap().to_string();
    for option in known() {
        assert!(shown.iter().any(|line| name(line) == option), "{option} is not shown");
    }
    // Examples stand where the default is none.
    let (examples, defaults): (Vec<&str>, Vec<&str>) =
        shown.into_iter().partition(|line| default_of(&name(line)) == "none");
    assert_eq!(settings(&defaults), settings(&[]), "a default is another one");
    assert_ne!(settings(&examples), settings(&[]));
}
