//! Filters: each admits what one of its values matches, and all must admit.

use model::command::{PeeringFilter, RouteFilter, RouteTableFilter, SubnetFilter, VpcFilter};
use model::outcome::SubnetView;
use model::{NextHop, PeeringConnection, Route, RouteTable, RouteTableKind, Vpc};

use super::filter_of;

/// Whether a filter admits something.
pub(super) trait Admits<T> {
    fn admits(&self, one: &T) -> bool;
}

/// Whether all filters admit something.
pub(super) fn all_admit<T, F: Admits<T>>(filters: &[F], one: &T) -> bool {
    filters.iter().all(|filter| filter.admits(one))
}

fn has_part(name: &str, parts: &[String]) -> bool {
    parts.iter().any(|part| name.contains(part.as_str()))
}

impl Admits<Vpc> for VpcFilter {
    fn admits(&self, vpc: &Vpc) -> bool {
        match self {
            VpcFilter::Ids(ids) => ids.contains(&vpc.id),
            VpcFilter::NameParts(parts) => has_part(vpc.name.as_str(), parts),
            VpcFilter::Cidrs(cidrs) => cidrs.contains(&vpc.cidr.to_string()),
            VpcFilter::Tags(filter) => filter.admits(&vpc.tags),
            VpcFilter::Nothing => false,
        }
    }
}

impl Admits<SubnetView> for SubnetFilter {
    fn admits(&self, view: &SubnetView) -> bool {
        let subnet = &view.subnet;
        match self {
            SubnetFilter::Ids(ids) => ids.contains(&subnet.id),
            SubnetFilter::Vpcs(vpcs) => vpcs.contains(&subnet.vpc),
            SubnetFilter::NameParts(parts) => has_part(subnet.name.as_str(), parts),
            SubnetFilter::Cidrs(cidrs) => cidrs.contains(&subnet.cidr.to_string()),
            SubnetFilter::Zones(zones) => zones.contains(&subnet.zone.name(view.vpc.region())),
            SubnetFilter::Tags(filter) => filter.admits(&subnet.tags),
            SubnetFilter::Nothing => false,
        }
    }
}

impl Admits<RouteTable> for RouteTableFilter {
    fn admits(&self, table: &RouteTable) -> bool {
        match self {
            RouteTableFilter::Ids(ids) => ids.contains(&table.id),
            RouteTableFilter::Vpcs(vpcs) => vpcs.contains(&table.vpc),
            RouteTableFilter::NameParts(parts) => has_part(table.name.as_str(), parts),
            RouteTableFilter::Default(wanted) => (table.kind == RouteTableKind::Default) == *wanted,
            RouteTableFilter::ToPeerings => !table.routes.is_empty(),
            RouteTableFilter::Tags(filter) => filter.admits(&table.tags),
            RouteTableFilter::Nothing => false,
        }
    }
}

impl Admits<(&RouteTable, &Route)> for RouteFilter {
    fn admits(&self, (table, route): &(&RouteTable, &Route)) -> bool {
        match self {
            RouteFilter::Vpcs(vpcs) => vpcs.contains(&table.vpc),
            RouteFilter::Tables(tables) => tables.contains(&table.id),
            RouteFilter::NextHops(ids) => {
                let NextHop::Peering(peering) = route.next_hop;
                ids.contains(&peering.to_string())
            }
            RouteFilter::DescriptionParts(parts) => {
                let description = route.description.as_ref();
                has_part(description.map_or("", |text| text.as_str()), parts)
            }
            RouteFilter::DestinationStarts(starts) => {
                let destination = route.destination.to_string();
                starts
                    .iter()
                    .any(|start| destination.starts_with(start.as_str()))
            }
        }
    }
}

impl Admits<PeeringConnection> for PeeringFilter {
    fn admits(&self, peering: &PeeringConnection) -> bool {
        match self {
            PeeringFilter::Ids(ids) => ids.contains(&peering.id),
            PeeringFilter::Ends(vpcs) => vpcs.iter().any(|vpc| peering.side_of(*vpc).is_some()),
            PeeringFilter::States(states) => states.contains(&filter_of(&peering.state)),
            PeeringFilter::Names(names) => names.iter().any(|name| name == peering.name.as_str()),
        }
    }
}
