//! The WireGuard session with one gateway: handshakes, the life of their keys, timers.
//!
//! A value like the rest of the engine: messages and `now` go in. The cryptography of handshakes is
//! the `snow` library's, that of packets aws-lc's; ours is what lies between (docs/decisions/0001):
//! [`transport`] seals and opens without a lock, on any worker, and the session only gives counters
//! out and checks those that come in. Packets are never queued for a session that does not exist
//! yet: callers ask [`Session::is_ready`] first, so that nothing of a removed peering leaves later.
//!
//! ```text
//!            initiation sent            response taken
//!   nothing ----------------> waiting ------------------> current, we are the initiator
//!      |                                                      |  120 s old: a new initiation
//!      | initiation answered          first message           v  180 s old: given up
//!      +--------------------> next -----------------> current, we are the responder
//! ```
//!
//! Source: WireGuard paper, sections 5.4 and 6.

mod cookie;
mod handshake;
mod identity;
#[cfg(test)]
mod tests;
pub mod transport;

use std::sync::Arc;
use std::time::{Duration, Instant};

use model::PublicKey;

use crate::counters::Drop;
use cookie::{COOKIE_REPLY, Macs};
use handshake::{INITIATION, Initiated, Initiation, Keys, RESPONSE, Timestamp};
pub use identity::{Identity, Incoming};
pub use transport::SEAL_OVERHEAD;
use transport::{OpenKey, REJECT_AFTER_MESSAGES, ReplayWindow, SealKey};

/// The largest handshake message.
pub const HANDSHAKE_MAX: usize = INITIATION;

const REKEY_AFTER: Duration = Duration::from_secs(120);
const REJECT_AFTER: Duration = Duration::from_secs(180);
const REKEY_TIMEOUT: Duration = Duration::from_secs(5);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
const REKEY_AFTER_MESSAGES: u64 = 1 << 60;
// Initiations of one peer that come faster are not worth the calculation.
const INITIATION_EVERY: Duration = Duration::from_millis(20);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Initiator,
    Responder,
}

struct Keypair {
    index: u32,
    seal: Arc<SealKey>,
    open: Arc<OpenKey>,
    counter: u64,
    window: ReplayWindow,
    since: Instant,
    role: Role,
}

/// What a session wants to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Send an initiation.
    Initiation,
    /// Send an empty transport message.
    Keepalive,
}

/// What an accepted transport message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepted {
    /// One of a session that is known to work.
    Usual,
    /// The first one under new keys, which completes the handshake for its responder.
    Establishing,
}

/// A WireGuard session with one peer.
pub struct Session {
    private_key: [u8; 32],
    peer: PublicKey,
    // 24 bits; the last byte of an index on the wire counts handshakes.
    number: u32,
    handshakes: u8,
    macs: Macs,
    current: Option<Keypair>,
    // Those used before, the latest first: the peer may still use either, and after two handshakes at
    // once each end goes on with another one.
    retired: [Option<Keypair>; 2],
    next: Option<Keypair>,
    waiting: Option<(Initiated, Instant)>,
    greatest_timestamp: Timestamp,
    last_initiation: Option<Instant>,
    keepalive: Option<Duration>,
    // Of anything authentic, and of messages with content.
    sent: Instant,
    received: Instant,
    // Set by content sent and not yet answered by anything, and the other way round.
    unanswered: Option<Instant>,
    unacknowledged: Option<Instant>,
}

impl Session {
    /// Whether packets can be sealed.
    pub fn is_ready(&self, now: Instant) -> bool {
        self.current.as_ref().is_some_and(|keys| keys.seals(now))
    }

    /// The key to seal the next message with, and its counter, which is used up. `None` when there
    /// is no session.
    pub fn next_message(&mut self, content: usize, now: Instant) -> Option<(&Arc<SealKey>, u64)> {
        let keys = self.current.as_mut().filter(|keys| keys.seals(now))?;
        let counter = keys.counter;
        keys.counter += 1;
        self.sent = now;
        self.unacknowledged = None;
        if content > 0 && self.unanswered.is_none() {
            self.unanswered = Some(now);
        }
        Some((&keys.seal, counter))
    }

    /// The key that opens messages for an index of ours.
    pub fn open_key(&self, index: u32) -> Option<&Arc<OpenKey>> {
        [&self.current, &self.next]
            .into_iter()
            .chain(&self.retired)
            .flatten()
            .find(|keys| keys.index == index)
            .map(|keys| &keys.open)
    }

    /// Takes note of a transport message that was opened, in the order of arrival.
    ///
    /// # Errors
    /// [`Drop::Replayed`], and [`Drop::UnknownPeer`] when its keys are gone by now.
    pub fn accept(
        &mut self,
        index: u32,
        counter: u64,
        content: usize,
        now: Instant,
    ) -> Result<Accepted, Drop> {
        let keys = [&mut self.current, &mut self.next]
            .into_iter()
            .chain(&mut self.retired)
            .flatten()
            .find(|keys| keys.index == index)
            .filter(|keys| now.saturating_duration_since(keys.since) < REJECT_AFTER)
            .ok_or(Drop::UnknownPeer)?;
        if !keys.window.accept(counter) {
            return Err(Drop::Replayed);
        }
        self.received = now;
        self.unanswered = None;
        if content > 0 && self.unacknowledged.is_none() {
            self.unacknowledged = Some(now);
        }
        if self.next.as_ref().is_some_and(|keys| keys.index == index) {
            let current = self.current.take();
            self.retire(current);
            self.current = self.next.take();
            return Ok(Accepted::Establishing);
        }
        Ok(Accepted::Usual)
    }

    /// Starts a handshake, whether or not one is under way. Writes the message to the start of `out`,
    /// which holds [`HANDSHAKE_MAX`], and returns its length; `None` when the peer's key is none.
    pub fn initiate(&mut self, timestamp: [u8; 12], now: Instant, out: &mut [u8]) -> Option<usize> {
        let index = self.next_index();
        let initiated = Initiated::write(&self.private_key, &self.peer, index, &timestamp, out)?;
        self.macs.write(&mut out[..INITIATION], now);
        self.waiting = Some((initiated, now));
        self.unanswered = None;
        self.sent = now;
        Some(INITIATION)
    }

    /// Answers an initiation of this peer. Writes the response to the start of `out` and returns its
    /// length.
    ///
    /// # Errors
    /// [`Drop::Replayed`] for one that is not newer than the last, [`Drop::HandshakeLimited`] for one
    /// that comes too soon after it, [`Drop::HandshakeInvalid`].
    pub fn answer(
        &mut self,
        initiation: Initiation,
        now: Instant,
        out: &mut [u8],
    ) -> Result<usize, Drop> {
        if initiation.timestamp <= self.greatest_timestamp {
            return Err(Drop::Replayed);
        }
        let is_early = self
            .last_initiation
            .is_some_and(|at| now.saturating_duration_since(at) < INITIATION_EVERY);
        if is_early {
            return Err(Drop::HandshakeLimited);
        }
        self.greatest_timestamp = initiation.timestamp;
        self.last_initiation = Some(now);
        let index = self.next_index();
        let keys = initiation
            .answer(index, out)
            .ok_or(Drop::HandshakeInvalid)?;
        self.macs.write(&mut out[..RESPONSE], now);
        self.next = Some(Keypair::new(keys, index, Role::Responder, now));
        self.received = now;
        self.sent = now;
        Ok(RESPONSE)
    }

    /// Takes a response to the last initiation. A transport message has to follow at once, which
    /// completes the handshake for the peer.
    ///
    /// # Errors
    /// [`Drop::HandshakeInvalid`] when it is no such response.
    pub fn finish(&mut self, response: &[u8], now: Instant) -> Result<(), Drop> {
        let invalid = Drop::HandshakeInvalid;
        let (initiated, _) = self.waiting.as_mut().ok_or(invalid)?;
        let index = initiated.index;
        if response.len() != RESPONSE || handshake::word(response, 8) != index {
            return Err(invalid);
        }
        let keys = initiated.finish(response).ok_or(invalid)?;
        self.waiting = None;
        let (current, next) = (self.current.take(), self.next.take());
        self.retire(current);
        self.retire(next);
        self.current = Some(Keypair::new(keys, index, Role::Initiator, now));
        self.received = now;
        self.unanswered = None;
        Ok(())
    }

    /// Takes a cookie: the next handshake message carries it.
    ///
    /// # Errors
    /// [`Drop::HandshakeInvalid`] when it does not answer our last message.
    pub fn take_cookie(&mut self, reply: &[u8], now: Instant) -> Result<(), Drop> {
        if reply.len() == COOKIE_REPLY && self.macs.take_reply(reply, now) {
            Ok(())
        } else {
            Err(Drop::HandshakeInvalid)
        }
    }

    /// What is to be sent by now. Gives up keys that are too old.
    pub fn tick(&mut self, now: Instant) -> Option<Due> {
        let age = |since: Instant| now.saturating_duration_since(since);
        let all = [&mut self.current, &mut self.next];
        for keys in all.into_iter().chain(&mut self.retired) {
            if keys
                .as_ref()
                .is_some_and(|keys| age(keys.since) >= REJECT_AFTER)
            {
                *keys = None;
            }
        }
        if let Some((_, at)) = &self.waiting {
            // Peers are never given up: as long as one is wanted, it is called.
            return (age(*at) >= REKEY_TIMEOUT).then_some(Due::Initiation);
        }
        let is_silent = self
            .unanswered
            .is_some_and(|at| age(at) >= KEEPALIVE_TIMEOUT + REKEY_TIMEOUT);
        if is_silent
            || self
                .current
                .as_ref()
                .is_some_and(|keys| self.is_worn(keys, now))
        {
            return Some(Due::Initiation);
        }
        let passive = self
            .unacknowledged
            .is_some_and(|at| age(at) >= KEEPALIVE_TIMEOUT);
        let persistent = self.keepalive.is_some_and(|every| age(self.sent) >= every);
        (self.is_ready(now) && (passive || persistent)).then_some(Due::Keepalive)
    }

    // Only the initiator renews, so that two ends do not do it at once: in time when it sends, and
    // late, but before the keys end, when it only receives.
    fn is_worn(&self, keys: &Keypair, now: Instant) -> bool {
        let age = now.saturating_duration_since(keys.since);
        let last = REJECT_AFTER - KEEPALIVE_TIMEOUT - REKEY_TIMEOUT;
        keys.role == Role::Initiator
            && ((age >= REKEY_AFTER && self.sent >= keys.since + REKEY_AFTER)
                || (age >= last && self.received >= keys.since + last)
                || keys.counter >= REKEY_AFTER_MESSAGES)
    }

    /// The time since the handshake of the keys in use.
    pub fn last_handshake(&self, now: Instant) -> Option<Duration> {
        let keys = self.current.as_ref()?;
        Some(now.saturating_duration_since(keys.since))
    }

    fn retire(&mut self, keys: Option<Keypair>) {
        if keys.is_some() {
            self.retired.rotate_right(1);
            self.retired[0] = keys;
        }
    }

    fn next_index(&mut self) -> u32 {
        self.handshakes = self.handshakes.wrapping_add(1);
        self.number << 8 | u32::from(self.handshakes)
    }
}

impl Keypair {
    fn new(keys: Keys, index: u32, role: Role, now: Instant) -> Keypair {
        Keypair {
            index,
            seal: Arc::new(keys.seal),
            open: Arc::new(keys.open),
            counter: 0,
            window: ReplayWindow::default(),
            since: now,
            role,
        }
    }

    fn seals(&self, now: Instant) -> bool {
        self.counter < REJECT_AFTER_MESSAGES
            && now.saturating_duration_since(self.since) < REJECT_AFTER
    }
}
