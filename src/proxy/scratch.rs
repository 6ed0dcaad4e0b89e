//! One buffer for all connections: what is read goes on before anything else is.

use std::cell::RefCell;

/// The more is read at a time, the fewer calls; and the longest datagram fits.
pub const SIZE: usize = 256 << 10;

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; SIZE]);
}

/// Lends the buffer, of [`SIZE`] bytes. Whoever has it may not ask for it again.
pub fn with<T>(work: impl FnOnce(&mut [u8]) -> T) -> T {
    SCRATCH.with_borrow_mut(|scratch| work(scratch))
}
