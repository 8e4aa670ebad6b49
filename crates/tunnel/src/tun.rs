//! One TUN queue: offload settings, reads and writes of frames with a vnet header.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;

use crate::gso::VNET_HEADER;
use crate::ports::Queue;

// include/uapi/linux/if_tun.h
const TUNSETOFFLOAD: libc::c_ulong = 0x4004_54d0;
const TUNSETVNETHDRSZ: libc::c_ulong = 0x4004_54d8;
const TUN_F_CSUM: libc::c_ulong = 0x01;
const TUN_F_TSO4: libc::c_ulong = 0x02;
const TUN_F_TSO6: libc::c_ulong = 0x04;
const TUN_F_TSO_ECN: libc::c_ulong = 0x08;
const TUN_F_USO4: libc::c_ulong = 0x20;
const TUN_F_USO6: libc::c_ulong = 0x40;

/// A queue that is set up.
pub(crate) struct Device {
    fd: Arc<OwnedFd>,
}

impl Device {
    /// Sets up a queue that was opened with `IFF_TUN | IFF_NO_PI | IFF_VNET_HDR`.
    pub(crate) fn new(fd: Arc<OwnedFd>) -> io::Result<Device> {
        let raw = fd.as_raw_fd();
        let basic = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;
        // UDP segmentation is known from Linux 6.2 on.
        offload(raw, basic | TUN_F_USO4 | TUN_F_USO6).or_else(|_| offload(raw, basic))?;
        let size = VNET_HEADER as libc::c_int;
        // SAFETY: the request reads an int through the pointer.
        check(unsafe { libc::ioctl(raw, TUNSETVNETHDRSZ, &raw const size) })?;
        // SAFETY: plain flag calls on a descriptor that `fd` keeps open.
        let flags = check(unsafe { libc::fcntl(raw, libc::F_GETFL) })?;
        // SAFETY: as above.
        check(unsafe { libc::fcntl(raw, libc::F_SETFL, flags | libc::O_NONBLOCK) })?;
        Ok(Device { fd })
    }
}

impl Queue for Device {
    fn fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    fn read(&self, frame: &mut [u8]) -> io::Result<Option<usize>> {
        // SAFETY: the pointer and the length describe `frame`.
        let length =
            unsafe { libc::read(self.fd.as_raw_fd(), frame.as_mut_ptr().cast(), frame.len()) };
        match usize::try_from(length) {
            Ok(length) => Ok(Some(length)),
            Err(_) => would_block(io::Error::last_os_error()).map(|()| None),
        }
    }

    fn write(&self, frame: &[u8]) -> io::Result<()> {
        // SAFETY: the pointer and the length describe `frame`.
        let length =
            unsafe { libc::write(self.fd.as_raw_fd(), frame.as_ptr().cast(), frame.len()) };
        if length < 0 {
            Err(io::Error::last_os_error())
        } else {
            Ok(())
        }
    }
}

fn offload(fd: libc::c_int, features: libc::c_ulong) -> io::Result<()> {
    // SAFETY: the request takes its argument by value.
    check(unsafe { libc::ioctl(fd, TUNSETOFFLOAD, features) }).map(drop)
}

pub(crate) fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

/// Turns "nothing there" into success.
pub(crate) fn would_block(error: io::Error) -> io::Result<()> {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(()),
        _ => Err(error),
    }
}
