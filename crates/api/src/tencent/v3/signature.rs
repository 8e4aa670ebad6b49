//! TC3-HMAC-SHA256: the `Authorization` header, signing and verification.
//!
//! ```text
//! CanonicalRequest = Method \n / \n query \n headers \n SignedHeaders \n hex(SHA256(body))
//! StringToSign     = TC3-HMAC-SHA256 \n timestamp \n date/service/tc3_request \n hex(SHA256(CanonicalRequest))
//! ```
//!
//! Source: API 3.0, "Signature v3". The query of a GET is signed byte for byte as it was sent, because
//! clients agree neither on its order nor on its escaping. Clients also differ in the host that they
//! sign (the Node SDK leaves the port out), in the service of the credential (the Node and Java SDKs
//! take the first label of the host) and in whether header values are in lower case; verification
//! tries each reading, and takes the service from the credential.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::{digest, hmac};
use http::HeaderMap;
use time::OffsetDateTime;

/// The only algorithm.
pub const ALGORITHM: &str = "TC3-HMAC-SHA256";

/// The value of `X-TC-Content-SHA256` that leaves the body out of the signature.
pub const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";

const TERMINATOR: &str = "tc3_request";

/// More signed headers than any client has headers.
const MOST_SIGNED_HEADERS: usize = 32;

/// Longer than a host name with its port.
const LONGEST_SERVICE: usize = 270;

/// An `Authorization` header that has not the documented form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the Authorization header is not `{ALGORITHM} Credential=<SecretId>/<date>/<service>/{TERMINATOR}, \
     SignedHeaders=<names>, Signature=<hex>`: {0}"
)]
pub struct AuthorizationError(pub &'static str);

/// The parts of an `Authorization` header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorization<'a> {
    /// The public half of the key that signed.
    pub secret_id: &'a str,
    /// The date of the credential, as written.
    pub date: &'a str,
    /// The service of the credential: whatever the client took for it.
    pub service: &'a str,
    /// The names of the signed headers, as written.
    pub signed_headers: &'a str,
    /// The signature, as written.
    pub signature: &'a str,
}

impl<'a> Authorization<'a> {
    /// Takes a header apart.
    ///
    /// # Errors
    /// [`AuthorizationError`].
    pub fn parse(text: &'a str) -> Result<Authorization<'a>, AuthorizationError> {
        let parts = text
            .strip_prefix(ALGORITHM)
            .filter(|parts| parts.starts_with(' '))
            .ok_or(AuthorizationError("it names another algorithm"))?;
        let (mut credential, mut signed_headers, mut signature) = (None, None, None);
        for part in parts.split(',').map(str::trim) {
            let (name, value) = part
                .split_once('=')
                .ok_or(AuthorizationError("a part has no `=`"))?;
            let place = match name {
                "Credential" => &mut credential,
                "SignedHeaders" => &mut signed_headers,
                "Signature" => &mut signature,
                _ => return Err(AuthorizationError("it has an unknown part")),
            };
            if place.replace(value).is_some() {
                return Err(AuthorizationError("a part is there twice"));
            }
        }
        let credential = credential.ok_or(AuthorizationError("there is no Credential"))?;
        let mut scope = credential.split('/');
        let (Some(secret_id), Some(date), Some(service), Some(TERMINATOR), None) = (
            scope.next(),
            scope.next(),
            scope.next(),
            scope.next(),
            scope.next(),
        ) else {
            return Err(AuthorizationError("the Credential has another form"));
        };
        let is_service = (1..=LONGEST_SERVICE).contains(&service.len())
            && service.bytes().all(|byte| byte.is_ascii_graphic());
        if secret_id.is_empty() || !is_service {
            return Err(AuthorizationError("a part of the Credential is empty"));
        }
        let signed_headers =
            signed_headers.ok_or(AuthorizationError("there are no SignedHeaders"))?;
        check_signed_headers(signed_headers)?;
        Ok(Authorization {
            secret_id,
            date,
            service,
            signed_headers,
            signature: signature.ok_or(AuthorizationError("there is no Signature"))?,
        })
    }

    fn headers(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.signed_headers.split(';')
    }
}

fn check_signed_headers(names: &str) -> Result<(), AuthorizationError> {
    let has = |wanted| names.split(';').any(|name| name == wanted);
    if !has("content-type") || !has("host") {
        let reason = "content-type and host have to be signed, in lower case";
        return Err(AuthorizationError(reason));
    }
    if names.split(';').count() > MOST_SIGNED_HEADERS {
        return Err(AuthorizationError("it has too many SignedHeaders"));
    }
    Ok(())
}

/// What a signature covers.
#[derive(Debug, Clone, Copy)]
pub struct Signed<'a> {
    /// `GET` or `POST`.
    pub method: &'a str,
    /// The query string of a GET as received, empty for a POST.
    pub query: &'a str,
    /// The host as received, port included if it had one.
    pub host: &'a str,
    /// All other headers.
    pub headers: &'a HeaderMap,
    /// The body; empty for a GET.
    pub body: &'a [u8],
    /// The text of `X-TC-Timestamp`.
    pub timestamp: &'a str,
}

/// Why a signature is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The credential is of another day than the timestamp.
    #[error("the date {date} of the Credential is not the UTC date of timestamp {timestamp}")]
    Date {
        /// The credential's.
        date: String,
        /// The request's.
        timestamp: String,
    },
    /// A header that is said to be signed did not arrive.
    #[error("the signed header {0} is missing")]
    Header(String),
    /// It verifies under no reading.
    #[error("the signature does not verify; the server signed {canonical_request:?}")]
    Mismatch {
        /// The beginning of what the server signed, for the caller to compare.
        canonical_request: String,
    },
}

// Enough for the headers and the digest of a POST; a query is the caller's own.
const SHOWN_CHARS: usize = 400;

/// Verifies a signature. The comparison takes the same time whatever the contents.
///
/// # Errors
/// [`SignatureError`].
pub fn verify(
    signed: &Signed<'_>,
    authorization: &Authorization<'_>,
    secret_key: &[u8],
) -> Result<(), SignatureError> {
    let date = signed.timestamp.parse().ok().and_then(utc_date);
    if date.as_deref() != Some(authorization.date) {
        return Err(SignatureError::Date {
            date: authorization.date.to_owned(),
            timestamp: signed.timestamp.to_owned(),
        });
    }
    let likeliest = header_lines(signed, authorization, signed.host, Case::Kept)?;
    let key = signing_key(secret_key, authorization.date, authorization.service);
    let mut given = [0; 32];
    let is_digest = hex::decode_to_slice(authorization.signature, &mut given).is_ok()
        && !authorization
            .signature
            .bytes()
            .any(|byte| byte.is_ascii_uppercase());
    let hash = payload_hash(signed);
    let request = |lines: &str| {
        let (method, query) = (signed.method, signed.query);
        let names = authorization.signed_headers;
        format!("{method}\n/\n{query}\n{lines}\n{names}\n{hash}")
    };
    let verifies = |lines: &str| {
        let tag = tag_of(&key, signed.timestamp, authorization, &request(lines));
        verify_slices_are_equal(tag.as_ref(), &given).is_ok()
    };
    if is_digest && verifies(&likeliest) {
        return Ok(());
    }
    for lines in other_readings(signed, authorization, &likeliest)? {
        if is_digest && verifies(&lines) {
            return Ok(());
        }
    }
    let canonical_request = request(&likeliest).chars().take(SHOWN_CHARS).collect();
    Err(SignatureError::Mismatch { canonical_request })
}

/// The canonical headers under every other reading that differs for this request.
fn other_readings(
    signed: &Signed<'_>,
    authorization: &Authorization<'_>,
    likeliest: &str,
) -> Result<Vec<String>, SignatureError> {
    let mut all: Vec<String> = Vec::new();
    for host in hosts(signed.host) {
        for case in [Case::Kept, Case::LowerOwn, Case::Lower] {
            let lines = header_lines(signed, authorization, host, case)?;
            if lines != likeliest && !all.contains(&lines) {
                all.push(lines);
            }
        }
    }
    Ok(all)
}

/// The canonical headers under one reading.
fn header_lines(
    signed: &Signed<'_>,
    authorization: &Authorization<'_>,
    host: &str,
    case: Case,
) -> Result<String, SignatureError> {
    let mut lines = String::new();
    for name in authorization.headers() {
        let value = match name {
            "host" => Some(host),
            _ => signed
                .headers
                .get(name)
                .and_then(|value| value.to_str().ok()),
        };
        let value = value.ok_or_else(|| SignatureError::Header(name.to_owned()))?;
        let value = value.trim();
        lines.extend([name, ":"]);
        match case {
            Case::LowerOwn if name.starts_with("x-tc-") => {
                lines.push_str(&value.to_ascii_lowercase());
            }
            Case::Kept | Case::LowerOwn => lines.push_str(value),
            Case::Lower => lines.push_str(&value.to_ascii_lowercase()),
        }
        lines.push('\n');
    }
    Ok(lines)
}

/// How header values are written in the canonical request.
#[derive(Clone, Copy)]
enum Case {
    /// As in the header: what SDKs do.
    Kept,
    /// Those of the vendor's own headers in lower case, because the action is the only one where it
    /// makes a difference to who follows the documentation.
    LowerOwn,
    /// All in lower case, as documented.
    Lower,
}

/// The host as received, and without its port.
fn hosts(host: &str) -> impl Iterator<Item = &str> {
    let bare = match host.rsplit_once(':') {
        Some((bare, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => Some(bare),
        Some(_) | None => None,
    };
    std::iter::once(host).chain(bare)
}

fn payload_hash(signed: &Signed<'_>) -> String {
    let payload = match signed.headers.get("x-tc-content-sha256") {
        Some(value) if value == UNSIGNED_PAYLOAD => UNSIGNED_PAYLOAD.as_bytes(),
        Some(_) | None => signed.body,
    };
    sha256_hex(payload)
}

fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(digest::digest(&digest::SHA256, bytes))
}

fn signing_key(secret_key: &[u8], date: &str, service: &str) -> hmac::Key {
    let step = |key: &[u8], text: &str| {
        hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes())
    };
    let date = step(&[b"TC3", secret_key].concat(), date);
    let service = step(date.as_ref(), service);
    let signing = step(service.as_ref(), TERMINATOR);
    hmac::Key::new(hmac::HMAC_SHA256, signing.as_ref())
}

fn tag_of(
    key: &hmac::Key,
    timestamp: &str,
    authorization: &Authorization<'_>,
    canonical_request: &str,
) -> hmac::Tag {
    let Authorization { date, service, .. } = authorization;
    let hash = sha256_hex(canonical_request.as_bytes());
    let text = format!("{ALGORITHM}\n{timestamp}\n{date}/{service}/{TERMINATOR}\n{hash}");
    hmac::sign(key, text.as_bytes())
}

/// `YYYY-MM-DD` of a time in UTC.
fn utc_date(timestamp: i64) -> Option<String> {
    let date = OffsetDateTime::from_unix_timestamp(timestamp).ok()?.date();
    let (year, month, day) = (date.year(), u8::from(date.month()), date.day());
    Some(format!("{year:04}-{month:02}-{day:02}"))
}

/// The key and the service that a client signs with.
#[derive(Clone, Copy)]
pub struct Credential<'a> {
    /// The public half.
    pub secret_id: &'a str,
    /// The secret half.
    pub secret_key: &'a [u8],
    /// The service, such as `vpc`.
    pub service: &'a str,
}

/// The `Authorization` header of a request, which signs the named headers. For clients.
///
/// # Errors
/// [`SignatureError`] when a named header is not in the request or the timestamp is no time.
pub fn sign(
    signed: &Signed<'_>,
    credential: Credential<'_>,
    signed_headers: &str,
) -> Result<String, SignatureError> {
    let date = signed.timestamp.parse().ok().and_then(utc_date);
    let date = date.ok_or_else(|| SignatureError::Date {
        date: String::new(),
        timestamp: signed.timestamp.to_owned(),
    })?;
    let Credential {
        secret_id,
        secret_key,
        service,
    } = credential;
    let unsigned = Authorization {
        secret_id,
        date: &date,
        service,
        signed_headers,
        signature: "",
    };
    let lines = header_lines(signed, &unsigned, signed.host, Case::Kept)?;
    let (method, query, hash) = (signed.method, signed.query, payload_hash(signed));
    let request = format!("{method}\n/\n{query}\n{lines}\n{signed_headers}\n{hash}");
    let key = signing_key(secret_key, &date, service);
    let signature = hex::encode(tag_of(&key, signed.timestamp, &unsigned, &request));
    Ok(format!(
        "{ALGORITHM} Credential={secret_id}/{date}/{service}/{TERMINATOR}, \
         SignedHeaders={signed_headers}, Signature={signature}"
    ))
}

#[cfg(test)]
#[path = "signature_tests.rs"]
mod tests;
