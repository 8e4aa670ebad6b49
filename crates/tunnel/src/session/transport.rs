//! Transport messages: header, cipher and the window against replays.
//!
//! The keys are shared by all workers and need no lock: who seals was handed a counter, who opens
//! has its counter checked afterwards. Source: WireGuard paper, section 5.4.6.

use aws_lc_rs::aead::{Aad, Algorithm, LessSafeKey, NONCE_LEN, Nonce, Tag, UnboundKey};

/// Bytes before the sealed content: type 1, reserved 3, receiver index 4, counter 8, little-endian.
pub const HEADER: usize = 16;
/// Bytes after the sealed content.
pub const TAG: usize = 16;
/// Bytes that sealing adds.
pub const SEAL_OVERHEAD: usize = HEADER + TAG;

pub(super) const MESSAGE_TRANSPORT: u32 = 4;

// What the protocol fixes; the other one only tells what it costs (docs/decisions/0003).
#[cfg(not(feature = "bench-aes"))]
static CIPHER: &Algorithm = &aws_lc_rs::aead::CHACHA20_POLY1305;
#[cfg(feature = "bench-aes")]
static CIPHER: &Algorithm = &aws_lc_rs::aead::AES_256_GCM;

/// Seals for one receiver under one key.
pub struct SealKey {
    key: LessSafeKey,
    receiver: u32,
}

/// Opens what was sealed under one key.
pub struct OpenKey {
    key: LessSafeKey,
}

impl SealKey {
    pub(crate) fn new(key: &[u8; 32], receiver: u32) -> SealKey {
        SealKey {
            key: less_safe(key),
            receiver,
        }
    }

    /// Seals in place: `message` is room for the header, the content, and room for the tag. A counter
    /// must never be used twice.
    pub fn seal(&self, counter: u64, message: &mut [u8]) {
        let (header, rest) = message.split_at_mut(HEADER);
        header[..4].copy_from_slice(&MESSAGE_TRANSPORT.to_le_bytes());
        header[4..8].copy_from_slice(&self.receiver.to_le_bytes());
        header[8..].copy_from_slice(&counter.to_le_bytes());
        let (content, tag_room) = rest.split_at_mut(rest.len() - TAG);
        let tag: Tag = self
            .key
            .seal_in_place_separate_tag(nonce(counter), Aad::empty(), content)
            .expect("a message is far below the cipher's limit");
        tag_room.copy_from_slice(tag.as_ref());
    }
}

impl OpenKey {
    pub(crate) fn new(key: &[u8; 32]) -> OpenKey {
        OpenKey {
            key: less_safe(key),
        }
    }

    /// Opens a message in place and tells whether it is authentic; its content is then between
    /// [`HEADER`] and the last [`TAG`] bytes.
    pub fn open(&self, counter: u64, message: &mut [u8]) -> bool {
        let Some(sealed) = message.get_mut(HEADER..) else {
            return false;
        };
        self.key
            .open_in_place(nonce(counter), Aad::empty(), sealed)
            .is_ok()
    }
}

fn less_safe(key: &[u8; 32]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(CIPHER, key).expect("both ciphers take 32 bytes"))
}

fn nonce(counter: u64) -> Nonce {
    let mut nonce = [0; NONCE_LEN];
    nonce[4..].copy_from_slice(&counter.to_le_bytes());
    Nonce::assume_unique_for_key(nonce)
}

/// The receiver index and counter of a transport message.
pub fn parse(message: &[u8]) -> Option<(u32, u64)> {
    let (header, rest) = message.split_first_chunk::<HEADER>()?;
    let word = |at: usize| {
        u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
    };
    if word(0) != MESSAGE_TRANSPORT || rest.len() < TAG {
        return None;
    }
    let counter = u64::from(word(8)) | u64::from(word(12)) << 32;
    Some((word(4), counter))
}

/// Counters from here on are never used.
pub(super) const REJECT_AFTER_MESSAGES: u64 = u64::MAX - (1 << 13);

const WORDS: usize = 128;
/// How far a message may come after a later one and still be taken.
pub const WINDOW: u64 = (WORDS as u64 - 1) * 64;

/// Which counters were seen: a ring of bits that moves on by whole words. Source: RFC 6479.
pub struct ReplayWindow {
    // One above the highest counter seen.
    next: u64,
    seen: [u64; WORDS],
}

impl Default for ReplayWindow {
    fn default() -> ReplayWindow {
        ReplayWindow {
            next: 0,
            seen: [0; WORDS],
        }
    }
}

impl ReplayWindow {
    /// Notes the counter of an authentic message; whether it is new.
    pub fn accept(&mut self, counter: u64) -> bool {
        if counter >= REJECT_AFTER_MESSAGES {
            return false;
        }
        if counter >= self.next {
            // A word is cleared before a bit of it is used again.
            let (first, last) = (self.next.div_ceil(64), counter / 64);
            for word in first.max(last.saturating_sub(WORDS as u64 - 1))..=last {
                self.seen[word as usize % WORDS] = 0;
            }
            self.next = counter + 1;
        } else if self.next - 1 - counter >= WINDOW {
            return false;
        }
        let (word, bit) = (
            &mut self.seen[(counter / 64) as usize % WORDS],
            1 << (counter % 64),
        );
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_one_seals_the_other_opens_once_changed_nowhere() {
        let (seal, open) = (SealKey::new(&[1; 32], 0x0102_0304), OpenKey::new(&[1; 32]));
        let mut message = vec![7; SEAL_OVERHEAD + 100];
        seal.seal(0x1122_3344_5566, &mut message);
        assert_eq!(message[..8], [4, 0, 0, 0, 4, 3, 2, 1]);
        assert_eq!(parse(&message), Some((0x0102_0304, 0x1122_3344_5566)));
        for at in HEADER..message.len() {
            let mut changed = message.clone();
            changed[at] ^= 1;
            assert!(!open.open(0x1122_3344_5566, &mut changed), "byte {at}");
        }
        assert!(!open.open(0x1122_3344_5567, &mut message.clone()));
        assert!(open.open(0x1122_3344_5566, &mut message));
        assert_eq!(message[HEADER..HEADER + 100], [7; 100]);
        for length in 0..SEAL_OVERHEAD {
            assert_eq!(parse(&message[..length]), None);
            assert!(!open.open(1, &mut message[..length].to_vec()));
        }
    }

    proptest! {
        // Against a set of all counters ever seen.
        #[test]
        fn each_counter_is_taken_once_and_only_within_the_window(
            steps in prop::collection::vec(
                prop_oneof![0u64..20_000, Just(REJECT_AFTER_MESSAGES - 1), Just(u64::MAX), (0u64..70).prop_map(|n| 8100 + n)],
                1..300,
            )
        ) {
            let (mut window, mut seen, mut highest) =
                (ReplayWindow::default(), std::collections::HashSet::new(), None::<u64>);
            for counter in steps {
                let in_window = highest.is_none_or(|highest| counter.saturating_add(WINDOW) > highest);
                let is_counter = counter < REJECT_AFTER_MESSAGES;
                let expected = is_counter && in_window && !seen.contains(&counter);
                prop_assert_eq!(window.accept(counter), expected, "{}", counter);
                if !is_counter {
                    continue;
                }
                seen.insert(counter);
                highest = highest.max(Some(counter));
            }
        }
    }
}
