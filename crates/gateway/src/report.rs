//! The report to the server: what runs, what could not be applied, what the engine sees.

use std::collections::BTreeMap;

use api::sync::{ApplyError, PairReport, PeeringReport, Report, Traffic};
use kernel::Attachment;
use model::slice::GatewaySlice;
use model::{Generation, SubnetId};
use tunnel::{PeeringStatus, TunnelStatus};

use crate::shared::Applied;
use crate::status::{micros, millis};

/// Puts a report together. A peering whose VPC could not be set up on this host counts as not
/// crossed, although the engines reach each other: its hosts would not.
pub(crate) fn report(
    slice: Option<&GatewaySlice>,
    applied: &Applied,
    attachments: &BTreeMap<String, Attachment>,
    status: &TunnelStatus,
    unix_millis: u64,
) -> Report {
    let errors = applied.failures.iter().map(|failure| ApplyError {
        subject: failure.subject(),
        message: failure.message.clone(),
    });
    let mut peerings = BTreeMap::new();
    for (key, entry) in slice.iter().flat_map(|slice| &slice.peerings) {
        let Some(seen) = status.peerings.get(key) else {
            continue;
        };
        let is_set_up =
            applied.devices.contains_key(&entry.local_vpc) && !applied.has_failed(entry.local_vpc);
        let report = PeeringReport {
            vni: entry.vni,
            probe_crossed: is_set_up && seen.last_probe.is_some(),
            last_probe_age_millis: seen.last_probe.map(millis),
            sent: traffic(seen.sent),
            received: traffic(seen.received),
            drops: drops(seen),
        };
        peerings.insert(*key, report);
    }
    let pairs = status.gateways.iter().map(|(gateway, pair)| {
        let report = PairReport {
            last_handshake_age_millis: pair.last_handshake.map(millis),
            rtt_micros: pair.rtt.map(micros),
            probes_sent: pair.probes_sent,
            probes_lost: pair.probes_lost,
        };
        (*gateway, report)
    });
    Report {
        generation: applied.generation.unwrap_or(Generation(0)),
        errors: errors.collect(),
        peerings,
        pairs: pairs.collect(),
        hosts: hosts(attachments),
        unix_millis,
    }
}

/// Attachments by subnet. One that cannot be made at the moment is still meant, and counts.
fn hosts(attachments: &BTreeMap<String, Attachment>) -> BTreeMap<SubnetId, u32> {
    let mut hosts = BTreeMap::new();
    for attachment in attachments.values() {
        *hosts.entry(attachment.subnet).or_default() += 1;
    }
    hosts
}

fn traffic(traffic: tunnel::Traffic) -> Traffic {
    Traffic {
        packets: traffic.packets,
        bytes: traffic.bytes,
    }
}

fn drops(seen: &PeeringStatus) -> BTreeMap<String, u64> {
    let mut drops: BTreeMap<String, u64> = BTreeMap::new();
    for (cause, packets) in seen.sent_drops.iter().chain(&seen.received_drops) {
        *drops.entry((*cause).to_owned()).or_default() += packets;
    }
    drops
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use kernel::AttachmentKind;

    use super::*;
    use crate::shared::Failure;
    use crate::testing::{peering_key, slice, vpc_id};

    fn status() -> TunnelStatus {
        let mut status = TunnelStatus::default();
        let peering = status.peerings.entry(peering_key()).or_default();
        peering.last_probe = Some(Duration::from_millis(40));
        peering.sent_drops.insert("queue_full", 2);
        peering.received_drops.insert("wrong_source", 3);
        status
    }

    fn applied() -> Applied {
        Applied {
            generation: Some(Generation(7)),
            devices: BTreeMap::from([(vpc_id(1), 1390)]),
            ..Applied::default()
        }
    }

    #[test]
    fn a_crossed_probe_and_the_drops_are_reported() {
        let report = report(Some(&slice(7)), &applied(), &BTreeMap::new(), &status(), 5);
        assert_eq!((report.generation, report.unix_millis), (Generation(7), 5));
        let peering = &report.peerings[&peering_key()];
        assert!(peering.probe_crossed);
        assert_eq!(peering.last_probe_age_millis, Some(40));
        assert_eq!(
            peering.drops,
            BTreeMap::from([("queue_full".into(), 2), ("wrong_source".into(), 3)])
        );
    }

    #[test]
    fn a_peering_whose_vpc_is_not_set_up_has_not_crossed() {
        let failure = Failure {
            vpc: Some(vpc_id(1)),
            attachment: None,
            message: "EPERM".into(),
        };
        let failed = Applied {
            failures: vec![failure],
            ..applied()
        };
        let report_of =
            |applied: &Applied| report(Some(&slice(7)), applied, &BTreeMap::new(), &status(), 5);
        let failed = report_of(&failed);
        assert!(!failed.peerings[&peering_key()].probe_crossed);
        assert_eq!(failed.errors[0].subject, vpc_id(1).to_string());
        let without_device = Applied {
            devices: BTreeMap::new(),
            ..applied()
        };
        assert!(!report_of(&without_device).peerings[&peering_key()].probe_crossed);
    }

    #[test]
    fn attachments_are_counted_by_subnet() {
        let attachment = |number: u64| Attachment {
            vpc: vpc_id(1),
            subnet: SubnetId::from_entropy(number),
            kind: AttachmentKind::VethToBridge {
                bridge: "br0".into(),
            },
            host: None,
        };
        let attachments = BTreeMap::from([
            ("a".to_owned(), attachment(1)),
            ("b".to_owned(), attachment(1)),
            ("c".to_owned(), attachment(2)),
        ]);
        let expected = [1, 2].map(SubnetId::from_entropy).into_iter().zip([2, 1]);
        let report = report(None, &applied(), &attachments, &status(), 5);
        assert_eq!(report.hosts, expected.collect());
    }

    #[test]
    fn what_runs_is_reported_before_the_first_slice_too() {
        let report = report(
            None,
            &Applied::default(),
            &BTreeMap::new(),
            &TunnelStatus::default(),
            5,
        );
        assert_eq!(report.generation, Generation(0));
    }
}
