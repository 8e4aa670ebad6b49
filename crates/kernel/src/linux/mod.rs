//! The real kernel.

mod apply;
mod attach;
mod card;
mod mark;
mod observe;
mod tun;

use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use model::VpcId;

use crate::desired::TUN;
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
#[derive(Clone)]
pub struct LinuxKernel {
    instance: InstanceId,
    /// The gateway's own namespace: where network cards come from and the underlay is.
    own: Namespace,
    underlay_address: Option<IpAddr>,
    /// Held by whoever observes or applies: a caller that gave up waiting may leave a step running.
    turn: Arc<Mutex<()>>,
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
            turn: Arc::default(),
        })
    }

    /// Runs something that blocks where it may, on either kind of tokio runtime.
    async fn blocking<T: Send + 'static>(
        &self,
        function: impl FnOnce(&LinuxKernel) -> Result<T, KernelError> + Send + 'static,
    ) -> Result<T, KernelError> {
        let kernel = self.clone();
        let turn = Arc::clone(&self.turn);
        let task = tokio::task::spawn_blocking(move || {
            let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
            function(&kernel)
        });
        task.await
            .unwrap_or_else(|error| match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(error) => Err(KernelError::io(
                    "wait for the kernel",
                    std::io::Error::other(error),
                )),
            })
    }

    fn namespace(&self, vpc: VpcId) -> Result<Namespace, KernelError> {
        Namespace::open(&self.instance.namespace(vpc))
    }
}

#[async_trait]
impl Kernel for LinuxKernel {
    async fn observe(&self) -> Result<Observed, KernelError> {
        self.blocking(observe::observe).await
    }

    async fn apply(&self, step: &Step) -> Result<(), KernelError> {
        let step = step.clone();
        self.blocking(move |kernel| apply::apply(kernel, &step))
            .await
    }

    fn open_tun(&self, vpc: VpcId) -> Result<OwnedFd, KernelError> {
        let namespace = self.namespace(vpc)?;
        namespace.run(|| {
            if nix::net::if_::if_nametoindex(TUN).is_err() {
                return Err(KernelError::NoLink {
                    link: TUN.to_owned(),
                    place: namespace.name().to_owned(),
                });
            }
            tun::open(tun::Persistence::AsItIs)
        })
    }
}
