//! A kernel in memory, for tests: it does what the steps say and can be told to refuse some.

use std::os::fd::OwnedFd;
use std::sync::Mutex;

use async_trait::async_trait;
use model::VpcId;

use crate::desired::{AttachmentKind, TUN, bridge_name, port_name};
use crate::error::KernelError;
use crate::observed::{LinkKind, LinkObserved, Observed, OuterObserved, VpcObserved};
use crate::reconcile::Kernel;
use crate::step::{Change, Step};

/// Decides whether a step is refused.
type Refusal = Box<dyn Fn(&Step) -> bool + Send + Sync>;

/// A kernel in memory.
#[derive(Default)]
pub struct FakeKernel {
    state: Mutex<Observed>,
    applied: Mutex<Vec<Step>>,
    refuse: Mutex<Option<Refusal>>,
}

impl FakeKernel {
    /// An empty kernel.
    pub fn new() -> FakeKernel {
        FakeKernel::default()
    }

    /// Refuses the steps for which this holds, from now on.
    pub fn refuse(&self, refuse: impl Fn(&Step) -> bool + Send + Sync + 'static) {
        *self.refuse.lock().expect("no panic under the lock") = Some(Box::new(refuse));
    }

    /// Refuses nothing, from now on.
    pub fn allow_all(&self) {
        *self.refuse.lock().expect("no panic under the lock") = None;
    }

    /// The steps applied so far.
    pub fn applied(&self) -> Vec<Step> {
        self.applied
            .lock()
            .expect("no panic under the lock")
            .clone()
    }

    /// Changes the state behind the reconciler's back.
    pub fn disturb(&self, change: impl FnOnce(&mut Observed)) {
        change(&mut self.state.lock().expect("no panic under the lock"));
    }
}

#[async_trait]
impl Kernel for FakeKernel {
    async fn observe(&self) -> Result<Observed, KernelError> {
        Ok(self.state.lock().expect("no panic under the lock").clone())
    }

    async fn apply(&self, step: &Step) -> Result<(), KernelError> {
        let refuse = self.refuse.lock().expect("no panic under the lock");
        if refuse.as_ref().is_some_and(|refuse| refuse(step)) {
            let source = std::io::Error::from_raw_os_error(libc::EPERM);
            return Err(KernelError::Netlink {
                doing: step.to_string(),
                source,
            });
        }
        let mut state = self.state.lock().expect("no panic under the lock");
        let is_ipv6_missing = state.is_ipv6_missing;
        match step {
            Step::In(_, Change::SetSysctl { path, value })
                if is_ipv6_missing && path.starts_with("net/ipv6/") =>
            {
                let source = std::io::Error::from_raw_os_error(libc::ENOENT);
                return Err(KernelError::io(format!("set {path} to {value}"), source));
            }
            Step::CreateNamespace(vpc) => {
                let lo = ("lo".to_owned(), LinkObserved::default());
                state.vpcs.entry(*vpc).or_insert_with(|| VpcObserved {
                    links: [lo].into(),
                    ..VpcObserved::default()
                });
            }
            Step::DeleteNamespace(vpc) => {
                state.vpcs.remove(vpc);
            }
            Step::In(_, Change::Restore { link, .. }) => {
                state.stranded.remove(link);
            }
            Step::In(vpc, change) => {
                let place = state
                    .vpcs
                    .get_mut(vpc)
                    .ok_or_else(|| KernelError::NoNamespace(vpc.to_string()))?;
                apply(place, change)?;
            }
        }
        self.applied
            .lock()
            .expect("no panic under the lock")
            .push(step.clone());
        Ok(())
    }

    fn open_tun(&self, vpc: VpcId) -> Result<OwnedFd, KernelError> {
        let state = self.state.lock().expect("no panic under the lock");
        let has_tun = state
            .vpcs
            .get(&vpc)
            .is_some_and(|place| place.links.contains_key(TUN));
        if !has_tun {
            return Err(KernelError::NoLink {
                link: TUN.to_owned(),
                place: vpc.to_string(),
            });
        }
        let (one, _other) = std::os::unix::net::UnixDatagram::pair()
            .map_err(|error| KernelError::io("make a pair of sockets", error))?;
        Ok(one.into())
    }
}

fn apply(place: &mut VpcObserved, change: &Change) -> Result<(), KernelError> {
    let new = |kind| LinkObserved {
        kind,
        mtu_bytes: 1500,
        ..LinkObserved::default()
    };
    match change {
        Change::SetSysctl { path, value } => {
            place.sysctls.insert(path.clone(), value.clone());
        }
        Change::CreateTun => {
            place
                .links
                .entry(TUN.to_owned())
                .or_insert_with(|| new(LinkKind::Tun));
        }
        Change::CreateBridge { name, .. } => {
            place
                .links
                .entry(name.clone())
                .or_insert_with(|| new(LinkKind::Bridge));
        }
        Change::DeleteLink(name) | Change::Detach { port: name, .. } => {
            place.links.remove(name);
        }
        Change::SetMtu { link, mtu_bytes } => {
            find(place, link)?.mtu_bytes = (*mtu_bytes).into();
        }
        Change::SetUp(link) => find(place, link)?.is_up = true,
        Change::SetBridge { link, bridge } => find(place, link)?.bridge = Some(bridge.clone()),
        Change::AddAddress {
            link,
            address,
            prefix_len,
        } => {
            find(place, link)?.addresses.insert((*address, *prefix_len));
        }
        Change::RemoveAddress {
            link,
            address,
            prefix_len,
        } => {
            find(place, link)?
                .addresses
                .remove(&(*address, *prefix_len));
        }
        Change::AddRoute(route) => {
            place.routes.insert(route.clone());
        }
        Change::RemoveRoute(route) => {
            place.routes.remove(route);
        }
        Change::JoinBridge { port, bridge } => find(place, port)?.outer = Some(joined(bridge)),
        // The state as a whole has the stranded cards.
        Change::Restore { .. } => {}
        Change::Attach(step) => {
            let (kind, original_name, outer) = match &step.attachment.kind {
                AttachmentKind::Nic { interface } => {
                    (LinkKind::Other, Some(interface.clone()), None)
                }
                AttachmentKind::VethToNamespace { .. } => (LinkKind::Veth, None, None),
                AttachmentKind::VethToBridge { bridge } => {
                    (LinkKind::Veth, None, Some(joined(bridge)))
                }
            };
            let port = LinkObserved {
                kind,
                mtu_bytes: step.mtu_bytes.into(),
                is_up: true,
                bridge: Some(bridge_name(step.attachment.subnet)),
                original_name,
                made_for: Some(step.fingerprint()),
                outer,
                ..LinkObserved::default()
            };
            place.links.insert(port_name(&step.name), port);
        }
    }
    Ok(())
}

fn joined(bridge: &str) -> OuterObserved {
    OuterObserved {
        bridge: Some(bridge.to_owned()),
        is_up: true,
    }
}

fn find<'a>(place: &'a mut VpcObserved, name: &str) -> Result<&'a mut LinkObserved, KernelError> {
    place
        .links
        .get_mut(name)
        .ok_or_else(|| KernelError::NoLink {
            link: name.to_owned(),
            place: "the fake kernel".to_owned(),
        })
}
