//! A download of the router from the lab's server, which the host follows byte by byte.

use std::io::ErrorKind;
use std::net::{SocketAddrV4, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, Instant};

use super::rig::Rig;
use crate::check;
use crate::failure::{Doing, Result, failed};
use crate::topology::SERVER;
use crate::traffic::{Ended, PORT, Protocol, Timeline, is_mptcp, listen_on, send_pattern};

/// Until the router has connected.
const CONNECTED: Duration = Duration::from_secs(20);
const INTERVAL: Duration = Duration::from_millis(10);

/// A running download.
pub struct Download {
    /// What the router has got, when the news of it came.
    pub timeline: Arc<Timeline>,
    stop: Arc<AtomicBool>,
    sender: JoinHandle<Result<u64>>,
    receiver: JoinHandle<Result<Ended>>,
    /// Further subflows join through the listening socket (net/mptcp/subflow.c).
    _listener: TcpListener,
}

impl Download {
    /// Connects from the router over MPTCP and begins.
    pub fn start(rig: &Rig) -> Result<Download> {
        let server = SocketAddrV4::new(SERVER.parse()?, PORT);
        let listener = rig.far.server.enter(|| listen_on(server, Protocol::Mptcp)).doing("listen")?;
        let mut program = rig.agent.start(&["lab", "guest", "download", &server.to_string()])?;
        let served = match accept(&listener)? {
            Some(served) => served,
            None => return failed(format!("the router did not connect: {:?}", program.line()?)),
        };
        let server = served.try_clone()?;
        let (timeline, stop) = (Timeline::new(), Arc::new(AtomicBool::new(false)));
        let sender = rig.far.server.thread("sender", {
            let stop = stop.clone();
            move || send_pattern(served, &stop)
        })?;
        let receiver = thread::spawn({
            let timeline = timeline.clone();
            move || -> Result<Ended> {
                while let Some(line) = program.line()? {
                    let words: Vec<&str> = line.split(' ').collect();
                    match words[..] {
                        ["end", bytes] => {
                            let bytes = bytes.parse().unwrap_or(0);
                            // Asked here, for Linux 6.1 knows no such question.
                            return Ok(Ended { bytes, is_mptcp: is_mptcp(&server) });
                        }
                        [total] if total.parse::<u64>().is_ok() => {
                            let total: u64 = total.parse().unwrap_or(0);
                            timeline.add((total - timeline.total()) as usize);
                        }
                        _ => return failed(format!("the router says of the download: {line}")),
                    }
                }
                failed("the router broke the download off")
            }
        });
        Ok(Download { timeline, stop, sender, receiver, _listener: listener })
    }

    /// Stops the sender, waits for the rest and checks that every byte arrived as it was sent.
    pub fn finish(self) -> Result<Ended> {
        self.stop.store(true, Relaxed);
        let sent = self.sender.join().unwrap_or_else(|_| failed("the sender panicked"));
        // Its error comes first: a receiver that finds a wrong byte resets the connection.
        let ended = self.receiver.join().unwrap_or_else(|_| failed("the receiver panicked"))?;
        let sent = sent?;
        check!(sent == ended.bytes, "{sent} bytes were sent and {} arrived", ended.bytes);
        Ok(ended)
    }
}

/// The router's connection, if it comes in time.
fn accept(listener: &TcpListener) -> Result<Option<TcpStream>> {
    listener.set_nonblocking(true)?;
    let start = Instant::now();
    while start.elapsed() < CONNECTED {
        match listener.accept() {
            Ok((served, _)) => return Ok(Some(served)),
            Err(e) if e.kind() == ErrorKind::WouldBlock => sleep(INTERVAL),
            Err(e) => return Err(e).doing("accept the router"),
        }
    }
    Ok(None)
}
