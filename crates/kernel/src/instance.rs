//! The instance id: which gateway on this host owns a kernel object.

use std::fmt;
use std::str::FromStr;

use model::VpcId;

/// Six characters of `[a-z0-9]`, made once for a state folder.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InstanceId(String);

/// A text that is no instance id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an instance id (six characters of a-z and 0-9)")]
pub struct InstanceIdError(pub String);

impl InstanceId {
    const LENGTH: usize = 6;

    /// Draws an id from random bits; about 31 of them survive.
    pub fn from_entropy(mut entropy: u64) -> InstanceId {
        const ALPHABET: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
        let text = (0..Self::LENGTH).map(|_| {
            let character = ALPHABET[(entropy % 36) as usize];
            entropy /= 36;
            char::from(character)
        });
        InstanceId(text.collect())
    }

    /// What the names of all of the instance's namespaces begin with.
    pub fn namespace_prefix(&self) -> String {
        format!("pw-{}-", self.0)
    }

    /// The name of a VPC's namespace.
    pub fn namespace(&self, vpc: VpcId) -> String {
        format!("{}{}", self.namespace_prefix(), vpc.tail())
    }

    /// The VPC whose namespace has this name, if it is one of this instance.
    pub fn vpc_of(&self, namespace: &str) -> Option<VpcId> {
        let tail = namespace.strip_prefix(&self.namespace_prefix())?;
        format!("{}{tail}", VpcId::PREFIX).parse().ok()
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for InstanceId {
    type Err = InstanceIdError;

    fn from_str(text: &str) -> Result<Self, InstanceIdError> {
        let is_valid = text.len() == Self::LENGTH
            && text
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        is_valid
            .then(|| InstanceId(text.to_owned()))
            .ok_or_else(|| InstanceIdError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces_are_recognised_by_their_owner_alone() {
        let vpc = VpcId::from_entropy(77);
        let (mine, other) = (InstanceId::from_entropy(1), InstanceId::from_entropy(2));
        assert_eq!(mine.vpc_of(&mine.namespace(vpc)), Some(vpc));
        assert_eq!(other.vpc_of(&mine.namespace(vpc)), None);
        assert_eq!(mine.vpc_of("pw-"), None);
    }

    #[test]
    fn malformed_ids_are_refused() {
        for text in ["", "abc", "abcdefg", "ABCDEF", "ab/def", "ab-def"] {
            assert!(text.parse::<InstanceId>().is_err(), "{text}");
        }
        let id = InstanceId::from_entropy(u64::MAX);
        assert_eq!(id.to_string().parse(), Ok(id));
    }
}
