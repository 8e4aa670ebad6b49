//! One other gateway, as the engine knows it: where it is, the session with it, the pair's probes
//! and MTU.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use model::{GatewayId, PublicKey};

use crate::counters::Drop;
use crate::framing::{ETHERTYPE_PROBE, FrameMeta, FramePath, OVERHEAD, write_headers};
use crate::mtu::{inner_mtu, tunnel_mtu};
use crate::outbox::Outbox;
use crate::path_mtu::{PathMtu, SizedProbe};
use crate::probe::{Probe, ProbeKind, Prober};
use crate::session::transport::SealKey;
use crate::session::{Due, HANDSHAKE_MAX, Identity, Session};

/// The underlay MTU that is assumed before the I/O has found out.
pub const ASSUMED_UNDERLAY_MTU: u16 = 1500;

/// One other gateway.
pub(crate) struct Gateway {
    pub(crate) id: GatewayId,
    pub(crate) key: PublicKey,
    pub(crate) overlay: Ipv4Addr,
    pub(crate) number: u32,
    pub(crate) configured: Option<SocketAddr>,
    pub(crate) endpoint: Option<SocketAddr>,
    pub(crate) session: Session,
    // As of the last tick.
    pub(crate) was_ready: bool,
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
        number: u32,
        session: Session,
        prober: Prober,
        path_mtu: PathMtu,
    ) -> Gateway {
        Gateway {
            id,
            key,
            overlay: Ipv4Addr::UNSPECIFIED,
            number,
            configured: None,
            endpoint: None,
            session,
            was_ready: false,
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

    /// Whether packets can be sent.
    pub(crate) fn is_ready(&self, now: Instant) -> bool {
        self.endpoint.is_some() && self.session.is_ready(now)
    }

    /// Starts a handshake, if it is known where to.
    pub(crate) fn initiate(&mut self, identity: &Identity, now: Instant, out: &mut Outbox) {
        let Some(endpoint) = self.endpoint else {
            return;
        };
        self.initiated = Some(now);
        let (session, timestamp) = (&mut self.session, identity.timestamp(now));
        out.push_datagram(endpoint, HANDSHAKE_MAX, |room| {
            session.initiate(timestamp, now, room)
        });
    }

    /// Does what the session's timers want.
    pub(crate) fn tick(&mut self, identity: &Identity, now: Instant, out: &mut Outbox) {
        match self.session.tick(now) {
            Some(Due::Initiation) => self.initiate(identity, now, out),
            Some(Due::Keepalive) => self.send_keepalive(now, out),
            None => {}
        }
    }

    /// Sends a message without content.
    pub(crate) fn send_keepalive(&mut self, now: Instant, out: &mut Outbox) {
        // Without a session there is nothing to keep alive.
        let _ = self.send_sealed(now, 0, out, |_| Some((0, 0)));
    }

    /// Sends one packet sealed. `write` puts it at the start of at least `room` bytes and returns its
    /// length and the ECN codepoint of the underlay header, or `None` to send nothing.
    ///
    /// # Errors
    /// [`Drop::NoEndpoint`], [`Drop::NoSession`], and [`Drop::MalformedPacket`] for `None`.
    pub(crate) fn send_sealed(
        &mut self,
        now: Instant,
        room: usize,
        out: &mut Outbox,
        write: impl FnOnce(&mut [u8]) -> Option<(usize, u8)>,
    ) -> Result<(), Drop> {
        let endpoint = self.endpoint.ok_or(Drop::NoEndpoint)?;
        let (key, counter): (&Arc<SealKey>, u64) = self
            .session
            .next_message(room, now)
            .ok_or(Drop::NoSession)?;
        let sent = out
            .push_sealed(endpoint, key, counter, room, write)
            .ok_or(Drop::MalformedPacket)?;
        self.sent_bytes += sent as u64;
        Ok(())
    }

    pub(crate) fn send_probe(
        &mut self,
        path: &FramePath,
        probe: Probe,
        now: Instant,
        out: &mut Outbox,
    ) {
        self.send_control(path, ETHERTYPE_PROBE, &probe.to_bytes(), now, out);
    }

    /// Sends a probe of the pair that makes an underlay packet of exactly the wanted size.
    pub(crate) fn send_sized_probe(
        &mut self,
        path: &FramePath,
        probe: SizedProbe,
        now: Instant,
        out: &mut Outbox,
    ) {
        let Some(endpoint) = self.endpoint else {
            return;
        };
        let request = Probe {
            kind: ProbeKind::Request,
            sequence: probe.sequence,
        };
        let bytes = request.to_bytes();
        let length = usize::from(tunnel_mtu(probe.size, &endpoint)).max(OVERHEAD + bytes.len());
        // Without a session nothing was sent, and nothing will answer.
        let _ = self.send_sealed(now, length, out, |frame| {
            frame[OVERHEAD..OVERHEAD + bytes.len()].copy_from_slice(&bytes);
            frame[OVERHEAD + bytes.len()..length].fill(0);
            write_headers(&mut frame[..length], path, control_meta(ETHERTYPE_PROBE));
            Some((length, 0))
        });
    }

    /// Sends a frame that is no tenant's: a probe or an ARP reply.
    pub(crate) fn send_control(
        &mut self,
        path: &FramePath,
        ethertype: u16,
        payload: &[u8],
        now: Instant,
        out: &mut Outbox,
    ) {
        let length = OVERHEAD + payload.len();
        let padded = self.padded(length);
        // As above.
        let _ = self.send_sealed(now, padded, out, |frame| {
            write_control(frame, path, ethertype, payload);
            frame[length..padded].fill(0);
            Some((padded, 0))
        });
    }
}

fn write_control(frame: &mut [u8], path: &FramePath, ethertype: u16, payload: &[u8]) {
    let length = OVERHEAD + payload.len();
    frame[OVERHEAD..length].copy_from_slice(payload);
    write_headers(&mut frame[..length], path, control_meta(ethertype));
}

fn control_meta(ethertype: u16) -> FrameMeta {
    FrameMeta {
        ethertype,
        ecn: 0,
        flow_hash: 0,
    }
}

/// Both MAC addresses of the pair's own probes in VNI 0.
pub const PAIR_MAC: [u8; 6] = [0x02, 0x50, 0, 0, 0, 0];
