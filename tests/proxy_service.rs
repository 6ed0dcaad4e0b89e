//! The services `bsbf-proxy` and `bsbf-proxy-server` as procd meets them: their init scripts with the real `bsbf-config`,
//! and stand-ins that tell what procd would be given.

// Tests make files and start programs, and end where they cannot.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, clippy::panic, clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What is asked of procd, told; what the log gets, dropped.
const PROCD: &str = "
procd_open_instance() { echo open; }
procd_set_param() { echo \"$*\"; }
procd_close_instance() { echo close; }
procd_add_reload_trigger() { echo \"trigger $*\"; }
logger() { cat >/dev/null; }
";

const ENABLED: &str = "config proxy 'proxy'\n option enabled '1'\n list server '192.0.2.1:1'\n";

/// A router's programs, settings and run directory, which go with it.
struct Router(PathBuf);

impl Router {
    fn new(name: &str) -> Router {
        let dir =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("service-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        for folder in ["bin", "config", "run"] {
            fs::create_dir_all(dir.join(folder)).unwrap();
        }
        let router = Router(dir);
        let (bsbf, config) = (env!("CARGO_BIN_EXE_bsbf"), router.0.join("config"));
        router.program("bsbf-config", &format!("exec {bsbf} config \"$@\" --dir {}", config.display()));
        router.program("bsbf-proxy", "exit 1");
        router.program("bsbf-proxy-rules", &format!("echo \"$@\" >>{}/rules", router.0.display()));
        router
    }

    fn program(&self, name: &str, script: &str) {
        let path = self.0.join("bin").join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// What procd is given by a function of a service's script, where these are the settings.
    fn run(&self, service: &str, function: &str, settings: &str) -> String {
        fs::write(self.0.join("config/bsbf"), settings).unwrap();
        let script =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("openwrt-feed/files/etc/init.d").join(service);
        let script = fs::read_to_string(script).unwrap();
        let script = script.replace("/var/run/bsbf", self.0.join("run").to_str().unwrap());
        let path = format!("{}:/usr/bin:/bin", self.0.join("bin").display());
        let mut sh = Command::new("sh");
        let output =
            sh.args(["-c", &[PROCD, &script, "\n", function].concat()]).env("PATH", path).output().unwrap();
        assert_eq!(String::from_utf8(output.stderr).unwrap(), "", "{service} {function}");
        assert!(output.status.success(), "{service} {function}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn started(&self, service: &str, settings: &str) -> String {
        self.run(service, "start_service", settings)
    }

    /// What the firewall was told since the last time.
    fn rules(&self) -> String {
        let path = self.0.join("rules");
        let told = fs::read_to_string(&path).unwrap_or_default();
        let _ = fs::remove_file(path);
        told
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The line of a parameter.
fn parameter<'a>(told: &'a str, name: &str) -> &'a str {
    told.lines()
        .find_map(|line| line.strip_prefix(name))
        .unwrap_or_else(|| panic!("no {name} in {told}"))
        .trim()
}

#[test]
fn as_shipped_neither_starts() {
    let router = Router::new("shipped");
    let shipped = include_str!("../openwrt-feed/files/etc/config/bsbf");
    for service in ["bsbf-proxy", "bsbf-proxy-server"] {
        for settings in [shipped, "", "config bond\n", "config proxy\nconfig proxy_server\n"] {
            assert_eq!(router.started(service, settings), "", "{service}: {settings}");
        }
        // But for its change.
        assert_eq!(router.run(service, "service_triggers", shipped), "trigger bsbf\n");
    }
    assert_eq!(router.rules(), "", "rules of nobody were taken");
}

#[test]
fn an_enabled_one_starts_and_whenever_it_ends_again() {
    let router = Router::new("enabled");
    router.program("uname", "echo aarch64");
    let server = "config proxy_server\n option enabled 'yes'\n";
    for (service, argument, settings) in
        [("bsbf-proxy", "client", ENABLED), ("bsbf-proxy-server", "server", server)]
    {
        let told = router.started(service, settings);
        let program = router.0.join("bin/bsbf-proxy");
        assert_eq!(parameter(&told, "command"), format!("{} {argument}", program.display()));
        assert_eq!(parameter(&told, "respawn"), "3600 5 0");
        assert!(told.starts_with("open\n") && told.ends_with("close\n"), "{told}");
        for line in ["stdout 1", "stderr 1", "no_new_privs 1"] {
            assert!(told.lines().any(|told| told == line), "no {line}: {told}");
        }
    }
    let told = router.started("bsbf-proxy", ENABLED);
    assert_eq!(parameter(&told, "file"), "/etc/bsbf/uuid /etc/bsbf/key");
    assert_eq!(parameter(&told, "term_timeout"), "10");
    let elsewhere = [ENABLED, " option uuid_file '/root/uuid'\n option key_file '/root/key'\n"].concat();
    assert_eq!(parameter(&router.started("bsbf-proxy", &elsewhere), "file"), "/root/uuid /root/key");
}

/// procd starts anew what it is given otherwise than before.
#[test]
fn it_is_started_anew_by_a_change_of_its_own_settings_alone() {
    let router = Router::new("change");
    let told = router.started("bsbf-proxy", ENABLED);
    let beside =
        ["config bond\n option lost '9'\n", ENABLED, "config proxy_server\n option port '1'\n"].concat();
    assert_eq!(router.started("bsbf-proxy", &beside), told);
    let changed = [ENABLED, " option quic 'proxy'\n"].concat();
    let changed = router.started("bsbf-proxy", &changed);
    assert_ne!(parameter(&changed, "env"), parameter(&told, "env"));
    // Not even that of a secret is told.
    let secret = [ENABLED, " option uuid '6ba85e17-9dad-410e-809f-00c04fd430c8'\n"].concat();
    assert!(!router.started("bsbf-proxy", &secret).contains("6ba85e17"));
}

#[test]
fn there_is_no_server_on_mips() {
    let router = Router::new("mips");
    router.program("uname", "echo mips");
    let settings = "config proxy_server\n option enabled '1'\n";
    assert_eq!(router.started("bsbf-proxy-server", settings), "");
    assert_ne!(router.started("bsbf-proxy", ENABLED), "");
}

/// In the settings files are named from the root on, by hand from where one is.
#[test]
fn files_are_named_as_people_do() {
    let router = Router::new("names");
    let settings = router.0.join("config/bsbf");
    let client = |settings: &str, more: &[&str]| {
        fs::write(router.0.join("config/bsbf"), settings).unwrap();
        let mut bsbf = Command::new(env!("CARGO_BIN_EXE_bsbf"));
        bsbf.args(["proxy", "client", "--config"]).arg(router.0.join("config/bsbf")).args(more);
        let output = bsbf.current_dir(&router.0).output().unwrap();
        String::from_utf8(output.stderr).unwrap()
    };
    let said = client(ENABLED, &["--uuid-file", "none"]);
    assert!(said.contains(&format!("cannot read {}/none: ", router.0.display())), "{said}");
    let said = client(&[ENABLED, " option uuid_file 'none'\n"].concat(), &[]);
    let wrong = format!("cannot use {}: line 4: 'none' is not a path from / on", settings.display());
    assert!(said.contains(&wrong), "{said}");
}

/// Rules of one that was killed, or that hangs, have to go when it is stopped; those that somebody has put in by hand not.
#[test]
fn rules_go_with_whoever_has_put_them_in() {
    let router = Router::new("rules");
    for (function, settings) in [("stop_service", ENABLED), ("start_service", ENABLED), ("start_service", "")]
    {
        router.run("bsbf-proxy", function, settings);
        assert_eq!(router.rules(), "", "{function}");
    }
    // As a client leaves it that was killed.
    drop(UnixListener::bind(router.0.join("run/proxy.sock")).unwrap());
    router.run("bsbf-proxy", "stop_service", ENABLED);
    assert_eq!(router.rules(), "take\n");
    router.run("bsbf-proxy", "start_service", "config proxy\n option enabled '0'\n");
    assert_eq!(router.rules(), "take\n", "it was disabled after the crash");
    router.run("bsbf-proxy", "start_service", ENABLED);
    assert_eq!(router.rules(), "", "the next one puts its own in their place");
}
