//! The Linux edge: the namespaces, links, addresses, routes and sysctls that a gateway wants in the
//! kernel, and nothing that belongs to anybody else.
//!
//! A reconcile observes what one instance has, plans the pure difference to what is desired, and
//! applies it step by step. Only this crate speaks netlink. It does not move packets: `tunnel` does,
//! through the TUN device that [`Kernel::open_tun`] opens.
//!
//! Start with [`desired`] for what a gateway wants, then [`plan()`] for how it gets there.

pub mod desired;
mod error;
pub mod fake;
mod instance;
pub mod link;
mod linux;
mod netlink;
pub mod netns;
pub mod observed;
mod plan;
mod reconcile;
pub mod step;

pub use desired::{
    Attachment, AttachmentKind, HostConfig, KernelDesired, NamespaceRef, VpcDesired, host_commands,
};
pub use error::KernelError;
pub use fake::FakeKernel;
pub use instance::{InstanceId, InstanceIdError};
pub use linux::{LinuxKernel, ROUTE_PROTOCOL};
pub use observed::Observed;
pub use plan::plan;
pub use reconcile::{Kernel, Report, clean, reconcile};
pub use step::Step;
