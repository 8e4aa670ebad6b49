//! The real kernel.

mod apply;
mod attach;
mod observe;
mod tun;

use std::net::IpAddr;
use std::os::fd::OwnedFd;

use async_trait::async_trait;
use model::VpcId;

use crate::error::KernelError;
use crate::instance::InstanceId;
use crate::netns::Namespace;
use crate::observed::Observed;
use crate::reconcile::Kernel;
use crate::step::Step;

/// The routing protocol number that marks our routes; free in iproute2's rt_protos.
pub const ROUTE_PROTOCOL: u8 = 0x50;

/// The metric of the unreachable route: worse than that of any connected subnet.
const UNREACHABLE_METRIC: u32 = 0xffff_0000;

/// The kernel of this host, as one instance uses it.
pub struct LinuxKernel {
    instance: InstanceId,
    /// The gateway's own namespace: where network cards come from and the underlay is.
    own: Namespace,
    underlay_address: Option<IpAddr>,
}

impl LinuxKernel {
    /// Remembers the namespace of the calling thread as the gateway's own. The underlay address, if
    /// known, protects its interface from being attached.
    ///
    /// # Errors
    /// When the namespace cannot be opened.
    pub fn new(
        instance: InstanceId,
        underlay_address: Option<IpAddr>,
    ) -> Result<LinuxKernel, KernelError> {
        Ok(LinuxKernel {
            instance,
            own: Namespace::open_current()?,
            underlay_address,
        })
    }

    fn namespace(&self, vpc: VpcId) -> Result<Namespace, KernelError> {
        Namespace::open(&self.instance.namespace(vpc))
    }
}

#[async_trait]
impl Kernel for LinuxKernel {
    async fn observe(&self) -> Result<Observed, KernelError> {
        tokio::task::block_in_place(|| observe::observe(&self.instance))
    }

    async fn apply(&self, step: &Step) -> Result<(), KernelError> {
        tokio::task::block_in_place(|| apply::apply(self, step))
    }

    fn open_tun(&self, vpc: VpcId) -> Result<OwnedFd, KernelError> {
        let namespace = self.namespace(vpc)?;
        namespace.run(|| tun::open(tun::Persistence::AsItIs))
    }
}
