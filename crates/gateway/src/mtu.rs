//! Which MTU a VPC's device gets, before and after the engine knows the pairs.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use model::VpcId;
use tunnel::ASSUMED_UNDERLAY_MTU;
use tunnel::inner_mtu;

/// Chooses the MTU of each VPC's device: what the engine says; without that, the last choice, so
/// that a pair that comes and goes changes nothing; at first, what fits every underlay family that
/// is listened on, so that hosts attached before the first peering need not change theirs.
#[derive(Debug, Clone)]
pub(crate) struct MtuPolicy {
    default_mtu_bytes: u16,
    chosen: BTreeMap<VpcId, u16>,
}

impl MtuPolicy {
    /// A policy for a gateway that listens on these underlay addresses.
    pub(crate) fn new(listen: &[SocketAddr]) -> MtuPolicy {
        let fitting = listen
            .iter()
            .map(|address| inner_mtu(ASSUMED_UNDERLAY_MTU, address))
            .min();
        let default_mtu_bytes = fitting.unwrap_or(ASSUMED_UNDERLAY_MTU);
        MtuPolicy {
            default_mtu_bytes,
            chosen: BTreeMap::new(),
        }
    }

    /// The MTU for a VPC, in bytes. `engine` is what the engine says.
    pub(crate) fn choose(&mut self, vpc: VpcId, engine: Option<u16>) -> u16 {
        let chosen = self.chosen.entry(vpc).or_insert(self.default_mtu_bytes);
        *chosen = engine.unwrap_or(*chosen);
        *chosen
    }

    /// Forgets the VPCs that are not carried any more.
    pub(crate) fn retain(&mut self, is_carried: impl Fn(VpcId) -> bool) {
        self.chosen.retain(|vpc, _| is_carried(*vpc));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::vpc_id;

    #[test]
    fn the_default_fits_every_family_and_the_last_choice_stays() {
        let listen = |texts: &[&str]| -> Vec<SocketAddr> {
            texts.iter().map(|text| text.parse().unwrap()).collect()
        };
        assert_eq!(
            MtuPolicy::new(&listen(&["0.0.0.0:1"])).choose(vpc_id(1), None),
            1390
        );
        let mut policy = MtuPolicy::new(&listen(&["0.0.0.0:1", "[::]:1"]));
        assert_eq!(policy.choose(vpc_id(1), None), 1370);
        assert_eq!(policy.choose(vpc_id(1), Some(8890)), 8890);
        assert_eq!(policy.choose(vpc_id(1), None), 8890);
        policy.retain(|_| false);
        assert_eq!(policy.choose(vpc_id(1), None), 1370);
    }
}
