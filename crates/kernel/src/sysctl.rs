//! The settings of a VPC namespace. All are explicit: a new namespace takes its IPv4 defaults from
//! the first one of the machine (`net.core.devconf_inherit_init_net` 0), whatever they are there.

/// A path below `/proc/sys` and the value it should have.
pub(crate) type Setting = (String, &'static str);

const NAMESPACE: &[(&str, &str)] = &[
    // VPCs are IPv4 only.
    ("net/ipv6/conf/all/disable_ipv6", "1"),
    ("net/ipv6/conf/default/disable_ipv6", "1"),
    // The kernel takes the larger of `all` and the device's own, so `all` must be 0 for `peer0` to be
    // free of the check; `default` makes every new device strict from its first moment.
    ("net/ipv4/conf/all/rp_filter", "0"),
    ("net/ipv4/conf/default/rp_filter", "1"),
    // The kernel takes either of `all` and the device's own.
    ("net/ipv4/conf/all/accept_local", "0"),
    ("net/ipv4/conf/default/accept_local", "0"),
    ("net/ipv4/conf/all/send_redirects", "0"),
    ("net/ipv4/conf/default/send_redirects", "0"),
    ("net/ipv4/conf/all/accept_redirects", "0"),
    ("net/ipv4/conf/default/accept_redirects", "0"),
    ("net/ipv4/conf/all/accept_source_route", "0"),
    ("net/ipv4/conf/default/accept_source_route", "0"),
    ("net/ipv4/conf/all/route_localnet", "0"),
    ("net/ipv4/conf/default/route_localnet", "0"),
    ("net/ipv4/conf/all/proxy_arp", "0"),
    ("net/ipv4/conf/default/proxy_arp", "0"),
    ("net/ipv4/conf/all/arp_ignore", "1"),
    ("net/ipv4/conf/default/arp_ignore", "1"),
    ("net/ipv4/conf/all/arp_announce", "0"),
    ("net/ipv4/conf/default/arp_announce", "0"),
    ("net/ipv4/conf/all/arp_filter", "0"),
    ("net/ipv4/conf/default/arp_filter", "0"),
    // A bridge without running port has no carrier; its routes must hold all the same.
    ("net/ipv4/conf/all/ignore_routes_with_linkdown", "0"),
    ("net/ipv4/conf/default/ignore_routes_with_linkdown", "0"),
    // Removing a stray primary address must not take the gateway address with it.
    ("net/ipv4/conf/all/promote_secondaries", "1"),
    ("net/ipv4/conf/default/promote_secondaries", "1"),
    ("net/ipv4/conf/default/forwarding", "1"),
    // Last: forwarding starts when everything that restrains it is in place.
    ("net/ipv4/ip_forward", "1"),
];

const BRIDGE: &[(&str, &str)] = &[
    ("rp_filter", "1"),
    ("accept_local", "0"),
    ("send_redirects", "0"),
    ("accept_redirects", "0"),
    ("accept_source_route", "0"),
    ("route_localnet", "0"),
    ("proxy_arp", "0"),
    ("forwarding", "1"),
];

// What the engine puts in may bear the gateway's own address as source (ICMP errors), and comes from
// wherever the peers are; the engine has checked it against the peering.
const TUN: &[(&str, &str)] = &[
    ("rp_filter", "0"),
    ("accept_local", "1"),
    ("send_redirects", "0"),
    ("accept_redirects", "0"),
    ("accept_source_route", "0"),
    ("route_localnet", "0"),
    ("forwarding", "1"),
];

/// The settings of the namespace as a whole, in the order to write them.
pub(crate) fn of_namespace() -> impl Iterator<Item = Setting> {
    NAMESPACE.iter().map(|(path, value)| ((*path).to_owned(), *value))
}

/// The settings of a subnet's bridge.
pub(crate) fn of_bridge(link: &str) -> impl Iterator<Item = Setting> {
    of_link(link, BRIDGE)
}

/// The settings of `peer0`.
pub(crate) fn of_tun(link: &str) -> impl Iterator<Item = Setting> {
    of_link(link, TUN)
}

fn of_link(
    link: &str,
    settings: &'static [(&'static str, &'static str)],
) -> impl Iterator<Item = Setting> {
    settings.iter().map(move |(name, value)| (format!("net/ipv4/conf/{link}/{name}"), *value))
}

/// Whether a setting exists only where the kernel has IPv6. Where it is absent, IPv6 is disabled for
/// certain.
pub(crate) fn is_of_ipv6(path: &str) -> bool {
    path.starts_with("net/ipv6/")
}
