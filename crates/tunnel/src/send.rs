//! The way out of a VPC: lookup, MTU, cap, framing, sealing.

use std::time::Instant;

use model::VpcId;
use model::slice::PeerEnd;

use crate::counters::Drop;
use crate::engine::Engine;
use crate::flow::FlowKey;
use crate::framing::{
    ETHERTYPE_IPV4, ETHERTYPE_IPV6, FrameMeta, FramePath, OVERHEAD, write_headers,
};
use crate::gateway::Gateway;
use crate::gso::{Division, SuperPacket, VnetHeader};
use crate::mtu::{IPV6_MIN_MTU, clamp_mss, fragment, may_answer, too_big};
use crate::outbox::Outbox;
use crate::packet::{IpHeader, ecn_of, flow_hash};

impl Engine {
    /// Takes what was read from a VPC's TUN queue: vnet header and packet. Checksums are completed
    /// in place.
    pub fn from_tun(
        &mut self,
        vpc: VpcId,
        frame: &mut [u8],
        now: Instant,
        out: &mut Outbox,
    ) -> usize {
        let Ok((vnet, packet)) = VnetHeader::split(frame) else {
            self.drops.count(Drop::MalformedPacket);
            return 0;
        };
        let Ok(parsed) = SuperPacket::parse(&vnet, packet) else {
            self.drops.count(Drop::MalformedPacket);
            return 1;
        };
        let count = parsed.count();
        match self.route(vpc, parsed.bytes, &parsed.header) {
            Err(cause) => self.drops.add(cause, count as u64),
            Ok(position) => match self.peerings[position].is_peers(parsed.header.destination) {
                Some(true) => self.dispatch(position, parsed, now, out),
                inside => {
                    let cause = inside.map_or(Drop::InnerIpv6, |_| Drop::OutsidePeer);
                    self.peerings[position].sent_drops.add(cause, count as u64);
                }
            },
        }
        count
    }

    fn route(&self, vpc: VpcId, packet: &[u8], header: &IpHeader) -> Result<usize, Drop> {
        let table = self.vpcs.get(&vpc).ok_or(Drop::NoSubnet)?;
        let peering = table.route(packet, header)?;
        self.peering_by_route
            .get(&(peering, vpc))
            .copied()
            .ok_or(Drop::NoPeering)
    }

    fn dispatch(
        &mut self,
        position: usize,
        packet: SuperPacket<'_>,
        now: Instant,
        out: &mut Outbox,
    ) {
        let SuperPacket {
            bytes,
            header,
            division,
        } = packet;
        let gateway = self.peerings[position].gateway;
        let mtu = gateway.and_then(|at| self.gateways[at].inner_mtu());
        if let Some(mtu) = mtu {
            if header.source.is_ipv6() && mtu < IPV6_MIN_MTU {
                let drops = &mut self.peerings[position].sent_drops;
                drops.add(Drop::SmallMtu, division.count() as u64);
                return;
            }
            // What a host hands over to be split is data, never a SYN.
            if division.is_whole() {
                clamp_mss(bytes, mtu);
            }
            if division.packet_len(0) > usize::from(mtu) {
                self.send_oversized(position, bytes, division, mtu, now, out);
                return;
            }
        }
        self.admit(
            position,
            FlowKey::new(bytes, &header),
            bytes,
            division,
            now,
            out,
        );
        self.schedule_departure(position);
    }

    fn send_oversized(
        &mut self,
        position: usize,
        packet: &[u8],
        division: Division,
        mtu: u16,
        now: Instant,
        out: &mut Outbox,
    ) {
        let Ok(header) = IpHeader::parse(packet) else {
            return;
        };
        if header.dont_fragment {
            let peering = &mut self.peerings[position];
            peering
                .sent_drops
                .add(Drop::TooBig, division.count() as u64);
            self.answer_too_big(position, packet, &header, mtu, now, out);
            return;
        }
        let mut whole = std::mem::take(&mut self.whole_scratch);
        let mut part = std::mem::take(&mut self.fragment_scratch);
        for index in 0..division.count() {
            let length = division.write(packet, index, &mut whole);
            fragment(&whole[..length], mtu.into(), &mut part, |part| {
                let Ok(header) = IpHeader::parse(part) else {
                    return;
                };
                let (key, whole) = (FlowKey::new(part, &header), Division::whole(part.len()));
                self.admit(position, key, part, whole, now, out);
            });
        }
        self.whole_scratch = whole;
        self.fragment_scratch = part;
        self.schedule_departure(position);
    }

    fn answer_too_big(
        &mut self,
        position: usize,
        packet: &[u8],
        header: &IpHeader,
        mtu: u16,
        now: Instant,
        out: &mut Outbox,
    ) {
        let peering = &mut self.peerings[position];
        let vpc = peering.slice.local_vpc;
        let gateway = self
            .vpcs
            .get(&vpc)
            .and_then(|table| table.gateway_address(header.source));
        if let Some(gateway) = gateway
            && may_answer(packet, header)
            && peering.icmp.take(now)
        {
            let answer = too_big(packet, gateway, mtu);
            out.push_delivery(vpc, VnetHeader::default(), &answer, 1);
        }
    }

    // Sends what the cap lets go at once and queues the rest.
    fn admit(
        &mut self,
        position: usize,
        key: FlowKey,
        packet: &[u8],
        division: Division,
        now: Instant,
        out: &mut Outbox,
    ) {
        for index in 0..division.count() {
            let shaper = &mut self.peerings[position].shaper;
            let length = division.packet_len(index);
            if !shaper.admit(length, now) {
                shaper.enqueue(key, packet, division, index, now, &mut self.buffers);
                self.schedule_rest(position, now);
                break;
            }
            self.transmit(position, length, now, out, |room| {
                division.write(packet, index, room);
            });
        }
    }

    /// Sends what the cap lets go from a peering's queues.
    pub(crate) fn depart(&mut self, position: usize, now: Instant, out: &mut Outbox) {
        let mut scratch = std::mem::take(&mut self.scratch);
        while let Some(length) =
            self.peerings[position]
                .shaper
                .dequeue(now, &mut self.buffers, &mut scratch)
        {
            let packet = &scratch[..length];
            self.transmit(position, length, now, out, |room| {
                room[..length].copy_from_slice(packet);
            });
        }
        self.scratch = scratch;
    }

    // Sends a packet of `length` bytes, which `write` writes to the start of its place.
    fn transmit(
        &mut self,
        position: usize,
        length: usize,
        now: Instant,
        out: &mut Outbox,
        write: impl FnOnce(&mut [u8]),
    ) {
        let peering = &mut self.peerings[position];
        match (peering.slice.peer, peering.other) {
            (PeerEnd::Gateway(_), _) => {
                let gateway = peering.gateway.and_then(|at| self.gateways.get_mut(at));
                let result = match gateway {
                    Some(gateway) => send_framed(gateway, &peering.path, length, now, out, write),
                    None => Err(Drop::PeerAbsent),
                };
                match result {
                    Ok(()) => peering.sent.count(length),
                    Err(cause) => peering.sent_drops.count(cause),
                }
            }
            (PeerEnd::Local, Some(other)) => {
                peering.sent.count(length);
                let mut packet = std::mem::take(&mut self.local_scratch);
                write(&mut packet);
                if let Some(accepted) = self.deliver(other, &mut packet[..length]) {
                    out.join(accepted.vpc, accepted.peering, &packet[..accepted.length]);
                }
                self.local_scratch = packet;
            }
            (PeerEnd::Local, None) => peering.sent_drops.count(Drop::NoPeering),
            (PeerEnd::Absent, _) => peering.sent_drops.count(Drop::PeerAbsent),
        }
    }
}

fn send_framed(
    gateway: &mut Gateway,
    path: &FramePath,
    inner_len: usize,
    now: Instant,
    out: &mut Outbox,
    write: impl FnOnce(&mut [u8]),
) -> Result<(), Drop> {
    let length = OVERHEAD + inner_len;
    let padded = gateway.padded(length);
    gateway.send_sealed(now, padded, out, |frame| {
        write(&mut frame[OVERHEAD..]);
        let inner = &frame[OVERHEAD..length];
        let header = IpHeader::parse(inner).ok()?;
        let ecn = ecn_of(inner);
        let meta = FrameMeta {
            ethertype: if header.source.is_ipv6() {
                ETHERTYPE_IPV6
            } else {
                ETHERTYPE_IPV4
            },
            ecn,
            flow_hash: flow_hash(inner, &header),
        };
        write_headers(&mut frame[..length], path, meta);
        frame[length..padded].fill(0);
        Some((padded, ecn))
    })
}
