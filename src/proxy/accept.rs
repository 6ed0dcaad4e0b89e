//! Connections that come in.

use std::time::Duration;

use super::turn::Turn;
use crate::sys::stream::{Listener, Stream};

/// Without descriptors or memory for another connection, those who wait are let wait so long.
const SHORT_OF: Duration = Duration::from_millis(100);

/// Hands each over, without end.
pub async fn each(listener: Listener, mut take: impl FnMut(Stream)) {
    let mut is_short = false;
    let mut turn = Turn::default();
    loop {
        match listener.accept().await {
            Ok(stream) => {
                is_short = false;
                take(stream);
                // Those who came first have something to say while others still come.
                turn.done().await;
            }
            Err(e) => {
                if !is_short {
                    log::warn!("cannot accept connections for a while: {e}");
                }
                is_short = true;
                smol::Timer::after(SHORT_OF).await;
            }
        }
    }
}
