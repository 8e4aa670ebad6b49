//! IP, TCP and ICMP headers as byte offsets, and the Internet checksum.
//!
//! Nothing here owns a packet: functions read and patch byte slices. Every parser takes untrusted
//! bytes and answers with an error, never a panic.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Bytes of an IPv4 header without options.
pub const IPV4_HEADER: usize = 20;
/// Bytes of an IPv6 header without extensions.
pub const IPV6_HEADER: usize = 40;
/// Bytes of a UDP header.
pub const UDP_HEADER: usize = 8;
/// Bytes of a TCP header without options.
pub const TCP_HEADER: usize = 20;
/// The protocol number of ICMP.
pub const PROTOCOL_ICMP: u8 = 1;
/// The protocol number of TCP.
pub const PROTOCOL_TCP: u8 = 6;
/// The protocol number of UDP.
pub const PROTOCOL_UDP: u8 = 17;
/// The protocol number of ICMPv6.
pub const PROTOCOL_ICMPV6: u8 = 58;
/// The TCP flag FIN.
pub const TCP_FIN: u8 = 0x01;
/// The TCP flag SYN.
pub const TCP_SYN: u8 = 0x02;
/// The TCP flag PSH.
pub const TCP_PSH: u8 = 0x08;
/// The TCP flag ACK.
pub const TCP_ACK: u8 = 0x10;
/// The TCP flag CWR. Source: RFC 3168, section 6.1.
pub const TCP_CWR: u8 = 0x80;
/// The ECN codepoint "congestion experienced". Source: RFC 3168, section 5.
pub const ECN_CE: u8 = 0b11;

/// Bytes that are no packet of the expected kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Shorter than its headers say.
    #[error("the packet is shorter than its headers say")]
    Truncated,
    /// Another IP version than expected.
    #[error("the packet has another IP version")]
    Version,
    /// A header length or a field that cannot be.
    #[error("a header field has an impossible value")]
    Field,
    /// A checksum that does not match.
    #[error("a checksum does not match")]
    Checksum,
}

/// The fields of an IPv4 header, host order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ipv4Header {
    /// Bytes of the header with options, 20 to 60.
    pub header_len: usize,
    /// Bytes of the packet, at least `header_len`, at most what was given.
    pub total_len: usize,
    /// DSCP and ECN.
    pub tos: u8,
    /// The identification.
    pub id: u16,
    /// Whether routers must not fragment it.
    pub dont_fragment: bool,
    /// Whether fragments follow.
    pub more_fragments: bool,
    /// Where this fragment starts, in units of 8 bytes.
    pub fragment_offset: u16,
    /// The time to live.
    pub ttl: u8,
    /// The protocol number.
    pub protocol: u8,
    /// The source address.
    pub source: Ipv4Addr,
    /// The destination address.
    pub destination: Ipv4Addr,
}

impl Ipv4Header {
    /// Reads the header at the start of a packet. The header checksum is not verified: the kernel
    /// that gets the packet does that.
    ///
    /// # Errors
    /// [`Malformed`] for another version, lengths that contradict each other or the slice.
    pub fn parse(packet: &[u8]) -> Result<Ipv4Header, Malformed> {
        let Some(fixed) = packet.first_chunk::<IPV4_HEADER>() else {
            return Err(match packet.first() {
                Some(byte) if byte >> 4 != 4 => Malformed::Version,
                _ => Malformed::Truncated,
            });
        };
        if fixed[0] >> 4 != 4 {
            return Err(Malformed::Version);
        }
        let header_len = usize::from(fixed[0] & 0x0f) * 4;
        let total_len = usize::from(u16::from_be_bytes([fixed[2], fixed[3]]));
        if header_len < IPV4_HEADER || total_len < header_len {
            return Err(Malformed::Field);
        }
        if total_len > packet.len() {
            return Err(Malformed::Truncated);
        }
        let fragment = u16::from_be_bytes([fixed[6], fixed[7]]);
        Ok(Ipv4Header {
            header_len,
            total_len,
            tos: fixed[1],
            id: u16::from_be_bytes([fixed[4], fixed[5]]),
            dont_fragment: fragment & 0x4000 != 0,
            more_fragments: fragment & 0x2000 != 0,
            fragment_offset: fragment & 0x1fff,
            ttl: fixed[8],
            protocol: fixed[9],
            source: Ipv4Addr::new(fixed[12], fixed[13], fixed[14], fixed[15]),
            destination: Ipv4Addr::new(fixed[16], fixed[17], fixed[18], fixed[19]),
        })
    }

    /// Whether the packet is a part of a larger one.
    pub fn is_fragment(&self) -> bool {
        self.more_fragments || self.fragment_offset != 0
    }

    /// The ECN codepoint, 0 to 3.
    pub fn ecn(&self) -> u8 {
        self.tos & 0b11
    }
}

/// What forwarding needs of an IP header of either version, host order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IpHeader {
    /// Where the transport header is: bytes of the header with options or extensions.
    pub header_len: usize,
    /// Bytes of the packet, at least `header_len`, at most what was given.
    pub total_len: usize,
    /// Whether routers must not fragment it; IPv6 routers never do.
    pub dont_fragment: bool,
    /// Whether it is a part of a larger packet.
    pub is_fragment: bool,
    /// Whether it is such a part without the transport header.
    pub is_later_fragment: bool,
    /// The protocol number of what is at `header_len`.
    pub protocol: u8,
    /// The source address.
    pub source: IpAddr,
    /// The destination address.
    pub destination: IpAddr,
}

// IPv6 extension headers that may stand before the transport header. Source: RFC 8200, section 4.
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const DESTINATION_OPTIONS: u8 = 60;
const MAX_EXTENSIONS: usize = 8;

impl IpHeader {
    /// Reads the header at the start of a packet.
    ///
    /// # Errors
    /// [`Malformed`] for an unknown version, lengths that contradict each other or the slice, and
    /// more than eight extension headers.
    pub fn parse(packet: &[u8]) -> Result<IpHeader, Malformed> {
        match packet.first().map(|byte| byte >> 4) {
            Some(6) => IpHeader::parse_ipv6(packet),
            Some(_) => Ipv4Header::parse(packet).map(IpHeader::from),
            None => Err(Malformed::Truncated),
        }
    }

    fn parse_ipv6(packet: &[u8]) -> Result<IpHeader, Malformed> {
        let fixed: &[u8; IPV6_HEADER] = packet.first_chunk().ok_or(Malformed::Truncated)?;
        let total_len = IPV6_HEADER + usize::from(u16::from_be_bytes([fixed[4], fixed[5]]));
        let packet = packet.get(..total_len).ok_or(Malformed::Truncated)?;
        let address = |at: usize| -> [u8; 16] { std::array::from_fn(|index| fixed[at + index]) };
        let mut header = IpHeader {
            header_len: IPV6_HEADER,
            total_len,
            dont_fragment: true,
            is_fragment: false,
            is_later_fragment: false,
            protocol: fixed[6],
            source: Ipv6Addr::from(address(8)).into(),
            destination: Ipv6Addr::from(address(24)).into(),
        };
        for _ in 0..=MAX_EXTENSIONS {
            if header.is_later_fragment
                || !matches!(
                    header.protocol,
                    HOP_BY_HOP | ROUTING | FRAGMENT | DESTINATION_OPTIONS
                )
            {
                return Ok(header);
            }
            let extension: &[u8; 8] = packet[header.header_len..]
                .first_chunk()
                .ok_or(Malformed::Truncated)?;
            let mut length = 8;
            if header.protocol == FRAGMENT {
                let fragment = u16::from_be_bytes([extension[2], extension[3]]);
                // An "atomic" fragment is the whole packet. Source: RFC 6946.
                header.is_fragment = fragment & !0b110 != 0;
                header.is_later_fragment = fragment >> 3 != 0;
            } else {
                length += usize::from(extension[1]) * 8;
            }
            header.protocol = extension[0];
            header.header_len += length;
            if header.header_len > total_len {
                return Err(Malformed::Truncated);
            }
        }
        Err(Malformed::Field)
    }
}

impl From<Ipv4Header> for IpHeader {
    fn from(header: Ipv4Header) -> IpHeader {
        IpHeader {
            header_len: header.header_len,
            total_len: header.total_len,
            dont_fragment: header.dont_fragment,
            is_fragment: header.is_fragment(),
            is_later_fragment: header.fragment_offset != 0,
            protocol: header.protocol,
            source: header.source.into(),
            destination: header.destination.into(),
        }
    }
}

// Below, the call costs more than wider registers save.
const WIDE_BYTES: usize = 128;

/// The sum of 16-bit big-endian words, an odd last byte padded with zero. Partial sums of parts
/// with even lengths may be added. Source: RFC 1071.
pub fn sum(bytes: &[u8]) -> u32 {
    #[cfg(target_arch = "x86_64")]
    if bytes.len() >= WIDE_BYTES && std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has the feature that the function is compiled for.
        return unsafe { sum_avx2(bytes) };
    }
    sum_words(bytes)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn sum_avx2(bytes: &[u8]) -> u32 {
    sum_words(bytes)
}

// 32-bit native words into 64-bit lanes: the ones' complement sum commutes with byte order, so one
// swap at the end suffices and the loop vectorises, as wide as the caller's features allow.
#[inline(always)]
fn sum_words(bytes: &[u8]) -> u32 {
    let mut words = bytes.chunks_exact(4);
    let mut total: u64 = 0;
    for word in words.by_ref() {
        total += u64::from(u32::from_ne_bytes([word[0], word[1], word[2], word[3]]));
    }
    let mut last = [0u8; 4];
    last[..words.remainder().len()].copy_from_slice(words.remainder());
    total += u64::from(u32::from_ne_bytes(last));
    while total > 0xffff {
        total = (total & 0xffff) + (total >> 16);
    }
    u32::from(u16::from_be(total as u16))
}

/// Folds a sum to 16 bits without complementing it.
pub fn fold(mut sum: u32) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// The sum of the pseudo header of TCP and UDP. `length` is the transport header with its payload.
pub fn pseudo_header_sum(
    source: Ipv4Addr,
    destination: Ipv4Addr,
    protocol: u8,
    length: usize,
) -> u32 {
    sum(&source.octets()) + sum(&destination.octets()) + u32::from(protocol) + length as u32
}

/// The sum of the pseudo header of a packet's transport, from the bytes of its IP header. `length`
/// is the transport header with its payload. Source: RFC 9293, section 3.1, and RFC 8200, section
/// 8.1.
pub fn pseudo_sum_of(packet: &[u8], protocol: u8, length: usize) -> u32 {
    let addresses = if is_ipv6(packet) { 8..40 } else { 12..20 };
    sum(&packet[addresses]) + u32::from(protocol) + length as u32
}

/// Whether a valid IP packet is IPv6.
pub fn is_ipv6(packet: &[u8]) -> bool {
    packet[0] >> 4 == 6
}

/// Writes the checksum of the IPv4 header at the start of a packet. `header_len` is 20 to 60.
pub fn write_ipv4_checksum(packet: &mut [u8], header_len: usize) {
    packet[10..12].fill(0);
    let checksum = !fold(sum(&packet[..header_len]));
    packet[10..12].copy_from_slice(&checksum.to_be_bytes());
}

/// Changes a 16-bit word at `at` and patches the checksum at `checksum_at` for it. Source: RFC
/// 1624, equation 3.
pub fn replace_word(packet: &mut [u8], at: usize, word: u16, checksum_at: usize) {
    let old = u16::from_be_bytes([packet[at], packet[at + 1]]);
    let checksum = u16::from_be_bytes([packet[checksum_at], packet[checksum_at + 1]]);
    let patched = !fold(u32::from(!checksum) + u32::from(!old) + u32::from(word));
    packet[at..at + 2].copy_from_slice(&word.to_be_bytes());
    packet[checksum_at..checksum_at + 2].copy_from_slice(&patched.to_be_bytes());
}

/// The ECN codepoint of a valid IP packet, 0 to 3.
pub fn ecn_of(packet: &[u8]) -> u8 {
    if is_ipv6(packet) {
        (packet[1] >> 4) & 0b11
    } else {
        packet[1] & 0b11
    }
}

/// Sets the ECN codepoint of a valid IP packet and patches the header checksum, if it has one.
pub fn set_ecn(packet: &mut [u8], ecn: u8) {
    if is_ipv6(packet) {
        packet[1] = (packet[1] & !0x30) | ecn << 4;
        return;
    }
    let word = u16::from_be_bytes([packet[0], (packet[1] & !0b11) | ecn]);
    replace_word(packet, 0, word, 10);
}

/// The ECN codepoint of a packet that leaves a tunnel; `None` when it must be dropped (congestion
/// was marked on a packet whose sender cannot react). Source: RFC 6040, section 4.2.
pub fn combine_ecn(inner: u8, outer: u8) -> Option<u8> {
    match (inner, outer) {
        (0b00, ECN_CE) => None,
        (0b00, _) => Some(0b00),
        (_, ECN_CE) => Some(ECN_CE),
        (0b10, 0b01) => Some(0b01),
        (inner, _) => Some(inner),
    }
}

/// The two ports of a packet, when it has some and they tell its flow: fragments do not, the first
/// one included. `header` is the packet's own.
pub fn ports(packet: &[u8], header: &IpHeader) -> Option<[u8; 4]> {
    let has_ports = matches!(header.protocol, PROTOCOL_TCP | PROTOCOL_UDP) && !header.is_fragment;
    packet
        .get(header.header_len..)
        .and_then(|transport| transport.first_chunk())
        .filter(|_| has_ports)
        .copied()
}

/// A hash of the packet's flow, the same for all fragments of a datagram. `header` is the packet's
/// own.
pub fn flow_hash(packet: &[u8], header: &IpHeader) -> u32 {
    let ports = u32::from_be_bytes(ports(packet, header).unwrap_or_default());
    let addresses = match (header.source, header.destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            u64::from(u32::from(source)) << 32 | u64::from(u32::from(destination))
        }
        (source, destination) => half_sum(source) ^ half_sum(destination).rotate_left(31),
    };
    let mixed = (addresses ^ u64::from(ports).rotate_left(17) ^ u64::from(header.protocol) << 56)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15);
    ((mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 32) as u32
}

fn half_sum(address: IpAddr) -> u64 {
    match address {
        IpAddr::V4(address) => u32::from(address).into(),
        IpAddr::V6(address) => {
            let bits = u128::from(address);
            ((bits >> 64) as u64).wrapping_mul(0x94d0_49bb_1331_11eb) ^ bits as u64
        }
    }
}

/// Whether a packet is an ICMP or ICMPv6 error. Source: RFC 792 (types 3, 4, 5, 11 and 12), RFC 4443.
pub fn is_icmp_error(packet: &[u8], header: &IpHeader) -> bool {
    let kind = packet[..header.total_len].get(header.header_len);
    match (header.protocol, kind) {
        _ if header.is_later_fragment => false,
        (PROTOCOL_ICMP, Some(kind)) => matches!(kind, 3 | 4 | 5 | 11 | 12),
        (PROTOCOL_ICMPV6, Some(kind)) => *kind < 128,
        _ => false,
    }
}

/// The destination of the packet that an ICMP error is about: which host it concerns. `None` for
/// everything else.
pub fn icmp_error_subject(packet: &[u8], header: &IpHeader) -> Option<IpAddr> {
    if !is_icmp_error(packet, header) {
        return None;
    }
    let embedded = packet[..header.total_len].get(header.header_len + 8..)?;
    match embedded.first()? >> 4 {
        4 => {
            let octets: [u8; 4] = *embedded.get(16..)?.first_chunk()?;
            Some(Ipv4Addr::from(octets).into())
        }
        6 => {
            let octets: [u8; 16] = *embedded.get(24..)?.first_chunk()?;
            Some(Ipv6Addr::from(octets).into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plain_sum(bytes: &[u8]) -> u16 {
        let mut total = 0u32;
        for pair in bytes.chunks(2) {
            total += u32::from(u16::from_be_bytes([
                pair[0],
                pair.get(1).copied().unwrap_or(0),
            ]));
        }
        fold(total)
    }

    proptest! {
        #[test]
        fn the_fast_sum_equals_the_plain_one(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
            let (fast, plain) = (fold(sum(&bytes)), plain_sum(&bytes));
            // 0 and 0xffff are the same number in ones' complement.
            prop_assert_eq!(fast % 0xffff, plain % 0xffff);
        }

        #[test]
        fn replacing_a_word_keeps_the_checksum_right(
            mut bytes in proptest::collection::vec(any::<u8>(), 20..=20), word in any::<u16>(),
        ) {
            write_ipv4_checksum(&mut bytes, 20);
            replace_word(&mut bytes, 2, word, 10);
            prop_assert_eq!(fold(sum(&bytes)), 0xffff);
        }

        #[test]
        fn no_bytes_make_the_parsers_panic(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            if let Ok(header) = IpHeader::parse(&bytes) {
                prop_assert!(header.header_len <= header.total_len && header.total_len <= bytes.len());
                let _ = (flow_hash(&bytes, &header), icmp_error_subject(&bytes, &header));
            }
        }

        #[test]
        fn no_extension_headers_make_the_parser_panic(
            mut bytes in proptest::collection::vec(prop_oneof![Just(0u8), Just(43), Just(44), Just(60), any::<u8>()], 40..200),
        ) {
            bytes[0] = 0x60;
            let length = (bytes.len() - 40) as u16;
            bytes[4..6].copy_from_slice(&length.to_be_bytes());
            if let Ok(header) = IpHeader::parse(&bytes) {
                prop_assert!((40..=bytes.len()).contains(&header.header_len));
                let _ = (flow_hash(&bytes, &header), icmp_error_subject(&bytes, &header));
            }
        }
    }

    #[test]
    fn ipv6_extensions_lead_to_the_transport() {
        let packet = |extensions: &[u8], first: u8| {
            let mut packet = vec![0x60, 0, 0, 0, 0, 0, first, 64];
            packet.extend_from_slice(&[0x20; 32]);
            packet.extend_from_slice(extensions);
            packet.extend_from_slice(&[0, 1, 0, 2, 0, 8, 0, 0]);
            let length = (packet.len() - 40) as u16;
            packet[4..6].copy_from_slice(&length.to_be_bytes());
            packet
        };
        let plain = IpHeader::parse(&packet(&[], PROTOCOL_UDP)).unwrap();
        assert_eq!((plain.header_len, plain.total_len), (40, 48));
        assert!(plain.dont_fragment && !plain.is_fragment);
        let options = [
            60, 0, 0, 0, 0, 0, 0, 0, 17, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        ];
        let header = IpHeader::parse(&packet(&options, HOP_BY_HOP)).unwrap();
        assert_eq!((header.header_len, header.protocol), (64, PROTOCOL_UDP));
        for (offset, is_fragment, is_later) in
            [(0, false, false), (1, true, false), (8, true, true)]
        {
            let bytes = packet(&[17, 0, 0, offset, 0, 0, 0, 9], FRAGMENT);
            let header = IpHeader::parse(&bytes).unwrap();
            assert_eq!(
                (header.is_fragment, header.is_later_fragment),
                (is_fragment, is_later)
            );
            assert_eq!(ports(&bytes, &header).is_some(), !is_fragment);
        }
        let endless: Vec<u8> = [0; 80].into();
        assert_eq!(IpHeader::parse(&packet(&endless, 0)), Err(Malformed::Field));
        assert_eq!(
            IpHeader::parse(&packet(&[], 0)[..44]),
            Err(Malformed::Truncated)
        );
    }

    #[test]
    fn ecn_is_set_in_both_versions() {
        let mut six = vec![0x6a, 0xbc, 0xde, 0xf0];
        set_ecn(&mut six, 3);
        assert_eq!(six, [0x6a, 0xbc, 0xde, 0xf0]);
        set_ecn(&mut six, 1);
        assert_eq!((six[1], ecn_of(&six)), (0x9c, 1));
    }

    #[test]
    fn ecn_follows_the_table_of_rfc_6040() {
        let expected = [
            [Some(0), Some(0), Some(0), None],
            [Some(1), Some(1), Some(1), Some(3)],
            [Some(2), Some(1), Some(2), Some(3)],
            [Some(3), Some(3), Some(3), Some(3)],
        ];
        for (inner, row) in expected.iter().enumerate() {
            for (outer, result) in row.iter().enumerate() {
                assert_eq!(
                    combine_ecn(inner as u8, outer as u8),
                    *result,
                    "{inner} {outer}"
                );
            }
        }
    }
}
