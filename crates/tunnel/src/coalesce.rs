//! Joins TCP segments of one flow that arrive together into super-packets for the TUN device.
//!
//! A segment is joined only after its checksums were verified, only to a super-packet of the same
//! peering, 5-tuple, TTL, TOS and options, and only when it continues the sequence. Everything else
//! passes unchanged, and never overtakes a segment of its own flow.

use model::VpcId;

use crate::gso::VnetHeader;
use crate::outbox::Deliveries;
use crate::packet::{
    IPV4_HEADER, IPV6_HEADER, IpHeader, PROTOCOL_TCP, PROTOCOL_UDP, TCP_ACK, TCP_HEADER, TCP_PSH,
    fold, is_ipv6, pseudo_sum_of, sum, write_ipv4_checksum,
};

const SLOTS: usize = 8;
const MAX_BYTES: usize = 65_000;

struct Slot {
    vpc: VpcId,
    peering: usize,
    packet: Vec<u8>,
    ip_len: usize,
    headers_len: usize,
    segment: usize,
    count: usize,
    next_sequence: u32,
}

/// Super-packets under construction.
#[derive(Default)]
pub struct Coalescer {
    // In use are the first `used`; the others keep their buffers. Oldest first.
    slots: Vec<Slot>,
    used: usize,
}

struct Segment {
    ip_len: usize,
    headers_len: usize,
    sequence: u32,
    pushes: bool,
}

impl Coalescer {
    /// Takes a packet for a VPC's device. `peering` is the engine's index of the peering that it
    /// came through.
    pub fn push(&mut self, vpc: VpcId, peering: usize, packet: &[u8], out: &mut Deliveries) {
        let Some(segment) = mergeable(packet) else {
            self.flush_flow(vpc, packet, out);
            out.push(vpc, VnetHeader::default(), packet, 1);
            return;
        };
        let position = self.slots[..self.used]
            .iter()
            .position(|slot| slot.vpc == vpc && same_flow(&slot.packet, packet));
        if let Some(position) = position {
            if self.slots[position].takes(peering, packet, &segment) {
                let slot = &mut self.slots[position];
                slot.append(&packet[segment.headers_len..], segment.pushes);
                if segment.pushes || packet.len() - segment.headers_len < slot.segment {
                    self.flush_slot(position, out);
                }
                return;
            }
            self.flush_slot(position, out);
        }
        self.open(vpc, peering, packet, &segment, out);
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// Hands everything out.
    pub fn flush(&mut self, out: &mut Deliveries) {
        while self.used > 0 {
            self.flush_slot(0, out);
        }
    }

    fn open(
        &mut self,
        vpc: VpcId,
        peering: usize,
        packet: &[u8],
        segment: &Segment,
        out: &mut Deliveries,
    ) {
        if segment.pushes {
            out.push(vpc, VnetHeader::default(), packet, 1);
            return;
        }
        if self.used == SLOTS {
            self.flush_slot(0, out);
        }
        let payload = packet.len() - segment.headers_len;
        let mut buffer = match self.slots.get_mut(self.used) {
            Some(slot) => std::mem::take(&mut slot.packet),
            None => Vec::with_capacity(1 << 16),
        };
        buffer.clear();
        buffer.extend_from_slice(packet);
        let slot = Slot {
            vpc,
            peering,
            packet: buffer,
            ip_len: segment.ip_len,
            headers_len: segment.headers_len,
            segment: payload,
            count: 1,
            next_sequence: segment.sequence.wrapping_add(payload as u32),
        };
        if self.used < self.slots.len() {
            self.slots[self.used] = slot;
        } else {
            self.slots.push(slot);
        }
        self.used += 1;
    }

    // A packet that cannot be joined still must not overtake what came before it in its flow.
    // Ports of a later fragment are unknown, so addresses decide for those.
    fn flush_flow(&mut self, vpc: VpcId, packet: &[u8], out: &mut Deliveries) {
        if packet.len() < IPV4_HEADER || (is_ipv6(packet) && packet.len() < IPV6_HEADER) {
            return;
        }
        // Extension headers of IPv6 may hide a TCP header.
        let may_be_tcp = if is_ipv6(packet) {
            packet[6] != PROTOCOL_UDP
        } else {
            packet[9] == PROTOCOL_TCP
        };
        let mut position = 0;
        while position < self.used {
            let slot = &self.slots[position];
            if may_be_tcp && slot.vpc == vpc && same_addresses(&slot.packet, packet) {
                self.flush_slot(position, out);
            } else {
                position += 1;
            }
        }
    }

    fn flush_slot(&mut self, position: usize, out: &mut Deliveries) {
        let slot = &mut self.slots[position];
        if slot.count == 1 {
            out.push(slot.vpc, VnetHeader::default(), &slot.packet, 1);
        } else {
            slot.finish();
            let vnet = VnetHeader::tcp_super_packet(slot.ip_len, slot.headers_len, slot.segment);
            out.push(slot.vpc, vnet, &slot.packet, slot.count);
        }
        self.used -= 1;
        self.slots[position..=self.used].rotate_left(1);
    }
}

impl Slot {
    fn takes(&self, peering: usize, packet: &[u8], segment: &Segment) -> bool {
        let payload = packet.len() - segment.headers_len;
        let (ip, tcp) = (self.ip_len, self.ip_len + TCP_HEADER);
        self.peering == peering
            && self.next_sequence == segment.sequence
            && self.headers_len == segment.headers_len
            && payload <= self.segment
            && self.packet.len() + payload <= MAX_BYTES
            // TOS, TTL, and of TCP acknowledgement, window and options.
            && same_class(&self.packet, packet)
            && self.packet[ip + 8..ip + 13] == packet[ip + 8..ip + 13]
            && self.packet[ip + 14..ip + 16] == packet[ip + 14..ip + 16]
            && self.packet[tcp..self.headers_len] == packet[tcp..segment.headers_len]
    }

    fn append(&mut self, payload: &[u8], pushes: bool) {
        self.packet.extend_from_slice(payload);
        self.count += 1;
        self.next_sequence = self.next_sequence.wrapping_add(payload.len() as u32);
        if pushes {
            self.packet[self.ip_len + 13] |= TCP_PSH;
        }
    }

    fn finish(&mut self) {
        let total = self.packet.len();
        if is_ipv6(&self.packet) {
            let payload = (total - IPV6_HEADER) as u16;
            self.packet[4..6].copy_from_slice(&payload.to_be_bytes());
        } else {
            self.packet[2..4].copy_from_slice(&(total as u16).to_be_bytes());
            write_ipv4_checksum(&mut self.packet, self.ip_len);
        }
        let pseudo = pseudo_sum_of(&self.packet, PROTOCOL_TCP, total - self.ip_len);
        let at = self.ip_len + 16;
        self.packet[at..at + 2].copy_from_slice(&fold(pseudo).to_be_bytes());
    }
}

fn same_addresses(one: &[u8], other: &[u8]) -> bool {
    is_ipv6(one) == is_ipv6(other)
        && if is_ipv6(one) {
            one[8..40] == other[8..40]
        } else {
            one[12..20] == other[12..20]
        }
}

// Both are TCP without IP options or extensions: addresses and ports are adjacent.
fn same_flow(one: &[u8], other: &[u8]) -> bool {
    is_ipv6(one) == is_ipv6(other)
        && if is_ipv6(one) {
            one[8..44] == other[8..44]
        } else {
            one[12..24] == other[12..24]
        }
}

// Traffic class and hop limit, of IPv6 also the flow label.
fn same_class(one: &[u8], other: &[u8]) -> bool {
    if is_ipv6(one) {
        one[..4] == other[..4] && one[7] == other[7]
    } else {
        one[1] == other[1] && one[8] == other[8]
    }
}

// Data segments with only ACK (and PSH), of IPv4 with DF set: an identification then has no meaning
// (RFC 6864) and need not be kept. No IP options or extensions.
fn mergeable(packet: &[u8]) -> Option<Segment> {
    let header = IpHeader::parse(packet).ok()?;
    let ip_len = header.header_len;
    let plain_len = if is_ipv6(packet) {
        IPV6_HEADER
    } else {
        IPV4_HEADER
    };
    if header.protocol != PROTOCOL_TCP
        || ip_len != plain_len
        || header.total_len != packet.len()
        || header.is_fragment
        || !header.dont_fragment
    {
        return None;
    }
    let tcp: &[u8; TCP_HEADER] = packet[ip_len..].first_chunk()?;
    let headers_len = ip_len + usize::from(tcp[12] >> 4) * 4;
    if tcp[13] & !TCP_PSH != TCP_ACK
        || tcp[12] & 0x0f != 0
        || headers_len < ip_len + TCP_HEADER
        || headers_len >= packet.len()
    {
        return None;
    }
    let transport = &packet[ip_len..];
    let pseudo = pseudo_sum_of(packet, PROTOCOL_TCP, transport.len());
    if fold(pseudo + sum(transport)) != 0xffff
        || (!is_ipv6(packet) && fold(sum(&packet[..ip_len])) != 0xffff)
    {
        return None;
    }
    Some(Segment {
        ip_len,
        headers_len,
        sequence: u32::from_be_bytes([tcp[4], tcp[5], tcp[6], tcp[7]]),
        pushes: tcp[13] & TCP_PSH != 0,
    })
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::gso::SuperPacket;
    use crate::outbox::Outbox;
    use crate::testing::tcp_packet;

    const A: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 5);
    const B: Ipv4Addr = Ipv4Addr::new(10, 2, 0, 5);

    fn vpc(number: u64) -> VpcId {
        VpcId::from_entropy(number)
    }

    // Splits every delivery again, as the kernel would.
    fn packets(outbox: &mut Outbox) -> Vec<Vec<u8>> {
        let mut out = vec![0; 1 << 16];
        let mut all = Vec::new();
        for (delivery, bytes) in outbox.deliveries().iter() {
            let mut frame = bytes.to_vec();
            let (vnet, packet) = VnetHeader::split(&mut frame).unwrap();
            let parsed = SuperPacket::parse(&vnet, packet).unwrap();
            assert_eq!(parsed.count(), delivery.count);
            for index in 0..parsed.count() {
                let length = parsed.write_segment(index, &mut out);
                all.push(out[..length].to_vec());
            }
        }
        all
    }

    // The identification is free to change under DF; all else must be as it was.
    fn without_id(packet: &[u8]) -> Vec<u8> {
        let mut packet = packet.to_vec();
        if is_ipv6(&packet) {
            return packet;
        }
        packet[4..6].fill(0);
        packet[10..12].fill(0);
        packet
    }

    fn check(input: &[(u64, Vec<u8>)], deliveries: usize) {
        let mut outbox = Outbox::default();
        for (number, packet) in input {
            outbox.join(vpc(*number), *number as usize, packet);
        }
        assert_eq!(outbox.deliveries().iter().len(), deliveries);
        let mut got: Vec<_> = packets(&mut outbox).iter().map(|p| without_id(p)).collect();
        let mut sent: Vec<_> = input.iter().map(|(_, p)| without_id(p)).collect();
        got.sort();
        sent.sort();
        assert_eq!(got, sent);
    }

    #[test]
    fn a_run_of_segments_becomes_one_delivery() {
        let input: Vec<_> = (0..10u8)
            .map(|n| {
                (
                    1,
                    tcp_packet(A, B, 1000 * u32::from(n), TCP_ACK, &vec![n; 1000]),
                )
            })
            .collect();
        check(&input, 1);
    }

    #[test]
    fn push_gap_and_short_segment_end_a_run() {
        let data = |sequence, flags, length: usize| {
            (1, tcp_packet(A, B, sequence, flags, &vec![7; length]))
        };
        check(
            &[
                data(0, TCP_ACK, 100),
                data(100, TCP_ACK | TCP_PSH, 100),
                data(200, TCP_ACK, 100),
                data(300, TCP_ACK, 40),
                data(340, TCP_ACK, 100),
                data(900, TCP_ACK, 100),
                data(1000, TCP_ACK | 1, 0),
            ],
            5,
        );
    }

    #[test]
    fn equal_flows_of_two_vpcs_never_meet() {
        let data = |number: u64, sequence| {
            (
                number,
                tcp_packet(A, B, sequence, TCP_ACK, &[number as u8; 100]),
            )
        };
        check(&[data(1, 0), data(2, 0), data(1, 100), data(2, 100)], 2);
    }

    #[test]
    fn ipv6_segments_become_one_delivery_and_never_join_ipv4() {
        let (a, b) = (
            "2001:db8:1::5".parse().unwrap(),
            "2001:db8:2::5".parse().unwrap(),
        );
        let six = |n: u32| crate::testing::tcp_packet_v6(a, b, 500 * n, TCP_ACK, &[n as u8; 500]);
        let four = |n: u32| tcp_packet(A, B, 500 * n, TCP_ACK, &[n as u8; 500]);
        let mut input: Vec<_> = (0..6).flat_map(|n| [(1, six(n)), (1, four(n))]).collect();
        check(&input, 2);
        let mut labelled = six(6);
        labelled[3] ^= 1;
        input.push((1, labelled));
        check(&input, 3);
    }

    #[test]
    fn a_bad_checksum_passes_unchanged() {
        let mut bad = tcp_packet(A, B, 100, TCP_ACK, &[1; 100]);
        bad[50] ^= 1;
        let good = tcp_packet(A, B, 0, TCP_ACK, &[1; 100]);
        check(&[(1, good), (1, bad)], 2);
    }
}
