//! The identity of one gateway installation on a host.

use std::fmt;
use std::str::FromStr;

use model::{SubnetId, VpcId};

use crate::names::hash;

/// A text that is no instance id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an instance id (expected 6 characters of a-z and 0-9)")]
pub struct InstanceIdError(pub String);

/// The owner of kernel objects: one gateway installation, as recorded in its state folder. Several
/// may live on a host. Six characters of `[a-z0-9]`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InstanceId([u8; 6]);

impl InstanceId {
    /// Draws an id from 64 random bits; about 31 of them survive, so that two installations of one
    /// host practically never meet.
    pub fn from_entropy(mut entropy: u64) -> InstanceId {
        const ALPHABET: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
        InstanceId(std::array::from_fn(|_| {
            let letter = ALPHABET[(entropy % 36) as usize];
            entropy /= 36;
            letter
        }))
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("the alphabet is ASCII")
    }

    /// The MAC address of a subnet's bridge: locally administered, the same after every restart, so
    /// that hosts keep their ARP entry of the gateway.
    pub fn bridge_mac(&self, vpc: VpcId, subnet: SubnetId) -> [u8; 6] {
        self.mac(&format!("bridge {vpc} {subnet}"))
    }

    /// A stable, locally administered unicast MAC address for an object of this instance.
    pub(crate) fn mac(&self, object: &str) -> [u8; 6] {
        let digest = hash(&format!("{self} {object}")).to_be_bytes();
        let mut mac = [digest[0], digest[1], digest[2], digest[3], digest[4], digest[5]];
        mac[0] = (mac[0] & 0xfc) | 0x02;
        mac
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for InstanceId {
    type Err = InstanceIdError;

    fn from_str(text: &str) -> Result<InstanceId, InstanceIdError> {
        let bytes: [u8; 6] =
            text.as_bytes().try_into().map_err(|_| InstanceIdError(text.to_owned()))?;
        if bytes.iter().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()) {
            Ok(InstanceId(bytes))
        } else {
            Err(InstanceIdError(text.to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_six_lower_case_letters_and_digits_are_an_instance() {
        assert_eq!("a1b2c3".parse::<InstanceId>().unwrap().to_string(), "a1b2c3");
        for text in ["", "a1b2c", "a1b2c3d", "A1b2c3", "a1-2c3", "a1b2\u{e9}"] {
            assert!(text.parse::<InstanceId>().is_err(), "{text}");
        }
    }

    #[test]
    fn entropy_gives_well_formed_instances() {
        for entropy in [0, 1, u64::MAX, 0x0123_4567_89ab_cdef] {
            let instance = InstanceId::from_entropy(entropy);
            assert_eq!(instance.to_string().parse(), Ok(instance));
        }
    }

    #[test]
    fn a_bridge_mac_is_local_unicast_and_differs_by_owner_and_subnet() {
        let vpc = VpcId::from_entropy(1);
        let [one, two] = [1, 2].map(InstanceId::from_entropy);
        let [a, b] = [1, 2].map(SubnetId::from_entropy);
        let macs = [one.bridge_mac(vpc, a), one.bridge_mac(vpc, b), two.bridge_mac(vpc, a)];
        assert!(macs.iter().all(|mac| mac[0] & 0x03 == 0x02));
        assert!(macs[0] != macs[1] && macs[0] != macs[2]);
        assert_eq!(macs[0], one.bridge_mac(vpc, a));
    }
}
