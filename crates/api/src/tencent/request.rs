//! From parameters to a command of the domain.
//!
//! [`Common::parse`] reads what every request carries and is enough to authenticate it;
//! [`parse_command`] then reads the parameters of the action. Names and meaning: legacy VPC API,
//! documents 215/4772 and the pages of the actions.

use model::{Bandwidth, Command, Region, RegionError};

use super::action;
use super::error::ApiError;
use super::parameters::Parameters;
use super::read::{number, optional, required, shown};
use super::signature::SignatureMethod;

/// What the operator can set about this dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The largest bandwidth of a peering in Mbps; 0, which means unlimited, is always allowed.
    pub bandwidth_ceiling_mbps: u32,
    /// Which bandwidths up to the ceiling are allowed.
    pub bandwidths: AllowedBandwidths,
}

/// Which bandwidths are allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AllowedBandwidths {
    /// Any whole number of Mbps.
    #[default]
    Any,
    /// Those of the vendor's page: 10, 20, 50, 100, 200, 500 and 1000.
    DocumentedSet,
}

/// The bandwidths of the vendor's page, in Mbps.
pub const DOCUMENTED_BANDWIDTHS_MBPS: [u32; 7] = [10, 20, 50, 100, 200, 500, 1000];

impl Limits {
    /// The bandwidth of so many Mbps, if it is allowed; if not, why.
    pub(super) fn bandwidth(&self, mbps: u32) -> Result<Bandwidth, String> {
        let ceiling = self.bandwidth_ceiling_mbps;
        if mbps > ceiling {
            return Err(format!("it is {mbps} Mbps, at most {ceiling} is allowed"));
        }
        let is_allowed = match self.bandwidths {
            AllowedBandwidths::Any => true,
            AllowedBandwidths::DocumentedSet => {
                mbps == 0 || DOCUMENTED_BANDWIDTHS_MBPS.contains(&mbps)
            }
        };
        if !is_allowed {
            return Err(format!(
                "it is not one of {DOCUMENTED_BANDWIDTHS_MBPS:?} Mbps"
            ));
        }
        Ok(Bandwidth::from_mbps(mbps))
    }
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            bandwidth_ceiling_mbps: 10_000,
            bandwidths: AllowedBandwidths::default(),
        }
    }
}

/// The parameters that every request carries.
#[derive(Clone, PartialEq, Eq)]
pub struct Common {
    /// The action, its first letter made upper-case as SDKs do.
    pub action: String,
    /// The region to work in; whether it is needed depends on the action.
    pub region: Option<Region>,
    /// When the request was made, in seconds of Unix time.
    pub timestamp: u64,
    /// A number that differs between requests of one second.
    pub nonce: u64,
    /// The public half of the key that signed.
    pub secret_id: String,
    /// The digest of the signature.
    pub signature_method: SignatureMethod,
    /// The token of temporary credentials.
    pub token: Option<String>,
    /// The client's name for itself, from `RequestClient` or `RequestSource`.
    pub client: Option<String>,
}

impl std::fmt::Debug for Common {
    // The token is a credential.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Common")
            .field("action", &self.action)
            .field("region", &self.region)
            .field("timestamp", &self.timestamp)
            .field("nonce", &self.nonce)
            .field("secret_id", &self.secret_id)
            .field("client", &self.client)
            .finish_non_exhaustive()
    }
}

/// A whole request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed {
    /// What every request carries.
    pub common: Common,
    /// What is asked for.
    pub command: Command,
}

impl Common {
    /// Reads the common parameters. Whether the action exists is not checked, so that a request is
    /// authenticated first.
    ///
    /// # Errors
    /// [`ApiError::Missing`] and [`ApiError::Invalid`], naming the parameter. An absent `Signature`
    /// is found by [`super::signature::verify`].
    pub fn parse(parameters: &Parameters) -> Result<Common, ApiError> {
        Ok(Common {
            action: capitalised(required(parameters, "Action")?),
            region: optional(parameters, "Region")
                .map(|text| region("Region", text))
                .transpose()?,
            timestamp: number("Timestamp", required(parameters, "Timestamp")?)?,
            nonce: number("Nonce", required(parameters, "Nonce")?)?,
            secret_id: required(parameters, "SecretId")?.to_owned(),
            signature_method: SignatureMethod::from_parameter(parameters.get("SignatureMethod")),
            token: optional(parameters, "Token").map(str::to_owned),
            client: optional(parameters, "RequestClient")
                .or_else(|| optional(parameters, "RequestSource"))
                .map(str::to_owned),
        })
    }
}

/// Reads the parameters of the action.
///
/// # Errors
/// [`ApiError::UnknownAction`]; [`ApiError::Missing`] and [`ApiError::Invalid`], naming the
/// parameter; [`ApiError::Domain`] where the vendor documents a code for a malformed value.
pub fn parse_command(
    common: &Common,
    parameters: &Parameters,
    limits: &Limits,
) -> Result<Command, ApiError> {
    let action = action::find(&common.action)
        .ok_or_else(|| ApiError::UnknownAction(shown(&common.action)))?;
    action.parse(common.region, parameters, limits)
}

/// Reads a whole request.
///
/// # Errors
/// Those of [`Common::parse`] and [`parse_command`].
pub fn parse(parameters: &Parameters, limits: &Limits) -> Result<Parsed, ApiError> {
    let common = Common::parse(parameters)?;
    let command = parse_command(&common, parameters, limits)?;
    Ok(Parsed { common, command })
}

pub(super) fn region(name: &str, text: &str) -> Result<Region, ApiError> {
    text.parse().map_err(|_: RegionError| {
        let error = RegionError(shown(text));
        ApiError::invalid(name, error.to_string())
    })
}

fn capitalised(action: &str) -> String {
    let mut letters = action.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
