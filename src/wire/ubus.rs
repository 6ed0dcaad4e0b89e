//! What OpenWrt's `ubus` answers: netifd's networks, and exit codes.
//!
//! Its versions differ (recorded in tests/vectors/ubus and tests/vectors/ubus-rutos): OpenWrt 24.10 ends with 256 less ubus's status once
//! the object was found, RUTOS with the status itself; both with 4 if there is no such object, and with 255 if nobody listens.

use miniserde::{Deserialize, json};

/// A network as `ubus call network.interface dump` tells of it; what else it tells is left out.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Interface {
    /// Its name in /etc/config/network.
    #[serde(rename = "interface")]
    pub name: String,
    /// It has been set up.
    pub up: bool,
    /// The device that has its addresses and routes, while it is up: `pppoe-wan`.
    pub l3_device: Option<String>,
    /// The device below that: `eth1`.
    pub device: Option<String>,
    /// It is to be up whenever it can be; netifd forgets that when somebody takes it down.
    pub autostart: Option<bool>,
}

#[derive(Deserialize)]
struct Dump {
    interface: Vec<Interface>,
}

/// The networks of `ubus call network.interface dump`.
///
/// # Errors
/// Another text; the words say so.
pub fn parse_dump(text: &[u8]) -> Result<Vec<Interface>, String> {
    let text = std::str::from_utf8(text).map_err(|_| "its answer is not UTF-8")?;
    let dump: Dump = json::from_str(text).map_err(|_| "its answer is no list of networks")?;
    Ok(dump.interface)
}

/// The exit code of both if there is no such object.
pub const NOT_FOUND: i32 = 4;

/// What went wrong, from the exit code and what was said on stderr; `None` if nothing did.
pub fn trouble(code: i32, stderr: &[u8]) -> Option<String> {
    let status = match code {
        0 => return None,
        128..=255 => 256 - code,
        status => status,
    };
    // ubusmsg.h, enum ubus_msg_status.
    let words = match status {
        2 => "it refuses the arguments",
        3 => "it has no such method",
        NOT_FOUND => "it is not there",
        5 => "it has no data",
        6 => "permission denied",
        7 => "it does not answer",
        _ if stderr.starts_with(b"Failed to connect") => "ubusd is not running",
        _ => {
            let said = String::from_utf8_lossy(stderr.split(|&b| b == b'\n').next().unwrap_or_default());
            return Some(format!("ubus ended with {code}: {said}"));
        }
    };
    Some(words.to_string())
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "recorded vectors are files")]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::*;

    fn vectors(which: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(which)
    }

    fn dump(which: &str, state: &str) -> Vec<Interface> {
        let path = vectors(which).join("states").join(state).join("dump.json");
        parse_dump(&fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))).unwrap()
    }

    #[test]
    fn every_recorded_state_of_netifd_is_read() {
        for which in ["ubus", "ubus-rutos"] {
            let states = fs::read_dir(vectors(which).join("states")).unwrap();
            let states: Vec<String> = states.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
            assert!(states.len() > 15, "{which} has {} states", states.len());
            for state in states {
                let networks = dump(which, &state);
                let up = networks.iter().filter(|n| n.up);
                assert!(up.clone().all(|n| n.l3_device.is_some()), "{which} {state}: up without a device");
                assert!(networks.iter().any(|n| n.name == "loopback"), "{which} {state}: {networks:?}");
            }
        }
    }

    #[test]
    fn a_network_that_is_down_tells_only_the_device_below() {
        for which in ["ubus", "ubus-rutos"] {
            let find = |state: &str| dump(which, state).into_iter().find(|n| n.name == "wan").unwrap();
            let up = find("01-all-up");
            assert_eq!((up.up, up.l3_device.as_deref()), (true, Some("wan")), "{which}");
            let down = find("07-wan-ifdown");
            assert_eq!(
                (down.up, down.l3_device, down.device.as_deref()),
                (false, None, Some("wan")),
                "{which}"
            );
        }
    }

    /// Each recorded call, with what it must be taken for.
    #[test]
    fn both_families_of_exit_codes_mean_the_same() {
        let expected = [
            ("ubus call network.interface dump", 255, "ubusd is not running"),
            ("ubus call nosuch method", 4, "it is not there"),
            ("ubus call network.interface nosuch", 0, "it has no such method"),
            ("ubus call network.interface status", 0, "it refuses the arguments"),
            ("ubus call network.interface status '{\"interface\":\"nosuch\"}'", 0, "it is not there"),
            ("ubus -t 1 wait_for nosuch", 7, "it does not answer"),
        ];
        for which in ["ubus", "ubus-rutos"] {
            let recorded = fs::read_to_string(vectors(which).join("errors.tsv")).unwrap();
            let rows: Vec<Vec<&str>> = recorded.lines().map(|row| row.split('\t').collect()).collect();
            for (call, code, words) in expected {
                let row = rows.iter().find(|row| row[1] == call && (code == 0 || row[0] == code.to_string()));
                let row = row.unwrap_or_else(|| panic!("{which} has no {call}"));
                let said: String = json::from_str(row[3]).unwrap();
                let told = trouble(row[0].parse().unwrap(), said.as_bytes());
                assert_eq!(told.as_deref(), Some(words), "{which}: {call}");
            }
            // JSON that is none: 244 and 255, in words of its own.
            let row = rows.iter().find(|row| row[1].ends_with("status notjson")).unwrap();
            let said: String = json::from_str(row[3]).unwrap();
            let told = trouble(row[0].parse().unwrap(), said.as_bytes()).unwrap();
            assert!(
                told.starts_with("ubus ended with 2") && told.contains("message data"),
                "{which}: {told}"
            );
        }
        assert_eq!(trouble(0, b"Failed to connect to ubus\n"), None);
    }

    #[test]
    fn what_is_no_dump_is_refused() {
        for text in ["", "{}", "[]", "{\"interface\":[{\"up\":true}]}", "{\"interface\":5}", "Command failed"]
        {
            assert_eq!(
                parse_dump(text.as_bytes()).unwrap_err(),
                "its answer is no list of networks",
                "{text}"
            );
        }
        assert_eq!(parse_dump(b"\xff").unwrap_err(), "its answer is not UTF-8");
        assert_eq!(parse_dump(b"{\"interface\":[],\"more\":{\"x\":[1]}}").unwrap(), []);
    }
}
