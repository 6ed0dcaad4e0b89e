//! The way into the router: runs programs for whoever connects to it over the LAN.
//!
//! One connection is one program. The host sends the words of the command line, each ended by a zero byte, and
//! an empty word; the agent answers with frames: a byte that says what it is, the length as four bytes, big end
//! first, and the content. A connection that the host closes ends its program.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::thread;

use crate::failure::{Doing, Result};

/// Where the agent listens. A router of people has nothing there.
pub const PORT: u16 = 7011;
/// A frame with what the program printed, on either output.
pub const OUTPUT: u8 = 0;
/// The last frame: its exit code as four bytes, 128 and the signal's number if a signal ended it.
pub const EXIT: u8 = 1;
/// What OpenWrt's init gives its children.
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";
/// What ends with this code could not be started (as in sh).
const NOT_FOUND: i32 = 127;
const BLOCK: usize = 4096;

/// Serves until the router is switched off.
pub(super) fn serve() -> Result {
    let listener = TcpListener::bind(("0.0.0.0", PORT)).doing("listen for the host")?;
    for connection in listener.incoming() {
        let connection = connection.doing("accept the host")?;
        thread::spawn(move || {
            // The host is told by the connection's end.
            let _ = run(&connection);
        });
    }
    Ok(())
}

fn run(connection: &TcpStream) -> io::Result<()> {
    connection.set_nodelay(true)?;
    let mut host = BufReader::new(connection);
    let mut words = Vec::new();
    loop {
        let mut word = Vec::new();
        host.read_until(0, &mut word)?;
        word.pop();
        if word.is_empty() {
            break;
        }
        words.push(String::from_utf8_lossy(&word).into_owned());
    }
    let Some((program, arguments)) = words.split_first() else { return Ok(()) };
    let (reader, writer) = io::pipe()?;
    let mut command = Command::new(program);
    command.args(arguments).env("PATH", PATH).stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
    let started = command.spawn();
    // Our copies of the pipe's writing end go with it, so that the reader sees the end.
    drop(command);
    let mut child = match started {
        Ok(child) => child,
        Err(e) => {
            send(connection, OUTPUT, format!("{program}: {e}").as_bytes())?;
            return send(connection, EXIT, &NOT_FOUND.to_be_bytes());
        }
    };
    let code = pass_on(reader, host, connection, &mut child)?;
    send(connection, EXIT, &code.to_be_bytes())
}

/// Passes the program's output on to its end; kills it when the host has gone.
fn pass_on(
    mut output: impl Read,
    host: BufReader<&TcpStream>,
    to: &TcpStream,
    child: &mut Child,
) -> io::Result<i32> {
    let child = Mutex::new(child);
    let kill = || child.lock().map(|mut child| child.kill());
    thread::scope(|scope| {
        scope.spawn(|| {
            // The host says nothing more: this returns when it has closed, or below.
            let _ = io::copy(&mut { host }, &mut io::sink());
            let _ = kill();
        });
        let mut block = [0; BLOCK];
        let passed = loop {
            match output.read(&mut block) {
                Ok(0) => break Ok(()),
                Ok(length) => {
                    if let Err(e) = send(to, OUTPUT, &block[..length]) {
                        let _ = kill();
                        break Err(e);
                    }
                }
                Err(e) => break Err(e),
            }
        };
        // The outputs are closed, which most programs do by ending.
        let status = child.lock().map_err(|_| io::ErrorKind::Other)?.wait();
        to.shutdown(std::net::Shutdown::Read)?;
        passed?;
        let status = status?;
        Ok(status.code().unwrap_or(128 + status.signal().unwrap_or(0)))
    })
}

fn send(mut to: &TcpStream, kind: u8, content: &[u8]) -> io::Result<()> {
    let mut frame = vec![kind];
    frame.extend((content.len() as u32).to_be_bytes());
    frame.extend(content);
    to.write_all(&frame)
}
