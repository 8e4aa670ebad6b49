//! IPv4 CIDR blocks with their host bits zero.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use ipnet::Ipv4Net;

/// A text that is no CIDR block.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CidrError {
    /// Not `a.b.c.d/len`.
    #[error("`{0}` is not an IPv4 CIDR block such as 10.0.0.0/16")]
    Malformed(String),
    /// The address has bits beyond the prefix.
    #[error("`{given}` has host bits set; the block is {block}")]
    HostBits {
        /// What was parsed.
        given: String,
        /// The block with its host bits cleared.
        block: CidrBlock,
    },
}

/// An IPv4 CIDR block whose host bits are zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CidrBlock(Ipv4Net);

impl CidrBlock {
    /// Makes a block from an address and a prefix length, clearing host bits. `None` when the
    /// length is above 32.
    pub fn new(address: Ipv4Addr, prefix_len: u8) -> Option<CidrBlock> {
        Ipv4Net::new(address, prefix_len)
            .ok()
            .map(|net| CidrBlock(net.trunc()))
    }

    /// Parses a block and clears host bits, as route destinations allow (`121.0.23.51/16`).
    ///
    /// # Errors
    /// [`CidrError::Malformed`].
    pub fn parse_truncating(text: &str) -> Result<CidrBlock, CidrError> {
        parse(text).map(|net| CidrBlock(net.trunc()))
    }

    /// The network address.
    pub fn network(self) -> Ipv4Addr {
        self.0.network()
    }

    /// The last address.
    pub fn last(self) -> Ipv4Addr {
        self.0.broadcast()
    }

    /// The prefix length, 0 to 32.
    pub fn prefix_len(self) -> u8 {
        self.0.prefix_len()
    }

    /// Whether the address lies in the block.
    pub fn contains_address(self, address: Ipv4Addr) -> bool {
        self.0.contains(&address)
    }

    /// Whether the other block lies in this one (a block contains itself).
    pub fn contains(self, other: CidrBlock) -> bool {
        self.0.contains(&other.0)
    }

    /// Whether the two blocks share an address.
    pub fn overlaps(self, other: CidrBlock) -> bool {
        self.contains(other) || other.contains(self)
    }

    /// The gateway address of a subnet with this block: the first usable one, `.1` of a /24.
    pub fn gateway_address(self) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.network()).wrapping_add(1))
    }

    /// The block as an `ipnet` value, for prefix tries.
    pub fn net(self) -> Ipv4Net {
        self.0
    }
}

// Strict dotted quads: the standard parser refuses leading zeros, signs and spaces, and the length
// is checked here because `u8::from_str` takes a plus sign.
fn parse(text: &str) -> Result<Ipv4Net, CidrError> {
    // The error repeats what was given, but not all of a long text.
    let malformed = || CidrError::Malformed(text.chars().take(64).collect());
    let (address, length) = text.split_once('/').ok_or_else(malformed)?;
    if !length.bytes().all(|byte| byte.is_ascii_digit())
        || (length.len() > 1 && length.starts_with('0'))
    {
        return Err(malformed());
    }
    let address: Ipv4Addr = address.parse().map_err(|_| malformed())?;
    Ipv4Net::new(address, length.parse().map_err(|_| malformed())?).map_err(|_| malformed())
}

impl FromStr for CidrBlock {
    type Err = CidrError;

    fn from_str(text: &str) -> Result<Self, CidrError> {
        let net = parse(text)?;
        let block = CidrBlock(net.trunc());
        if net.addr() == block.network() {
            Ok(block)
        } else {
            Err(CidrError::HostBits {
                given: text.to_owned(),
                block,
            })
        }
    }
}

impl fmt::Display for CidrBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for CidrBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn block(text: &str) -> CidrBlock {
        text.parse().unwrap()
    }

    #[test]
    fn host_bits_are_refused_or_cleared() {
        assert!(matches!(
            "121.0.23.51/16".parse::<CidrBlock>(),
            Err(CidrError::HostBits { .. })
        ));
        assert_eq!(
            CidrBlock::parse_truncating("121.0.23.51/16").unwrap(),
            block("121.0.0.0/16")
        );
    }

    #[test]
    fn malformed_blocks_are_refused() {
        for text in [
            "",
            "10.0.0.0",
            "10.0.0.0/",
            "10.0.0.0/33",
            "10.0.0.0/+8",
            "10.0.0.0/08",
            "010.0.0.0/8",
            "10.0.0/8",
            " 10.0.0.0/8",
            "10.0.0.0/8 ",
            "::/0",
            "10.0.0.0/-1",
        ] {
            assert!(
                matches!(text.parse::<CidrBlock>(), Err(CidrError::Malformed(_))),
                "{text}"
            );
        }
    }

    proptest! {
        #[test]
        fn overlap_is_symmetric_and_means_a_shared_address(
            a in any::<u32>(), b in any::<u32>(), x in 0u8..=32, y in 0u8..=32,
        ) {
            let a = CidrBlock::new(a.into(), x).unwrap();
            let b = CidrBlock::new(b.into(), y).unwrap();
            let shared = a.network().max(b.network()) <= a.last().min(b.last());
            prop_assert_eq!(a.overlaps(b), shared);
            prop_assert_eq!(b.overlaps(a), shared);
            prop_assert_eq!(a.to_string().parse::<CidrBlock>().unwrap(), a);
        }
    }
}
