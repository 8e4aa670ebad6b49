//! The Tencent Cloud dialect of the public API, version 2: what arrives at `/v2/index.php`. API 3.0 is
//! a second dialect over the same commands, in [`v3`].
//!
//! The way of a request: [`Parameters::from_query`] for a GET or [`Parameters::from_body`] for a POST
//! (whose query string is ignored), [`Common::parse`], [`signature::verify`] with the key that the
//! SecretId names, [`parse_command`]; then the use case; then [`render`] or [`render_error`]. Vendor words stop in this module. Which actions exist is one
//! table, [`action::ACTIONS`]; which error answers with which code is one table, [`ApiError::code`].

pub mod action;
pub mod error;
pub mod invented;
mod monitor;
pub mod parameters;
pub mod policy;
mod read;
pub mod request;
pub mod response;
mod rows;
pub mod signature;
pub mod v3;

pub use error::ApiError;
pub use monitor::MonitorParameterError;
pub use parameters::{ParameterLimits, Parameters, ParametersError};
pub use policy::{PolicyError, parse_policy, policy_json};
pub use request::{AllowedBandwidths, Common, Limits, Parsed, parse, parse_command};
pub use response::{AnswerHead, CONTENT_TYPE, Rows, render, render_error};
pub use signature::{Method, SignatureError, SignatureMethod, SignedRequest, sign, verify};
