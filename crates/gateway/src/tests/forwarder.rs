//! An engine that remembers what it was told, and says what a test wants.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use kernel::FakeKernel;
use model::slice::GatewaySlice;
use model::{GatewayId, VpcId};
use tunnel::{TunnelDesired, TunnelError, TunnelEvent, TunnelOptions, TunnelStatus};

use crate::forwarder::Forwarder;

/// One configuration that the engine was given.
#[derive(Debug, Clone)]
pub(super) struct Configured {
    pub(super) slice: Arc<GatewaySlice>,
    pub(super) endpoints: BTreeMap<GatewayId, SocketAddr>,
    pub(super) devices: BTreeMap<VpcId, Arc<OwnedFd>>,
    /// How many steps the kernel had taken by then.
    pub(super) kernel_steps: usize,
}

impl Configured {
    pub(super) fn vpcs(&self) -> BTreeSet<VpcId> {
        self.devices.keys().copied().collect()
    }
}

pub(super) struct FakeForwarder {
    kernel: Arc<FakeKernel>,
    options: TunnelOptions,
    configured: Mutex<Vec<Configured>>,
    pub(super) status: Mutex<TunnelStatus>,
    pub(super) mtus: Mutex<BTreeMap<VpcId, u16>>,
    /// Takes no configuration while this holds.
    pub(super) is_stopped: AtomicBool,
}

impl FakeForwarder {
    pub(super) fn new(kernel: Arc<FakeKernel>, options: TunnelOptions) -> FakeForwarder {
        FakeForwarder {
            kernel,
            options,
            configured: Mutex::default(),
            status: Mutex::default(),
            mtus: Mutex::default(),
            is_stopped: AtomicBool::new(false),
        }
    }

    pub(super) fn configured(&self) -> Vec<Configured> {
        self.configured.lock().unwrap().clone()
    }

    pub(super) fn last(&self) -> Option<Configured> {
        self.configured.lock().unwrap().last().cloned()
    }

    /// The VPCs that the engine has a device of.
    pub(super) fn vpcs(&self) -> BTreeSet<VpcId> {
        self.last().map(|last| last.vpcs()).unwrap_or_default()
    }

    pub(super) fn emit(&self, event: TunnelEvent) {
        (self.options.on_event)(event);
    }
}

impl Forwarder for FakeForwarder {
    fn configure(&self, desired: TunnelDesired) -> Result<(), TunnelError> {
        if self.is_stopped.load(Ordering::SeqCst) {
            return Err(TunnelError::Stopped);
        }
        self.configured.lock().unwrap().push(Configured {
            slice: desired.slice,
            endpoints: desired.endpoints,
            devices: desired.devices,
            kernel_steps: self.kernel.applied().len(),
        });
        Ok(())
    }

    fn status(&self) -> TunnelStatus {
        self.status.lock().unwrap().clone()
    }

    fn device_mtu(&self, vpc: VpcId) -> Option<u16> {
        self.mtus.lock().unwrap().get(&vpc).copied()
    }

    fn local_addresses(&self) -> Vec<SocketAddr> {
        self.options.listen.clone()
    }
}
