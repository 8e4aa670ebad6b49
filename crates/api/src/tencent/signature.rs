//! Signature v1: the string to sign, signing and verification.
//!
//! The string is `METHOD host path ? name=value&...` over all parameters but `Signature`, with raw
//! values, `_` in names replaced by `.`, in ASCII order of the names. Source: legacy VPC API,
//! documents 215/1693 and 215/4772. SDKs differ in three details, so verification tries each
//! reading: the host that the client believes in, whether names are sorted before or after the
//! replacement, and whether values that start with `@` count in a POST.

use std::collections::BTreeSet;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::parameters::Parameters;

/// The host of the vendor's own service, which clients may keep in the string to sign.
pub const CANONICAL_HOST: &str = "vpc.api.qcloud.com";

/// The path of API 2.0, for all products.
pub const PATH: &str = "/v2/index.php";

/// The HTTP method, as far as signatures know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Parameters travel in the query string.
    Get,
    /// Parameters travel in the body.
    Post,
}

impl Method {
    /// The name in capitals.
    pub fn as_str(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Post => "POST",
        }
    }
}

/// The digest of a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SignatureMethod {
    /// HMAC-SHA1, the default.
    #[default]
    HmacSha1,
    /// HMAC-SHA256.
    HmacSha256,
}

impl SignatureMethod {
    /// Reads the parameter `SignatureMethod`: only the exact text `HmacSHA256` selects SHA-256;
    /// anything else, absence included, means SHA-1.
    pub fn from_parameter(value: Option<&str>) -> SignatureMethod {
        match value {
            Some("HmacSHA256") => SignatureMethod::HmacSha256,
            Some(_) | None => SignatureMethod::HmacSha1,
        }
    }

    fn key(self, secret_key: &[u8]) -> hmac::Key {
        let algorithm = match self {
            SignatureMethod::HmacSha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            SignatureMethod::HmacSha256 => hmac::HMAC_SHA256,
        };
        hmac::Key::new(algorithm, secret_key)
    }
}

/// What a signature covers.
#[derive(Debug, Clone, Copy)]
pub struct SignedRequest<'a> {
    /// The method.
    pub method: Method,
    /// The `Host` header as received, port included if it had one.
    pub host: &'a str,
    /// The path, [`PATH`] for API 2.0.
    pub path: &'a str,
    /// All parameters; `Signature` is left out here.
    pub parameters: &'a Parameters,
}

/// Why a signature is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// There is no `Signature`.
    #[error("parameter [Signature] is missing")]
    Missing,
    /// It is not the base64 of a digest of the method's length.
    #[error("parameter [Signature] is not the base64 of an HMAC; URL-encode it in a GET")]
    Encoding,
    /// It verifies under no reading.
    #[error("the signature does not verify; the string to sign starts with {string_to_sign}")]
    Mismatch {
        /// The beginning of the string that the server signed, for the caller to compare.
        string_to_sign: String,
    },
}

// Enough to see method, host, path and the first parameters; the rest is the caller's own.
const SHOWN_CHARS: usize = 400;

/// Signs a request: the value of `Signature`, base64. `SignatureMethod` is taken from the
/// parameters. Values that start with `@` are signed like all others.
pub fn sign(request: &SignedRequest<'_>, secret_key: &[u8]) -> String {
    let text = string_to_sign(request);
    let tag = hmac::sign(&digest_of(request).key(secret_key), text.as_bytes());
    STANDARD.encode(tag.as_ref())
}

/// The string to sign, with the host as given.
pub fn string_to_sign(request: &SignedRequest<'_>) -> String {
    let parameters = joined(request, NameOrder::ReplaceThenSort, AtValues::Signed);
    prefixed(request, request.host, &parameters)
}

/// Verifies the parameter `Signature` under every reading that a known client uses. Each comparison
/// takes the same time whatever the contents.
///
/// # Errors
/// [`SignatureError`].
pub fn verify(request: &SignedRequest<'_>, secret_key: &[u8]) -> Result<(), SignatureError> {
    let signature = request
        .parameters
        .get("Signature")
        .ok_or(SignatureError::Missing)?;
    // A `+` that was not URL-encoded arrives as a space.
    let tag = STANDARD
        .decode(signature.trim_end().replace(' ', "+"))
        .map_err(|_| SignatureError::Encoding)?;
    let key = digest_of(request).key(secret_key);
    if tag.len() != key.algorithm().tag_len() {
        return Err(SignatureError::Encoding);
    }
    let mut readings = BTreeSet::new();
    let at_values: &[AtValues] = match request.method {
        Method::Get => &[AtValues::Signed],
        Method::Post => &[AtValues::LeftOut, AtValues::Signed],
    };
    for at_values in at_values {
        for order in [NameOrder::ReplaceThenSort, NameOrder::SortThenReplace] {
            readings.insert(joined(request, order, *at_values));
        }
    }
    let hosts = host_candidates(request.host);
    let verifies = readings.iter().any(|parameters| {
        hosts.iter().any(|host| {
            let text = prefixed(request, host, parameters);
            hmac::verify(&key, text.as_bytes(), &tag).is_ok()
        })
    });
    if verifies {
        return Ok(());
    }
    let shown = string_to_sign(request).chars().take(SHOWN_CHARS).collect();
    Err(SignatureError::Mismatch {
        string_to_sign: shown,
    })
}

fn digest_of(request: &SignedRequest<'_>) -> SignatureMethod {
    SignatureMethod::from_parameter(request.parameters.get("SignatureMethod"))
}

/// The hosts that a client may have signed: as received, without the port, and the vendor's.
fn host_candidates(host: &str) -> BTreeSet<&str> {
    let bare = match host.rsplit_once(':') {
        Some((bare, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => bare,
        Some(_) | None => host,
    };
    BTreeSet::from([host, bare, CANONICAL_HOST])
}

#[derive(Clone, Copy)]
enum NameOrder {
    ReplaceThenSort,
    SortThenReplace,
}

#[derive(Clone, Copy)]
enum AtValues {
    Signed,
    LeftOut,
}

fn joined(request: &SignedRequest<'_>, order: NameOrder, at_values: AtValues) -> String {
    let mut covered: Vec<_> = request
        .parameters
        .effective()
        .filter(|(name, _, _)| *name != "Signature")
        .filter(|(_, _, value)| match at_values {
            AtValues::Signed => true,
            AtValues::LeftOut => !value.starts_with('@'),
        })
        .collect();
    match order {
        // `effective` is in this order.
        NameOrder::ReplaceThenSort => {}
        NameOrder::SortThenReplace => covered.sort_by_key(|(_, received, _)| *received),
    }
    let pairs: Vec<String> = covered
        .iter()
        .map(|(name, _, value)| format!("{name}={value}"))
        .collect();
    pairs.join("&")
}

fn prefixed(request: &SignedRequest<'_>, host: &str, parameters: &str) -> String {
    format!(
        "{}{host}{}?{parameters}",
        request.method.as_str(),
        request.path
    )
}

#[cfg(test)]
#[path = "signature_tests.rs"]
mod tests;
