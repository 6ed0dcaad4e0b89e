//! The descriptors of the process, which all its connections share. Whoever has as many as are left gets no more, so that
//! somebody else always gets some: one alone may have half of them, two a third each.

use std::cell::Cell;

/// How many connections there may be.
pub struct Room {
    most: usize,
    taken: Cell<usize>,
}

impl Room {
    /// Of a process with so many descriptors. A connection takes two; a quarter of them is for what is counted elsewhere or
    /// not at all: listeners, who has yet to say what he wants, a router's datagrams, pipes.
    pub fn new(descriptors: usize) -> Room {
        Room { most: descriptors / 8 * 3, taken: Cell::new(0) }
    }

    /// Whether somebody who has so many may have one more.
    pub fn lets(&self, his: usize) -> bool {
        his < self.most.saturating_sub(self.taken.get())
    }

    /// One begins.
    pub fn take(&self) {
        self.taken.set(self.taken.get() + 1);
    }

    /// One has ended.
    pub fn give(&self) {
        self.taken.set(self.taken.get() - 1);
    }

    /// Whether all have ended.
    #[cfg(feature = "server")]
    pub fn is_empty(&self) -> bool {
        self.taken.get() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As many as somebody gets who asks without end.
    fn all_for_one(room: &Room) -> usize {
        let mut his = 0;
        while room.lets(his) {
            room.take();
            his += 1;
        }
        his
    }

    #[test]
    fn something_is_left_for_the_next_whoever_came_before() {
        let room = Room::new(8 * 80);
        assert_eq!([(); 3].map(|()| all_for_one(&room)), [120, 60, 30]);
        assert!(all_for_one(&room) > 0);
    }

    #[test]
    fn who_is_among_few_descriptors_gets_what_there_is() {
        let room = Room::new(50);
        assert_eq!(all_for_one(&room), 9);
        assert_eq!(all_for_one(&Room::new(0)), 0);
    }
}
