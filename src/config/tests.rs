use super::*;

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
fn settings_written_as_options_are_the_same_settings() {
    for text in [
        "config bond",
        "config bond\n list server '203.0.113.1:8443'\n list server '2001:db8::1'\n list target '192.0.2.53'
         list backup 'wwan0'\n list metered 'eth3'\n list metered 'a,b'\n list unmetered 'eth4'
         list include 'wg0'\n list exclude 'eth5'\n option backup_auto '1'\n option interval '2000'
         option metered_interval '20000'\n option fast_interval '50'\n option dead_interval '700'
         option lost '12'\n option replies '5'",
        // All places taken by servers.
        "config bond\n list server '192.0.2.1'\n list server '192.0.2.2'\n list server '192.0.2.3'
         list server '192.0.2.4'\n list server '192.0.2.5'\n list server '192.0.2.6'\n list server '192.0.2.7'
         list server '192.0.2.8'",
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
