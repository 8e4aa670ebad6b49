//! The peering connection and its life.
//!
//! ```text
//!            create, same account
//!   ( ) ───────────────────────────────► Active ──── delete ───► Deleted / gone
//!    │                                   ▲  │ ▲
//!    │ create, other account             │  │ └ overdue ► Isolated ► recovered
//!    ▼          accept                   │  └─ its creation failed ─► Failed / gone
//!  Pending ──────────────────────────────┘ ◄─ a failed accept leads back to Pending
//!    │  ▲ │
//!    │  │ └─ reject ──► Rejected
//!    │  └─── enable ─┐
//!    └─── 7 days ──► Expired
//! ```
//!
//! Every state can be deleted by a party that sees it. The record of a peering between two accounts
//! stays as Deleted until the other account deletes it too. A failed creation is gone where its
//! caller followed a task, and stays as Failed where its caller was given the id at once.
//! Source: legacy VPC API, "state machine"; the rules that sources leave open follow the design.

use std::fmt;
use std::time::Duration;

use crate::cidr::CidrBlock;
use crate::id::{LegacyVpcId, PeeringConnectionId, TaskId, Uin, VpcId};
use crate::name::Name;
use crate::overlay::{Bandwidth, Side, Vni};
use crate::region::Region;
use crate::tag::Tags;
use crate::time::UnixMillis;
use crate::vpc::Vpc;

/// How long a request waits for consent unless configured otherwise.
pub const REQUEST_LIFETIME: Duration = Duration::from_secs(7 * 24 * 3600);

/// The relation of two VPCs that reach each other on request and by consent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeeringConnection {
    /// Its id.
    pub id: PeeringConnectionId,
    /// Its name; either side may change it.
    pub name: Name,
    /// The side that asked.
    pub requester: PeeringEnd,
    /// The side that was asked.
    pub accepter: PeeringEnd,
    /// The cap, in each direction.
    pub bandwidth: Bandwidth,
    /// How it is paid for.
    pub charge_type: ChargeType,
    /// The service level.
    pub qos_level: QosLevel,
    /// The overlay network id.
    pub vni: Vni,
    /// Where it stands.
    pub state: PeeringState,
    /// The requester's tags, of which the accepter sees nothing. Of a peering inside one account there
    /// are no others.
    pub requester_tags: Tags,
    /// The accepter's tags, of which the requester sees nothing.
    pub accepter_tags: Tags,
    /// The task that is running on it; while one runs, other actions are refused.
    pub task: Option<TaskId>,
    /// When it was made.
    pub created_at: UnixMillis,
}

impl PeeringConnection {
    /// The tags that an account has on it.
    pub fn tags_of(&self, account: Uin) -> &Tags {
        match self.is_owned_by(account, Side::Requester) {
            true => &self.requester_tags,
            false => &self.accepter_tags,
        }
    }

    /// The same peering with other tags of an account.
    pub fn with_tags_of(&self, account: Uin, tags: Tags) -> PeeringConnection {
        let mut peering = self.clone();
        match self.is_owned_by(account, Side::Requester) {
            true => peering.requester_tags = tags,
            false => peering.accepter_tags = tags,
        }
        peering
    }
}

/// One end of a peering: what is fixed about its VPC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeeringEnd {
    /// The VPC.
    pub vpc: VpcId,
    /// Its legacy id; the region is part of it.
    pub legacy_id: LegacyVpcId,
    /// Its owner.
    pub owner: Uin,
    /// Its CIDR block.
    pub cidr: CidrBlock,
}

impl PeeringEnd {
    /// Where the VPC lives.
    pub fn region(&self) -> Region {
        self.legacy_id.region
    }
}

impl From<&Vpc> for PeeringEnd {
    fn from(vpc: &Vpc) -> Self {
        PeeringEnd {
            vpc: vpc.id,
            legacy_id: vpc.legacy_id,
            owner: vpc.owner,
            cidr: vpc.cidr,
        }
    }
}

/// How a peering is paid for. Names as in the vendor's API 3.0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ChargeType {
    /// The day's peak.
    #[default]
    PostpaidByDayMax,
    /// The month's 95th percentile.
    PostpaidByMonth95,
}

/// The service level of a peering.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum QosLevel {
    /// Platinum, `PT`.
    Platinum,
    /// Gold, `AU`.
    #[default]
    Gold,
    /// Silver, `AG`.
    Silver,
}

/// Where a peering stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeeringState {
    /// Waiting for the accepter.
    Pending {
        /// When it stops waiting.
        expires_at: UnixMillis,
    },
    /// Connected.
    Active {
        /// Since when.
        since: UnixMillis,
    },
    /// Was not accepted in time; the requester may enable it again.
    Expired {
        /// Since when.
        since: UnixMillis,
    },
    /// The accepter said no.
    Rejected {
        /// Since when.
        since: UnixMillis,
    },
    /// Its creation failed.
    Failed {
        /// Since when.
        since: UnixMillis,
        /// Why.
        reason: String,
    },
    /// Stopped because its payment is overdue.
    Isolated {
        /// Since when.
        since: UnixMillis,
    },
    /// Deleted by one account; the other one still sees it.
    Deleted {
        /// The side that deleted it.
        by: Side,
        /// Since when.
        since: UnixMillis,
    },
}

impl PeeringState {
    /// The state's name in lower case, for people and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            PeeringState::Pending { .. } => "pending",
            PeeringState::Active { .. } => "active",
            PeeringState::Expired { .. } => "expired",
            PeeringState::Rejected { .. } => "rejected",
            PeeringState::Failed { .. } => "failed",
            PeeringState::Isolated { .. } => "isolated",
            PeeringState::Deleted { .. } => "deleted",
        }
    }
}

/// What can happen to a peering after it was created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeeringEvent {
    /// The accepter consents.
    Accept,
    /// The accepter refuses.
    Reject,
    /// The requester asks again after expiry.
    Enable,
    /// A party changes the name.
    Rename,
    /// The requester changes bandwidth or charge type.
    ChangeTerms,
    /// A party ends it.
    Delete,
    /// The system's clock passed the deadline.
    Expire,
    /// The gateways could not activate an accepted request: it is pending again.
    ActivationFailed {
        /// The request's old deadline.
        expires_at: UnixMillis,
    },
    /// The gateways could not set it up, and its creator knows it only by a task.
    CreationUndone,
    /// The gateways could not set it up, and its creator holds its id.
    CreationFailed {
        /// Region and cause, for the creator.
        reason: String,
    },
}

impl fmt::Display for PeeringEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PeeringEvent::Accept => "accept",
            PeeringEvent::Reject => "reject",
            PeeringEvent::Enable => "enable",
            PeeringEvent::Rename => "rename",
            PeeringEvent::ChangeTerms => "change bandwidth or charge type of",
            PeeringEvent::Delete => "delete",
            PeeringEvent::Expire => "expire",
            PeeringEvent::ActivationFailed { .. } => "undo the acceptance of",
            PeeringEvent::CreationUndone => "undo the creation of",
            PeeringEvent::CreationFailed { .. } => "fail the creation of",
        })
    }
}

/// Who causes an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actor {
    /// An account.
    Account(Uin),
    /// The clock or a reconciler.
    System,
}

/// What an event leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transition {
    /// The peering goes on in this state.
    To(PeeringState),
    /// Nobody sees the peering any more: its record goes.
    Gone,
}

/// Why an event does not happen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransitionError {
    /// The actor does not see the peering.
    #[error("no such peering connection")]
    NotFound,
    /// The actor is a party but this is not its to do.
    #[error("only the {allowed} can {event} this peering connection")]
    WrongRole {
        /// Who could.
        allowed: Side,
        /// What was tried.
        event: PeeringEvent,
    },
    /// The state does not allow it.
    #[error("a peering connection in state {state} cannot be handled by `{event}`")]
    WrongState {
        /// The state's name.
        state: &'static str,
        /// What was tried.
        event: PeeringEvent,
    },
}

impl PeeringConnection {
    /// The end on one side.
    pub fn end(&self, side: Side) -> &PeeringEnd {
        match side {
            Side::Requester => &self.requester,
            Side::Accepter => &self.accepter,
        }
    }

    /// The side that a VPC is on.
    pub fn side_of(&self, vpc: VpcId) -> Option<Side> {
        [Side::Requester, Side::Accepter]
            .into_iter()
            .find(|side| self.end(*side).vpc == vpc)
    }

    /// Whether one account owns both ends.
    pub fn is_same_account(&self) -> bool {
        self.requester.owner == self.accepter.owner
    }

    /// Whether the ends live in different regions.
    pub fn is_cross_region(&self) -> bool {
        self.requester.region() != self.accepter.region()
    }

    /// Whether an account owns that side.
    pub fn is_owned_by(&self, account: Uin, side: Side) -> bool {
        self.end(side).owner == account
    }

    /// Whether the gateways have to carry it.
    pub fn is_carried(&self) -> bool {
        matches!(self.state, PeeringState::Active { .. })
    }

    /// Whether it is pending or active: the states that admission counts.
    pub fn is_open(&self) -> bool {
        match self.state {
            PeeringState::Pending { .. } | PeeringState::Active { .. } => true,
            PeeringState::Expired { .. }
            | PeeringState::Rejected { .. }
            | PeeringState::Failed { .. }
            | PeeringState::Isolated { .. }
            | PeeringState::Deleted { .. } => false,
        }
    }

    /// Whether an account sees it from one of its ends in a region.
    pub fn is_visible_in(&self, account: Uin, region: Region) -> bool {
        let has_end = |side| self.is_owned_by(account, side) && self.end(side).region() == region;
        self.is_visible_to(account) && (has_end(Side::Requester) || has_end(Side::Accepter))
    }

    /// Whether an account sees it. A rejected request disappears for the accepter, a deleted
    /// peering for whoever deleted it, a failed creation for the accepter.
    pub fn is_visible_to(&self, account: Uin) -> bool {
        [Side::Requester, Side::Accepter]
            .into_iter()
            .any(|side| self.is_owned_by(account, side) && self.is_visible_from(side))
    }

    fn is_visible_from(&self, side: Side) -> bool {
        match &self.state {
            PeeringState::Pending { .. }
            | PeeringState::Active { .. }
            | PeeringState::Expired { .. }
            | PeeringState::Isolated { .. } => true,
            PeeringState::Rejected { .. } | PeeringState::Failed { .. } => side == Side::Requester,
            PeeringState::Deleted { by, .. } => side != *by && !self.is_same_account(),
        }
    }

    /// Decides what an event leads to. Pure: `now` comes from the caller, nothing is changed here.
    /// Whether admission allows an accept or an enable is decided by `admission`.
    ///
    /// # Errors
    /// [`TransitionError`].
    pub fn transition(
        &self,
        event: PeeringEvent,
        actor: Actor,
        now: UnixMillis,
        request_lifetime: Duration,
    ) -> Result<Transition, TransitionError> {
        use PeeringState as S;

        self.check_actor(&event, actor)?;
        let pending = |expires_at| Ok(Transition::To(S::Pending { expires_at }));
        match (&event, &self.state) {
            (PeeringEvent::Accept, S::Pending { expires_at }) if now < *expires_at => {
                Ok(Transition::To(S::Active { since: now }))
            }
            (PeeringEvent::Reject, S::Pending { expires_at }) if now < *expires_at => {
                Ok(Transition::To(S::Rejected { since: now }))
            }
            (PeeringEvent::Expire, S::Pending { expires_at }) if now >= *expires_at => {
                Ok(Transition::To(S::Expired { since: now }))
            }
            (PeeringEvent::Enable, S::Expired { .. }) => pending(now.after(request_lifetime)),
            (PeeringEvent::ActivationFailed { expires_at }, S::Active { .. }) => {
                pending(*expires_at)
            }
            (PeeringEvent::CreationUndone, S::Active { .. }) => Ok(Transition::Gone),
            (PeeringEvent::CreationFailed { reason }, S::Active { .. }) => {
                let (since, reason) = (now, reason.clone());
                Ok(Transition::To(S::Failed { since, reason }))
            }
            (
                PeeringEvent::Rename | PeeringEvent::ChangeTerms,
                S::Pending { .. } | S::Active { .. } | S::Expired { .. } | S::Isolated { .. },
            ) => Ok(Transition::To(self.state.clone())),
            (PeeringEvent::Delete, _) => Ok(self.delete(actor, now)),
            (
                PeeringEvent::Accept
                | PeeringEvent::Reject
                | PeeringEvent::Rename
                | PeeringEvent::ChangeTerms
                | PeeringEvent::Expire
                | PeeringEvent::Enable
                | PeeringEvent::ActivationFailed { .. }
                | PeeringEvent::CreationUndone
                | PeeringEvent::CreationFailed { .. },
                S::Pending { .. }
                | S::Active { .. }
                | S::Expired { .. }
                | S::Rejected { .. }
                | S::Failed { .. }
                | S::Isolated { .. }
                | S::Deleted { .. },
            ) => Err(TransitionError::WrongState {
                state: self.state.name(),
                event,
            }),
        }
    }

    fn check_actor(&self, event: &PeeringEvent, actor: Actor) -> Result<(), TransitionError> {
        let allowed = match event {
            PeeringEvent::Accept | PeeringEvent::Reject => Some(Side::Accepter),
            PeeringEvent::Enable | PeeringEvent::ChangeTerms => Some(Side::Requester),
            PeeringEvent::Rename | PeeringEvent::Delete => None,
            PeeringEvent::Expire
            | PeeringEvent::ActivationFailed { .. }
            | PeeringEvent::CreationUndone
            | PeeringEvent::CreationFailed { .. } => {
                return match actor {
                    Actor::System => Ok(()),
                    Actor::Account(_) => Err(TransitionError::NotFound),
                };
            }
        };
        let Actor::Account(account) = actor else {
            return Ok(());
        };
        if !self.is_visible_to(account) {
            return Err(TransitionError::NotFound);
        }
        match allowed {
            Some(side) if !self.is_owned_by(account, side) => Err(TransitionError::WrongRole {
                allowed: side,
                event: event.clone(),
            }),
            Some(_) | None => Ok(()),
        }
    }

    // The other account keeps seeing a peering that it saw and did not delete itself. The operator
    // takes it away from both.
    fn delete(&self, actor: Actor, now: UnixMillis) -> Transition {
        let Actor::Account(account) = actor else {
            return Transition::Gone;
        };
        if self.is_same_account() {
            return Transition::Gone;
        }
        let by = if self.is_owned_by(account, Side::Requester) {
            Side::Requester
        } else {
            Side::Accepter
        };
        let already_deleted = matches!(self.state, PeeringState::Deleted { .. });
        if already_deleted || !self.is_visible_from(by.other()) {
            Transition::Gone
        } else {
            Transition::To(PeeringState::Deleted { by, since: now })
        }
    }
}
