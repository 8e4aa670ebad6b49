//! Field-by-field checks shared by the conversions, and the error that names the field.

use std::fmt::Display;
use std::str::FromStr;

use model::PublicKey;

/// A received message that is refused, with the path of the field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct FieldError {
    /// The path of the field, such as `vpcs.cidr`.
    pub field: String,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with a field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// A required message or choice is absent.
    #[error("is missing")]
    Missing,
    /// The text or number is not a value of the field's type.
    #[error("{0}")]
    Malformed(String),
    /// Two entries have the same key.
    #[error("`{0}` appears twice")]
    Duplicate(String),
    /// Bytes of another length than the field's.
    #[error("has {actual} bytes instead of {expected}")]
    Length {
        /// What the field takes.
        expected: &'static str,
        /// What was received.
        actual: usize,
    },
    /// Too many entries.
    #[error("has {actual} entries, more than {limit}")]
    TooMany {
        /// The most entries accepted.
        limit: usize,
        /// What was received.
        actual: usize,
    },
    /// The value contradicts another one of the same message.
    #[error("{0}")]
    Contradiction(String),
}

impl FieldError {
    pub(super) fn new(field: &str, problem: Problem) -> FieldError {
        FieldError {
            field: field.to_owned(),
            problem,
        }
    }

    /// Puts the name of the enclosing field in front of the path.
    pub(super) fn within(mut self, outer: &str) -> FieldError {
        self.field = format!("{outer}.{}", self.field);
        self
    }
}

pub(super) fn parse<T>(field: &str, text: &str) -> Result<T, FieldError>
where
    T: FromStr,
    T::Err: Display,
{
    text.parse()
        .map_err(|error: T::Err| FieldError::new(field, Problem::Malformed(error.to_string())))
}

pub(super) fn convert<T, U>(field: &str, value: T) -> Result<U, FieldError>
where
    U: TryFrom<T>,
    U::Error: Display,
{
    U::try_from(value)
        .map_err(|error| FieldError::new(field, Problem::Malformed(error.to_string())))
}

pub(super) fn required<T>(field: &str, value: Option<T>) -> Result<T, FieldError> {
    value.ok_or_else(|| FieldError::new(field, Problem::Missing))
}

pub(super) fn public_key(field: &str, bytes: &[u8]) -> Result<PublicKey, FieldError> {
    let length = Problem::Length {
        expected: "32",
        actual: bytes.len(),
    };
    let key = bytes
        .try_into()
        .map_err(|_| FieldError::new(field, length))?;
    Ok(PublicKey(key))
}

pub(super) fn bounded_text(field: &str, text: String, limit: usize) -> Result<String, FieldError> {
    if text.len() > limit {
        let problem = Problem::Malformed(format!(
            "has {} bytes of text, more than {limit}",
            text.len()
        ));
        return Err(FieldError::new(field, problem));
    }
    Ok(text)
}

pub(super) fn bounded_count(field: &str, actual: usize, limit: usize) -> Result<(), FieldError> {
    if actual > limit {
        return Err(FieldError::new(field, Problem::TooMany { limit, actual }));
    }
    Ok(())
}

pub(super) fn endpoint(field: &str, text: Option<String>) -> Result<Option<String>, FieldError> {
    if let Some(text) = &text {
        check_endpoint(text).map_err(|problem| FieldError::new(field, problem))?;
    }
    Ok(text)
}

/// Checks that a text is `host:port` with a port of 1 to 65535 and a host that is a DNS name, an
/// IPv4 address, or an IPv6 address in square brackets.
///
/// # Errors
/// [`Problem::Malformed`], with the reason for the caller.
pub fn check_endpoint(text: &str) -> Result<(), Problem> {
    let malformed = |reason: &str| {
        Problem::Malformed(format!(
            "`{text}` is not host:port ({reason}; for example gw.example.net:51820 or [2001:db8::1]:51820)"
        ))
    };
    let (host, port) = text.rsplit_once(':').ok_or_else(|| malformed("no port"))?;
    let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    if !digits || port.parse::<u16>().ok().is_none_or(|port| port == 0) {
        return Err(malformed("the port is not 1 to 65535"));
    }
    if let Some(address) = host.strip_prefix('[') {
        let address = address.strip_suffix(']');
        if address.is_none_or(|address| address.parse::<std::net::Ipv6Addr>().is_err()) {
            return Err(malformed("the brackets do not hold an IPv6 address"));
        }
        return Ok(());
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    if host.is_empty() || host.len() > 253 || !host.bytes().all(allowed) {
        return Err(malformed("the host is not a DNS name or an address"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_host_and_port() {
        for text in [
            "203.0.113.7:51820",
            "gw-1.example.net:1",
            "[2001:db8::1]:65535",
            "localhost:443",
        ] {
            assert_eq!(check_endpoint(text), Ok(()), "{text}");
        }
        for text in [
            "",
            ":51820",
            "gw.example.net",
            "gw.example.net:",
            "gw.example.net:0",
            "gw.example.net:65536",
            "gw.example.net:+1",
            "2001:db8::1:51820",
            "[2001:db8::1:51820",
            "[gw]:51820",
            "gw example:51820",
            "gw/x:51820",
        ] {
            assert!(check_endpoint(text).is_err(), "{text}");
        }
    }
}
