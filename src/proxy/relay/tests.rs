// The relay's peers.
#![allow(clippy::disallowed_types)]

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};

use nix::sys::socket::{setsockopt, sockopt};

use super::*;
use crate::sys::stream::Protocol;

/// A connection of the relay's, and its other end.
fn connected() -> (Channel, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = listener.local_addr().unwrap();
    let ours = smol::block_on(Stream::connect(to, Protocol::Tcp, 0, Duration::from_secs(5))).unwrap();
    (ours.into(), listener.accept().unwrap().0)
}

#[test]
fn whoever_vanishes_after_his_last_word_is_noticed() {
    let ((a, mut host), (b, mut server)) = (connected(), connected());
    host.write_all(b"all").unwrap();
    host.shutdown(Shutdown::Write).unwrap();
    let vanishes = std::thread::spawn(move || {
        // What he has said arrives, and he waits for an answer.
        server.read_to_end(&mut Vec::new()).unwrap();
        setsockopt(&host, sockopt::Linger, &libc::linger { l_onoff: 1, l_linger: 0 }).unwrap();
        drop(host);
        server
    });
    let meter = Meter::new(None);
    let patience = async {
        smol::Timer::after(5 * LOOK).await;
        Ok(())
    };
    let ended = smol::block_on(relay(&a, &b, Greeting::None, &meter).or(patience));
    drop((a, b));
    assert!(ended.is_err(), "it goes on");
    assert_eq!(meter.up.bytes.get(), 3);
    let gone = vanishes.join().unwrap().write_all(b"answer").unwrap_err().kind();
    assert!(matches!(gone, io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset), "{gone}");
}

#[test]
fn a_server_that_ends_without_an_answer_is_told_from_one_that_breaks() {
    for (said, kind) in [(&[][..], NO_ANSWER), (&[0], NO_ANSWER), (&[1, 0], io::ErrorKind::InvalidData)] {
        let ((a, mut host), (b, mut server)) = (connected(), connected());
        let ends = std::thread::spawn(move || {
            server.read_exact(&mut [0; 7]).unwrap();
            server.write_all(said).unwrap();
            drop(server);
            host.read(&mut [0]).unwrap_err().kind()
        });
        let greeting = Greeting::Asks(b"request".to_vec());
        let ended = smol::block_on(relay(&a, &b, greeting, &Meter::new(None)));
        drop((a, b));
        assert_eq!(ended.unwrap_err().kind(), kind, "{said:?}");
        assert_eq!(ends.join().unwrap(), io::ErrorKind::ConnectionReset, "{said:?}");
    }
}
