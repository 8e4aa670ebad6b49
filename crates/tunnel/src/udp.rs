//! An underlay socket: batched sends with `UDP_SEGMENT`, batched receives with `UDP_GRO`, ECN both
//! ways, and the path's MTU.

use std::io;
use std::mem::{size_of, zeroed};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

use socket2::{Domain, SockAddr, Type};

use crate::inbox::Inbox;
use crate::outbox::Run;
use crate::ports::{Received, Sent, Socket};
use crate::tun::{check, would_block};

const BUFFER_BYTES: libc::c_int = 8 << 20;
const MESSAGES: usize = 8;
const MESSAGE_BYTES: usize = 1 << 16;
const CONTROL_BYTES: usize = 128;

/// A bound socket of one address family.
pub(crate) struct Underlay {
    socket: UdpSocket,
    local: SocketAddr,
    // Cleared when a device on the way cannot do it.
    segmentation: AtomicBool,
}

impl Underlay {
    pub(crate) fn bind(address: SocketAddr) -> io::Result<Underlay> {
        let socket = socket2::Socket::new(
            Domain::for_address(address),
            Type::DGRAM.nonblocking(),
            None,
        )?;
        let fd = socket.as_raw_fd();
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
            set(fd, libc::IPPROTO_IPV6, libc::IPV6_RECVTCLASS, 1)?;
            set(
                fd,
                libc::IPPROTO_IPV6,
                libc::IPV6_MTU_DISCOVER,
                libc::IPV6_PMTUDISC_PROBE,
            )?;
        } else {
            set(fd, libc::IPPROTO_IP, libc::IP_RECVTOS, 1)?;
            set(
                fd,
                libc::IPPROTO_IP,
                libc::IP_MTU_DISCOVER,
                libc::IP_PMTUDISC_PROBE,
            )?;
        }
        // Without CAP_NET_ADMIN the system's limits apply.
        for (forced, plain) in [
            (libc::SO_RCVBUFFORCE, libc::SO_RCVBUF),
            (libc::SO_SNDBUFFORCE, libc::SO_SNDBUF),
        ] {
            set(fd, libc::SOL_SOCKET, forced, BUFFER_BYTES)
                .or_else(|_| set(fd, libc::SOL_SOCKET, plain, BUFFER_BYTES))?;
        }
        // Absent before Linux 5.0; single datagrams then.
        let _ = set(fd, libc::SOL_UDP, libc::UDP_GRO, 1);
        socket.bind(&address.into())?;
        let socket: UdpSocket = socket.into();
        let local = socket.local_addr()?;
        Ok(Underlay {
            socket,
            local,
            segmentation: AtomicBool::new(true),
        })
    }

    fn send_message(
        &self,
        destination: &SockAddr,
        ecn: u8,
        segment: Option<usize>,
        bytes: &[u8],
    ) -> io::Result<()> {
        let mut control = [0u64; CONTROL_BYTES / 8];
        let mut part = libc::iovec {
            iov_base: bytes.as_ptr().cast_mut().cast(),
            iov_len: bytes.len(),
        };
        // SAFETY: all-zero is a valid msghdr.
        let mut message: libc::msghdr = unsafe { zeroed() };
        message.msg_name = destination.as_ptr().cast_mut().cast();
        message.msg_namelen = destination.len();
        message.msg_iov = &raw mut part;
        message.msg_iovlen = 1;
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = CONTROL_BYTES;
        let mut used = 0;
        // SAFETY: the control buffer is aligned for cmsghdr and holds both entries; each pointer
        // comes from CMSG_FIRSTHDR or CMSG_NXTHDR of that buffer.
        unsafe {
            let mut header = libc::CMSG_FIRSTHDR(&raw const message);
            if let Some(segment) = segment {
                used += put(header, libc::SOL_UDP, libc::UDP_SEGMENT, segment as u16);
                header = libc::CMSG_NXTHDR(&raw const message, header);
            }
            if ecn != 0 {
                used += if self.local.is_ipv6() {
                    put(
                        header,
                        libc::IPPROTO_IPV6,
                        libc::IPV6_TCLASS,
                        libc::c_int::from(ecn),
                    )
                } else {
                    put(
                        header,
                        libc::IPPROTO_IP,
                        libc::IP_TOS,
                        libc::c_int::from(ecn),
                    )
                };
            }
        }
        message.msg_controllen = used;
        if used == 0 {
            message.msg_control = std::ptr::null_mut();
        }
        // SAFETY: the message points to live buffers only.
        let result = unsafe { libc::sendmsg(self.fd(), &raw const message, 0) };
        if result < 0 {
            Err(io::Error::last_os_error())
        } else {
            Ok(())
        }
    }
}

impl Socket for Underlay {
    fn fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }

    fn local(&self) -> SocketAddr {
        self.local
    }

    // In one send where the path allows it.
    fn send(&self, run: &Run, bytes: &[u8]) -> Sent {
        let destination = SockAddr::from(run.destination);
        if run.count > 1 && self.segmentation.load(Ordering::Relaxed) {
            match self.send_message(&destination, run.ecn, Some(run.segment), bytes) {
                Ok(()) => {
                    return Sent {
                        sends: 1,
                        datagrams: run.count as u64,
                        dropped: 0,
                    };
                }
                Err(error) => match error.raw_os_error() {
                    Some(libc::EIO) => self.segmentation.store(false, Ordering::Relaxed),
                    // Larger than the path's MTU: the small ones among them may still pass.
                    Some(libc::EMSGSIZE | libc::EINVAL) => {}
                    _ => {
                        return Sent {
                            sends: 1,
                            datagrams: 0,
                            dropped: run.count as u64,
                        };
                    }
                },
            }
        }
        let mut sent = Sent::default();
        for datagram in bytes.chunks(run.segment) {
            sent.sends += 1;
            match self.send_message(&destination, run.ecn, None, datagram) {
                Ok(()) => sent.datagrams += 1,
                Err(_) => sent.dropped += 1,
            }
        }
        sent
    }

    fn receive(&self, inbox: &mut Inbox) -> io::Result<Received> {
        // SAFETY: all-zero is a valid value of these C structures.
        let mut names: [libc::sockaddr_storage; MESSAGES] = unsafe { zeroed() };
        // SAFETY: as above.
        let mut parts: [libc::iovec; MESSAGES] = unsafe { zeroed() };
        // SAFETY: as above.
        let mut messages: [libc::mmsghdr; MESSAGES] = unsafe { zeroed() };
        let mut control = [[0u64; CONTROL_BYTES / 8]; MESSAGES];
        let room = inbox.room(MESSAGES * MESSAGE_BYTES);
        for (index, bytes) in room.chunks_exact_mut(MESSAGE_BYTES).enumerate() {
            parts[index] = libc::iovec {
                iov_base: bytes.as_mut_ptr().cast(),
                iov_len: bytes.len(),
            };
            let message = &mut messages[index].msg_hdr;
            message.msg_name = (&raw mut names[index]).cast();
            message.msg_namelen = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
            message.msg_iov = &raw mut parts[index];
            message.msg_iovlen = 1;
            message.msg_control = control[index].as_mut_ptr().cast();
            message.msg_controllen = CONTROL_BYTES;
        }
        // SAFETY: every message points to live buffers of the lengths given.
        let count = unsafe {
            libc::recvmmsg(
                self.fd(),
                messages.as_mut_ptr(),
                MESSAGES as u32,
                libc::MSG_DONTWAIT,
                std::ptr::null_mut(),
            )
        };
        let mut received = Received::default();
        let Ok(count) = usize::try_from(count) else {
            return would_block(io::Error::last_os_error()).map(|()| received);
        };
        received.messages = count;
        for (index, message) in messages[..count].iter().enumerate() {
            let Some(source) = socket_address(&names[index]) else {
                continue;
            };
            let length = message.msg_len as usize;
            let (ecn, segment) = control_values(&message.msg_hdr);
            let segment = segment.filter(|segment| *segment > 0).unwrap_or(length);
            let start = index * MESSAGE_BYTES;
            received.datagrams += inbox.push(source, ecn, segment, start..start + length);
        }
        Ok(received)
    }
}

/// The MTU of the route to an endpoint, as the kernel sees it from this network namespace.
pub(crate) fn path_mtu(endpoint: SocketAddr) -> io::Result<u16> {
    let socket = socket2::Socket::new(Domain::for_address(endpoint), Type::DGRAM, None)?;
    socket.connect(&endpoint.into())?;
    let (level, name) = match endpoint {
        SocketAddr::V4(_) => (libc::IPPROTO_IP, libc::IP_MTU),
        SocketAddr::V6(_) => (libc::IPPROTO_IPV6, libc::IPV6_MTU),
    };
    let mut mtu: libc::c_int = 0;
    let mut length = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the kernel writes an int, as the length says.
    check(unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            level,
            name,
            (&raw mut mtu).cast(),
            &raw mut length,
        )
    })?;
    Ok(u16::try_from(mtu).unwrap_or(u16::MAX))
}

fn set(fd: RawFd, level: libc::c_int, name: libc::c_int, value: libc::c_int) -> io::Result<()> {
    let length = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the kernel reads an int, as the length says.
    check(unsafe { libc::setsockopt(fd, level, name, (&raw const value).cast(), length) }).map(drop)
}

// SAFETY: `header` must point to a control message header with room for `value` behind it.
unsafe fn put<T: Copy>(
    header: *mut libc::cmsghdr,
    level: libc::c_int,
    kind: libc::c_int,
    value: T,
) -> usize {
    let size = size_of::<T>() as u32;
    // SAFETY: promised by the caller.
    unsafe {
        (*header).cmsg_level = level;
        (*header).cmsg_type = kind;
        (*header).cmsg_len = libc::CMSG_LEN(size) as usize;
        libc::CMSG_DATA(header).cast::<T>().write_unaligned(value);
        libc::CMSG_SPACE(size) as usize
    }
}

// The ECN codepoint and the segment size of a received message.
fn control_values(message: &libc::msghdr) -> (u8, Option<usize>) {
    let (mut ecn, mut segment) = (0, None);
    // SAFETY: the kernel filled the control buffer and its length; the macros stay inside it, and
    // each value is read with the size that the kernel documents for its type.
    unsafe {
        let mut header = libc::CMSG_FIRSTHDR(message);
        while !header.is_null() {
            let data = libc::CMSG_DATA(header);
            match ((*header).cmsg_level, (*header).cmsg_type) {
                (libc::IPPROTO_IP, libc::IP_TOS) => ecn = *data & 0b11,
                (libc::IPPROTO_IPV6, libc::IPV6_TCLASS) => {
                    ecn = (data.cast::<libc::c_int>().read_unaligned() & 0b11) as u8;
                }
                (libc::SOL_UDP, libc::UDP_GRO) => {
                    segment = usize::try_from(data.cast::<libc::c_int>().read_unaligned()).ok();
                }
                _ => {}
            }
            header = libc::CMSG_NXTHDR(message, header);
        }
    }
    (ecn, segment)
}

fn socket_address(name: &libc::sockaddr_storage) -> Option<SocketAddr> {
    let pointer = std::ptr::from_ref(name);
    match libc::c_int::from(name.ss_family) {
        libc::AF_INET => {
            // SAFETY: the family says which structure the kernel wrote; storage is large enough.
            let name = unsafe { &*pointer.cast::<libc::sockaddr_in>() };
            let address = Ipv4Addr::from(u32::from_be(name.sin_addr.s_addr));
            Some(SocketAddrV4::new(address, u16::from_be(name.sin_port)).into())
        }
        libc::AF_INET6 => {
            // SAFETY: as above.
            let name = unsafe { &*pointer.cast::<libc::sockaddr_in6>() };
            let address = Ipv6Addr::from(name.sin6_addr.s6_addr);
            let port = u16::from_be(name.sin6_port);
            Some(SocketAddrV6::new(address, port, 0, name.sin6_scope_id).into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    // Sends runs over loopback and returns what arrives as (ecn, datagram).
    fn cross(address: &str, runs: &[(u8, usize, usize)]) -> Vec<(u8, Vec<u8>)> {
        let sender = Underlay::bind(address.parse().unwrap()).unwrap();
        let receiver = Underlay::bind(address.parse().unwrap()).unwrap();
        let mut expected = 0;
        for (ecn, segment, length) in runs {
            let bytes: Vec<u8> = (0..*length).map(|at| (at / segment) as u8).collect();
            let run = Run {
                destination: receiver.local(),
                ecn: *ecn,
                segment: *segment,
                count: length.div_ceil(*segment),
                range: 0..*length,
            };
            let sent = sender.send(&run, &bytes);
            assert_eq!((sent.datagrams, sent.dropped), (run.count as u64, 0));
            assert_eq!(sent.sends, 1);
            expected += run.count;
        }
        let (mut inbox, mut got) = (Inbox::default(), Vec::new());
        let end = Instant::now() + Duration::from_secs(5);
        while got.len() < expected {
            assert!(Instant::now() < end, "{} of {expected} arrived", got.len());
            receiver.receive(&mut inbox).unwrap();
            for at in 0..inbox.len() {
                let (arrival, datagram) = inbox.arrival_mut(at);
                assert_eq!(arrival.source, sender.local());
                got.push((arrival.ecn, datagram.to_vec()));
            }
            inbox.clear();
        }
        got
    }

    #[test]
    fn runs_arrive_as_datagrams_with_their_ecn_over_both_families() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let got = cross(
                address,
                &[(0, 1000, 9500), (2, 1000, 3000), (3, 700, 700), (1, 20, 50)],
            );
            let shape: Vec<_> = got.iter().map(|(ecn, bytes)| (*ecn, bytes.len())).collect();
            let mut expected = vec![(0, 1000); 9];
            expected.extend([
                (0, 500),
                (2, 1000),
                (2, 1000),
                (2, 1000),
                (3, 700),
                (1, 20),
                (1, 20),
                (1, 10),
            ]);
            assert_eq!(shape, expected, "{address}");
            let numbers: Vec<u8> = got[..10].iter().map(|(_, bytes)| bytes[0]).collect();
            assert_eq!(numbers, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        }
    }

    #[test]
    fn the_path_mtu_is_the_routes() {
        // Loopback's is 65536, which a u16 cannot say.
        assert_eq!(path_mtu("127.0.0.1:9".parse().unwrap()).unwrap(), u16::MAX);
    }
}
