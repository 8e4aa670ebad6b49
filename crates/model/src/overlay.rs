//! Values of the overlay: VNI, bandwidth, sides of a peering, tunnel keys.

use std::fmt;
use std::str::FromStr;

/// A value outside its range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OverlayError {
    /// A VNI outside 1 to 2^24 − 1.
    #[error("{0} is not a VNI (1 to 16777215)")]
    Vni(u64),
    /// A tunnel key that is not 64 hexadecimal digits.
    #[error("a tunnel key is 64 hexadecimal digits")]
    Key,
}

/// The overlay network id of one peering: 24 bits, host order, never 0. Source: RFC 7348, section 5.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Vni(u32);

impl Vni {
    /// The largest VNI.
    pub const MAX: Vni = Vni((1 << 24) - 1);
    /// The first VNI that the server gives out; lower ones are left for people's own overlays.
    pub const FIRST: Vni = Vni(0x1000);

    /// The number, 1 to 2^24 − 1.
    pub fn get(self) -> u32 {
        self.0
    }
}

impl TryFrom<u32> for Vni {
    type Error = OverlayError;

    fn try_from(number: u32) -> Result<Self, OverlayError> {
        if number == 0 || number > Self::MAX.0 {
            return Err(OverlayError::Vni(number.into()));
        }
        Ok(Vni(number))
    }
}

impl fmt::Display for Vni {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The cap of a peering, in each direction, over the tenants' IP bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Bandwidth {
    /// No cap. The API's 0.
    Unlimited,
    /// A cap in Mbps; 1 Mbps is 10^6 bit/s. Never 0.
    Mbps(std::num::NonZeroU32),
}

impl Bandwidth {
    /// Makes a bandwidth from the API's number of Mbps, where 0 is unlimited.
    pub fn from_mbps(mbps: u32) -> Bandwidth {
        std::num::NonZeroU32::new(mbps).map_or(Bandwidth::Unlimited, Bandwidth::Mbps)
    }

    /// The API's number of Mbps, 0 for unlimited.
    pub fn mbps(self) -> u32 {
        match self {
            Bandwidth::Unlimited => 0,
            Bandwidth::Mbps(mbps) => mbps.get(),
        }
    }

    /// The cap in bytes of inner IP per second.
    pub fn bytes_per_sec(self) -> Option<u64> {
        match self {
            Bandwidth::Unlimited => None,
            Bandwidth::Mbps(mbps) => Some(u64::from(mbps.get()) * 125_000),
        }
    }
}

impl fmt::Display for Bandwidth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Bandwidth::Unlimited => f.write_str("unlimited"),
            Bandwidth::Mbps(mbps) => write!(f, "{mbps} Mbps"),
        }
    }
}

/// One of the two sides of a peering connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Side {
    /// The side that asked for the peering.
    Requester,
    /// The side that was asked.
    Accepter,
}

impl Side {
    /// The other side.
    pub fn other(self) -> Side {
        match self {
            Side::Requester => Side::Accepter,
            Side::Accepter => Side::Requester,
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Side::Requester => "requester",
            Side::Accepter => "accepter",
        })
    }
}

/// The MAC address of one side of a peering's VXLAN segment: locally administered, unicast,
/// `02:50:<side>:<VNI, 24 bits, network order>`.
pub fn mac_address(vni: Vni, side: Side) -> [u8; 6] {
    let [_, high, middle, low] = vni.get().to_be_bytes();
    let side = match side {
        Side::Requester => 1,
        Side::Accepter => 2,
    };
    [0x02, 0x50, side, high, middle, low]
}

/// A tunnel's public key: Curve25519, 32 bytes as on the wire. Text form: lower-case hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PublicKey(pub [u8; 32]);

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for PublicKey {
    type Err = OverlayError;

    fn from_str(text: &str) -> Result<Self, OverlayError> {
        if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(OverlayError::Key);
        }
        let mut key = [0; 32];
        for (byte, index) in key.iter_mut().zip((0..64).step_by(2)) {
            *byte =
                u8::from_str_radix(&text[index..index + 2], 16).map_err(|_| OverlayError::Key)?;
        }
        Ok(PublicKey(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vni_is_24_bits_and_not_zero() {
        assert!(Vni::try_from(0).is_err());
        assert!(Vni::try_from(1 << 24).is_err());
        assert_eq!(Vni::try_from((1 << 24) - 1), Ok(Vni::MAX));
    }

    #[test]
    fn mac_addresses_are_local_unicast_and_differ_by_side() {
        let vni = Vni::try_from(0x00ab_cdef).unwrap();
        let mac = mac_address(vni, Side::Requester);
        assert_eq!(mac, [0x02, 0x50, 0x01, 0xab, 0xcd, 0xef]);
        assert_eq!(mac[0] & 0b11, 0b10);
        assert_ne!(mac, mac_address(vni, Side::Accepter));
    }

    #[test]
    fn a_megabit_is_a_million_bits() {
        assert_eq!(Bandwidth::from_mbps(20).bytes_per_sec(), Some(2_500_000));
        assert_eq!(Bandwidth::from_mbps(0), Bandwidth::Unlimited);
    }

    #[test]
    fn keys_round_trip_as_hexadecimal() {
        let key = PublicKey([0xa5; 32]);
        assert_eq!(key.to_string().parse(), Ok(key));
        assert!("a5".parse::<PublicKey>().is_err());
        assert!("+5".repeat(32).parse::<PublicKey>().is_err());
    }
}
