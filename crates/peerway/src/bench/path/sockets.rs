//! Many packets with one system call, and options that the standard library lacks.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

/// Sets an integer option.
///
/// # Errors
/// What the kernel says.
pub(super) fn set(
    socket: &impl AsRawFd,
    level: i32,
    name: i32,
    value: libc::c_int,
) -> io::Result<()> {
    // SAFETY: the pointer and length describe a live integer.
    let outcome = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            (&raw const value).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if outcome == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Receives what is there without waiting; the lengths are those on the link.
pub(super) fn receive(socket: &OwnedFd, mut buffers: Vec<&mut [u8]>) -> Vec<usize> {
    let mut parts: Vec<libc::iovec> = buffers
        .iter_mut()
        .map(|buffer| libc::iovec {
            iov_base: buffer.as_mut_ptr().cast(),
            iov_len: buffer.len(),
        })
        .collect();
    let mut messages: Vec<libc::mmsghdr> = parts.iter_mut().map(message).collect();
    // SAFETY: the messages describe the buffers, which outlive the call.
    let count = unsafe {
        libc::recvmmsg(
            socket.as_raw_fd(),
            messages.as_mut_ptr(),
            messages.len() as u32,
            libc::MSG_DONTWAIT | libc::MSG_TRUNC,
            std::ptr::null_mut(),
        )
    };
    let count = usize::try_from(count).unwrap_or(0);
    let received = messages.iter().take(count);
    received.map(|message| message.msg_len as usize).collect()
}

/// Sends all; returns how many were refused.
pub(super) fn send_all(socket: &OwnedFd, buffers: &[&[u8]]) -> u64 {
    let mut parts: Vec<libc::iovec> = buffers
        .iter()
        .map(|buffer| libc::iovec {
            iov_base: buffer.as_ptr().cast_mut().cast(),
            iov_len: buffer.len(),
        })
        .collect();
    let mut messages: Vec<libc::mmsghdr> = parts.iter_mut().map(message).collect();
    let (mut rest, mut refused) = (&mut messages[..], 0);
    while !rest.is_empty() {
        // SAFETY: the messages describe the buffers, which outlive the call and are only read.
        let sent =
            unsafe { libc::sendmmsg(socket.as_raw_fd(), rest.as_mut_ptr(), rest.len() as u32, 0) };
        let sent = usize::try_from(sent).unwrap_or(0);
        // The first one of the rest was refused.
        let done = if sent == 0 { 1 } else { sent };
        refused += u64::from(sent == 0);
        rest = &mut rest[done..];
    }
    refused
}

fn message(part: &mut libc::iovec) -> libc::mmsghdr {
    // SAFETY: plain integers and pointers, for which zero is a value.
    let mut message: libc::mmsghdr = unsafe { std::mem::zeroed() };
    message.msg_hdr.msg_iov = part;
    message.msg_hdr.msg_iovlen = 1;
    message
}
