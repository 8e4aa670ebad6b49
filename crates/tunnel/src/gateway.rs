//! One other gateway, as the engine knows it: where it is, the session with it, the pair's probes
//! and MTU.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Instant;

use model::{GatewayId, PublicKey};

use crate::framing::{ETHERTYPE_PROBE, FrameMeta, FramePath, OVERHEAD, write_headers};
use crate::mtu::{inner_mtu, tunnel_mtu};
use crate::outbox::Outbox;
use crate::path_mtu::{PathMtu, SizedProbe};
use crate::probe::{Probe, ProbeKind, Prober};
use crate::session::{HANDSHAKE_MAX, SEAL_OVERHEAD, Session};

const CONTROL_MAX: usize = OVERHEAD + 96;
/// The underlay MTU that is assumed before the I/O has found out.
pub const ASSUMED_UNDERLAY_MTU: u16 = 1500;

/// One other gateway.
pub(crate) struct Gateway {
    pub(crate) id: GatewayId,
    pub(crate) key: PublicKey,
    pub(crate) overlay: Ipv4Addr,
    pub(crate) index: u32,
    pub(crate) configured: Option<SocketAddr>,
    pub(crate) endpoint: Option<SocketAddr>,
    pub(crate) session: Box<dyn Session>,
    // Session::is_ready as of the last event that can change it: it reads a clock.
    pub(crate) ready: bool,
    // We answered a handshake; the first packet under it confirms it.
    pub(crate) unconfirmed: bool,
    pub(crate) eager_tries: u32,
    pub(crate) initiated: Option<Instant>,
    pub(crate) last_received: Option<Instant>,
    pub(crate) prober: Prober,
    pub(crate) probe_scheduled: Instant,
    pub(crate) path_mtu: PathMtu,
    pub(crate) path_mtu_scheduled: Instant,
    pub(crate) sent_bytes: u64,
    pub(crate) received_bytes: u64,
}

impl Gateway {
    pub(crate) fn new(
        id: GatewayId,
        key: PublicKey,
        index: u32,
        session: Box<dyn Session>,
        prober: Prober,
        path_mtu: PathMtu,
    ) -> Gateway {
        Gateway {
            id,
            key,
            overlay: Ipv4Addr::UNSPECIFIED,
            index,
            configured: None,
            endpoint: None,
            session,
            ready: false,
            unconfirmed: false,
            eager_tries: 0,
            initiated: None,
            last_received: None,
            probe_scheduled: prober.deadline(),
            prober,
            path_mtu_scheduled: path_mtu.deadline(),
            path_mtu,
            sent_bytes: 0,
            received_bytes: 0,
        }
    }

    pub(crate) fn inner_mtu(&self) -> Option<u16> {
        let endpoint = self.endpoint?;
        Some(inner_mtu(self.underlay_mtu(), &endpoint))
    }

    fn underlay_mtu(&self) -> u16 {
        self.path_mtu.in_force().unwrap_or(ASSUMED_UNDERLAY_MTU)
    }

    // Bytes to seal for a frame: padded to 16, never past the tunnel's MTU.
    pub(crate) fn padded(&self, length: usize) -> usize {
        let mtu = self.endpoint.map_or(length, |endpoint| {
            tunnel_mtu(self.underlay_mtu(), &endpoint).into()
        });
        length.next_multiple_of(16).min(mtu.max(length))
    }

    pub(crate) fn pair_path(&self, own_overlay: Ipv4Addr) -> FramePath {
        FramePath {
            source: own_overlay,
            destination: self.overlay,
            vni: 0,
            source_mac: PAIR_MAC,
            destination_mac: PAIR_MAC,
        }
    }

    /// Starts a handshake, if it is known where to.
    pub(crate) fn initiate(&mut self, now: Instant, out: &mut Outbox) {
        let Some(endpoint) = self.endpoint else {
            return;
        };
        self.initiated = Some(now);
        let session = &mut self.session;
        out.push_datagram(endpoint, 0, HANDSHAKE_MAX, |room| session.initiate(room));
    }

    pub(crate) fn send_probe(&mut self, path: &FramePath, probe: Probe, out: &mut Outbox) {
        self.send_control(path, ETHERTYPE_PROBE, &probe.to_bytes(), out);
    }

    /// Sends a probe of the pair that makes an underlay packet of exactly the wanted size.
    pub(crate) fn send_sized_probe(
        &mut self,
        path: &FramePath,
        probe: SizedProbe,
        out: &mut Outbox,
    ) -> bool {
        let Some(endpoint) = self.endpoint.filter(|_| self.ready) else {
            return false;
        };
        let request = Probe {
            kind: ProbeKind::Request,
            sequence: probe.sequence,
        };
        let bytes = request.to_bytes();
        let length = usize::from(tunnel_mtu(probe.size, &endpoint)).max(OVERHEAD + bytes.len());
        // Once in ten seconds: not worth a buffer that is kept.
        let mut frame = vec![0; length];
        frame[OVERHEAD..OVERHEAD + bytes.len()].copy_from_slice(&bytes);
        let meta = FrameMeta {
            ethertype: ETHERTYPE_PROBE,
            ecn: 0,
            flow_hash: 0,
        };
        write_headers(&mut frame, path, meta);
        let session = &mut self.session;
        let sent = out.push_datagram(endpoint, 0, length + SEAL_OVERHEAD, |room| {
            session.seal(&frame, room)
        });
        self.sent_bytes += sent.unwrap_or(0) as u64;
        sent.is_some()
    }

    /// Seals a frame that is no tenant's: a probe or an ARP reply.
    pub(crate) fn send_control(
        &mut self,
        path: &FramePath,
        ethertype: u16,
        payload: &[u8],
        out: &mut Outbox,
    ) -> bool {
        let mut frame = [0; CONTROL_MAX];
        let length = OVERHEAD + payload.len();
        frame[OVERHEAD..length].copy_from_slice(payload);
        write_headers(
            &mut frame[..length],
            path,
            FrameMeta {
                ethertype,
                ecn: 0,
                flow_hash: 0,
            },
        );
        let Some(endpoint) = self.endpoint.filter(|_| self.ready) else {
            return false;
        };
        let padded = self.padded(length);
        let room = (padded + SEAL_OVERHEAD).max(HANDSHAKE_MAX);
        let session = &mut self.session;
        let sent = out.push_datagram(endpoint, 0, room, |room| {
            session.seal(&frame[..padded], room)
        });
        self.sent_bytes += sent.unwrap_or(0) as u64;
        sent.is_some()
    }
}

/// Both MAC addresses of the pair's own probes in VNI 0.
pub const PAIR_MAC: [u8; 6] = [0x02, 0x50, 0, 0, 0, 0];
