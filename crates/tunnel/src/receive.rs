//! The way in from the underlay: WireGuard, then which gateway sent it, its overlay address, the
//! VNI, the peering, and the two ends of the inner packet. Nothing reaches a device that fails one
//! of these checks.

use std::net::SocketAddr;
use std::time::Instant;

use crate::arp::ArpRequest;
use crate::counters::Drop;
use crate::engine::{Engine, SCRATCH};
use crate::framing::{ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_PROBE, Frame};
use crate::gateway::PAIR_MAC;
use crate::mtu::clamp_mss;
use crate::nd::Solicitation;
use crate::outbox::Outbox;
use crate::packet::{IpHeader, combine_ecn, ecn_of, set_ecn};
use crate::probe::{Answer, Probe, ProbeKind};
use crate::session::{Incoming, Opened};

const BROADCAST_MAC: [u8; 6] = [0xff; 6];
// Source: RFC 2464, section 7.
const IPV6_MULTICAST_MAC: [u8; 2] = [0x33; 2];
const MESSAGE_INITIATION: u8 = 1;
const MESSAGE_RESPONSE: u8 = 2;

// Whose counter a drop belongs to.
enum Blame {
    Engine(Drop),
    Peering(usize, Drop),
}

impl Engine {
    /// Takes a datagram from the underlay. `ecn` is the codepoint of its IP header.
    pub fn from_underlay(
        &mut self,
        source: SocketAddr,
        ecn: u8,
        datagram: &[u8],
        now: Instant,
        out: &mut Outbox,
    ) {
        if datagram.len() > SCRATCH / 2 {
            self.drops.count(Drop::MalformedDatagram);
            return;
        }
        let mut scratch = std::mem::take(&mut self.scratch);
        if let Err(blame) = self.receive(source, ecn, datagram, &mut scratch, now, out) {
            match blame {
                Blame::Engine(cause) => self.drops.count(cause),
                Blame::Peering(position, cause) => {
                    self.peerings[position].received_drops.count(cause);
                }
            }
        }
        self.scratch = scratch;
    }

    fn receive(
        &mut self,
        source: SocketAddr,
        ecn: u8,
        datagram: &[u8],
        scratch: &mut [u8],
        now: Instant,
        out: &mut Outbox,
    ) -> Result<(), Blame> {
        let position = match self.identity.classify(source.ip(), datagram, scratch) {
            Incoming::Initiation(key) => self.gateway_by_key.get(&key),
            Incoming::ForIndex(index) => self.gateway_by_index.get(&index),
            Incoming::Cookie(length) => {
                copy_out(source, &scratch[..length], out);
                return Err(Blame::Engine(Drop::HandshakeLimited));
            }
            Incoming::Rejected(cause) => return Err(Blame::Engine(cause)),
        };
        let position = *position.ok_or(Blame::Engine(Drop::UnknownPeer))?;
        let gateway = &mut self.gateways[position];
        let opened = gateway.session.open(datagram, scratch);
        if let Opened::Rejected(cause) = opened {
            return Err(Blame::Engine(cause));
        }
        gateway.last_received = Some(now);
        gateway.received_bytes += datagram.len() as u64;
        if gateway.endpoint != Some(source) {
            gateway.endpoint = Some(source);
            gateway.path_mtu.forget(now);
            self.endpoints_changed = true;
        }
        if let Opened::Reply(length) = opened {
            copy_out(source, &scratch[..length], out);
        }
        self.note_handshake(position, datagram[0], now, out);
        match opened {
            Opened::Packet(length) => {
                self.receive_frame(position, ecn, &mut scratch[..length], now, out)
            }
            Opened::Reply(_) | Opened::Nothing | Opened::Rejected(_) => Ok(()),
        }
    }

    // A handshake is complete for its initiator with the response, for its responder with the first
    // message under the new keys.
    fn note_handshake(&mut self, position: usize, message: u8, now: Instant, out: &mut Outbox) {
        let gateway = &mut self.gateways[position];
        let complete = match message {
            MESSAGE_INITIATION => {
                gateway.unconfirmed = true;
                false
            }
            MESSAGE_RESPONSE => true,
            _ => std::mem::take(&mut gateway.unconfirmed),
        };
        if message == MESSAGE_RESPONSE || complete || !gateway.ready {
            gateway.ready = gateway.session.is_ready();
        }
        if complete && gateway.ready {
            self.session_established(position, now, out);
        }
    }

    fn receive_frame(
        &mut self,
        sender: usize,
        underlay_ecn: u8,
        packet: &mut [u8],
        now: Instant,
        out: &mut Outbox,
    ) -> Result<(), Blame> {
        let frame = Frame::parse(packet).map_err(|_| Blame::Engine(Drop::MalformedFrame))?;
        let gateway = &self.gateways[sender];
        if frame.source != gateway.overlay || frame.destination != self.overlay {
            return Err(Blame::Engine(Drop::WrongOverlayAddress));
        }
        let payload = &mut packet[frame.payload_start..frame.payload_end];
        if frame.vni == 0 && frame.destination_mac == PAIR_MAC {
            return self.receive_pair_probe(sender, &frame, payload, now, out);
        }
        let position = *self
            .peering_by_vni
            .get(&frame.vni)
            .ok_or(Blame::Engine(Drop::UnknownVni))?;
        let peering = &self.peerings[position];
        let refuse = |cause| Err(Blame::Peering(position, cause));
        if peering.gateway != Some(sender) {
            return refuse(Drop::WrongGateway);
        }
        // First: Linux ends send IPv6 neighbour discovery to multicast addresses of its own accord.
        if frame.ethertype == ETHERTYPE_IPV6 && peering.ipv6.is_none() {
            return refuse(Drop::InnerIpv6);
        }
        let to_all = match frame.ethertype {
            ETHERTYPE_ARP => frame.destination_mac == BROADCAST_MAC,
            ETHERTYPE_IPV6 => frame.destination_mac.starts_with(&IPV6_MULTICAST_MAC),
            _ => false,
        };
        if frame.destination_mac != peering.path.source_mac && !to_all {
            return refuse(Drop::WrongMac);
        }
        match frame.ethertype {
            ETHERTYPE_IPV6 if to_all || Solicitation::parse(payload).is_some() => {
                self.receive_solicitation(position, sender, payload, out)
            }
            ETHERTYPE_IPV4 | ETHERTYPE_IPV6 => {
                let is_ipv6 = frame.ethertype == ETHERTYPE_IPV6;
                let header = IpHeader::parse(payload);
                if header.is_ok_and(|header| header.source.is_ipv6() != is_ipv6) || header.is_err()
                {
                    return refuse(Drop::MalformedPacket);
                }
                let ecn = combine_ecn(frame.ecn, underlay_ecn);
                let inner = ecn_of(payload);
                let Some(ecn) = ecn.and_then(|outer| combine_ecn(inner, outer)) else {
                    return refuse(Drop::EcnNotCapable);
                };
                if ecn != inner {
                    set_ecn(payload, ecn);
                }
                self.deliver(position, payload, out);
                Ok(())
            }
            ETHERTYPE_PROBE => self.receive_probe(position, sender, payload, now, out),
            ETHERTYPE_ARP => self.receive_arp(position, sender, payload, out),
            _ => refuse(Drop::UnknownEthertype),
        }
    }

    /// Hands a packet that came through a peering to the device of our VPC, if both its ends are
    /// where they must be.
    pub(crate) fn deliver(&mut self, position: usize, packet: &mut [u8], out: &mut Outbox) {
        let peering = &mut self.peerings[position];
        let Ok(header) = IpHeader::parse(packet) else {
            peering.received_drops.count(Drop::MalformedPacket);
            return;
        };
        let vpc = peering.slice.local_vpc;
        let ends = (
            peering.is_peers(header.source),
            peering.is_ours(header.destination),
        );
        let (Some(is_from_peer), Some(is_for_us)) = ends else {
            peering.received_drops.count(Drop::InnerIpv6);
            return;
        };
        let cause = if !is_from_peer {
            Some(Drop::WrongSource)
        } else if !is_for_us {
            Some(Drop::WrongDestination)
        } else if !self.devices.contains(&vpc) {
            Some(Drop::NoDevice)
        } else {
            None
        };
        if let Some(cause) = cause {
            peering.received_drops.count(cause);
            return;
        }
        let packet = &mut packet[..header.total_len];
        if let Some(mtu) = peering.gateway.and_then(|at| self.gateways[at].inner_mtu()) {
            clamp_mss(packet, mtu);
        }
        peering.received.count(packet.len());
        self.coalescer.push(vpc, position, packet, out);
    }

    fn receive_pair_probe(
        &mut self,
        sender: usize,
        frame: &Frame,
        payload: &[u8],
        now: Instant,
        out: &mut Outbox,
    ) -> Result<(), Blame> {
        let unexpected = Blame::Engine(Drop::UnexpectedControl);
        let probe = Probe::parse(payload).filter(|_| frame.ethertype == ETHERTYPE_PROBE);
        let gateway = &mut self.gateways[sender];
        match probe {
            Some(Probe {
                kind: ProbeKind::Request,
                sequence,
            }) => {
                let path = gateway.pair_path(self.overlay);
                let reply = Probe {
                    kind: ProbeKind::Reply,
                    sequence,
                };
                gateway.send_probe(&path, reply, out);
                Ok(())
            }
            Some(Probe {
                kind: ProbeKind::Reply,
                sequence,
            }) if gateway.path_mtu.answer(sequence, now) => {
                self.schedule_path_mtu(sender);
                Ok(())
            }
            Some(Probe {
                kind: ProbeKind::Reply,
                sequence,
            }) => match gateway.prober.answer(sequence, now) {
                Answer::Crossed | Answer::Alive => Ok(()),
                Answer::Unexpected => Err(unexpected),
            },
            None => Err(unexpected),
        }
    }

    fn receive_probe(
        &mut self,
        position: usize,
        sender: usize,
        payload: &[u8],
        now: Instant,
        out: &mut Outbox,
    ) -> Result<(), Blame> {
        let unexpected = Blame::Peering(position, Drop::UnexpectedControl);
        let probe =
            Probe::parse(payload).ok_or(Blame::Peering(position, Drop::UnexpectedControl))?;
        let peering = &mut self.peerings[position];
        match probe.kind {
            ProbeKind::Request => {
                let reply = Probe {
                    kind: ProbeKind::Reply,
                    ..probe
                };
                let path = peering.path;
                self.gateways[sender].send_probe(&path, reply, out);
            }
            ProbeKind::Reply => match peering.prober.answer(probe.sequence, now) {
                Answer::Crossed => self.crossed(position, out),
                Answer::Alive => {}
                Answer::Unexpected => return Err(unexpected),
            },
        }
        Ok(())
    }

    // As for ARP. A Linux end may ask from its link-local address.
    fn receive_solicitation(
        &mut self,
        position: usize,
        sender: usize,
        payload: &[u8],
        out: &mut Outbox,
    ) -> Result<(), Blame> {
        let peering = &self.peerings[position];
        let asked = Solicitation::parse(payload).filter(|asked| {
            peering.is_ours(asked.target.into()) == Some(true)
                && (asked.sender.is_unicast_link_local()
                    || peering.is_peers(asked.sender.into()) == Some(true))
        });
        let Some(asked) = asked else {
            return Err(Blame::Peering(position, Drop::UnexpectedControl));
        };
        let path = peering.path;
        let answer = asked.advertisement(path.source_mac);
        self.gateways[sender].send_control(&path, ETHERTYPE_IPV6, &answer, out);
        Ok(())
    }

    // Only questions of the peer VPC about our VPC are answered.
    fn receive_arp(
        &mut self,
        position: usize,
        sender: usize,
        payload: &[u8],
        out: &mut Outbox,
    ) -> Result<(), Blame> {
        let peering = &self.peerings[position];
        let request = ArpRequest::parse(payload).filter(|request| {
            peering.local_cidr.contains_address(request.target)
                && (request.sender.is_unspecified()
                    || peering.slice.peer_cidr.contains_address(request.sender))
        });
        let Some(request) = request else {
            return Err(Blame::Peering(position, Drop::UnexpectedControl));
        };
        let mut path = peering.path;
        path.destination_mac = request.sender_mac;
        let reply = request.reply(path.source_mac);
        self.gateways[sender].send_control(&path, ETHERTYPE_ARP, &reply, out);
        Ok(())
    }
}

fn copy_out(destination: SocketAddr, message: &[u8], out: &mut Outbox) {
    out.push_datagram(destination, 0, message.len(), |room| {
        room.copy_from_slice(message);
        Some(message.len())
    });
}
