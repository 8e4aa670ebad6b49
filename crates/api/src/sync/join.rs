//! The join string: all that a new gateway needs, in one piece of text.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::convert::check_endpoint;

const PREFIX: &str = "pwj1_";
const FINGERPRINT_BYTES: usize = 32;

/// A secret whose printed form hides it. Comparison takes the same time whatever the contents.
#[derive(Clone)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// The fewest bytes of a join string's secret.
    pub const MIN_BYTES: usize = 16;
    /// The most bytes of a join string's secret.
    pub const MAX_BYTES: usize = 64;

    /// Takes over the bytes.
    pub fn new(bytes: Vec<u8>) -> Secret {
        Secret(bytes)
    }

    /// The bytes.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        aws_lc_rs::constant_time::verify_slices_are_equal(&self.0, &other.0).is_ok()
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// What a gateway needs to join: `pwj1_` and, in base64url without padding, the CA fingerprint
/// (32 bytes), the expiry (8 bytes, network order), the secret and the address (each after its
/// length, 1 and 2 bytes, network order). `Display` shows the secret; `Debug` does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinString {
    address: String,
    ca_sha256: [u8; 32],
    secret: Secret,
    expires_at_unix_secs: u64,
}

/// Why a join string cannot be made or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JoinStringError {
    /// It does not start as one.
    #[error("a join string starts with `pwj1_`; copy the whole line that `gateway token` printed")]
    Prefix,
    /// It contains characters outside base64url.
    #[error("the join string contains characters that do not belong to it, or was cut")]
    Encoding,
    /// It ends too early or goes on after its end.
    #[error("the join string is not complete; copy the whole line that `gateway token` printed")]
    Length,
    /// The secret is shorter than 16 or longer than 64 bytes.
    #[error("the secret of the join string has {0} bytes, 16 to 64 are allowed")]
    Secret(usize),
    /// The server's address is not `host:port`.
    #[error("the server address of the join string: {0}")]
    Address(String),
}

impl JoinString {
    /// Puts a join string together.
    ///
    /// # Errors
    /// [`JoinStringError::Secret`] and [`JoinStringError::Address`].
    pub fn new(
        address: String,
        ca_sha256: [u8; 32],
        secret: Secret,
        expires_at_unix_secs: u64,
    ) -> Result<JoinString, JoinStringError> {
        let length = secret.expose().len();
        if !(Secret::MIN_BYTES..=Secret::MAX_BYTES).contains(&length) {
            return Err(JoinStringError::Secret(length));
        }
        check_endpoint(&address)
            .map_err(|problem| JoinStringError::Address(problem.to_string()))?;
        Ok(JoinString {
            address,
            ca_sha256,
            secret,
            expires_at_unix_secs,
        })
    }

    /// The server's sync listener, `host:port`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The SHA-256 of the CA certificate (DER) that the server's certificate chains to.
    pub fn ca_sha256(&self) -> &[u8; 32] {
        &self.ca_sha256
    }

    /// The single-use secret.
    pub fn secret(&self) -> &Secret {
        &self.secret
    }

    /// When it is void, in seconds of Unix time. Whether it is is the caller's to judge.
    pub fn expires_at_unix_secs(&self) -> u64 {
        self.expires_at_unix_secs
    }
}

impl fmt::Display for JoinString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secret = self.secret.expose();
        let secret_length = u8::try_from(secret.len()).expect("checked to be at most 64");
        let address_length = u16::try_from(self.address.len()).expect("checked to be at most 259");
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&self.ca_sha256);
        bytes.extend_from_slice(&self.expires_at_unix_secs.to_be_bytes());
        bytes.push(secret_length);
        bytes.extend_from_slice(secret);
        bytes.extend_from_slice(&address_length.to_be_bytes());
        bytes.extend_from_slice(self.address.as_bytes());
        write!(f, "{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
    }
}

impl FromStr for JoinString {
    type Err = JoinStringError;

    fn from_str(text: &str) -> Result<Self, JoinStringError> {
        let text = text.trim();
        let encoded = text.strip_prefix(PREFIX).ok_or(JoinStringError::Prefix)?;
        let bytes = URL_SAFE_NO_PAD
            .decode(encoded)
            .map_err(|_| JoinStringError::Encoding)?;
        let mut rest = bytes.as_slice();
        let ca_sha256: [u8; FINGERPRINT_BYTES] = take_array(&mut rest)?;
        let expires_at_unix_secs = u64::from_be_bytes(take_array(&mut rest)?);
        let [secret_length] = take_array(&mut rest)?;
        let secret = take(&mut rest, secret_length.into())?.to_vec();
        let address_length = u16::from_be_bytes(take_array(&mut rest)?);
        let address = take(&mut rest, address_length.into())?;
        if !rest.is_empty() {
            return Err(JoinStringError::Length);
        }
        let address = std::str::from_utf8(address)
            .map_err(|_| JoinStringError::Address("not UTF-8".to_owned()))?;
        JoinString::new(
            address.to_owned(),
            ca_sha256,
            Secret::new(secret),
            expires_at_unix_secs,
        )
    }
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a [u8], JoinStringError> {
    let (taken, left) = rest
        .split_at_checked(length)
        .ok_or(JoinStringError::Length)?;
    *rest = left;
    Ok(taken)
}

fn take_array<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], JoinStringError> {
    let (taken, left) = rest.split_first_chunk().ok_or(JoinStringError::Length)?;
    *rest = left;
    Ok(*taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> JoinString {
        let secret = Secret::new(b"0123456789abcdef".to_vec());
        JoinString::new(
            "server.example.net:7443".into(),
            [7; 32],
            secret,
            1_800_000_000,
        )
        .unwrap()
    }

    #[test]
    fn the_text_form_is_pinned() {
        assert_eq!(
            sample().to_string(),
            "pwj1_BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcAAAAAa0nSABAwMTIzNDU2Nzg5YWJjZGVmABdzZXJ2ZXIuZXhhbXBsZS5uZXQ6NzQ0Mw"
        );
    }

    #[test]
    fn surrounding_white_space_is_ignored() {
        assert_eq!(format!(" {}\n", sample()).parse(), Ok(sample()));
    }

    #[test]
    fn printing_for_debug_hides_the_secret() {
        let shown = format!("{:?}", sample());
        assert!(
            shown.contains("server.example.net") && !shown.contains("48, 49"),
            "{shown}"
        );
        assert!(!shown.contains("0123456789"), "{shown}");
    }

    #[test]
    fn no_part_of_a_join_string_is_one() {
        let text = sample().to_string();
        for end in 0..text.len() {
            assert!(text[..end].parse::<JoinString>().is_err(), "{end}");
        }
        assert_eq!("".parse::<JoinString>(), Err(JoinStringError::Prefix));
        assert_eq!("pwj1_".parse::<JoinString>(), Err(JoinStringError::Length));
        assert_eq!(
            "pwj1_*".parse::<JoinString>(),
            Err(JoinStringError::Encoding)
        );
        assert_eq!(
            format!("{text}AAAA").parse::<JoinString>(),
            Err(JoinStringError::Length)
        );
    }

    #[test]
    fn short_secrets_and_bad_addresses_are_refused() {
        let new = |address: &str, secret: &[u8]| {
            JoinString::new(address.into(), [0; 32], Secret::new(secret.into()), 0)
        };
        assert_eq!(new("h:1", &[0; 15]), Err(JoinStringError::Secret(15)));
        assert_eq!(new("h:1", &[0; 65]), Err(JoinStringError::Secret(65)));
        assert!(matches!(
            new("h", &[0; 16]),
            Err(JoinStringError::Address(_))
        ));
    }
}
