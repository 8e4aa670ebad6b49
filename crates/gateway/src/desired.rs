//! What a slice and the attachments ask of the kernel: a pure function.

use std::collections::BTreeMap;

use kernel::{Attachment, KernelDesired, VpcDesired};
use model::VpcId;
use model::slice::GatewaySlice;

/// What is desired of the kernel, and what cannot be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Desired {
    /// For the kernel.
    pub kernel: KernelDesired,
    /// Attachments whose VPC or subnet is not in the slice, with the reason. They are kept on disk:
    /// a tenant may make the subnet again, and an old slice must not cost an attachment.
    pub orphans: BTreeMap<String, String>,
}

/// Derives what the kernel should hold: a namespace for every VPC that has a peering or an
/// attachment. `mtu_of` gives a VPC's MTU in bytes.
pub fn desired(
    slice: &GatewaySlice,
    attachments: &BTreeMap<String, Attachment>,
    mtu_of: impl Fn(VpcId) -> u16,
) -> Desired {
    let mut desired = Desired::default();
    for (name, attachment) in attachments {
        match missing(slice, attachment) {
            Some(reason) => desired.orphans.insert(name.clone(), reason),
            None => {
                add_vpc(&mut desired.kernel, slice, attachment.vpc, &mtu_of);
                desired
                    .kernel
                    .attachments
                    .insert(name.clone(), attachment.clone());
                None
            }
        };
    }
    for peering in slice.peerings.values() {
        add_vpc(&mut desired.kernel, slice, peering.local_vpc, &mtu_of);
    }
    desired
}

fn missing(slice: &GatewaySlice, attachment: &Attachment) -> Option<String> {
    let Some(vpc) = slice.vpcs.get(&attachment.vpc) else {
        return Some(format!(
            "its VPC {} does not exist in this region",
            attachment.vpc
        ));
    };
    let is_there = vpc.subnets.contains_key(&attachment.subnet);
    (!is_there).then(|| {
        format!(
            "its subnet {} does not exist in {}",
            attachment.subnet, attachment.vpc
        )
    })
}

fn add_vpc(
    kernel: &mut KernelDesired,
    slice: &GatewaySlice,
    id: VpcId,
    mtu_of: impl Fn(VpcId) -> u16,
) {
    let Some(vpc) = slice.vpcs.get(&id) else {
        return;
    };
    kernel.vpcs.entry(id).or_insert_with(|| VpcDesired {
        cidr: vpc.cidr,
        assistant_cidrs: vpc.assistant_cidrs.clone(),
        mtu_bytes: mtu_of(id),
        subnets: vpc
            .subnets
            .iter()
            .map(|(id, subnet)| (*id, subnet.cidr))
            .collect(),
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{attachment, slice, subnet_id, vpc_id};

    fn names(desired: &Desired) -> Vec<VpcId> {
        desired.kernel.vpcs.keys().copied().collect()
    }

    #[test]
    fn only_vpcs_with_a_peering_or_an_attachment_get_a_namespace() {
        let mut slice = slice(1);
        assert_eq!(
            names(&desired(&slice, &BTreeMap::new(), |_| 1390)),
            [vpc_id(1)]
        );
        let attachments = BTreeMap::from([("web".to_owned(), attachment(2))]);
        let both = desired(&slice, &attachments, |_| 1390);
        assert_eq!(both.kernel.vpcs.len(), 2);
        assert_eq!(
            both.kernel.vpcs[&vpc_id(2)].subnets[&subnet_id(2)].to_string(),
            "10.2.1.0/24"
        );
        slice.peerings.clear();
        assert_eq!(names(&desired(&slice, &attachments, |_| 1390)), [vpc_id(2)]);
    }

    #[test]
    fn an_attachment_without_its_subnet_is_reported_and_left_out() {
        let mut slice = slice(1);
        slice.vpcs.get_mut(&vpc_id(2)).unwrap().subnets.clear();
        let attachments = BTreeMap::from([
            ("no-subnet".to_owned(), attachment(2)),
            ("no-vpc".to_owned(), attachment(5)),
        ]);
        let desired = desired(&slice, &attachments, |_| 1390);
        assert!(desired.kernel.attachments.is_empty());
        assert_eq!(desired.orphans.len(), 2);
        assert_eq!(names(&desired), [vpc_id(1)]);
    }

    #[test]
    fn each_vpc_has_its_own_mtu() {
        let attachments = BTreeMap::from([("web".to_owned(), attachment(2))]);
        let desired = desired(&slice(1), &attachments, |vpc| {
            if vpc == vpc_id(1) { 8890 } else { 1370 }
        });
        assert_eq!(desired.kernel.vpcs[&vpc_id(1)].mtu_bytes, 8890);
        assert_eq!(desired.kernel.vpcs[&vpc_id(2)].mtu_bytes, 1370);
    }
}
