//! The session against itself in virtual time, and against boringtun in both roles.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use boringtun::noise::{Tunn, TunnResult};
use boringtun::x25519;

use super::cookie::COOKIE_REPLY;
use super::transport::{HEADER, TAG};
use super::*;
use crate::public_key;

const SECOND: Duration = Duration::from_secs(1);
const KEYS: [[u8; 32]; 2] = [[64; 32], [72; 32]];

fn address(end: usize) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, end as u8 + 1], 51820))
}

struct End {
    identity: Identity,
    session: Session,
    taken: Vec<Vec<u8>>,
    established: usize,
    drops: Vec<Drop>,
}

impl End {
    fn new(end: usize, keepalive: Option<Duration>, now: Instant) -> End {
        let identity = Identity::new(&KEYS[end], Duration::from_secs(1_700_000_000), now);
        let session = identity.session(&public_key(&KEYS[1 - end]), 77, keepalive, now);
        End {
            identity,
            session,
            taken: Vec::new(),
            established: 0,
            drops: Vec::new(),
        }
    }

    fn initiate(&mut self, now: Instant) -> Vec<u8> {
        let mut out = vec![0; HANDSHAKE_MAX];
        let timestamp = self.identity.timestamp(now);
        let length = self.session.initiate(timestamp, now, &mut out).unwrap();
        out.truncate(length);
        out
    }

    fn seal(&mut self, content: &[u8], now: Instant) -> Vec<u8> {
        let mut out = vec![0; content.len() + SEAL_OVERHEAD];
        out[HEADER..HEADER + content.len()].copy_from_slice(content);
        let (key, counter) = self.session.next_message(content.len(), now).unwrap();
        key.seal(counter, &mut out);
        out
    }

    // Takes a datagram and returns what is to be sent back.
    fn take(&mut self, datagram: &[u8], now: Instant) -> Option<Vec<u8>> {
        let result = self.try_take(datagram, now);
        result.unwrap_or_else(|cause| {
            self.drops.push(cause);
            None
        })
    }

    fn try_take(&mut self, datagram: &[u8], now: Instant) -> Result<Option<Vec<u8>>, Drop> {
        let mut out = vec![0; HANDSHAKE_MAX];
        let length = match self.identity.classify(address(0), datagram, now, &mut out) {
            Incoming::Initiation(initiation) => self.session.answer(*initiation, now, &mut out)?,
            Incoming::Response(_) => {
                self.session.finish(datagram, now)?;
                self.established += 1;
                return Ok(Some(self.seal(&[], now)));
            }
            Incoming::CookieReply(_) => {
                self.session.take_cookie(datagram, now)?;
                return Ok(None);
            }
            Incoming::Cookie(length) => length,
            Incoming::Rejected(cause) => return Err(cause),
            Incoming::Transport(index, counter) => {
                let mut message = datagram.to_vec();
                let key = self.session.open_key(index).ok_or(Drop::UnknownPeer)?;
                if !key.open(counter, &mut message) {
                    return Err(Drop::DecryptFailed);
                }
                let content = &message[HEADER..message.len() - TAG];
                let accepted = self.session.accept(index, counter, content.len(), now)?;
                self.established += usize::from(accepted == Accepted::Establishing);
                if !content.is_empty() {
                    self.taken.push(content.to_vec());
                }
                return Ok(None);
            }
        };
        out.truncate(length);
        Ok(Some(out))
    }
}

fn pair(now: Instant) -> [End; 2] {
    [End::new(0, None, now), End::new(1, None, now)]
}

fn shake(ends: &mut [End; 2], now: Instant) {
    let initiation = ends[0].initiate(now);
    let response = ends[1].take(&initiation, now).unwrap();
    let first = ends[0].take(&response, now).unwrap();
    assert!(!ends[1].session.is_ready(now) || ends[1].established > 0);
    ends[1].take(&first, now);
}

fn cross(ends: &mut [End; 2], from: usize, now: Instant) {
    let message = ends[from].seal(b"content", now);
    let before = ends[1 - from].taken.len();
    ends[1 - from].take(&message, now);
    assert_eq!(ends[1 - from].taken.len(), before + 1);
}

#[test]
fn a_handshake_makes_one_session_for_both_ends() {
    let now = Instant::now();
    let mut ends = pair(now);
    assert!(ends[0].session.next_message(1, now).is_none());
    shake(&mut ends, now);
    assert_eq!(ends.each_ref().map(|end| end.established), [1, 1]);
    for from in [0, 1, 0] {
        cross(&mut ends, from, now);
    }
    let message = ends[0].seal(b"once", now);
    ends[1].take(&message, now);
    ends[1].take(&message, now);
    assert_eq!(ends[1].drops, [Drop::Replayed]);
}

#[test]
fn only_the_initiator_renews_and_old_keys_end() {
    let mut now = Instant::now();
    let mut ends = pair(now);
    shake(&mut ends, now);
    let old = ends[1].seal(b"late", now);
    for second in 1..=119 {
        now += SECOND;
        for from in [0, 1] {
            cross(&mut ends, from, now);
            assert_eq!(ends[from].session.tick(now), None, "{second}");
        }
    }
    now += SECOND;
    cross(&mut ends, 0, now);
    cross(&mut ends, 1, now);
    assert_eq!(ends[0].session.tick(now), Some(Due::Initiation));
    assert_eq!(ends[1].session.tick(now), None);
    shake(&mut ends, now);
    assert_eq!(ends[0].session.tick(now), None);
    assert_eq!(ends[0].session.last_handshake(now), Some(Duration::ZERO));
    // What was under way under the old keys still arrives, once.
    ends[0].take(&old, now);
    assert_eq!(ends[0].taken.last().unwrap(), b"late");
    let late = ends[1].seal(b"too late", now);
    now += Duration::from_secs(180);
    assert!(!ends[0].session.is_ready(now));
    ends[0].take(&late, now);
    assert_eq!(ends[0].drops, [Drop::UnknownPeer]);
    ends[0].session.tick(now);
    assert_eq!(ends[0].session.last_handshake(now), None);
    assert!(ends[0].session.next_message(1, now).is_none());
}

#[test]
fn an_initiator_that_only_receives_renews_before_the_keys_end() {
    let mut now = Instant::now();
    let mut ends = pair(now);
    shake(&mut ends, now);
    for _ in 0..164 {
        now += SECOND;
        cross(&mut ends, 1, now);
    }
    assert_ne!(ends[0].session.tick(now), Some(Due::Initiation));
    now += SECOND;
    cross(&mut ends, 1, now);
    assert_eq!(ends[0].session.tick(now), Some(Due::Initiation));
}

#[test]
fn silence_and_one_sided_talk_are_answered_in_time() {
    let mut now = Instant::now();
    let mut ends = pair(now);
    shake(&mut ends, now);
    cross(&mut ends, 0, now);
    now += Duration::from_millis(9_900);
    assert_eq!(ends[1].session.tick(now), None);
    now += Duration::from_millis(100);
    assert_eq!(ends[1].session.tick(now), Some(Due::Keepalive));
    let keepalive = ends[1].seal(&[], now);
    assert_eq!(ends[1].session.tick(now), None);
    ends[0].take(&keepalive, now);
    now += Duration::from_secs(15);
    assert_eq!(ends[0].session.tick(now), None, "a keepalive is an answer");
    ends[0].seal(b"lost", now);
    now += Duration::from_millis(14_900);
    assert_eq!(ends[0].session.tick(now), None);
    now += Duration::from_millis(100);
    assert_eq!(ends[0].session.tick(now), Some(Due::Initiation));
    // Repeated every five seconds, without end.
    for _ in 0..50 {
        ends[0].initiate(now);
        now += Duration::from_millis(4_900);
        assert_eq!(ends[0].session.tick(now), None);
        now += Duration::from_millis(100);
        assert_eq!(ends[0].session.tick(now), Some(Due::Initiation));
    }
}

#[test]
fn a_persistent_keepalive_is_sent_when_nothing_else_is() {
    let mut now = Instant::now();
    let mut ends = [End::new(0, Some(SECOND * 3), now), End::new(1, None, now)];
    shake(&mut ends, now);
    now += SECOND * 2;
    cross(&mut ends, 0, now);
    now += SECOND * 2;
    assert_eq!(ends[0].session.tick(now), None);
    now += SECOND;
    assert_eq!(ends[0].session.tick(now), Some(Due::Keepalive));
}

#[test]
fn two_handshakes_at_once_leave_a_session_that_works() {
    let now = Instant::now();
    let mut ends = pair(now);
    let initiations = [ends[0].initiate(now), ends[1].initiate(now)];
    let responses = [0, 1].map(|end| ends[end].take(&initiations[1 - end], now).unwrap());
    let firsts = [0, 1].map(|end| ends[end].take(&responses[1 - end], now).unwrap());
    for (end, first) in firsts.iter().rev().enumerate() {
        ends[end].take(first, now);
    }
    for from in [0, 1, 1, 0, 0] {
        cross(&mut ends, from, now);
    }
    assert!(ends.iter().all(|end| end.drops.is_empty()));
}

#[test]
fn what_is_under_way_at_a_renewal_arrives_whichever_keys_an_end_uses() {
    let mut now = Instant::now();
    let mut ends = pair(now);
    let initiations = [ends[0].initiate(now), ends[1].initiate(now)];
    let responses = [0, 1].map(|end| ends[end].take(&initiations[1 - end], now).unwrap());
    let firsts = [0, 1].map(|end| ends[end].take(&responses[1 - end], now).unwrap());
    for end in [0, 1] {
        ends[end].take(&firsts[1 - end], now);
    }
    now += SECOND;
    let under_way = [0, 1].map(|end| ends[end].seal(b"under way", now));
    shake(&mut ends, now);
    for end in [0, 1] {
        ends[end].take(&under_way[1 - end], now);
    }
    assert_eq!(ends.each_ref().map(|end| end.taken.len()), [1, 1]);
}

#[test]
fn repeated_old_and_forged_handshakes_change_nothing() {
    let mut now = Instant::now();
    let mut ends = pair(now);
    let initiation = ends[0].initiate(now);
    let response = ends[1].take(&initiation, now).unwrap();
    ends[1].take(&initiation, now);
    assert_eq!(ends[1].drops, [Drop::Replayed]);
    let mut forged = response.clone();
    forged[13] ^= 1;
    ends[0].take(&forged, now);
    assert_eq!(ends[0].drops, [Drop::HandshakeInvalid], "its MAC");
    // With a MAC that is right, as anybody can make it.
    Macs::new(&public_key(&KEYS[0])).write(&mut forged, now);
    ends[0].take(&forged, now);
    assert_eq!(ends[0].drops.len(), 2);
    let first = ends[0].take(&response, now).unwrap();
    ends[1].take(&first, now);
    ends[0].take(&response, now);
    assert_eq!(ends[0].drops.len(), 3, "a response is taken once");
    cross(&mut ends, 0, now);
    now += Duration::from_millis(10);
    let early = ends[0].initiate(now);
    ends[1].take(&early, now);
    assert_eq!(ends[1].drops[1], Drop::HandshakeLimited);
}

#[test]
fn under_load_a_cookie_lets_the_sender_of_an_address_through() {
    let mut now = Instant::now();
    let mut ends = pair(now);
    let mut replies = 0;
    let mut stranger = End::new(0, None, now);
    stranger.session = stranger
        .identity
        .session(&public_key(&KEYS[1]), 5, None, now);
    for _ in 0..1000 {
        now += Duration::from_micros(10);
        let reply = ends[1].take(&stranger.initiate(now), now);
        replies += usize::from(reply.is_some_and(|reply| reply.len() == COOKIE_REPLY));
    }
    assert_eq!(replies, 800);
    now += Duration::from_millis(30);
    let refused = ends[0].initiate(now);
    let cookie = ends[1].take(&refused, now).unwrap();
    let mut changed = cookie.clone();
    changed[40] ^= 1;
    ends[0].take(&changed, now);
    assert_eq!(ends[0].drops, [Drop::HandshakeInvalid]);
    ends[0].take(&cookie, now);
    shake(&mut ends, now);
    cross(&mut ends, 0, now);
    // But not without end.
    ends[1].drops.clear();
    for _ in 0..100 {
        now += Duration::from_millis(1);
        let again = ends[0].initiate(now);
        ends[1].take(&again, now);
    }
    let limited = ends[1].drops.iter();
    assert!(
        limited
            .filter(|cause| **cause == Drop::HandshakeLimited)
            .count()
            > 80
    );
}

// boringtun as the other end; it reads the real clock.
struct Other {
    tunn: Tunn,
    taken: Vec<Vec<u8>>,
}

impl Other {
    fn new() -> Other {
        let private = x25519::StaticSecret::from(KEYS[1]);
        let peer = x25519::PublicKey::from(public_key(&KEYS[0]).0);
        Other {
            tunn: Tunn::new(private, peer, None, None, 9, None),
            taken: Vec::new(),
        }
    }

    fn take(&mut self, datagram: &[u8]) -> Option<Vec<u8>> {
        let mut out = vec![0; 2000];
        match self
            .tunn
            .decapsulate(Some(address(0).ip()), datagram, &mut out)
        {
            TunnResult::WriteToNetwork(reply) => Some(reply.to_vec()),
            TunnResult::WriteToTunnelV4(packet, _) | TunnResult::WriteToTunnelV6(packet, _) => {
                self.taken.push(packet.to_vec());
                None
            }
            TunnResult::Done => None,
            TunnResult::Err(error) => panic!("{error:?}"),
        }
    }

    fn seal(&mut self, packet: &[u8]) -> Vec<u8> {
        let mut out = vec![0; 2000];
        match self.tunn.encapsulate(packet, &mut out) {
            TunnResult::WriteToNetwork(message) => message.to_vec(),
            other => panic!("{other:?}"),
        }
    }
}

// boringtun hands on IP packets only.
fn packet() -> Vec<u8> {
    let [a, b] = [[10, 1, 0, 5], [10, 2, 0, 5]].map(std::net::Ipv4Addr::from);
    crate::testing::udp_packet(a, b, 1, 2, &[7; 60])
}

fn both_ways(ours: &mut End, other: &mut Other, now: Instant) {
    let message = ours.seal(&packet(), now);
    assert_eq!(other.take(&message), None);
    assert_eq!(other.taken.pop().unwrap(), packet());
    let message = other.seal(&packet());
    ours.take(&message, now);
    assert_eq!(ours.taken.pop().unwrap(), packet());
    ours.take(&message, now);
    assert_eq!(ours.drops.pop(), Some(Drop::Replayed));
}

#[test]
fn boringtun_answers_and_is_answered_again_and_again() {
    let mut now = Instant::now();
    let (mut ours, mut other) = (End::new(0, None, now), Other::new());
    for round in 0..6 {
        now += SECOND;
        if round % 2 == 0 {
            let response = other.take(&ours.initiate(now)).unwrap();
            let first = ours.take(&response, now).unwrap();
            assert_eq!(other.take(&first), None);
        } else {
            let mut out = vec![0; 2000];
            let TunnResult::WriteToNetwork(initiation) =
                other.tunn.format_handshake_initiation(&mut out, true)
            else {
                panic!("no initiation");
            };
            let response = ours.take(initiation, now).unwrap();
            let first = other.take(&response).unwrap();
            ours.take(&first, now);
        }
        assert_eq!(ours.established, round + 1);
        both_ways(&mut ours, &mut other, now);
    }
}

#[test]
fn cookies_of_and_for_boringtun_are_understood() {
    let mut now = Instant::now();
    let (mut ours, mut other) = (End::new(0, None, now), Other::new());
    // Its own limit is ten in a second.
    let cookie = std::iter::repeat_with(|| {
        now += Duration::from_millis(1);
        other.take(&ours.initiate(now)).unwrap()
    })
    .take(50)
    .find(|reply| reply.len() == COOKIE_REPLY)
    .expect("a cookie");
    ours.take(&cookie, now);
    now += Duration::from_millis(30);
    let response = other.take(&ours.initiate(now)).unwrap();
    let first = ours.take(&response, now).unwrap();
    other.take(&first);
    both_ways(&mut ours, &mut other, now);

    let mut out = vec![0; 2000];
    let mut initiate =
        |other: &mut Other| match other.tunn.format_handshake_initiation(&mut out, true) {
            TunnResult::WriteToNetwork(initiation) => initiation.to_vec(),
            result => panic!("{result:?}"),
        };
    let cookie = std::iter::repeat_with(|| ours.take(&initiate(&mut other), now))
        .take(500)
        .flatten()
        .find(|reply| reply.len() == COOKIE_REPLY)
        .expect("a cookie");
    assert_eq!(other.take(&cookie), None);
    now += Duration::from_millis(30);
    let response = ours.take(&initiate(&mut other), now).unwrap();
    let first = other.take(&response).unwrap();
    ours.take(&first, now);
    both_ways(&mut ours, &mut other, now);
}
