//! What the engine hands to the I/O: datagrams in runs of equal size, packets for TUN devices, and
//! events. Buffers are kept between uses.

use std::net::SocketAddr;
use std::ops::Range;

use model::VpcId;

use crate::TunnelEvent;
use crate::gso::{VNET_HEADER, VnetHeader};

// UDP_SEGMENT: at most 64 segments before Linux 6.9 and one UDP payload in all.
const RUN_SEGMENTS: usize = 64;
const RUN_BYTES: usize = 65_000;

/// Datagrams for one destination that may leave in one `UDP_SEGMENT` send: all of equal size, but
/// the last one may be shorter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Where to.
    pub destination: SocketAddr,
    /// The ECN codepoint of the underlay header, 0 to 3, the same for all.
    pub ecn: u8,
    /// Bytes of each datagram but the last.
    pub segment: usize,
    /// How many.
    pub count: usize,
    /// Where they are in [`Outbox::underlay_bytes`].
    pub range: Range<usize>,
}

/// A packet for a TUN device, with its vnet header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Whose device.
    pub vpc: VpcId,
    /// How many packets the super-packet holds.
    pub count: usize,
    /// Where it is in [`Outbox::device_bytes`].
    pub range: Range<usize>,
}

/// Output of the engine.
#[derive(Default)]
pub struct Outbox {
    /// Datagrams, in order.
    pub runs: Vec<Run>,
    /// Packets for devices, in order.
    pub deliveries: Vec<Delivery>,
    /// Events, in order.
    pub events: Vec<TunnelEvent>,
    underlay: Vec<u8>,
    underlay_end: usize,
    device: Vec<u8>,
}

impl Outbox {
    /// Adds a datagram of at most `room` bytes that `write` writes; it returns the length, or
    /// `None` to add nothing.
    pub fn push_datagram(
        &mut self,
        destination: SocketAddr,
        ecn: u8,
        room: usize,
        write: impl FnOnce(&mut [u8]) -> Option<usize>,
    ) -> Option<usize> {
        let start = self.underlay_end;
        if self.underlay.len() < start + room {
            self.underlay
                .resize((start + room).max(2 * self.underlay.len()), 0);
        }
        let length = write(&mut self.underlay[start..start + room])?;
        self.underlay_end = start + length;
        match self.runs.last_mut() {
            Some(run) if run.takes(destination, ecn, length) => {
                run.count += 1;
                run.range.end += length;
            }
            _ => self.runs.push(Run {
                destination,
                ecn,
                segment: length,
                count: 1,
                range: start..start + length,
            }),
        }
        Some(length)
    }

    /// Adds a packet or super-packet of `count` packets for a device.
    pub fn push_delivery(&mut self, vpc: VpcId, vnet: VnetHeader, packet: &[u8], count: usize) {
        let start = self.device.len();
        self.device.extend_from_slice(&vnet.to_bytes());
        self.device.extend_from_slice(packet);
        self.deliveries.push(Delivery {
            vpc,
            count,
            range: start..start + VNET_HEADER + packet.len(),
        });
    }

    /// The bytes of all runs.
    pub fn underlay_bytes(&self) -> &[u8] {
        &self.underlay[..self.underlay_end]
    }

    /// The bytes of all deliveries.
    pub fn device_bytes(&self) -> &[u8] {
        &self.device
    }

    /// Forgets everything and keeps the buffers.
    pub fn clear(&mut self) {
        self.runs.clear();
        self.deliveries.clear();
        self.events.clear();
        self.underlay_end = 0;
        self.device.clear();
    }
}

impl Run {
    fn takes(&self, destination: SocketAddr, ecn: u8, length: usize) -> bool {
        self.destination == destination
            && self.ecn == ecn
            && length <= self.segment
            && self.range.len() == self.segment * self.count
            && self.count < RUN_SEGMENTS
            && self.range.len() + length <= RUN_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_hold_equal_sizes_and_one_ecn() {
        let one: SocketAddr = "192.0.2.1:1".parse().unwrap();
        let two: SocketAddr = "192.0.2.2:1".parse().unwrap();
        let mut outbox = Outbox::default();
        for (to, ecn, length) in [
            (one, 0, 100),
            (one, 0, 100),
            (one, 0, 60),
            (one, 0, 60),
            (one, 2, 60),
            (two, 2, 60),
            (two, 2, 61),
        ] {
            outbox.push_datagram(to, ecn, 200, |_| Some(length));
        }
        let counts: Vec<_> = outbox
            .runs
            .iter()
            .map(|run| (run.count, run.range.len()))
            .collect();
        assert_eq!(counts, [(3, 260), (1, 60), (1, 60), (1, 60), (1, 61)]);
        assert_eq!(outbox.underlay_bytes().len(), 501);
        assert_eq!(outbox.push_datagram(one, 0, 10, |_| None), None);
        assert_eq!(outbox.runs.len(), 5);
    }
}
