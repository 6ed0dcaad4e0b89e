//! Links that are bad but alive: none of them is removed.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use super::cases;
use super::managed::Managed;
use crate::check;
use crate::counters::Reading;
use crate::datagrams::{Series, send};
use crate::failure::Result;
use crate::link::Wan;
use crate::runner::Case;
use crate::topology::{Lab, SERVER};
use crate::traffic::{Protocol, Transfer, Way};

pub const LOADED: &[Case] = cases!("bad_links":
    a_link_full_of_downloads_is_kept within 60,
    a_modem_with_a_second_of_queue_is_kept within 60,
    a_loaded_link_with_silences_of_300_ms_is_kept within 60,
);
pub const QUIET: &[Case] = cases!("bad_links":
    five_percent_loss_is_kept within 60,
    silences_of_300_ms_are_kept within 60,
);

/// How long each load or ailment lasts.
const SPELL: Duration = Duration::from_secs(10);
const MBIT: u64 = 5;

fn a_link_full_of_downloads_is_kept() -> Result {
    let managed = Managed::start(Lab::two_wans()?, &[])?;
    let start = Instant::now();
    // The download fills both queues: the RTT rises by 200 ms and packets are dropped all the time.
    let transfer = Transfer::start(&managed.lab)?;
    let before = Reading::now(&managed.lab)?;
    sleep(SPELL);
    let shares = Reading::now(&managed.lab)?.rx_shares(&before);
    println!("shares {shares:.2?}");
    managed.stays(start)?;
    check!(shares.iter().all(|share| *share > 0.15), "not both WANs carried the transfer: {shares:.3?}");
    transfer.finish()?;
    managed.end(start)
}

fn a_modem_with_a_second_of_queue_is_kept() -> Result {
    let modem = Wan::mbit(20).up_mbit(MBIT).delay_ms(25).queue_ms(1000);
    let lab = Lab::builder().wan(modem).wan(Wan::mbit(20).delay_ms(15)).build()?;
    let managed = Managed::start(lab, &[])?;
    let start = Instant::now();
    let before = Reading::now(&managed.lab)?;
    let upload = Transfer::start_as(&managed.lab, Protocol::Tcp, Way::Upload)?;
    sleep(SPELL);
    let rates = Reading::now(&managed.lab)?.tx_rates(&before);
    println!("plain TCP: {rates:.0?} bit/s");
    check!(rates[0] > 0.6 * (MBIT * 1_000_000) as f64, "WAN 1 was not full: {rates:.0?} bit/s");
    managed.stays(start)?;
    upload.finish()?;
    // From full to overfull: a flood knows no congestion control.
    let address = managed.lab.netifd.address(1);
    let flood = Series::at_mbit(2 * MBIT, SPELL);
    let outcome = send((&managed.lab.client, &address), (&managed.lab.server, SERVER), flood)?;
    println!("flood: {:.2} lost, delay {:?}", outcome.loss(), outcome.delay_of(0.5));
    check!(outcome.loss() > 0.3, "the flood was none: {:.2} lost", outcome.loss());
    managed.stays(start)?;
    managed.end(start)
}

fn five_percent_loss_is_kept() -> Result {
    let bad = Wan::mbit(20).delay_ms(20).loss(0.05);
    let managed = Managed::start(Lab::builder().wan(bad).wan(bad).build()?, &[])?;
    let start = Instant::now();
    sleep(2 * SPELL);
    managed.stays(start)?;
    managed.end(start)
}

/// WAN 1 falls silent for 300 ms every two seconds, as LTE does when it changes cells.
fn silences(managed: &Managed, spells: u32) {
    let over = AtomicBool::new(false);
    let start = Instant::now();
    scope(|scope| {
        scope.spawn(|| {
            while !over.load(Relaxed) {
                sleep(Duration::from_millis(1700));
                managed.lab.blackhole(1, true);
                sleep(Duration::from_millis(300));
                managed.lab.blackhole(1, false);
            }
        });
        sleep((spells * SPELL).saturating_sub(start.elapsed()));
        over.store(true, Relaxed);
    });
}

fn silences_of_300_ms_are_kept() -> Result {
    let managed = Managed::start(Lab::two_wans()?, &[])?;
    let start = Instant::now();
    silences(&managed, 2);
    managed.stays(start)?;
    managed.end(start)
}

fn a_loaded_link_with_silences_of_300_ms_is_kept() -> Result {
    let managed = Managed::start(Lab::two_wans()?, &[])?;
    let start = Instant::now();
    let transfer = Transfer::start(&managed.lab)?;
    let before = Reading::now(&managed.lab)?;
    silences(&managed, 2);
    let shares = Reading::now(&managed.lab)?.rx_shares(&before);
    println!("shares {shares:.2?}");
    managed.stays(start)?;
    check!(shares.iter().all(|share| *share > 0.15), "not both WANs carried the transfer: {shares:.3?}");
    transfer.finish()?;
    managed.end(start)
}
