//! The server's list of clients as its user keeps it, with others at the same time and with power cuts.

// Tests make files and start programs, and end where they cannot.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, clippy::panic, clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// A directory with a list; it goes with it.
struct Server(PathBuf);

impl Server {
    fn new(name: &str) -> Server {
        let path = std::env::temp_dir().join(format!("bsbf-clients-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Server(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("etc/clients")
    }

    fn write(&self, text: impl AsRef<[u8]>) {
        fs::create_dir_all(self.0.join("etc")).unwrap();
        fs::write(self.file(), text).unwrap();
    }

    /// The list without its first line.
    fn text(&self) -> String {
        let text = fs::read_to_string(self.file()).unwrap();
        let (head, rest) = text.split_once('\n').unwrap();
        assert!(head.starts_with("# ID UUID MBPS NAME"), "{head}");
        rest.to_owned()
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bsbf"));
        command.args(words).arg("--file").arg(self.file());
        command
    }

    /// Exit code, stdout and stderr.
    fn run(&self, words: &[&str]) -> (i32, String, String) {
        let output = self.command(words).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let err = text(output.stderr).replace(&self.0.display().to_string(), "DIR");
        (output.status.code().unwrap(), text(output.stdout), err)
    }

    /// Stdout of what has to succeed.
    fn done(&self, words: &[&str]) -> String {
        let (code, out, err) = self.run(words);
        assert_eq!((code, err.as_str()), (0, ""), "{words:?}");
        out
    }

    /// The UUID of a new client.
    fn add(&self, words: &[&str]) -> String {
        let out = self.done(&[&["add-client"], words].concat());
        out.split(' ').next().unwrap().to_owned()
    }

    fn mode(&self, name: &str) -> u32 {
        fs::metadata(self.0.join(name)).unwrap().permissions().mode() & 0o7777
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn clients_are_added_listed_and_removed() {
    let server = Server::new("course");
    assert_eq!(server.done(&["list-client"]), "");
    assert_eq!(server.done(&["list-client", "--json"]), "[]\n");
    let line = server.done(&["add-client"]);
    let one = line.strip_suffix(" 32768\n").unwrap();
    assert_eq!((one.len(), one.get(14..15)), (36, Some("4")), "{line}");
    let two = server.add(&["50", "--name", "bus\"7"]);
    let three = server.add(&["100000"]);
    assert_eq!(server.text(), format!("0 {one} -\n1 {two} 50 bus\"7\n2 {three} 100000\n"));
    let expected = format!("0 {one} 32768 unlimited\n1 {two} 32769 50 bus\"7\n2 {three} 32770 100000\n");
    assert_eq!(server.done(&["list-client"]), expected);
    // As people write it.
    assert_eq!(server.done(&["remove-client", &one.to_uppercase().replace('-', "")]), "");
    let expected = format!(
        "[{{\"id\":1,\"uuid\":\"{two}\",\"port\":32769,\"mbps\":50,\"name\":\"bus\\\"7\",\"key\":null}},\
         {{\"id\":2,\"uuid\":\"{three}\",\"port\":32770,\"mbps\":100000,\"name\":\"\",\"key\":null}}]\n"
    );
    assert_eq!(server.done(&["list-client", "--json"]), expected);
    let (code, out, err) = server.run(&["remove-client", one]);
    let expected = format!("bsbf: cannot remove {one}: there is no such client\n");
    assert_eq!((code, out.as_str(), err), (1, "", expected));
    // The number that is free again.
    assert!(server.done(&["add-client"]).ends_with(" 32768\n"));
}

#[test]
fn a_token_is_all_that_a_client_needs() {
    let server = Server::new("token");
    let token = server.done(&["add-client", "--token", "--address", "2001:db8::1", "--name", "bus+7"]);
    let listed = server.done(&["list-client"]);
    let uuid = listed.split(' ').nth(1).unwrap();
    let expected = format!("vless://{uuid}@[2001:db8::1]:32768?encryption=none&type=tcp#bus%2B7\n");
    assert_eq!(token, expected);
    let json = server.done(&["add-client", "7", "--json", "--address", "bond.example.org", "--no-key"]);
    let (json, join) = json.split_once(",\"join\":").unwrap();
    assert!(join.starts_with("\"bsbf1:") && join.ends_with("\"}\n"), "{join}");
    let listed = server.done(&["list-client"]);
    let uuid = listed.lines().nth(1).unwrap().split(' ').nth(1).unwrap();
    let expected = format!(
        "{{\"id\":1,\"uuid\":\"{uuid}\",\"port\":32769,\"mbps\":7,\"name\":\"\",\"key\":null,\
         \"token\":\"vless://{uuid}@bond.example.org:32769?encryption=none&type=tcp\""
    );
    assert_eq!(json, expected);
}

/// Where the server's settings are its own, and its key.
fn keys(server: &Server, more: &str) -> String {
    let file = server.0.join("config");
    let key = server.0.join("etc/server.key");
    fs::write(&file, format!("config proxy_server\n option key_file '{}'\n{more}", key.display())).unwrap();
    file.to_str().unwrap().to_owned()
}

#[test]
fn a_join_token_makes_a_key_that_the_list_has_the_public_half_of() {
    let server = Server::new("join");
    let config = keys(&server, "");
    let words = ["add-client", "--join", "--name", "home", "--address", "203.0.113.1", "--config", &config];
    let token = server.done(&words);
    let digits = token.strip_prefix("bsbf1:").and_then(|digits| digits.strip_suffix('\n')).unwrap();
    assert!(digits.bytes().all(|b| b.is_ascii_alphanumeric()), "{token}");
    let key = fs::read_to_string(server.0.join("etc/server.key")).unwrap();
    assert_eq!((key.trim().len(), server.mode("etc/server.key")), (64, 0o600));
    let text = server.text();
    let [client, line] = text.lines().collect::<Vec<_>>()[..] else { panic!("{text}") };
    let uuid = client.split(' ').nth(1).unwrap();
    assert_eq!(client, format!("0 {uuid} - home"));
    let public = line.strip_prefix(&format!("#key {uuid} ")).unwrap();
    let listed = server.done(&["list-client", "--json"]);
    assert!(listed.ends_with(&format!("\"name\":\"home\",\"key\":\"{public}\"}}]\n")), "{listed}");
    assert_eq!(server.done(&["list-client"]), format!("0 {uuid} 32768 unlimited home\n"));

    // Another one for the same client; the server's own stays.
    let words = ["add-client", "--rekey", uuid, "--address", "203.0.113.1", "--config", &config];
    let other = server.done(&words);
    assert!(other.starts_with("bsbf1:") && other != token);
    assert_eq!(fs::read_to_string(server.0.join("etc/server.key")).unwrap(), key);
    // It has its number and name, and nothing that somebody knows who has the old token.
    let text = server.text();
    let new = text.split(' ').nth(1).unwrap().to_owned();
    assert!(text.starts_with(&format!("0 {new} - home\n#key {new} ")), "{text}");
    assert!(!text.contains(public) && !text.contains(uuid) && text.lines().count() == 2, "{text}");
    let mut again = words;
    again[2] = &new;
    let json = server.done(&[again.as_slice(), &["--json"]].concat());
    let new = server.text().split(' ').nth(1).unwrap().to_owned();
    assert!(json.contains(&format!("\"uuid\":\"{new}\"")) && json.contains("\"join\":\"bsbf1:"), "{json}");
    assert_eq!(server.done(&["remove-client", &new]), "");
    assert_eq!(server.text(), "");
    let (code, _, err) = server.run(&words);
    assert_eq!((code, err), (1, format!("bsbf: cannot change {uuid}: there is no such client\n")));
}

#[test]
fn no_key_is_made_that_nobody_would_know_or_use() {
    let server = Server::new("keyless");
    let config = keys(&server, "");
    let uuid = server.add(&["--config", &config]);
    server.done(&["add-client", "--token", "--address", "h", "--config", &config]);
    server.done(&["add-client", "--join", "--no-key", "--address", "h", "--config", &config]);
    let off = keys(&server, " option secure_port '0'\n");
    server.done(&["add-client", "--join", "--address", "h", "--config", &off]);
    assert!(!server.0.join("etc/server.key").exists() && !server.text().contains("#key"));
    let before = server.text();
    let only = "bsbf: cannot make a token: 'secure_port' is 0: nothing is encrypted here\n";
    let rekey = ["add-client", "--rekey", &uuid, "--address", "h", "--config", &off];
    assert_eq!(server.run(&rekey), (1, String::new(), only.to_owned()));
    let closed = keys(&server, " option plain '0'\n");
    let only = "bsbf: cannot make a token: 'plain' is 0: nobody comes in without a key\n";
    let words = ["add-client", "--join", "--no-key", "--address", "h", "--config", &closed];
    assert_eq!(server.run(&words), (1, String::new(), only.to_owned()));
    // One that cannot be read is told, and not replaced.
    fs::write(server.0.join("etc/server.key"), "old").unwrap();
    let (code, _, err) = server.run(&["add-client", "--join", "--address", "h", "--config", &closed]);
    assert_eq!((code, err.contains("a key and nothing else expected")), (1, true), "{err}");
    assert_eq!(server.text(), before);
}

#[test]
fn wrong_words_change_nothing() {
    let server = Server::new("words");
    let uuid = server.add(&[]);
    let before = server.text();
    let long = "a".repeat(65);
    for words in [
        vec!["add-client", "10-x"],
        vec!["add-client", "0"],
        vec!["add-client", "100001"],
        vec!["add-client", "1", "2"],
        vec!["add-client", "--name", "a b"],
        vec!["add-client", "--name", "a\nb"],
        vec!["add-client", "--name", "#a"],
        vec!["add-client", "--join", "--token", "--address", "h"],
        vec!["add-client", "--join", "--json", "--address", "h"],
        vec!["add-client", "--rekey", "6ba85e17", "--address", "h"],
        vec!["add-client", "--rekey", &uuid, "--no-key", "--address", "h"],
        vec!["add-client", "5", "--rekey", &uuid, "--address", "h"],
        vec!["add-client", "--name", &long],
        vec!["add-client", "--address", "a@b"],
        vec!["add-client", "--token", "--json"],
        vec!["remove-client"],
        vec!["remove-client", "."],
        vec!["remove-client", ""],
        vec!["remove-client", &uuid[..8]],
        vec!["remove-client", &uuid[..35]],
        vec!["remove-client", &uuid.replace('-', ".")],
    ] {
        let (code, out, err) = server.run(&words);
        assert_eq!((code, out.as_str()), (2, ""), "{words:?}: {err}");
        assert_eq!(server.text(), before, "{words:?}");
    }
}

#[test]
fn secrets_are_their_owners_alone() {
    let server = Server::new("mode");
    // Whatever the shell lets others do.
    let mut command = Command::new("sh");
    command.args(["-c", "umask 0; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_bsbf"), "add-client", "--file"]);
    assert!(command.arg(server.file()).output().unwrap().status.success());
    let modes = |server: &Server| ["etc", "etc/clients", "etc/clients.lock"].map(|name| server.mode(name));
    assert_eq!(modes(&server), [0o700, 0o600, 0o600]);
    fs::set_permissions(server.file(), fs::Permissions::from_mode(0o644)).unwrap();
    // What a power cut left.
    fs::write(server.0.join("etc/.clients.bsbf"), "0 half a").unwrap();
    let uuid = server.add(&[]);
    assert_eq!(modes(&server), [0o700, 0o600, 0o600]);
    server.done(&["remove-client", &uuid]);
    assert_eq!(modes(&server), [0o700, 0o600, 0o600]);
    assert_eq!(fs::read_dir(server.0.join("etc")).unwrap().count(), 2);
}

#[test]
fn a_list_elsewhere_stays_there() {
    let server = Server::new("link");
    fs::create_dir_all(server.0.join("etc")).unwrap();
    fs::write(server.0.join("elsewhere"), "").unwrap();
    symlink("../elsewhere", server.file()).unwrap();
    let uuid = server.add(&[]);
    assert!(fs::read_link(server.file()).is_ok());
    assert!(fs::read_to_string(server.0.join("elsewhere")).unwrap().contains(&uuid));
}

#[test]
fn a_list_that_is_wrong_is_left_to_people() {
    let server = Server::new("wrong");
    let uuid = "6ba85e17-9dad-410e-809f-00c04fd430c8";
    for (text, cause) in [
        (
            format!("# mine\n0 {uuid} -\nx {uuid} -\n").into_bytes(),
            "line 3: 'x' is no client's number, 0 to 16383",
        ),
        (
            format!("0 {uuid} -\n0 {} -\n", uuid.replace('6', "7")).into_bytes(),
            "line 2: there is a client 0 already",
        ),
        (format!("0 {uuid} -\n1 {uuid} -\n").into_bytes(), "line 2: its UUID is that of client 0"),
        (
            format!("0 {uuid} -\n1 \u{ff}").into_bytes(),
            "line 2: ID UUID MBPS [NAME] expected, MBPS '-' without a limit",
        ),
        (
            [b"#\xff\n0 ", uuid.as_bytes(), b" - a\xff"].concat(),
            "line 2: 'a\u{fffd}' is no name, at most 64 bytes, without '#' in front",
        ),
        (vec![b'#'; (4 << 20) + 1], "it has over 4 MiB, which is no settings file"),
    ] {
        server.write(&text);
        for words in [&["add-client"][..], &["list-client"], &["remove-client", uuid]] {
            let (code, out, err) = server.run(words);
            let expected = format!("bsbf: cannot read DIR/etc/clients: {cause}\n");
            assert_eq!((code, out.as_str(), err), (1, "", expected), "{words:?}");
            assert!(fs::read(server.file()).unwrap() == text, "{words:?}");
        }
    }
}

#[test]
fn what_cannot_be_written_is_told() {
    let server = Server::new("full");
    let uuid = server.add(&[]);
    let before = server.text();
    // Nothing can be written in its place.
    let temporary = server.0.join("etc/.clients.bsbf");
    fs::create_dir(&temporary).unwrap();
    for words in [&["add-client"][..], &["remove-client", &uuid]] {
        let (code, out, err) = server.run(words);
        assert!(
            code == 1 && out.is_empty() && err.contains("cannot write DIR/etc/clients: File exists"),
            "{err}"
        );
        assert_eq!(server.text(), before);
    }
    fs::remove_dir(temporary).unwrap();
    let full = File::options().write(true).open("/dev/full").unwrap();
    let output = server.command(&["add-client"]).stdout(full).output().unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert!(err.starts_with("bsbf: cannot write to stdout: No space left on device"), "{err}");
    assert_eq!(output.status.code(), Some(1));
    // No directory, and one that nobody can write to.
    for (file, cause) in [
        (server.0.join("etc/clients/x"), "cannot make "),
        (PathBuf::from("/proc/self/x"), "cannot lock /proc/"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bsbf"));
        let output = command.args(["add-client", "--file"]).arg(file).output().unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(1) && err.contains(cause), "{err}");
    }
}

#[test]
fn those_who_come_at_once_get_different_numbers() {
    let server = Server::new("turns");
    let added: Vec<String> = thread::scope(|scope| {
        let adds = || (0..10).map(|_| server.done(&["add-client"])).collect::<Vec<String>>();
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(adds)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let listed = server.done(&["list-client"]);
    let listed: BTreeSet<String> = listed
        .lines()
        .map(|line| line.split(' ').skip(1).take(2).collect::<Vec<&str>>().join(" ") + "\n")
        .collect();
    assert_eq!(listed.len(), 80);
    assert_eq!(added.into_iter().collect::<BTreeSet<String>>(), listed);
    let ports: BTreeSet<&str> = listed.iter().filter_map(|line| line.trim().split(' ').nth(1)).collect();
    let expected: Vec<String> = (32_768..32_848).map(|port| port.to_string()).collect();
    assert!(ports.into_iter().eq(expected.iter().map(String::as_str)));
}

#[test]
fn who_was_told_of_is_in_the_list_whenever_the_power_goes() {
    const CUTS: u32 = 60;
    let server = Server::new("cuts");
    // So many that the writing of them takes its time.
    let crowd: Vec<String> = (0..3000).map(|id| format!("{id} {id:032x} -\n")).collect();
    server.write(crowd.concat());
    let start = Instant::now();
    let mut told = vec![server.add(&[])];
    let whole = start.elapsed().max(Duration::from_millis(1));
    for cut in 0..CUTS {
        let mut child = server.command(&["add-client"]).stdout(Stdio::piped()).spawn().unwrap();
        thread::sleep(whole * cut / (CUTS * 3 / 4));
        child.kill().unwrap();
        let out = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
        told.extend(out.split_once(' ').map(|(uuid, _)| uuid.to_owned()));
        let listed = server.done(&["list-client"]);
        let uuids: BTreeSet<&str> = listed.lines().filter_map(|line| line.split(' ').nth(1)).collect();
        assert!(uuids.len() >= 3000 && told.iter().all(|uuid| uuids.contains(uuid.as_str())), "cut {cut}");
    }
    // Nothing is left that keeps the next from it.
    let listed = server.done(&["list-client"]).lines().count();
    assert!(server.done(&["add-client"]).ends_with(&format!(" {}\n", 32_768 + listed)));
    assert_eq!(fs::read_dir(server.0.join("etc")).unwrap().count(), 2);
}
