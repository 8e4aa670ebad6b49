//! The virtio network header of a TUN queue, and the split of a super-packet into whole packets.
//!
//! With `IFF_VNET_HDR` and `TUNSETOFFLOAD` the kernel hands over TCP and UDP data of up to 64 KiB
//! under one set of headers, and leaves checksums to be completed. Everything that leaves this
//! module is a packet that survives alone. Source: virtio 1.2, section 5.1.6, and
//! `include/linux/virtio_net.h`.

use crate::packet::{
    IPV6_HEADER, IpHeader, Malformed, PROTOCOL_TCP, PROTOCOL_UDP, TCP_CWR, TCP_FIN, TCP_HEADER,
    TCP_PSH, UDP_HEADER, fold, is_ipv6, pseudo_sum_of, sum, write_ipv4_checksum,
};

/// Bytes of the header before each packet, as set by `TUNSETVNETHDRSZ`.
pub const VNET_HEADER: usize = 10;

const NEEDS_CSUM: u8 = 1;
const GSO_NONE: u8 = 0;
const GSO_TCPV4: u8 = 1;
const GSO_TCPV6: u8 = 4;
const GSO_UDP_L4: u8 = 5;
const GSO_ECN: u8 = 0x80;

/// The header before each packet, in the machine's byte order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct VnetHeader {
    /// Bit 0: the checksum at `csum_start + csum_offset` is to be completed.
    pub flags: u8,
    /// How the packet is to be split; 0 for a whole one.
    pub gso_type: u8,
    /// Bytes of all headers, a hint.
    pub hdr_len: u16,
    /// Payload bytes of each packet after the split.
    pub gso_size: u16,
    /// Where checksumming starts, from the start of the packet.
    pub csum_start: u16,
    /// Where the checksum is, from `csum_start`.
    pub csum_offset: u16,
}

impl VnetHeader {
    /// Splits the header off a frame read from the queue.
    ///
    /// # Errors
    /// [`Malformed::Truncated`] below ten bytes.
    pub fn split(frame: &mut [u8]) -> Result<(VnetHeader, &mut [u8]), Malformed> {
        let (header, packet) = frame
            .split_first_chunk_mut::<VNET_HEADER>()
            .ok_or(Malformed::Truncated)?;
        let word = |at: usize| u16::from_ne_bytes([header[at], header[at + 1]]);
        let header = VnetHeader {
            flags: header[0],
            gso_type: header[1],
            hdr_len: word(2),
            gso_size: word(4),
            csum_start: word(6),
            csum_offset: word(8),
        };
        Ok((header, packet))
    }

    /// The header's bytes.
    pub fn to_bytes(self) -> [u8; VNET_HEADER] {
        let [h0, h1] = self.hdr_len.to_ne_bytes();
        let [g0, g1] = self.gso_size.to_ne_bytes();
        let [s0, s1] = self.csum_start.to_ne_bytes();
        let [o0, o1] = self.csum_offset.to_ne_bytes();
        [self.flags, self.gso_type, h0, h1, g0, g1, s0, s1, o0, o1]
    }

    /// The header of a TCP super-packet whose checksum field holds the pseudo header's sum.
    pub fn tcp_super_packet(ip_header_len: usize, header_len: usize, segment: usize) -> VnetHeader {
        VnetHeader {
            flags: NEEDS_CSUM,
            gso_type: if ip_header_len == IPV6_HEADER {
                GSO_TCPV6
            } else {
                GSO_TCPV4
            },
            hdr_len: header_len as u16,
            gso_size: segment as u16,
            csum_start: ip_header_len as u16,
            csum_offset: 16,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Whole,
    Tcp,
    Udp,
}

/// How a packet from a queue divides into whole packets. It says nothing without the packet that it
/// was made for, and stays right for any copy of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Division {
    kind: Kind,
    // Where the transport header is; the IP header's length.
    transport: u16,
    headers_len: u16,
    segment: u16,
    count: u16,
    len: u16,
}

impl Division {
    /// A packet of `len` bytes that is whole already.
    pub fn whole(len: usize) -> Division {
        Division {
            kind: Kind::Whole,
            transport: 0,
            headers_len: 0,
            segment: 0,
            count: 1,
            len: len as u16,
        }
    }

    /// Whether the packet is whole as it is.
    pub fn is_whole(&self) -> bool {
        self.kind == Kind::Whole
    }

    /// How many whole packets it makes, at least 1.
    pub fn count(&self) -> usize {
        self.count.into()
    }

    /// The length of whole packet number `index` (below `count`).
    pub fn packet_len(&self, index: usize) -> usize {
        let (start, end) = self.payload(index);
        usize::from(self.headers_len) + end - start
    }

    /// The bytes of the whole packets from number `first` on.
    pub fn bytes_from(&self, first: usize) -> usize {
        let (start, _) = self.payload(first);
        let packets = usize::from(self.count).saturating_sub(first);
        usize::from(self.len).saturating_sub(start) + packets * usize::from(self.headers_len)
    }

    fn payload(&self, index: usize) -> (usize, usize) {
        let start = usize::from(self.headers_len) + index * usize::from(self.segment);
        let end = match self.kind {
            Kind::Whole => self.len.into(),
            Kind::Tcp | Kind::Udp => (start + usize::from(self.segment)).min(self.len.into()),
        };
        (start, end)
    }

    /// Writes whole packet number `index` (below `count`) of `packet` to the start of `out` and
    /// returns its length. `out` must hold [`Division::packet_len`].
    pub fn write(&self, packet: &[u8], index: usize, out: &mut [u8]) -> usize {
        let headers_len = usize::from(self.headers_len);
        let (start, end) = self.payload(index);
        let length = headers_len + end - start;
        out[..headers_len].copy_from_slice(&packet[..headers_len]);
        out[headers_len..length].copy_from_slice(&packet[start..end]);
        if self.is_whole() {
            return length;
        }
        let out = &mut out[..length];
        if is_ipv6(packet) {
            let payload = (length - IPV6_HEADER) as u16;
            out[4..6].copy_from_slice(&payload.to_be_bytes());
        } else {
            let id = u16::from_be_bytes([packet[4], packet[5]]).wrapping_add(index as u16);
            out[2..4].copy_from_slice(&(length as u16).to_be_bytes());
            out[4..6].copy_from_slice(&id.to_be_bytes());
            write_ipv4_checksum(out, self.transport.into());
        }
        if self.kind == Kind::Tcp {
            self.finish_tcp(index, out);
        } else {
            self.finish_udp(out);
        }
        length
    }

    // Sequence numbers advance by the payload; FIN and PSH belong to the last segment, CWR to the
    // first one.
    fn finish_tcp(&self, index: usize, out: &mut [u8]) {
        let tcp = &mut out[self.transport.into()..];
        let sequence = u32::from_be_bytes([tcp[4], tcp[5], tcp[6], tcp[7]])
            .wrapping_add((index * usize::from(self.segment)) as u32);
        tcp[4..8].copy_from_slice(&sequence.to_be_bytes());
        if index + 1 < self.count() {
            tcp[13] &= !(TCP_FIN | TCP_PSH);
        }
        if index > 0 {
            tcp[13] &= !TCP_CWR;
        }
        self.write_transport_checksum(PROTOCOL_TCP, 16, out);
    }

    fn finish_udp(&self, out: &mut [u8]) {
        let at = usize::from(self.transport) + 4;
        let length = (out.len() - usize::from(self.transport)) as u16;
        out[at..at + 2].copy_from_slice(&length.to_be_bytes());
        self.write_transport_checksum(PROTOCOL_UDP, 6, out);
    }

    fn write_transport_checksum(&self, protocol: u8, at: usize, out: &mut [u8]) {
        let (ip, transport) = out.split_at_mut(self.transport.into());
        transport[at..at + 2].fill(0);
        let pseudo = pseudo_sum_of(ip, protocol, transport.len());
        let mut checksum = !fold(pseudo + sum(transport));
        if checksum == 0 && protocol == PROTOCOL_UDP {
            checksum = 0xffff;
        }
        transport[at..at + 2].copy_from_slice(&checksum.to_be_bytes());
    }
}

/// One read of a TUN queue: a whole packet or one to be split.
#[derive(Debug)]
pub struct SuperPacket<'a> {
    /// The bytes as they came, completed when whole.
    pub bytes: &'a mut [u8],
    /// The headers' fields, those of the super-packet.
    pub header: IpHeader,
    /// How it divides.
    pub division: Division,
}

impl<'a> SuperPacket<'a> {
    /// Checks a packet against its header and completes its checksum when it is a whole one.
    ///
    /// # Errors
    /// [`Malformed`] when the two contradict each other.
    pub fn parse(vnet: &VnetHeader, packet: &'a mut [u8]) -> Result<SuperPacket<'a>, Malformed> {
        let header = IpHeader::parse(packet)?;
        let gso_tcp = if header.source.is_ipv6() {
            GSO_TCPV6
        } else {
            GSO_TCPV4
        };
        let (kind, headers_len) = match vnet.gso_type & !GSO_ECN {
            GSO_NONE => (Kind::Whole, 0),
            gso if gso == gso_tcp && header.protocol == PROTOCOL_TCP => {
                let offset = packet[..header.total_len]
                    .get(header.header_len + 12)
                    .ok_or(Malformed::Truncated)?;
                let tcp_len = usize::from(offset >> 4) * 4;
                if tcp_len < TCP_HEADER {
                    return Err(Malformed::Field);
                }
                (Kind::Tcp, header.header_len + tcp_len)
            }
            GSO_UDP_L4 if header.protocol == PROTOCOL_UDP => {
                (Kind::Udp, header.header_len + UDP_HEADER)
            }
            _ => return Err(Malformed::Field),
        };
        let bytes = &mut packet[..header.total_len];
        if kind == Kind::Whole {
            if vnet.flags & NEEDS_CSUM != 0 {
                complete_checksum(vnet, bytes)?;
            }
            let division = Division::whole(bytes.len());
            return Ok(SuperPacket {
                bytes,
                header,
                division,
            });
        }
        let payload = bytes
            .len()
            .checked_sub(headers_len)
            .ok_or(Malformed::Truncated)?;
        if vnet.gso_size == 0 || payload == 0 || header.is_fragment {
            return Err(Malformed::Field);
        }
        let division = Division {
            kind,
            transport: header.header_len as u16,
            headers_len: headers_len as u16,
            segment: vnet.gso_size,
            // At most the payload's length, itself below 64 KiB.
            count: payload.div_ceil(vnet.gso_size.into()) as u16,
            len: bytes.len() as u16,
        };
        Ok(SuperPacket {
            bytes,
            header,
            division,
        })
    }

    /// How many whole packets it makes, at least 1.
    pub fn count(&self) -> usize {
        self.division.count()
    }

    /// As [`Division::write`].
    pub fn write_segment(&self, index: usize, out: &mut [u8]) -> usize {
        self.division.write(self.bytes, index, out)
    }
}

// The field already holds the pseudo header's sum, so that the sum from `csum_start` to the end
// is all that is missing.
fn complete_checksum(vnet: &VnetHeader, packet: &mut [u8]) -> Result<(), Malformed> {
    let start = usize::from(vnet.csum_start);
    let field = start + usize::from(vnet.csum_offset);
    if field + 2 > packet.len() {
        return Err(Malformed::Truncated);
    }
    let mut checksum = !fold(sum(&packet[start..]));
    if checksum == 0 {
        // Never wrong for TCP, required for UDP, where 0 means "none".
        checksum = 0xffff;
    }
    packet[field..field + 2].copy_from_slice(&checksum.to_be_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use proptest::prelude::*;

    use super::*;
    use crate::packet::{Ipv4Header, pseudo_header_sum};
    use crate::testing::{tcp_packet, transport_checksum_is_right, udp_packet};

    const A: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 5);
    const B: Ipv4Addr = Ipv4Addr::new(10, 2, 0, 5);

    fn split(vnet: VnetHeader, packet: &mut [u8]) -> Vec<Vec<u8>> {
        let parsed = SuperPacket::parse(&vnet, packet).unwrap();
        let mut out = vec![0; 1 << 16];
        (0..parsed.count())
            .map(|index| {
                let length = parsed.write_segment(index, &mut out);
                assert_eq!(parsed.division.packet_len(index), length);
                let rest = (index..parsed.count()).map(|n| parsed.division.packet_len(n));
                assert_eq!(parsed.division.bytes_from(index), rest.sum::<usize>());
                out[..length].to_vec()
            })
            .collect()
    }

    #[test]
    fn tcp_segments_are_whole_packets_in_sequence() {
        let payload: Vec<u8> = (0..3000u32).map(|n| n as u8).collect();
        let flags = TCP_FIN | TCP_PSH | TCP_CWR | 0x10;
        let mut packet = tcp_packet(A, B, 1000, flags, &payload);
        let vnet = VnetHeader::tcp_super_packet(20, 40, 1350);
        let parts = split(vnet, &mut packet);
        assert_eq!(
            parts.iter().map(Vec::len).collect::<Vec<_>>(),
            [1390, 1390, 340]
        );
        let mut joined = Vec::new();
        for (index, part) in parts.iter().enumerate() {
            let header = Ipv4Header::parse(part).unwrap();
            assert_eq!(fold(sum(&part[..20])), 0xffff);
            assert!(transport_checksum_is_right(part));
            assert_eq!(
                header.id,
                Ipv4Header::parse(&packet).unwrap().id + index as u16
            );
            let sequence = u32::from_be_bytes(part[24..28].try_into().unwrap());
            assert_eq!(sequence, 1000 + 1350 * index as u32);
            joined.extend_from_slice(&part[40..]);
        }
        assert_eq!(joined, payload);
        let flags: Vec<u8> = parts.iter().map(|part| part[33]).collect();
        assert_eq!(flags, [0x10 | TCP_CWR, 0x10, 0x10 | TCP_FIN | TCP_PSH]);
    }

    #[test]
    fn udp_super_packets_become_datagrams() {
        let mut packet = udp_packet(A, B, 7, 9, &[7; 2500]);
        let vnet = VnetHeader {
            gso_type: GSO_UDP_L4,
            gso_size: 1000,
            ..VnetHeader::default()
        };
        let parts = split(vnet, &mut packet);
        assert_eq!(
            parts.iter().map(Vec::len).collect::<Vec<_>>(),
            [1028, 1028, 528]
        );
        assert!(parts.iter().all(|part| transport_checksum_is_right(part)));
    }

    #[test]
    fn a_partial_checksum_is_completed() {
        let mut packet = tcp_packet(A, B, 1, 0x10, b"abc");
        let pseudo = fold(pseudo_header_sum(A, B, PROTOCOL_TCP, packet.len() - 20));
        packet[36..38].copy_from_slice(&pseudo.to_be_bytes());
        let vnet = VnetHeader {
            flags: 1,
            csum_start: 20,
            csum_offset: 16,
            ..VnetHeader::default()
        };
        let parts = split(vnet, &mut packet);
        assert!(transport_checksum_is_right(&parts[0]));
    }

    #[test]
    fn ipv6_segments_are_whole_packets_in_sequence() {
        let (a, b) = (
            "2001:db8:1::5".parse().unwrap(),
            "2001:db8:2::5".parse().unwrap(),
        );
        let payload: Vec<u8> = (0..3000u32).map(|n| n as u8).collect();
        let mut packet = crate::testing::tcp_packet_v6(a, b, 1000, TCP_PSH | 0x10, &payload);
        let vnet = VnetHeader::tcp_super_packet(40, 60, 1330);
        assert_eq!(vnet.gso_type, GSO_TCPV6);
        let parts = split(vnet, &mut packet);
        assert_eq!(
            parts.iter().map(Vec::len).collect::<Vec<_>>(),
            [1390, 1390, 400]
        );
        assert!(parts.iter().all(|part| transport_checksum_is_right(part)));
        let joined: Vec<u8> = parts.iter().flat_map(|part| &part[60..]).copied().collect();
        assert_eq!(joined, payload);
        let sequence = u32::from_be_bytes(parts[2][44..48].try_into().unwrap());
        assert_eq!(sequence, 1000 + 2 * 1330);
        // IPv4 segmentation of an IPv6 packet is a contradiction.
        let wrong = VnetHeader {
            gso_type: GSO_TCPV4,
            ..vnet
        };
        assert!(SuperPacket::parse(&wrong, &mut packet).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_split_panic(
            mut frame in proptest::collection::vec(any::<u8>(), 0..300), version in 0u8..3, kind in 0u8..6,
        ) {
            if version == 2 && frame.len() > 60 {
                frame[1] = kind;
                frame[10] = 0x60;
                let length = (frame.len() - 50) as u16;
                frame[14..16].copy_from_slice(&length.to_be_bytes());
                frame[16] = if kind == 5 { PROTOCOL_UDP } else { PROTOCOL_TCP };
            }
            if version == 1 && frame.len() > 40 {
                frame[1] = kind;
                frame[10] = 0x45;
                let length = (frame.len() - 10) as u16;
                frame[12..14].copy_from_slice(&length.to_be_bytes());
                frame[19] = if kind == 5 { PROTOCOL_UDP } else { PROTOCOL_TCP };
            }
            let mut out = vec![0; 1 << 16];
            if let Ok((vnet, packet)) = VnetHeader::split(&mut frame)
                && let Ok(parsed) = SuperPacket::parse(&vnet, packet)
            {
                for index in 0..parsed.count() {
                    parsed.write_segment(index, &mut out);
                }
            }
        }
    }
}
