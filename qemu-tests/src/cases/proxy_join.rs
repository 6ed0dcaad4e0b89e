//! A router that becomes a client by the server's one word, with the real programs at both ends; `uci` and the service's
//! script are stand-ins.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::cases;
use super::proxy::{becomes, has_server, logs, name_server, only_by_the_server, start_program};
use super::proxy_router::{NFT, Router};
use crate::answers::{ask_tcp, ask_udp};
use crate::check;
use crate::failure::{Doing, Result, failed};
use crate::manager::{self, Manager};
use crate::runner::Case;

pub const CASES: &[Case] = cases!("proxy_join":
    a_router_joins_by_one_word_and_its_lan_goes_encrypted within 90,
);

const SERVER: &str = "config proxy_server
	option clients '/run/clients'
	option key_file '/run/server.key'
	option plain '0'
";
/// Where the router's directories are.
const ROOT: &str = "/run/root";

fn write(path: &str, text: &str) -> Result {
    fs::write(path, text).doing("write a file")
}

fn a_router_joins_by_one_word_and_its_lan_goes_encrypted() -> Result {
    has_server()?;
    let router = Router::new(NFT)?;
    only_by_the_server(&router)?;
    name_server(&router)?;
    for dir in ["etc/config", "etc/init.d", "var/run/bsbf"] {
        fs::create_dir_all([ROOT, "/", dir].concat()).doing("make a directory")?;
    }
    let settings = [ROOT, "/etc/config/bsbf"].concat();
    write(&settings, "config proxy 'proxy'\n\tlist lan 'lan0'\n")?;
    write(&[ROOT, "/etc/config/network"].concat(), "config interface 'loopback'\n")?;
    let service = [ROOT, "/etc/init.d/bsbf-proxy"].concat();
    write(&service, "#!/bin/sh\n")?;
    fs::set_permissions(&service, fs::Permissions::from_mode(0o755)).doing("make it a program")?;
    write("/run/uci", include_str!("../../router/sbin/uci"))?;
    let binary = manager::binary()?;
    manager::stand_in("uci", &format!("BSBF={} exec sh /run/uci \"$@\"", binary.display()))?;
    manager::stand_in("ubus", "exit 0")?;

    // On the server.
    write("/run/server.conf", SERVER)?;
    let arguments = ["proxy", "server", "-v", "--config", "/run/server.conf", "--run-dir", "/run/server"];
    let _server = start_program(&router.lab.server, &binary, &arguments, "server")?;
    let words = ["add-client", "--join", "--name", "home", "--address", "203.0.113.1"];
    let files = ["--file", "/run/clients", "--config", "/run/server.conf"];
    let added = manager::run_alone(&[&words[..], &files].concat())?;
    check!(added.code == Some(0) && added.stderr.is_empty(), "{added:?}");
    let token = added.stdout.trim();

    // On the router.
    let words = ["proxy", "client", "--join", token, "--root", ROOT, "--within", "0"];
    let joined = manager::run(&router.lab, &words)?;
    check!(joined.code == Some(0) && joined.stderr.is_empty(), "{joined:?}");
    let said = "a client of 203.0.113.1:32767 now, as home; what it carries is encrypted.\n";
    check!(joined.stdout.contains(said), "{joined:?}");
    let network = fs::read_to_string([ROOT, "/etc/config/network"].concat()).doing("read the network")?;
    check!(network.contains("option mark '0x1/0x7'") && network.contains("'::/0'"), "{network}");

    // As the service starts it; the files are elsewhere here.
    let [uuid, key] = ["/etc/bsbf/uuid", "/etc/bsbf/key"].map(|name| [ROOT, name].concat());
    let run_dir = [ROOT, "/var/run/bsbf"].concat();
    let arguments = [
        "client",
        "-v",
        "--config",
        &settings,
        "--uuid-file",
        &uuid,
        "--key-file",
        &key,
        "--run-dir",
        &run_dir,
    ];
    let _client = Manager::start_command(&router.lab, "proxy", &arguments, Path::new("/run/client.log"))?;
    let lan = router.lan()?;
    becomes(|| ask_tcp(lan, "9.9.9.9:80"), "server 9.9.9.9:80")?;
    becomes(|| ask_udp(lan, "9.9.9.9:80"), "server 9.9.9.9:80")?;

    // Once more, while it runs: the server's answer is seen.
    let words = ["proxy", "client", "--join", token, "--root", ROOT];
    let joined = manager::run(&router.lab, &words)?;
    let said = "Nothing to do: it is so already.\nThe server answers, after ";
    check!(joined.code == Some(0) && joined.stdout.starts_with(said), "{joined:?}");
    for secret in [token, fs::read_to_string(&key).doing("read the key")?.trim()] {
        if logs().contains(secret) {
            return failed("a log tells a secret");
        }
    }
    Ok(())
}
