//! The names of threads, in the place of musl's `pthread_setname_np`: that one can name other threads, by a path that
//! it prints, and for this takes along the C library's printf, 11 KB on MIPS, of which there is no other user.
//!
//! The standard library asks for the calling thread alone.

#![cfg(target_env = "musl")]

use std::ffi::{c_char, c_int};

/// Names the calling thread (PR_SET_NAME, man 2 prctl); `thread` is it.
#[unsafe(no_mangle)]
extern "C" fn pthread_setname_np(_thread: libc::pthread_t, name: *const c_char) -> c_int {
    // SAFETY: the caller gives a string that ends with NUL, and prctl copies at most 16 bytes of it.
    unsafe { libc::prctl(libc::PR_SET_NAME, name) }
}
