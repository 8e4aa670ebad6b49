//! The TUN device of a VPC namespace. The calling thread must be inside the namespace.

use std::fs::{File, OpenOptions};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;

use crate::desired::TUN;
use crate::error::KernelError;

nix::ioctl_write_int!(tun_set_persist, b'T', 203);
nix::ioctl_write_ptr!(tun_set_iff, b'T', 202, libc::c_int);

/// Whether the device outlives its last open file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Persistence {
    /// Make it so.
    Keep,
    /// Leave it as it is.
    AsItIs,
}

/// Opens a queue of the device; makes the device when it is not there.
pub(super) fn open(persistence: Persistence) -> Result<OwnedFd, KernelError> {
    let file: File = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC)
        .open("/dev/net/tun")
        .map_err(|error| KernelError::io("open /dev/net/tun", error))?;
    // SAFETY: `ifreq` is plain data, for which zero is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(TUN.bytes()) {
        *to = from.cast_signed();
    }
    let flags = libc::IFF_TUN | libc::IFF_NO_PI | libc::IFF_VNET_HDR | libc::IFF_MULTI_QUEUE;
    request.ifr_ifru.ifru_flags = flags as libc::c_short;
    // SAFETY: the kernel reads an `ifreq` from the pointer (linux/if_tun.h declares the argument of
    // TUNSETIFF as int, and reads sizeof(struct ifreq)).
    unsafe { tun_set_iff(file.as_raw_fd(), (&raw const request).cast()) }
        .map_err(|errno| KernelError::io(format!("open the TUN device {TUN}"), errno))?;
    if persistence == Persistence::Keep {
        // SAFETY: the argument is an integer, not a pointer.
        unsafe { tun_set_persist(file.as_raw_fd(), 1) }
            .map_err(|errno| KernelError::io(format!("make {TUN} persistent"), errno))?;
    }
    Ok(file.into())
}
