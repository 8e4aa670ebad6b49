//! What the dialect answers when it refuses: one table from errors to (`code`, `codeDesc`).
//!
//! `code` is the coarse class, `codeDesc` what clients match. Sources: documents 215/4781 and
//! 215/4924 and the pages of the actions; where they give nothing, [`super::invented`].

use model::DomainError;
use model::admission::Refusal;
use model::peering::TransitionError;

use super::invented;
use super::monitor::{self, MonitorParameterError};
use super::parameters::ParametersError;
use super::signature::SignatureError;

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// The parameters cannot be decoded.
    #[error(transparent)]
    Parameters(#[from] ParametersError),
    /// A required parameter is absent or empty.
    #[error("parameter [{name}] is missing")]
    Missing {
        /// Its name.
        name: String,
    },
    /// A parameter has the wrong form, or a value that is not allowed.
    #[error("parameter [{name}] is invalid: {reason}")]
    Invalid {
        /// Its name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The signature is missing or does not verify.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// The SecretId is unknown, or its key is disabled.
    #[error("the SecretId does not exist or its key is disabled")]
    SecretId,
    /// A token came with the request, or is needed and did not.
    #[error("the security token is not valid for this SecretId")]
    Token,
    /// The key is read-only, or the sub-account's policy does not permit the action on anything.
    #[error("not authorised for {action}: {reason}")]
    Action {
        /// The action, as policies name it.
        action: String,
        /// Why not.
        reason: &'static str,
    },
    /// The sub-account's policy does not permit the action on some of the resources.
    #[error("the sub-account is not authorised for {action} on {}", resources.join(", "))]
    Resources {
        /// The action, as policies name it.
        action: String,
        /// The resources, as policies name them.
        resources: Vec<String>,
    },
    /// The caller may not use the service.
    #[error("the account may not use this service")]
    Forbidden,
    /// Too many requests, or too many answers to remember.
    #[error("too many requests: {0}")]
    TooManyRequests(String),
    /// The timestamp is outside the window.
    #[error(
        "the request has expired: its timestamp {timestamp} is more than {window_secs} s away from the server's time {now}"
    )]
    Expired {
        /// The request's, in seconds of Unix time.
        timestamp: u64,
        /// The server's, in seconds of Unix time.
        now: u64,
        /// How far they may differ.
        window_secs: u64,
    },
    /// The very same request came before.
    #[error("the request is a repetition; sign a new one with another nonce")]
    Replay,
    /// Plain HTTP.
    #[error("plain HTTP is not supported; use HTTPS")]
    Protocol,
    /// No such action.
    #[error("action [{0}] is not supported here; check its spelling and the host of the product")]
    UnknownAction(String),
    /// The request would have succeeded, and changed nothing because that was asked for.
    #[error("the request would have succeeded; nothing was changed")]
    DryRun,
    /// A fault of the server; what it was is in its log, not here.
    #[error("internal error; the server's log tells more")]
    Internal,
    /// The server cannot serve at the moment.
    #[error("the service is temporarily unavailable; retry later")]
    Unavailable,
    /// A parameter of the monitor product, which has codes of its own.
    #[error(transparent)]
    Monitor(#[from] MonitorParameterError),
    /// A use case refused.
    #[error(transparent)]
    Domain(#[from] DomainError),
}

impl ApiError {
    pub(super) fn missing(name: impl Into<String>) -> ApiError {
        ApiError::Missing { name: name.into() }
    }

    pub(super) fn invalid(name: impl Into<String>, reason: impl Into<String>) -> ApiError {
        ApiError::Invalid {
            name: name.into(),
            reason: reason.into(),
        }
    }

    /// The numeric and the symbolic code: the table.
    pub fn code(&self) -> (i32, &'static str) {
        match self {
            ApiError::Parameters(_)
            | ApiError::Missing { .. }
            | ApiError::Invalid { .. }
            | ApiError::Signature(SignatureError::Missing) => (4000, "InvalidParameter"),
            ApiError::Signature(
                SignatureError::Encoding
                | SignatureError::Length { .. }
                | SignatureError::Mismatch { .. },
            ) => (4100, "AuthFailure"),
            ApiError::Action { .. } => (4101, "AuthFailure"),
            ApiError::Resources { .. } => (4102, "AuthFailure"),
            // Spelled so by the vendor's gateway.
            ApiError::SecretId => (4104, "SecretidNotExit"),
            ApiError::Token => (4105, "InvalidRequest.TokenCheckFailed"),
            ApiError::Forbidden => (4300, "RequestForbidden"),
            ApiError::TooManyRequests(_) => (4400, "InvalidRequest.LimitExceeded"),
            ApiError::Expired { .. } | ApiError::Replay => (4500, "InvalidRequest.ReplayAttack"),
            ApiError::Protocol => (4600, "InvalidRequest.UnsupportedProtocol"),
            ApiError::DryRun => (5100, invented::DRY_RUN),
            ApiError::Internal => (6000, "InternalError"),
            ApiError::UnknownAction(_) => (6100, "InvalidAction.NotFound"),
            ApiError::Unavailable => (6200, "ServiceUnavailable"),
            ApiError::Monitor(error) => error.code(),
            ApiError::Domain(error) => domain_code(error),
        }
    }
}

fn domain_code(error: &DomainError) -> (i32, &'static str) {
    match error {
        DomainError::VpcNotFound { .. } => (4000, "InvalidVpc.NotFound"),
        DomainError::SubnetNotFound(_) | DomainError::OtherVpc { .. } => {
            (4000, "InvalidSubnet.NotFound")
        }
        DomainError::RouteTableNotFound(_) => (4000, "InvalidRouteTableId.NotFound"),
        DomainError::RouteNotFound(_) => (4000, invented::ROUTE_NOT_FOUND),
        DomainError::PeeringNotFound(_) => (4000, "InvalidPeeringConnection.NotFound"),
        DomainError::TaskNotFound(_) => (5000, invented::TASK_NOT_FOUND),
        DomainError::ZoneNotFound(_) => (4000, "InvalidZone.NotFound"),
        DomainError::VpcName(_) => (4000, "InvalidVpcName"),
        DomainError::SubnetName(_) => (4000, "InvalidSubnetName"),
        DomainError::PeeringName(_) => (4000, "InvalidPeeringConnectionName"),
        DomainError::SubnetNameTaken(_) => (4000, "InvalidSubnetName"),
        DomainError::RouteTableName(_) => (4000, "InvalidRouteTableName"),
        DomainError::RouteDescription(_) => (4000, "InvalidParameter"),
        DomainError::VpcCidr(_)
        | DomainError::AssistantCidr(_)
        | DomainError::AssistantCidrRepeated(_)
        | DomainError::AssistantCidrNotFound(_)
        | DomainError::AssistantCidrConflict(_)
        | DomainError::AssistantCidrLimit { .. } => (4000, "InvalidVpcCidr"),
        DomainError::SubnetCidr(_) => (4000, "InvalidSubnetCidr"),
        DomainError::SubnetConflict { .. } => (4000, "InvalidSubnet.Conflict"),
        DomainError::Destination(_) | DomainError::NotInPeer { .. } => {
            (4000, "InvalidDestinationCidr")
        }
        DomainError::RouteExists(_) => (4000, "RouteAlreadyExists"),
        DomainError::NextHopType(_) => (4000, "InvalidRouteNextType"),
        DomainError::NextHopNotFound(_) => (4000, "InvalidRouteNextHub.NotFound"),
        DomainError::VpcInUse { .. } => (4000, "InvalidVpc.CannotDelete"),
        DomainError::SubnetInUse { .. } => (4000, "InvalidSubnet.CannotDelete"),
        DomainError::RouteTableIsDefault(_) | DomainError::RouteTableInUse { .. } => {
            (4000, invented::ROUTE_TABLE_CANNOT_DELETE)
        }
        DomainError::VpcLimit { .. } => (4000, "VpcLimitExceeded"),
        DomainError::SubnetLimit { .. } => (4000, "SubnetLimitExceeded"),
        DomainError::RouteTableLimit { .. } => (4000, "RouteTableLimitExceeded"),
        DomainError::RouteLimit { .. } => (4000, "RouteLimitExceeded"),
        DomainError::Admission(
            Refusal::EndsOverlap { .. }
            | Refusal::PairExists { .. }
            | Refusal::PeersOverlap { .. }
            | Refusal::OverlapBeyond { .. },
        ) => (4000, "PeeringConnectionVpcConflict"),
        DomainError::Admission(Refusal::Limit { .. } | Refusal::InboxFull { .. }) => {
            (4000, "PeeringConnectionLimitExceeded")
        }
        DomainError::PeeringState(TransitionError::NotFound) => {
            (4000, "InvalidPeeringConnection.NotFound")
        }
        DomainError::PeeringState(
            TransitionError::WrongRole { .. } | TransitionError::WrongState { .. },
        ) => (5100, invented::PEERING_STATE_ERROR),
        DomainError::ActionLocked(_) => (5100, "ActionLocked"),
        DomainError::Monitor(error) => monitor::code(error),
        DomainError::Tag(_) | DomainError::Parameter { .. } => (4000, "InvalidParameter"),
    }
}

#[cfg(test)]
#[path = "error_tests.rs"]
mod tests;
