//! `bsbf-proxy` and sing-box, which somebody else wrote: each as the client of the other.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::cases;
use super::proxy::{
    UUID, becomes, logs, name_server, only_by_the_server, start_client, start_program, start_server,
};
use super::proxy_router::{NFT, Router};
use super::proxy_transfers::{comes_back_whole, echo, many_at_once};
use crate::answers::{ask_tcp, ask_udp};
use crate::check;
use crate::failure::{Doing, Result, skipped};
use crate::ns::{Ns, Running};
use crate::runner::Case;

pub const CASES: &[Case] = cases!("proxy_interop":
    our_client_and_the_server_of_sing_box within 60,
    the_client_of_sing_box_and_our_server within 60,
);

/// Where xtask says that it is.
const SING_BOX: &str = "SING_BOX";

fn start_sing_box(ns: &Ns, name: &str, config: &str) -> Result<Running> {
    let Some(program) = env::var_os(SING_BOX).map(PathBuf::from).filter(|path| path.is_file()) else {
        return skipped(format!("no sing-box: {SING_BOX} names none (cargo xtask test gets it from PyPI)"));
    };
    let path = Path::new("/run").join(name).with_extension("json");
    fs::write(&path, config).doing("write sing-box's settings")?;
    start_program(ns, &program, &["run", "-c", &path.to_string_lossy()], name)
}

/// TCP and UDP of both families, first words of either end, much at once, and many.
fn all_goes_through(router: &Router) -> Result {
    let lan = router.lan()?;
    becomes(|| ask_tcp(lan, "9.9.9.9:80"), "server 9.9.9.9:80")?;
    becomes(|| ask_tcp(lan, "[2620:fe::9]:80"), "server [2620:fe::9]:80")?;
    becomes(|| ask_udp(lan, "9.9.9.9:80"), "server 9.9.9.9:80")?;
    becomes(|| ask_udp(lan, "[2620:fe::9]:80"), "server [2620:fe::9]:80")?;
    echo(router)?;
    comes_back_whole(router, 8 << 20)?;
    many_at_once(router, 1000)
}

fn our_client_and_the_server_of_sing_box() -> Result {
    let router = Router::new(NFT)?;
    only_by_the_server(&router)?;
    let config = format!(
        r#"{{"log":{{"level":"debug"}},"inbounds":[{{"type":"vless","listen":"::","listen_port":32768,
           "tcp_multi_path":true,"users":[{{"uuid":"{UUID}"}}]}}],"outbounds":[{{"type":"direct"}}]}}"#
    );
    let mut server = start_sing_box(&router.lab.server, "server", &config)?;
    name_server(&router)?;
    let mut client = start_client(&router)?;
    all_goes_through(&router)?;
    check!(server.is_alive() && client.is_alive(), "one has ended: {}", logs());
    client.end(Duration::from_secs(5))?;
    Ok(())
}

fn the_client_of_sing_box_and_our_server() -> Result {
    let router = Router::new(NFT)?;
    only_by_the_server(&router)?;
    let inbound =
        |listen| format!(r#"{{"type":"tproxy","tag":"{listen}","listen":"{listen}","listen_port":12345}}"#);
    let config = format!(
        r#"{{"log":{{"level":"debug"}},"inbounds":[{},{}],"outbounds":[{{"type":"vless","server":"203.0.113.1",
           "server_port":32768,"uuid":"{UUID}","packet_encoding":"xudp","tcp_multi_path":true,"routing_mark":2}}]}}"#,
        inbound("127.0.0.1"),
        inbound("::1")
    );
    let mut server = start_server(&router)?;
    let mut client = start_sing_box(&router.lab.client, "client", &config)?;
    becomes(|| Ok(router.put(&[])?.code.map_or_else(String::new, |code| code.to_string())), "0")?;
    all_goes_through(&router)?;
    check!(server.is_alive() && client.is_alive(), "one has ended: {}", logs());
    Ok(())
}
