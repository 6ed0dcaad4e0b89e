//! `bsbf-proxy` from a settings file, `bsbf-status` while it runs, and what its service leaves behind.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use miniserde::{Deserialize, json};
use nix::sys::signal::Signal;

use super::cases;
use super::proxy::{UUID, becomes, has_server, logs, only_by_the_server, start_program};
use super::proxy_router::{NFT, Router};
use crate::answers::{ask_tcp, ask_udp};
use crate::check;
use crate::failure::{Doing, Result, failed};
use crate::manager::{self, Manager};
use crate::ns::Running;
use crate::runner::Case;

pub const CASES: &[Case] = cases!("proxy_settings":
    both_run_from_a_file_and_status_tells_of_the_client within 90,
    what_does_not_fit_is_told_with_its_line,
    metrics_and_pictures_tell_of_the_proxy within 60,
    rules_are_put_in_again_and_go_with_a_killed_client within 60,
    the_rights_of_systemds_units_are_enough within 60,
);

const SETTINGS: &str = "/run/settings/bsbf";
/// The router's half names a network of netifd's.
const CLIENT: &str = "config proxy 'proxy'
	option enabled '1'
	list server '203.0.113.1:32768'
	option uuid_file '/run/uuid'
	list lan 'home'
	option down_after '2'
";
const SERVER: &str = "config proxy_server
	option clients '/run/clients'
";
/// The service's script, as the package has it.
const SERVICE: &str = include_str!("../../../openwrt-feed/files/etc/init.d/bsbf-proxy");

/// Units of systemd: server and client.
const UNITS: [&str; 2] = [
    include_str!("../../../systemd/bsbf-proxy-server.service"),
    include_str!("../../../systemd/bsbf-proxy-client.service"),
];

#[derive(Deserialize)]
struct Shown {
    proxy: Option<Proxy>,
}

#[derive(Deserialize, Debug)]
struct Proxy {
    way: String,
    servers: Vec<Server>,
    down_bytes: u64,
}

#[derive(Deserialize, Debug)]
struct Server {
    address: String,
    in_use: bool,
    silent_ms: Option<u64>,
}

fn set(text: &str) -> Result {
    fs::create_dir_all("/run/settings").doing("make a directory")?;
    fs::write("/run/uuid", UUID).doing("write the UUID")?;
    fs::set_permissions("/run/uuid", fs::Permissions::from_mode(0o600)).doing("close the UUID's file")?;
    fs::write(SETTINGS, text).doing("write settings")
}

fn start_server(router: &Router) -> Result<Running> {
    has_server()?;
    fs::write("/run/clients", format!("0 {UUID} -\n")).doing("write the list of clients")?;
    let arguments = ["proxy", "server", "-v", "--config", SETTINGS, "--run-dir", "/run/server"];
    start_program(&router.lab.server, &manager::binary()?, &arguments, "server")
}

fn start_client(router: &Router) -> Result<Manager> {
    let arguments = ["client", "-v", "--config", SETTINGS];
    Manager::start_command(&router.lab, "proxy", &arguments, Path::new("/run/client.log"))
}

/// What `bsbf-status` says: for people, and of the proxy for programs.
fn status(router: &Router) -> Result<(String, Option<Proxy>)> {
    let text = manager::run(&router.lab, &["status"])?;
    // No manager runs here.
    check!(text.code == Some(3), "{text:?}");
    let shown = manager::run(&router.lab, &["status", "--json"])?;
    match json::from_str::<Shown>(&shown.stdout) {
        Ok(Shown { proxy }) => Ok((text.stdout, proxy)),
        Err(_) => failed(format!("it is no JSON: {shown:?}")),
    }
}

fn both_run_from_a_file_and_status_tells_of_the_client() -> Result {
    let router = Router::new(NFT)?;
    only_by_the_server(&router)?;
    manager::stand_in(
        "ubus",
        "echo '{\"interface\":[{\"interface\":\"home\",\"up\":true,\"l3_device\":\"lan0\",\"device\":\"lan0\"}]}'",
    )?;
    set(&[CLIENT, SERVER].concat())?;
    let (text, proxy) = status(&router)?;
    check!(!text.contains("proxy") && proxy.is_none(), "none runs: {text}{proxy:?}");

    let mut server = start_server(&router)?;
    let client = start_client(&router)?;
    let lan = router.lan()?;
    becomes(|| ask_tcp(lan, "9.9.9.9:80"), "server 9.9.9.9:80")?;
    let (text, proxy) = status(&router)?;
    let line = "\nproxy: connections go to the server; 203.0.113.1:32768 (in use): ";
    check!(text.contains(line) && text.ends_with(" ms\n"), "{text}");
    let Some(proxy) = proxy else { return failed("it is not among the JSON") };
    let [only] = &proxy.servers[..] else { return failed(format!("{proxy:?}")) };
    check!(proxy.way == "server" && proxy.down_bytes > 0, "{proxy:?}");
    check!(only.address == "203.0.113.1:32768" && only.in_use && only.silent_ms.is_none(), "{proxy:?}");
    let told = manager::run(&router.lab, &["proxy", "status"])?;
    check!(told.stdout.contains("connections go to the server\nbytes up/down: "), "{told:?}");
    let log = || fs::read_to_string("/run/client.log").doing("read the log");
    check!(!log()?.contains("others may read it"), "the UUID's file is nobody else's: {}", log()?);

    server.child().kill()?;
    server.child().wait()?;
    becomes(|| Ok(status(&router)?.1.map_or_else(String::new, |proxy| proxy.way)), "direct")?;
    let (text, proxy) = status(&router)?;
    let line =
        "\nproxy: no server answers: connections go out directly; 203.0.113.1:32768 (in use): silent for ";
    check!(text.contains(line), "{text}");
    check!(proxy.is_some_and(|proxy| proxy.servers[0].silent_ms > Some(1000)), "it was just silent");

    client.end(Duration::from_secs(5))?;
    let (text, proxy) = status(&router)?;
    check!(!text.contains("proxy") && proxy.is_none(), "it has ended: {text}{proxy:?}");

    // By a file that is open to all it runs too, and says so.
    fs::set_permissions("/run/uuid", fs::Permissions::from_mode(0o644)).doing("open the UUID's file")?;
    let _client = start_client(&router)?;
    becomes(|| Ok(log()?.contains("/run/uuid has our UUID and others may read it").to_string()), "true")
}

fn metrics_and_pictures_tell_of_the_proxy() -> Result {
    let router = Router::new(NFT)?;
    only_by_the_server(&router)?;
    set(&[&CLIENT.replace("'home'", "'lan0'"), SERVER].concat())?;
    let metric = |name: &'static str| -> Result<String> {
        let ran = manager::run(&router.lab, &["status", "--prometheus"])?;
        check!(ran.code == Some(3), "no manager runs: {ran:?}");
        let value = ran.stdout.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        Ok(value.unwrap_or("none").to_string())
    };
    check!(metric("bsbf_proxy_up")? == "0" && metric("bsbf_up")? == "0", "neither runs");
    let mut server = start_server(&router)?;
    let client = start_client(&router)?;
    let pictures = "/run/pictures";
    let drawn = || fs::read_to_string(pictures).doing("read the pictures");
    let arguments = ["--watch", "--interval", "0.2"];
    let watch = Manager::start_command(&router.lab, "status", &arguments, Path::new(pictures))?;
    let draws = |what: &'static str| becomes(|| Ok(drawn()?.contains(what).to_string()), "true");
    draws("no manager runs\nproxy: connections go to the server\n  203.0.113.1:32768 (in use): ")?;
    let lan = router.lan()?;
    becomes(|| ask_tcp(lan, "9.9.9.9:80"), "server 9.9.9.9:80")?;
    becomes(|| metric("bsbf_proxy_server_up{server=\"203.0.113.1:32768\"}"), "1")?;
    check!(metric("bsbf_proxy_way{way=\"server\"}")? == "1", "connections go to the server");
    let carried = metric("bsbf_proxy_receive_bytes_total{way=\"server\"}")?;
    check!(carried.parse::<u64>().is_ok_and(|bytes| bytes > 0), "{carried} bytes");
    draws("▁")?;

    server.child().kill()?;
    server.child().wait()?;
    becomes(|| metric("bsbf_proxy_way{way=\"direct\"}"), "1")?;
    check!(metric("bsbf_proxy_server_up{server=\"203.0.113.1:32768\"}")? == "0", "it is dead");
    draws(
        "\nproxy: no server answers: connections go out directly\n  203.0.113.1:32768 (in use): silent for ",
    )?;
    client.end(Duration::from_secs(5))?;
    becomes(|| metric("bsbf_proxy_up"), "0")?;
    let before = drawn()?.len();
    becomes(
        || Ok(drawn()?.get(before..).is_some_and(|now| now.contains("\n\nno manager runs\n\n")).to_string()),
        "true",
    )?;
    let ended = watch.end(Duration::from_secs(5))?;
    check!(ended.success(), "{ended}");
    Ok(())
}

fn what_does_not_fit_is_told_with_its_line() -> Result {
    let router = Router::new(NFT)?;
    set(&[CLIENT, "\toption quic 'never'\n", SERVER, "\toption port '0'\n"].concat())?;
    let client = manager::run(&router.lab, &["proxy", "client", "--config", SETTINGS])?;
    let said = "cannot use /run/settings/bsbf: line 7: 'never' is none of block, proxy, direct";
    check!(client.code == Some(1) && client.stderr.contains(said), "{client:?}");
    let checked = manager::run(&router.lab, &["config", "check", "--dir", "/run/settings"])?;
    check!(checked.code == Some(1), "{checked:?}");
    check!(checked.stderr.contains("line 7: ") && checked.stderr.contains("line 10: "), "{checked:?}");

    set("config proxy\n")?;
    let client = manager::run(&router.lab, &["proxy", "client", "--config", SETTINGS])?;
    check!(client.code == Some(2) && client.stderr.contains("cannot find a server: --server"), "{client:?}");
    check!(!router.rules()?.contains("bsbf_proxy"), "there are rules all the same");

    has_server()?;
    set(&[SERVER, "\toption port '0'\n"].concat())?;
    let server = manager::run(&router.lab, &["proxy", "server", "--config", SETTINGS])?;
    let said = "cannot use /run/settings/bsbf: line 3: '0' is not a port from 1 to 65535";
    check!(server.code == Some(1) && server.stderr.contains(said), "{server:?}");
    Ok(())
}

/// fw3 forgets them when it is reloaded; and a client that was killed leaves them to its service.
fn rules_are_put_in_again_and_go_with_a_killed_client() -> Result {
    let router = Router::new(NFT)?;
    // Without netifd names are those of devices.
    set(&CLIENT.replace("'home'", "'lan0'"))?;
    let mut client = start_client(&router)?;
    let has_rules = || Ok(router.rules()?.contains("bsbf_proxy").to_string());
    becomes(has_rules, "true")?;
    router.lab.client.run("nft delete table inet bsbf_proxy")?;
    becomes(has_rules, "false")?;
    client.signal(Signal::SIGHUP)?;
    becomes(has_rules, "true")?;
    check!(client.is_alive(), "it has ended");

    client.crash();
    becomes(has_rules, "true")?;
    let binary = manager::binary()?;
    manager::stand_in("bsbf-proxy-rules", &format!("exec {} proxy-rules \"$@\"", binary.display()))?;
    let script = ["PATH=/run/bin:$PATH\nlogger() { cat; }\n", SERVICE, "\nstop_service\n"].concat();
    fs::write("/run/stop", script).doing("write the script")?;
    let mut sh = router.lab.client.command("sh");
    let said = sh.arg("/run/stop").stdin(Stdio::null()).output().doing("run the service's script")?;
    check!(said.status.success() && said.stdout.is_empty() && said.stderr.is_empty(), "{said:?}");
    becomes(has_rules, "false")?;
    // As procd does it after a crash that nobody stopped.
    let client = start_client(&router)?;
    becomes(has_rules, "true")?;
    client.end(Duration::from_secs(5))?;
    becomes(has_rules, "false")
}

/// systemd itself is not here: what it would let them keep of root's rights, setpriv does.
fn the_rights_of_systemds_units_are_enough() -> Result {
    has_server()?;
    let router = Router::new(NFT)?;
    only_by_the_server(&router)?;
    set(&[&CLIENT.replace("'home'", "'lan0'"), SERVER].concat())?;
    fs::write("/run/clients", format!("0 {UUID} -\n")).doing("write the list of clients")?;
    let binary = manager::binary()?;
    let binary = binary.to_string_lossy();
    let mut running = Vec::new();
    let halves =
        [(&router.lab.server, "server", "/run/server"), (&router.lab.client, "client", "/run/client")];
    for ((ns, half, run_dir), unit) in halves.into_iter().zip(UNITS) {
        let kept = unit.lines().find_map(|line| line.strip_prefix("CapabilityBoundingSet="));
        let Some(kept) = kept else { return failed("the unit keeps all rights") };
        let kept: String = kept.split(' ').map(|right| right.replace("CAP_", ",+")).collect();
        let bounds = format!("--bounding-set=-all{}", kept.to_lowercase());
        let arguments = [
            "--no-new-privs",
            "--inh-caps=-all",
            &bounds,
            &binary,
            "proxy",
            half,
            "-v",
            "--config",
            SETTINGS,
            "--run-dir",
            run_dir,
        ];
        running.push(start_program(ns, Path::new("setpriv"), &arguments, half)?);
    }
    let lan = router.lan()?;
    becomes(|| ask_tcp(lan, "9.9.9.9:80"), "server 9.9.9.9:80")?;
    // The answer comes from a port that not everybody may have.
    becomes(|| ask_udp(lan, "9.9.9.9:80"), "server 9.9.9.9:80")?;
    let pid = running[1].child().id();
    let rights = fs::read_to_string(format!("/proc/{pid}/status")).doing("read the client's rights")?;
    check!(rights.contains("CapEff:\t0000000000001400"), "{rights}");
    let log = logs();
    check!(!log.contains("cannot"), "{log}");
    Ok(())
}
