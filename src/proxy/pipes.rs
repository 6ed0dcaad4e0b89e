//! Pipes, for whoever carries much. As with [`super::scratch`], nobody keeps one while nothing is pending; and however many
//! connections stall with something in theirs, all of it together has a bound.

use std::cell::{Cell, RefCell};
use std::ops::Deref;

use crate::sys::pipe::Pipe;

/// Of more, those that are empty are closed.
const KEPT: usize = 4;
/// There are no more, of a mebibyte each: what is in them is neither the sockets' memory any more nor ours yet.
pub const MOST: usize = 8;

thread_local! {
    static EMPTY: RefCell<Vec<Lent>> = const { RefCell::new(Vec::new()) };
    static OPEN: Cell<usize> = const { Cell::new(0) };
}

/// One of them.
pub struct Lent(Pipe);

impl Deref for Lent {
    type Target = Pipe;

    fn deref(&self) -> &Pipe {
        &self.0
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        OPEN.set(OPEN.get() - 1);
    }
}

/// An empty pipe; none if there are enough, or no descriptors for more.
pub fn take() -> Option<Lent> {
    if let Some(pipe) = EMPTY.with_borrow_mut(Vec::pop) {
        return Some(pipe);
    }
    if OPEN.get() >= MOST {
        return None;
    }
    let pipe = Pipe::new().ok()?;
    OPEN.set(OPEN.get() + 1);
    Some(Lent(pipe))
}

/// Takes one back. It has to be empty.
pub fn give(pipe: Lent) {
    EMPTY.with_borrow_mut(|empty| {
        if empty.len() < KEPT {
            empty.push(pipe);
        }
    });
}

/// How many there are.
#[cfg(test)]
pub fn open() -> usize {
    OPEN.get()
}
