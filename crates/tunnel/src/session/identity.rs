//! Who we are: what is known before the session of a message is, and how sessions begin.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use model::PublicKey;

use super::Session;
use super::cookie::{COOKIE_REPLY, Gatekeeper, MESSAGE_COOKIE, Macs, Verdict};
use super::handshake::{
    INITIATION, Initiation, MESSAGE_INITIATION, MESSAGE_RESPONSE, RESPONSE, Timestamp, word,
};
use super::transport;
use crate::counters::Drop;
use crate::public_key;

// TAI64 counts from 2^62 seconds before 1970 and was ten seconds ahead then.
const TAI64_EPOCH: u64 = (1 << 62) + 10;

/// Our identity, and the checks of handshakes before a peer is known.
pub struct Identity {
    private_key: [u8; 32],
    gatekeeper: Gatekeeper,
    // What the wall clock showed at a moment.
    unix_time: Duration,
    at: Instant,
}

/// What a datagram from the underlay is, before any session was asked.
pub enum Incoming {
    /// A handshake of the holder of a key.
    Initiation(Box<Initiation>),
    /// The response to an initiation of ours, for this index.
    Response(u32),
    /// A cookie in answer to a handshake message of ours, for this index.
    CookieReply(u32),
    /// A sealed packet: index of ours and counter.
    Transport(u32, u64),
    /// A cookie of this many bytes was written, to be sent back.
    Cookie(usize),
    /// To be dropped.
    Rejected(Drop),
}

impl Identity {
    /// Makes the identity of a private key. `unix_time` is the wall clock's at `now`: the time of our
    /// initiations, which must not go back between two starts.
    pub fn new(private_key: &[u8; 32], unix_time: Duration, now: Instant) -> Identity {
        Identity {
            private_key: *private_key,
            gatekeeper: Gatekeeper::new(&public_key(private_key), now),
            unix_time,
            at: now,
        }
    }

    /// The session with a peer. `number` has 24 bits and is unique among our sessions: an index on
    /// the wire is the number and a byte.
    pub fn session(
        &self,
        peer: &PublicKey,
        number: u32,
        keepalive: Option<Duration>,
        now: Instant,
    ) -> Session {
        Session {
            private_key: self.private_key,
            peer: *peer,
            number,
            handshakes: 0,
            macs: Macs::new(peer),
            current: None,
            retired: [None, None],
            next: None,
            waiting: None,
            greatest_timestamp: [0; 12],
            last_initiation: None,
            keepalive,
            sent: now,
            received: now,
            unanswered: None,
            unacknowledged: None,
        }
    }

    /// The time of an initiation as TAI64N, of which later ones are greater.
    pub fn timestamp(&self, now: Instant) -> Timestamp {
        let time = self.unix_time + now.saturating_duration_since(self.at);
        let mut timestamp = [0; 12];
        timestamp[..8].copy_from_slice(&(TAI64_EPOCH + time.as_secs()).to_be_bytes());
        timestamp[8..].copy_from_slice(&time.subsec_nanos().to_be_bytes());
        timestamp
    }

    /// Sorts a datagram. Handshakes are verified and limited here, with cookies (WireGuard paper,
    /// section 5.3). `out` holds at least [`super::HANDSHAKE_MAX`].
    pub fn classify(
        &mut self,
        source: SocketAddr,
        datagram: &[u8],
        now: Instant,
        out: &mut [u8],
    ) -> Incoming {
        if let Some((index, counter)) = transport::parse(datagram) {
            return Incoming::Transport(index, counter);
        }
        let kind = datagram.first_chunk().map(|kind| u32::from_le_bytes(*kind));
        match (kind, datagram.len()) {
            (Some(MESSAGE_INITIATION), INITIATION) | (Some(MESSAGE_RESPONSE), RESPONSE) => {}
            (Some(MESSAGE_COOKIE), COOKIE_REPLY) => {
                return Incoming::CookieReply(word(datagram, 4));
            }
            _ => return Incoming::Rejected(Drop::MalformedDatagram),
        }
        match self.gatekeeper.judge(source, datagram, now, out) {
            Verdict::Pass => {}
            Verdict::Cookie(length) => return Incoming::Cookie(length),
            Verdict::Limited => return Incoming::Rejected(Drop::HandshakeLimited),
            Verdict::Invalid => return Incoming::Rejected(Drop::HandshakeInvalid),
        }
        if datagram.len() == RESPONSE {
            return Incoming::Response(word(datagram, 8));
        }
        match Initiation::read(&self.private_key, datagram) {
            Some(initiation) => Incoming::Initiation(Box::new(initiation)),
            None => Incoming::Rejected(Drop::HandshakeInvalid),
        }
    }
}
