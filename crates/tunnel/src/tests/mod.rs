//! Two engines joined in memory: what crosses, what must not, and how fast.

mod hostile;
mod ipv6;
mod isolation;
mod limits;
mod path;
mod table;

use std::net::Ipv4Addr;
use std::time::Duration;

use crate::session::SEAL_OVERHEAD;
use crate::session::transport::{self, HEADER, TAG};
use crate::testing::Pair;

const A: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 5);
const B: Ipv4Addr = Ipv4Addr::new(10, 2, 0, 5);
const SOON: Duration = Duration::from_millis(100);

// Seals bytes with the session of an end's engine, as a genuine peer with a wrong mind would.
fn seal(pair: &mut Pair, end: usize, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![0; bytes.len() + SEAL_OVERHEAD];
    out[HEADER..HEADER + bytes.len()].copy_from_slice(bytes);
    let session = &mut pair.ends[end].engine.gateways[0].session;
    let (key, counter) = session
        .next_message(bytes.len(), pair.now)
        .expect("a session");
    key.seal(counter, &mut out);
    out
}

// Opens a datagram for an end, whether or not its engine has seen it.
fn open(pair: &Pair, end: usize, datagram: &[u8]) -> Vec<u8> {
    let (index, counter) = transport::parse(datagram).expect("a transport message");
    let session = &pair.ends[end].engine.gateways[0].session;
    let mut message = datagram.to_vec();
    let key = session.open_key(index).expect("keys");
    assert!(key.open(counter, &mut message), "authentic");
    message.truncate(message.len() - TAG);
    message.split_off(HEADER)
}

// The headers of the peering's frames as an end sends them.
fn path(pair: &Pair, end: usize) -> crate::framing::FramePath {
    pair.ends[end].engine.peerings[0].path
}

fn frame(path: &crate::framing::FramePath, ethertype: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0; crate::framing::OVERHEAD];
    frame.extend_from_slice(payload);
    let meta = crate::framing::FrameMeta {
        ethertype,
        ecn: 0,
        flow_hash: 1,
    };
    crate::framing::write_headers(&mut frame, path, meta);
    frame
}
