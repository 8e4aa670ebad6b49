//! What the engine hands to the I/O: datagrams in runs of equal size, packets for TUN devices, and
//! events. Buffers are kept between uses.
//!
//! Datagrams are added in the clear, in their place; [`Outbox::seal`] seals them there. So the engine
//! decides under its lock, and the expensive part needs none.

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;

use model::VpcId;

use crate::TunnelEvent;
use crate::coalesce::Coalescer;
use crate::gso::{VNET_HEADER, VnetHeader};
use crate::session::transport::{HEADER, SEAL_OVERHEAD, SealKey};

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
    // Among the bytes of all.
    range: Range<usize>,
}

/// Packets for devices, in order.
#[derive(Default)]
pub struct Deliveries {
    list: Vec<Delivery>,
    bytes: Vec<u8>,
}

// A datagram that is still to be sealed in its place.
struct Unsealed {
    range: Range<usize>,
    counter: u64,
    key: usize,
}

/// Output of the engine.
#[derive(Default)]
pub struct Outbox {
    /// Datagrams, in order.
    pub runs: Vec<Run>,
    /// Events, in order.
    pub events: Vec<TunnelEvent>,
    deliveries: Deliveries,
    coalescer: Coalescer,
    underlay: Vec<u8>,
    underlay_end: usize,
    unsealed: Vec<Unsealed>,
    keys: Vec<Arc<SealKey>>,
}

impl Deliveries {
    /// Adds a packet or super-packet of `count` packets for a device.
    pub fn push(&mut self, vpc: VpcId, vnet: VnetHeader, packet: &[u8], count: usize) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&vnet.to_bytes());
        self.bytes.extend_from_slice(packet);
        self.list.push(Delivery {
            vpc,
            count,
            range: start..start + VNET_HEADER + packet.len(),
        });
    }

    /// Each with its bytes.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Delivery, &[u8])> {
        self.list
            .iter()
            .map(|delivery| (delivery, &self.bytes[delivery.range.clone()]))
    }
}

impl Outbox {
    /// Adds a datagram of at most `room` bytes that is sent as `write` writes it; it returns the
    /// length, or `None` to add nothing.
    pub fn push_datagram(
        &mut self,
        destination: SocketAddr,
        room: usize,
        write: impl FnOnce(&mut [u8]) -> Option<usize>,
    ) -> Option<usize> {
        let start = self.underlay_end;
        let length = write(self.room(room))?;
        self.append(destination, 0, start..start + length);
        Some(length)
    }

    /// Adds a transport message whose content `write` puts at the start of at least `room` bytes; it
    /// returns its length and the ECN codepoint for the underlay header, or `None` to add nothing.
    /// Returns the length of the message.
    pub fn push_sealed(
        &mut self,
        destination: SocketAddr,
        key: &Arc<SealKey>,
        counter: u64,
        room: usize,
        write: impl FnOnce(&mut [u8]) -> Option<(usize, u8)>,
    ) -> Option<usize> {
        let start = self.underlay_end;
        let (length, ecn) = write(&mut self.room(room + SEAL_OVERHEAD)[HEADER..])?;
        if self.keys.last().is_none_or(|last| !Arc::ptr_eq(last, key)) {
            self.keys.push(key.clone());
        }
        let range = start..start + length + SEAL_OVERHEAD;
        self.unsealed.push(Unsealed {
            range: range.clone(),
            counter,
            key: self.keys.len() - 1,
        });
        self.append(destination, ecn, range);
        Some(length + SEAL_OVERHEAD)
    }

    fn room(&mut self, length: usize) -> &mut [u8] {
        let end = self.underlay_end + length;
        if self.underlay.len() < end {
            self.underlay.resize(end.max(2 * self.underlay.len()), 0);
        }
        &mut self.underlay[self.underlay_end..end]
    }

    fn append(&mut self, destination: SocketAddr, ecn: u8, range: Range<usize>) {
        self.underlay_end = range.end;
        match self.runs.last_mut() {
            Some(run) if run.takes(destination, ecn, range.len()) => {
                run.count += 1;
                run.range.end = range.end;
            }
            _ => self.runs.push(Run {
                destination,
                ecn,
                segment: range.len(),
                count: 1,
                range,
            }),
        }
    }

    /// Seals what was added since the last time.
    pub fn seal(&mut self) {
        for message in self.unsealed.drain(..) {
            self.keys[message.key].seal(message.counter, &mut self.underlay[message.range]);
        }
        self.keys.clear();
    }

    /// Bytes that [`Outbox::seal`] has to seal.
    pub fn unsealed_bytes(&self) -> usize {
        match (self.unsealed.first(), self.unsealed.last()) {
            (Some(first), Some(last)) => last.range.end - first.range.start,
            _ => 0,
        }
    }

    /// Adds a packet or super-packet of `count` packets for a device.
    pub fn push_delivery(&mut self, vpc: VpcId, vnet: VnetHeader, packet: &[u8], count: usize) {
        self.deliveries.push(vpc, vnet, packet, count);
    }

    /// Adds a packet that came through a peering, joined with others of its flow. `peering` tells
    /// peerings apart.
    pub fn join(&mut self, vpc: VpcId, peering: usize, packet: &[u8]) {
        self.coalescer
            .push(vpc, peering, packet, &mut self.deliveries);
    }

    /// The packets for devices, in order; those that waited to be joined included.
    pub fn deliveries(&mut self) -> &Deliveries {
        self.coalescer.flush(&mut self.deliveries);
        &self.deliveries
    }

    /// Forgets the packets for devices, which have been written.
    pub fn clear_deliveries(&mut self) {
        self.deliveries.list.clear();
        self.deliveries.bytes.clear();
    }

    /// Whether nothing is to be sent, delivered or told.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
            && self.events.is_empty()
            && self.deliveries.list.is_empty()
            && self.coalescer.is_empty()
    }

    /// The bytes of all runs.
    ///
    /// # Panics
    /// When some of them are not sealed yet: nothing leaves in the clear.
    pub fn underlay_bytes(&self) -> &[u8] {
        assert!(
            self.unsealed.is_empty(),
            "datagrams are sealed before they are sent"
        );
        &self.underlay[..self.underlay_end]
    }

    /// Forgets everything and keeps the buffers.
    pub fn clear(&mut self) {
        self.runs.clear();
        self.events.clear();
        self.clear_deliveries();
        self.underlay_end = 0;
        self.unsealed.clear();
        self.keys.clear();
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
            outbox.append(to, ecn, outbox.underlay_end..outbox.underlay_end + length);
        }
        let counts: Vec<_> = outbox
            .runs
            .iter()
            .map(|run| (run.count, run.range.len()))
            .collect();
        assert_eq!(counts, [(3, 260), (1, 60), (1, 60), (1, 60), (1, 61)]);
        assert_eq!(outbox.underlay_end, 501);
        assert_eq!(outbox.push_datagram(one, 10, |_| None), None);
        assert_eq!(outbox.runs.len(), 5);
    }
}
