//! What is inside of an authentic message: which gateway sent it, its overlay address, the VNI, the
//! peering, and the two ends of the inner packet. Nothing reaches a device that fails one of these
//! checks.

use std::time::Instant;

use crate::arp::ArpRequest;
use crate::counters::Drop;
use crate::engine::Engine;
use crate::framing::{ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_PROBE, Frame};
use crate::gateway::PAIR_MAC;
use crate::mtu::clamp_mss;
use crate::nd::Solicitation;
use crate::outbox::Outbox;
use crate::packet::{IpHeader, combine_ecn, ecn_of, set_ecn};
use crate::probe::{Answer, Probe, ProbeKind};
use crate::receive::{Accepted, Blame};

const BROADCAST_MAC: [u8; 6] = [0xff; 6];
// Source: RFC 2464, section 7.
const IPV6_MULTICAST_MAC: [u8; 2] = [0x33; 2];

impl Engine {
    pub(crate) fn receive_frame(
        &mut self,
        sender: usize,
        underlay_ecn: u8,
        packet: &mut [u8],
        now: Instant,
        out: &mut Outbox,
    ) -> Result<Option<(usize, Accepted)>, Blame> {
        let frame = Frame::parse(packet).map_err(|_| Blame::Engine(Drop::MalformedFrame))?;
        let gateway = &self.gateways[sender];
        if frame.source != gateway.overlay || frame.destination != self.overlay {
            return Err(Blame::Engine(Drop::WrongOverlayAddress));
        }
        let payload = &mut packet[frame.payload_start..frame.payload_end];
        if frame.vni == 0 && frame.destination_mac == PAIR_MAC {
            self.receive_pair_probe(sender, &frame, payload, now, out)?;
            return Ok(None);
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
                self.receive_solicitation(position, sender, payload, now, out)?;
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
                let accepted = self.deliver(position, payload);
                return Ok(accepted.map(|accepted| (frame.payload_start, accepted)));
            }
            ETHERTYPE_PROBE => self.receive_probe(position, sender, payload, now, out)?,
            ETHERTYPE_ARP => self.receive_arp(position, sender, payload, now, out)?,
            _ => return refuse(Drop::UnknownEthertype),
        }
        Ok(None)
    }

    /// Judges whether a packet that came through a peering may go to the device of our VPC: both its
    /// ends must be where they belong.
    pub(crate) fn deliver(&mut self, position: usize, packet: &mut [u8]) -> Option<Accepted> {
        let peering = &mut self.peerings[position];
        let Ok(header) = IpHeader::parse(packet) else {
            peering.received_drops.count(Drop::MalformedPacket);
            return None;
        };
        let vpc = peering.slice.local_vpc;
        let ends = (
            peering.is_peers(header.source),
            peering.is_ours(header.destination),
        );
        let (Some(is_from_peer), Some(is_for_us)) = ends else {
            peering.received_drops.count(Drop::InnerIpv6);
            return None;
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
            return None;
        }
        let packet = &mut packet[..header.total_len];
        if let Some(mtu) = peering.gateway.and_then(|at| self.gateways[at].inner_mtu()) {
            clamp_mss(packet, mtu);
        }
        peering.received.count(packet.len());
        Some(Accepted {
            vpc,
            peering: position,
            length: packet.len(),
        })
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
                gateway.send_probe(&path, reply, now, out);
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
                self.gateways[sender].send_probe(&path, reply, now, out);
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
        now: Instant,
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
        self.gateways[sender].send_control(&path, ETHERTYPE_IPV6, &answer, now, out);
        Ok(())
    }

    // Only questions of the peer VPC about our VPC are answered.
    fn receive_arp(
        &mut self,
        position: usize,
        sender: usize,
        payload: &[u8],
        now: Instant,
        out: &mut Outbox,
    ) -> Result<(), Blame> {
        let peering = &self.peerings[position];
        let request = ArpRequest::parse(payload).filter(|request| {
            peering.is_ours_ipv4(request.target)
                && (request.sender.is_unspecified() || peering.is_peers_ipv4(request.sender))
        });
        let Some(request) = request else {
            return Err(Blame::Peering(position, Drop::UnexpectedControl));
        };
        let mut path = peering.path;
        path.destination_mac = request.sender_mac;
        let reply = request.reply(path.source_mac);
        self.gateways[sender].send_control(&path, ETHERTYPE_ARP, &reply, now, out);
        Ok(())
    }
}
