//! What is written into the alias of a link, so that the kernel itself remembers whose it is, what
//! it was made for, and how a network card was before it was moved in. It outlives the gateway and
//! its state folder.
//!
//! The text: `peerway:INSTANCE:VPC:MADE-FOR`, and for a network card also
//! `:NAME:MTU:up|down:ALIAS`. Names of links hold no colon (dev_valid_name in Linux), so the old
//! alias comes last.

use model::VpcId;

use crate::instance::InstanceId;

const PREFIX: &str = "peerway";
/// IFALIASZ of linux/if.h is 256 with the final zero, and the zero is sent along.
const MAX_BYTES: usize = 254;

/// What we remember about a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) instance: InstanceId,
    pub(super) vpc: VpcId,
    /// The fingerprint of the attachment.
    pub(super) made_for: String,
    /// The network card's former self; absent for a veth pair.
    pub(super) card: Option<Card>,
}

/// A network card as it was before it was moved in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Card {
    pub(super) name: String,
    pub(super) mtu_bytes: u32,
    pub(super) is_up: bool,
    /// Empty when there was none or it was too long to be remembered.
    pub(super) alias: String,
}

impl Mark {
    /// The alias text, of at most 254 bytes.
    pub(super) fn to_alias(&self) -> String {
        let Mark {
            instance,
            vpc,
            made_for,
            card,
        } = self;
        let mark = format!("{PREFIX}:{instance}:{vpc}:{made_for}");
        let Some(card) = card else { return mark };
        let state = if card.is_up { "up" } else { "down" };
        let mark = format!("{mark}:{}:{}:{state}:", card.name, card.mtu_bytes);
        if mark.len() + card.alias.len() > MAX_BYTES {
            tracing::warn!(card = card.name, "its alias is too long to be remembered");
            return mark;
        }
        mark + &card.alias
    }

    /// Reads an alias; `None` when it is not one of ours.
    pub(super) fn parse(alias: &str) -> Option<Mark> {
        let mut parts = alias.splitn(8, ':');
        if parts.next()? != PREFIX {
            return None;
        }
        let instance = parts.next()?.parse().ok()?;
        let vpc = parts.next()?.parse().ok()?;
        let made_for = parts.next()?.to_owned();
        let card = match parts.next() {
            None => None,
            Some(name) => Some(Card {
                name: name.to_owned(),
                mtu_bytes: parts.next()?.parse().ok()?,
                is_up: parts.next()? == "up",
                alias: parts.next()?.to_owned(),
            }),
        };
        Some(Mark {
            instance,
            vpc,
            made_for,
            card,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(alias: &str) -> Mark {
        Mark {
            instance: InstanceId::from_entropy(1),
            vpc: VpcId::from_entropy(2),
            made_for: "0123456789abcdef".into(),
            card: Some(Card {
                name: "interface-name1".into(),
                mtu_bytes: 65_536,
                is_up: true,
                alias: alias.into(),
            }),
        }
    }

    #[test]
    fn an_alias_is_read_as_it_was_written() {
        let veth = Mark {
            card: None,
            ..mark("")
        };
        for mark in [mark(""), mark("uplink: rack 7"), veth] {
            assert_eq!(Mark::parse(&mark.to_alias()), Some(mark));
        }
    }

    #[test]
    fn an_old_alias_that_does_not_fit_is_left_out() {
        let alias = mark(&"x".repeat(250)).to_alias();
        assert_eq!(Mark::parse(&alias), Some(mark("")));
        let room = MAX_BYTES - alias.len();
        assert_eq!(mark(&"x".repeat(room)).to_alias().len(), MAX_BYTES);
    }

    #[test]
    fn an_alias_of_others_is_no_mark() {
        for alias in [
            "",
            "peerway",
            "uplink",
            "peerway:abc:x:y",
            "peerway:aaaaaa:vpc-1:x",
        ] {
            assert_eq!(Mark::parse(alias), None, "{alias}");
        }
    }
}
