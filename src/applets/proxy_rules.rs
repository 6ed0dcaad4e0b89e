//! `bsbf-proxy-rules`: by hand what the proxy does by itself: the rules that bring the LAN's packets to it.
//!
//! What they are, and why, is in `wire/tproxy.rs`.

use std::num::NonZeroU16;
use std::str::FromStr;

use argh::FromArgs;

use crate::applet::{self, Applet};
use crate::error::{EXIT_DONE, EXIT_USAGE, Error, Outcome};
use crate::logging;
use crate::proxy_rules::{self, Firewall};
use crate::wire::tproxy::{Ipv6, LanName, Quic, Rules, USUAL_PORT};

/// The row of the table.
pub const APPLET: Applet = Applet {
    name: "bsbf-proxy-rules",
    summary: "Put in or take out the firewall rules of the transparent proxy",
    run: |arguments| applet::with_args("bsbf-proxy-rules", arguments, run),
};

/// Put in or take out the firewall rules of the transparent proxy.
#[derive(FromArgs)]
#[argh(
    example = "{command_name} put --lan br-lan --lan wg0\n{command_name} print --firewall iptables\n{command_name} take",
    note = "fw3 forgets the rules when it is reloaded: put them in again.",
    note = "What has their mark has to lead to this machine: ip rule add fwmark 0x1/0x7 lookup 100; \
            ip route add local default dev lo table 100; both with -6 too.",
    note = "Reads /proc/net; runs nft, or iptables-save and iptables-restore.",
    note = "Exit codes: 0 the asked state holds, 1 it does not, 2 wrong arguments."
)]
struct Args {
    /// put: while the proxy listens; take: from any firewall; print: what put would tell it
    #[argh(positional, arg_name = "put|take|print")]
    verb: Verb,
    /// where the proxy listens (default: 12345)
    #[argh(option)]
    port: Option<usize>,
    /// a device of the LAN, again for each (default: br-lan)
    #[argh(option, arg_name = "iface")]
    lan: Vec<String>,
    /// nft or iptables (default: nft where it is)
    #[argh(option)]
    firewall: Option<String>,
    /// proxy; direct: as it was, past the proxy; refuse: at once, so that hosts take IPv4 (default: proxy)
    #[argh(option)]
    ipv6: Option<String>,
    /// block: refused, so that browsers take TCP; proxy: as all UDP; direct: past the proxy (default: block)
    #[argh(option)]
    quic: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Put,
    Take,
    Print,
}

impl FromStr for Verb {
    type Err = String;

    fn from_str(text: &str) -> Result<Verb, String> {
        match text {
            "put" => Ok(Verb::Put),
            "take" => Ok(Verb::Take),
            "print" => Ok(Verb::Print),
            _ => Err(["'", text, "' is none of put, take, print"].concat()),
        }
    }
}

fn run(args: Args) -> Outcome {
    logging::start_command(log::LevelFilter::Warn);
    let rules = rules(&args)?;
    let firewall = match args.firewall.as_deref() {
        None => Firewall::of_this_system(),
        Some("nft") => Firewall::Nft,
        Some("iptables") => Firewall::Iptables,
        Some(_) => return Err(wrong("--firewall", "nft or iptables expected")),
    };
    match args.verb {
        Verb::Put => proxy_rules::put(&rules, firewall)?,
        Verb::Take => proxy_rules::take()?,
        Verb::Print => applet::print(&proxy_rules::text(&rules, firewall))?,
    }
    Ok(EXIT_DONE)
}

fn rules(args: &Args) -> Result<Rules, Error> {
    let port = args.port.map_or(Some(USUAL_PORT), |port| NonZeroU16::new(u16::try_from(port).ok()?));
    let lan = LanName::all(&args.lan).ok_or_else(|| wrong("--lan", "an interface expected"))?;
    let quic = args.quic.as_deref().unwrap_or("block").parse::<Quic>();
    let quic = quic.map_err(|_| wrong("--quic", "block, proxy or direct expected"))?;
    let ipv6 = args.ipv6.as_deref().unwrap_or("proxy").parse::<Ipv6>();
    let ipv6 = ipv6.map_err(|_| wrong("--ipv6", "proxy, direct or refuse expected"))?;
    let port = port.ok_or_else(|| wrong("--port", "1 to 65535 expected"))?;
    Ok(Rules { port, lan, ipv6, quic })
}

fn wrong(option: &str, cause: &str) -> Error {
    Error::new("understand", option, cause).with_exit(EXIT_USAGE)
}
