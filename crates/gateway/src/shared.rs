//! What the parts of a gateway share: the inputs of the reconcile loop, and what came of them.
//!
//! A change of an input only wakes the loop; the loop reads all of them again.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use kernel::Attachment;
use model::slice::GatewaySlice;
use model::{GatewayId, Generation, PeeringConnectionId, Side, VpcId};
use tokio::sync::{Notify, watch};

use crate::growth::Growth;
use crate::status::ServerStatus;

/// The local side of a peering.
pub(crate) type PeeringKey = (PeeringConnectionId, Side);

/// What could not be applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The VPC that it concerns.
    pub(crate) vpc: Option<VpcId>,
    /// The attachment that it concerns.
    pub(crate) attachment: Option<String>,
    /// What went wrong.
    pub(crate) message: String,
}

impl Failure {
    /// One that concerns the whole gateway.
    pub(crate) fn of_gateway(message: String) -> Failure {
        Failure {
            vpc: None,
            attachment: None,
            message,
        }
    }

    /// One that concerns a VPC.
    pub(crate) fn of_vpc(vpc: VpcId, message: String) -> Failure {
        Failure {
            vpc: Some(vpc),
            attachment: None,
            message,
        }
    }

    /// What it concerns, in one word.
    pub(crate) fn subject(&self) -> String {
        match (&self.attachment, self.vpc) {
            (Some(attachment), _) => attachment.clone(),
            (None, Some(vpc)) => vpc.to_string(),
            (None, None) => "gateway".to_owned(),
        }
    }
}

/// The outcome of the last reconcile.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Applied {
    /// The version of the inputs that it read.
    pub(crate) version: u64,
    /// The generation that is in force.
    pub(crate) generation: Option<Generation>,
    /// What could not be applied of it.
    pub(crate) failures: Vec<Failure>,
    /// The VPCs that have a device, with its MTU in bytes.
    pub(crate) devices: BTreeMap<VpcId, u16>,
}

impl Applied {
    /// Whether a VPC's part could not be applied as a whole.
    pub(crate) fn has_failed(&self, vpc: VpcId) -> bool {
        self.failures
            .iter()
            .any(|failure| failure.vpc == Some(vpc) && failure.attachment.is_none())
    }
}

/// A slice that is older than the one in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the server sent generation {offered}, this gateway already runs {running}")]
pub(crate) struct StaleSlice {
    pub(crate) offered: Generation,
    pub(crate) running: Generation,
}

/// What the parts share.
pub(crate) struct Shared {
    /// The desired slice.
    pub(crate) slice: watch::Sender<Option<Arc<GatewaySlice>>>,
    /// Where DNS names of endpoints lead, by `host:port`.
    pub(crate) names: watch::Sender<BTreeMap<String, SocketAddr>>,
    attachments: Mutex<BTreeMap<String, Attachment>>,
    version: AtomicU64,
    /// Wakes the reconcile loop.
    pub(crate) wake: Notify,
    /// Asks for names to be resolved again soon.
    pub(crate) resolve: Notify,
    /// Asks for a report to the server at once.
    pub(crate) report_due: Notify,
    /// The outcome of the last reconcile.
    pub(crate) applied: watch::Sender<Applied>,
    server: Mutex<ServerStatus>,
    growth: Mutex<Growth>,
}

impl Shared {
    pub(crate) fn new(
        slice: Option<GatewaySlice>,
        attachments: BTreeMap<String, Attachment>,
        names: BTreeMap<String, SocketAddr>,
    ) -> Shared {
        Shared {
            slice: watch::Sender::new(slice.map(Arc::new)),
            names: watch::Sender::new(names),
            attachments: Mutex::new(attachments),
            version: AtomicU64::new(1),
            wake: Notify::new(),
            resolve: Notify::new(),
            report_due: Notify::new(),
            applied: watch::Sender::new(Applied::default()),
            server: Mutex::new(ServerStatus::default()),
            growth: Mutex::new(Growth::default()),
        }
    }

    /// The desired slice.
    pub(crate) fn slice(&self) -> Option<Arc<GatewaySlice>> {
        self.slice.borrow().clone()
    }

    /// Puts a slice in force unless a later one is.
    ///
    /// # Errors
    /// [`StaleSlice`]; the one in force stays.
    pub(crate) fn offer_slice(&self, slice: GatewaySlice) -> Result<(), StaleSlice> {
        let offered = slice.generation;
        let mut refused = None;
        let slice = Arc::new(slice);
        let changed = self.slice.send_if_modified(|current| match current {
            Some(running) if running.generation > offered => {
                refused = Some(StaleSlice {
                    offered,
                    running: running.generation,
                });
                false
            }
            Some(running) if *running == slice => false,
            Some(_) | None => {
                *current = Some(slice);
                true
            }
        });
        if changed {
            self.changed();
        }
        refused.map_or(Ok(()), Err)
    }

    /// Forgets the slice: the gateway has become another one.
    pub(crate) fn forget_slice(&self) {
        self.slice.send_replace(None);
        self.changed();
    }

    /// The attachments.
    pub(crate) fn attachments(&self) -> BTreeMap<String, Attachment> {
        lock(&self.attachments).clone()
    }

    /// Replaces the attachments; returns the version of the inputs that contains them.
    pub(crate) fn set_attachments(&self, attachments: BTreeMap<String, Attachment>) -> u64 {
        *lock(&self.attachments) = attachments;
        self.changed()
    }

    /// Notes that an input changed and wakes the loop; returns the inputs' new version.
    pub(crate) fn changed(&self) -> u64 {
        let version = self.version.fetch_add(1, Ordering::SeqCst) + 1;
        self.wake.notify_one();
        version
    }

    /// The version of the inputs. What is read after it is at least that new.
    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::SeqCst)
    }

    /// Waits until the loop has applied that version of the inputs.
    pub(crate) async fn applied_since(&self, version: u64, limit: Duration) -> Option<Applied> {
        let mut applied = self.applied.subscribe();
        let waiting = applied.wait_for(|applied| applied.version >= version);
        tokio::time::timeout(limit, waiting)
            .await
            .ok()?
            .ok()
            .map(|applied| applied.clone())
    }

    /// The connection to the server.
    pub(crate) fn server(&self) -> ServerStatus {
        lock(&self.server).clone()
    }

    /// Notes something about the connection to the server.
    pub(crate) fn update_server(&self, update: impl FnOnce(&mut ServerStatus)) {
        update(&mut lock(&self.server));
    }

    /// Takes a sample of the counters whose growth `status` explains with.
    pub(crate) fn sample(&self, status: &tunnel::TunnelStatus, now: Instant) {
        lock(&self.growth).sample(status, now);
    }

    /// A copy of what the samples say.
    pub(crate) fn growth(&self) -> Growth {
        lock(&self.growth).clone()
    }

    /// Where the other gateways are, as far as known: addresses as they are, names as they were
    /// resolved last.
    pub(crate) fn endpoints(&self, slice: &GatewaySlice) -> BTreeMap<GatewayId, SocketAddr> {
        let names = self.names.borrow();
        let known = slice.tunnel_peers.iter().filter_map(|(id, peer)| {
            let endpoint = peer.endpoint.as_ref()?;
            let address = endpoint
                .parse()
                .ok()
                .or_else(|| names.get(endpoint).copied())?;
            Some((*id, address))
        });
        known.collect()
    }
}

// The values behind the locks are whole at every point, also after a panic elsewhere.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{peer_id, slice};

    fn shared() -> Shared {
        Shared::new(None, BTreeMap::new(), BTreeMap::new())
    }

    #[test]
    fn an_older_slice_does_not_replace_a_newer_one() {
        let shared = shared();
        shared.offer_slice(slice(5)).unwrap();
        let version = shared.version();
        let stale = shared.offer_slice(slice(4)).unwrap_err();
        assert_eq!(
            stale,
            StaleSlice {
                offered: Generation(4),
                running: Generation(5)
            }
        );
        shared.offer_slice(slice(5)).unwrap();
        assert_eq!(shared.slice().unwrap().generation, Generation(5));
        assert_eq!(
            shared.version(),
            version,
            "nothing changed, nothing is woken"
        );
    }

    #[test]
    fn endpoints_are_addresses_or_resolved_names() {
        let shared = shared();
        let mut slice = slice(1);
        let literal: SocketAddr = "192.0.2.2:51820".parse().unwrap();
        assert_eq!(shared.endpoints(&slice)[&peer_id()], literal);
        slice.tunnel_peers.get_mut(&peer_id()).unwrap().endpoint = Some("gw.example:1".to_owned());
        assert!(shared.endpoints(&slice).is_empty());
        shared.names.send_modify(|names| {
            names.insert("gw.example:1".to_owned(), literal);
        });
        assert_eq!(shared.endpoints(&slice)[&peer_id()], literal);
    }
}
