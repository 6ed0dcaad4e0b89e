//! `bsbf-proxy server`.

use std::path::PathBuf;

use argh::FromArgs;

#[cfg(not(feature = "server"))]
use crate::error::{Error, Outcome};
use crate::manager::RUN_DIR;

#[cfg(feature = "server")]
mod daemon;

/// Be the server for the connections of routers: theirs come in by MPTCP, and leave by TCP and UDP.
#[derive(FromArgs)]
#[argh(
    example = "{command_name}\n{command_name} --port 443",
    note = "Reads /etc/config/bsbf, else /etc/bsbf/bsbf: a section 'config proxy_server' with the options clients, port, allow_private, key_file, secure_port and plain. Arguments override it.",
    note = "Clients that bsbf-add-client adds are let in at once, and those that bsbf-remove-client removes are cut off.",
    note = "Sets the kernel's MPTCP limits, and keeps clients' ports from being used for anything else.",
    note = "Exit codes: 0 ended by a signal, 1 failed, 2 wrong arguments, 4 another one runs."
)]
#[cfg_attr(not(feature = "server"), expect(dead_code, reason = "--help is the same in every build"))]
pub struct Args {
    /// the clients, as bsbf-add-client writes them (default: /etc/bsbf/clients)
    #[argh(option, arg_name = "file")]
    clients: Option<String>,
    /// one port for all clients (default: one for each, as bsbf-list-client has it)
    #[argh(option)]
    port: Option<String>,
    /// let clients reach private networks and this machine's loopback
    #[argh(switch)]
    allow_private: bool,
    /// file with our key, as bsbf-add-client makes it, of mode 0600 (default: /etc/bsbf/server.key)
    #[argh(option, arg_name = "file")]
    key_file: Option<String>,
    /// where encrypted connections come in once there is a key; 0: nowhere (default: 32767)
    #[argh(option, arg_name = "port")]
    secure_port: Option<String>,
    /// let nobody in whose connections are not encrypted
    #[argh(switch)]
    no_plain: bool,
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

/// Runs it until a signal ends it.
#[cfg(feature = "server")]
pub use daemon::run;

/// Says that it is not there.
#[cfg(not(feature = "server"))]
pub fn run(_: Args) -> Outcome {
    Err(Error::new(
        "be",
        "the server",
        "this build is for routers with little flash; bsbf for aarch64 or x86_64 can",
    ))
}
