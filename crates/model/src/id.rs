//! Typed identifiers: one macro for the unified ids, one for the legacy ids, and the references
//! that accept either form.
//!
//! Unified ids are `<prefix>-` and eight characters of `[a-z0-9]`; legacy ids are
//! `<short region>_<kind>_<number>`. Source: legacy VPC API, section "objects and identifiers".

use std::fmt;
use std::str::FromStr;

use crate::region::Region;

/// A text that is not an id of the expected kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a {kind} id (expected {expected})")]
pub struct IdError {
    /// What was parsed.
    pub text: String,
    /// The kind of id that was expected, such as `VPC`.
    pub kind: &'static str,
    /// The accepted forms, for the message.
    pub expected: &'static str,
}

const ALPHABET: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";

fn tail_from_entropy(mut entropy: u64) -> [u8; 8] {
    let mut tail = [0; 8];
    for byte in &mut tail {
        *byte = ALPHABET[(entropy % 36) as usize];
        entropy /= 36;
    }
    tail
}

fn parse_tail(text: &str, prefix: &str) -> Option<[u8; 8]> {
    let tail: [u8; 8] = text.strip_prefix(prefix)?.as_bytes().try_into().ok()?;
    tail.iter()
        .all(|byte| ALPHABET.contains(byte))
        .then_some(tail)
}

macro_rules! unified_ids {
    ($($(#[$doc:meta])* $name:ident, $prefix:literal, $kind:literal;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name([u8; 8]);

        impl $name {
            /// The public text prefix, hyphen included.
            pub const PREFIX: &'static str = $prefix;

            /// Draws an id from 64 random bits. The caller provides the randomness; about 41 of
            /// the bits survive, so uniqueness is the caller's to check.
            pub fn from_entropy(entropy: u64) -> Self {
                Self(tail_from_entropy(entropy))
            }

            /// The eight characters after the prefix.
            pub fn tail(&self) -> &str {
                std::str::from_utf8(&self.0).expect("the alphabet is ASCII")
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}{}", $prefix, self.tail())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                parse_tail(text, $prefix).map(Self).ok_or_else(|| IdError {
                    text: text.to_owned(),
                    kind: $kind,
                    expected: concat!($prefix, "xxxxxxxx"),
                })
            }
        }
    )+};
}

unified_ids! {
    /// A gateway: the Linux host with our agent that carries a region's peering traffic.
    GatewayId, "gw-", "gateway";
    /// A peering connection.
    PeeringConnectionId, "pcx-", "peering connection";
    /// A route of a route table.
    RouteItemId, "rti-", "route";
    /// A route table.
    RouteTableId, "rtb-", "route table";
    /// A subnet.
    SubnetId, "subnet-", "subnet";
    /// A VPC.
    VpcId, "vpc-", "VPC";
}

impl RouteItemId {
    /// The route's number, for callers that know routes by number: never 0, and unique in a table,
    /// because no table is given two ids of one number.
    pub fn number(self) -> u32 {
        // FNV-1a, 32 bits.
        let mix = |hash: u32, byte: &u8| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
        self.0.iter().fold(0x811c_9dc5, mix).max(1)
    }
}

macro_rules! legacy_ids {
    ($($(#[$doc:meta])* $legacy:ident, $word:literal, $kind:literal;
       $(#[$ref_doc:meta])* $reference:ident, $unified:ident;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $legacy {
            /// The region that the number counts in.
            pub region: Region,
            /// The number, unique in the region for this kind.
            pub number: u32,
        }

        impl fmt::Display for $legacy {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}_{}_{}", self.region.short(), $word, self.number)
            }
        }

        impl fmt::Debug for $legacy {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $legacy {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                parse_legacy(text, $word)
                    .map(|(region, number)| Self { region, number })
                    .ok_or_else(|| IdError {
                        text: text.to_owned(),
                        kind: $kind,
                        expected: concat!("<region>_", $word, "_<number>"),
                    })
            }
        }

        $(#[$ref_doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $reference {
            /// The unified form.
            Unified($unified),
            /// The legacy form.
            Legacy($legacy),
        }

        impl fmt::Display for $reference {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    Self::Unified(id) => id.fmt(f),
                    Self::Legacy(id) => id.fmt(f),
                }
            }
        }

        impl FromStr for $reference {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                if let Ok(id) = text.parse() {
                    return Ok(Self::Unified(id));
                }
                text.parse().map(Self::Legacy).map_err(|error: IdError| IdError {
                    expected: concat!(
                        $word, ": unified `xxx-xxxxxxxx` or legacy `<region>_", $word, "_<number>`"
                    ),
                    ..error
                })
            }
        }

        impl From<$unified> for $reference {
            fn from(id: $unified) -> Self {
                Self::Unified(id)
            }
        }
    )+};
}

fn parse_legacy(text: &str, word: &str) -> Option<(Region, u32)> {
    let (region, rest) = text.split_once('_')?;
    let digits = rest.strip_prefix(word)?.strip_prefix('_')?;
    // One number has one text, so that an id can be compared as text.
    if !digits.bytes().all(|byte| byte.is_ascii_digit())
        || (digits.len() > 1 && digits.starts_with('0'))
    {
        return None;
    }
    Some((Region::from_short(region)?, digits.parse().ok()?))
}

legacy_ids! {
    /// The legacy id of a VPC, such as `gz_vpc_226`.
    LegacyVpcId, "vpc", "VPC";
    /// A VPC by either of its ids.
    VpcRef, VpcId;
    /// The legacy id of a subnet, such as `gz_subnet_18720`.
    LegacySubnetId, "subnet", "subnet";
    /// A subnet by either of its ids.
    SubnetRef, SubnetId;
    /// The legacy id of a route table, such as `gz_rtb_8751`.
    LegacyRouteTableId, "rtb", "route table";
    /// A route table by either of its ids.
    RouteTableRef, RouteTableId;
}

macro_rules! numbers {
    ($($(#[$doc:meta])* $name:ident;)+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = std::num::ParseIntError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    )+};
}

numbers! {
    /// The application number of an account, shown beside its uin.
    AppId;
    /// The version of one gateway's desired slice; grows with every change of the slice.
    Generation;
    /// A task, as handed to the caller of an asynchronous action. Positive.
    TaskId;
    /// An account: the public account number, up to 12 digits.
    Uin;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_a_vpc_id_parse_and_print_the_same() {
        for text in ["vpc-8e0ypm3z", "gz_vpc_226", "sh_vpc_7"] {
            assert_eq!(text.parse::<VpcRef>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn foreign_prefixes_and_malformed_ids_are_refused() {
        for text in [
            "",
            "vpc-",
            "vpc-8e0ypm3",
            "vpc-8e0ypm3zz",
            "vpc-8E0YPM3Z",
            "subnet-5gu2jxf4",
            "gz_vpc_",
            "gz_vpc_+1",
            "gz_vpc_01",
            "gz_vpc_99999999999",
            "xx_vpc_1",
            "gz_subnet_1",
            "226",
            "vpc-8e0ypm\u{e9}",
        ] {
            assert!(text.parse::<VpcRef>().is_err(), "{text}");
        }
    }

    #[test]
    fn entropy_gives_well_formed_ids() {
        for entropy in [0, 1, u64::MAX, 0x0123_4567_89ab_cdef] {
            let id = PeeringConnectionId::from_entropy(entropy);
            assert_eq!(id.to_string().parse::<PeeringConnectionId>().unwrap(), id);
        }
    }
}
