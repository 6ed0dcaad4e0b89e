//! Taking turns. What a task finds at hand it takes without waiting; one that always finds something would keep the
//! others from theirs.

use smol::future;

/// So much is done in a turn.
const TURN: u32 = 8;

/// What has been done of this turn.
#[derive(Default)]
pub struct Turn(u32);

impl Turn {
    /// Something was done: the others' turn, if it was the last of this one.
    pub async fn done(&mut self) {
        self.0 += 1;
        if self.0 >= TURN {
            self.0 = 0;
            future::yield_now().await;
        }
    }
}
