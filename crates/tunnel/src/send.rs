//! The way out of a VPC: lookup, MTU, cap, framing, sealing.

use std::net::Ipv4Addr;
use std::time::Instant;

use model::VpcId;
use model::slice::PeerEnd;

use crate::counters::Drop;
use crate::engine::Engine;
use crate::framing::{ETHERTYPE_IPV4, FrameMeta, OVERHEAD, write_headers};
use crate::gso::{SuperPacket, VnetHeader};
use crate::mtu::{clamp_mss, fragment, icmp_too_big, may_answer};
use crate::outbox::Outbox;
use crate::packet::{Ipv4Header, flow_hash};
use crate::session::{HANDSHAKE_MAX, SEAL_OVERHEAD};
use crate::shaper::Admission;

// Buffers kept for reuse by queues.
const FREE_BUFFERS: usize = 4096;
const PADDING: usize = 16;

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
        if packet.first().is_some_and(|byte| byte >> 4 == 6) {
            self.drops.count(Drop::InnerIpv6);
            return 1;
        }
        let Ok(parsed) = SuperPacket::parse(&vnet, packet) else {
            self.drops.count(Drop::MalformedPacket);
            return 1;
        };
        let count = parsed.count();
        match self.route(vpc, parsed.bytes(), &parsed.header) {
            Err(cause) => self.drops.add(cause, count as u64),
            Ok(position) if !self.leads_into_peer(position, parsed.header.destination) => {
                self.peerings[position]
                    .sent_drops
                    .add(Drop::OutsidePeer, count as u64);
            }
            Ok(position) => {
                let mut scratch = std::mem::take(&mut self.scratch);
                for index in 0..count {
                    let length = OVERHEAD + parsed.write_segment(index, &mut scratch[OVERHEAD..]);
                    self.send_segment(position, &mut scratch, length, now, out);
                }
                self.scratch = scratch;
                self.schedule_departure(position);
            }
        }
        count
    }

    fn route(&self, vpc: VpcId, packet: &[u8], header: &Ipv4Header) -> Result<usize, Drop> {
        let table = self.vpcs.get(&vpc).ok_or(Drop::NoSubnet)?;
        let peering = table.route(packet, header)?;
        self.peering_by_route
            .get(&(peering, vpc))
            .copied()
            .ok_or(Drop::NoPeering)
    }

    fn leads_into_peer(&self, position: usize, destination: Ipv4Addr) -> bool {
        self.peerings[position]
            .slice
            .peer_cidr
            .contains_address(destination)
    }

    // `buffer[OVERHEAD..length]` is a whole inner packet.
    fn send_segment(
        &mut self,
        position: usize,
        buffer: &mut [u8],
        length: usize,
        now: Instant,
        out: &mut Outbox,
    ) {
        let gateway = self.peerings[position].gateway;
        let mtu = gateway.and_then(|at| self.gateways[at].inner_mtu());
        if let Some(mtu) = mtu {
            clamp_mss(&mut buffer[OVERHEAD..length], mtu);
            if length - OVERHEAD > usize::from(mtu) {
                self.send_oversized(position, &buffer[OVERHEAD..length], mtu, now, out);
                return;
            }
        }
        self.admit(position, buffer, length, now, out);
    }

    fn send_oversized(
        &mut self,
        position: usize,
        packet: &[u8],
        mtu: u16,
        now: Instant,
        out: &mut Outbox,
    ) {
        let Ok(header) = Ipv4Header::parse(packet) else {
            return;
        };
        if !header.dont_fragment {
            let mut parts = std::mem::take(&mut self.fragment_scratch);
            let mut buffer = self.free_buffers.pop().unwrap_or_default();
            fragment(packet, mtu.into(), &mut parts, |part| {
                buffer.clear();
                buffer.resize(OVERHEAD, 0);
                buffer.extend_from_slice(part);
                let length = buffer.len();
                buffer.resize(length + PADDING, 0);
                self.admit(position, &mut buffer, length, now, out);
            });
            self.free_buffers.push(buffer);
            self.fragment_scratch = parts;
            return;
        }
        let peering = &mut self.peerings[position];
        peering.sent_drops.count(Drop::TooBig);
        let vpc = peering.slice.local_vpc;
        let gateway = self
            .vpcs
            .get(&vpc)
            .and_then(|table| table.gateway_address(header.source));
        if let Some(gateway) = gateway
            && may_answer(packet, &header)
            && peering.icmp.take(now)
        {
            let answer = icmp_too_big(packet, gateway, mtu);
            out.push_delivery(vpc, VnetHeader::default(), &answer, 1);
        }
    }

    fn admit(
        &mut self,
        position: usize,
        buffer: &mut [u8],
        length: usize,
        now: Instant,
        out: &mut Outbox,
    ) {
        let peering = &mut self.peerings[position];
        match peering.shaper.offer(length - OVERHEAD, now) {
            Admission::Pass => self.transmit(position, buffer, length, out),
            Admission::Full => peering.sent_drops.count(Drop::QueueFull),
            Admission::Queue => {
                let mut copy = self.free_buffers.pop().unwrap_or_default();
                copy.clear();
                copy.extend_from_slice(&buffer[..length]);
                peering.shaper.enqueue(length - OVERHEAD, copy);
            }
        }
    }

    /// Sends what the cap lets go from a peering's queue.
    pub(crate) fn depart(&mut self, position: usize, now: Instant, out: &mut Outbox) {
        while let Some(mut packet) = self.peerings[position].shaper.dequeue(now) {
            let length = packet.len();
            packet.resize(length + PADDING, 0);
            self.transmit(position, &mut packet, length, out);
            if self.free_buffers.len() < FREE_BUFFERS {
                self.free_buffers.push(packet);
            }
        }
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
        let header = Ipv4Header::parse(inner).map_err(|_| Drop::MalformedPacket)?;
        let ecn = header.ecn();
        let meta = FrameMeta {
            ethertype: ETHERTYPE_IPV4,
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
