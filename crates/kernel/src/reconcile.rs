//! The loop body: observe, plan, apply, observe again, compare.

use async_trait::async_trait;
use model::VpcId;
use std::os::fd::OwnedFd;

use crate::desired::KernelDesired;
use crate::error::KernelError;
use crate::observed::Observed;
use crate::plan::plan;
use crate::step::Step;

/// The kernel, as seen by one instance.
#[async_trait]
pub trait Kernel: Send + Sync {
    /// Reads back everything of the instance, and nothing of others.
    ///
    /// # Errors
    /// When the kernel cannot be asked.
    async fn observe(&self) -> Result<Observed, KernelError>;

    /// Applies one step. What is already so is no error.
    ///
    /// # Errors
    /// When the kernel refuses; a step is then not applied or, when that cannot be undone, is
    /// finished by the next reconcile.
    async fn apply(&self, step: &Step) -> Result<(), KernelError>;

    /// Opens one queue of a VPC's TUN device, with a virtio header of 10 bytes before each packet.
    ///
    /// # Errors
    /// When the VPC has no namespace or no device.
    fn open_tun(&self, vpc: VpcId) -> Result<OwnedFd, KernelError>;
}

/// What a reconcile did.
#[derive(Debug, Default)]
pub struct Report {
    /// The steps that were applied.
    pub applied: Vec<Step>,
    /// The steps that failed, and why.
    pub errors: Vec<(Step, KernelError)>,
    /// What is still to do afterwards: empty when everything is as desired.
    pub drift: Vec<Step>,
}

impl Report {
    /// Whether everything is as desired.
    pub fn is_settled(&self) -> bool {
        self.errors.is_empty() && self.drift.is_empty()
    }
}

/// Leads the kernel to what is desired. A step that fails does not stop the others.
///
/// # Errors
/// When the kernel cannot be observed at all.
pub async fn reconcile(
    kernel: &dyn Kernel,
    desired: &KernelDesired,
) -> Result<Report, KernelError> {
    let mut report = Report::default();
    let steps = plan(desired, &kernel.observe().await?);
    if steps.is_empty() {
        return Ok(report);
    }
    for step in steps {
        match kernel.apply(&step).await {
            Ok(()) => {
                tracing::info!(%step, "applied");
                report.applied.push(step);
            }
            Err(error) => report.errors.push((step, error)),
        }
    }
    report.drift = plan(desired, &kernel.observe().await?);
    Ok(report)
}

/// Removes everything of the instance; network cards go back with their old names.
///
/// # Errors
/// When the kernel cannot be observed at all.
pub async fn clean(kernel: &dyn Kernel) -> Result<Report, KernelError> {
    reconcile(kernel, &KernelDesired::default()).await
}
