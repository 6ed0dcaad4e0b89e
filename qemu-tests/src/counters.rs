//! Byte counters of the router's WANs, and each WAN's share of the traffic between two readings.

use std::fs;
use std::time::Instant;

use crate::failure::{Doing, Result};
use crate::topology::{Lab, device};

/// The counters of every WAN's device at one moment; index 0 is WAN 1.
#[derive(Clone, Debug)]
pub struct Reading {
    /// When it was taken.
    pub at: Instant,
    /// Received bytes per WAN.
    pub rx: Vec<u64>,
    /// Sent bytes per WAN.
    pub tx: Vec<u64>,
}

impl Reading {
    /// Reads the counters now.
    pub fn now(lab: &Lab) -> Result<Reading> {
        // Not /proc/net: that is the namespace of the process's first thread.
        let text = lab
            .client
            .enter(|| fs::read_to_string("/proc/thread-self/net/dev"))
            .doing("read the counters of the router's devices")?;
        let (mut rx, mut tx) = (Vec::new(), Vec::new());
        for wan in 1..=lab.wans() {
            let row = text.lines().find_map(|line| line.trim().strip_prefix(&format!("{}:", device(wan))));
            let columns: Vec<u64> =
                row.unwrap_or_default().split_whitespace().filter_map(|word| word.parse().ok()).collect();
            // Columns 0 to 7 are of reception, from 8 on of sending; bytes come first.
            rx.push(columns.first().copied().unwrap_or(0));
            tx.push(columns.get(8).copied().unwrap_or(0));
        }
        Ok(Reading { at: Instant::now(), rx, tx })
    }

    /// Bit/s received per WAN since an earlier reading.
    pub fn rx_rates(&self, earlier: &Reading) -> Vec<f64> {
        self.rates(earlier, |reading| &reading.rx)
    }

    /// Bit/s sent per WAN since an earlier reading.
    pub fn tx_rates(&self, earlier: &Reading) -> Vec<f64> {
        self.rates(earlier, |reading| &reading.tx)
    }

    fn rates(&self, earlier: &Reading, of: impl Fn(&Reading) -> &Vec<u64>) -> Vec<f64> {
        let seconds = self.at.duration_since(earlier.at).as_secs_f64().max(1e-6);
        let bytes = of(self).iter().zip(of(earlier));
        bytes.map(|(now, then)| now.saturating_sub(*then) as f64 * 8.0 / seconds).collect()
    }

    /// Each WAN's part of the bytes received since an earlier reading, 0.0 to 1.0.
    pub fn rx_shares(&self, earlier: &Reading) -> Vec<f64> {
        shares(self.rx_rates(earlier))
    }

    /// Each WAN's part of the bytes sent.
    pub fn tx_shares(&self, earlier: &Reading) -> Vec<f64> {
        shares(self.tx_rates(earlier))
    }
}

fn shares(rates: Vec<f64>) -> Vec<f64> {
    let sum: f64 = rates.iter().sum();
    rates.iter().map(|rate| rate / sum.max(1e-6)).collect()
}
