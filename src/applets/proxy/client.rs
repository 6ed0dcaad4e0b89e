//! `bsbf-proxy client`.

use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use argh::FromArgs;
use smol::LocalExecutor;

use super::{CLIENT, attend, lock};
use crate::applet;
use crate::error::{EXIT_USAGE, Error, Outcome};
use crate::logging;
use crate::manager::RUN_DIR;
use crate::proxy::accept;
use crate::proxy::client::{Client, Settings, WhenDown, listening};
use crate::proxy::ipv6;
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
use crate::tasks::spawn;
use crate::wire::tproxy::{Ipv6, LanName, Quic, Rules, USUAL_PORT};
use crate::wire::vless::Uuid;

/// Carry the LAN's TCP and UDP over MPTCP to a server.
#[derive(FromArgs)]
#[argh(
    example = "{command_name} --server 203.0.113.1:32768 --uuid-file /etc/bsbf/uuid",
    note = "Runs nft, or iptables-save and iptables-restore, when it begins and when it ends (bsbf-proxy-rules).",
    note = "Exit codes: 0 ended by a signal, 1 failed, 2 wrong arguments, 4 another one runs."
)]
pub struct Args {
    /// ADDR:PORT or [ADDR6]:PORT of a server, again for each
    #[argh(option, arg_name = "addr:port")]
    server: Vec<SocketAddr>,
    /// file with our UUID there, of mode 0600
    #[argh(option, arg_name = "file")]
    uuid_file: PathBuf,
    /// a device of the LAN, again for each (default: br-lan)
    #[argh(option, arg_name = "iface")]
    lan: Vec<String>,
    /// where the firewall brings the LAN's packets to (default: 12345)
    #[argh(option)]
    port: Option<NonZeroU16>,
    /// leave the firewall's rules to somebody else
    #[argh(switch)]
    no_rules: bool,
    /// auto: proxied if the server has it, else refused; direct: past the proxy; or proxy, refuse (default: auto)
    #[argh(option, arg_name = "way", default = "None", from_str_fn(ipv6_way))]
    ipv6: Option<Ipv6>,
    /// block: refused, so that browsers take TCP; proxy: as all UDP; direct: past the proxy (default: block)
    #[argh(option, default = "Quic::Block")]
    quic: Quic,
    /// direct or reject: what becomes of connections while no server answers (default: direct)
    #[argh(option, arg_name = "way", default = "WhenDown::Direct", from_str_fn(when_down))]
    when_down: WhenDown,
    /// seconds without an answer of any server before that (default: 10)
    #[argh(option, arg_name = "s", default = "10")]
    down_after: u64,
    /// directory for lock and socket (default: /var/run/bsbf)
    #[argh(option, arg_name = "dir", default = "PathBuf::from(RUN_DIR)")]
    run_dir: PathBuf,
    /// log each step too; twice: everything
    #[argh(switch, short = 'v')]
    verbose: u8,
}

fn when_down(text: &str) -> Result<WhenDown, String> {
    match text {
        "direct" => Ok(WhenDown::Direct),
        "reject" => Ok(WhenDown::Reject),
        _ => Err(["'", text, "' is none of direct, reject"].concat()),
    }
}

/// Nothing for what is found out.
fn ipv6_way(text: &str) -> Result<Option<Ipv6>, String> {
    match text {
        "auto" => Ok(None),
        _ => text.parse().map(Some),
    }
}

/// Runs it until a signal ends it.
pub fn run(args: Args) -> Outcome {
    logging::start_daemon(applet::level(args.verbose));
    let usage = |what, cause| Err(Error::new("understand", what, cause).with_exit(EXIT_USAGE));
    if args.server.is_empty() {
        return usage("--server", "one at least expected");
    }
    let Some(lan) = LanName::all(&args.lan) else { return usage("--lan", "an interface expected") };
    let ipv6 = args.ipv6.unwrap_or(Ipv6::Refuse);
    let rules = Rules { port: args.port.unwrap_or(USUAL_PORT), lan, ipv6, quic: args.quic };
    let file = &args.uuid_file;
    let text = files::read(file).map_err(|e| Error::new("read", file.display(), e))?;
    let user = std::str::from_utf8(&text).ok().and_then(|text| Uuid::parse(text.trim()));
    let user = user.ok_or_else(|| Error::new("use", file.display(), "a UUID and nothing else expected"))?;
    let settings = Settings {
        servers: args.server,
        user,
        when_down: args.when_down,
        down_after: Duration::from_secs(args.down_after),
    };
    let missing = caps::missing(&[Capability::NetAdmin]);
    if !missing.is_empty() {
        return Err(Error::new("be", "a transparent proxy", [&missing.concat(), " missing"].concat()));
    }
    let run_dir = RunDir::open(&args.run_dir);
    let run_dir = run_dir.map_err(|e| Error::new("make", args.run_dir.display(), e))?;
    let _lock = lock(&run_dir, CLIENT)?;
    limits::raise_descriptors();
    let signals = DaemonSignals::catch().map_err(|e| Error::new("catch", "signals", e))?;
    let executor = Rc::new(LocalExecutor::new());
    let client = Client::new(executor.clone(), settings);
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
            Err(e) if at.is_ipv6() && args.ipv6 != Some(Ipv6::Proxy) => {
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
    if !args.no_rules {
        proxy_rules::put(&rules, Firewall::of_this_system())?;
        if args.ipv6.is_none() {
            let put = move |ipv6| {
                log::info!("IPv6: {}", if ipv6 == Ipv6::Proxy { "it is proxied" } else { "it is refused" });
                let rules = Rules { ipv6, ..rules.clone() };
                if let Err(e) = proxy_rules::put(&rules, Firewall::of_this_system()) {
                    log::warn!("{e}");
                }
            };
            spawn(&executor, ipv6::look_after(client.clone(), put)).detach();
        }
    }
    let tell = move || client.status();
    let ended = smol::block_on(executor.run(attend(&executor, &run_dir, CLIENT, signals, tell, || {})));
    if !args.no_rules {
        // Before the listener is gone.
        proxy_rules::take()?;
    }
    ended
}
