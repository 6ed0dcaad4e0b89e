//! `bsbf-proxy client`.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use argh::FromArgs;
use bsbf_noise::keys::{PublicKey, SecretKey};
use smol::LocalExecutor;

use super::{CLIENT, attend, listen, lock};
use crate::applet;
use crate::config::{self, Given};
use crate::error::{EXIT_USAGE, Error, Outcome};
use crate::logging;
use crate::manager::RUN_DIR;
use crate::proxy::accept;
use crate::proxy::client::{Client, Settings, listening};
use crate::proxy::greeting::Keys;
use crate::proxy::ipv6;
use crate::proxy::key_files;
use crate::proxy::lan_udp::LanUdp;
use crate::proxy_rules::{self, Firewall};
use crate::sys::caps::{self, Capability};
use crate::sys::datagrams::Redirected;
use crate::sys::files;
use crate::sys::kernel::Changes;
use crate::sys::limits;
use crate::sys::rundir::RunDir;
use crate::sys::signals::DaemonSignals;
use crate::sys::stream::{Listener, Protocol};
use crate::sys::ubus;
use crate::tasks::spawn;
use crate::wire::tproxy::{Ipv6, LanName, Rules};
use crate::wire::vless::Uuid;

mod join;

/// Carry the LAN's TCP and UDP over MPTCP to a server.
///
/// Every option overrides the settings file; lists are replaced, not added to.
#[derive(FromArgs)]
#[argh(
    example = "{command_name}\n{command_name} --join bsbf1:...\n{command_name} --server 203.0.113.1:32768 --uuid-file /etc/bsbf/uuid",
    note = "Reads /etc/config/bsbf, else /etc/bsbf/bsbf: a section 'config proxy' whose options are named as the ones here, with _ for -; or uuid in the place of uuid_file.",
    note = "--join writes /etc/bsbf/key and /etc/bsbf/uuid, both of mode 0600, the section 'config proxy', rule and route for the mark 0x1/0x7 in /etc/config/network, and the manager's 'server' unless it has another one; starts the service and waits for the server. What was there before is replaced, or put back if any of it fails. Without uci it writes /etc/bsbf/bsbf, and says what is left to do.",
    note = "Runs nft, or iptables-save and iptables-restore, when it begins and when it ends (bsbf-proxy-rules); ubus, where --lan names networks.",
    note = "SIGHUP has it put its rules in again, which fw3 forgets when it is reloaded. Other settings take a restart.",
    note = "Exit codes: 0 ended by a signal, or joined; 1 failed, or joined and the server does not answer; 2 wrong arguments or token, 4 another one runs."
)]
pub struct Args {
    /// ADDR:PORT or [ADDR6]:PORT of a server, again for each
    #[argh(option, arg_name = "addr:port")]
    server: Vec<String>,
    /// file with our UUID there, of mode 0600 (default: /etc/bsbf/uuid)
    #[argh(option, arg_name = "file")]
    uuid_file: Option<String>,
    /// what the servers are known by, 64 hexadecimal digits: what is carried is encrypted then (default: none)
    #[argh(option, arg_name = "key")]
    server_key: Option<String>,
    /// file with our own key, of mode 0600 (default: /etc/bsbf/key)
    #[argh(option, arg_name = "file")]
    key_file: Option<String>,
    /// speak to the servers' ports for plain VLESS, whatever keys there are
    #[argh(switch)]
    no_encryption: bool,
    /// a device or network of the LAN, again for each (default: br-lan)
    #[argh(option, arg_name = "iface")]
    lan: Vec<String>,
    /// where the firewall brings the LAN's packets to (default: 12345)
    #[argh(option)]
    port: Option<String>,
    /// leave the firewall's rules to somebody else
    #[argh(switch)]
    no_rules: bool,
    /// auto: proxied if the server has it, else refused; direct: past the proxy; or proxy, refuse (default: auto)
    #[argh(option, arg_name = "way")]
    ipv6: Option<String>,
    /// block: refused, so that browsers take TCP; proxy: as all UDP; direct: past the proxy (default: block)
    #[argh(option)]
    quic: Option<String>,
    /// direct or reject: what becomes of connections while no server answers (default: direct)
    #[argh(option, arg_name = "way")]
    when_down: Option<String>,
    /// seconds without an answer of any server before that, 1 to 3600 (default: 10)
    #[argh(option, arg_name = "s")]
    down_after: Option<String>,
    /// set this router up by the token of 'bsbf-add-client --join', and end; - reads it from standard input, where no list of processes shows it
    #[argh(option, arg_name = "token")]
    join: Option<String>,
    /// with --join: seconds to wait for an answer of the server (default: 30; 0: wait for none)
    #[argh(option, arg_name = "seconds", default = "30")]
    within: u32,
    /// with --join: directory in which /etc, /tmp and /var are (default: /)
    #[argh(option, arg_name = "dir", default = "PathBuf::from(\"/\")")]
    root: PathBuf,
    /// settings file (default: see below)
    #[argh(option, arg_name = "file")]
    config: Option<PathBuf>,
    /// directory for lock and socket (default: /var/run/bsbf)
    #[argh(option, arg_name = "dir", default = "PathBuf::from(RUN_DIR)")]
    run_dir: PathBuf,
    /// log each step too; twice: everything
    #[argh(switch, short = 'v')]
    verbose: u8,
}

/// Where our UUID is unless the settings say otherwise.
const UUID_FILE: &str = "/etc/bsbf/uuid";

impl Args {
    /// The options that were given, by their names in the file.
    fn given(&self) -> Given {
        let mut given = Given::new();
        for (option, values) in [("server", &self.server), ("lan", &self.lan)] {
            if !values.is_empty() {
                given.push((option, values.clone()));
            }
        }
        for (option, file) in [("uuid_file", &self.uuid_file), ("key_file", &self.key_file)] {
            if let Some(file) = file {
                given.push((option, vec![files::absolute(file)]));
            }
        }
        if self.no_encryption {
            given.push(("encryption", vec![String::from("0")]));
        }
        for (option, value) in [
            ("server_key", &self.server_key),
            ("port", &self.port),
            ("ipv6", &self.ipv6),
            ("quic", &self.quic),
            ("when_down", &self.when_down),
            ("down_after", &self.down_after),
        ] {
            if let Some(value) = value {
                given.push((option, vec![value.clone()]));
            }
        }
        given
    }
}

/// Our UUID at the server, of the section in `config` or of its own file.
fn user(set: &config::proxy::Client, config: &Path) -> Result<Uuid, Error> {
    let file = match (&set.uuid_file, set.uuid) {
        (None, Some(uuid)) => {
            warn_of_readers(config);
            return Ok(uuid);
        }
        (file, _) => Path::new(file.as_deref().unwrap_or(UUID_FILE)),
    };
    let text = files::read(file).map_err(|e| Error::new("read", file.display(), e))?;
    warn_of_readers(file);
    let user = std::str::from_utf8(&text).ok().and_then(|text| Uuid::parse(text.trim()));
    user.ok_or_else(|| Error::new("use", file.display(), "a UUID and nothing else expected"))
}

/// Our key, and that of the servers; nothing where what is carried is not to be encrypted.
fn keys(set: &config::proxy::Client) -> Result<Option<(SecretKey, PublicKey)>, Error> {
    if !set.encryption {
        return Ok(None);
    }
    let file = Path::new(set.key_file.as_deref().unwrap_or(key_files::CLIENT));
    let Some(servers) = set.server_key else {
        // Half of what it takes is no reason to go without.
        if files::exists(file) {
            let cause = ["there is our key in ", &file.to_string_lossy(), "; without one: encryption '0'"];
            return Err(Error::new("find", "the servers' key ('server_key')", cause.concat()));
        }
        return Ok(None);
    };
    Ok(Some((key_files::read(file)?, servers)))
}

/// Who has the UUID is let in by the server.
fn warn_of_readers(file: &Path) {
    if files::is_open_to_others(file).unwrap_or(false) {
        let file = file.display();
        log::warn!("{file} has our UUID and others may read it: chmod 600 {file}");
    }
}

/// The LAN's devices: networks are those that netifd has for them now.
fn devices(lan: &[LanName]) -> Vec<LanName> {
    if *lan == [LanName::usual()] {
        return lan.to_vec();
    }
    let networks = match ubus::networks() {
        Ok(networks) => networks,
        // As on other Linux, where names are those of devices.
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return lan.to_vec(),
        Err(e) => {
            log::warn!("netifd does not tell its networks, so the LAN's names are taken for devices: {e}");
            return lan.to_vec();
        }
    };
    let mut devices: Vec<LanName> = Vec::new();
    for name in lan {
        let network = networks.iter().find(|network| network.name == name.as_str());
        let device = network.and_then(|network| network.l3_device.as_ref().or(network.device.as_ref()));
        let device = device.and_then(|device| LanName::new(device));
        // A name that is both means both.
        let itself = device.is_none() || files::exists(["/sys/class/net/", name.as_str()].concat().as_ref());
        for name in itself.then(|| name.clone()).into_iter().chain(device) {
            if !devices.contains(&name) {
                devices.push(name);
            }
        }
    }
    devices
}

fn put_again(rules: &RefCell<Rules>) {
    if let Err(e) = proxy_rules::put(&rules.borrow(), Firewall::of_this_system()) {
        log::warn!("{e}");
    }
}

/// Runs it until a signal ends it.
pub fn run(args: Args) -> Outcome {
    if let Some(token) = &args.join {
        return join::run(&args, token);
    }
    logging::start_daemon(applet::level(args.verbose));
    let mut set = config::proxy::Client::default();
    let config = config::load_proxy(&mut set, args.config.as_deref(), &args.given())?;
    if set.servers.is_empty() {
        let cause =
            ["--server, or 'server' in a section 'proxy' of ", &config.to_string_lossy(), " expected"];
        return Err(Error::new("find", "a server", cause.concat()).with_exit(EXIT_USAGE));
    }
    let user = user(&set, &config)?;
    let keys = keys(&set)?.map(|(own, servers)| Keys::new(own, servers));
    let ipv6 = set.ipv6.unwrap_or(Ipv6::Refuse);
    let rules = Rules { port: set.port, lan: devices(&set.lan), ipv6, quic: set.quic };
    let settings = Settings {
        servers: set.servers,
        user,
        keys,
        when_down: set.when_down,
        down_after: set.down_after,
        run_dir: args.run_dir.clone(),
    };
    let missing = caps::missing(&[Capability::NetAdmin]);
    if !missing.is_empty() {
        return Err(Error::new("be", "a transparent proxy", [&missing.concat(), " missing"].concat()));
    }
    let run_dir = RunDir::open(&args.run_dir);
    let run_dir = run_dir.map_err(|e| Error::new("make", args.run_dir.display(), e))?;
    let _lock = lock(&run_dir, CLIENT)?;
    // Answers come from name servers' port 53 too; and iptables, which inherits these, has a raw socket.
    caps::keep(&[Capability::NetAdmin, Capability::NetBindService, Capability::NetRaw])
        .map_err(|e| Error::new("give up", "capabilities", e))?;
    let descriptors = limits::raise_descriptors();
    let signals = DaemonSignals::catch().map_err(|e| Error::new("catch", "signals", e))?;
    let executor = Rc::new(LocalExecutor::new());
    let client = Client::new(executor.clone(), settings, descriptors);
    let lan = LanUdp::new(client.clone());
    for at in listening(rules.port.get()) {
        let opened = Listener::open(at, Protocol::Tcp, true).and_then(|tcp| Ok((tcp, Redirected::open(at)?)));
        match opened {
            Ok((tcp, udp)) => {
                let client = client.clone();
                spawn(&executor, accept::each(tcp, move |stream| client.take(stream))).detach();
                spawn(&executor, lan.clone().serve(udp)).detach();
            }
            // A machine without it; what is refused or goes past the proxy needs no listener.
            Err(e) if at.is_ipv6() && set.ipv6 != Some(Ipv6::Proxy) => {
                log::debug!("cannot listen at {at}: {e}");
            }
            Err(e) => return Err(Error::new("listen at", at, e)),
        }
    }
    spawn(&executor, lan.sweep()).detach();
    let mut changes = Changes::open().map_err(|e| Error::new("open", "a netlink socket", e))?;
    let of = client.clone();
    let hears = async move {
        while changes.next().await.is_ok() {
            of.wans_changed();
        }
    };
    spawn(&executor, hears).detach();
    client.look_after_servers();
    // Before the rules: while it is there, they may be, for whoever cleans up after a crash.
    let control = listen(&run_dir, CLIENT)?;
    let rules = Rc::new(RefCell::new(rules));
    if !args.no_rules {
        proxy_rules::put(&rules.borrow(), Firewall::of_this_system())?;
        if set.ipv6.is_none() {
            let rules = rules.clone();
            let put = move |ipv6| {
                log::info!("IPv6: {}", if ipv6 == Ipv6::Proxy { "it is proxied" } else { "it is refused" });
                rules.borrow_mut().ipv6 = ipv6;
                put_again(&rules);
            };
            spawn(&executor, ipv6::look_after(client.clone(), put)).detach();
        }
    }
    // fw3 forgets them when it is reloaded.
    let reload = || {
        if !args.no_rules {
            put_again(&rules);
        }
    };
    let tell = move || client.status().to_json();
    let ended = smol::block_on(executor.run(attend(&executor, control, signals, tell, reload)));
    if !args.no_rules {
        // Before the listener is gone.
        proxy_rules::take()?;
    }
    ended
}
