//! One queue per flow, served in turn: FQ-CoDel. Source: RFC 8290.
//!
//! A flow is an exact 5-tuple up to [`MAX_FLOWS`] of them, so that no two share a queue by
//! accident; beyond, new ones share. Three things are decided otherwise than in the RFC's text:
//!
//! - What waits is a whole super-packet, and what is served, judged, marked or dropped is one whole
//!   packet of it. So nothing is lost or delayed by the size of what a host hands over.
//! - Before new flows come light ones: those that send a small packet when nothing of theirs waits,
//!   as long as they use no more than a few quanta in the time of a round. A quick request/response
//!   flow would otherwise wait for a whole round with every second exchange, and behind each bulk
//!   flow that has just started again. Together light flows get at most half of the rate while
//!   others wait.
//! - A queue may stand for four packets of each flow that waits, and for ten packets in all, whatever
//!   the target is: the least that senders keep in flight. Otherwise many flows at a low rate would be told of congestion
//!   without end and fall into timeouts. sch_cake has a bound of the same kind.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::buffers::Buffers;
use crate::flow::FlowKey;
use crate::gso::Division;
use crate::packet::{ECN_CE, ecn_of, set_ecn};
use crate::shaper::codel::{Codel, Tolerance};

/// How many flows have a queue of their own.
pub const MAX_FLOWS: usize = 1024;
/// The packet that times are counted in.
pub const PACKET_BYTES: u64 = 1514;

const NONE: u16 = u16::MAX;
const NO_BURST: u32 = u32::MAX;
const TARGET: Duration = Duration::from_millis(5);
const INTERVAL: Duration = Duration::from_millis(100);
// Packets that a sender keeps in flight at least: 4 for BBR, 2 and a retransmission for others.
const LEAST_WINDOW: u32 = 4;
// What one flow alone needs in the queue to recover from a loss without a gap. It also keeps the
// target above 1.5 packet times, which RFC 8290, section 5.2.2, asks for.
const LEAST_QUEUE: u32 = 10;
// How much a light flow may send as such in the time of one round, in quanta: several times its fair
// share, and still little.
const LIGHT_QUANTA: i64 = 8;
// The size of a small packet, as a part of a quantum.
const SMALL_PART: i64 = 4;
// How far light flows together may be ahead of the others, in quanta.
const LIGHT_LEAD: i64 = 4;
// When the queues are full, the search for the fattest flow is paid for by dropping several.
const FLOWS_PER_DROP: usize = 16;

/// What queues did with packets, as sums.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QueueCounts {
    /// Packets dropped because the queues were full.
    pub full: u64,
    /// Packets dropped because their queue stood too long.
    pub late: u64,
    /// Packets marked with congestion for the same reason.
    pub marked: u64,
}

/// A packet that left its queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Departure {
    /// Its length.
    pub length: usize,
    /// How long it waited.
    pub delay: Duration,
}

/// What a rate makes of time and room.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How long one packet lasts.
    pub packet_time: Duration,
    /// What a flow may send when it is its turn, in bytes.
    pub quantum: i64,
    /// How many bytes may wait.
    pub bytes: u64,
    /// How many super-packets may wait.
    pub bursts: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    // Without packets.
    Idle,
    // Small packets only.
    Light,
    // Has not used up its first quantum.
    New,
    // Takes its turn.
    Round,
}

#[derive(Debug)]
struct Flow {
    key: FlowKey,
    codel: Codel,
    place: Place,
    before: u16,
    after: u16,
    // Bursts, oldest first.
    head: u32,
    tail: u32,
    bytes: u64,
    deficit: i64,
    // What it may send as a light flow, as of which turn.
    light_bytes: i64,
    light_turn: u64,
}

// A super-packet, or what is left of it.
#[derive(Debug)]
struct Burst {
    buffer: Vec<u8>,
    division: Division,
    next_packet: usize,
    since: Instant,
    // The next one of its flow, or the next spare one.
    after: u32,
}

#[derive(Debug, Clone, Copy)]
struct List {
    head: u16,
    tail: u16,
}

/// The queues of one peering in one direction. Made when the first packet has to wait.
#[derive(Debug)]
pub struct FlowQueues {
    flows: Vec<Flow>,
    by_key: HashMap<FlowKey, u16>,
    bursts: Vec<Burst>,
    spare: u32,
    light: List,
    new: List,
    round: List,
    // Without packets, longest idle first; they keep what CoDel learnt.
    idle: List,
    // How many turns of others than light flows have ended.
    turns: u64,
    // What light flows sent while others waited, less what those have sent since.
    light_lead: i64,
    bytes: u64,
    burst_count: usize,
    backlogged: u32,
    emptied: Instant,
}

impl FlowQueues {
    /// Queues without packets.
    pub fn new(now: Instant) -> FlowQueues {
        let empty = List {
            head: NONE,
            tail: NONE,
        };
        FlowQueues {
            flows: Vec::new(),
            by_key: HashMap::new(),
            bursts: Vec::new(),
            spare: NO_BURST,
            light: empty,
            new: empty,
            round: empty,
            idle: empty,
            turns: 0,
            light_lead: 0,
            bytes: 0,
            burst_count: 0,
            backlogged: 0,
            emptied: now,
        }
    }

    /// Bytes that wait.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.burst_count == 0
    }

    /// When the last packet left.
    pub fn emptied(&self) -> Instant {
        self.emptied
    }

    /// Puts the whole packets of `packet` from number `first` on at the end of their flow's queue.
    /// When there is no room, the oldest packets of the fattest flow are dropped for it.
    #[allow(clippy::too_many_arguments, reason = "one packet and where it goes")]
    pub fn enqueue(
        &mut self,
        key: FlowKey,
        packet: &[u8],
        division: Division,
        first: usize,
        now: Instant,
        limits: &Limits,
        buffers: &mut Buffers,
        counts: &mut QueueCounts,
    ) {
        let position = self.flow(key);
        let bytes = division.bytes_from(first);
        let burst = Burst {
            buffer: buffers.copy_of(packet),
            division,
            next_packet: first,
            since: now,
            after: NO_BURST,
        };
        self.arrange(position, bytes as i64, limits);
        self.append(position, burst, bytes as u64);
        while self.bytes > limits.bytes || self.burst_count > limits.bursts {
            self.drop_from_fattest(now, buffers, counts);
        }
    }

    /// Writes the packet whose turn it is to the start of `out`, which holds 64 KiB.
    pub fn dequeue(
        &mut self,
        now: Instant,
        limits: &Limits,
        buffers: &mut Buffers,
        counts: &mut QueueCounts,
        out: &mut [u8],
    ) -> Option<Departure> {
        loop {
            let position = self.whose_turn(limits)?;
            let departure = self.take(position, now, limits, buffers, counts, out);
            if departure.is_some() {
                return departure;
            }
        }
    }

    /// Drops everything.
    pub fn clear(&mut self, now: Instant, buffers: &mut Buffers) {
        for position in 0..self.flows.len() {
            while self.flows[position].head != NO_BURST {
                self.skip_packet(position, now, buffers);
            }
        }
    }

    // The queue of a flow: its own, a new one, that of the flow that is idle for longest, or, when
    // all are busy, one that it shares.
    fn flow(&mut self, key: FlowKey) -> u16 {
        if let Some(position) = self.by_key.get(&key) {
            return *position;
        }
        let position = if self.flows.len() < MAX_FLOWS {
            self.flows.push(Flow::new(key));
            (self.flows.len() - 1) as u16
        } else if self.idle.head != NONE {
            let position = self.idle.head;
            self.leave(position);
            let flow = &mut self.flows[usize::from(position)];
            self.by_key.remove(&flow.key);
            *flow = Flow::new(key);
            position
        } else {
            use std::hash::BuildHasher as _;
            return (self.by_key.hasher().hash_one(key) % MAX_FLOWS as u64) as u16;
        };
        self.by_key.insert(key, position);
        position
    }

    // Puts a flow that is about to get `bytes` where it belongs.
    fn arrange(&mut self, position: u16, bytes: i64, limits: &Limits) {
        let round = i64::from(self.backlogged.max(1));
        let flow = &mut self.flows[usize::from(position)];
        let most = LIGHT_QUANTA * limits.quantum;
        if flow.place == Place::Idle {
            flow.deficit = limits.quantum;
            flow.light_bytes = most;
        }
        let turns = (self.turns - flow.light_turn).min(round.unsigned_abs()) as i64;
        flow.light_turn = self.turns;
        flow.light_bytes = (flow.light_bytes + turns * most / round).min(most);
        let is_light =
            flow.bytes as i64 + bytes <= limits.quantum / SMALL_PART && flow.light_bytes >= bytes;
        let place = match flow.place {
            Place::Idle if is_light => Place::Light,
            Place::Round if is_light && flow.bytes == 0 => Place::Light,
            Place::Light if !is_light => Place::New,
            Place::Idle => Place::New,
            Place::Light | Place::New | Place::Round => return,
        };
        self.leave(position);
        self.join(position, place);
    }

    // The flow whose packet is next; flows that have used what they may send move on.
    fn whose_turn(&mut self, limits: &Limits) -> Option<u16> {
        loop {
            let others = if self.new.head == NONE {
                self.round.head
            } else {
                self.new.head
            };
            let is_light_due = others == NONE || self.light_lead < LIGHT_LEAD * limits.quantum;
            let position = if self.light.head != NONE && is_light_due {
                self.light.head
            } else {
                others
            };
            let flow = self.flows.get_mut(usize::from(position))?;
            let is_empty = flow.head == NO_BURST;
            if !is_empty && (flow.place == Place::Light || flow.deficit > 0) {
                return Some(position);
            }
            let stays = if is_empty {
                flow.codel.ran_empty();
                // Straight back to the front it must not come, or others would starve.
                let is_last_new = flow.place == Place::New && self.new.head == self.new.tail;
                let others_are_new = self.new.head != NONE && !is_last_new;
                flow.place != Place::Round && (self.round.head != NONE || others_are_new)
            } else {
                flow.deficit += limits.quantum;
                true
            };
            if flow.place != Place::Light {
                self.turns += 1;
            }
            self.leave(position);
            self.join(position, if stays { Place::Round } else { Place::Idle });
        }
    }

    // The first packet of a flow that CoDel lets go.
    fn take(
        &mut self,
        position: u16,
        now: Instant,
        limits: &Limits,
        buffers: &mut Buffers,
        counts: &mut QueueCounts,
        out: &mut [u8],
    ) -> Option<Departure> {
        let tolerance = self.tolerance(limits);
        loop {
            let flow = &mut self.flows[usize::from(position)];
            let burst = self.bursts.get(flow.head as usize)?;
            let length = burst.division.packet_len(burst.next_packet);
            let delay = now.saturating_duration_since(burst.since);
            let remaining = self.bytes - length as u64;
            let is_told = flow
                .codel
                .judge(delay, remaining, PACKET_BYTES, now, tolerance);
            let is_capable = ecn_of(&burst.buffer) != 0;
            if is_told && !is_capable {
                counts.late += 1;
                self.skip_packet(position.into(), now, buffers);
                continue;
            }
            let others_wait = self.new.head != NONE || self.round.head != NONE;
            if flow.place == Place::Light {
                flow.light_bytes -= length as i64;
                self.light_lead += if others_wait { length as i64 } else { 0 };
            } else {
                flow.deficit -= length as i64;
                self.light_lead = (self.light_lead - length as i64).max(0);
            }
            burst.division.write(&burst.buffer, burst.next_packet, out);
            if is_told {
                counts.marked += 1;
                set_ecn(&mut out[..length], ECN_CE);
            }
            self.skip_packet(position.into(), now, buffers);
            return Some(Departure { length, delay });
        }
    }

    fn tolerance(&self, limits: &Limits) -> Tolerance {
        let packets = LEAST_QUEUE.max(self.backlogged * LEAST_WINDOW);
        let target = TARGET.max(limits.packet_time * packets);
        Tolerance {
            target,
            interval: INTERVAL.max(target * 2),
        }
    }

    fn drop_from_fattest(&mut self, now: Instant, buffers: &mut Buffers, counts: &mut QueueCounts) {
        let fattest = (0..self.flows.len()).max_by_key(|position| self.flows[*position].bytes);
        let Some(fattest) = fattest.filter(|position| self.flows[*position].bytes > 0) else {
            return;
        };
        // Not more than half of it for the sake of saving a search.
        let kept = self.flows[fattest].bytes / 2;
        for _ in 0..=self.flows.len() / FLOWS_PER_DROP {
            counts.full += 1;
            self.skip_packet(fattest, now, buffers);
            if self.flows[fattest].bytes <= kept {
                return;
            }
        }
    }

    // Moves on behind the first packet of a flow.
    fn skip_packet(&mut self, position: usize, now: Instant, buffers: &mut Buffers) {
        let flow = &mut self.flows[position];
        let index = flow.head;
        let burst = &mut self.bursts[index as usize];
        let length = burst.division.packet_len(burst.next_packet) as u64;
        burst.next_packet += 1;
        flow.bytes -= length;
        self.bytes -= length;
        if burst.next_packet < burst.division.count() {
            return;
        }
        flow.head = burst.after;
        burst.after = self.spare;
        buffers.give_back(std::mem::take(&mut burst.buffer));
        self.spare = index;
        self.burst_count -= 1;
        if flow.head == NO_BURST {
            flow.tail = NO_BURST;
            self.backlogged -= 1;
        }
        if self.burst_count == 0 {
            self.emptied = now;
        }
    }

    fn append(&mut self, position: u16, burst: Burst, bytes: u64) {
        let index = if self.spare == NO_BURST {
            self.bursts.push(burst);
            (self.bursts.len() - 1) as u32
        } else {
            let index = self.spare;
            self.spare = self.bursts[index as usize].after;
            self.bursts[index as usize] = burst;
            index
        };
        let flow = &mut self.flows[usize::from(position)];
        if flow.head == NO_BURST {
            flow.head = index;
            self.backlogged += 1;
        } else {
            self.bursts[flow.tail as usize].after = index;
        }
        flow.tail = index;
        flow.bytes += bytes;
        self.bytes += bytes;
        self.burst_count += 1;
    }

    fn list(&mut self, place: Place) -> &mut List {
        match place {
            Place::Idle => &mut self.idle,
            Place::Light => &mut self.light,
            Place::New => &mut self.new,
            Place::Round => &mut self.round,
        }
    }

    // To the end of a list; the flow must be in none.
    fn join(&mut self, position: u16, place: Place) {
        let list = self.list(place);
        let last = std::mem::replace(&mut list.tail, position);
        if last == NONE {
            list.head = position;
        } else {
            self.flows[usize::from(last)].after = position;
        }
        let flow = &mut self.flows[usize::from(position)];
        (flow.before, flow.after, flow.place) = (last, NONE, place);
    }

    // Out of the list that it is in; one that was just made is in none.
    fn leave(&mut self, position: u16) {
        let Flow {
            before,
            after,
            place,
            ..
        } = self.flows[usize::from(position)];
        let list = self.list(place);
        if list.head == position {
            list.head = after;
        }
        if list.tail == position {
            list.tail = before;
        }
        if before != NONE {
            self.flows[usize::from(before)].after = after;
        }
        if after != NONE {
            self.flows[usize::from(after)].before = before;
        }
    }
}

impl Flow {
    fn new(key: FlowKey) -> Flow {
        Flow {
            key,
            codel: Codel::default(),
            place: Place::Idle,
            before: NONE,
            after: NONE,
            head: NO_BURST,
            tail: NO_BURST,
            bytes: 0,
            deficit: 0,
            light_bytes: 0,
            light_turn: 0,
        }
    }
}
