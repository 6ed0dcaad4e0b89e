//! A small request and its answer, again and again over one MPTCP connection: what somebody at a prompt or
//! in a game feels when a WAN dies.

use std::io::{Read, Write};
use std::net::{SocketAddrV4, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

use crate::failure::{Doing, Result, failed};
use crate::topology::{Lab, SERVER};
use crate::traffic::{Protocol, connect_to, listen_on};

/// The server listens here.
const PORT: u16 = 5002;
/// A request and an answer have this many bytes.
const SIZE: usize = 64;
/// From an answer to the next request.
const PAUSE: Duration = Duration::from_millis(20);
/// An answer that takes longer is a lost connection.
const PATIENCE: Duration = Duration::from_secs(20);

/// When a request was sent, and how long its answer took.
pub type Exchange = (Instant, Duration);

/// The running flow.
pub struct PingPong {
    exchanges: Arc<Mutex<Vec<Exchange>>>,
    client: JoinHandle<Result>,
    stop: Arc<AtomicBool>,
    /// Further subflows join through the listening socket (net/mptcp/subflow.c).
    _listener: TcpListener,
}

impl PingPong {
    /// Connects from the router to the server and begins.
    pub fn start(lab: &Lab) -> Result<PingPong> {
        let server = SocketAddrV4::new(SERVER.parse()?, PORT);
        let listener = lab.server.enter(|| listen_on(server, Protocol::Mptcp)).doing("listen")?;
        let client = lab.client.enter(|| connect_to(server, Protocol::Mptcp)).doing("connect")?;
        let (served, _) = listener.accept().doing("accept")?;
        // Its end is the end of the connection.
        lab.server.thread("pong", move || answer(served))?;
        let exchanges = Arc::default();
        let stop = Arc::new(AtomicBool::new(false));
        let thread = {
            let (exchanges, stop) = (Arc::clone(&exchanges), stop.clone());
            lab.client.thread("ping", move || ask(client, &exchanges, &stop))?
        };
        Ok(PingPong { exchanges, client: thread, stop, _listener: listener })
    }

    /// Ends the flow; a failure if an answer was wrong or did not come.
    pub fn finish(self) -> Result<Vec<Exchange>> {
        self.stop.store(true, Relaxed);
        self.client.join().unwrap_or_else(|_| failed("the flow panicked"))?;
        let exchanges = self.exchanges.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(exchanges.clone())
    }
}

/// The slowest answer to a request sent since then.
pub fn slowest(exchanges: &[Exchange], since: Instant) -> Duration {
    exchanges.iter().filter(|(at, _)| *at >= since).map(|(_, took)| *took).max().unwrap_or_default()
}

fn answer(mut stream: TcpStream) {
    let mut message = [0; SIZE];
    while stream.read_exact(&mut message).is_ok() && stream.write_all(&message).is_ok() {}
}

fn ask(mut stream: TcpStream, exchanges: &Mutex<Vec<Exchange>>, stop: &AtomicBool) -> Result {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut number = 0u8;
    while !stop.load(Relaxed) {
        let request = [number; SIZE];
        number = number.wrapping_add(1);
        let at = Instant::now();
        stream.write_all(&request).doing("send a request")?;
        let mut reply = [0; SIZE];
        stream.read_exact(&mut reply).doing("read an answer")?;
        crate::check!(reply == request, "an answer is not the request");
        exchanges.lock().unwrap_or_else(PoisonError::into_inner).push((at, at.elapsed()));
        sleep(PAUSE);
    }
    Ok(())
}
