//! Whether anything can be reached: a server or target of the manager's settings, by any of the WANs.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use smol::Timer;
use smol::future::{FutureExt, pending};

use crate::config::{self, options};
use crate::error::Error;
use crate::sys::signals::{Asked, DaemonSignals};
use crate::sys::{clock, probe, ubus};
use crate::types::IfName;
use crate::wan::settings::Settings;

/// procd waits a second before it tells netifd of new settings, and netifd takes its time: what answers before that may
/// have been reached by the old ones.
const SETTLE: Duration = Duration::from_secs(4);
/// Between two rounds of questions; what comes later than that is asked for again.
const ROUND: Duration = Duration::from_secs(3);

/// What came of waiting.
pub enum Answer {
    /// Who answered, by which device.
    Of(String),
    /// Nobody in time.
    None,
    /// Somebody wants this command to end.
    Ended,
}

type Asking<'a> = Pin<Box<dyn Future<Output = Answer> + 'a>>;

/// Knocks by TCP at all servers and targets by every network of these that is up, until one answers, `within` this time at
/// most. A SIGHUP is no reason to end: the session that started this may have come in by a port that has become a WAN.
///
/// # Errors
/// Settings that cannot be used; no netifd to tell the networks' devices.
pub fn wait(signals: &DaemonSignals, names: &[String], within: Duration) -> Result<Answer, Error> {
    let mut settings = Settings::default();
    let path = config::settings_file();
    if let Some(text) = config::read(&path, false)? {
        options::apply_file(&mut settings, &text).map_err(|e| Error::new("use", path.display(), e))?;
    }
    let deadline = clock::now() + within;
    let mut devices: Vec<IfName> = Vec::new();
    let mut round = SETTLE;
    while clock::now() < deadline {
        let mut all: Asking = Box::pin(async {
            Timer::after(round).await;
            Answer::None
        });
        all = Box::pin(all.or(async {
            while !matches!(signals.next().await, Ok(Asked::End) | Err(_)) {}
            Answer::Ended
        }));
        for device in &devices {
            for target in &settings.targets {
                all = Box::pin(all.or(knock(device, SocketAddr::new(target.address, target.port))));
            }
        }
        match smol::block_on(all) {
            Answer::None => {}
            answer => return Ok(answer),
        }
        let networks = ubus::networks().map_err(|e| Error::new("ask", "netifd", e))?;
        let up = networks.into_iter().filter(|network| network.up && names.contains(&network.name));
        devices = up.filter_map(|network| network.l3_device?.parse().ok()).collect();
        round = ROUND;
    }
    Ok(Answer::None)
}

async fn knock(device: &IfName, address: SocketAddr) -> Answer {
    match probe::knock(device, address).await {
        Ok(true) => Answer::Of(format!("{address} answered by {device}")),
        _ => pending().await,
    }
}
