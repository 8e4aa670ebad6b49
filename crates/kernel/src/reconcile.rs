//! The loop body: observe, plan, apply, observe again.

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;

use async_trait::async_trait;
use model::VpcId;

use crate::desired::KernelDesired;
use crate::error::KernelError;
use crate::observed::Observed;
use crate::plan::plan;
use crate::step::Step;

/// The kernel as one instance sees it.
#[async_trait]
pub trait Kernel: Send + Sync {
    /// Reads everything that belongs to the instance, and nothing else.
    ///
    /// # Errors
    /// When the kernel cannot be read.
    async fn observe(&self) -> Result<Observed, KernelError>;

    /// Carries out one step. What is already there or already gone is no error. Not cancelled by
    /// dropping the future: the step runs to its end.
    ///
    /// # Errors
    /// When the kernel refuses, or an attachment's counterpart is not there.
    async fn apply(&self, step: &Step) -> Result<(), KernelError>;

    /// Opens one more queue of the VPC's `peer0`: blocking, closed on exec, every packet preceded by
    /// a `virtio_net_hdr` of 10 bytes (Linux `uapi/linux/virtio_net.h`), no packet info. Blocks for
    /// a few system calls.
    ///
    /// # Errors
    /// When there is no such device or the kernel refuses.
    fn open_tun(&self, vpc: VpcId) -> Result<OwnedFd, KernelError>;
}

/// What a [`reconcile`] did.
#[derive(Debug, Default)]
pub struct Report {
    /// The steps that were applied without error.
    pub steps: Vec<Step>,
    /// What failed, each with a description of what it was.
    pub errors: Vec<(String, KernelError)>,
    /// What is still different afterwards; the next reconcile tries again.
    pub drift: Vec<Step>,
}

impl Report {
    /// Whether the kernel is as desired.
    pub fn is_converged(&self) -> bool {
        self.errors.is_empty() && self.drift.is_empty()
    }
}

/// Makes the kernel as desired, as far as it goes: errors are collected, and only what depends on a
/// failed step is left out.
pub async fn reconcile(kernel: &dyn Kernel, desired: &KernelDesired) -> Report {
    let mut report = Report::default();
    for (name, attachment) in &desired.attachments {
        if let Err(error) = desired.check(name, attachment) {
            report.errors.push((format!("attachment {name}"), error.into()));
        }
    }
    let Some(observed) = observe(kernel, &mut report).await else { return report };
    let steps = plan(desired, &observed);
    if steps.is_empty() {
        return report;
    }
    let mut failures = Failures::default();
    for step in steps {
        if failures.rule_out(&step) {
            continue;
        }
        match kernel.apply(&step).await {
            Ok(()) => {
                tracing::debug!(%step, "applied");
                report.steps.push(step);
            }
            Err(error) => {
                failures.add(&step);
                report.errors.push((step.to_string(), error));
            }
        }
    }
    if let Some(observed) = observe(kernel, &mut report).await {
        report.drift = plan(desired, &observed);
    }
    report
}

/// Removes everything of the instance; attached NICs go back to where they came from.
pub async fn clean(kernel: &dyn Kernel) -> Report {
    reconcile(kernel, &KernelDesired::default()).await
}

async fn observe(kernel: &dyn Kernel, report: &mut Report) -> Option<Observed> {
    match kernel.observe().await {
        Ok(observed) => Some(observed),
        Err(error) => {
            report.errors.push(("observe".to_owned(), error));
            None
        }
    }
}

/// What failed, and so what would only fail too, or do harm.
#[derive(Default)]
struct Failures {
    namespaces: BTreeSet<VpcId>,
    detached: BTreeSet<VpcId>,
    ports: BTreeSet<(VpcId, String)>,
    attachments: BTreeSet<String>,
}

impl Failures {
    fn add(&mut self, step: &Step) {
        match step {
            Step::CreateNamespace { vpc } | Step::DeleteNamespace { vpc } => {
                self.namespaces.insert(*vpc);
            }
            Step::Detach { vpc, port } => {
                self.detached.insert(*vpc);
                self.ports.insert((*vpc, port.clone()));
            }
            Step::Attach { name, .. } => {
                self.attachments.insert(name.clone());
            }
            Step::SetSysctls { .. }
            | Step::CreateTun { .. }
            | Step::CreateBridge { .. }
            | Step::DeleteLink { .. }
            | Step::SetMtu { .. }
            | Step::SetMac { .. }
            | Step::SetLinkUp { .. }
            | Step::AddAddress { .. }
            | Step::RemoveAddress { .. }
            | Step::AddRoute { .. }
            | Step::RemoveRoute { .. }
            | Step::ConfigureOuter { .. }
            | Step::JoinBridge { .. } => {}
        }
    }

    fn rule_out(&self, step: &Step) -> bool {
        if self.namespaces.contains(&step.vpc()) {
            return true;
        }
        match step {
            // A NIC that could not be moved out must not end with its namespace.
            Step::DeleteNamespace { vpc } => self.detached.contains(vpc),
            Step::Attach { name, attachment, .. } => {
                self.ports.contains(&(attachment.vpc, crate::names::port_name(name)))
            }
            Step::ConfigureOuter { name, attachment, .. } => {
                self.attachments.contains(name)
                    || self.ports.contains(&(attachment.vpc, crate::names::port_name(name)))
            }
            Step::CreateNamespace { .. }
            | Step::SetSysctls { .. }
            | Step::CreateTun { .. }
            | Step::CreateBridge { .. }
            | Step::DeleteLink { .. }
            | Step::SetMtu { .. }
            | Step::SetMac { .. }
            | Step::SetLinkUp { .. }
            | Step::AddAddress { .. }
            | Step::RemoveAddress { .. }
            | Step::AddRoute { .. }
            | Step::RemoveRoute { .. }
            | Step::JoinBridge { .. }
            | Step::Detach { .. } => false,
        }
    }
}
