//! Pipes that are empty, for whoever carries much. As with [`super::scratch`], nobody keeps one while nothing is pending.

use std::cell::RefCell;
use std::io;

use crate::sys::pipe::Pipe;

/// More are closed: each takes two descriptors.
const KEPT: usize = 4;

thread_local! {
    static EMPTY: RefCell<Vec<Pipe>> = const { RefCell::new(Vec::new()) };
}

/// An empty pipe.
///
/// # Errors
/// There are no more descriptors.
pub fn take() -> io::Result<Pipe> {
    EMPTY.with_borrow_mut(Vec::pop).map_or_else(Pipe::new, Ok)
}

/// Takes one back. It has to be empty.
pub fn give(pipe: Pipe) {
    EMPTY.with_borrow_mut(|empty| {
        if empty.len() < KEPT {
            empty.push(pipe);
        }
    });
}
