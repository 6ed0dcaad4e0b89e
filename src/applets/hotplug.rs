//! `bsbf-hotplug`: tells a running manager what OpenWrt's hotplug scripts are told: which device a network has, and that
//! it goes down.
//!
//! netifd calls the scripts of /etc/hotplug.d/iface one at a time and names the device for ifup and ifupdate alone
//! (recorded in tests/vectors/ubus/hotplug-env). The manager remembers it; so one short question is all that is done here.

use std::path::{Path, PathBuf};

use argh::FromArgs;

use crate::applet::{self, Applet};
use crate::error::{EXIT_DONE, EXIT_USAGE, Error, Outcome};
use crate::manager::RUN_DIR;
use crate::sys::control;
use crate::sys::environment::variable;
use crate::wire::question::Question;

/// The row of the table.
pub const APPLET: Applet = Applet {
    name: "bsbf-hotplug",
    summary: "Tell the manager what hotplug scripts are told",
    run: |arguments| applet::with_args("bsbf-hotplug", arguments, run),
};

/// Tell a running manager what a hotplug script is told: which device a network has, and that it goes down.
#[derive(FromArgs)]
#[argh(
    example = "command -v bsbf-hotplug >/dev/null && bsbf-hotplug iface     # all of /etc/hotplug.d/iface/60-bsbf\nACTION=ifup INTERFACE=wan2 DEVICE=usb0 {command_name} iface         # by hand",
    note = "Reads ACTION, INTERFACE and, for ifup and ifupdate, DEVICE from the environment; other actions are no news. Asks the sockets in /var/run/bsbf.",
    note = "Exit codes: 0 told, or nobody to tell; 1 a manager does not answer; 2 wrong arguments or no such variables."
)]
struct Args {
    /// what the script is for, a directory of /etc/hotplug.d
    #[argh(positional, arg_name = "iface", from_str_fn(of_networks))]
    _of: (),
    /// directory of the managers' sockets (default: /var/run/bsbf)
    #[argh(option, arg_name = "dir")]
    run_dir: Option<PathBuf>,
}

/// Each is a manager's, if it runs.
const SOCKETS: [&str; 3] = ["bond.sock", "route.sock", "mptcp.sock"];

fn of_networks(text: &str) -> Result<(), String> {
    match text {
        "iface" => Ok(()),
        _ => Err(format!("'{text}' is not iface; of other events a manager hears from the kernel")),
    }
}

fn run(args: Args) -> Outcome {
    let [action, network, device] = ["ACTION", "INTERFACE", "DEVICE"].map(variable);
    let news = news(action.as_deref(), network.as_deref(), device.as_deref());
    let Some(news) = news.map_err(|e| Error::new("tell", "the manager", e).with_exit(EXIT_USAGE))? else {
        return Ok(EXIT_DONE);
    };
    let dir = args.run_dir.unwrap_or_else(|| Path::new(RUN_DIR).to_path_buf());
    for socket in SOCKETS.map(|name| dir.join(name)) {
        control::ask(&socket, &news).map_err(|e| Error::new("tell", socket.display(), e))?;
    }
    Ok(EXIT_DONE)
}

/// What the variables of a script of /etc/hotplug.d/iface say, if it is for the manager.
fn news(
    action: Option<&str>,
    network: Option<&str>,
    device: Option<&str>,
) -> Result<Option<Question>, &'static str> {
    let unset = "ACTION, INTERFACE and for ifup DEVICE are not set: this is for scripts of /etc/hotplug.d/iface; by hand: \
                 ACTION=ifdown INTERFACE=wan bsbf-hotplug iface";
    let action = action.ok_or(unset)?;
    // Settings cannot name one whose name is longer than a device's.
    let Ok(network) = network.ok_or(unset)?.parse() else { return Ok(None) };
    match (action, device.map(str::parse)) {
        // A renewed lease may have another device below it.
        ("ifup" | "ifupdate", Some(Ok(device))) => Ok(Some(Question::Up { network, device })),
        ("ifup", None) => Err(unset),
        ("ifdown", _) => Ok(Some(Question::Down(network))),
        _ => Ok(None),
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "recorded vectors are files")]
mod tests {
    use super::*;

    /// Every environment that netifd gave a script, on OpenWrt and on RUTOS.
    #[test]
    fn recorded_events_are_news_or_none() {
        let mut told = [0; 3];
        for which in ["ubus", "ubus-rutos"] {
            let dir =
                Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(which).join("hotplug-env");
            for entry in std::fs::read_dir(dir).unwrap() {
                let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
                let of =
                    |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
                let [action, network, device] = ["ACTION", "INTERFACE", "DEVICE"].map(of);
                match news(action, network, device).unwrap() {
                    Some(Question::Up { .. }) => told[0] += 1,
                    Some(Question::Down(name)) => {
                        assert_eq!((action, network), (Some("ifdown"), Some(name.as_str())));
                        told[1] += 1;
                    }
                    _ => told[2] += 1,
                }
            }
        }
        assert!(told[0] > 40 && told[1] > 20, "{told:?}");
    }

    #[test]
    fn without_its_variables_it_says_what_it_needs() {
        assert!(news(None, None, None).unwrap_err().contains("ACTION=ifdown"));
        assert!(news(Some("ifup"), None, Some("eth1")).is_err());
        assert!(news(Some("ifup"), Some("wan"), None).is_err());
        for (action, network) in [
            ("ifup-failed", "wan"),
            ("reload", "wan"),
            ("create", "wan"),
            ("ifdown", "a_network_of_a_long_name"),
        ] {
            assert_eq!(news(Some(action), Some(network), None), Ok(None));
        }
    }
}
