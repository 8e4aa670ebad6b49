//! Request parameters: decoding from a query string, a form or a multipart form, and lookup.
//!
//! Names are equal when they differ only in `_` and `.`, because the vendor's SDKs rewrite one to the
//! other. The last of several equal names wins, as in PHP. Broken `%` escapes stay as they are, also
//! as in PHP; text that is not UTF-8 is an error, because no signature over it could be checked.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::ops::Range;

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
///
/// All text lies in one buffer: a request has a dozen parameters, and allocating each name and value
/// for itself took longer than decoding them.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Parameters {
    text: String,
    pairs: Vec<Pair>,
    /// The positions of the pairs that count, by normalised name.
    index: Vec<usize>,
}

/// Where the parts of a parameter lie in the text.
#[derive(Clone, PartialEq, Eq)]
struct Pair {
    name: Range<usize>,
    /// The same as `name`, unless that has a `_`.
    normalised: Range<usize>,
    value: Range<usize>,
}

impl std::fmt::Debug for Parameters {
    // Values can be credentials, so only the names are shown.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.pairs().map(|(name, _)| name))
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
        let is_form = essence.is_empty()
            || essence.eq_ignore_ascii_case("application/x-www-form-urlencoded")
            || (essence.eq_ignore_ascii_case("application/json") && !looks_like_json(body));
        if is_form {
            decode_form(body, limits)
        } else if essence.eq_ignore_ascii_case("multipart/form-data") {
            decode_multipart(full, body, limits)
        } else {
            let shown = essence.chars().take(100).collect();
            Err(ParametersError::ContentType(shown))
        }
    }

    /// Adds a parameter. No bounds apply: this is for building requests.
    pub fn push(&mut self, name: impl AsRef<str>, value: impl AsRef<str>) {
        let (name, value) = (self.append(name.as_ref()), self.append(value.as_ref()));
        self.add(name, value);
    }

    fn append(&mut self, text: &str) -> Range<usize> {
        let start = self.text.len();
        self.text.push_str(text);
        start..self.text.len()
    }

    /// Makes a pair of what lies in the text.
    fn add(&mut self, name: Range<usize>, value: Range<usize>) {
        let normalised = match normalised(&self.text[name.clone()]) {
            Cow::Borrowed(_) => name.clone(),
            Cow::Owned(text) => self.append(&text),
        };
        let position = self.pairs.len();
        match self.find(&self.text[normalised.clone()]) {
            Ok(place) => self.index[place] = position,
            Err(place) => self.index.insert(place, position),
        }
        self.pairs.push(Pair {
            name,
            normalised,
            value,
        });
    }

    /// The place of a normalised name in the index, or where it would have to be.
    fn find(&self, normalised: &str) -> Result<usize, usize> {
        self.index.binary_search_by(|position| {
            self.text[self.pairs[*position].normalised.clone()].cmp(normalised)
        })
    }

    /// The value of a parameter; the last one of that name.
    pub fn get(&self, name: &str) -> Option<&str> {
        let place = self.find(&normalised(name)).ok()?;
        Some(&self.text[self.pairs[self.index[place]].value.clone()])
    }

    /// All pairs in the order received, repeated names included.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|pair| {
            (
                &self.text[pair.name.clone()],
                &self.text[pair.value.clone()],
            )
        })
    }

    /// The pairs that count: for every name the last one. Ordered by name in ASCII order, `_`
    /// taken as `.`; each with the normalised name, the name as received, and the value.
    pub fn effective(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        self.index.iter().map(|position| {
            let pair = &self.pairs[*position];
            let text = |range: &Range<usize>| &self.text[range.clone()];
            (text(&pair.normalised), text(&pair.name), text(&pair.value))
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
        let mut indexes = BTreeSet::new();
        let (Ok(first) | Err(first)) = self.find(&prefix);
        let under = self
            .effective()
            .skip(first)
            .map(|(key, _, _)| key)
            .take_while(|key| key.starts_with(&prefix));
        for key in under {
            let index = key[prefix.len()..].split('.').next().unwrap_or_default();
            let canonical = index.parse::<u32>().ok().filter(|n| n.to_string() == index);
            indexes.insert(canonical.ok_or_else(|| key.to_owned())?);
        }
        Ok(indexes.into_iter().collect())
    }

    /// The form-encoded text, for a query string or a body.
    pub fn to_form(&self) -> String {
        let mut text = String::new();
        for (name, value) in self.pairs() {
            if !text.is_empty() {
                text.push('&');
            }
            let name = utf8_percent_encode(name, NON_ALPHANUMERIC);
            let value = utf8_percent_encode(value, NON_ALPHANUMERIC);
            write!(text, "{name}={value}").expect("writing to a String cannot fail");
        }
        text
    }

    /// Adds a pair that was received and decoded into the end of the text.
    fn receive(
        &mut self,
        name: Range<usize>,
        value: Range<usize>,
        limits: &ParameterLimits,
    ) -> Result<(), ParametersError> {
        if self.pairs.len() == limits.count {
            return Err(ParametersError::TooMany {
                limit: limits.count,
            });
        }
        let text = &self.text[name.clone()];
        if text.len() > limits.name_bytes {
            let end = text.floor_char_boundary(limits.name_bytes.min(64));
            return Err(ParametersError::NameTooLong {
                name: text[..end].to_owned(),
                limit: limits.name_bytes,
            });
        }
        if value.len() > limits.value_bytes {
            return Err(ParametersError::ValueTooLong {
                name: text.to_owned(),
                limit: limits.value_bytes,
            });
        }
        self.add(name, value);
        Ok(())
    }

    /// Decodes a part of a form into the end of the text. `None` when it is not UTF-8.
    fn unescape(&mut self, part: &[u8]) -> Option<Range<usize>> {
        let is_plain = |byte: &u8| !matches!(byte, b'%' | b'+');
        if part.iter().all(is_plain) {
            return std::str::from_utf8(part).ok().map(|text| self.append(text));
        }
        let spaced: Vec<u8> = part
            .iter()
            .map(|byte| if *byte == b'+' { b' ' } else { *byte })
            .collect();
        let decoded = percent_decode(&spaced).decode_utf8().ok()?;
        Some(self.append(&decoded))
    }
}

impl<N: AsRef<str>, V: AsRef<str>> FromIterator<(N, V)> for Parameters {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        let mut parameters = Parameters::default();
        for (name, value) in pairs {
            parameters.push(name, value);
        }
        parameters
    }
}

fn normalised(name: &str) -> Cow<'_, str> {
    if name.contains('_') {
        Cow::Owned(name.replace('_', "."))
    } else {
        Cow::Borrowed(name)
    }
}

/// A client (`@tencent-sdk/capi`) announces JSON and sends a form, which no text in JSON is.
fn looks_like_json(body: &[u8]) -> bool {
    let first = body.trim_ascii_start().first();
    first.is_none_or(|byte| matches!(byte, b'{' | b'[' | b'"'))
}

fn decode_form(text: &[u8], limits: &ParameterLimits) -> Result<Parameters, ParametersError> {
    let mut parameters = Parameters {
        text: String::with_capacity(text.len()),
        ..Parameters::default()
    };
    for (position, segment) in text.split(|byte| *byte == b'&').enumerate() {
        let (name, value) = match segment.iter().position(|byte| *byte == b'=') {
            Some(at) => (&segment[..at], &segment[at + 1..]),
            None => (segment, &segment[..0]),
        };
        // PHP knows no nameless parameters.
        if name.is_empty() {
            continue;
        }
        let name = parameters
            .unescape(name)
            .ok_or(ParametersError::NameEncoding {
                position: position + 1,
            })?;
        let Some(value) = parameters.unescape(value) else {
            let name = parameters.text[name].to_owned();
            return Err(ParametersError::ValueEncoding { name });
        };
        parameters.receive(name, value, limits)?;
    }
    Ok(parameters)
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
            let name = parameters.append(name);
            let value = part.bytes().await.map_err(unreadable)?;
            let Ok(value) = std::str::from_utf8(&value) else {
                let name = parameters.text[name].to_owned();
                return Err(ParametersError::ValueEncoding { name });
            };
            let value = parameters.append(value);
            parameters.receive(name, value, limits)?;
        }
        Ok(parameters)
    };
    read.now_or_never()
        .unwrap_or_else(|| Err(ParametersError::Multipart("it ends early".to_owned())))
}

#[cfg(test)]
#[path = "parameters_tests.rs"]
mod tests;
