//! The way out of a VPC: lookup, MTU, cap, framing, sealing.

use std::time::Instant;

use model::VpcId;
use model::slice::PeerEnd;

use crate::counters::Drop;
use crate::engine::Engine;
use crate::flow::FlowKey;
use crate::framing::{ETHERTYPE_IPV4, ETHERTYPE_IPV6, FrameMeta, OVERHEAD, write_headers};
use crate::gso::{Division, SuperPacket, VnetHeader};
use crate::mtu::{IPV6_MIN_MTU, clamp_mss, fragment, may_answer, too_big};
use crate::outbox::Outbox;
use crate::packet::{IpHeader, ecn_of, flow_hash};
use crate::session::{HANDSHAKE_MAX, SEAL_OVERHEAD};

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
        let mut scratch = std::mem::take(&mut self.scratch);
        for index in 0..division.count() {
            let shaper = &mut self.peerings[position].shaper;
            if !shaper.admit(division.packet_len(index), now) {
                shaper.enqueue(key, packet, division, index, now, &mut self.buffers);
                self.schedule_rest(position, now);
                break;
            }
            let length = OVERHEAD + division.write(packet, index, &mut scratch[OVERHEAD..]);
            self.transmit(position, &mut scratch, length, out);
        }
        self.scratch = scratch;
    }

    /// Sends what the cap lets go from a peering's queues.
    pub(crate) fn depart(&mut self, position: usize, now: Instant, out: &mut Outbox) {
        let mut scratch = std::mem::take(&mut self.scratch);
        while let Some(length) =
            self.peerings[position]
                .shaper
                .dequeue(now, &mut self.buffers, &mut scratch[OVERHEAD..])
        {
            self.transmit(position, &mut scratch, OVERHEAD + length, out);
        }
        self.scratch = scratch;
    }

    // `buffer` has room for the padding after `length`.
    fn transmit(&mut self, position: usize, buffer: &mut [u8], length: usize, out: &mut Outbox) {
        match self.peerings[position].slice.peer {
            PeerEnd::Gateway(_) => {
                let result = self.transmit_sealed(position, buffer, length, out);
                let peering = &mut self.peerings[position];
                match result {
                    Ok(()) => peering.sent.count(length - OVERHEAD),
                    Err(cause) => peering.sent_drops.count(cause),
                }
            }
            PeerEnd::Local => {
                let peering = &mut self.peerings[position];
                match peering.other {
                    Some(other) => {
                        peering.sent.count(length - OVERHEAD);
                        self.deliver(other, &mut buffer[OVERHEAD..length], out);
                    }
                    None => peering.sent_drops.count(Drop::NoPeering),
                }
            }
            PeerEnd::Absent => self.peerings[position].sent_drops.count(Drop::PeerAbsent),
        }
    }

    fn transmit_sealed(
        &mut self,
        position: usize,
        buffer: &mut [u8],
        length: usize,
        out: &mut Outbox,
    ) -> Result<(), Drop> {
        let peering = &self.peerings[position];
        let gateway = &mut self.gateways[peering.gateway.ok_or(Drop::PeerAbsent)?];
        let endpoint = gateway.endpoint.ok_or(Drop::NoEndpoint)?;
        if !gateway.ready {
            return Err(Drop::NoSession);
        }
        let inner = &buffer[OVERHEAD..length];
        let header = IpHeader::parse(inner).map_err(|_| Drop::MalformedPacket)?;
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
        write_headers(&mut buffer[..length], &peering.path, meta);
        let padded = gateway.padded(length);
        buffer[length..padded].fill(0);
        let session = &mut gateway.session;
        let room = (padded + SEAL_OVERHEAD).max(HANDSHAKE_MAX);
        let sent = out
            .push_datagram(endpoint, ecn, room, |room| {
                session.seal(&buffer[..padded], room)
            })
            .ok_or(Drop::NoSession)?;
        gateway.sent_bytes += sent as u64;
        Ok(())
    }
}
