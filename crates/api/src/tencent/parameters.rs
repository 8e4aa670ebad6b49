//! Request parameters: decoding from a query string, a form or a multipart form, and lookup.
//!
//! Names are equal when they differ only in `_` and `.`, because the vendor's SDKs rewrite one to the
//! other. The last of several equal names wins, as in PHP. Broken `%` escapes stay as they are, also
//! as in PHP; text that is not UTF-8 is an error, because no signature over it could be checked.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use aws_lc_rs::digest;
use bytes::Bytes;
use futures::{FutureExt as _, StreamExt as _};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode, utf8_percent_encode};

/// Bounds of what is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParameterLimits {
    /// The longest query string, in bytes.
    pub query_bytes: usize,
    /// The longest body, in bytes.
    pub body_bytes: usize,
    /// The most parameters.
    pub count: usize,
    /// The longest decoded name, in bytes.
    pub name_bytes: usize,
    /// The longest decoded value, in bytes.
    pub value_bytes: usize,
}

impl Default for ParameterLimits {
    /// 32 KiB of query and 1 MiB of body, as the vendor's later API states for signature v1; 1000
    /// parameters as PHP; 128 bytes of name; 8 KiB of value, which security tokens need.
    fn default() -> Self {
        ParameterLimits {
            query_bytes: 32 << 10,
            body_bytes: 1 << 20,
            count: 1000,
            name_bytes: 128,
            value_bytes: 8 << 10,
        }
    }
}

/// A request whose parameters cannot be decoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParametersError {
    /// The query string is too long.
    #[error("the query string has {actual} bytes, at most {limit} are allowed; use POST")]
    QueryTooLong {
        /// The bound.
        limit: usize,
        /// What was received.
        actual: usize,
    },
    /// The body is too long.
    #[error("the body has more than {limit} bytes")]
    BodyTooLong {
        /// The bound.
        limit: usize,
    },
    /// Too many parameters.
    #[error("there are more than {limit} parameters")]
    TooMany {
        /// The bound.
        limit: usize,
    },
    /// A name is too long.
    #[error("the name of parameter [{name}...] is longer than {limit} bytes")]
    NameTooLong {
        /// The beginning of the name.
        name: String,
        /// The bound.
        limit: usize,
    },
    /// A value is too long.
    #[error("the value of parameter [{name}] is longer than {limit} bytes")]
    ValueTooLong {
        /// The name.
        name: String,
        /// The bound.
        limit: usize,
    },
    /// A name is not UTF-8.
    #[error("the name of parameter number {position} is not UTF-8")]
    NameEncoding {
        /// Its position, from 1.
        position: usize,
    },
    /// A value is not UTF-8.
    #[error("the value of parameter [{name}] is not UTF-8")]
    ValueEncoding {
        /// The name.
        name: String,
    },
    /// The content type is neither a form nor a multipart form.
    #[error(
        "content type `{0}` is not supported; send application/x-www-form-urlencoded or multipart/form-data"
    )]
    ContentType(String),
    /// The body is not the multipart form that its content type announces.
    #[error("the multipart body cannot be read: {0}")]
    Multipart(String),
}

/// The decoded parameters of a request, in the order received.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Parameters {
    pairs: Vec<(String, String)>,
    // Normalised name to the last pair of that name.
    index: BTreeMap<String, usize>,
}

impl std::fmt::Debug for Parameters {
    // Values can be credentials, so only the names are shown.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.pairs.iter().map(|(name, _)| name))
            .finish()
    }
}

impl Parameters {
    /// Decodes the query string of a GET, without its question mark.
    ///
    /// # Errors
    /// [`ParametersError`].
    pub fn from_query(query: &str, limits: &ParameterLimits) -> Result<Self, ParametersError> {
        if query.len() > limits.query_bytes {
            return Err(ParametersError::QueryTooLong {
                limit: limits.query_bytes,
                actual: query.len(),
            });
        }
        decode_form(query.as_bytes(), limits)
    }

    /// Decodes the body of a POST by its content type; an absent one means a form.
    ///
    /// # Errors
    /// [`ParametersError`].
    pub fn from_body(
        content_type: Option<&str>,
        body: &[u8],
        limits: &ParameterLimits,
    ) -> Result<Self, ParametersError> {
        if body.len() > limits.body_bytes {
            return Err(ParametersError::BodyTooLong {
                limit: limits.body_bytes,
            });
        }
        let full = content_type.unwrap_or("application/x-www-form-urlencoded");
        let essence = full.split(';').next().unwrap_or_default().trim();
        if essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") || essence.is_empty() {
            decode_form(body, limits)
        } else if essence.eq_ignore_ascii_case("multipart/form-data") {
            decode_multipart(full, body, limits)
        } else {
            let shown = essence.chars().take(100).collect();
            Err(ParametersError::ContentType(shown))
        }
    }

    /// Adds a parameter. No bounds apply: this is for building requests.
    pub fn push(&mut self, name: impl Into<String>, value: impl Into<String>) {
        let name = name.into();
        self.index.insert(normalised(&name), self.pairs.len());
        self.pairs.push((name, value.into()));
    }

    /// The value of a parameter; the last one of that name.
    pub fn get(&self, name: &str) -> Option<&str> {
        let position = match self.index.get(name) {
            Some(position) => position,
            None => self.index.get(&normalised(name))?,
        };
        Some(&self.pairs[*position].1)
    }

    /// All pairs in the order received, repeated names included.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The pairs that count: for every name the last one. Ordered by name in ASCII order, `_`
    /// taken as `.`; each with the normalised name, the name as received, and the value.
    pub fn effective(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        self.index.iter().map(|(normalised, position)| {
            let (name, value) = &self.pairs[*position];
            (normalised.as_str(), name.as_str(), value.as_str())
        })
    }

    /// SHA-256 over every parameter that counts, `Signature` excepted: equal for a request and its
    /// exact repetition, in whatever order and encoding it is sent. Values that a signature leaves
    /// out are covered too.
    pub fn fingerprint(&self) -> [u8; 32] {
        let mut context = digest::Context::new(&digest::SHA256);
        let covered = self.effective().filter(|(name, _, _)| *name != "Signature");
        for (name, _, value) in covered {
            // Lengths first, so that no two lists of pairs give the same bytes.
            for text in [name, value] {
                context.update(&(text.len() as u64).to_be_bytes());
                context.update(text.as_bytes());
            }
        }
        let digest = context.finish();
        digest.as_ref().try_into().expect("SHA-256 has 32 bytes")
    }

    /// The indexes `N` of the list `name.N` or `name.N.field`, ascending. Gaps are allowed: some
    /// callers count from 1.
    ///
    /// # Errors
    /// The name of the first parameter under `name.` whose index is not a plain decimal number.
    pub fn indexes(&self, name: &str) -> Result<Vec<u32>, String> {
        let prefix = format!("{}.", normalised(name));
        let mut indexes = std::collections::BTreeSet::new();
        let under = self
            .index
            .range(prefix.clone()..)
            .take_while(|(key, _)| key.starts_with(&prefix));
        for (key, _) in under {
            let index = key[prefix.len()..].split('.').next().unwrap_or_default();
            let canonical = index.parse::<u32>().ok().filter(|n| n.to_string() == index);
            indexes.insert(canonical.ok_or_else(|| key.clone())?);
        }
        Ok(indexes.into_iter().collect())
    }

    /// The form-encoded text, for a query string or a body.
    pub fn to_form(&self) -> String {
        let mut text = String::new();
        for (name, value) in &self.pairs {
            if !text.is_empty() {
                text.push('&');
            }
            let name = utf8_percent_encode(name, NON_ALPHANUMERIC);
            let value = utf8_percent_encode(value, NON_ALPHANUMERIC);
            write!(text, "{name}={value}").expect("writing to a String cannot fail");
        }
        text
    }

    fn receive(
        &mut self,
        name: String,
        value: String,
        limits: &ParameterLimits,
    ) -> Result<(), ParametersError> {
        if self.pairs.len() == limits.count {
            return Err(ParametersError::TooMany {
                limit: limits.count,
            });
        }
        if name.len() > limits.name_bytes {
            let end = name.floor_char_boundary(limits.name_bytes.min(64));
            return Err(ParametersError::NameTooLong {
                name: name[..end].to_owned(),
                limit: limits.name_bytes,
            });
        }
        if value.len() > limits.value_bytes {
            return Err(ParametersError::ValueTooLong {
                name,
                limit: limits.value_bytes,
            });
        }
        self.push(name, value);
        Ok(())
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Parameters {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        let mut parameters = Parameters::default();
        for (name, value) in pairs {
            parameters.push(name, value);
        }
        parameters
    }
}

fn normalised(name: &str) -> String {
    name.replace('_', ".")
}

fn decode_form(text: &[u8], limits: &ParameterLimits) -> Result<Parameters, ParametersError> {
    let mut parameters = Parameters::default();
    for (position, segment) in text.split(|byte| *byte == b'&').enumerate() {
        let (name, value) = match segment.iter().position(|byte| *byte == b'=') {
            Some(at) => (&segment[..at], &segment[at + 1..]),
            None => (segment, &segment[..0]),
        };
        // PHP knows no nameless parameters.
        if name.is_empty() {
            continue;
        }
        let name =
            String::from_utf8(unescape(name)).map_err(|_| ParametersError::NameEncoding {
                position: position + 1,
            })?;
        match String::from_utf8(unescape(value)) {
            Ok(value) => parameters.receive(name, value, limits)?,
            Err(_) => return Err(ParametersError::ValueEncoding { name }),
        }
    }
    Ok(parameters)
}

fn unescape(text: &[u8]) -> Vec<u8> {
    let spaced: Vec<u8> = text
        .iter()
        .map(|byte| if *byte == b'+' { b' ' } else { *byte })
        .collect();
    percent_decode(&spaced).collect()
}

fn decode_multipart(
    content_type: &str,
    body: &[u8],
    limits: &ParameterLimits,
) -> Result<Parameters, ParametersError> {
    let unreadable = |error: multer::Error| ParametersError::Multipart(error.to_string());
    let boundary = multer::parse_boundary(content_type).map_err(unreadable)?;
    // The whole body is at hand, so the parser never has to wait; should it all the same, it is
    // because the body ended where it must not.
    let whole = futures::stream::iter([Ok::<_, std::convert::Infallible>(Bytes::copy_from_slice(
        body,
    ))]);
    let mut parts = multer::Multipart::new(whole.boxed(), boundary);
    let read = async {
        let mut parameters = Parameters::default();
        let mut position = 0;
        while let Some(part) = parts.next_field().await.map_err(unreadable)? {
            position += 1;
            // Files are no parameters, and PHP knows no nameless ones.
            let Some(name) = part.name().filter(|name| !name.is_empty()) else {
                continue;
            };
            if part.file_name().is_some() {
                continue;
            }
            if name.contains('\u{fffd}') {
                return Err(ParametersError::NameEncoding { position });
            }
            let name = name.to_owned();
            let value = part.bytes().await.map_err(unreadable)?;
            match String::from_utf8(value.into()) {
                Ok(value) => parameters.receive(name, value, limits)?,
                Err(_) => return Err(ParametersError::ValueEncoding { name }),
            }
        }
        Ok(parameters)
    };
    read.now_or_never()
        .unwrap_or_else(|| Err(ParametersError::Multipart("it ends early".to_owned())))
}

#[cfg(test)]
#[path = "parameters_tests.rs"]
mod tests;
