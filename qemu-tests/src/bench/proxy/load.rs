//! What a host of the LAN does with one of the Internet.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use portable_atomic::AtomicU64;

use crate::failure::{Doing, Result};
use crate::ns::Ns;

/// What is asked for, in the first byte.
const DOWNLOAD: u8 = 1;
const UPLOAD: u8 = 2;
const ECHO: u8 = 3;
const BLOCK: usize = 256 << 10;
/// Nothing of all this takes longer without a byte.
const STALL: Duration = Duration::from_secs(30);

/// Bytes of uploads, and of transfers without end, that have arrived: the host of the LAN and that of the Internet are
/// both this process.
pub static ARRIVED: AtomicU64 = AtomicU64::new(0);

/// Starts the Internet's host. Downloads are endless until the other end closes, uploads are read to their end, and all
/// else is sent back.
pub fn serve(ns: &Ns, at: &str) -> Result {
    let listener = ns.enter(|| TcpListener::bind(at)).doing("listen")?;
    ns.thread("host", move || {
        for stream in listener.incoming().flatten() {
            let _ = thread::Builder::new().stack_size(64 << 10).spawn(move || answer(stream));
        }
    })?;
    Ok(())
}

fn answer(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut kind = [0];
    stream.read_exact(&mut kind)?;
    match kind[0] {
        DOWNLOAD => {
            let block = vec![0; BLOCK];
            loop {
                stream.write_all(&block)?;
            }
        }
        UPLOAD => {
            let mut block = vec![0; BLOCK];
            loop {
                match stream.read(&mut block)? {
                    0 => return stream.write_all(&kind),
                    read => drop(ARRIVED.fetch_add(read as u64, Relaxed)),
                }
            }
        }
        _ => {
            stream.write_all(&kind)?;
            io::copy(&mut &stream, &mut &stream).map(drop)
        }
    }
}

fn connect(to: &str, kind: u8) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(to)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(STALL))?;
    stream.write_all(&[kind])?;
    Ok(stream)
}

/// Gets so many bytes; how long it took.
pub fn download(to: &str, bytes: u64) -> io::Result<Duration> {
    let start = Instant::now();
    let mut stream = connect(to, DOWNLOAD)?;
    let mut block = vec![0; BLOCK];
    let mut got = 0;
    while got < bytes {
        match stream.read(&mut block)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => got += read as u64,
        }
    }
    Ok(start.elapsed())
}

/// Gets as much as comes, and tells how much that was between these times.
pub fn download_for(to: &str, from: Duration, until: Duration) -> io::Result<u64> {
    let start = Instant::now();
    let mut stream = connect(to, DOWNLOAD)?;
    let mut block = vec![0; BLOCK];
    let mut got = 0;
    loop {
        let read = stream.read(&mut block)? as u64;
        match start.elapsed() {
            _ if read == 0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            now if now >= until => return Ok(got),
            now if now >= from => got += read,
            _ => {}
        }
    }
}

/// Sends so many bytes, and waits until they are there; how long it took.
pub fn upload(to: &str, bytes: u64) -> io::Result<Duration> {
    let start = Instant::now();
    let mut stream = connect(to, UPLOAD)?;
    let block = vec![0; BLOCK];
    for _ in 0..bytes / BLOCK as u64 {
        stream.write_all(&block)?;
    }
    stream.shutdown(std::net::Shutdown::Write)?;
    stream.read_exact(&mut [0])?;
    Ok(start.elapsed())
}

/// Downloads or uploads until it is `over`; what arrives is counted in [`ARRIVED`].
pub fn without_end(to: &str, is_download: bool, over: &AtomicBool) -> io::Result<()> {
    let mut stream = connect(to, if is_download { DOWNLOAD } else { UPLOAD })?;
    stream.set_write_timeout(Some(STALL))?;
    let mut block = vec![0; BLOCK];
    while !over.load(Relaxed) {
        if is_download {
            match stream.read(&mut block)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => ARRIVED.fetch_add(read as u64, Relaxed),
            };
        } else {
            // Not all of it: a part is written sooner, and `over` seen.
            let _ = stream.write(&block)?;
        }
    }
    Ok(())
}

/// A connection of which both ends know, with nothing more to say.
pub fn idle(to: &str) -> io::Result<TcpStream> {
    let mut stream = connect(to, ECHO)?;
    stream.read_exact(&mut [0])?;
    Ok(stream)
}

/// How long a byte and its answer take on a new connection, the connection's own time not counted.
pub fn ask(to: &str) -> io::Result<Duration> {
    let mut stream = TcpStream::connect(to)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(STALL))?;
    let start = Instant::now();
    stream.write_all(&[ECHO])?;
    stream.read_exact(&mut [0])?;
    Ok(start.elapsed())
}
