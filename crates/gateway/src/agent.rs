//! The reconcile loop: leads the kernel and the forwarding engine to what slice and attachments ask.
//!
//! Every pass reads all inputs again. The engine is told first, with the devices that stay, so that
//! a removed peering stops at once and its device is released before the kernel removes it; then
//! the kernel is reconciled, new devices are opened and handed to the engine, and the outcome is
//! published. A slice counts as in force only when it is also on disk: a restart without a server
//! must not bring back what the server believes to be gone.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use kernel::step::{Change, Step};
use kernel::{Kernel, KernelDesired, KernelError, Report};
use model::slice::GatewaySlice;
use model::{GatewayId, Generation, VpcId};
use tokio::time::Instant;
use tunnel::{TunnelDesired, TunnelError, TunnelStatus};

use crate::desired::{Desired, desired};
use crate::forwarder::Forwarder;
use crate::mtu::MtuPolicy;
use crate::shared::{Applied, Failure, Shared};
use crate::slice_record::SliceRecord;
use crate::state::{self, StateFolder};

/// How often the kernel is compared with what is desired although nothing changed.
const PERIOD: Duration = Duration::from_secs(30);
/// How often the engine is looked at.
const TICK: Duration = Duration::from_secs(1);
const FIRST_RETRY: Duration = Duration::from_millis(200);
const LAST_RETRY: Duration = Duration::from_secs(30);
/// A pair from which nothing came for so long may have moved; its name is resolved again.
const SILENT_AFTER: Duration = Duration::from_secs(15);

/// The reconcile loop of one gateway.
pub(crate) struct Agent {
    pub(crate) kernel: Arc<dyn Kernel>,
    pub(crate) forwarder: Arc<dyn Forwarder>,
    pub(crate) folder: Arc<StateFolder>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) mtus: MtuPolicy,
    devices: BTreeMap<VpcId, Arc<OwnedFd>>,
    // What the kernel was led to, unless something of it failed, and when that was verified.
    settled: Option<(KernelDesired, Instant)>,
    persisted: Option<Arc<GatewaySlice>>,
    retries: u32,
}

impl Agent {
    pub(crate) fn new(
        kernel: Arc<dyn Kernel>,
        forwarder: Arc<dyn Forwarder>,
        folder: Arc<StateFolder>,
        shared: Arc<Shared>,
        mtus: MtuPolicy,
    ) -> Agent {
        // What the loop starts with came from the disk.
        let persisted = shared.slice();
        Agent {
            kernel,
            forwarder,
            folder,
            shared,
            mtus,
            devices: BTreeMap::new(),
            settled: None,
            persisted,
            retries: 0,
        }
    }

    /// Runs until it is dropped. Dropping it leaves the kernel as it is.
    pub(crate) async fn run(mut self) {
        loop {
            let failed = self.reconcile().await;
            self.retries = if failed {
                self.retries.saturating_add(1)
            } else {
                0
            };
            let wait = if failed {
                retry_after(self.retries)
            } else {
                PERIOD
            };
            self.wait(wait).await;
        }
    }

    /// One pass. Returns whether something failed.
    pub(crate) async fn reconcile(&mut self) -> bool {
        let version = self.shared.version();
        let Some(slice) = self.shared.slice() else {
            self.publish(&Applied {
                version,
                ..Applied::default()
            });
            return false;
        };
        let attachments = self.shared.attachments();
        let wanted = desired(&slice, &attachments, |_| 0).kernel.vpcs;
        let endpoints = self.shared.endpoints(&slice);
        self.devices.retain(|vpc, _| wanted.contains_key(vpc));
        let mut failures = Vec::new();
        let mut is_configured = self.configure(&slice, &endpoints, &mut failures).await;

        let wanted: BTreeMap<VpcId, u16> = wanted
            .keys()
            .map(|vpc| {
                (
                    *vpc,
                    self.mtus.choose(*vpc, self.forwarder.device_mtu(*vpc)),
                )
            })
            .collect();
        self.mtus.retain(|vpc| wanted.contains_key(&vpc));
        let desired = desired(&slice, &attachments, |vpc| wanted[&vpc]);
        let (persisted, ()) = tokio::join!(
            persist(self.folder.clone(), self.persisted.clone(), slice.clone()),
            reconcile_kernel(
                &*self.kernel,
                &desired,
                &mut self.settled,
                &mut self.devices,
                &mut failures
            )
        );
        if self.open_devices(&desired.kernel, &mut failures) {
            is_configured &= self.configure(&slice, &endpoints, &mut failures).await;
        }
        let is_persisted = persisted.is_ok();
        match persisted {
            Ok(()) => self.persisted = Some(slice.clone()),
            Err(message) => failures.push(Failure::of_gateway(message)),
        }
        let failed = !failures.is_empty();
        let is_in_force = is_configured && is_persisted;
        let generation = self.generation_in_force(is_in_force.then_some(slice.generation));
        failures.extend(orphans(&desired));
        let devices = self.devices.keys().map(|vpc| (*vpc, wanted[vpc])).collect();
        self.publish(&Applied {
            version,
            generation,
            failures,
            devices,
        });
        failed
    }

    fn generation_in_force(&self, reached: Option<Generation>) -> Option<Generation> {
        reached.or(self.shared.applied.borrow().generation)
    }

    /// Tells the engine. Returns whether the slice is in force there.
    async fn configure(
        &mut self,
        slice: &Arc<GatewaySlice>,
        endpoints: &BTreeMap<GatewayId, SocketAddr>,
        failures: &mut Vec<Failure>,
    ) -> bool {
        let desired = TunnelDesired {
            slice: slice.clone(),
            endpoints: endpoints.clone(),
            devices: self.devices.clone(),
        };
        let forwarder = self.forwarder.clone();
        let outcome = tokio::task::spawn_blocking(move || forwarder.configure(desired)).await;
        match outcome {
            Ok(Ok(())) => true,
            Ok(Err(error @ TunnelError::Device { vpc, .. })) => {
                // Everything else is in force; the next pass opens another queue.
                self.devices.remove(&vpc);
                failures.push(Failure::of_vpc(vpc, chain(&error)));
                true
            }
            Ok(Err(error)) => {
                failures.push(Failure::of_gateway(chain(&error)));
                false
            }
            Err(error) => {
                failures.push(Failure::of_gateway(format!(
                    "configuring the forwarding engine: {error}"
                )));
                false
            }
        }
    }

    /// Opens the devices that are not open yet. Returns whether there were any.
    fn open_devices(&mut self, desired: &KernelDesired, failures: &mut Vec<Failure>) -> bool {
        let mut opened = false;
        for vpc in desired.vpcs.keys() {
            if self.devices.contains_key(vpc) {
                continue;
            }
            match self.kernel.open_tun(*vpc) {
                Ok(device) => {
                    self.devices.insert(*vpc, Arc::new(device));
                    opened = true;
                }
                Err(error) => failures.push(Failure::of_vpc(*vpc, chain(&error))),
            }
        }
        opened
    }

    fn publish(&self, applied: &Applied) {
        for failure in &applied.failures {
            let is_news = !self.shared.applied.borrow().failures.contains(failure);
            if is_news {
                tracing::warn!(subject = %failure.subject(), message = %failure.message, "not applied");
            }
        }
        let changed = self.shared.applied.send_replace(applied.clone());
        if changed.generation != applied.generation || changed.failures != applied.failures {
            tracing::info!(
                generation = applied.generation.map_or(0, |generation| generation.0),
                failures = applied.failures.len(),
                "applied"
            );
        }
        self.shared.report_due.notify_one();
    }

    /// Waits for a change of the inputs or of an MTU, at most that long.
    async fn wait(&self, limit: Duration) {
        let deadline = Instant::now() + limit;
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.shared.wake.notified() => return,
                () = tokio::time::sleep_until(deadline) => return,
                _ = tick.tick() => {
                    if self.look_at_the_engine().await {
                        return;
                    }
                }
            }
        }
    }

    /// Samples the engine's counters. Returns whether a device needs another MTU.
    async fn look_at_the_engine(&self) -> bool {
        let forwarder = self.forwarder.clone();
        let Ok(status) = tokio::task::spawn_blocking(move || forwarder.status()).await else {
            return false;
        };
        self.shared.sample(&status, std::time::Instant::now());
        if is_any_pair_silent(&status) {
            self.shared.resolve.notify_one();
        }
        let applied = self.shared.applied.borrow().devices.clone();
        applied.iter().any(|(vpc, mtu_bytes)| {
            self.forwarder
                .device_mtu(*vpc)
                .is_some_and(|wanted| wanted != *mtu_bytes)
        })
    }
}

fn is_any_pair_silent(status: &TunnelStatus) -> bool {
    let is_silent = |last: Option<Duration>| last.is_none_or(|age| age > SILENT_AFTER);
    status
        .gateways
        .values()
        .any(|pair| is_silent(pair.last_received))
}

fn retry_after(retries: u32) -> Duration {
    FIRST_RETRY
        .saturating_mul(1 << retries.saturating_sub(1).min(16))
        .min(LAST_RETRY)
}

async fn persist(
    folder: Arc<StateFolder>,
    persisted: Option<Arc<GatewaySlice>>,
    slice: Arc<GatewaySlice>,
) -> Result<(), String> {
    if persisted.as_ref() == Some(&slice) {
        return Ok(());
    }
    let write = move || folder.write_json(state::SLICE, &SliceRecord::from(&*slice));
    match tokio::task::spawn_blocking(write).await {
        Ok(outcome) => outcome.map_err(|error| chain(&error)),
        Err(error) => Err(format!("writing the slice: {error}")),
    }
}

async fn reconcile_kernel(
    kernel: &dyn Kernel,
    desired: &Desired,
    settled: &mut Option<(KernelDesired, Instant)>,
    devices: &mut BTreeMap<VpcId, Arc<OwnedFd>>,
    failures: &mut Vec<Failure>,
) {
    let is_fresh = |(kernel, at): &(KernelDesired, Instant)| {
        *kernel == desired.kernel && at.elapsed() < PERIOD
    };
    if settled.as_ref().is_some_and(is_fresh) {
        return;
    }
    *settled = None;
    match kernel::reconcile(kernel, &desired.kernel).await {
        Ok(report) => {
            for vpc in remade_devices(&report) {
                devices.remove(&vpc);
            }
            if report.is_settled() {
                *settled = Some((desired.kernel.clone(), Instant::now()));
            }
            failures.extend(kernel_failures(&report));
        }
        Err(error) => failures.push(Failure::of_gateway(format!(
            "the kernel could not be observed: {}",
            chain(&error)
        ))),
    }
}

/// The VPCs whose device was made by these steps: an older descriptor leads to a device that is gone.
fn remade_devices(report: &Report) -> BTreeSet<VpcId> {
    let made = report.applied.iter().filter_map(|step| match step {
        Step::In(vpc, Change::CreateTun) => Some(*vpc),
        Step::CreateNamespace(_) | Step::DeleteNamespace(_) | Step::In(..) => None,
    });
    made.collect()
}

/// What failed, at most one for each VPC and attachment: the first, which the others follow from.
fn kernel_failures(report: &Report) -> Vec<Failure> {
    let refused = report.refused.iter().map(|error| Failure {
        vpc: None,
        attachment: match error {
            KernelError::Attachment { name, .. } => Some(name.clone()),
            KernelError::Io { .. }
            | KernelError::Netlink { .. }
            | KernelError::NoNamespace(_)
            | KernelError::NoLink { .. }
            | KernelError::Refused { .. } => None,
        },
        message: chain(error),
    });
    let failed = report
        .errors
        .iter()
        .map(|(step, error)| failure(step, format!("{step}: {}", chain(error))));
    let drifted = report
        .drift
        .iter()
        .map(|step| failure(step, format!("{step}: still to do after it was applied")));
    let mut failures: Vec<Failure> = Vec::new();
    for failure in refused.chain(failed).chain(drifted) {
        let is_known =
            |known: &Failure| known.vpc == failure.vpc && known.attachment == failure.attachment;
        if !failures.iter().any(is_known) {
            failures.push(failure);
        }
    }
    failures
}

fn failure(step: &Step, message: String) -> Failure {
    let (vpc, attachment) = match step {
        Step::CreateNamespace(vpc) | Step::DeleteNamespace(vpc) => (*vpc, None),
        Step::In(vpc, Change::Attach(step)) => (*vpc, Some(step.name.clone())),
        Step::In(vpc, _) => (*vpc, None),
    };
    Failure {
        vpc: Some(vpc),
        attachment,
        message,
    }
}

fn orphans(desired: &Desired) -> impl Iterator<Item = Failure> + '_ {
    desired.orphans.iter().map(|(name, reason)| Failure {
        vpc: None,
        attachment: Some(name.clone()),
        message: reason.clone(),
    })
}

/// An error with all its causes, in one line. Causes that their parent already shows are left out.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let cause = error.to_string();
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
        source = error.source();
    }
    text
}
