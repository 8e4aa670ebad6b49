//! The Linux edge of a gateway: network namespaces of VPCs, their bridges, TUN devices, addresses,
//! routes and settings, and the attachments that bring hosts into subnets.
//!
//! Everything is reconciled: [`KernelDesired`] says what should be, [`Kernel::observe`] reads what
//! is, [`plan`] is the pure difference as ordered [`Step`]s and [`Kernel::apply`] carries out one of
//! them without choices of its own. [`reconcile`] ties them together; [`clean`] is the same with
//! nothing desired. [`LinuxKernel`] is the real thing, [`FakeKernel`] one in memory.
//!
//! Every object belongs to an [`InstanceId`], visible in the name of the namespace it lives in, and
//! nothing else is ever looked at or changed. This is the only crate that speaks netlink. It does not
//! forward packets and it keeps no state of its own: what must survive a reboot (the attachments) is
//! the caller's to store, what must survive a restart is in the kernel.
//!
//! Start with [`desired`], then `plan.rs`, then `linux/apply.rs`.

pub mod desired;
mod error;
mod fake;
mod host;
mod instance;
pub mod link;
mod linux;
mod names;
pub mod netns;
pub mod observed;
mod plan;
mod reconcile;
mod record;
mod step;
mod sysctl;

pub use desired::{
    Attachment, AttachmentError, AttachmentKind, HostConfig, KernelDesired, NamespaceRef,
    VpcDesired,
};
pub use error::KernelError;
pub use fake::FakeKernel;
pub use host::host_commands;
pub use instance::{InstanceId, InstanceIdError};
pub use linux::{LinuxKernel, ROUTE_PROTOCOL};
pub use names::{PEER_DEVICE, bridge_name, port_name, vpc_namespace};
pub use observed::Observed;
pub use plan::plan;
pub use reconcile::{Kernel, Report, clean, reconcile};
pub use step::{OuterSettings, Step, VpcRoute};
