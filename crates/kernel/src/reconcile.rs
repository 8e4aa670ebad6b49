//! The loop body: observe, plan, apply, observe again, compare.

use std::collections::BTreeSet;

use async_trait::async_trait;
use model::VpcId;
use std::os::fd::OwnedFd;

use crate::desired::{KernelDesired, port_name};
use crate::error::KernelError;
use crate::observed::Observed;
use crate::plan::plan;
use crate::step::{Change, Step};

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
    /// The attachments that cannot be as they are desired ([`KernelError::Attachment`]); there is no
    /// step for them.
    pub refused: Vec<KernelError>,
}

impl Report {
    /// Whether everything is as desired.
    pub fn is_settled(&self) -> bool {
        self.errors.is_empty() && self.drift.is_empty() && self.refused.is_empty()
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
    let mut report = Report {
        refused: desired.refusals(),
        ..Report::default()
    };
    let steps = plan(desired, &kernel.observe().await?);
    if steps.is_empty() {
        return Ok(report);
    }
    let mut blocked = Blocked::default();
    for step in steps {
        if blocked.covers(&step) {
            continue;
        }
        match kernel.apply(&step).await {
            Ok(()) => {
                tracing::info!(%step, "applied");
                report.applied.push(step);
            }
            Err(error) => {
                blocked.note(&step);
                report.errors.push((step, error));
            }
        }
    }
    report.drift = plan(desired, &kernel.observe().await?);
    Ok(report)
}

/// The ports that could not be detached in this run.
#[derive(Default)]
struct Blocked(BTreeSet<(VpcId, String)>);

impl Blocked {
    fn note(&mut self, step: &Step) {
        if let Step::In(vpc, Change::Detach { port, .. }) = step {
            self.0.insert((*vpc, port.clone()));
        }
    }

    /// Whether a step would harm what is still there: a namespace takes the network card in it
    /// along, and a port's name is still taken.
    fn covers(&self, step: &Step) -> bool {
        match step {
            Step::DeleteNamespace(vpc) => self.0.iter().any(|(other, _)| other == vpc),
            Step::In(vpc, Change::Attach(attach)) => {
                self.0.contains(&(*vpc, port_name(&attach.name)))
            }
            Step::CreateNamespace(_) | Step::In(..) => false,
        }
    }
}

/// Removes everything of the instance; network cards go back with their old names.
///
/// # Errors
/// When the kernel cannot be observed at all.
pub async fn clean(kernel: &dyn Kernel) -> Result<Report, KernelError> {
    reconcile(kernel, &KernelDesired::default()).await
}
