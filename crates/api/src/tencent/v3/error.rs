//! What the dialect answers when it refuses.
//!
//! Every refusal has one most specific code. An action answers with it if its page lists it, and with
//! the class, the part before the dot, if not: so clients meet only codes that the action documents or
//! that all actions have in common ([`COMMON_CODES`]). Source: API 3.0, "common error codes" and the
//! pages of the actions; which condition gives which code is mostly not documented and is decided here.

mod tag;

use model::DomainError;
use model::admission::Refusal;
use model::assistant::{Conflict, Obstacle};
use model::peering::TransitionError;

use super::action::{Action, Product};
use super::signature::{AuthorizationError, SignatureError};
use super::tree::TreeError;
use crate::tencent::parameters::ParametersError;

/// The codes that every action may answer with, whether its page lists them or not.
pub const COMMON_CODES: &[&str] = &[
    "AuthFailure.InvalidAuthorization",
    "AuthFailure.SecretIdNotFound",
    "AuthFailure.SignatureExpire",
    "AuthFailure.SignatureFailure",
    "AuthFailure.TokenFailure",
    "AuthFailure.UnauthorizedOperation",
    "DryRunOperation",
    "FailedOperation",
    "InternalError",
    "InvalidAction",
    "InvalidParameter",
    "InvalidParameterValue",
    // Any creation may be given a ClientToken of before.
    "InvalidParameterValue.Combination",
    "InvalidRequest",
    "LimitExceeded",
    "MissingParameter",
    "NoSuchVersion",
    "RequestLimitExceeded",
    "RequestSizeLimitExceeded",
    "ResourceInUse",
    "ResourceInsufficient",
    "ResourceNotFound",
    "ResourceUnavailable",
    "ServiceUnavailable",
    "UnauthorizedOperation",
    "UnknownParameter",
    "UnknownParameter.WithGuess",
    "UnsupportedOperation",
    "UnsupportedProtocol",
    "UnsupportedRegion",
];

/// What is wrong with a value that has the right type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// None of the allowed ones.
    NotAllowed,
    /// Its syntax, as that of an id.
    Malformed,
    /// Nothing is in it.
    Empty,
    /// Too long a text.
    TooLong,
    /// A number out of range.
    Range,
    /// Too many elements, or too large a page.
    TooMany,
    /// An element is there twice.
    Duplicate,
    /// It does not go with another parameter.
    Combination,
    /// The name of a resource in six parts.
    Resource,
    /// The product of a resource.
    Service,
    /// The region of a resource.
    Region,
    /// The kind of a resource.
    Prefix,
    /// The id of a resource of a known kind.
    ResourceId,
}

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Plain HTTP where TLS is spoken.
    #[error("plain HTTP is not supported; use HTTPS")]
    Plain,
    /// Neither GET nor POST.
    #[error("method {0} is not supported; use POST or GET")]
    Method(String),
    /// The query or the body is too long.
    #[error("the request has more than {limit} bytes")]
    TooLarge {
        /// The bound.
        limit: usize,
    },
    /// A body that did not arrive, or not as its content type announces.
    #[error("the body cannot be read: {0}")]
    Body(String),
    /// The content type of a signed POST.
    #[error("content type `{0}` is not supported; use application/json")]
    ContentType(String),
    /// The parameters of a form cannot be decoded.
    #[error(transparent)]
    Form(ParametersError),
    /// The parameters are no tree.
    #[error(transparent)]
    Tree(TreeError),
    /// There is no signature at all.
    #[error(
        "the request is not signed: there is no Authorization header and no parameter `Signature`"
    )]
    Unsigned,
    /// The header has not the documented form.
    #[error(transparent)]
    Authorization(#[from] AuthorizationError),
    /// The SecretId is unknown, or its key is disabled.
    #[error("the SecretId does not exist or its key is disabled")]
    SecretId,
    /// A TC3 signature.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// A v1 signature.
    #[error(transparent)]
    LegacySignature(crate::tencent::SignatureError),
    /// The timestamp is outside the window.
    #[error(
        "the signature has expired: the timestamp {timestamp} is more than {window_secs} s away from the server's time {now}"
    )]
    Expired {
        /// The request's, in seconds of Unix time.
        timestamp: u64,
        /// The server's, in seconds of Unix time.
        now: u64,
        /// How far they may differ.
        window_secs: u64,
    },
    /// A token came with the request; keys here have none.
    #[error("the security token is not valid for this SecretId")]
    Token,
    /// The caller may not do that.
    #[error("not authorised: {0}")]
    Unauthorised(String),
    /// The version is of no product that is served here.
    #[error("version `{0}` is not served here")]
    Version(String),
    /// No such action in that version.
    #[error("action `{0}` is not supported here; check its spelling and the version")]
    UnknownAction(String),
    /// The region does not exist.
    #[error("`{0}` is not a region, such as ap-guangzhou")]
    Region(String),
    /// Too many requests.
    #[error("too many requests: {0}")]
    TooManyRequests(String),
    /// A required parameter is absent.
    #[error("parameter `{0}` is missing")]
    Missing(String),
    /// A parameter that the action does not have.
    #[error("parameter `{name}` is unknown{}", guess.map(|guess| format!("; is `{guess}` meant?")).unwrap_or_default())]
    Unknown {
        /// Its name.
        name: String,
        /// One of the action that is like it.
        guess: Option<&'static str>,
    },
    /// A parameter of the wrong type.
    #[error("parameter `{name}` has the wrong type: {reason}")]
    Type {
        /// Its name.
        name: String,
        /// What was expected.
        reason: &'static str,
    },
    /// A value that is not allowed.
    #[error("the value of parameter `{name}` is not allowed: {reason}")]
    Value {
        /// The parameter.
        name: String,
        /// Of which kind the fault is.
        fault: Fault,
        /// What it is.
        reason: String,
    },
    /// Two parameters of which only one may be given.
    #[error("parameters `{0}` and `{1}` exclude each other")]
    Coexist(&'static str, &'static str),
    /// A filter of an unknown name.
    #[error("`{name}` is no filter of this action; there are {}", known.join(", "))]
    FilterName {
        /// The filter's.
        name: String,
        /// Those that there are.
        known: &'static [&'static str],
    },
    /// A filter that is no object.
    #[error("`{0}` is not an object with Name and Values")]
    FilterShape(String),
    /// The values of a filter are no list.
    #[error("`{0}` is not a list of texts")]
    FilterValues(String),
    /// A filter that needs others.
    #[error("filter `{0}` needs the filters {1} beside it")]
    FilterAlone(&'static str, &'static str),
    /// Something that the vendor has and Peerway does not.
    #[error("{0} is not supported here")]
    Unsupported(String),
    /// Multicast, which has a code of its own.
    #[error("multicast (`EnableMulticast`) is not supported here")]
    Multicast,
    /// The same ClientToken came before with other parameters.
    #[error("ClientToken `{0}` was used before with other parameters; use a new one")]
    ClientToken(String),
    /// The request would have succeeded, and changed nothing because that was asked for.
    #[error("the request would have succeeded; nothing was changed")]
    DryRun,
    /// A fault of the server; what it was is in its log, not here.
    #[error("internal error; the server's log tells more")]
    Internal,
    /// The server cannot serve at the moment.
    #[error("the service is temporarily unavailable; retry later")]
    Unavailable,
    /// A use case refused.
    #[error(transparent)]
    Domain(#[from] DomainError),
}

impl Error {
    pub(super) fn value(name: impl Into<String>, fault: Fault, reason: impl Into<String>) -> Error {
        Error::Value {
            name: name.into(),
            fault,
            reason: reason.into(),
        }
    }

    /// The code that an action answers with; `None` when no action was found.
    pub fn code(&self, action: Option<&Action>) -> &'static str {
        let of_tags = action.is_some_and(|action| action.product == Product::Tag);
        let specific = match self {
            Error::Domain(DomainError::Tag(error)) if of_tags => tag::code_of_tags(error),
            other => other.specific(),
        };
        let is_listed = |action: &Action| action.errors.contains(&specific);
        if COMMON_CODES.contains(&specific) || action.is_some_and(is_listed) {
            return specific;
        }
        specific.split('.').next().unwrap_or(specific)
    }

    fn specific(&self) -> &'static str {
        match self {
            Error::Plain | Error::Method(_) => "UnsupportedProtocol",
            Error::TooLarge { .. }
            | Error::Form(
                ParametersError::QueryTooLong { .. } | ParametersError::BodyTooLong { .. },
            ) => "RequestSizeLimitExceeded",
            Error::Body(_) | Error::ContentType(_) | Error::Tree(TreeError::Multipart(_)) => {
                "InvalidRequest"
            }
            Error::Form(
                ParametersError::NameEncoding { .. } | ParametersError::ValueEncoding { .. },
            )
            | Error::Tree(TreeError::Encoding) => "InvalidParameterValue.NotUtf8EncodingError",
            Error::Form(_) | Error::Tree(_) | Error::Type { .. } => "InvalidParameter",
            Error::Unsigned | Error::Authorization(_) => "AuthFailure.InvalidAuthorization",
            Error::SecretId => "AuthFailure.SecretIdNotFound",
            Error::Signature(_) | Error::LegacySignature(_) => "AuthFailure.SignatureFailure",
            Error::Expired { .. } => "AuthFailure.SignatureExpire",
            Error::Token => "AuthFailure.TokenFailure",
            Error::Unauthorised(_) => "AuthFailure.UnauthorizedOperation",
            Error::Version(_) => "NoSuchVersion",
            Error::UnknownAction(_) => "InvalidAction",
            Error::Region(_) => "UnsupportedRegion",
            Error::TooManyRequests(_) => "RequestLimitExceeded",
            Error::Missing(_) => "MissingParameter",
            Error::Unknown { guess: None, .. } => "UnknownParameter",
            Error::Unknown { guess: Some(_), .. } => "UnknownParameter.WithGuess",
            Error::Value { fault, .. } => fault.code(),
            Error::Coexist(..) => "InvalidParameter.Coexist",
            Error::FilterName { .. } => "InvalidParameter.FilterInvalidKey",
            Error::FilterShape(_) => "InvalidParameter.FilterNotDict",
            Error::FilterValues(_) => "InvalidParameter.FilterValuesNotList",
            Error::FilterAlone(..) => "InvalidParameter.FilterMissParameter",
            Error::Unsupported(_) => "UnsupportedOperation",
            Error::Multicast => "UnsupportedOperation.EnableMulticast",
            Error::ClientToken(_) => "InvalidParameterValue.Combination",
            Error::DryRun => "DryRunOperation",
            Error::Internal => "InternalError",
            Error::Unavailable => "ServiceUnavailable",
            Error::Domain(error) => domain_code(error),
        }
    }
}

impl Fault {
    fn code(self) -> &'static str {
        match self {
            Fault::NotAllowed => "InvalidParameterValue",
            Fault::Malformed => "InvalidParameterValue.Malformed",
            Fault::Empty => "InvalidParameterValue.Empty",
            Fault::TooLong => "InvalidParameterValue.TooLong",
            Fault::Range => "InvalidParameterValue.Range",
            Fault::TooMany => "InvalidParameterValue.LimitExceeded",
            Fault::Duplicate => "InvalidParameterValue.Duplicate",
            Fault::Combination => "InvalidParameterValue.Combination",
            Fault::Resource => "InvalidParameterValue.ResourceDescriptionError",
            Fault::Service => "InvalidParameterValue.ServiceTypeInvalid",
            Fault::Region => "InvalidParameterValue.RegionInvalid",
            Fault::Prefix => "InvalidParameterValue.ResourcePrefixInvalid",
            Fault::ResourceId => "InvalidParameterValue.ResourceIdInvalid",
        }
    }
}

impl From<ParametersError> for Error {
    fn from(error: ParametersError) -> Self {
        Error::Form(error)
    }
}

impl From<TreeError> for Error {
    fn from(error: TreeError) -> Self {
        Error::Tree(error)
    }
}

fn domain_code(error: &DomainError) -> &'static str {
    match error {
        DomainError::VpcNotFound { .. }
        | DomainError::SubnetNotFound(_)
        | DomainError::RouteTableNotFound(_)
        | DomainError::RouteNotFound(_)
        | DomainError::PeeringNotFound(_)
        | DomainError::TaskNotFound(_)
        | DomainError::PeeringState(TransitionError::NotFound) => "ResourceNotFound",
        DomainError::OtherVpc { .. } => "UnsupportedOperation.VpcMismatch",
        DomainError::ZoneNotFound(_)
        | DomainError::VpcName(_)
        | DomainError::SubnetName(_)
        | DomainError::PeeringName(_)
        | DomainError::RouteTableName(_)
        | DomainError::RouteDescription(_)
        | DomainError::VpcCidr(_)
        | DomainError::Parameter { .. } => "InvalidParameterValue",
        DomainError::SubnetCidr(_) | DomainError::AssistantCidr(_) => {
            "InvalidParameterValue.SubnetRange"
        }
        DomainError::Tag(error) => tag::code(error),
        DomainError::AssistantCidrNotFound(_) => "ResourceNotFound",
        DomainError::AssistantCidrConflict(conflict) => conflict_code(conflict),
        DomainError::SubnetConflict { .. } => "InvalidParameterValue.SubnetConflict",
        DomainError::Destination(_) => "InvalidParameterValue.VpcCidrConflict",
        DomainError::NotInPeer { .. } => "InvalidParameterValue.CidrNotInPeerVpc",
        DomainError::RouteExists(_)
        | DomainError::SubnetNameTaken(_)
        | DomainError::AssistantCidrRepeated(_) => "InvalidParameterValue.Duplicate",
        DomainError::VpcInUse { .. } | DomainError::SubnetInUse { .. } => "ResourceInUse",
        DomainError::RouteTableIsDefault(_) => {
            "UnsupportedOperation.NotSupportDeleteDefaultRouteTable"
        }
        DomainError::RouteTableInUse { .. } => "UnsupportedOperation.DelRouteWithSubnet",
        DomainError::NextHopType(_) | DomainError::NextHopNotFound(_) => {
            "InvalidParameterValue.RouteNextHopInvalid"
        }
        DomainError::VpcLimit { .. }
        | DomainError::SubnetLimit { .. }
        | DomainError::RouteTableLimit { .. }
        | DomainError::AssistantCidrLimit { .. }
        | DomainError::RouteLimit { .. } => "LimitExceeded",
        DomainError::Admission(Refusal::EndsOverlap { .. }) => {
            "UnsupportedOperation.VpcPeerCidrConflict"
        }
        DomainError::Admission(Refusal::PeersOverlap { .. } | Refusal::OverlapBeyond { .. }) => {
            "UnauthorizedOperation.VpcPeerCidrConflict"
        }
        DomainError::Admission(Refusal::PairExists { .. }) => {
            "UnsupportedOperation.VpcPeerAlreadyExist"
        }
        DomainError::Admission(Refusal::Limit { .. }) => "LimitExceeded.VpcPeerAvaLimitExceeded",
        DomainError::Admission(Refusal::InboxFull { .. }) => {
            "LimitExceeded.VpcPeerTotalLimitExceeded"
        }
        DomainError::PeeringState(TransitionError::WrongRole { .. }) => {
            "UnsupportedOperation.VpcPeerPurviewError"
        }
        DomainError::PeeringState(TransitionError::WrongState { .. }) => {
            "UnsupportedOperation.VpcPeerInvalidStateChange"
        }
        DomainError::ActionLocked(_) => "UnsupportedOperation.MutexOperationTaskRunning",
        // Measurements are not told in this dialect.
        DomainError::Monitor(_) => "UnsupportedOperation",
    }
}

/// The pages of the actions on assistant blocks know no code for what is peered with the VPC: to them
/// the block collides with the address space that the VPC is a part of.
fn conflict_code(conflict: &Conflict) -> &'static str {
    match conflict.with {
        Obstacle::Vpc { .. } | Obstacle::Peering { .. } => "InvalidParameterValue.VpcCidrConflict",
        Obstacle::Assistant { .. } => "InvalidParameterValue.SubnetOverlapAssistCidr",
        Obstacle::Route { .. } => "InvalidParameterValue.VpcCidrOverlapRoute",
        Obstacle::Subnet { .. } => "ResourceInUse",
    }
}

#[cfg(test)]
#[path = "error_tests.rs"]
mod tests;
