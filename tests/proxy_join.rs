//! `bsbf proxy client --join` on a router of stand-ins: `uci` (held to the real one's recorded sessions), the service's
//! script, and a client that tells how it does.

// Tests make files and start programs, and end where they cannot.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, clippy::panic, clippy::unwrap_used)]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const NETWORK: &str = "\nconfig interface 'loopback'\n\toption device 'lo'\n\n";
const SETTINGS: &str = include_str!("../openwrt-feed/files/etc/config/bsbf");

/// A router's directories, and its server's beside them; they go with it.
struct Router(PathBuf);

impl Router {
    fn new(test: &str) -> Router {
        let path = std::env::temp_dir().join(format!("bsbf-join-{test}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        for dir in ["etc/config", "etc/init.d", "var/run/bsbf", "bin", "server"] {
            fs::create_dir_all(path.join(dir)).unwrap();
        }
        let router = Router(path);
        router.write("etc/config/network", NETWORK);
        router.write("etc/config/bsbf", SETTINGS);
        let uci = Path::new(env!("CARGO_MANIFEST_DIR")).join("qemu-tests/router/sbin/uci");
        router.program("bin/uci", &format!("exec {} \"$@\"", uci.display()));
        router.program("bin/ubus", &format!("echo \"$*\" >>{}/told", router.0.display()));
        router.program("etc/init.d/bsbf-proxy", &format!("echo \"$*\" >>{}/told", router.0.display()));
        router
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.0.join(name), text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.join(name)).unwrap_or_default()
    }

    fn program(&self, name: &str, script: &str) {
        self.write(name, &format!("#!/bin/sh\n{script}\n"));
        fs::set_permissions(self.0.join(name), fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bsbf"));
        let path = format!("{}:{}", self.0.join("bin").display(), std::env::var("PATH").unwrap());
        command.args(words).env("PATH", path).env("BSBF", env!("CARGO_BIN_EXE_bsbf"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Exit code, stdout and stderr of a command that is written this.
    fn run(&self, words: &[&str], typed: &str) -> (i32, String, String) {
        let mut child = self.command(words).spawn().unwrap();
        // One that ends early reads nothing.
        let _ = child.stdin.take().unwrap().write_all(typed.as_bytes());
        let output = child.wait_with_output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap().replace(self.0.to_str().unwrap(), "DIR");
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    fn join(&self, token: &str, more: &[&str]) -> (i32, String, String) {
        let root = self.0.to_str().unwrap();
        self.run(&[&["proxy", "client", "--join", "-", "--root", root], more].concat(), token)
    }

    /// A token of the server at this address.
    fn token(&self, address: &str) -> String {
        let [list, config, key] = ["clients", "config", "key"].map(|name| self.0.join("server").join(name));
        let settings = format!("config proxy_server\n option key_file '{}'\n", key.display());
        fs::write(&config, settings).unwrap();
        let [list, config] = [&list, &config].map(|path| path.to_str().unwrap());
        let words = ["add-client", "--join", "--name", "home", "--address", address];
        let (code, token, err) = self.run(&[&words[..], &["--file", list, "--config", config]].concat(), "");
        assert_eq!((code, err.as_str()), (0, ""));
        token
    }

    /// `uci show` of one of the files.
    fn show(&self, name: &str) -> String {
        let dir = self.0.join("etc/config");
        self.run(&["config", "show", name, "--dir", dir.to_str().unwrap()], "").1
    }

    /// What others were told since the last time.
    fn told(&self) -> String {
        let told = self.read("told");
        let _ = fs::remove_file(self.0.join("told"));
        told
    }

    /// All files that may be changed.
    fn files(&self) -> [String; 4] {
        ["etc/config/bsbf", "etc/config/network", "etc/bsbf/key", "etc/bsbf/uuid"].map(|name| self.read(name))
    }

    fn mode(&self, name: &str) -> u32 {
        fs::metadata(self.0.join(name)).unwrap().permissions().mode() & 0o7777
    }

    /// A client that runs, and has this server.
    fn client_of(&self, server: &'static str) {
        let listener = UnixListener::bind(self.0.join("var/run/bsbf/proxy.sock")).unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut line = String::new();
                BufReader::new(&stream).read_line(&mut line).unwrap();
                let server = format!(
                    "{{\"address\":\"{server}\",\"in_use\":true,\"silent_ms\":null,\"trouble\":\"\",\"rtt_ms\":24}}"
                );
                let bytes = "\"up_bytes\":0,\"down_bytes\":0,\"direct_up_bytes\":0,\"direct_down_bytes\":0";
                writeln!(stream, "{{\"way\":\"server\",\"servers\":[{server}],{bytes}}}").unwrap();
            }
        });
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_router_is_set_up_by_one_word_and_another_one_replaces_it() {
    let router = Router::new("course");
    router.client_of("203.0.113.1:32767");
    let token = router.token("203.0.113.1");
    let (code, said, complained) = router.join(&token, &[]);
    let expected = "This router is a client of 203.0.113.1:32767 now, as home; what it carries is encrypted.\n\
                    The server answers, after 24 ms.\n";
    assert_eq!((code, said.as_str(), complained.as_str()), (0, expected, ""));
    assert_eq!((router.mode("etc/bsbf/key"), router.mode("etc/bsbf/uuid")), (0o600, 0o600));
    assert_eq!((router.read("etc/bsbf/key").len(), router.read("etc/bsbf/uuid").len()), (65, 37));
    let settings = router.show("bsbf");
    for line in [
        "bsbf.bond.server='203.0.113.1:32767'\n",
        "bsbf.proxy.enabled='1'\n",
        "bsbf.proxy.server='203.0.113.1:32767'\n",
        "bsbf.proxy.server_key='",
    ] {
        assert!(settings.contains(line), "no {line} in {settings}");
    }
    assert!(!settings.contains("key_file") && !settings.contains("uuid"), "{settings}");
    let network = router.show("network");
    assert!(
        network.contains("network.bsbf_proxy.mark='0x1/0x7'\n") && network.contains("bsbf_local6"),
        "{network}"
    );
    let told = router.told();
    assert!(told.contains("\"package\":\"network\"") && told.ends_with("enable\nrestart\n"), "{told}");
    // No program was told a secret.
    for secret in [router.read("etc/bsbf/key"), router.read("etc/bsbf/uuid"), token.clone()] {
        assert!(!told.contains(secret.trim()));
    }

    let files = router.files();
    let (code, said, _) = router.join(&token, &[]);
    let expected = "Nothing to do: it is so already.\nThe server answers, after 24 ms.\n";
    assert_eq!((code, said.as_str()), (0, expected));
    assert_eq!((router.files(), router.told().as_str()), (files.clone(), ""));

    // Another one, of a server that does not answer; it stays all the same.
    let other = router.token("[2001:db8::1]");
    let (code, said, complained) = router.join(&other, &["--within", "1"]);
    let expected = "This router is a client of [2001:db8::1]:32767 now, as home; what it carries is encrypted.\n\
                    Before it was one of 203.0.113.1:32767.\n";
    assert_eq!((code, said.as_str()), (1, expected));
    let expected = "bsbf: [2001:db8::1]:32767: it does not answer within 1 s. It stays so, and is tried on: \
                    bsbf-proxy status\n";
    assert_eq!(complained, expected);
    let settings = router.show("bsbf");
    assert!(settings.contains("bsbf.bond.server='[2001:db8::1]:32767'\n"), "{settings}");
    assert!(!settings.contains("203.0.113.1") && router.files()[2] != files[2], "{settings}");

    // By name, of which the settings have the address.
    let (code, said, _) = router.join(&router.token("localhost"), &["--within", "0"]);
    assert!(code == 0 && said.contains("a client of 127.0.0.1:32767 now"), "{said}");

    // What the manager has of somebody else stays, and what is not to be encrypted is not.
    router.write("etc/config/bsbf", &router.read("etc/config/bsbf").replacen("127.0.0.1", "192.0.2.1", 1));
    let (code, said, _) = router.join(&token, &["--no-encryption", "--within", "0"]);
    assert_eq!(
        (code, said.contains("203.0.113.1:32768 now, as home; nothing is encrypted.\n")),
        (0, true),
        "{said}"
    );
    let settings = router.show("bsbf");
    assert!(settings.contains("bsbf.bond.server='192.0.2.1:32767'\n"), "{settings}");
    assert!(!settings.contains("server_key"), "{settings}");
    // The key of before is still there, and a client that has half of what encryption takes does not start.
    assert!(settings.contains("bsbf.proxy.encryption='0'\n"), "{settings}");
}

#[test]
fn whatever_fails_leaves_all_as_it_was() {
    let router = Router::new("fails");
    let token = router.token("203.0.113.1");
    let before = router.files();
    // The service, after all was written.
    let script = format!("echo \"$*\" >>{}/told; [ \"$1\" = enable ]", router.0.display());
    router.program("etc/init.d/bsbf-proxy", &script);
    let (code, said, complained) = router.join(&token, &[]);
    assert_eq!((code, said.as_str()), (1, ""));
    let expected = "bsbf: cannot start DIR/etc/init.d/bsbf-proxy: restart ended with 1\n";
    assert!(complained.ends_with(expected), "{complained}");
    assert!(complained.contains("keys and settings are as they were\n"), "{complained}");
    assert_eq!(router.files(), before);
    assert!(!router.0.join("etc/bsbf/key").exists() && !router.0.join("etc/bsbf/uuid").exists());
    router.program("etc/init.d/bsbf-proxy", "");

    // `uci`, half-way, where a client was set up before.
    fs::create_dir_all(router.0.join("etc/bsbf")).unwrap();
    router.write("etc/bsbf/uuid", "6ba85e17-9dad-410e-809f-00c04fd430c8\n");
    let before = router.files();
    router.program("bin/uci", "echo 'uci: I/O error' >&2");
    let (code, said, complained) = router.join(&token, &[]);
    assert_eq!((code, said.as_str()), (1, ""));
    let expected = "bsbf: nothing is changed: keys and settings are as they were\n\
                    bsbf: cannot change DIR/etc/config: uci: I/O error\n";
    assert_eq!(complained, expected);
    assert_eq!(router.files(), before);

    // Before anything is done.
    fs::remove_file(router.0.join("etc/init.d/bsbf-proxy")).unwrap();
    let (code, _, complained) = router.join(&token, &[]);
    assert!(code == 1 && complained.contains("install the package bsbf-proxy"), "{complained}");
    assert_eq!(router.files(), before);
}

#[test]
fn a_wrong_token_is_told_without_a_word_of_it() {
    let router = Router::new("wrong");
    let token = router.token("203.0.113.1");
    let before = router.files();
    let cut = token.get(..50).unwrap();
    let mistyped = token.replace(token.get(60..64).unwrap(), "aaaa");
    for (token, why) in [
        (cut, "its end is missing"),
        (mistyped.as_str(), "it was mistyped, or is none"),
        ("vless://secret@203.0.113.1", "it does not begin with bsbf1:"),
        ("", "it does not begin with bsbf1:"),
    ] {
        let expected = format!("bsbf: cannot use the token: {why}\n");
        assert_eq!(router.join(token, &[]), (2, String::new(), expected));
    }
    let (code, _, complained) = router.join(&token, &["--server", "192.0.2.1:1"]);
    assert_eq!(code, 2, "{complained}");
    assert_eq!((router.files(), router.told().as_str()), (before, ""));
}

#[test]
fn without_uci_the_settings_are_a_file_and_the_rest_is_told() {
    let router = Router::new("plain");
    fs::remove_dir_all(router.0.join("etc/config")).unwrap();
    let token = router.token("203.0.113.1");
    fs::create_dir_all(router.0.join("etc/bsbf")).unwrap();
    router.write("etc/bsbf/bsbf", "config bond\n\tlist server '192.0.2.9:443'\n\toption lost '9'\n");
    let (code, said, complained) = router.join(&token, &[]);
    assert_eq!((code, complained.as_str()), (0, ""));
    assert!(said.contains("client of 203.0.113.1:32767 now") && said.contains("systemctl enable"), "{said}");
    let settings = router.read("etc/bsbf/bsbf");
    for line in [
        "list server '192.0.2.9:443'",
        "option lost '9'",
        "list server '203.0.113.1:32767'",
        "option server_key '",
    ] {
        assert!(settings.contains(line), "no {line} in {settings}");
    }
    assert_eq!(router.mode("etc/bsbf/key"), 0o600);
    assert!(router.join(&token, &[]).1.starts_with("Nothing to do: it is so already.\n"));
    assert_eq!(router.told(), "");
}
