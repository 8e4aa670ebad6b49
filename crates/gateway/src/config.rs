//! What a gateway is told at its start. Reading flags and files is the caller's.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use api::sync::JoinString;

/// The configuration of one gateway process.
#[derive(Debug, Clone)]
pub struct GatewayConfig {
    /// The state folder; made with mode 0700 when it is not there.
    pub state_dir: PathBuf,
    /// The join string; needed until the gateway has joined.
    pub join: Option<JoinString>,
    /// The UDP underlay addresses to listen on; port 0 takes a free one.
    pub listen: Vec<SocketAddr>,
    /// Where other gateways reach this one, `host:port` with a DNS name, an IPv4 address or an IPv6
    /// address in brackets; `None` behind a NAT.
    pub advertise: Option<String>,
    /// How often to send something to every other gateway, so that a NAT keeps its mapping.
    pub keepalive: Option<Duration>,
    /// Threads that seal and open packets; 0 for one per CPU, at most four.
    pub workers: usize,
    /// The socket of the local verbs, made with mode 0600.
    pub control_socket: PathBuf,
    /// Where `/healthz` and `/metrics` are served, if anywhere.
    pub telemetry: Option<SocketAddr>,
}

impl GatewayConfig {
    /// The host's own underlay address, as far as the configuration tells it: a specific listen
    /// address, else an advertised one. The interface that carries it must never become a tenant's.
    pub fn underlay_address(&self) -> Option<IpAddr> {
        let listened = self
            .listen
            .iter()
            .map(SocketAddr::ip)
            .find(|address| !address.is_unspecified());
        let advertised = || {
            self.advertise
                .as_ref()?
                .parse::<SocketAddr>()
                .ok()
                .map(|at| at.ip())
        };
        listened.or_else(advertised)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(listen: &str, advertise: Option<&str>) -> GatewayConfig {
        GatewayConfig {
            state_dir: PathBuf::new(),
            join: None,
            listen: vec![listen.parse().unwrap()],
            advertise: advertise.map(str::to_owned),
            keepalive: None,
            workers: 0,
            control_socket: PathBuf::new(),
            telemetry: None,
        }
    }

    #[test]
    fn the_underlay_address_is_a_specific_one() {
        for (listen, advertise, expected) in [
            ("192.0.2.1:0", Some("192.0.2.9:1"), Some("192.0.2.1")),
            ("0.0.0.0:0", Some("192.0.2.9:1"), Some("192.0.2.9")),
            ("[::]:0", Some("[2001:db8::1]:1"), Some("2001:db8::1")),
            ("0.0.0.0:0", Some("gw.example.net:1"), None),
            ("0.0.0.0:0", None, None),
        ] {
            let expected = expected.map(|text| text.parse().unwrap());
            assert_eq!(config(listen, advertise).underlay_address(), expected);
        }
    }
}
