use super::session::MUCH;
use super::*;
use crate::proxy::Executor;
use crate::proxy::client::Settings;
use crate::wire::tproxy::WhenDown;
use crate::wire::vless::Uuid;

/// For a LAN whose client has these servers; nothing is run, so nothing is sent.
fn lan(servers: Vec<SocketAddr>) -> Rc<LanUdp> {
    let settings = Settings {
        servers,
        user: Uuid([7; 16]),
        keys: None,
        when_down: WhenDown::Direct,
        down_after: Duration::from_secs(10),
        run_dir: std::path::PathBuf::new(),
    };
    LanUdp::new(Client::new(Executor::default(), settings, 1024))
}

fn host(port: usize) -> SocketAddr {
    ([127, 0, 0, 1], port as u16).into()
}

fn at(seconds: usize) -> Time {
    Time::default() + Duration::from_secs(seconds as u64)
}

#[test]
fn of_too_many_sessions_the_oldest_goes_unanswered_first() {
    let lan = lan(Vec::new());
    for port in 1..=MOST {
        let session = lan.begin(host(port), at(port)).unwrap();
        // The older half has been answered, but for two.
        session.is_answered.set(port <= MOST / 2 && port != 7 && port != 9);
    }
    let has = |port| lan.sessions.borrow().contains_key(&host(port));
    for (new, goes, stays) in [(1, 7, 9), (2, 9, MOST / 2 + 1), (3, MOST / 2 + 1, 1)] {
        let port = MOST + new;
        lan.begin(host(port), at(port)).unwrap();
        assert!(!has(goes) && has(stays) && has(port), "{port}");
        assert_eq!(lan.sessions.borrow().len(), MOST);
    }
    for session in lan.sessions.borrow().values() {
        session.is_answered.set(true);
    }
    lan.begin(host(MOST + 4), at(0)).unwrap();
    assert!(!has(1) && has(2), "of those that were all answered the oldest");
}

#[test]
fn a_session_that_receives_much_has_a_connection_to_itself() {
    let lan = lan(vec![host(1)]);
    let (one, other) = (host(2), host(3));
    let asked = ([9, 9, 9, 9], 53).into();
    let is_shared = |of: SocketAddr| {
        let shared = lan.shared.borrow().upgrade().unwrap();
        lan.sessions.borrow().get(&of).unwrap().is_on(&shared)
    };
    lan.take(one, asked, b"?");
    lan.take(other, asked, b"?");
    assert!(is_shared(one) && is_shared(other));
    let session = lan.sessions.borrow().get(&one).cloned().unwrap();
    // Of somebody who was not asked, so that nothing is sent.
    lan.give(&session, ([9, 9, 9, 9], 54).into(), &vec![0; 8 * MUCH]);
    lan.take(one, asked, b"?");
    lan.take(other, asked, b"?");
    assert!(!is_shared(one) && is_shared(other));
}
