//! The server's half of UDP: connections of many sessions of a client, each with sockets of its own
//! ([`super::server_session`]), so that whoever it has sent to can answer, and others too; and those of one destination.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::time::Duration;

use smol::future::FutureExt;

use super::accounts::Account;
use super::channel::Channel;
use super::frames;
use super::outgoing::Outgoing;
use super::relay;
use super::scratch;
use super::server::Server;
use super::server_session::{Link, Session};
use super::turn::Turn;
use crate::sys::clock;
use crate::sys::datagrams::Datagrams;
use crate::wire::mux::{Frame, GlobalId, Network, Status};
use crate::wire::vless::{self, Destination};

/// A session without a datagram for so long ends. Longer than a client's router remembers it.
const IDLE: Duration = Duration::from_secs(180);
/// How often the idle are looked for.
const SWEEP: Duration = Duration::from_secs(15);
/// A connection of many sessions.
pub async fn many(
    server: &Rc<Server>,
    account: &Rc<Account>,
    stream: &Channel,
    rest: Vec<u8>,
    mark: u32,
) -> io::Result<()> {
    let link = Rc::new(Link { out: Outgoing::new(vless::ANSWER.to_vec()), sessions: RefCell::default() });
    let connection = Connection { server, account, link: &link, mark };
    let reads = frames::read(stream, rest, |frame| connection.take(frame));
    let sweeps = async {
        loop {
            smol::Timer::after(SWEEP).await;
            connection.sweep();
        }
    };
    reads.or(link.out.run(stream)).or(sweeps).await
}

struct Connection<'a> {
    server: &'a Rc<Server>,
    account: &'a Rc<Account>,
    link: &'a Rc<Link>,
    mark: u32,
}

impl Connection<'_> {
    fn take(&self, frame: Frame<'_>) {
        let number = frame.session;
        let sessions = &self.link.sessions;
        match frame.status {
            Status::KeepAlive => {}
            Status::End { .. } => drop(sessions.borrow_mut().remove(&number)),
            Status::New => {
                // Connections have connections of their own.
                let Some((Network::Udp, to)) = &frame.target else { return self.link.tell_end(number, true) };
                let Some(session) = self.session(number, frame.global_id) else {
                    return self.link.tell_end(number, true);
                };
                let before = sessions.borrow_mut().insert(number, (session.clone(), to.clone()));
                drop(before);
                self.send(&session, to, frame.data);
            }
            Status::Keep => {
                let session = sessions.borrow().get(&number).cloned();
                match session {
                    Some((session, first)) => {
                        let to = frame.target.map_or(first, |(_, to)| to);
                        self.send(&session, &to, frame.data);
                    }
                    None => self.link.tell_end(number, true),
                }
            }
        }
    }

    /// A new one, or one that another connection had; nothing if the client may have no more.
    fn session(&self, number: u16, id: GlobalId) -> Option<Rc<Session>> {
        match self.account.sessions.find(id) {
            Some(session) => {
                session.change_to(self.link, number);
                Some(session)
            }
            None => Session::begin(self.account, id, self.mark, self.link, number),
        }
    }

    fn send(&self, session: &Rc<Session>, to: &Destination, data: Option<&[u8]>) {
        match (data, to) {
            (Some(data), Destination::Address(to)) => session.send(self.server, data, *to),
            (Some(data), Destination::Name(..)) => session.send_to_name(self.server, data, to),
            (None, _) => {}
        }
    }

    fn sweep(&self) {
        let now = clock::now();
        self.link.sessions.borrow_mut().retain(|number, (session, _)| {
            let lives = now.since(session.last.get()) < IDLE;
            if !lives {
                self.link.tell_end(*number, false);
            }
            lives
        });
    }
}

/// A connection for one destination: datagrams behind their lengths.
pub async fn one(
    server: &Rc<Server>,
    account: &Rc<Account>,
    stream: &Channel,
    to: Destination,
    mut bytes: Vec<u8>,
    mark: u32,
) -> io::Result<()> {
    let addresses = server.addresses(account, to).await?;
    let to = *addresses.first().ok_or(io::ErrorKind::PermissionDenied)?;
    let socket = Datagrams::open(to, mark)?;
    let last = Cell::new(clock::now());
    let meter = &account.meter;
    let up = async {
        let mut turn = Turn::default();
        loop {
            let mut at = 0;
            while let Some((length, rest)) = bytes.get(at..).and_then(|rest| rest.split_first_chunk::<2>()) {
                let length = usize::from(u16::from_be_bytes(*length));
                let Some(data) = rest.get(..length) else { break };
                last.set(clock::now());
                if meter.up.admits(length)
                    && let Err(e) = socket.send(data, to)
                {
                    log::debug!("cannot send to {to}: {e}");
                }
                at += 2 + length;
            }
            bytes.drain(..at);
            if bytes.is_empty() {
                // Nothing is kept while nothing comes.
                bytes = Vec::new();
            }
            match relay::append(stream, &mut bytes) {
                Ok(0) => return Ok(()),
                Ok(_) => turn.done().await,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => stream.readable().await?,
                Err(e) => return Err(e),
            }
        }
    };
    let down = async {
        stream.write_all(&vless::ANSWER).await?;
        let mut turn = Turn::default();
        loop {
            let received = scratch::with(|buffer| {
                let (head, body) = buffer.split_at_mut(2);
                let (length, from) = socket.try_receive(body)?;
                head.copy_from_slice(&(length as u16).to_be_bytes());
                // Its other end knows of no other sender.
                Ok((from == to && meter.down.admits(length))
                    .then(|| buffer.get(..2 + length).unwrap_or_default().to_vec()))
            });
            match received {
                Ok(None) => turn.done().await,
                Ok(Some(packet)) => {
                    last.set(clock::now());
                    stream.write_all(&packet).await?;
                    turn.done().await;
                }
                Err(e) if io::Error::kind(&e) == io::ErrorKind::WouldBlock => socket.readable().await?,
                Err(e) => {
                    log::debug!("{to}: {e}");
                    turn.done().await;
                }
            }
        }
    };
    let idle = async {
        while clock::now().since(last.get()) < IDLE {
            smol::Timer::after(SWEEP).await;
        }
        Ok(())
    };
    up.or(down).or(idle).await
}

#[cfg(test)]
mod tests {
    use smol::LocalExecutor;

    use super::*;
    use crate::proxy::accounts::Accounts;
    use crate::proxy::clients::Clients;
    use crate::proxy::room::Room;
    use crate::proxy::server::Settings;
    use crate::types::Time;
    use crate::wire::mux::GlobalId;
    use crate::wire::vless::Uuid;

    const UUID: &str = "6ba85e17-9dad-410e-809f-00c04fd430c8";
    const NO_ID: GlobalId = [0; 8];

    struct Client {
        server: Rc<Server>,
        room: Rc<Room>,
        account: Rc<Account>,
    }

    impl Client {
        /// Of a server with so many descriptors.
        fn new(descriptors: usize) -> Client {
            let settings = Settings { allow_private: true, port: None, plain: true };
            let server = Server::new(Rc::new(LocalExecutor::new()), settings, descriptors);
            let room = Rc::new(Room::new(descriptors));
            let mut accounts = Accounts::new(room.clone());
            accounts.take(&Clients::parse(&["0 ", UUID, " -\n"].concat()).unwrap());
            let account = accounts.find(&Uuid::parse(UUID).unwrap()).unwrap();
            Client { server, room, account }
        }

        fn link() -> Rc<Link> {
            Rc::new(Link { out: Outgoing::new(Vec::new()), sessions: RefCell::default() })
        }

        fn connection<'a>(&'a self, link: &'a Rc<Link>) -> Connection<'a> {
            Connection { server: &self.server, account: &self.account, link, mark: 0 }
        }

        fn begin(&self, link: &Rc<Link>, session: u16, global_id: GlobalId) {
            let target = Some((Network::Udp, Destination::Address(([127, 0, 0, 1], 9).into())));
            self.connection(link).take(Frame { session, status: Status::New, target, global_id, data: None });
        }

        fn end(&self, link: &Rc<Link>, session: u16) {
            let status = Status::End { broken: false };
            self.connection(link).take(Frame { session, status, target: None, global_id: NO_ID, data: None });
        }
    }

    #[test]
    fn of_too_many_sessions_quiet_ones_go_on_whichever_connection_they_are() {
        // Half of the room is for 60.
        let client = Client::new(320);
        let links = [Client::link(), Client::link()];
        let is_there = |number: u16| links[usize::from(number % 2)].sessions.borrow().contains_key(&number);
        for number in 1..=500 {
            client.begin(&links[usize::from(number % 2)], number, NO_ID);
            assert!(is_there(number));
            if number == 7 {
                links[1].sessions.borrow()[&7].0.last.set(Time(u64::MAX));
            }
        }
        assert_eq!(client.account.sessions.count(), 60);
        assert_eq!((1..=500).filter(|number| is_there(*number)).count(), 60);
        assert!(is_there(7), "one that is used has gone");
        drop(links);
        assert!(client.room.is_empty());
    }

    #[test]
    fn a_client_without_room_for_a_session_is_told_so() {
        let client = Client::new(8);
        let link = Client::link();
        for _ in 0..2 {
            assert!(client.account.lets_in(), "no connection");
        }
        client.begin(&link, 1, NO_ID);
        assert_eq!(client.account.sessions.count(), 0);
    }

    #[test]
    fn neither_sessions_nor_connections_take_all_that_a_client_has() {
        let client = Client::new(320);
        let link = Client::link();
        (1..=100).for_each(|number| client.begin(&link, number, NO_ID));
        let connections = (0..100).filter(|_| client.account.lets_in()).count();
        assert_eq!((connections, client.account.sessions.count()), (30, 30));
        // A new one is let in all the same.
        client.begin(&link, 101, NO_ID);
        assert_eq!(client.account.sessions.count(), 30);
        assert!(link.sessions.borrow().contains_key(&101));
    }

    #[test]
    fn nothing_is_kept_of_sessions_that_have_ended() {
        let client = Client::new(20_000);
        let link = Client::link();
        for number in 0..1000_u64 {
            client.begin(&link, 1, (number + 1).to_be_bytes());
        }
        assert_eq!((client.account.sessions.count(), client.account.sessions.known()), (1, 1));
        client.end(&link, 1);
        assert_eq!((client.account.sessions.count(), client.account.sessions.known()), (0, 0));
        assert!(client.room.is_empty());
    }

    #[test]
    fn a_session_that_goes_on_elsewhere_is_not_kept_where_it_was() {
        let client = Client::new(20_000);
        let links = [Client::link(), Client::link()];
        for number in 0..100 {
            client.begin(&links[usize::from(number % 2)], number, [1; 8]);
        }
        assert_eq!(links.each_ref().map(|link| link.sessions.borrow().len()), [0, 1]);
        assert_eq!(client.account.sessions.count(), 1);
    }

    /// Those that came while it was looked up are sent too, and none asks again.
    #[test]
    fn datagrams_to_a_name_are_one_question() {
        let client = Client::new(20_000);
        let link = Client::link();
        client.begin(&link, 1, NO_ID);
        let to = Destination::Name("127.0.0.1".into(), 9);
        let free =
            || std::iter::from_fn(|| client.account.lookups.try_acquire_arc()).collect::<Vec<_>>().len();
        let all = free();
        let session = link.sessions.borrow()[&1].0.clone();
        for _ in 0..20 {
            session.send_to_name(&client.server, b"x", &to);
        }
        assert_eq!(free(), all - 1);
        smol::block_on(client.server.executor.run(async {
            while free() < all {
                smol::future::yield_now().await;
            }
        }));
        session.send_to_name(&client.server, b"last", &to);
        assert_eq!(free(), all, "it asks again");
        // Eight of one byte, and the last one.
        assert_eq!(client.account.meter.up.bytes.get(), 8 + 4);
    }

    #[test]
    fn names_beyond_a_clients_share_are_not_looked_up() {
        let client = Client::new(20_000);
        let link = Client::link();
        (1..=100).for_each(|number| client.begin(&link, number, NO_ID));
        let sessions: Vec<_> = link.sessions.borrow().values().map(|(session, _)| session.clone()).collect();
        for session in &sessions {
            session.send_to_name(&client.server, b"x", &Destination::Name("localhost".into(), 9));
        }
        assert!(client.account.lookups.try_acquire().is_none());
        assert_eq!(sessions.iter().filter(|session| session.asks()).count(), 32);
    }
}
