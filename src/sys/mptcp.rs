//! What the kernel says of an MPTCP socket (net/mptcp/sockopt.c).

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

/// MPTCP's protocol number (uapi/linux/in.h).
pub const IPPROTO_MPTCP: libc::c_int = 262;
/// The level of its options, and what tells of a connection (uapi/linux/mptcp.h, struct mptcp_info).
const SOL_MPTCP: libc::c_int = 284;
const MPTCP_INFO: libc::c_int = 1;
/// `mptcpi_flags` is its third word, and this bit of it a connection that came to be plain TCP.
const FLAGS: usize = 2;
const FLAG_FALLBACK: u32 = 1;
/// `tcpi_total_retrans` of struct tcp_info (uapi/linux/tcp.h), as a word of it.
const TOTAL_RETRANS: usize = 25;

/// Whether a connected socket of MPTCP came to be plain TCP. Where the kernel does not tell (before 5.16), no.
pub fn has_fallen_back(socket: &impl AsFd) -> bool {
    let mut info = [0; FLAGS + 1];
    match option(socket, SOL_MPTCP, MPTCP_INFO, &mut info) {
        Ok(()) => info[FLAGS] & FLAG_FALLBACK != 0,
        // The call is passed on to TCP, which does not know the level.
        Err(_) => is_told(),
    }
}

/// How many segments a TCP connection had to send again.
pub fn retransmissions(socket: &impl AsFd) -> u32 {
    let mut info = [0; TOTAL_RETRANS + 1];
    option(socket, libc::SOL_TCP, libc::TCP_INFO, &mut info).map_or(0, |()| info[TOTAL_RETRANS])
}

/// A new socket that does not block.
///
/// # Errors
/// What the system says: of MPTCP, that it is not built in, or is switched off (net.mptcp.enabled).
pub fn open(family: libc::c_int, protocol: libc::c_int) -> io::Result<OwnedFd> {
    let kind = libc::SOCK_STREAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: socket(2) takes numbers.
    let fd = unsafe { libc::socket(family, kind, protocol) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it was just given to us, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Whether this kernel tells of a connection that is MPTCP, as it does of one that is none yet.
pub fn is_told() -> bool {
    // A no may be a lack of descriptors, or MPTCP switched off for a while.
    static IS_TOLD: AtomicBool = AtomicBool::new(false);
    if !IS_TOLD.load(Relaxed) {
        let fresh = open(libc::AF_INET, IPPROTO_MPTCP);
        let is_told = fresh.is_ok_and(|socket| option(&socket, SOL_MPTCP, MPTCP_INFO, &mut [0]).is_ok());
        IS_TOLD.store(is_told, Relaxed);
    }
    IS_TOLD.load(Relaxed)
}

/// Reads the first words of an option.
fn option(socket: &impl AsFd, level: libc::c_int, name: libc::c_int, words: &mut [u32]) -> io::Result<()> {
    let mut length = size_of_val(words) as libc::socklen_t;
    // SAFETY: it writes at most as many bytes as it is told to `words`, which lives until the call returns.
    let result = unsafe {
        let to = words.as_mut_ptr().cast();
        libc::getsockopt(socket.as_fd().as_raw_fd(), level, name, to, &raw mut length)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
