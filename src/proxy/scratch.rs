//! Buffers for all connections: what is read goes on before anything else is.

use std::cell::RefCell;

use bsbf_noise::frames::{EXTRA, MOST};

/// The more is read at a time, the fewer calls; and the longest datagram fits.
pub const SIZE: usize = 256 << 10;
/// The same in frames.
const SEALED: usize = SIZE / MOST * (MOST + EXTRA);

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; SIZE]);
    static SEALED_SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; SEALED]);
}

/// Lends the buffer, of [`SIZE`] bytes. Whoever has it may not ask for it again.
pub fn with<T>(work: impl FnOnce(&mut [u8]) -> T) -> T {
    SCRATCH.with_borrow_mut(|scratch| work(scratch))
}

/// Lends another, of as much in frames, for who may have the first.
pub fn with_sealed<T>(work: impl FnOnce(&mut [u8]) -> T) -> T {
    SEALED_SCRATCH.with_borrow_mut(|scratch| work(scratch))
}
