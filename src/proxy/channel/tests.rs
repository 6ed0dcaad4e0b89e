// The channel's peers.
#![allow(clippy::disallowed_types)]

use std::net::TcpListener;
use std::time::Duration;

use bsbf_noise::handshake::{Identity, Initiator, Responder};
use bsbf_noise::keys::SecretKey;
use nix::sys::socket::{setsockopt, sockopt};
use smol::future::{self, FutureExt};

use super::*;
use crate::proxy::meter::Meter;
use crate::proxy::relay::{Greeting, relay};
use crate::sys::stream::Protocol;

/// A connection and its other end, with buffers of the least that the kernel gives.
fn connected() -> (Stream, Stream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    setsockopt(&listener, sockopt::RcvBuf, &1).unwrap();
    let to = listener.local_addr().unwrap();
    smol::block_on(async {
        let one = Stream::connect(to, Protocol::Tcp, 0, Duration::from_secs(5)).await.unwrap();
        setsockopt(&one, sockopt::SndBuf, &1).unwrap();
        let other = listener.accept().unwrap().0;
        setsockopt(&other, sockopt::SndBuf, &1).unwrap();
        (one, Stream::of(other.into()).unwrap())
    })
}

fn sessions() -> (Session, Session) {
    let [client, server] = [1, 2].map(|byte| Identity::new(SecretKey::new([byte; 32])));
    let (initiator, hello) = Initiator::new(&client, server.public(), 5, &[3; 32]).unwrap();
    let (reply, theirs) = Responder::read(&server, &hello, &[4; 32]).unwrap().reply().unwrap();
    (initiator.finish(&reply).unwrap(), theirs)
}

/// An encrypted connection and its other end.
fn sealed() -> (Channel, Channel) {
    let ((one, other), (client, server)) = (connected(), sessions());
    (Channel::sealed(one, client), Channel::sealed(other, server))
}

fn text(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i * 7 + i / 251) as u8).collect()
}

/// Until its end, by pieces of this size.
async fn read_to_end(channel: &Channel, piece: usize) -> io::Result<Vec<u8>> {
    let (mut all, mut buffer) = (Vec::new(), vec![0; piece]);
    loop {
        match channel.read(&mut buffer).await? {
            0 => return Ok(all),
            read => all.extend(&buffer[..read]),
        }
    }
}

fn kept(channel: &Channel) -> usize {
    let sealed = channel.sealed.as_ref().unwrap().borrow();
    [&sealed.received, &sealed.opened, &sealed.unsent].map(Vec::capacity).iter().sum()
}

#[test]
fn all_arrives_with_its_end_in_pieces_of_any_size() {
    for piece in [1, 2, 1000, MOST - 1, MOST, MOST + 1, scratch::SIZE] {
        let (client, server) = sealed();
        let sent = text(if piece < 10 { 40_000 } else { 1_000_000 });
        let writes = async {
            client.write_all(&sent[..10]).await?;
            client.write_all(&sent[10..]).await?;
            client.end().await?;
            // It may still say something.
            read_to_end(&client, piece).await
        };
        let reads = async {
            let read = read_to_end(&server, piece).await?;
            server.write_all(b"bye").await?;
            server.end().await?;
            Ok(read)
        };
        let (said, read) = smol::block_on(future::try_zip(writes, reads)).unwrap();
        assert_eq!(said, b"bye", "{piece}");
        assert!(read == sent, "{piece}");
        smol::block_on(async {
            client.readable().await.unwrap();
            server.readable().await.unwrap();
        });
        assert_eq!([kept(&client), kept(&server)], [0, 0], "{piece}");
    }
}

/// Nobody has to flush anything: what has been written is gone.
#[test]
fn what_counts_as_written_arrives_without_anything_after_it() {
    let (client, server) = sealed();
    let sent = text(300_000);
    let mut read = 0;
    let mut written = 0;
    let mut buffer = vec![0; 5000];
    while written < sent.len() {
        match client.try_write(&sent[written..]) {
            Ok(more) => written += more,
            Err(e) => assert_eq!(e.kind(), WouldBlock),
        }
        smol::block_on(async {
            // Behind what counts as written there is nothing that it waits for.
            while read < written {
                read += server.read(&mut buffer).await.unwrap();
            }
        });
        if let Ok(more) = server.try_read(&mut buffer) {
            read += more;
        }
    }
    assert_eq!(read, sent.len());
    assert_eq!(client.sealed.as_ref().unwrap().borrow().unsent.len(), 0);
}

#[test]
fn an_end_that_nobody_has_said_is_an_error() {
    let (client, server) = sealed();
    smol::block_on(async {
        client.write_all(b"a part").await.unwrap();
        client.stream.end();
        let mut buffer = [0; 64];
        assert_eq!(server.read(&mut buffer).await.unwrap(), 6);
        assert_eq!(server.read(&mut buffer).await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    });
}

#[test]
fn what_somebody_else_has_said_is_an_error() {
    let (client, server) = sealed();
    smol::block_on(async {
        client.stream.write_all(&[0, 20]).await.unwrap();
        client.stream.write_all(&[7; 20]).await.unwrap();
        assert_eq!(server.read(&mut [0; 64]).await.unwrap_err().kind(), io::ErrorKind::InvalidData);
    });
}

/// Two relays, as on the way from a host to the Internet: plain, encrypted, plain.
#[test]
fn relays_carry_it_with_its_ends_and_its_pace() {
    let (client, server) = sealed();
    let ((host, at_client), (at_server, far)) = (connected(), connected());
    let [host, at_client, at_server, far] = [host, at_client, at_server, far].map(Channel::from);
    let meter = Meter::new(None);
    let sent = text(3_000_000);
    let relays = async {
        let one = relay(&at_client, &client, Greeting::None, &meter);
        let other = relay(&server, &at_server, Greeting::None, &meter);
        future::try_zip(one, other).await?;
        future::pending().await
    };
    let ends = async {
        let says = async {
            host.write_all(&sent).await?;
            host.end().await?;
            read_to_end(&host, 1000).await
        };
        let answers = async {
            let read = read_to_end(&far, 100_000).await?;
            far.write_all(&read).await?;
            far.end().await?;
            Ok(read)
        };
        future::try_zip(says, answers).await
    };
    let (back, there) = smol::block_on(ends.or(relays)).unwrap();
    assert!(there == sent && back == sent);
}

/// A man in the middle ends it, or the other end's machine does.
#[test]
fn a_relay_breaks_what_was_cut() {
    let (client, server) = sealed();
    let (at_server, far) = connected();
    let (at_server, far) = (Channel::from(at_server), Channel::from(far));
    smol::block_on(async {
        client.write_all(b"a part").await.unwrap();
        client.stream.end();
        let ended = relay(&server, &at_server, Greeting::None, &Meter::new(None)).await;
        assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        at_server.reset();
        assert!(read_to_end(&far, 100).await.is_err(), "it looks whole");
    });
}
