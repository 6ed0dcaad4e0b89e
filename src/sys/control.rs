//! The unix socket by which a running manager answers questions: one line in, text out.

use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io::Read, io::Write};

use nix::sys::socket::{self, AddressFamily, SockFlag, SockType, UnixAddr};
use smol::future::FutureExt;
use smol::io::{AsyncReadExt, AsyncWriteExt};

use crate::wire::question::{MAX_LINE, Question};

/// A client that is slower is cut off: it must not hold up the next.
const PATIENCE: Duration = Duration::from_secs(2);
/// Of who asks: others may be served, or cut off, before.
const ANSWER: Duration = Duration::from_secs(5);

/// A listening socket of mode 0660. Removed when it ends.
pub struct ControlSocket {
    listener: smol::Async<std::os::unix::net::UnixListener>,
    path: PathBuf,
}

/// Somebody who asked.
pub struct Client {
    /// What he asked, or what is wrong with it.
    pub question: Result<Question, String>,
    stream: smol::Async<UnixStream>,
}

impl ControlSocket {
    /// Listens at `path`, in the place of a socket that a dead process left; the caller holds the lock.
    pub fn open(path: &Path) -> io::Result<ControlSocket> {
        // Bound in a directory that only we can enter, and moved out once its mode is right: at no time can
        // anyone connect who should not.
        let private = path.with_extension("private");
        let temporary = private.join("s");
        // What a crash left here; if it cannot be removed, making it anew says why.
        let _ = fs::remove_file(&temporary);
        let _ = fs::remove_dir(&private);
        fs::DirBuilder::new().mode(0o700).create(&private)?;
        let listener = std::os::unix::net::UnixListener::bind(&temporary)?;
        fs::set_permissions(&temporary, fs::Permissions::from_mode(0o660))?;
        fs::rename(&temporary, path)?;
        fs::remove_dir(&private)?;
        Ok(ControlSocket { listener: smol::Async::new(listener)?, path: path.to_path_buf() })
    }

    /// Waits for a client; None if it hung up or asked nothing in time.
    pub async fn accept(&self) -> io::Result<Option<Client>> {
        let (mut stream, _) = self.listener.accept().await?;
        let mut line = Vec::new();
        let read = async {
            let mut byte = [0; 1];
            while line.len() < MAX_LINE && stream.read(&mut byte).await? > 0 && byte != *b"\n" {
                line.extend(byte);
            }
            io::Result::Ok(())
        };
        let late = async {
            smol::Timer::after(PATIENCE).await;
            Err(io::ErrorKind::TimedOut.into())
        };
        if let Err(e) = read.or(late).await {
            log::debug!("a client asked nothing: {e}");
            return Ok(None);
        }
        Ok(Some(Client { question: Question::parse(&line), stream }))
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path); // a restart replaces what is left
    }
}

impl Client {
    /// Answers and hangs up.
    pub async fn answer(mut self, text: &str) {
        let write = async {
            self.stream.write_all(text.as_bytes()).await?;
            self.stream.close().await
        };
        let late = async {
            smol::Timer::after(PATIENCE).await;
            Err(io::ErrorKind::TimedOut.into())
        };
        if let Err(e) = write.or(late).await {
            log::debug!("a client did not take its answer: {e}");
        }
    }
}

/// Asks the manager at `path`; None if there is none, or it ends just now. One that is silent for `ANSWER` is an error,
/// and so is one with so many waiting that nobody else can connect.
pub fn ask(path: &Path, question: &Question) -> io::Result<Option<String>> {
    match ask_one(path, question) {
        Ok(answer) => Ok(Some(answer).filter(|answer| !answer.is_empty())),
        Err(e) => match e.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Ok(None),
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Ok(None),
            io::ErrorKind::WouldBlock => Err(io::Error::new(io::ErrorKind::TimedOut, "it does not answer")),
            _ => Err(e),
        },
    }
}

fn ask_one(path: &Path, question: &Question) -> io::Result<String> {
    // A blocking connect would wait without end for a place among those who wait for a manager that hangs.
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket::socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    socket::connect(socket.as_raw_fd(), &UnixAddr::new(path)?)?;
    let mut stream = UnixStream::from(socket);
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(ANSWER))?;
    stream.write_all(format!("{question}\n").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
