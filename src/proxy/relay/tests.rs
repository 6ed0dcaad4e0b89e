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

#[test]
fn connections_that_stall_hold_a_bounded_number_of_pipes() {
    const PASSES: usize = 16 << 20;
    let meter = Meter::new(None);
    let relays = smol::LocalExecutor::new();
    let mut peers = Vec::new();
    for _ in 0..2 * pipes::MOST {
        let ((a, mut host), (b, mut server)) = (connected(), connected());
        let ends = (host.try_clone().unwrap(), server.try_clone().unwrap());
        let sends = std::thread::spawn(move || while host.write_all(&[7; 100_000]).is_ok() {});
        // And then nothing more.
        let reads = std::thread::spawn(move || server.read_exact(&mut vec![0; PASSES]));
        let meter = &meter;
        let carried = relays.spawn(async move { relay(&a, &b, Greeting::None, meter).await });
        peers.push((ends, sends, reads, carried));
    }
    smol::block_on(relays.run(async {
        let mut before = 0;
        loop {
            smol::Timer::after(Duration::from_millis(300)).await;
            let now = meter.up.bytes.get() as usize;
            if now >= peers.len() * PASSES && now == before {
                break;
            }
            before = now;
        }
    }));
    assert_eq!(pipes::open(), pipes::MOST);
    assert!(pipes::take().is_none(), "one more can stall");
    // They end, and what was in the pipes with them.
    drop(relays);
    for ((host, server), sends, reads, carried) in peers {
        drop(carried);
        let _ = (host.shutdown(Shutdown::Both), server.shutdown(Shutdown::Both));
        sends.join().unwrap();
        reads.join().unwrap().unwrap();
    }
    assert_eq!(pipes::open(), 0);
}

#[test]
fn a_low_rate_makes_no_long_pauses() {
    let ((a, mut host), (b, mut server)) = (connected(), connected());
    let ends = (host.try_clone().unwrap(), server.try_clone().unwrap());
    let sends = std::thread::spawn(move || while host.write_all(&[7; 100_000]).is_ok() {});
    let reads = std::thread::spawn(move || std::io::copy(&mut server, &mut std::io::sink()));
    let meter = Meter::new(std::num::NonZeroU32::new(16));
    let longest = async {
        let mut longest = 0;
        for _ in 0..100 {
            let before = meter.up.bytes.get();
            smol::Timer::after(Duration::from_millis(15)).await;
            longest = longest.max(meter.up.bytes.get() - before);
        }
        longest
    };
    let carries = async {
        drop(relay(&a, &b, Greeting::None, &meter).await);
        u64::MAX
    };
    let longest = smol::block_on(longest.or(carries));
    drop((a, b));
    let _ = (ends.0.shutdown(Shutdown::Both), ends.1.shutdown(Shutdown::Both));
    sends.join().unwrap();
    drop(reads.join().unwrap());
    assert!(longest <= (BULK + BULK / 2) as u64, "{longest} bytes at once");
}
