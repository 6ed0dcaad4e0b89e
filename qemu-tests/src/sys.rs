//! The kernel requests for which neither std nor nix has a safe function. All of the lab's `unsafe`.
#![allow(unsafe_code)]

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use libc::{c_int, c_void, socklen_t};

/// Multipath TCP (include/uapi/linux/in.h).
pub const IPPROTO_MPTCP: c_int = 262;

/// Socket options of MPTCP (include/linux/socket.h, include/uapi/linux/mptcp.h).
const SOL_MPTCP: c_int = 284;
const MPTCP_INFO: c_int = 1;

/// Neither send on a packet socket through the qdisc nor see what is sent (include/uapi/linux/if_packet.h).
const PACKET_QDISC_BYPASS: c_int = 20;
const PACKET_IGNORE_OUTGOING: c_int = 23;

/// Offload switches of SIOCETHTOOL (include/uapi/linux/ethtool.h).
const ETHTOOL_STXCSUM: u32 = 0x17;
const ETHTOOL_STSO: u32 = 0x1f;
const ETHTOOL_SGSO: u32 = 0x24;
const ETHTOOL_SGRO: u32 = 0x2c;

fn check(result: c_int) -> io::Result<c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Runs `prepare` in the child of `command`, between fork and exec.
///
/// `prepare` must do system calls only: no allocation, no lock.
pub fn before_exec(command: &mut Command, prepare: impl FnMut() -> io::Result<()> + Send + Sync + 'static) {
    // SAFETY: every caller in this crate passes a closure of plain system calls on values it owns
    // (setns, unshare, mount, prctl); none allocates or locks, as a child of a threaded process requires.
    unsafe { command.pre_exec(prepare) };
}

/// A stream socket of this protocol (0 for TCP, `IPPROTO_MPTCP`).
pub fn stream_socket(protocol: c_int) -> io::Result<OwnedFd> {
    // SAFETY: no pointers; the descriptor is checked and owned by nobody else.
    unsafe {
        let fd = check(libc::socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, protocol))?;
        Ok(OwnedFd::from_raw_fd(fd))
    }
}

/// A packet socket for whole frames that device `ifindex` receives, and for sending on it.
pub fn packet_socket(ifindex: u32) -> io::Result<OwnedFd> {
    // Protocol 0 until bound: otherwise frames of other devices would slip in before the bind.
    let flags = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: no pointers; the descriptor is checked and owned by nobody else.
    let fd = unsafe { OwnedFd::from_raw_fd(check(libc::socket(libc::AF_PACKET, flags, 0))?) };
    set_option(&fd, libc::SOL_PACKET, PACKET_IGNORE_OUTGOING, &1i32.to_ne_bytes())?;
    set_option(&fd, libc::SOL_PACKET, PACKET_QDISC_BYPASS, &1i32.to_ne_bytes())?;
    // SAFETY: all zeroes is a valid sockaddr_ll.
    let mut address: libc::sockaddr_ll = unsafe { mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
    address.sll_ifindex = ifindex as i32;
    // SAFETY: the pointer and length describe `address`, which outlives the call.
    check(unsafe {
        libc::bind(
            fd.as_raw_fd(),
            (&raw const address).cast(),
            mem::size_of::<libc::sockaddr_ll>() as socklen_t,
        )
    })?;
    Ok(fd)
}

/// setsockopt with the option's value as bytes.
pub fn set_option(fd: &impl AsRawFd, level: c_int, name: c_int, value: &[u8]) -> io::Result<()> {
    // SAFETY: the pointer and length describe `value`, which outlives the call.
    check(unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            level,
            name,
            value.as_ptr().cast::<c_void>(),
            value.len() as socklen_t,
        )
    })?;
    Ok(())
}

/// The flags of an MPTCP connection (MPTCP_INFO; Linux 5.16).
pub fn mptcp_flags(fd: &impl AsRawFd) -> io::Result<u32> {
    // struct mptcp_info begins with six u8, and after them, aligned, u32 mptcpi_flags.
    let mut info = [0u32; 3];
    let mut length = mem::size_of_val(&info) as socklen_t;
    // SAFETY: the pointers describe `info` and its length, which outlive the call.
    check(unsafe {
        libc::getsockopt(fd.as_raw_fd(), SOL_MPTCP, MPTCP_INFO, (&raw mut info).cast(), &raw mut length)
    })?;
    Ok(info[2])
}

/// Switches the segmentation, checksum and receive offloads of a device of this namespace off, so that
/// every frame on its wire is at most an MTU long and carries a real checksum.
pub fn offloads_off(ifname: &str) -> io::Result<()> {
    let socket = stream_socket(0)?;
    for command in [ETHTOOL_SGRO, ETHTOOL_STSO, ETHTOOL_SGSO, ETHTOOL_STXCSUM] {
        // struct ethtool_value { u32 cmd; u32 data; }
        let mut value = [command, 0];
        // SAFETY: all zeroes is a valid ifreq.
        let mut request: libc::ifreq = unsafe { mem::zeroed() };
        // The last byte of the name stays NUL.
        for (to, from) in request.ifr_name[..libc::IFNAMSIZ - 1].iter_mut().zip(ifname.bytes()) {
            *to = from as libc::c_char;
        }
        request.ifr_ifru.ifru_data = value.as_mut_ptr().cast();
        // SAFETY: `request` and the ethtool_value that it points to outlive the call, and each of these
        // commands reads exactly one ethtool_value.
        check(unsafe {
            libc::ioctl(socket.as_raw_fd(), libc::SIOCETHTOOL as libc::Ioctl, &raw mut request)
        })?;
    }
    Ok(())
}

/// Lets the calling thread run before all ordinary ones. Needs root outside of user namespaces.
pub fn run_first() -> io::Result<()> {
    // SAFETY: all zeroes is a valid sched_param; musl's has fields that Linux does not use.
    let mut parameters: libc::sched_param = unsafe { mem::zeroed() };
    // The lowest of the real-time priorities is above every ordinary one.
    parameters.sched_priority = 1;
    // SAFETY: the pointer is to a sched_param that outlives the call; 0 is the calling thread.
    check(unsafe { libc::sched_setscheduler(0, libc::SCHED_RR, &raw const parameters) })?;
    Ok(())
}
