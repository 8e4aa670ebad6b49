//! The messages of a handshake, without their MACs. The cryptography is snow's: Noise IKpsk2 with
//! the names that WireGuard gives it. Source: WireGuard paper, sections 5.4.2 and 5.4.3.

use model::PublicKey;
use snow::{Builder, HandshakeState};

use super::cookie::MACS;
use super::transport::{OpenKey, SealKey};

/// Bytes of an initiation, MACs included.
pub(super) const INITIATION: usize = 8 + 108 + MACS;
/// Bytes of a response, MACs included.
pub(super) const RESPONSE: usize = 12 + 48 + MACS;

pub(super) const MESSAGE_INITIATION: u32 = 1;
pub(super) const MESSAGE_RESPONSE: u32 = 2;

const PATTERN: &str = "Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s";
const PROLOGUE: &[u8] = b"WireGuard v1 zx2c4 Jason@zx2c4.com";
// No pre-shared key: WireGuard then uses zeros.
const NO_PSK: [u8; 32] = [0; 32];

/// A moment as TAI64N, which orders a peer's initiations.
pub(super) type Timestamp = [u8; 12];

/// The keys that a finished handshake gives.
pub(super) struct Keys {
    pub(super) seal: SealKey,
    pub(super) open: OpenKey,
}

/// An initiation that is authentic, to be answered.
pub struct Initiation {
    /// Who sent it.
    pub peer: PublicKey,
    pub(super) timestamp: Timestamp,
    sender: u32,
    state: HandshakeState,
}

/// Our initiation, waiting for its response.
pub(super) struct Initiated {
    pub(super) index: u32,
    state: HandshakeState,
}

fn builder(private_key: &[u8; 32]) -> Builder<'_> {
    let pattern = PATTERN.parse().expect("a pattern that snow knows");
    Builder::new(pattern)
        .local_private_key(private_key)
        .and_then(|builder| builder.prologue(PROLOGUE))
        .and_then(|builder| builder.psk(2, &NO_PSK))
        .expect("each is set once")
}

impl Initiated {
    /// Writes an initiation to the start of `out`, but for its MACs.
    pub(super) fn write(
        private_key: &[u8; 32],
        peer: &PublicKey,
        index: u32,
        timestamp: &Timestamp,
        out: &mut [u8],
    ) -> Option<Initiated> {
        let mut state = builder(private_key)
            .remote_public_key(&peer.0)
            .and_then(Builder::build_initiator)
            .ok()?;
        out[..4].copy_from_slice(&MESSAGE_INITIATION.to_le_bytes());
        out[4..8].copy_from_slice(&index.to_le_bytes());
        // A key of low order, which agrees on nothing, is the only thing that can fail.
        let written = state
            .write_message(timestamp, &mut out[8..INITIATION - MACS])
            .ok()?;
        debug_assert_eq!(written, 108);
        Some(Initiated { index, state })
    }

    /// Takes the response. A forged one changes nothing.
    pub(super) fn finish(&mut self, response: &[u8]) -> Option<Keys> {
        let noise = response.get(12..RESPONSE - MACS)?;
        self.state.read_message(noise, &mut [0; 48]).ok()?;
        let (sending, receiving) = self.state.dangerously_get_raw_split();
        Some(Keys {
            seal: SealKey::new(&sending, word(response, 4)),
            open: OpenKey::new(&receiving),
        })
    }
}

impl Initiation {
    /// Opens an initiation for us.
    pub(super) fn read(private_key: &[u8; 32], message: &[u8]) -> Option<Initiation> {
        let mut state = builder(private_key).build_responder().ok()?;
        let (mut payload, noise) = ([0; 108], message.get(8..INITIATION - MACS)?);
        let length = state.read_message(noise, &mut payload).ok()?;
        let peer = PublicKey(state.get_remote_static()?.try_into().ok()?);
        Some(Initiation {
            peer,
            timestamp: payload[..length].try_into().ok()?,
            sender: word(message, 4),
            state,
        })
    }

    /// Writes the response to the start of `out`, but for its MACs.
    pub(super) fn answer(mut self, index: u32, out: &mut [u8]) -> Option<Keys> {
        out[..4].copy_from_slice(&MESSAGE_RESPONSE.to_le_bytes());
        out[4..8].copy_from_slice(&index.to_le_bytes());
        out[8..12].copy_from_slice(&self.sender.to_le_bytes());
        let written = self
            .state
            .write_message(&[], &mut out[12..RESPONSE - MACS])
            .ok()?;
        debug_assert_eq!(written, 48);
        let (receiving, sending) = self.state.dangerously_get_raw_split();
        Some(Keys {
            seal: SealKey::new(&sending, self.sender),
            open: OpenKey::new(&receiving),
        })
    }
}

/// The little-endian word at a place of a message that is long enough.
pub(super) fn word(message: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([
        message[at],
        message[at + 1],
        message[at + 2],
        message[at + 3],
    ])
}
