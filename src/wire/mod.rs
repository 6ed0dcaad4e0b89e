//! Bytes and text to values and back. No I/O, never a panic on input.
