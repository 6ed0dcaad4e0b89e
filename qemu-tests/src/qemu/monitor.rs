//! QEMU's machine protocol (QMP, docs/interop/qmp-spec): JSON lines over a unix socket.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use miniserde::json::{self, Object, Value};

use crate::failure::{Doing, Result, failed};

/// An answer takes milliseconds, on a busy machine up to this.
const PATIENCE: Duration = Duration::from_secs(20);

/// A connection in command mode.
pub struct Monitor {
    socket: BufReader<UnixStream>,
}

impl Monitor {
    /// Connects to the socket that `-qmp unix:PATH` made.
    pub fn connect(path: &Path) -> Result<Monitor> {
        let socket = UnixStream::connect(path).doing("connect to qemu's monitor")?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let mut monitor = Monitor { socket: BufReader::new(socket) };
        monitor.line()?; // the greeting
        monitor.execute("qmp_capabilities", "{}")?;
        Ok(monitor)
    }

    /// Runs a command; `arguments` is a JSON object. Fails with qemu's own words.
    pub fn execute(&mut self, command: &str, arguments: &str) -> Result {
        self.ask(command, arguments).map(drop)
    }

    /// The same, with what it returns.
    pub fn ask(&mut self, command: &str, arguments: &str) -> Result<Value> {
        let line = format!("{{\"execute\":\"{command}\",\"arguments\":{arguments}}}\n");
        self.socket.get_mut().write_all(line.as_bytes()).doing("ask qemu's monitor")?;
        loop {
            let mut answer = self.line()?;
            if let Some(returned) = answer.remove("return") {
                return Ok(returned);
            }
            if let Some(Value::Object(error)) = answer.get("error") {
                let Some(Value::String(text)) = error.get("desc") else {
                    return failed(format!("qemu refused {command}"));
                };
                return failed(format!("qemu refused {command}: {text}"));
            }
            // Everything else is an event.
        }
    }

    fn line(&mut self) -> Result<Object> {
        let mut line = String::new();
        self.socket.read_line(&mut line).doing("hear qemu's monitor")?;
        match json::from_str(line.trim()) {
            Ok(object) => Ok(object),
            Err(_) => failed(format!("qemu's monitor says {line:?}")),
        }
    }
}
