//! `bsbf config set` as its user runs it, with the stand-in for `uci` (qemu-tests/router/sbin/uci), which is held to the
//! real one's recorded sessions, and with ones that fail.

// Tests make files and start programs, and end where they cannot.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A router's directories, as far as they matter here; they go with it.
struct Router(PathBuf);

const SETTINGS: &str = "# mine\nconfig bond 'bond'\n\tlist server '203.0.113.1'\n\toption lost '9'\n\nconfig other 'x'\n\toption y 'z'\n";

impl Router {
    fn new(name: &str) -> Router {
        let path = std::env::temp_dir().join(format!("bsbf-set-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        for dir in ["config", "bin"] {
            fs::create_dir_all(path.join(dir)).unwrap();
        }
        let router = Router(path);
        router.write(SETTINGS);
        router
    }

    /// With a `uci` that is this script.
    fn uci(self, script: &str) -> Router {
        let path = self.0.join("bin/uci");
        fs::write(&path, script).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        self
    }

    /// With the stand-in, after that many seconds.
    fn stand_in(self, seconds: &str) -> Router {
        let real = Path::new(env!("CARGO_MANIFEST_DIR")).join("qemu-tests/router/sbin/uci");
        self.uci(&format!("#!/bin/sh\nsleep {seconds}\nexec {} \"$@\"\n", real.display()))
    }

    fn write(&self, text: &str) {
        fs::write(self.0.join("config/bsbf"), text).unwrap();
    }

    fn settings(&self) -> String {
        fs::read_to_string(self.0.join("config/bsbf")).unwrap()
    }

    fn pending(&self) -> String {
        fs::read_to_string(self.0.join("pending/bsbf")).unwrap_or_default()
    }

    fn start(&self, words: &[&str]) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bsbf"));
        command.args(["config", "set"]).args(words);
        for (option, dir) in [("--dir", "config"), ("--pending", "pending"), ("--run-dir", "run")] {
            command.arg(option).arg(self.0.join(dir));
        }
        let path = format!("{}:{}", self.0.join("bin").display(), std::env::var("PATH").unwrap());
        command.env("PATH", path).env("BSBF", env!("CARGO_BIN_EXE_bsbf"));
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Exit code and stderr.
    fn set(&self, words: &[&str]) -> (i32, String) {
        let output = self.start(words).wait_with_output().unwrap();
        assert_eq!(output.stdout, b"");
        let err = String::from_utf8(output.stderr).unwrap();
        (output.status.code().unwrap(), err.replace(&self.0.display().to_string(), "DIR"))
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn options_are_written_by_uci_and_the_rest_stays() {
    let router = Router::new("write").stand_in("0");
    let done = (0, String::new());
    assert_eq!(router.set(&["server=192.0.2.7:443,2001:db8::1", "backup=it's,wwan", "replies=5"]), done);
    let expected = "\nconfig bond 'bond'\n\toption lost '9'\n\tlist server '192.0.2.7:443'\n\tlist server '2001:db8::1'\n\tlist backup 'it'\\''s'\n\tlist backup 'wwan'\n\toption replies '5'\n\nconfig other 'x'\n\toption y 'z'\n\n";
    assert_eq!((router.settings().as_str(), router.pending().as_str()), (expected, ""));
    // Nothing is the default.
    assert_eq!(router.set(&["server=", "lost=", "backup=", "metered="]), done);
    let expected = "\nconfig bond 'bond'\n\toption replies '5'\n\nconfig other 'x'\n\toption y 'z'\n\n";
    assert_eq!(router.settings(), expected);
    // Already so: not even a comment is lost.
    router.write(SETTINGS);
    assert_eq!(router.set(&["lost=9", "server=203.0.113.1", "metered="]), done);
    assert_eq!(router.settings(), SETTINGS);
    // Sections without a name, and none at all.
    router.write("config bond\n\toption lost '4'\n");
    assert_eq!(router.set(&["lost=5"]), done);
    assert_eq!(router.settings(), "\nconfig bond\n\toption lost '5'\n\n");
    router.write("");
    assert_eq!(router.set(&["lost=5"]), done);
    assert_eq!(router.settings(), "\nconfig bond 'bond'\n\toption lost '5'\n\n");
}

#[test]
fn what_the_manager_would_refuse_is_not_written() {
    let router = Router::new("refuse").stand_in("0");
    let many = "target=1.1.1.1,1.1.1.2,1.1.1.3,1.1.1.4,1.1.1.5,1.1.1.6,1.1.1.7,1.1.1.8";
    for (words, code, complaint) in [
        (vec!["lost=1"], 2, "cannot set lost: '1' is not a number from 2 to 40"),
        (vec!["replies=5", "lostt=9"], 2, "cannot set lostt: unknown option 'lostt'"),
        (vec!["lostt="], 2, "cannot set lostt: unknown option 'lostt'"),
        (vec!["lost=5,6"], 2, "cannot set lost: one value expected, 2 found"),
        (vec!["lost"], 2, "cannot set lost: OPTION=VALUE expected"),
        (vec![], 2, "cannot set: OPTION=VALUE expected"),
        (vec!["lost=5", "bond.lost=6"], 2, "cannot set bond.lost: it is given twice"),
        (vec![many], 1, "cannot set target: more than 8 servers and targets"),
    ] {
        assert_eq!(router.set(&words), (code, format!("bsbf: {complaint}\n")), "{words:?}");
    }
    assert_eq!(router.settings(), SETTINGS);
    // What is wrong is replaced, and nothing else may be.
    router.write("config bond\n\toption lost '1'\n");
    let (code, err) = router.set(&["replies=5"]);
    assert!(code == 1 && err.contains("line 2: '1' is not a number from 2 to 40"), "{err}");
    assert_eq!(router.set(&["lost=5"]), (0, String::new()));
    assert_eq!(router.settings(), "\nconfig bond\n\toption lost '5'\n\n");
    // A file that the manager does not read is for people to mend.
    router.write("config bond\n\toption lost '9\n");
    let (code, err) = router.set(&["replies=5"]);
    assert!(code == 1 && err.contains("DIR/config/bsbf: line 2: unterminated single quote"), "{err}");
    assert_eq!(router.settings(), "config bond\n\toption lost '9\n");
}

/// As the package ships it, and with comments that would go if the file were written.
const PROXY: &str = "config bond 'bond'\n\toption lost '9'\n\n# The LAN's.\nconfig proxy 'proxy'\n\toption enabled '0'\n\tlist lan 'br-lan'\n\nconfig proxy_server\n\toption clients '/etc/a'\n";

#[test]
fn the_proxys_sections_are_set_as_the_managers() {
    let router = Router::new("proxy").stand_in("0");
    let done = (0, String::new());
    router.write(PROXY);
    let words = [
        "proxy.enabled=1",
        "proxy.server=203.0.113.1:32768,[2001:db8::1]:443",
        "proxy.lan=home,guest",
        "proxy.quic=direct",
        "proxy_server.port=443",
        "bond.lost=5",
        "replies=4",
    ];
    assert_eq!(router.set(&words), done);
    let expected = "\nconfig bond 'bond'\n\toption lost '5'\n\toption replies '4'\n\nconfig proxy 'proxy'\n\toption enabled '1'\n\tlist server '203.0.113.1:32768'\n\tlist server '[2001:db8::1]:443'\n\tlist lan 'home'\n\tlist lan 'guest'\n\toption quic 'direct'\n\nconfig proxy_server\n\toption clients '/etc/a'\n\toption port '443'\n\n";
    assert_eq!((router.settings().as_str(), router.pending().as_str()), (expected, ""));
    // Nothing is the default, and a list of one stays a list.
    let words = ["proxy.lan=", "proxy.quic=", "proxy.server=192.0.2.1:1", "proxy_server.clients="];
    assert_eq!(router.set(&words), done);
    let expected = "\nconfig bond 'bond'\n\toption lost '5'\n\toption replies '4'\n\nconfig proxy 'proxy'\n\toption enabled '1'\n\tlist server '192.0.2.1:1'\n\nconfig proxy_server\n\toption port '443'\n\n";
    assert_eq!(router.settings(), expected);
    // Where there is no such section yet.
    router.write("config bond 'bond'\n\toption lost '5'\n");
    assert_eq!(router.set(&["proxy_server.enabled=1", "proxy.server=192.0.2.1:1", "proxy.port="]), done);
    let expected = "\nconfig bond 'bond'\n\toption lost '5'\n\nconfig proxy 'proxy'\n\tlist server '192.0.2.1:1'\n\nconfig proxy_server 'proxy_server'\n\toption enabled '1'\n\n";
    assert_eq!(router.settings(), expected);
    // Already so: not even a comment is lost.
    router.write(PROXY);
    assert_eq!(router.set(&["proxy.enabled=0", "proxy.lan=br-lan", "proxy_server.port="]), done);
    assert_eq!(router.settings(), PROXY);
}

#[test]
fn what_the_proxy_would_refuse_leaves_the_file_as_it_was() {
    let router = Router::new("proxy-refuse").stand_in("0");
    router.write(PROXY);
    let nine: Vec<String> = (1..=9).map(|n| format!("192.0.2.{n}:1")).collect();
    let nine = format!("proxy.server={}", nine.join(","));
    for (words, code, complaint) in [
        (vec!["proxy.port=0"], 2, "cannot set proxy.port: '0' is not a port from 1 to 65535"),
        (vec!["proxy.quic=never"], 2, "cannot set proxy.quic: 'never' is none of block, proxy, direct"),
        (vec!["proxy.enabled=maybe"], 2, "cannot set proxy.enabled: 'maybe' is not 0 or 1"),
        (vec!["proxy.uuid=6ba8"], 2, "cannot set proxy.uuid: a UUID expected, 32 hexadecimal digits"),
        (
            vec!["proxy.lan=br-lan,br-*"],
            2,
            "cannot set proxy.lan: 'br-*' is not a network or device (1 to 15 letters, digits, - _ . @)",
        ),
        (
            vec!["proxy.server=203.0.113.1"],
            2,
            "cannot set proxy.server: '203.0.113.1' is not ADDR:PORT or [ADDR6]:PORT",
        ),
        (vec![nine.as_str()], 2, "cannot set proxy.server: more than 8 servers"),
        (vec!["proxy.port=1,2"], 2, "cannot set proxy.port: one value expected, 2 found"),
        (
            vec!["proxy.uuid_file=/a\nset network.lan.proto=x"],
            2,
            "cannot set proxy.uuid_file: '/a\nset network.lan.proto=x' is not a path from / on",
        ),
        (vec!["proxy.lost=5"], 2, "cannot set proxy.lost: unknown option 'lost'"),
        (vec!["proxy.lost="], 2, "cannot set proxy.lost: unknown option 'lost'"),
        (vec!["proxy_server.server=1.1.1.1:1"], 2, "cannot set proxy_server.server: unknown option 'server'"),
        (
            vec!["proxies.port=1"],
            2,
            "cannot set proxies.port: before the dot bond, proxy or proxy_server expected",
        ),
        // All or nothing.
        (
            vec!["lost=5", "proxy.port=1", "proxy_server.port=x"],
            2,
            "cannot set proxy_server.port: 'x' is not a port from 1 to 65535",
        ),
        // What is wrong with the whole of it alone.
        (vec!["proxy.enabled=1"], 1, "cannot set proxy: it is enabled and has no 'server'"),
        (
            vec!["proxy.uuid_file=/a", "proxy.uuid=6ba85e17-9dad-410e-809f-00c04fd430c8"],
            1,
            "cannot set proxy.uuid_file: 'uuid' is there too: one of them expected",
        ),
    ] {
        assert_eq!(router.set(&words), (code, format!("bsbf: {complaint}\n")), "{words:?}");
        assert_eq!((router.settings().as_str(), router.pending().as_str()), (PROXY, ""), "{words:?}");
    }
    for (text, word, complaint) in [
        // What others wrote is theirs to mend, and what is to be replaced may be wrong.
        (
            "config proxy\n\toption port '0'\n",
            "proxy.quic=direct",
            "bsbf: line 2: '0' is not a port from 1 to 65535",
        ),
        (
            "config proxy\n\nconfig proxy 'b'\n",
            "proxy.quic=direct",
            "bsbf: line 3: there is a section 'proxy' in line 1",
        ),
        ("config other 'proxy'\n", "proxy.quic=direct", "bsbf.proxy: another type of sections has that name"),
        (
            "config proxy\n\toption enabled '1'\n\tlist server '192.0.2.1:1'\n",
            "proxy.server=",
            "proxy: it is enabled and has no 'server'",
        ),
    ] {
        router.write(text);
        assert_eq!(router.set(&[word]), (1, format!("bsbf: cannot set {complaint}\n")), "{text}");
        assert_eq!((router.settings().as_str(), router.pending().as_str()), (text, ""));
    }
    router.write("config proxy\n\toption port '0'\n");
    assert_eq!(router.set(&["proxy.port=5"]), (0, String::new()));
    assert_eq!(router.settings(), "\nconfig proxy\n\toption port '5'\n\n");
}

#[test]
fn where_there_is_no_uci_or_it_fails_the_file_is_as_it_was() {
    let router = Router::new("none");
    let (code, err) = router.set(&["lost=5"]);
    let expected = "bsbf: cannot change DIR/config/bsbf: there is no uci here; edit the file\n";
    assert_eq!((code, err.as_str(), router.settings().as_str()), (1, expected, SETTINGS));
    // As the real one, which ends with 0 all the same; what it left pending is taken back.
    let fails = "#!/bin/sh\nlines=$(cat)\ncase $lines in revert*) : >$4/bsbf; exit ;; esac\nmkdir -p $4; echo \"$lines\" >$4/bsbf\necho 'uci: I/O error' >&2\n";
    let router = Router::new("fails").uci(fails);
    let (code, err) = router.set(&["lost=5"]);
    assert_eq!((code, err.as_str()), (1, "bsbf: cannot change DIR/config/bsbf: uci: I/O error\n"));
    assert_eq!((router.settings().as_str(), router.pending().as_str()), (SETTINGS, ""));
}

#[test]
fn changes_that_others_have_pending_are_not_lost() {
    let router = Router::new("others").stand_in("0");
    fs::create_dir(router.0.join("pending")).unwrap();
    fs::write(router.0.join("pending/bsbf"), "bsbf.x.y='new'\nbsbf.bond.replies='7'\n").unwrap();
    let (code, err) = router.set(&["lost=5"]);
    assert!(code == 0 && err.contains("changes that were not committed; they are in force now too"), "{err}");
    let settings = router.settings();
    assert!(["lost '5'", "replies '7'", "y 'new'"].iter().all(|has| settings.contains(has)), "{settings}");
    // On RUTOS a pending line that cannot be applied blocks all others; ours to tell, not to remove.
    let router = Router::new("blocked").uci("#!/bin/sh\necho 'uci: Invalid argument' >&2\n");
    fs::create_dir(router.0.join("pending")).unwrap();
    fs::write(router.0.join("pending/bsbf"), "|bsbf.bond='1'\n").unwrap();
    let (code, err) = router.set(&["lost=5"]);
    let told =
        "uci: Invalid argument; see whether DIR/pending/bsbf has a change that cannot be made, and remove it";
    assert!(code == 1 && err.contains(told), "{err}");
    assert_eq!((router.settings().as_str(), router.pending().as_str()), (SETTINGS, "|bsbf.bond='1'\n"));
}

#[test]
fn those_that_come_at_once_take_turns() {
    let router = Router::new("turns").stand_in("0.1");
    let start = Instant::now();
    let options =
        ["lost=5", "replies=6", "interval=700", "dead_interval=800", "backup=usb0", "metered=wwan0"];
    let children: Vec<Child> = options.iter().map(|option| router.start(&[option])).collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    // One after the other, each with its own look at the file.
    assert!(start.elapsed() >= Duration::from_millis(600));
    let settings = router.settings();
    for value in ["lost '5'", "replies '6'", "interval '700'", "dead_interval '800'", "'usb0'", "'wwan0'"] {
        assert!(settings.contains(value), "{value} is lost: {settings}");
    }
}
