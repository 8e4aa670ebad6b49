//! The way in from the underlay: the WireGuard session of each datagram, and from where it came.
//! What is inside is [`crate::decapsulate`]'s.

use std::net::SocketAddr;
use std::time::Instant;

use model::VpcId;

use crate::counters::Drop;
use crate::engine::Engine;
use crate::inbox::{Arrival, Content, Inbox};
use crate::outbox::Outbox;
use crate::session::transport::{HEADER, TAG};
use crate::session::{self, HANDSHAKE_MAX, Incoming, SEAL_OVERHEAD};

// Whose counter a drop belongs to.
pub(crate) enum Blame {
    Engine(Drop),
    Peering(usize, Drop),
}

/// A packet that may go to a device: whose it is, and which peering it came through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Accepted {
    pub(crate) vpc: VpcId,
    pub(crate) peering: usize,
    pub(crate) length: usize,
}

impl Engine {
    /// Takes a datagram from the underlay. `ecn` is the codepoint of its IP header. The same as
    /// [`Engine::look_up`], [`Inbox::open`], [`Engine::take`] and [`Inbox::deliver`] for one alone.
    pub fn from_underlay(
        &mut self,
        source: SocketAddr,
        ecn: u8,
        datagram: &[u8],
        now: Instant,
        out: &mut Outbox,
    ) {
        let mut inbox = std::mem::take(&mut self.single);
        inbox.clear();
        inbox.push_copy(source, ecn, datagram);
        self.look_up(&mut inbox);
        inbox.open();
        self.take(&mut inbox, now, out);
        inbox.deliver(out);
        self.single = inbox;
    }

    /// Finds the keys that a batch of datagrams is to be opened with.
    pub fn look_up(&self, inbox: &mut Inbox) {
        inbox.look_up(|index| {
            let position = *self.gateway_by_number.get(&(index >> 8))?;
            self.gateways[position].session.open_key(index)
        });
    }

    /// Takes a batch of datagrams after [`Inbox::open`], in the order of arrival. What may go to
    /// devices is noted in the inbox, for [`Inbox::deliver`].
    pub fn take(&mut self, inbox: &mut Inbox, now: Instant, out: &mut Outbox) {
        for at in 0..inbox.len() {
            let (arrival, datagram) = inbox.arrival_mut(at);
            let result = match arrival.content {
                Content::Opened { index, counter } => {
                    let end = datagram.len() - TAG;
                    let content = &mut datagram[HEADER..end];
                    self.take_opened(&arrival, (index, counter), content, now, out)
                }
                Content::Other => self.take_other(&arrival, datagram, now, out).map(|()| None),
                Content::Sealed { .. } | Content::Forged => Err(Blame::Engine(Drop::DecryptFailed)),
            };
            match result {
                Ok(Some((start, accepted))) => inbox.accept(at, HEADER + start, accepted),
                Ok(None) => {}
                Err(Blame::Engine(cause)) => self.drops.count(cause),
                Err(Blame::Peering(position, cause)) => {
                    self.peerings[position].received_drops.count(cause);
                }
            }
        }
    }

    fn take_opened(
        &mut self,
        arrival: &Arrival,
        (index, counter): (u32, u64),
        content: &mut [u8],
        now: Instant,
        out: &mut Outbox,
    ) -> Result<Option<(usize, Accepted)>, Blame> {
        let position = self.position_of(index)?;
        let gateway = &mut self.gateways[position];
        let accepted = gateway
            .session
            .accept(index, counter, content.len(), now)
            .map_err(Blame::Engine)?;
        self.note_authentic(position, arrival, content.len() + SEAL_OVERHEAD, now);
        if accepted == session::Accepted::Establishing {
            self.session_established(position, now, out);
        }
        if content.is_empty() {
            return Ok(None);
        }
        self.receive_frame(position, arrival.ecn, content, now, out)
    }

    // Handshakes, cookies, and what is no WireGuard message or for no session of ours.
    fn take_other(
        &mut self,
        arrival: &Arrival,
        datagram: &[u8],
        now: Instant,
        out: &mut Outbox,
    ) -> Result<(), Blame> {
        let (source, mut room) = (arrival.source, [0; HANDSHAKE_MAX]);
        let incoming = self.identity.classify(source, datagram, now, &mut room);
        let is_response = matches!(incoming, Incoming::Response(_));
        let position = match incoming {
            Incoming::Cookie(length) => {
                copy_out(source, &room[..length], out);
                return Err(Blame::Engine(Drop::HandshakeLimited));
            }
            Incoming::Rejected(cause) => return Err(Blame::Engine(cause)),
            Incoming::Transport(..) => return Err(Blame::Engine(Drop::UnknownPeer)),
            Incoming::Initiation(initiation) => {
                let position = self.gateway_by_key.get(&initiation.peer);
                let position = *position.ok_or(Blame::Engine(Drop::UnknownPeer))?;
                let session = &mut self.gateways[position].session;
                let length = session
                    .answer(*initiation, now, &mut room)
                    .map_err(Blame::Engine)?;
                copy_out(source, &room[..length], out);
                position
            }
            Incoming::Response(index) => {
                let position = self.position_of(index)?;
                let session = &mut self.gateways[position].session;
                session.finish(datagram, now).map_err(Blame::Engine)?;
                position
            }
            Incoming::CookieReply(index) => {
                let position = self.position_of(index)?;
                let session = &mut self.gateways[position].session;
                return session.take_cookie(datagram, now).map_err(Blame::Engine);
            }
        };
        self.note_authentic(position, arrival, datagram.len(), now);
        if is_response {
            self.gateways[position].send_keepalive(now, out);
            self.session_established(position, now, out);
        }
        Ok(())
    }

    fn position_of(&self, index: u32) -> Result<usize, Blame> {
        let position = self.gateway_by_number.get(&(index >> 8)).copied();
        position.ok_or(Blame::Engine(Drop::UnknownPeer))
    }

    // Where something authentic comes from is where the gateway is.
    fn note_authentic(&mut self, position: usize, arrival: &Arrival, length: usize, now: Instant) {
        let gateway = &mut self.gateways[position];
        gateway.last_received = Some(now);
        gateway.received_bytes += length as u64;
        if gateway.endpoint != Some(arrival.source) {
            gateway.endpoint = Some(arrival.source);
            gateway.path_mtu.forget(now);
            self.endpoints_changed = true;
        }
    }
}

fn copy_out(destination: SocketAddr, message: &[u8], out: &mut Outbox) {
    out.push_datagram(destination, message.len(), |room| {
        room.copy_from_slice(message);
        Some(message.len())
    });
}
