//! Installing and removing where RUTOS puts packages: all below /usr/local, where etc is the system's /etc.
//!
//! Its opkg.conf says `dest root /usr/local`, and /lib/functions.sh looks for lists and scripts there. Stand-ins of that
//! script, of rc.common and of procd do here what those do with the paths; the absolute ones begin with a folder of ours.

use std::collections::BTreeMap;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use super::tests::ours;
use super::*;

/// default_postinst and default_prerm of RUTOS: what is asked of the package's own scripts and services.
const FUNCTIONS: &str = r#"
info=@/usr/local/usr/lib/opkg/info
package() { basename "${1%.*}"; }
services() { grep -s "^@/usr/local/etc/init.d/" "$info/$(package "$1").list"; }
default_postinst() {
	local ret=0
	[ ! -f "$info/$(package "$1").postinst-pkg" ] || ( . "$info/$(package "$1").postinst-pkg" ) || ret=$?
	for i in $(services "$1"); do
		[ "$PKG_UPGRADE" = 1 ] || "$i" enable
		"$i" start
	done
	return $ret
}
default_prerm() {
	for i in $(services "$1"); do
		[ "$PKG_UPGRADE" = 1 ] || "$i" disable
		"$i" stop
	done
}
"#;

/// rc.common with procd: a service that runs is a file with its command, which must be a program.
const RC_COMMON: &str = r#"#!/bin/sh
name=$(basename "$1")
link=@/etc/rc.d/S95$name
logger() { :; }
procd_open_instance() { :; }
procd_close_instance() { :; }
procd_set_param() { [ "$1" != command ] || { [ -x "$2" ] && echo "$2" >"@/run/$name"; }; }
. "$1"
case "$2" in
	enable) ln -sf "../init.d/$name" "$link" ;;
	disable) rm -f "$link" ;;
	enabled) [ -x "$link" ] ;;
	running) [ -f "@/run/$name" ] ;;
	start) start_service ;;
	restart) rm -f "@/run/$name"; start_service ;;
	stop) rm -f "@/run/$name" ;;
esac
"#;

struct Router(PathBuf);

impl Router {
    fn new(name: &str) -> Router {
        let router = Router(env::temp_dir().join(format!("xtask-rutos-{name}-{}", std::process::id())));
        files::empty_dir(&router.0).unwrap();
        for dir in ["etc/config", "etc/init.d", "etc/rc.d", "run", "var/run/bsbf", "usr/local"] {
            files::create_dir(&router.0.join(dir)).unwrap();
        }
        symlink("../../etc", router.0.join("usr/local/etc")).unwrap();
        router.write("lib/functions.sh", FUNCTIONS, 0o644);
        router.write("etc/rc.common", RC_COMMON, 0o755);
        router
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.join(path)
    }

    fn write(&self, path: &str, text: &str, mode: u32) {
        let at = self.0.to_str().unwrap();
        files::write(&self.path(path), text.replace('@', at)).unwrap();
        fs::set_permissions(self.path(path), fs::Permissions::from_mode(mode)).unwrap();
    }

    /// A script's text with the system's folders in ours.
    fn moved(text: &str) -> String {
        let folders = ["/etc/init.d", "/etc/rc.common", "/etc/bsbf", "/lib/functions.sh", "/var/run/bsbf"];
        folders.iter().fold(text.to_string(), |text, folder| text.replace(folder, &format!("@{folder}")))
    }

    /// As opkg does: files, lists and scripts, then postinst.
    fn install(&self, package: &Ipk) {
        let name = &package.control.package;
        let mut list = String::new();
        for Entry { path, mode, kind } in &package.files {
            let at = format!("usr/local/{path}");
            list += &format!("@/{at}\n");
            match kind {
                Kind::Link(to) => symlink(to, self.path(&at)).unwrap(),
                Kind::File(content) if Some(b"\x7fELF".as_slice()) != content.get(..4) => {
                    self.write(&at, &Self::moved(std::str::from_utf8(content).unwrap()), *mode);
                }
                _ => self.write(&at, "#!/bin/sh\necho \"${0##*/} $*\" >>@/run/log\n", 0o755),
            }
        }
        self.write(&format!("usr/local/usr/lib/opkg/info/{name}.list"), &list, 0o644);
        for (which, text) in &package.scripts {
            let at = format!("usr/local/usr/lib/opkg/info/{name}.{which}");
            self.write(&at, &Self::moved(text), 0o755);
        }
        self.run(name, "postinst", "configure");
    }

    /// As `opkg remove` does: prerm, the files, postrm.
    fn remove(&self, package: &Ipk) {
        let name = &package.control.package;
        self.run(name, "prerm", "remove");
        for Entry { path, .. } in &package.files {
            fs::remove_file(self.path(&format!("usr/local/{path}"))).unwrap();
        }
        self.run(name, "postrm", "remove");
    }

    fn run(&self, name: &str, which: &str, argument: &str) {
        let script = self.path(&format!("usr/local/usr/lib/opkg/info/{name}.{which}"));
        if !script.exists() {
            return;
        }
        let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", self.path("usr/local/usr/sbin").display());
        let mut command = Command::new(&script);
        command.arg(argument).env("PATH", path).env("PKG_UPGRADE", "0").env_remove("IPKG_INSTROOT");
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.is_empty(), "{which} of {name}: {said}");
    }

    /// Files and links but opkg's own, with what is in them.
    fn tree(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut tree = BTreeMap::new();
        let mut folders = vec![self.0.clone()];
        while let Some(folder) = folders.pop() {
            for path in files::list(&folder).unwrap() {
                let about = fs::symlink_metadata(&path).unwrap();
                if about.is_dir() && !path.ends_with("usr/lib/opkg") {
                    folders.push(path);
                } else if !about.is_dir() {
                    tree.insert(path.clone(), fs::read(&path).unwrap_or_default());
                }
            }
        }
        tree
    }

    fn lines(&self, path: &str) -> Vec<String> {
        fs::read_to_string(self.path(path)).unwrap_or_default().lines().map(str::to_string).collect()
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

fn package<'a>(all: &'a [Ipk], name: &str) -> &'a Ipk {
    all.iter().find(|package| package.control.package == name).unwrap()
}

#[test]
fn below_usr_local_services_start_and_nothing_remains() {
    let all = ours(&["RUTM"]);
    let names = ["bsbf", "bsbf-bonding", "bsbf-route", "bsbf-mptcp", "bsbf-tlt-sw-link"];
    let router = Router::new("removal");
    let before = router.tree();
    for name in names {
        router.install(package(&all, name));
    }
    let program = router.path("usr/local/usr/sbin/bsbf-bond");
    assert_eq!(router.lines("run/bsbf-bond"), [program.to_str().unwrap()]);
    assert!(router.path("etc/rc.d/S95bsbf-bond").exists(), "enabled");
    // The whole has precedence over its halves.
    assert!(!router.path("run/bsbf-route").exists() && !router.path("run/bsbf-mptcp").exists());
    // netifd's hotplug-call reads it from /etc.
    assert!(Path::new(&router.path("etc/hotplug.d/iface/60-bsbf")).exists());
    router.write("var/run/bsbf/state", "moved routes\n", 0o644);

    router.remove(package(&all, "bsbf-bonding"));
    // What it has put into the kernel goes, and the halves have their turn.
    assert_eq!(router.lines("run/log"), ["bsbf-bond --clean"]);
    assert!(router.path("run/bsbf-route").exists() && router.path("run/bsbf-mptcp").exists());
    assert!(router.path("run/bsbf-tlt-sw-link").exists());
    for name in ["bsbf-mptcp", "bsbf-route", "bsbf-tlt-sw-link", "bsbf"] {
        router.remove(package(&all, name));
    }
    assert_eq!(router.lines("run/log")[1..], ["bsbf-mptcp --clean", "bsbf-route --clean"]);
    fs::remove_file(router.path("run/log")).unwrap();
    assert_eq!(router.tree(), before);
}

/// Nothing starts before it is set, and without a client's socket no rules are anybody's to take.
#[test]
fn the_proxy_comes_and_goes_without_a_word_to_the_firewall() {
    let all = ours(&["RUTM"]);
    let names = ["bsbf", "bsbf-proxy", "bsbf-proxy-server"];
    let router = Router::new("proxy");
    let before = router.tree();
    names.iter().for_each(|name| router.install(package(&all, name)));
    assert!(!router.path("run/bsbf-proxy").exists() && !router.path("run/bsbf-proxy-server").exists());
    names.iter().rev().for_each(|name| router.remove(package(&all, name)));
    let log = router.lines("run/log");
    assert!(log.iter().all(|line| line.starts_with("bsbf-config get ")), "{log:?}");
    fs::remove_file(router.path("run/log")).unwrap();
    assert_eq!(router.tree(), before);
}

#[test]
fn a_hook_without_its_program_says_nothing() {
    let router = Router::new("hook");
    let hook = package(&ours(&["RUTM"]), "bsbf").files.iter().find(|e| e.path.ends_with("60-bsbf")).cloned();
    let Some(Entry { kind: Kind::File(content), .. }) = hook else { panic!("no hook") };
    router.write("hook", std::str::from_utf8(&content).unwrap(), 0o755);
    let output = Command::new("/bin/sh").arg(router.path("hook")).env("PATH", "/bin").output().unwrap();
    assert_eq!((output.stdout, output.stderr), (Vec::new(), Vec::new()));
}
