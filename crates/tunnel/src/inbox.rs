//! What came from the underlay in one go, on its way in: datagrams are opened in their place, without
//! the engine, and what it then takes is joined and handed to devices, again without it.

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;

use crate::outbox::Outbox;
use crate::receive::Accepted;
use crate::session::transport::{self, OpenKey};

/// What a datagram is, as far as it was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    /// Sealed for a session of ours; `key` is a position in the inbox.
    Sealed {
        key: usize,
        index: u32,
        counter: u64,
    },
    /// Authentic; the content is in place.
    Opened { index: u32, counter: u64 },
    /// Sealed by somebody else, or changed.
    Forged,
    /// Anything else.
    Other,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival {
    pub(crate) source: SocketAddr,
    pub(crate) ecn: u8,
    start: usize,
    length: usize,
    pub(crate) content: Content,
}

impl Arrival {
    // By session, then as sealed; others as they came.
    fn order(&self) -> (u32, u64, usize) {
        match self.content {
            Content::Sealed { index, counter, .. } | Content::Opened { index, counter } => {
                (index, counter, self.start)
            }
            Content::Forged | Content::Other => (0, 0, self.start),
        }
    }
}

/// Datagrams in the order of arrival.
#[derive(Default)]
pub struct Inbox {
    bytes: Vec<u8>,
    arrivals: Vec<Arrival>,
    keys: Vec<Arc<OpenKey>>,
    // Where packets for devices are.
    accepted: Vec<(Range<usize>, Accepted)>,
}

impl Inbox {
    /// Room for `length` bytes of datagrams, which [`Inbox::push`] then tells of.
    pub(crate) fn room(&mut self, length: usize) -> &mut [u8] {
        if self.bytes.len() < length {
            self.bytes.resize(length, 0);
        }
        &mut self.bytes[..length]
    }

    /// Notes datagrams of `segment` bytes each, the last one of what is left, that lie at `range` of
    /// the room.
    pub(crate) fn push(
        &mut self,
        source: SocketAddr,
        ecn: u8,
        segment: usize,
        range: Range<usize>,
    ) -> usize {
        let before = self.arrivals.len();
        let mut start = range.start;
        // An empty datagram is one too.
        while start < range.end || self.arrivals.len() == before {
            let length = segment.min(range.end - start);
            self.arrivals.push(Arrival {
                source,
                ecn,
                start,
                length,
                content: Content::Other,
            });
            start += length.max(1);
        }
        self.arrivals.len() - before
    }

    /// Adds a datagram, which is copied.
    pub fn push_copy(&mut self, source: SocketAddr, ecn: u8, datagram: &[u8]) {
        let start = self
            .arrivals
            .last()
            .map_or(0, |last| last.start + last.length);
        let end = start + datagram.len();
        self.room(end)[start..].copy_from_slice(datagram);
        self.arrivals.push(Arrival {
            source,
            ecn,
            start,
            length: datagram.len(),
            content: Content::Other,
        });
    }

    pub(crate) fn look_up<'a>(&mut self, find: impl Fn(u32) -> Option<&'a Arc<OpenKey>>) {
        let mut last: Option<u32> = None;
        for arrival in &mut self.arrivals {
            let datagram = &self.bytes[arrival.start..arrival.start + arrival.length];
            let Some((index, counter)) = transport::parse(datagram) else {
                continue;
            };
            if last != Some(index) {
                let Some(key) = find(index) else {
                    continue;
                };
                self.keys.push(key.clone());
                last = Some(index);
            }
            let key = self.keys.len() - 1;
            arrival.content = Content::Sealed {
                key,
                index,
                counter,
            };
        }
    }

    /// Opens everything that a key was found for, and puts each session's messages in the order in which
    /// they were sealed: a sender's CPUs, and ours, may have exchanged some on their way here.
    pub fn open(&mut self) {
        if !self.arrivals.is_sorted_by_key(Arrival::order) {
            self.arrivals.sort_unstable_by_key(Arrival::order);
        }
        for arrival in &mut self.arrivals {
            let Content::Sealed {
                key,
                index,
                counter,
            } = arrival.content
            else {
                continue;
            };
            let message = &mut self.bytes[arrival.start..arrival.start + arrival.length];
            arrival.content = if self.keys[key].open(counter, message) {
                Content::Opened { index, counter }
            } else {
                Content::Forged
            };
        }
        self.keys.clear();
    }

    /// Bytes that [`Inbox::open`] has to open, and the rest.
    pub fn bytes(&self) -> usize {
        self.arrivals.iter().map(|arrival| arrival.length).sum()
    }

    /// How many datagrams there are.
    pub fn len(&self) -> usize {
        self.arrivals.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.arrivals.is_empty()
    }

    pub(crate) fn arrival_mut(&mut self, at: usize) -> (Arrival, &mut [u8]) {
        let arrival = self.arrivals[at];
        let range = arrival.start..arrival.start + arrival.length;
        (arrival, &mut self.bytes[range])
    }

    // `start` counts from the start of the datagram.
    pub(crate) fn accept(&mut self, at: usize, start: usize, accepted: Accepted) {
        let start = self.arrivals[at].start + start;
        self.accepted
            .push((start..start + accepted.length, accepted));
    }

    /// Hands on what the engine took for devices.
    pub fn deliver(&mut self, out: &mut Outbox) {
        for (range, accepted) in self.accepted.drain(..) {
            out.join(accepted.vpc, accepted.peering, &self.bytes[range]);
        }
    }

    /// Forgets everything and keeps the buffers.
    pub fn clear(&mut self) {
        self.arrivals.clear();
        self.keys.clear();
        self.accepted.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::transport::{OpenKey, SEAL_OVERHEAD, SealKey};

    #[test]
    fn messages_of_a_session_are_opened_in_the_order_of_their_counters() {
        let (seal, open) = (SealKey::new(&[1; 32], 7), Arc::new(OpenKey::new(&[1; 32])));
        let source = SocketAddr::from(([192, 0, 2, 1], 1));
        let mut inbox = Inbox::default();
        for counter in [3, 0, 2, 1, 4u8] {
            let mut message = vec![counter; SEAL_OVERHEAD + 40];
            seal.seal(counter.into(), &mut message);
            inbox.push_copy(source, 0, &message);
            inbox.push_copy(source, 0, b"no message");
        }
        inbox.look_up(|index| (index == 7).then_some(&open));
        inbox.open();
        let contents: Vec<_> = (0..inbox.len())
            .map(|at| inbox.arrival_mut(at).0.content)
            .collect();
        let others = contents
            .iter()
            .filter(|content| **content == Content::Other);
        assert_eq!(others.count(), 5);
        let opened = contents.iter().filter_map(|content| match content {
            Content::Opened { counter, .. } => Some(*counter),
            Content::Sealed { .. } | Content::Forged | Content::Other => None,
        });
        assert_eq!(opened.collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    }
}
