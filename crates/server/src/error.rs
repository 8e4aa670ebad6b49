//! What a use case answers when it does not succeed.

use model::{AppId, DomainError, GatewayId, LegacyVpcId, PeeringConnectionId, Region, TaskId, Uin};
use store::{CommitError, Full, StoreError};

use crate::sealing::SealError;

/// Why a use case did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum UseCaseError {
    /// The rules of the domain refuse it; the text is for the caller.
    #[error(transparent)]
    Domain(#[from] DomainError),
    /// An operator's action is refused; the text is for the operator.
    #[error(transparent)]
    Operator(#[from] OperatorError),
    /// The store does not take or tell changes; trying again later may help. A write may or may not
    /// have happened when the cause is [`CommitError::Unknown`].
    #[error("the state is unavailable")]
    Unavailable {
        /// What failed.
        #[source]
        source: StateError,
    },
    /// Too many competing changes; nothing was written.
    #[error("too many competing changes; try again")]
    Busy,
    /// There is no room to remember what would be answered; nothing was written.
    #[error("no more answers can be remembered {0}")]
    AnswersFull(Full),
    /// The software contradicts itself; nothing was written.
    #[error("internal error: {0}")]
    Internal(String),
}

/// Why the state is not available.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The store did not commit, or may not have.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// The store did not forget what it was to forget.
    #[error("old answers are not forgotten")]
    Forget(#[source] StoreError),
    /// The store did not tell what was answered before.
    #[error("old answers cannot be read")]
    Answers(#[source] StoreError),
    /// The changes of the store are no longer followed; the log tells why.
    #[error("the changes of the store are no longer followed")]
    Stopped,
}

impl From<StateError> for UseCaseError {
    fn from(source: StateError) -> Self {
        UseCaseError::Unavailable { source }
    }
}

/// Why an operator's action is refused.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    /// The account number is in use.
    #[error("account {0} exists already")]
    AccountExists(Uin),
    /// The application number belongs to another account.
    #[error("app id {app_id} belongs to account {owner}")]
    AppIdTaken {
        /// The number.
        app_id: AppId,
        /// Whose it is.
        owner: Uin,
    },
    /// There is no such account.
    #[error("there is no account {0}; create it first")]
    AccountNotFound(Uin),
    /// A number or a text that is none.
    #[error("invalid {field}: {reason}")]
    Invalid {
        /// Which one.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The number belongs to a sub-account.
    #[error("{0} is the number of a sub-account already")]
    SubAccountExists(Uin),
    /// There is no such sub-account, or it belongs to another account.
    #[error("there is no sub-account {0} of that account; create it first")]
    SubAccountNotFound(Uin),
    /// A sub-account with more keys than one transaction can remove.
    #[error("sub-account {uin} has more than {limit} keys; delete some with `key delete` first")]
    TooManyKeys {
        /// The sub-account.
        uin: Uin,
        /// How many can be removed with it.
        limit: usize,
    },
    /// There is no such key.
    #[error("there is no access key {0}; `key list` shows them")]
    KeyNotFound(String),
    /// The key is not in use any more.
    #[error("access key {0} is disabled or has ended; create a new one instead")]
    KeyUnusable(String),
    /// There is no such peering.
    #[error("there is no peering connection {0}; `peering list` shows them")]
    PeeringNotFound(PeeringConnectionId),
    /// A task runs on the peering.
    #[error("task {task} is running on {peering}; try again when it has ended, see `task list`")]
    PeeringLocked {
        /// The peering.
        peering: PeeringConnectionId,
        /// The task.
        task: TaskId,
    },
    /// The secret id is in use.
    #[error("access key {0} exists already")]
    KeyExists(String),
    /// The legacy id is in use.
    #[error("{0} exists already")]
    NumberTaken(LegacyVpcId),
    /// There is no such gateway.
    #[error("there is no gateway {0}")]
    GatewayNotFound(GatewayId),
    /// A secret key cannot be sealed or opened.
    #[error("the secret key cannot be used")]
    Sealing(#[from] SealError),
}

impl From<SealError> for UseCaseError {
    fn from(error: SealError) -> Self {
        UseCaseError::Operator(error.into())
    }
}

/// Why a gateway does not join.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// The token is unknown, used or void.
    #[error("the join token is unknown, used or expired; make a new one for the region")]
    Token,
    /// The region has a gateway.
    #[error("region {region} already has the gateway {gateway}; remove it first")]
    RegionTaken {
        /// The region.
        region: Region,
        /// Its gateway.
        gateway: GatewayId,
    },
    /// The identity belongs to a gateway of another region.
    #[error("this identity is the gateway {gateway} of region {region}; give the new one its own")]
    IdentityTaken {
        /// Whose identity it is.
        gateway: GatewayId,
        /// That gateway's region.
        region: Region,
    },
    /// The endpoint is not `host:port`.
    #[error("`{0}` is not an endpoint (host:port)")]
    Endpoint(String),
    /// The state cannot be changed.
    #[error(transparent)]
    UseCase(#[from] UseCaseError),
}

/// Why the core cannot start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The store cannot be read.
    #[error("reading the state failed")]
    Store(#[from] StoreError),
    /// The store's changes cannot be followed.
    #[error("following the state failed")]
    Watch(#[from] store::WatchError),
    /// The store holds something that is no record of ours.
    #[error("the state cannot be understood")]
    Record(#[from] store::record::RecordError),
    /// The access keys are sealed under another master key.
    #[error(
        "the master key does not open the access key {secret_id}; start with the master key file \
         that belongs to this state"
    )]
    MasterKey {
        /// The key that was tried.
        secret_id: String,
    },
}
