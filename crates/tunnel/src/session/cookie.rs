//! The two MACs of handshake messages, and cookies: a responder under load answers with one instead
//! of calculating, and goes on only with whoever receives at the address that it sends from. Source:
//! WireGuard paper, sections 5.3, 5.4.4 and 5.4.7.

use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use blake2::digest::consts::U16;
use blake2::digest::{Digest, FixedOutput, Update};
use blake2::{Blake2s256, Blake2sMac};
use chacha20poly1305::aead::{AeadInPlace, KeyInit as _};
use chacha20poly1305::{Tag, XChaCha20Poly1305, XNonce};
use model::PublicKey;

use super::handshake::word;
use crate::fill_random;

/// Bytes of both MACs, at the end of each handshake message.
pub(super) const MACS: usize = 32;
/// Bytes of a cookie reply.
pub(super) const COOKIE_REPLY: usize = 64;

pub(super) const MESSAGE_COOKIE: u32 = 3;

const MAC: usize = 16;
const LABEL_MAC1: &[u8] = b"mac1----";
const LABEL_COOKIE: &[u8] = b"cookie--";
const SECRET_LIFE: Duration = Duration::from_secs(120);
const COOKIE_LIFE: Duration = Duration::from_secs(120);
const PERIOD: Duration = Duration::from_secs(1);
// Each costs about 0.2 ms of a core.
const HANDSHAKES_PER_PERIOD: u32 = 200;
// With a cookie; one address holds as many gateways as share a NAT.
const HANDSHAKES_PER_SOURCE: u32 = 20;
const SOURCES: usize = 1024;

type Mac = [u8; MAC];

fn mac(key: &[u8], parts: &[&[u8]]) -> Mac {
    let mut mac = <Blake2sMac<U16> as blake2::digest::KeyInit>::new_from_slice(key)
        .expect("keys of 16 and 32 bytes are taken");
    for part in parts {
        Update::update(&mut mac, part);
    }
    mac.finalize_fixed().into()
}

fn labelled(label: &[u8], key: &PublicKey) -> [u8; 32] {
    Blake2s256::new_with_prefix(label)
        .chain_update(key.0)
        .finalize()
        .into()
}

/// What to do with a handshake message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Take it.
    Pass,
    /// Send this many bytes that were written back to where it came from.
    Cookie(usize),
    /// Too many, though they carry a cookie.
    Limited,
    /// Its MAC is wrong.
    Invalid,
}

/// Our own part as a responder.
pub(super) struct Gatekeeper {
    mac1_key: [u8; 32],
    cookie_key: [u8; 32],
    secret: [u8; 32],
    secret_since: Instant,
    period_since: Instant,
    taken: u32,
    by_source: Box<[u32; SOURCES]>,
    sources: RandomState,
}

impl Gatekeeper {
    pub(super) fn new(own: &PublicKey, now: Instant) -> Gatekeeper {
        let mut secret = [0; 32];
        fill_random(&mut secret);
        Gatekeeper {
            mac1_key: labelled(LABEL_MAC1, own),
            cookie_key: labelled(LABEL_COOKIE, own),
            secret,
            secret_since: now,
            period_since: now,
            taken: 0,
            by_source: Box::new([0; SOURCES]),
            sources: RandomState::new(),
        }
    }

    /// Judges an initiation or a response of the right length. `out` holds a cookie reply.
    pub(super) fn judge(
        &mut self,
        source: SocketAddr,
        message: &[u8],
        now: Instant,
        out: &mut [u8],
    ) -> Verdict {
        let (body, macs) = message.split_at(message.len() - MACS);
        let (mac1, mac2) = macs.split_at(MAC);
        if verify_slices_are_equal(&mac(&self.mac1_key, &[body]), mac1).is_err() {
            return Verdict::Invalid;
        }
        if now.saturating_duration_since(self.period_since) >= PERIOD {
            self.period_since = now;
            self.taken = 0;
            self.by_source.fill(0);
        }
        self.taken = self.taken.saturating_add(1);
        if self.taken <= HANDSHAKES_PER_PERIOD {
            return Verdict::Pass;
        }
        let cookie = self.cookie(source, now);
        let expected = mac(&cookie, &[body, mac1]);
        if verify_slices_are_equal(&expected, mac2).is_err() {
            self.reply(word(message, 4), mac1, &cookie, out);
            return Verdict::Cookie(COOKIE_REPLY);
        }
        let place = self.sources.hash_one(source.ip()) as usize % SOURCES;
        self.by_source[place] += 1;
        if self.by_source[place] > HANDSHAKES_PER_SOURCE {
            Verdict::Limited
        } else {
            Verdict::Pass
        }
    }

    fn cookie(&mut self, source: SocketAddr, now: Instant) -> Mac {
        if now.saturating_duration_since(self.secret_since) >= SECRET_LIFE {
            self.secret_since = now;
            fill_random(&mut self.secret);
        }
        let port = source.port().to_be_bytes();
        match source.ip() {
            IpAddr::V4(address) => mac(&self.secret, &[&address.octets(), &port]),
            IpAddr::V6(address) => mac(&self.secret, &[&address.octets(), &port]),
        }
    }

    fn reply(&self, receiver: u32, mac1: &[u8], cookie: &Mac, out: &mut [u8]) {
        out[..4].copy_from_slice(&MESSAGE_COOKIE.to_le_bytes());
        out[4..8].copy_from_slice(&receiver.to_le_bytes());
        fill_random(&mut out[8..32]);
        let nonce = *XNonce::from_slice(&out[8..32]);
        out[32..48].copy_from_slice(cookie);
        let tag = XChaCha20Poly1305::new(&self.cookie_key.into())
            .encrypt_in_place_detached(&nonce, mac1, &mut out[32..48])
            .expect("sixteen bytes are far below the cipher's limit");
        out[48..COOKIE_REPLY].copy_from_slice(&tag);
    }
}

/// Our part towards one peer as a sender of handshake messages.
pub(super) struct Macs {
    mac1_key: [u8; 32],
    cookie_key: [u8; 32],
    cookie: Option<(Mac, Instant)>,
    last_mac1: Option<Mac>,
}

impl Macs {
    pub(super) fn new(peer: &PublicKey) -> Macs {
        Macs {
            mac1_key: labelled(LABEL_MAC1, peer),
            cookie_key: labelled(LABEL_COOKIE, peer),
            cookie: None,
            last_mac1: None,
        }
    }

    /// Writes both MACs to the end of a message.
    pub(super) fn write(&mut self, message: &mut [u8], now: Instant) {
        let (body, macs) = message.split_at_mut(message.len() - MACS);
        let mac1 = mac(&self.mac1_key, &[body]);
        macs[..MAC].copy_from_slice(&mac1);
        self.last_mac1 = Some(mac1);
        let cookie = self
            .cookie
            .filter(|(_, since)| now.saturating_duration_since(*since) < COOKIE_LIFE);
        let mac2 = cookie.map_or([0; MAC], |(cookie, _)| mac(&cookie, &[body, &mac1]));
        macs[MAC..].copy_from_slice(&mac2);
    }

    /// Takes a cookie reply to the last message; whether it is authentic.
    pub(super) fn take_reply(&mut self, reply: &[u8], now: Instant) -> bool {
        let Some(mac1) = self.last_mac1 else {
            return false;
        };
        let mut cookie: Mac = [0; MAC];
        cookie.copy_from_slice(&reply[32..48]);
        let opened = XChaCha20Poly1305::new(&self.cookie_key.into()).decrypt_in_place_detached(
            XNonce::from_slice(&reply[8..32]),
            &mac1,
            &mut cookie,
            Tag::from_slice(&reply[48..COOKIE_REPLY]),
        );
        if opened.is_ok() {
            // One reply for one message: a second one cannot be checked against it.
            self.last_mac1 = None;
            self.cookie = Some((cookie, now));
        }
        opened.is_ok()
    }
}
