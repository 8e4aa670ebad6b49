//! The WireGuard session with one gateway: a trait of ours, and boringtun's protocol engine
//! behind it.
//!
//! boringtun reads the system's clock itself, so timers of a session run in real time even where
//! the rest of the engine runs in virtual time. It never queues packets for us: callers check
//! [`Session::is_ready`] first, so that nothing of a removed peering can leave later.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use boringtun::noise::errors::WireGuardError;
use boringtun::noise::handshake::parse_handshake_anon;
use boringtun::noise::rate_limiter::RateLimiter;
use boringtun::noise::{Packet, Tunn, TunnResult};
use boringtun::x25519;
use model::PublicKey;

use crate::counters::Drop;

/// Bytes that sealing adds: header 16, tag 16.
pub const SEAL_OVERHEAD: usize = 32;
/// The largest handshake message.
pub const HANDSHAKE_MAX: usize = 148;

const HANDSHAKES_PER_SEC: u64 = 200;

/// What a datagram turned out to be. Lengths count bytes written to the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opened {
    /// A tenant's or engine's packet of this many bytes.
    Packet(usize),
    /// A message to send back to where the datagram came from.
    Reply(usize),
    /// Authentic and without content: a keepalive or a cookie.
    Nothing,
    /// To be dropped.
    Rejected(Drop),
}

/// A WireGuard session with one peer.
pub trait Session: Send {
    /// Whether packets can be sealed.
    fn is_ready(&self) -> bool;

    /// Seals a packet into `out`, which is at least [`SEAL_OVERHEAD`] longer and at least
    /// [`HANDSHAKE_MAX`] long. Returns the length, `None` when there is no session.
    fn seal(&mut self, packet: &[u8], out: &mut [u8]) -> Option<usize>;

    /// Opens a datagram that is meant for this peer. `out` is at least as long as the datagram and
    /// [`HANDSHAKE_MAX`].
    fn open(&mut self, datagram: &[u8], out: &mut [u8]) -> Opened;

    /// Starts a handshake, whether or not one is under way; returns the message's length.
    fn initiate(&mut self, out: &mut [u8]) -> Option<usize>;

    /// Drives the timers; returns the length of a message to send.
    fn tick(&mut self, out: &mut [u8]) -> Option<usize>;

    /// The time since the last handshake of the session in use.
    fn last_handshake(&self) -> Option<Duration>;
}

/// Our identity, and the checks of handshakes before a peer is known.
pub struct Identity {
    private: x25519::StaticSecret,
    public: x25519::PublicKey,
    limiter: RateLimiter,
    // Tunn verifies handshakes a second time; its own limiter must not count them.
    unlimited: Arc<RateLimiter>,
}

/// What a datagram from the underlay is, before any session was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Incoming {
    /// A handshake from the holder of this key.
    Initiation(PublicKey),
    /// Anything for the session with this local index (24 bits, as given to [`Identity::session`]).
    ForIndex(u32),
    /// A cookie of this many bytes was written, to be sent back.
    Cookie(usize),
    /// To be dropped.
    Rejected(Drop),
}

impl Identity {
    /// Makes the identity of a private key.
    pub fn new(private_key: &[u8; 32]) -> Identity {
        let private = x25519::StaticSecret::from(*private_key);
        let public = x25519::PublicKey::from(&private);
        Identity {
            limiter: RateLimiter::new(&public, HANDSHAKES_PER_SEC),
            unlimited: Arc::new(RateLimiter::new(&public, u64::MAX)),
            private,
            public,
        }
    }

    /// The session with a peer. `index` has 24 bits and is unique among our sessions.
    pub fn session(
        &self,
        peer: &PublicKey,
        index: u32,
        keepalive: Option<Duration>,
    ) -> Box<dyn Session> {
        let keepalive = keepalive.map(|every| every.as_secs().clamp(1, u64::from(u16::MAX)) as u16);
        let tunn = Tunn::new(
            self.private.clone(),
            x25519::PublicKey::from(peer.0),
            None,
            keepalive,
            index,
            Some(self.unlimited.clone()),
        );
        Box::new(BoringtunSession { tunn })
    }

    /// Sorts a datagram: which peer or session it is for. Handshakes are rate-limited here, with
    /// cookies (WireGuard paper, section 5.3). `out` holds at least [`HANDSHAKE_MAX`].
    pub fn classify(&self, source: IpAddr, datagram: &[u8], out: &mut [u8]) -> Incoming {
        match self.limiter.verify_packet(Some(source), datagram, out) {
            Ok(Packet::HandshakeInit(init)) => {
                match parse_handshake_anon(&self.private, &self.public, &init) {
                    Ok(half) => Incoming::Initiation(PublicKey(half.peer_static_public)),
                    Err(_) => Incoming::Rejected(Drop::HandshakeInvalid),
                }
            }
            Ok(Packet::HandshakeResponse(packet)) => Incoming::ForIndex(packet.receiver_idx >> 8),
            Ok(Packet::PacketCookieReply(packet)) => Incoming::ForIndex(packet.receiver_idx >> 8),
            Ok(Packet::PacketData(packet)) => Incoming::ForIndex(packet.receiver_idx >> 8),
            Err(TunnResult::WriteToNetwork(cookie)) => Incoming::Cookie(cookie.len()),
            Err(TunnResult::Err(WireGuardError::InvalidMac)) => {
                Incoming::Rejected(Drop::HandshakeInvalid)
            }
            Err(_) => Incoming::Rejected(Drop::MalformedDatagram),
        }
    }

    /// Drives the rate limiter; to be called at least once a second.
    pub fn tick(&self) {
        self.limiter.reset_count();
    }
}

struct BoringtunSession {
    tunn: Tunn,
}

impl Session for BoringtunSession {
    fn is_ready(&self) -> bool {
        self.tunn.time_since_last_handshake().is_some()
    }

    fn seal(&mut self, packet: &[u8], out: &mut [u8]) -> Option<usize> {
        match self.tunn.encapsulate(packet, out) {
            TunnResult::WriteToNetwork(message) if message[0] == 4 => Some(message.len()),
            _ => None,
        }
    }

    fn open(&mut self, datagram: &[u8], out: &mut [u8]) -> Opened {
        match self.tunn.decapsulate(None, datagram, out) {
            TunnResult::WriteToTunnelV4(packet, _) | TunnResult::WriteToTunnelV6(packet, _) => {
                Opened::Packet(packet.len())
            }
            TunnResult::WriteToNetwork(message) => Opened::Reply(message.len()),
            TunnResult::Done => Opened::Nothing,
            TunnResult::Err(error) => Opened::Rejected(match error {
                WireGuardError::InvalidCounter | WireGuardError::DuplicateCounter => Drop::Replayed,
                WireGuardError::InvalidAeadTag if datagram.first() == Some(&4) => {
                    Drop::DecryptFailed
                }
                WireGuardError::NoCurrentSession | WireGuardError::WrongIndex => Drop::UnknownPeer,
                WireGuardError::InvalidPacket => Drop::MalformedFrame,
                _ => Drop::HandshakeInvalid,
            }),
        }
    }

    fn initiate(&mut self, out: &mut [u8]) -> Option<usize> {
        written(self.tunn.format_handshake_initiation(out, true))
    }

    fn tick(&mut self, out: &mut [u8]) -> Option<usize> {
        match self.tunn.update_timers(out) {
            // Peers are never given up: the next attempt starts at once.
            TunnResult::Err(WireGuardError::ConnectionExpired) => self.initiate(out),
            result => written(result),
        }
    }

    fn last_handshake(&self) -> Option<Duration> {
        self.tunn.time_since_last_handshake()
    }
}

fn written(result: TunnResult<'_>) -> Option<usize> {
    match result {
        TunnResult::WriteToNetwork(message) => Some(message.len()),
        _ => None,
    }
}
