//! What a download gets in peace.

use std::thread::sleep;
use std::time::{Duration, Instant};

use super::keeper::Keeper;
use super::scenario::{Contender, Links};
use super::{quantity, say};
use crate::check;
use crate::endpoint_watch::EndpointWatch;
use crate::failure::Result;
use crate::link::Wan;
use crate::topology::Lab;
use crate::traffic::Transfer;

/// Until both subflows have found their rates.
const WARM_UP: Duration = Duration::from_secs(3);
/// How long is counted.
const WINDOW: Duration = Duration::from_secs(5);
/// Rates in bit/s.
const FAST: f64 = 20e6;
const PAIR: f64 = 30e6;

/// Payload as a part of the links' rates: of both of the pair, of the fast one where the other is slow.
pub fn goodput(links: Links, contender: Contender) -> Result {
    let second = match links {
        Links::Pair => Wan::mbit(10).delay_ms(30),
        Links::WithSlow | Links::FastAlone => Wan::mbit(2).delay_ms(100),
    };
    let lab = Lab::builder().wan(Wan::mbit(20).delay_ms(15)).wan(second).build()?;
    let endpoints = EndpointWatch::start(&lab.client)?;
    let mut keeper = match links {
        Links::FastAlone => None,
        _ => Some(Keeper::start(&lab, contender, &endpoints, &[])?),
    };
    let transfer = Transfer::start(&lab)?;
    sleep(WARM_UP);
    let from = Instant::now();
    sleep(WINDOW);
    let goodput = transfer.timeline.goodput(from, Instant::now());
    match links {
        Links::Pair => say(&quantity::OF_SUM, goodput / PAIR),
        Links::WithSlow | Links::FastAlone => say(&quantity::OF_FAST, goodput / FAST),
    }
    let ended = transfer.finish()?;
    check!(ended.is_mptcp, "the connection fell back to TCP");
    keeper.as_mut().map_or(Ok(()), Keeper::lives)
}
