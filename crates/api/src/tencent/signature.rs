//! Signature v1: the string to sign, signing and verification.
//!
//! The string is `METHOD host path ? name=value&...` over all parameters but `Signature`, with raw
//! values, `_` in names replaced by `.`, in ASCII order of the names. Source: legacy VPC API,
//! documents 215/1693 and 215/4772. SDKs differ in three details, so verification tries each
//! reading: the host that the client believes in, whether names are sorted before or after the
//! replacement, and whether values that start with `@` count in a POST.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::parameters::Parameters;

/// The host of the vendor's own service, which clients may keep in the string to sign.
pub const CANONICAL_HOST: &str = "vpc.api.qcloud.com";

/// The host of the vendor's monitor product, which is served here as well.
pub const MONITOR_HOST: &str = "monitor.api.qcloud.com";

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

    fn name(self) -> &'static str {
        match self {
            SignatureMethod::HmacSha1 => "SHA1",
            SignatureMethod::HmacSha256 => "SHA256",
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
    /// It is not base64.
    #[error("parameter [Signature] is not the base64 of an HMAC; URL-encode it in a GET")]
    Encoding,
    /// It is that of another digest, or cut.
    #[error(
        "parameter [Signature] has {actual} bytes, an HMAC-{digest} has {expected}; SignatureMethod=HmacSHA256 selects SHA-256, anything else SHA-1"
    )]
    Length {
        /// The digest that the request selects.
        digest: &'static str,
        /// How many bytes its tag has.
        expected: usize,
        /// How many were received.
        actual: usize,
    },
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
    let parameters = joined(request, NameOrder::ReplaceThenSort, AtValues::Signed);
    let key = digest_of(request).key(secret_key);
    STANDARD.encode(tag_of(&key, request, request.host, &parameters))
}

/// The string to sign, with the host as given.
pub fn string_to_sign(request: &SignedRequest<'_>) -> String {
    let parameters = joined(request, NameOrder::ReplaceThenSort, AtValues::Signed);
    parts(request, request.host, &parameters).concat()
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
    let digest = digest_of(request);
    let key = digest.key(secret_key);
    if tag.len() != key.algorithm().tag_len() {
        return Err(SignatureError::Length {
            digest: digest.name(),
            expected: key.algorithm().tag_len(),
            actual: tag.len(),
        });
    }
    let verifies = readings(request).any(|parameters| {
        host_candidates(request.host).any(|host| {
            let signed = tag_of(&key, request, host, &parameters);
            verify_slices_are_equal(signed.as_ref(), &tag).is_ok()
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

/// The hosts that a client may have signed: as received, without the port, and the vendor's two. The
/// first is by far the most frequent.
fn host_candidates(host: &str) -> impl Iterator<Item = &str> {
    let bare = match host.rsplit_once(':') {
        Some((bare, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => bare,
        Some(_) | None => host,
    };
    let bare = Some(bare).filter(|bare| *bare != host);
    let vendors = [CANONICAL_HOST, MONITOR_HOST].into_iter();
    std::iter::once(host)
        .chain(bare)
        .chain(vendors.filter(move |vendors| *vendors != host))
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

/// The parameters under every reading that differs for this request, each made when it is needed.
fn readings<'a>(request: &'a SignedRequest<'_>) -> impl Iterator<Item = String> + use<'a> {
    let has = |differs: fn(&str, &str) -> bool| {
        let mut pairs = request.parameters.effective();
        pairs.any(|(_, received, value)| differs(received, value))
    };
    let at_values: &[AtValues] =
        if request.method == Method::Post && has(|_, value| value.starts_with('@')) {
            &[AtValues::LeftOut, AtValues::Signed]
        } else {
            &[AtValues::Signed]
        };
    let orders: &[NameOrder] = if has(|received, _| received.contains('_')) {
        &[NameOrder::ReplaceThenSort, NameOrder::SortThenReplace]
    } else {
        &[NameOrder::ReplaceThenSort]
    };
    at_values.iter().flat_map(move |at_values| {
        orders
            .iter()
            .map(move |order| joined(request, *order, *at_values))
    })
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
    let length = covered
        .iter()
        .map(|(name, _, value)| name.len() + value.len() + 2)
        .sum();
    let mut text = String::with_capacity(length);
    for (name, _, value) in covered {
        if !text.is_empty() {
            text.push('&');
        }
        text.push_str(name);
        text.push('=');
        text.push_str(value);
    }
    text
}

/// The parts of the string to sign, in order.
fn parts<'a>(request: &SignedRequest<'a>, host: &'a str, parameters: &'a str) -> [&'a str; 5] {
    [request.method.as_str(), host, request.path, "?", parameters]
}

fn tag_of(key: &hmac::Key, request: &SignedRequest<'_>, host: &str, parameters: &str) -> hmac::Tag {
    let mut context = hmac::Context::with_key(key);
    for part in parts(request, host, parameters) {
        context.update(part.as_bytes());
    }
    context.sign()
}

#[cfg(test)]
#[path = "signature_tests.rs"]
mod tests;
