//! Field forms: values as their text, times as numbers, bytes as hexadecimal.

use std::fmt::Display;
use std::str::FromStr;

use model::{Bandwidth, Description, Name, RouteItemId, Tags, UnixMillis};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A value by its `Display` and `FromStr`. Only the form that `Display` gives is read.
pub(super) fn serialize<T: Display, S: Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(value)
}

/// See [`serialize`].
pub(super) fn deserialize<'de, T, D>(from: D) -> Result<T, D::Error>
where
    T: FromStr<Err: Display> + Display,
    D: Deserializer<'de>,
{
    parse(&String::deserialize(from)?)
}

fn parse<T, E>(text: &str) -> Result<T, E>
where
    T: FromStr<Err: Display> + Display,
    E: Error,
{
    let value: T = text.parse().map_err(E::custom)?;
    let printed = value.to_string();
    if printed != text {
        return Err(E::custom(format_args!(
            "`{text}` must be written `{printed}`"
        )));
    }
    Ok(value)
}

/// A text of a value: an element of a list or an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Text<T>(pub(super) T);

impl<T: Display> Serialize for Text<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        serialize(&self.0, to)
    }
}

impl<'de, T: FromStr<Err: Display> + Display> Deserialize<'de> for Text<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        deserialize(from).map(Text)
    }
}

/// A text that a constructor checks: an element of a list or an option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Checked<T>(pub(super) T);

impl Serialize for Checked<Description> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.0.as_str())
    }
}

impl<'de> Deserialize<'de> for Checked<Description> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        Description::new(&text)
            .map(Checked)
            .map_err(D::Error::custom)
    }
}

impl Serialize for Checked<RouteItemId> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Checked<RouteItemId> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map(Checked).map_err(D::Error::custom)
    }
}

/// A point in time as Unix milliseconds.
pub(super) mod millis {
    use super::{Deserialize, Deserializer, Serialize, Serializer, UnixMillis};

    pub(in super::super) fn serialize<S: Serializer>(
        time: &UnixMillis,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        time.0.serialize(to)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<UnixMillis, D::Error> {
        i64::deserialize(from).map(UnixMillis)
    }
}

/// A resource's name.
pub(super) mod name {
    use super::{Deserialize, Deserializer, Error, Name, Serializer};

    pub(in super::super) fn serialize<S: Serializer>(
        name: &Name,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.serialize_str(name.as_str())
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Name, D::Error> {
        Name::new(&String::deserialize(from)?).map_err(D::Error::custom)
    }
}

/// Tags as an object of keys and values.
pub(super) mod tags {
    use std::collections::BTreeMap;

    use super::{Deserialize, Deserializer, Error, Serializer, Tags};

    pub(in super::super) fn serialize<S: Serializer>(
        tags: &Tags,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_map(tags.iter())
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Tags, D::Error> {
        let tags = BTreeMap::<String, String>::deserialize(from)?;
        let pairs = tags.iter().map(|(key, value)| (&**key, &**value));
        Tags::new(pairs).map_err(D::Error::custom)
    }
}

/// A bandwidth as its number of Mbps, 0 for unlimited.
pub(super) mod mbps {
    use super::{Bandwidth, Deserialize, Deserializer, Serialize, Serializer};

    pub(in super::super) fn serialize<S: Serializer>(
        bandwidth: &Bandwidth,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        bandwidth.mbps().serialize(to)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Bandwidth, D::Error> {
        u32::deserialize(from).map(Bandwidth::from_mbps)
    }
}

/// Bytes as lower-case hexadecimal digits.
pub(super) mod hex {
    use super::{Deserialize, Deserializer, Error, Serializer};

    pub(in super::super) fn serialize<S: Serializer>(
        bytes: impl AsRef<[u8]>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.serialize_str(&print(bytes.as_ref()))
    }

    pub(in super::super) fn deserialize<'de, T, D>(from: D) -> Result<T, D::Error>
    where
        T: TryFrom<Vec<u8>>,
        D: Deserializer<'de>,
    {
        // The text is not repeated in the error: it may be a secret's.
        let malformed = || D::Error::custom("not the expected lower-case hexadecimal digits");
        parse(&String::deserialize(from)?)
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or_else(malformed)
    }

    pub(in super::super) fn print(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    pub(in super::super) fn parse(text: &str) -> Option<Vec<u8>> {
        let digit = |byte: &u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        };
        let (pairs, []) = text.as_bytes().as_chunks::<2>() else {
            return None;
        };
        pairs
            .iter()
            .map(|[high, low]| Some(digit(high)? << 4 | digit(low)?))
            .collect()
    }
}
