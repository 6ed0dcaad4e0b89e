//! `bsbf-proxy`: the LAN's TCP and UDP over MPTCP to a server, and the server.

use std::path::PathBuf;
use std::time::Duration;

use argh::FromArgs;

use crate::applet::{self, Applet};
use crate::error::{EXIT_DONE, EXIT_LOCKED, EXIT_NO_MANAGER, EXIT_USAGE, Error, Outcome};
use crate::manager::RUN_DIR;
use crate::proxy::Executor;
use crate::sys::control::{self, ControlSocket};
use crate::sys::lock::Lock;
use crate::sys::rundir::RunDir;
use crate::sys::signals::{Asked, DaemonSignals};
use crate::tasks::spawn;
use crate::wire::question::Question;
use crate::wire::status::ProxyStatus;

mod client;
mod server;

/// The row of the table.
pub const APPLET: Applet = Applet {
    name: "bsbf-proxy",
    summary: "Carry the LAN's connections over MPTCP to a server, or be that server",
    run: |arguments| match arguments {
        ["client", rest @ ..] => applet::with_args("bsbf-proxy client", rest, client::run),
        ["server", rest @ ..] => applet::with_args("bsbf-proxy server", rest, server::run),
        _ => applet::with_args("bsbf-proxy", arguments, status),
    },
};

/// Carry the LAN's connections over MPTCP to a server, or be that server.
#[derive(FromArgs)]
#[argh(
    example = "{command_name} client --help\n{command_name} server --help\n{command_name} status",
    note = "client and server have options of their own; status prints how those do that run here.",
    note = "Exit codes: 0 ended by a signal, 1 failed, 2 wrong arguments, 3 none runs, 4 another one runs."
)]
struct Args {
    /// client, server or status
    #[argh(positional)]
    verb: String,
    /// directory of sockets and locks (default: /var/run/bsbf)
    #[argh(option, arg_name = "dir", default = "PathBuf::from(RUN_DIR)")]
    run_dir: PathBuf,
}

/// One that was told to end does so within this time: it takes its rules out.
const FAREWELL: Duration = Duration::from_secs(5);
/// The sockets by which they are asked.
const CLIENT: &str = "proxy";
const SERVER: &str = "proxy-server";

fn status(args: Args) -> Outcome {
    if args.verb != "status" {
        let cause = "client, server or status expected";
        return Err(Error::new("understand", &args.verb, cause).with_exit(EXIT_USAGE));
    }
    let mut exit = EXIT_NO_MANAGER;
    for name in [CLIENT, SERVER] {
        let socket = args.run_dir.join([name, ".sock"].concat());
        let answer = control::ask(&socket, &Question::Status);
        let Some(text) = answer.map_err(|e| Error::new("ask", socket.display(), e))? else { continue };
        if name == CLIENT {
            let status = ProxyStatus::from_json(&text);
            let status =
                status.map_err(|_| Error::new("understand", "bsbf-proxy", "it is of another version"));
            applet::print(&status?.text())?;
        } else {
            applet::print(&text)?;
        }
        exit = EXIT_DONE;
    }
    if exit == EXIT_NO_MANAGER {
        applet::complain("no bsbf-proxy runs here");
    }
    Ok(exit)
}

/// Where it is asked how it does.
fn listen(run_dir: &RunDir, name: &str) -> Result<ControlSocket, Error> {
    let path = run_dir.path(&[name, ".sock"].concat());
    ControlSocket::open(&path).map_err(|e| Error::new("listen at", path.display(), e))
}

/// Answers who asks, and ends with a signal.
async fn attend(
    executor: &Executor,
    control: ControlSocket,
    signals: DaemonSignals,
    tell: impl Fn() -> String + 'static,
    reload: impl Fn(),
) -> Outcome {
    let answers = spawn(executor, async move {
        loop {
            match control.accept().await {
                Ok(Some(client)) => client.answer(&tell()).await,
                Ok(None) => {}
                Err(e) => return log::warn!("cannot be asked any more: {e}"),
            }
        }
    });
    loop {
        match signals.next().await {
            Ok(Asked::End) => break,
            Ok(Asked::Reload) => reload(),
            Err(e) => return Err(Error::new("wait for", "signals", e)),
        }
    }
    // Its socket goes with it.
    answers.cancel().await;
    Ok(EXIT_DONE)
}

/// Only one of a kind runs, by its lock.
fn lock(run_dir: &RunDir, name: &str) -> Result<Lock, Error> {
    let me = ["bsbf-", name, " (pid ", &std::process::id().to_string(), ")"].concat();
    let file = [name, ".lock"].concat();
    match run_dir.lock_within(&file, &me, FAREWELL) {
        Ok(Ok(lock)) => Ok(lock),
        Ok(Err(holder)) => {
            let cause = [&holder, " runs already"].concat();
            Err(Error::new("start", name, cause).with_exit(EXIT_LOCKED))
        }
        Err(e) => Err(Error::new("lock", run_dir.path(&file).display(), e)),
    }
}
