//! Resolves the DNS names among the endpoints of other gateways, again and again.
//!
//! Addresses need no resolving. What a name led to last is kept, also on disk, while it does not
//! resolve: a gateway forwards without DNS as it does without a server.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, join_all};
use tokio::time::Instant;

use crate::agent::chain;
use crate::shared::Shared;
use crate::state::{ENDPOINTS, StateFolder};

/// How often names are resolved although nothing is wrong.
const PERIOD: Duration = Duration::from_secs(60);
/// How often at most, when a name does not resolve or nothing comes from where it led.
const RETRY: Duration = Duration::from_secs(5);
const LOOKUP_LIMIT: Duration = Duration::from_secs(5);

/// How a `host:port` is resolved.
pub(crate) type Lookup =
    Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync>;

/// The operating system's resolver.
pub(crate) fn system_lookup() -> Lookup {
    Arc::new(|name| Box::pin(async move { Ok(tokio::net::lookup_host(name).await?.collect()) }))
}

/// Keeps the names of endpoints resolved.
pub(crate) struct Resolver {
    pub(crate) shared: Arc<Shared>,
    pub(crate) folder: Arc<StateFolder>,
    pub(crate) lookup: Lookup,
    /// The underlay addresses that the gateway listens on: other families cannot be reached.
    pub(crate) listen: Vec<SocketAddr>,
}

impl Resolver {
    /// Runs until it is dropped.
    pub(crate) async fn run(self) {
        let mut slices = self.shared.slice.subscribe();
        loop {
            let wanted: BTreeSet<String> = slices
                .borrow_and_update()
                .iter()
                .flat_map(|slice| names(slice))
                .collect();
            let all_found = self.resolve(wanted).await;
            let earliest = Instant::now() + RETRY;
            let latest = if all_found {
                Instant::now() + PERIOD
            } else {
                earliest
            };
            tokio::select! {
                changed = slices.changed() => if changed.is_err() { return },
                () = tokio::time::sleep_until(latest) => {}
                () = async {
                    self.shared.resolve.notified().await;
                    tokio::time::sleep_until(earliest).await;
                } => {}
            }
        }
    }

    /// Resolves the names once. Returns whether all of them led somewhere.
    async fn resolve(&self, wanted: BTreeSet<String>) -> bool {
        let lookups = wanted.into_iter().map(async |name| {
            let found = tokio::time::timeout(LOOKUP_LIMIT, (self.lookup)(name.clone())).await;
            let found = found.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
            (name, found)
        });
        let mut all_found = true;
        let known = self.shared.names.borrow().clone();
        let mut resolved = BTreeMap::new();
        for (name, found) in join_all(lookups).await {
            let old = known.get(&name).copied();
            let address = match found {
                Ok(addresses) => choose(&addresses, old, &self.listen),
                Err(error) => {
                    tracing::warn!(%name, %error, "the endpoint of a gateway does not resolve");
                    None
                }
            };
            all_found &= address.is_some();
            resolved.extend(address.or(old).map(|address| (name, address)));
        }
        if resolved != known {
            if let Err(error) = self.folder.write_json(ENDPOINTS, &resolved) {
                tracing::warn!(
                    error = chain(&error),
                    "resolved endpoints are not remembered"
                );
            }
            self.shared.names.send_replace(resolved);
            self.shared.changed();
        }
        all_found
    }
}

fn names(slice: &model::slice::GatewaySlice) -> Vec<String> {
    let endpoints = slice
        .tunnel_peers
        .values()
        .filter_map(|peer| peer.endpoint.clone());
    endpoints
        .filter(|endpoint| endpoint.parse::<SocketAddr>().is_err())
        .collect()
}

/// The address to use: the one in use if it is still among the answers, else the first that a
/// socket of ours can reach.
fn choose(
    addresses: &[SocketAddr],
    old: Option<SocketAddr>,
    listen: &[SocketAddr],
) -> Option<SocketAddr> {
    let is_reachable =
        |address: &SocketAddr| listen.iter().any(|own| own.is_ipv4() == address.is_ipv4());
    let reachable = || addresses.iter().copied().filter(is_reachable);
    old.filter(|old| reachable().any(|address| address == *old))
        .or_else(|| reachable().next())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{peer_id, slice};

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_address_in_use_is_kept_and_families_without_socket_are_left_out() {
        let found = [
            address("[2001:db8::1]:1"),
            address("192.0.2.1:1"),
            address("192.0.2.2:1"),
        ];
        let v4 = [address("0.0.0.0:9")];
        assert_eq!(choose(&found, None, &v4), Some(found[1]));
        assert_eq!(choose(&found, Some(found[2]), &v4), Some(found[2]));
        assert_eq!(
            choose(&found, Some(address("192.0.2.3:1")), &v4),
            Some(found[1])
        );
        assert_eq!(choose(&found[..1], None, &v4), None);
        assert_eq!(
            choose(&found, None, &[v4[0], address("[::]:9")]),
            Some(found[0])
        );
    }

    #[tokio::test]
    async fn a_name_that_stops_resolving_keeps_its_last_address_over_a_restart() {
        let place = tempfile::tempdir().unwrap();
        let mut slice = slice(1);
        slice.tunnel_peers.get_mut(&peer_id()).unwrap().endpoint = Some("gw.example:1".to_owned());
        let known = Arc::new(std::sync::Mutex::new(Some(address("192.0.2.7:1"))));
        let names = |slice: &model::slice::GatewaySlice| names(slice).into_iter().collect();
        let resolver = |names| {
            let known = known.clone();
            Resolver {
                shared: Arc::new(Shared::new(Some(slice.clone()), BTreeMap::new(), names)),
                folder: Arc::new(StateFolder::open(place.path()).unwrap()),
                lookup: Arc::new(move |_| {
                    let found = known.lock().unwrap().ok_or(io::ErrorKind::NotFound.into());
                    Box::pin(async move { found.map(|address| vec![address]) })
                }),
                listen: vec![address("0.0.0.0:1")],
            }
        };
        let first = resolver(BTreeMap::new());
        assert!(first.resolve(names(&slice)).await);
        assert_eq!(
            first.shared.endpoints(&slice)[&peer_id()],
            address("192.0.2.7:1")
        );
        *known.lock().unwrap() = None;
        assert!(!first.resolve(names(&slice)).await);
        let remembered = first.folder.read_json(ENDPOINTS).unwrap().unwrap();
        drop(first);
        let second = resolver(remembered);
        assert_eq!(
            second.shared.endpoints(&slice)[&peer_id()],
            address("192.0.2.7:1")
        );
    }
}
