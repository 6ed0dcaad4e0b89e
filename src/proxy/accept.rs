//! Connections that come in.

use std::time::Duration;

use crate::sys::stream::{Listener, Stream};

/// Without descriptors or memory for another connection, those who wait are let wait so long.
const SHORT_OF: Duration = Duration::from_millis(100);

/// Hands each over, without end.
pub async fn each(listener: Listener, mut take: impl FnMut(Stream)) {
    let mut is_short = false;
    loop {
        match listener.accept().await {
            Ok(stream) => {
                is_short = false;
                take(stream);
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
