//! Two engines joined in memory: what crosses, what must not, and how fast.

mod hostile;
mod ipv6;
mod isolation;
mod limits;
mod path;
mod table;

use std::net::Ipv4Addr;
use std::time::Duration;

use crate::testing::Pair;

const A: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 5);
const B: Ipv4Addr = Ipv4Addr::new(10, 2, 0, 5);
const SOON: Duration = Duration::from_millis(100);

// Seals bytes with the session of an end's engine, as a genuine peer with a wrong mind would.
fn seal(pair: &mut Pair, end: usize, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![0; bytes.len() + 200];
    let session = &mut pair.ends[end].engine.gateways[0].session;
    let length = session.seal(bytes, &mut out).expect("a session");
    out.truncate(length);
    out
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
