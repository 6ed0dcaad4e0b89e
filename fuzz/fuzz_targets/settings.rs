//! A settings file, and the file of the scripts before it, read into settings, the manager's and the proxy's.
#![no_main]

use std::time::Duration;

use bsbf_fuzz::options::{self, apply_file, apply_legacy};
use bsbf_fuzz::print::{self, Anonymous};
use bsbf_fuzz::proxy;
use bsbf_fuzz::types::IfName;
use bsbf_fuzz::wan::settings::{Settings, Target};
use bsbf_fuzz::wire::uci::{self, Package, Section, UciOption, Value};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    let mut settings = Settings::default();
    match apply_file(&mut settings, text) {
        Ok(()) => {
            check(&settings);
            let mut again = Settings::default();
            assert_eq!(apply_file(&mut again, &written(&settings)), Ok(()));
            assert_eq!(format!("{again:?}"), format!("{settings:?}"));
        }
        Err(why) => assert!(why.starts_with("line "), "{why}"),
    }
    if let Ok(package) = uci::parse(text) {
        let findings = options::findings(&package);
        assert!(findings.refused.iter().chain(&findings.unread).all(|why| why.starts_with("line ")));
        let mut client = proxy::Client::default();
        let wrong = proxy::apply(&mut client, &package);
        assert!(wrong.iter().all(|why| findings.refused.contains(why)), "{wrong:?} is not found");
        if wrong.is_empty() {
            let bounds = Duration::from_secs(1)..=Duration::from_secs(3600);
            assert!(
                client.servers.len() <= 8 && !client.lan.is_empty() && bounds.contains(&client.down_after)
            );
            assert!(client.servers.iter().all(|at| at.port() != 0 && !at.ip().is_unspecified()));
            assert!(client.uuid.is_none() || client.uuid_file.is_none());
        }
    }
    let mut settings = Settings::default();
    if apply_legacy(&mut settings, text).is_ok() {
        let backup = std::mem::take(&mut settings.backup);
        assert_eq!(format!("{settings:?}"), format!("{:?}", Settings::default()), "more than backups");
        let old = file("endpoints", "main", vec![("subflow_backup", names(&backup))]);
        let mut again = Settings::default();
        assert_eq!(apply_legacy(&mut again, &old), Ok(()));
        assert_eq!(again.backup, backup);
    }
});

/// What the mind takes for granted.
fn check(settings: &Settings) {
    let intervals =
        [settings.interval, settings.metered_interval, settings.fast_interval, settings.dead_interval];
    let bounds = Duration::from_millis(10)..=Duration::from_secs(3600);
    assert!(intervals.iter().all(|i| bounds.contains(i)), "{intervals:?}");
    assert!((2..=40).contains(&settings.lost) && (1..=100).contains(&settings.replies));
    let targets = &settings.targets;
    assert!(!targets.is_empty(), "nobody to ask");
    assert!(targets.is_sorted_by_key(|t| !t.is_server), "a server behind another target");
    for (at, target) in targets.iter().enumerate() {
        let address = target.address;
        assert!(!address.is_unspecified() && !address.is_multicast() && target.port != 0);
        assert!(targets[..at].iter().all(|t| t.address != address), "{address} twice");
    }
}

/// A file that sets everything.
fn written(settings: &Settings) -> Vec<u8> {
    let targets = |servers: bool| {
        let of_kind = settings.targets.iter().filter(move |t| t.is_server == servers);
        of_kind.map(|t: &Target| format!("{}", std::net::SocketAddr::new(t.address, t.port))).collect()
    };
    let ms = |interval: Duration| vec![interval.as_millis().to_string()];
    file(
        "bond",
        "bond",
        vec![
            ("server", targets(true)),
            ("target", targets(false)),
            ("include", names(&settings.include)),
            ("exclude", names(&settings.exclude)),
            ("backup", names(&settings.backup)),
            ("metered", names(&settings.metered)),
            ("unmetered", names(&settings.unmetered)),
            ("backup_auto", vec![u8::from(settings.backup_auto).to_string()]),
            ("interval", ms(settings.interval)),
            ("metered_interval", ms(settings.metered_interval)),
            ("fast_interval", ms(settings.fast_interval)),
            ("dead_interval", ms(settings.dead_interval)),
            ("lost", vec![settings.lost.to_string()]),
            ("replies", vec![settings.replies.to_string()]),
        ],
    )
}

fn names(names: &[IfName]) -> Vec<String> {
    names.iter().map(IfName::to_string).collect()
}

/// A file of one section.
fn file(kind: &str, name: &str, lists: Vec<(&str, Vec<String>)>) -> Vec<u8> {
    let option = |(name, items): (&str, Vec<String>)| UciOption {
        name: name.to_string(),
        value: Value::List(items.into_iter().map(String::into_bytes).collect()),
        line: 1,
    };
    let options = lists.into_iter().filter(|(_, items)| !items.is_empty()).map(option).collect();
    let section =
        Section { name: name.to_string(), anonymous: false, kind: kind.to_string(), options, line: 1 };
    print::export("bsbf", &Package { sections: vec![section] }, Anonymous::AsWritten)
}
