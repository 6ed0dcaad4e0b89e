//! Random bytes for secrets.

use std::io;

/// Bytes that nobody can guess; waits for the kernel to have them, at boot.
///
/// # Errors
/// The kernel has no getrandom(2), which came with Linux 3.17: weaker bytes are none.
pub fn bytes<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    // SAFETY: the kernel writes no more than N bytes to where there are N.
    let given = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), N, 0) };
    match usize::try_from(given) {
        Ok(given) if given == N => Ok(bytes),
        // Less comes only of a signal, while it waits or of more than 256 bytes (getrandom(2)).
        Ok(_) => Err(io::ErrorKind::Interrupted.into()),
        Err(_) => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn no_two_are_the_same() {
        let (one, other) = (super::bytes::<16>().unwrap(), super::bytes::<16>().unwrap());
        assert!(one != other && one != [0; 16], "{one:?}");
    }
}
