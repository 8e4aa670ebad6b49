//! The names of kernel objects, and what a name says about its owner.

use model::{SubnetId, VpcId};

use crate::instance::InstanceId;

/// The TUN device of every VPC namespace.
pub const PEER_DEVICE: &str = "peer0";

/// The name of a VPC's network namespace, below `/run/netns`.
pub fn vpc_namespace(instance: InstanceId, vpc: VpcId) -> String {
    format!("pw-{instance}-{}", vpc.tail())
}

/// The VPC of a namespace, when it is one of this instance's.
pub(crate) fn vpc_of_namespace(instance: InstanceId, namespace: &str) -> Option<VpcId> {
    let tail = namespace.strip_prefix(&format!("pw-{instance}-"))?;
    format!("{}{tail}", VpcId::PREFIX).parse().ok()
}

/// Whether a namespace of that name is a VPC's, of whichever instance.
pub(crate) fn is_vpc_namespace(namespace: &str) -> bool {
    let Some((instance, _)) = namespace.strip_prefix("pw-").and_then(|rest| rest.split_once('-'))
    else {
        return false;
    };
    instance.parse().is_ok_and(|instance| vpc_of_namespace(instance, namespace).is_some())
}

/// The name of a subnet's bridge in the VPC namespace.
pub fn bridge_name(subnet: SubnetId) -> String {
    format!("br-{}", subnet.tail())
}

/// The subnet of a bridge name.
pub(crate) fn subnet_of_bridge(link: &str) -> Option<SubnetId> {
    format!("{}{}", SubnetId::PREFIX, link.strip_prefix("br-")?).parse().ok()
}

const PORT_PREFIX: &str = "at-";

/// The name of an attachment's port in the VPC namespace.
pub fn port_name(attachment: &str) -> String {
    format!("{PORT_PREFIX}{}", letters::<8>(hash(attachment)))
}

/// Whether a link of a VPC namespace is the port of an attachment.
pub(crate) fn is_port(link: &str) -> bool {
    link.starts_with(PORT_PREFIX)
}

/// The name of the outer end of an attachment that joins a bridge of the gateway's own namespace.
pub(crate) fn outer_name(instance: InstanceId, attachment: &str) -> String {
    format!("p-{instance}-{}", letters::<6>(hash(attachment)))
}

/// Whether the text can name an interface (Linux `dev_valid_name`: 1 to 15 bytes, no slash, colon or
/// white space, not `.` or `..`). Only ASCII is taken.
pub(crate) fn is_interface_name(text: &str) -> bool {
    (1..=15).contains(&text.len())
        && text != "."
        && text != ".."
        && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/' && byte != b':')
}

/// A 64-bit digest that stays the same over versions: FNV-1a and the finalizer of SplitMix64. Names
/// must not change with the compiler, so the standard library's hasher will not do.
pub(crate) fn hash(text: &str) -> u64 {
    let fnv = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |digest, byte| {
        (digest ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let mixed = (fnv ^ (fnv >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

fn letters<const N: usize>(mut digest: u64) -> String {
    const ALPHABET: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    (0..N)
        .map(|_| {
            let letter = ALPHABET[(digest % 36) as usize];
            digest /= 36;
            char::from(letter)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_and_lead_back_to_their_owner() {
        let instance: InstanceId = "a1b2c3".parse().unwrap();
        let other: InstanceId = "a1b2c4".parse().unwrap();
        let vpc: VpcId = "vpc-8e0ypm3z".parse().unwrap();
        let subnet: SubnetId = "subnet-5gu2jxf4".parse().unwrap();
        let namespace = vpc_namespace(instance, vpc);
        assert_eq!(namespace, "pw-a1b2c3-8e0ypm3z");
        assert_eq!(vpc_of_namespace(instance, &namespace), Some(vpc));
        assert_eq!(vpc_of_namespace(other, &namespace), None);
        assert_eq!(subnet_of_bridge(&bridge_name(subnet)), Some(subnet));
        assert!(is_vpc_namespace(&namespace));
        for name in ["pw-a1b2c3", "pw-a1b2c3-host", "pw-a1b2c3-8e0ypm3z-x", "h1"] {
            assert!(!is_vpc_namespace(name), "{name}");
        }
        for name in [port_name("web"), outer_name(instance, "web"), bridge_name(subnet)] {
            assert!(is_interface_name(&name), "{name}");
        }
    }

    #[test]
    fn a_port_name_never_changes() {
        assert_eq!(port_name("web"), port_name("web"));
        assert_ne!(port_name("web"), port_name("wec"));
        // Pinned: a running gateway of an older version has made this name.
        assert_eq!(port_name("web"), "at-PINNED");
    }

    #[test]
    fn interface_names_follow_the_kernels_rule() {
        for name in ["eth0", "eth0.100", "a-b_c@d"] {
            assert!(is_interface_name(name), "{name}");
        }
        for name in ["", ".", "..", "a/b", "a b", "a:b", "sixteen-letters!", "\u{e9}th0"] {
            assert!(!is_interface_name(name), "{name}");
        }
    }
}
