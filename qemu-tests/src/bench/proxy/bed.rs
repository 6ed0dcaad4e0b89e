//! The network of the measurements: a LAN's host, a router with two WANs that nothing slows down, and the Internet with
//! the server in it; and the contenders in their places.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::check;
use crate::failure::{Doing, Result, failed};
use crate::far::speak_mptcp;
use crate::manager;
use crate::ns::{Ns, Running};

/// Who carries the LAN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Contender {
    Bsbf,
    /// The same, encrypted.
    Encrypted,
    SingBox,
    /// Nobody: for what it is without a proxy.
    Plain,
}

impl Contender {
    /// In the order of the table's columns.
    pub const ALL: [Contender; 4] =
        [Contender::Bsbf, Contender::Encrypted, Contender::SingBox, Contender::Plain];

    pub fn name(self) -> &'static str {
        match self {
            Contender::Bsbf => "bsbf",
            Contender::Encrypted => "encrypted",
            Contender::SingBox => "sing-box",
            Contender::Plain => "plain",
        }
    }

    pub fn named(name: &str) -> Option<Contender> {
        Contender::ALL.into_iter().find(|contender| contender.name() == name)
    }
}

/// A host of the Internet.
pub const HOST: &str = "9.9.9.9";
const UUID: &str = "6ba85e17-9dad-410e-809f-00c04fd430c8";
/// RFC 7748 section 6.1: the secret key and the public one of Alice, who is the client, and of Bob.
const KEYS: [[&str; 2]; 2] = [
    [
        "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
        "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
    ],
    [
        "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
        "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
    ],
];
/// What our client reads: its UUID and its key.
pub const OUR_FILES: [(&str, &str); 2] = [("/run/uuid", UUID), ("/run/key", KEYS[0][0])];
/// Where sing-box's client finds its settings.
pub const THEIR_SETTINGS: &str = "/run/client.json";
/// What brings the LAN to sing-box, as our client does it for itself.
pub const THEIR_RULES: [&str; 8] =
    ["proxy-rules", "put", "--lan", "lan0", "--firewall", "nft", "--ipv6", "direct"];
/// Until a contender listens.
const PATIENCE: Duration = Duration::from_secs(10);

/// The network; everything ends with the process.
pub struct Bed {
    pub lan: Ns,
    pub router: Ns,
    pub internet: Ns,
}

/// A contender at work.
pub struct Proxy {
    client: Running,
    server: Running,
}

impl Bed {
    /// With both WANs in use as MPTCP's endpoints.
    pub fn new() -> Result<Bed> {
        let (lan, router, internet) = (Ns::new("lan")?, Ns::new("client")?, Ns::new("server")?);
        for ns in [&router, &internet] {
            ns.sysctl("net/ipv4/ip_forward", 1)?;
            speak_mptcp(ns)?;
        }
        let mut lines = String::from(
            "link add lan0 type veth peer name eth0 netns lan\n\
             address add 192.168.4.1/24 dev lan0\nlink set lan0 up\n",
        );
        for wan in [1, 2] {
            lines += &format!(
                "link add wan{wan} type veth peer name isp{wan} netns server\n\
                 address add 198.18.{wan}.2/24 dev wan{wan}\nlink set wan{wan} up\n\
                 route add default via 198.18.{wan}.1 metric {wan}\n\
                 rule add from 198.18.{wan}.2 lookup 10{wan}\n\
                 route add default via 198.18.{wan}.1 table 10{wan}\n\
                 mptcp endpoint add 198.18.{wan}.2 dev wan{wan} subflow\n"
            );
        }
        lines += "rule add fwmark 0x1/0x7 lookup 100\nroute add local default dev lo table 100\n";
        lan.run("ip link set lo up")?;
        // The other ends first have to exist.
        let (links, rest): (Vec<&str>, Vec<&str>) =
            lines.lines().partition(|line| line.starts_with("link add"));
        router.ip_batch(&links.join("\n"))?;
        lan.ip_batch(
            "address add 192.168.4.2/24 dev eth0\nlink set eth0 up\nroute add default via 192.168.4.1\n",
        )?;
        internet.ip_batch(&format!(
            "address add 198.18.1.1/24 dev isp1\nlink set isp1 up\naddress add 198.18.2.1/24 dev isp2\nlink set isp2 up\n\
             address add 203.0.113.1/32 dev lo\naddress add {HOST}/32 dev lo\nroute add 192.168.4.0/24 via 198.18.1.2\n"
        ))?;
        let (links, others): (Vec<&str>, Vec<&str>) =
            rest.into_iter().partition(|line| line.starts_with("address") || line.starts_with("link set"));
        router.ip_batch(&links.join("\n"))?;
        router.ip_batch(&others.join("\n"))?;
        Ok(Bed { lan, router, internet })
    }
}

impl Proxy {
    /// Starts both ends and waits until the LAN is redirected; nobody for [`Contender::Plain`].
    pub fn start(
        contender: Contender,
        sing_box: Option<&Path>,
        router: &Ns,
        internet: &Ns,
    ) -> Result<Option<Proxy>> {
        let proxy = match (contender, sing_box) {
            (Contender::Plain, _) => return Ok(None),
            (Contender::Bsbf, _) => Proxy::ours(router, internet, false)?,
            (Contender::Encrypted, _) => Proxy::ours(router, internet, true)?,
            (Contender::SingBox, Some(program)) => Proxy::theirs(program, router, internet)?,
            (Contender::SingBox, None) => return failed("SING_BOX names no program"),
        };
        let start = Instant::now();
        loop {
            let rules = router.run("nft list tables")?;
            let listens = router.run("ss -Htln sport = :12345")?;
            let server = internet.run("ss -Htln sport = :32768")?;
            if rules.contains("bsbf") && !listens.is_empty() && !server.is_empty() {
                return Ok(Some(proxy));
            }
            check!(start.elapsed() < PATIENCE, "it is not there after {PATIENCE:?}: {}", log());
            sleep(Duration::from_millis(20));
        }
    }

    fn ours(router: &Ns, internet: &Ns, is_encrypted: bool) -> Result<Proxy> {
        for (path, text) in OUR_FILES {
            fs::write(path, text).doing(format_args!("write {path}"))?;
        }
        let server = our_server(internet)?;
        Ok(Proxy { client: start(router, &manager::binary()?, &our_client(is_encrypted))?, server })
    }

    fn theirs(program: &Path, router: &Ns, internet: &Ns) -> Result<Proxy> {
        fs::write(THEIR_SETTINGS, their_client()).doing("write sing-box's settings")?;
        let server = their_server(program, internet)?;
        let client = start(router, program, &["run", "-c", THEIR_SETTINGS])?;
        let proxy = Proxy { client, server };
        let binary = manager::binary()?;
        let began = Instant::now();
        // Once somebody listens.
        loop {
            let mut command = router.command(&binary.to_string_lossy());
            let done = command.args(THEIR_RULES).output().doing("put the rules in")?;
            if done.status.success() {
                return Ok(proxy);
            }
            let said = String::from_utf8_lossy(&done.stderr);
            check!(began.elapsed() < PATIENCE, "put: {said}{}", log());
            sleep(Duration::from_millis(50));
        }
    }

    /// The process ids of client and server.
    pub fn pids(&mut self) -> [u32; 2] {
        [self.client.child().id(), self.server.child().id()]
    }
}

/// Starts our server, with a port for either kind of client.
pub fn our_server(internet: &Ns) -> Result<Running> {
    let [of_client, of_server] = KEYS;
    let list = format!("0 {UUID} -\n#key {UUID} {}\n", of_client[1]);
    fs::write("/run/clients", list).doing("write the list of clients")?;
    fs::write("/run/server.key", of_server[0]).doing("write the server's key")?;
    let arguments = ["proxy", "server", "--clients", "/run/clients", "--run-dir", "/run/server"];
    start(internet, &manager::binary()?, &[&arguments[..], &["--key-file", "/run/server.key"]].concat())
}

/// The arguments of our client, which reads [`OUR_FILES`].
pub fn our_client(is_encrypted: bool) -> Vec<&'static str> {
    let at = if is_encrypted { "203.0.113.1:32767" } else { "203.0.113.1:32768" };
    let mut client = vec!["proxy", "client", "--server", at, "--uuid-file", "/run/uuid", "--lan", "lan0"];
    if is_encrypted {
        client.extend(["--server-key", KEYS[1][1], "--key-file", "/run/key"]);
    }
    client
}

/// Starts sing-box as a server.
pub fn their_server(program: &Path, internet: &Ns) -> Result<Running> {
    let settings = format!(
        r#"{{"log":{{"level":"error"}},"inbounds":[{{"type":"vless","listen":"::","listen_port":32768,
           "tcp_multi_path":true,"users":[{{"uuid":"{UUID}"}}]}}],"outbounds":[{{"type":"direct"}}]}}"#
    );
    fs::write("/run/server.json", settings).doing("write sing-box's settings")?;
    start(internet, program, &["run", "-c", "/run/server.json"])
}

/// The settings of sing-box as a client.
pub fn their_client() -> String {
    format!(
        r#"{{"log":{{"level":"error"}},"inbounds":[{{"type":"tproxy","listen":"127.0.0.1","listen_port":12345}}],
           "outbounds":[{{"type":"vless","server":"203.0.113.1","server_port":32768,"uuid":"{UUID}",
           "packet_encoding":"xudp","tcp_multi_path":true,"routing_mark":2}}]}}"#
    )
}

fn start(ns: &Ns, program: &Path, arguments: &[&str]) -> Result<Running> {
    let log = File::options().create(true).append(true).open("/run/proxy.log").doing("open a log")?;
    let mut command: Command = ns.command(&program.to_string_lossy());
    command.args(arguments).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    ns.spawn(&mut command)
}

pub fn log() -> String {
    fs::read_to_string("/run/proxy.log").unwrap_or_default()
}
