//! Quotas.

use std::collections::BTreeMap;

use model::command::QuotaKind;
use serde::Serialize;

#[derive(Serialize)]
pub(super) struct QuotasBody {
    data: LimitBody,
}

// From the number of a type, which is text as a field's name, to the limit.
#[derive(Serialize)]
struct LimitBody {
    limit: BTreeMap<u32, u32>,
}

impl From<&[(QuotaKind, u32)]> for QuotasBody {
    fn from(quotas: &[(QuotaKind, u32)]) -> Self {
        let limit = quotas.iter().map(|(kind, limit)| (number(*kind), *limit));
        QuotasBody {
            data: LimitBody {
                limit: limit.collect(),
            },
        }
    }
}

fn number(kind: QuotaKind) -> u32 {
    match kind {
        QuotaKind::Vpcs => 0,
        QuotaKind::Subnets => 1,
        QuotaKind::RouteTables => 2,
        QuotaKind::Routes => 3,
        QuotaKind::Peerings => 20,
        // Not asked for in this dialect, which has no number for either.
        QuotaKind::PeeringsAndRequests | QuotaKind::AssistantCidrs => u32::MAX,
        QuotaKind::Nothing(number) => number,
    }
}
