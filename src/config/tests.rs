use std::time::Duration;

use super::options::{apply_file, apply_legacy, set};
use super::*;
use crate::wan::settings::{RESOLVER_PORT, SERVER_PORT};
use crate::wire::tproxy::{Ipv6, Quic, WhenDown};
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

/// The client's and the server's settings of a file, or all that is wrong with them.
fn proxies(text: &str) -> Result<(proxy::Client, proxy::Server), Vec<String>> {
    let package = uci::parse(text.as_bytes()).unwrap();
    let (mut client, mut server) = (proxy::Client::default(), proxy::Server::default());
    let mut wrong = proxy::apply(&mut client, &package);
    wrong.extend(proxy::apply(&mut server, &package));
    if wrong.is_empty() { Ok((client, server)) } else { Err(wrong) }
}

#[test]
fn the_proxys_sections_set_every_option() {
    let (client, server) = proxies(
        "config proxy 'proxy'
        option enabled '1'
        list server '203.0.113.1:32768'
        list server '[2001:db8::1]:443'
        option uuid_file '/etc/uuid'
        option encryption '0'
        option server_key '8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a'
        option key_file '/etc/key'
        list lan 'lan'
        list lan 'br-guest'
        option port '1080'
        option quic 'proxy'
        option ipv6 'direct'
        option when_down 'reject'
        option down_after '30'
        config proxy_server
        option enabled 'yes'
        option clients '/srv/clients'
        option port '443'
        option allow_private 'on'
        option key_file '/srv/key'
        option secure_port '444'
        option plain '0'",
    )
    .unwrap();
    let servers: Vec<String> = client.servers.iter().map(ToString::to_string).collect();
    assert_eq!(servers, ["203.0.113.1:32768", "[2001:db8::1]:443"]);
    let lan: Vec<&str> = client.lan.iter().map(|name| name.as_str()).collect();
    assert_eq!(lan, ["lan", "br-guest"]);
    assert!(client.enabled && client.ipv6 == Some(Ipv6::Direct) && client.uuid.is_none());
    assert_eq!((client.uuid_file.as_deref(), client.port.get()), (Some("/etc/uuid"), 1080));
    assert_eq!((client.quic, client.when_down), (Quic::Proxy, WhenDown::Reject));
    assert_eq!(client.down_after, Duration::from_secs(30));
    let key = client.server_key.map(|key| key.text());
    let expected = "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a";
    assert_eq!((key.as_deref(), client.key_file.as_deref()), (Some(expected), Some("/etc/key")));
    assert!(!client.encryption && proxy::Client::default().encryption);
    assert!(server.enabled && server.allow_private);
    let port = server.port.map(std::num::NonZeroU16::get);
    assert_eq!((server.clients.as_deref(), port), (Some("/srv/clients"), Some(443)));
    assert_eq!(
        (server.key_file.as_deref(), server.secure_port, server.plain),
        (Some("/srv/key"), 444, false)
    );
    let (client, server) = proxies("config proxy\n option uuid '6ba85e179dad410e809f00c04fd430c8'").unwrap();
    assert!(client.uuid.is_some() && client.uuid_file.is_none() && !client.enabled);
    assert_eq!(server, proxy::Server::default());
    assert_eq!((server.secure_port, server.plain), (32767, true));
    assert_eq!(proxies("config bond\n option port '1'").unwrap().0, proxy::Client::default());
}

#[test]
fn what_is_wrong_with_the_proxys_sections_is_told_with_its_line() {
    for (text, message) in [
        ("config proxy\n option sever '1'", "line 2: unknown option 'sever'"),
        ("config proxy\n option enabled 'maybe'", "line 2: 'maybe' is not 0 or 1"),
        (
            "config proxy\n list server '203.0.113.1'",
            "line 2: '203.0.113.1' is not ADDR:PORT or [ADDR6]:PORT",
        ),
        ("config proxy\n list server '0.0.0.0:1'", "line 2: '0.0.0.0:1' is not ADDR:PORT or [ADDR6]:PORT"),
        ("config proxy\n list server '1.1.1.1:0'", "line 2: '1.1.1.1:0' is not ADDR:PORT or [ADDR6]:PORT"),
        // A secret that is misspelt is one all the same.
        ("config proxy\n option uuid '6ba85e17'", "line 2: a UUID expected, 32 hexadecimal digits"),
        ("config proxy\n option encryption 'tls'", "line 2: 'tls' is not 0 or 1"),
        (
            "config proxy\n option server_key '8520f009'",
            "line 2: a public key expected, 64 hexadecimal digits",
        ),
        ("config proxy\n option key_file 'key'", "line 2: 'key' is not a path from / on"),
        ("config proxy\n option uuid_file 'uuid'", "line 2: 'uuid' is not a path from / on"),
        ("config proxy\n option uuid_file '/a\tb'", "line 2: '/a\tb' is not a path from / on"),
        (
            "config proxy\n list lan 'br-lan'\n list lan 'br-*'",
            "line 3: 'br-*' is not a network or device (1 to 15 letters, digits, - _ . @)",
        ),
        ("config proxy\n option port '65536'", "line 2: '65536' is not a port from 1 to 65535"),
        ("config proxy\n option quic 'allow'", "line 2: 'allow' is none of block, proxy, direct"),
        ("config proxy\n option ipv6 '0'", "line 2: '0' is not auto, proxy, direct or refuse"),
        ("config proxy\n option when_down 'drop'", "line 2: 'drop' is none of direct, reject"),
        ("config proxy\n option down_after '0'", "line 2: '0' is not a number of seconds from 1 to 3600"),
        (
            "config proxy\n option down_after '3601'",
            "line 2: '3601' is not a number of seconds from 1 to 3600",
        ),
        ("config proxy\n list port '1'\n list port '2'", "line 3: one value expected, 2 found"),
        ("config proxy 'a'\n\nconfig proxy 'b'", "line 3: there is a section 'proxy' in line 1"),
        ("config proxy\nconfig proxy_server\nconfig proxy", "line 3: there is a section 'proxy' in line 1"),
        (
            "config proxy\n option uuid '6ba85e179dad410e809f00c04fd430c8'\n option uuid_file '/a'",
            "line 3: 'uuid' is there too: one of them expected",
        ),
        ("config proxy_server\n option server '1.1.1.1:1'", "line 2: unknown option 'server'"),
        ("config proxy_server\n option enabled 'x'", "line 2: 'x' is not 0 or 1"),
        ("config proxy_server\n option clients 'c'", "line 2: 'c' is not a path from / on"),
        ("config proxy_server\n option port '0'", "line 2: '0' is not a port from 1 to 65535"),
        ("config proxy_server\n option allow_private 'no way'", "line 2: 'no way' is not 0 or 1"),
        ("config proxy_server\n option key_file 'key'", "line 2: 'key' is not a path from / on"),
        (
            "config proxy_server\n option secure_port '65536'",
            "line 2: '65536' is not a port from 1 to 65535, or 0",
        ),
        ("config proxy_server\n option plain 'never'", "line 2: 'never' is not 0 or 1"),
        (
            "config proxy_server\n option secure_port '0'\n option plain '0'",
            "line 3: 'secure_port' is 0 too: nobody could come in",
        ),
        (
            "config proxy_server\n option port '443'\n option secure_port '443'",
            "line 3: it is 'port' too: another one expected",
        ),
        (
            "config proxy_server\nconfig proxy_server 'b'",
            "line 2: there is a section 'proxy_server' in line 1",
        ),
    ] {
        assert_eq!(proxies(text).unwrap_err(), [message], "{text}");
        let findings = options::findings(&uci::parse(text.as_bytes()).unwrap());
        assert_eq!((findings.refused, findings.unread), (vec![message.to_string()], Vec::new()));
    }
    let nine: String = (1..=9).map(|i| format!("list server '192.0.2.{i}:1'\n")).collect();
    let text = format!("config proxy\n{nine}option port 'x'\noption quic 'y'");
    let all = [
        "line 10: more than 8 servers",
        "line 11: 'x' is not a port from 1 to 65535",
        "line 12: 'y' is none of block, proxy, direct",
    ];
    assert_eq!(proxies(&text).unwrap_err(), all);
}

#[test]
fn a_proxy_that_would_start_in_vain_is_found() {
    let refused = |text: &str| options::findings(&uci::parse(text.as_bytes()).unwrap()).refused;
    assert_eq!(refused("\nconfig proxy\n option enabled 1"), ["line 2: it is enabled and has no 'server'"]);
    assert!(refused("config proxy\n option enabled 1\n list server '192.0.2.1:1'").is_empty());
    assert!(refused("config proxy\nconfig proxy_server\n option enabled 1").is_empty());
}

#[test]
#[allow(clippy::disallowed_methods, reason = "a settings file is a file")]
fn arguments_win_over_the_proxys_section_one_by_one() {
    let dir = std::env::temp_dir().join(format!("bsbf-proxy-settings-{}", std::process::id()));
    let write = |text: &str| {
        std::fs::write(&dir, text).unwrap();
        dir.as_path()
    };
    let load = |file: &Path, given: Given| {
        let mut client = proxy::Client::default();
        load_proxy(&mut client, Some(file), &given).map(|_| client)
    };
    let given = |option, value: &str| vec![(option, vec![value.to_string()])];
    let file = write("config proxy\n list server '192.0.2.1:1'\n option quic 'proxy'\n option port '5'");
    let client = load(file, given("server", "192.0.2.2:2")).unwrap();
    assert_eq!(client.servers, ["192.0.2.2:2".parse().unwrap()], "lists are replaced");
    assert_eq!((client.quic, client.port.get()), (Quic::Proxy, 5));
    let error = load(file, given("down_after", "x")).unwrap_err();
    assert_eq!(error.to_string(), "cannot use --down-after: 'x' is not a number of seconds from 1 to 3600");
    assert_eq!(error.exit, EXIT_USAGE);
    let file = write("config proxy\n option quik 'proxy'");
    let error = load(file, Given::new()).unwrap_err();
    assert_eq!(error.to_string(), format!("cannot use {}: line 2: unknown option 'quik'", dir.display()));
    // Others' sections are theirs.
    load(write("config proxy_server\n option quik 'proxy'\nconfig bond\n option x 'y'"), Given::new())
        .unwrap();
    std::fs::remove_file(&dir).unwrap();
    assert!(load(&dir, Given::new()).is_err(), "a file that is named must be there");
}

#[test]
fn the_package_ships_the_proxy_disabled_and_shows_every_option() {
    let shipped = include_str!("../../openwrt-feed/files/etc/config/bsbf");
    let of = |kind: &str| {
        let (_, section) = shipped.split_once(&format!("config {kind} '")).unwrap();
        section.split("\nconfig ").next().unwrap()
    };
    let (client, server) = proxies(shipped).unwrap();
    assert_eq!((&client, &server), (&proxy::Client::default(), &proxy::Server::default()));
    let text = include_str!("proxy.rs");
    for (kind, body) in [("proxy", "for Client {"), ("proxy_server", "impl Options for Server {")] {
        let body = text.split_once(body).unwrap().1.split_once("_ => return").unwrap().0;
        let known =
            body.lines().filter_map(|line| Some(line.trim().strip_prefix('"')?.split_once("\" =>")?.0));
        let sets: &dyn proxy::Options = if kind == "proxy" { &client } else { &server };
        for option in known {
            assert!(sets.knows(option), "{option} of {kind} is not known");
            let is_shown =
                ["option", "list"].iter().any(|word| of(kind).contains(&format!("{word} {option} '")));
            assert!(is_shown, "{option} of {kind} is not shown");
        }
        // Each by itself, for examples stand beside each other.
        let examples = of(kind).lines().filter_map(|line| line.trim().strip_prefix("# "));
        for line in examples.filter(|line| line.starts_with("option ") || line.starts_with("list ")) {
            let (client, server) =
                proxies(&format!("config {kind}\n{line}")).unwrap_or_else(|e| panic!("{e:?}"));
            let changes = (client, server) != (proxy::Client::default(), proxy::Server::default());
            let has_no_default = ["server", "uuid", "uuid_file", "server_key", "key_file", "clients"]
                .contains(&line.split(' ').nth(1).unwrap());
            let is_default = !has_no_default && line != "option port '443'";
            assert_eq!(changes, !is_default, "{line}");
        }
    }
}
