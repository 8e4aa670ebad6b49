//! The inner MTU of a pair of gateways and how it is kept: ICMP for packets that must not be
//! fragmented, fragments for the others, and a clamp on TCP's MSS.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use crate::framing::OVERHEAD;
use crate::packet::{
    IPV4_HEADER, IPV6_HEADER, IpHeader, Ipv4Header, PROTOCOL_ICMP, PROTOCOL_ICMPV6, PROTOCOL_TCP,
    TCP_HEADER, TCP_SYN, fold, is_icmp_error, is_ipv6, pseudo_sum_of, replace_word, sum,
    write_ipv4_checksum,
};

/// Bytes that WireGuard adds over IPv4: IPv4 20, UDP 8, header 16, tag 16.
pub const WIREGUARD_OVER_IPV4: u16 = 60;
/// Bytes that WireGuard adds over IPv6: IPv6 40, UDP 8, header 16, tag 16.
pub const WIREGUARD_OVER_IPV6: u16 = 80;

// RFC 1812, section 4.3.2.3: as much of the packet as fits into 576 bytes.
const ICMP_QUOTE: usize = 576 - IPV4_HEADER - 8;
// RFC 4443, section 3.2: as much of the packet as fits into the least MTU of IPv6.
const ICMPV6_QUOTE: usize = IPV6_MIN_MTU as usize - IPV6_HEADER - 8;
/// The least MTU that carries IPv6. Source: RFC 8200, section 5.
pub const IPV6_MIN_MTU: u16 = 1280;
const ICMP_PER_SEC: u32 = 100;
const ICMP_BURST: u32 = 20;

/// The MTU of the tunnel with a gateway at `underlay`: what one WireGuard message can carry.
pub fn tunnel_mtu(underlay_mtu: u16, underlay: &SocketAddr) -> u16 {
    underlay_mtu.saturating_sub(match underlay {
        SocketAddr::V4(_) => WIREGUARD_OVER_IPV4,
        SocketAddr::V6(_) => WIREGUARD_OVER_IPV6,
    })
}

/// The largest packet of a tenant that crosses to a gateway at `underlay` (only its family
/// counts) without fragments: 1390 over IPv4 and 1370 over IPv6 for an underlay MTU of 1500.
pub fn inner_mtu(underlay_mtu: u16, underlay: &SocketAddr) -> u16 {
    tunnel_mtu(underlay_mtu, underlay).saturating_sub(OVERHEAD as u16)
}

/// Lowers the MSS of a TCP SYN to what the MTU allows; leaves everything else as it is. Source:
/// RFC 9293, section 3.7.1.
pub fn clamp_mss(packet: &mut [u8], mtu: u16) {
    let Ok(header) = IpHeader::parse(packet) else {
        return;
    };
    if header.protocol != PROTOCOL_TCP || header.is_later_fragment {
        return;
    }
    let tcp = header.header_len;
    let Some(fixed) = packet[..header.total_len].get(tcp..tcp + TCP_HEADER) else {
        return;
    };
    if fixed[13] & TCP_SYN == 0 {
        return;
    }
    let end = (tcp + usize::from(fixed[12] >> 4) * 4).min(header.total_len);
    let ip_header = if is_ipv6(packet) {
        IPV6_HEADER
    } else {
        IPV4_HEADER
    };
    let limit = mtu.saturating_sub((ip_header + TCP_HEADER) as u16);
    let mut at = tcp + TCP_HEADER;
    while at < end {
        let kind = packet[at];
        let length = match kind {
            0 => return,
            1 => 1,
            _ if at + 1 < end => usize::from(packet[at + 1]),
            _ => return,
        };
        if length == 0 || at + length > end || (kind > 1 && length < 2) {
            return;
        }
        if kind == 2 && length == 4 {
            lower_mss(packet, tcp, at + 2, limit);
            return;
        }
        at += length;
    }
}

// The checksum's words are aligned to the TCP header, the option need not be: an unaligned value
// is patched as two words.
fn lower_mss(packet: &mut [u8], tcp: usize, at: usize, limit: u16) {
    if u16::from_be_bytes([packet[at], packet[at + 1]]) <= limit {
        return;
    }
    let checksum_at = tcp + 16;
    let [high, low] = limit.to_be_bytes();
    if (at - tcp).is_multiple_of(2) {
        replace_word(packet, at, limit, checksum_at);
    } else {
        let first = u16::from_be_bytes([packet[at - 1], high]);
        let second = u16::from_be_bytes([low, packet[at + 2]]);
        replace_word(packet, at - 1, first, checksum_at);
        replace_word(packet, at + 1, second, checksum_at);
    }
}

/// Whether an ICMP error may be sent about a packet: not about ICMP errors, later fragments, or
/// sources that are no single host. Source: RFC 1122, section 3.2.2, and RFC 4443, section 2.4.
pub fn may_answer(packet: &[u8], header: &IpHeader) -> bool {
    let is_host = match header.source {
        IpAddr::V4(host) => {
            !(host.is_broadcast()
                || host.is_multicast()
                || host.is_loopback()
                || host.is_unspecified())
        }
        IpAddr::V6(host) => !(host.is_multicast() || host.is_loopback() || host.is_unspecified()),
    };
    is_host && !header.is_later_fragment && !is_icmp_error(packet, header)
}

/// The message that a packet is too big, from a gateway's address of the same version.
pub fn too_big(about: &[u8], gateway: IpAddr, mtu: u16) -> Vec<u8> {
    match gateway {
        IpAddr::V4(gateway) => icmp_too_big(about, gateway, mtu),
        IpAddr::V6(gateway) => icmpv6_too_big(about, gateway, mtu),
    }
}

/// The ICMPv6 message "packet too big" about a valid IPv6 packet. Source: RFC 4443, section 3.2.
pub fn icmpv6_too_big(about: &[u8], gateway: Ipv6Addr, mtu: u16) -> Vec<u8> {
    let quote = &about[..about.len().min(ICMPV6_QUOTE)];
    let length = (8 + quote.len()) as u16;
    let mut packet = vec![0x60, 0, 0, 0, 0, 0, PROTOCOL_ICMPV6, 64];
    packet[4..6].copy_from_slice(&length.to_be_bytes());
    packet.extend_from_slice(&gateway.octets());
    packet.extend_from_slice(&about[8..24]);
    packet.extend_from_slice(&[2, 0, 0, 0]);
    packet.extend_from_slice(&u32::from(mtu).to_be_bytes());
    packet.extend_from_slice(quote);
    write_icmpv6_checksum(&mut packet);
    packet
}

/// Writes the checksum of an ICMPv6 message behind an IPv6 header without extensions.
pub fn write_icmpv6_checksum(packet: &mut [u8]) {
    let at = IPV6_HEADER + 2;
    packet[at..at + 2].fill(0);
    let message = &packet[IPV6_HEADER..];
    let checksum = !fold(pseudo_sum_of(packet, PROTOCOL_ICMPV6, message.len()) + sum(message));
    packet[at..at + 2].copy_from_slice(&checksum.to_be_bytes());
}

/// The ICMP message "fragmentation needed" about a valid IPv4 packet, from a gateway's address.
/// Source: RFC 792 and RFC 1191, section 4.
pub fn icmp_too_big(about: &[u8], gateway: Ipv4Addr, mtu: u16) -> Vec<u8> {
    let quote = &about[..about.len().min(ICMP_QUOTE)];
    let mut packet = vec![0; IPV4_HEADER + 8];
    packet.extend_from_slice(quote);
    let total = packet.len() as u16;
    packet[..10].copy_from_slice(&[0x45, 0xc0, 0, 0, 0, 0, 0, 0, 64, PROTOCOL_ICMP]);
    packet[2..4].copy_from_slice(&total.to_be_bytes());
    packet[12..16].copy_from_slice(&gateway.octets());
    packet[16..20].copy_from_slice(&about[12..16]);
    write_ipv4_checksum(&mut packet, IPV4_HEADER);
    packet[20..22].copy_from_slice(&[3, 4]);
    packet[26..28].copy_from_slice(&mtu.to_be_bytes());
    let checksum = !fold(sum(&packet[20..]));
    packet[22..24].copy_from_slice(&checksum.to_be_bytes());
    packet
}

/// Splits a packet into fragments of at most `mtu` bytes, each handed to `emit`. `scratch` holds at
/// least `mtu` bytes. Packets of which no fragment could carry payload give none. Source: RFC 791,
/// section 3.2.
pub fn fragment(packet: &[u8], mtu: usize, scratch: &mut [u8], mut emit: impl FnMut(&mut [u8])) {
    let Ok(header) = Ipv4Header::parse(packet) else {
        return;
    };
    let payload = &packet[header.header_len..header.total_len];
    let mut at = 0;
    while at < payload.len() {
        let header_len = if at == 0 {
            scratch[..header.header_len].copy_from_slice(&packet[..header.header_len]);
            header.header_len
        } else {
            copy_header(&packet[..header.header_len], scratch)
        };
        let room = mtu.saturating_sub(header_len) & !7;
        if room == 0 {
            return;
        }
        let take = room.min(payload.len() - at);
        let more = header.more_fragments || at + take < payload.len();
        let length = header_len + take;
        scratch[header_len..length].copy_from_slice(&payload[at..at + take]);
        let offset = (header.fragment_offset + (at / 8) as u16) & 0x1fff | u16::from(more) << 13;
        scratch[2..4].copy_from_slice(&(length as u16).to_be_bytes());
        scratch[6..8].copy_from_slice(&offset.to_be_bytes());
        write_ipv4_checksum(&mut scratch[..length], header_len);
        emit(&mut scratch[..length]);
        at += take;
    }
}

// Later fragments carry only the options whose copy bit is set, padded to whole words.
fn copy_header(header: &[u8], out: &mut [u8]) -> usize {
    out[..IPV4_HEADER].copy_from_slice(&header[..IPV4_HEADER]);
    let mut length = IPV4_HEADER;
    let mut at = IPV4_HEADER;
    while at < header.len() {
        let size = match header[at] {
            0 => break,
            1 => 1,
            _ => usize::from(header.get(at + 1).copied().unwrap_or(0)),
        };
        if size == 0 || at + size > header.len() || (header[at] > 1 && size < 2) {
            break;
        }
        if header[at] & 0x80 != 0 {
            out[length..length + size].copy_from_slice(&header[at..at + size]);
            length += size;
        }
        at += size;
    }
    while !length.is_multiple_of(4) {
        out[length] = 0;
        length += 1;
    }
    out[0] = 0x40 | (length / 4) as u8;
    length
}

/// The limit on ICMP errors: 100 a second, 20 at once.
#[derive(Debug, Clone, Copy)]
pub struct IcmpLimit {
    tokens: f64,
    updated: Instant,
}

impl IcmpLimit {
    /// A limit with its whole burst.
    pub fn new(now: Instant) -> IcmpLimit {
        IcmpLimit {
            tokens: f64::from(ICMP_BURST),
            updated: now,
        }
    }

    /// Takes one message's token, if there is one.
    pub fn take(&mut self, now: Instant) -> bool {
        let elapsed: Duration = now.saturating_duration_since(self.updated);
        self.updated = self.updated.max(now);
        self.tokens = (self.tokens + elapsed.as_secs_f64() * f64::from(ICMP_PER_SEC))
            .min(f64::from(ICMP_BURST));
        let granted = self.tokens >= 1.0;
        if granted {
            self.tokens -= 1.0;
        }
        granted
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{tcp_packet_with_options, transport_checksum_is_right, udp_packet};

    const A: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 5);
    const B: Ipv4Addr = Ipv4Addr::new(10, 2, 0, 5);

    #[test]
    fn inner_mtus_are_the_documented_ones() {
        let v4: SocketAddr = "192.0.2.1:51820".parse().unwrap();
        let v6: SocketAddr = "[2001:db8::1]:51820".parse().unwrap();
        for (underlay, over_v4, over_v6) in
            [(1500, 1390, 1370), (1400, 1290, 1270), (9000, 8890, 8870)]
        {
            assert_eq!(inner_mtu(underlay, &v4), over_v4);
            assert_eq!(inner_mtu(underlay, &v6), over_v6);
        }
        assert_eq!(inner_mtu(60, &v6), 0);
    }

    #[test]
    fn the_mss_is_lowered_and_the_checksum_follows() {
        // Aligned, and after one no-operation byte, unaligned.
        for options in [
            &[2, 4, 5, 180, 1, 1, 1, 0][..],
            &[1, 2, 4, 5, 180, 1, 1, 0][..],
        ] {
            let mut packet = tcp_packet_with_options(A, B, 1, TCP_SYN, options, b"");
            clamp_mss(&mut packet, 1390);
            assert!(transport_checksum_is_right(&packet));
            let at = packet.windows(2).position(|pair| pair == [2, 4]).unwrap();
            assert_eq!(u16::from_be_bytes([packet[at + 2], packet[at + 3]]), 1350);
            let before = packet.clone();
            clamp_mss(&mut packet, 1390);
            clamp_mss(&mut packet, 9000);
            assert_eq!(packet, before, "a smaller MSS stays");
        }
        let mut data = tcp_packet_with_options(A, B, 1, 0x10, &[2, 4, 5, 180], b"");
        let before = data.clone();
        clamp_mss(&mut data, 1390);
        assert_eq!(data, before, "only SYN is clamped");
    }

    #[test]
    fn too_big_has_the_documented_form() {
        let about = udp_packet(B, A, 1, 2, &[9; 1400]);
        let packet = icmp_too_big(&about, Ipv4Addr::new(10, 2, 0, 1), 1390);
        let header = Ipv4Header::parse(&packet).unwrap();
        assert_eq!(
            (header.source, header.destination),
            (Ipv4Addr::new(10, 2, 0, 1), B)
        );
        assert_eq!(packet.len(), 576);
        assert_eq!(packet[20..22], [3, 4]);
        assert_eq!(packet[24..28], [0, 0, 5, 110]);
        assert_eq!(fold(sum(&packet[20..])), 0xffff);
        assert_eq!(packet[28..], about[..548]);
        assert!(!may_answer(&packet, &header.into()));
        assert!(may_answer(&about, &IpHeader::parse(&about).unwrap()));
    }

    #[test]
    fn too_big_for_ipv6_has_the_documented_form() {
        let (a, b): (Ipv6Addr, Ipv6Addr) = (
            "2001:db8:1::5".parse().unwrap(),
            "2001:db8:2::5".parse().unwrap(),
        );
        let gateway = "2001:db8:1::1".parse().unwrap();
        let about = crate::testing::tcp_packet_v6(a, b, 1, 0x10, &[9; 1400]);
        let packet = too_big(&about, gateway, 1370);
        let header = IpHeader::parse(&packet).unwrap();
        assert_eq!((header.source, header.destination), (gateway, a.into()));
        assert_eq!((packet.len(), header.protocol), (1280, PROTOCOL_ICMPV6));
        assert_eq!(packet[40..42], [2, 0]);
        assert_eq!(packet[44..48], [0, 0, 5, 90]);
        let message = &packet[40..];
        let total = pseudo_sum_of(&packet, PROTOCOL_ICMPV6, message.len()) + sum(message);
        assert_eq!(fold(total), 0xffff);
        assert_eq!(packet[48..], about[..1232]);
        assert!(!may_answer(&packet, &header));
        assert!(may_answer(&about, &IpHeader::parse(&about).unwrap()));
    }

    #[test]
    fn icmp_is_limited() {
        let start = Instant::now();
        let mut limit = IcmpLimit::new(start);
        assert_eq!((0..100).filter(|_| limit.take(start)).count(), 20);
        assert_eq!(
            (0..100)
                .filter(|_| limit.take(start + Duration::from_millis(100)))
                .count(),
            10
        );
    }

    proptest! {
        #[test]
        fn fragments_fit_and_join_to_the_packet(payload in 1usize..20_000, mtu in 68usize..1500) {
            let bytes: Vec<u8> = (0..payload).map(|n| (n % 251) as u8).collect();
            let mut packet = udp_packet(A, B, 1, 2, &bytes);
            packet[6] = 0;
            write_ipv4_checksum(&mut packet, 20);
            let mut joined = vec![0; packet.len() - 20];
            let mut last = 0;
            fragment(&packet, mtu, &mut vec![0; 1 << 16], |part| {
                let header = Ipv4Header::parse(part).unwrap();
                assert!(part.len() <= mtu && fold(sum(&part[..20])) == 0xffff);
                let at = usize::from(header.fragment_offset) * 8;
                joined[at..at + part.len() - 20].copy_from_slice(&part[20..]);
                if !header.more_fragments {
                    last += 1;
                    assert_eq!(at + part.len() - 20, packet.len() - 20);
                }
            });
            prop_assert_eq!(last, 1);
            prop_assert_eq!(&joined, &packet[20..]);
        }

        #[test]
        fn no_bytes_make_clamp_or_fragment_panic(
            mut bytes in proptest::collection::vec(any::<u8>(), 20..200), words in 5u8..16, mtu in 0u16..200,
        ) {
            bytes[0] = 0x40 | words;
            let length = bytes.len() as u16;
            bytes[2..4].copy_from_slice(&length.to_be_bytes());
            bytes[6..8].fill(0);
            bytes[9] = PROTOCOL_TCP;
            fragment(&bytes, mtu.into(), &mut vec![0; 1 << 16], |_| {});
            clamp_mss(&mut bytes, mtu);
        }
    }
}
