//! What the demo plays: a peering inside one account, its cap, its isolation, and a second account
//! that has to consent.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use model::Region;

use super::narrator::Narrator;
use crate::client::ApiFailure;
use crate::lab::{HostSpec, Lab};
use crate::tenant::{Network, NetworkSpec, Tenant, text};
use crate::traffic::{Bulk, PacketRecorder, Ping};

const GZ_HOST: Ipv4Addr = Ipv4Addr::new(10, 1, 1, 10);
const SH_HOST: Ipv4Addr = Ipv4Addr::new(10, 2, 1, 10);
const OTHER_HOST: Ipv4Addr = Ipv4Addr::new(10, 3, 1, 10);
/// The account number of the API's own example.
const FIRST_UIN: u64 = 2_407_912_486;
/// How far the measured rate may be from the cap; short TCP transfers settle within this.
const CAP_TOLERANCE: f64 = 0.03;

/// The lab with the accounts and networks that the story needs.
pub struct Stage {
    /// The lab.
    pub lab: Lab,
    first: Tenant,
    second: Tenant,
    gz: Network,
    sh: Network,
    twin: Network,
    other: Network,
    peering: String,
    second_peering: String,
}

impl Stage {
    /// Makes the accounts, networks and hosts.
    pub async fn set(mut lab: Lab, narrator: &mut Narrator) -> anyhow::Result<Stage> {
        let first = lab.add_account("first", Some(FIRST_UIN)).await?;
        let second = lab.add_account("second", None).await?;
        let spec = |region, name, host| NetworkSpec { region, name, host };
        let gz = first
            .create_network(spec("gz", "first-gz", GZ_HOST))
            .await?;
        let sh = first
            .create_network(spec("sh", "first-sh", SH_HOST))
            .await?;
        narrator.step(&format!(
            "account {} has a VPC {} in gz and one {} in sh, a host in each",
            first.uin, gz.cidr, sh.cidr
        ));
        let twin = second
            .create_network(spec("sh", "second-twin", SH_HOST))
            .await?;
        let other = second
            .create_network(spec("sh", "second-other", OTHER_HOST))
            .await?;
        narrator.step(&format!(
            "account {} has in sh a twin of it ({}, same host address) and a VPC {}",
            second.uin, twin.cidr, other.cidr
        ));
        for (name, network, address) in [
            ("host-gz", &gz, GZ_HOST),
            ("host-sh", &sh, SH_HOST),
            ("host-twin", &twin, SH_HOST),
            ("host-other", &other, OTHER_HOST),
        ] {
            lab.add_host(HostSpec {
                name,
                network,
                address,
            })
            .await?;
        }
        Ok(Stage {
            lab,
            first,
            second,
            gz,
            sh,
            twin,
            other,
            peering: String::new(),
            second_peering: String::new(),
        })
    }

    async fn ping(
        &self,
        from: &str,
        to: Ipv4Addr,
        count: u32,
    ) -> anyhow::Result<crate::traffic::PingResult> {
        let from = kernel::netns::Namespace::open(self.lab.host(from).name())?;
        let timeout = Duration::from_millis(if count == 1 { 300 } else { 1000 });
        let ping = Ping {
            count,
            timeout,
            ..Ping::to(to)
        };
        Ok(tokio::task::spawn_blocking(move || ping.run(&from)).await??)
    }

    async fn expect_silence(
        &self,
        narrator: &mut Narrator,
        what: &str,
        from: &str,
        to: Ipv4Addr,
    ) -> anyhow::Result<()> {
        let result = self.ping(from, to, 1).await?;
        narrator.expect(
            what,
            result.rtts.is_empty(),
            &format!("{} of 1 answered", result.rtts.len()),
        );
        Ok(())
    }

    /// The first peering: create, poll, routes, ping.
    pub async fn first_crossing(&mut self, narrator: &mut Narrator) -> anyhow::Result<()> {
        self.expect_silence(
            narrator,
            "before the peering nothing crosses",
            "host-gz",
            SH_HOST,
        )
        .await?;
        narrator.step("CreateVpcPeeringConnectionEx, signed, over HTTPS, bandwidth=20");
        let answer = self
            .first
            .create_peering(&self.gz, &self.sh, &self.first.uin, 20)
            .await?;
        let (output, took) = self.first.await_task("gz", &answer).await?;
        self.peering = text(&output, "uniqVpcPeerId")?;
        narrator.expect(
            "the task succeeds",
            true,
            &format!("{} after {} ms", self.peering, took.as_millis()),
        );
        self.expect_silence(
            narrator,
            "without routes nothing crosses",
            "host-gz",
            SH_HOST,
        )
        .await?;
        narrator.step("CreateRoute on both sides");
        self.first
            .create_route(&self.gz, &self.sh.cidr, &self.peering)
            .await?;
        self.first
            .create_route(&self.sh, &self.gz.cidr, &self.peering)
            .await?;
        let first_packet = self.first_answer(SH_HOST).await?;
        let found = first_packet.map_or("none within 5 s".to_owned(), |time| {
            format!(
                "{:.1} ms after the last CreateRoute",
                time.as_secs_f64() * 1e3
            )
        });
        narrator.expect("the first packet crosses", first_packet.is_some(), &found);
        let result = self.ping("host-gz", SH_HOST, 5).await?;
        let median = result.median().map_or(0.0, |rtt| rtt.as_secs_f64() * 1e3);
        narrator.expect(
            &format!("{GZ_HOST} pings {SH_HOST} across the peering"),
            result.is_complete(),
            &format!("{}/5 answered, RTT {median:.3} ms", result.rtts.len()),
        );
        Ok(())
    }

    async fn expect_cap(
        &self,
        narrator: &mut Narrator,
        from: &str,
        to: &str,
        address: Ipv4Addr,
        cap_mbps: f64,
    ) -> anyhow::Result<()> {
        let open = |name: &str| kernel::netns::Namespace::open(self.lab.host(name).name());
        let (sender, receiver) = (open(from)?, open(to)?);
        let result = tokio::task::spawn_blocking(move || {
            Bulk {
                from: &sender,
                to: &receiver,
                address,
                warm_up: Duration::from_millis(1500),
                duration: Duration::from_secs(3),
                streams: 1,
                congestion_control: None,
            }
            .run()
        })
        .await??;
        let mbps = result.ip_mbps();
        narrator.expect(
            &format!("TCP {from} to {to} runs at the cap of {cap_mbps} Mbps"),
            (mbps / cap_mbps - 1.0).abs() <= CAP_TOLERANCE,
            &format!(
                "{mbps:.2} Mbps at the receiver ({:+.2} %)",
                (mbps / cap_mbps - 1.0) * 100.0
            ),
        );
        Ok(())
    }

    /// The cap in both directions, then raised online.
    pub async fn caps(&mut self, narrator: &mut Narrator) -> anyhow::Result<()> {
        narrator.step("measuring TCP for 3 s in each direction");
        self.expect_cap(narrator, "host-gz", "host-sh", SH_HOST, 20.0)
            .await?;
        self.expect_cap(narrator, "host-sh", "host-gz", GZ_HOST, 20.0)
            .await?;
        narrator.step("ModifyVpcPeeringConnectionEx, bandwidth=100, while it is in use");
        let change = [("bandwidth", "100")];
        let took = self
            .first
            .act("gz", "ModifyVpcPeeringConnectionEx", &self.peering, &change)
            .await?;
        narrator.step(&format!("the task succeeded after {} ms", took.as_millis()));
        self.expect_cap(narrator, "host-gz", "host-sh", SH_HOST, 100.0)
            .await?;
        self.expect_cap(narrator, "host-sh", "host-gz", GZ_HOST, 100.0)
            .await
    }

    /// The twin sees nothing and cannot be peered with the same VPC.
    pub async fn isolation(&mut self, narrator: &mut Narrator) -> anyhow::Result<()> {
        narrator.step(&format!(
            "pinging {SH_HOST} while listening at its twin of account {}",
            self.second.uin
        ));
        let recorder = PacketRecorder::start(self.lab.host("host-twin"))?;
        let result = self.ping("host-gz", SH_HOST, 5).await?;
        let seen = tokio::task::spawn_blocking(move || recorder.finish().len()).await?;
        narrator.expect("the first account's host answers", result.is_complete(), "");
        narrator.expect(
            "the twin sees not one packet",
            seen == 0,
            &format!("{seen} seen"),
        );
        let refused = self
            .first
            .create_peering(&self.gz, &self.twin, &self.second.uin, 20)
            .await;
        let code = refused.err().and_then(|error| {
            error
                .downcast_ref::<ApiFailure>()
                .map(|failure| failure.code_desc.clone())
        });
        let code = code.unwrap_or_else(|| "accepted".to_owned());
        narrator.expect(
            "peering the twin with the same VPC is refused",
            code == "PeeringConnectionVpcConflict",
            &code,
        );
        Ok(())
    }

    /// The second account consents before anything passes.
    pub async fn consent(&mut self, narrator: &mut Narrator) -> anyhow::Result<()> {
        narrator.step(&format!(
            "asking account {} for a peering with its VPC {}",
            self.second.uin, self.other.cidr
        ));
        let answer = self
            .first
            .create_peering(&self.gz, &self.other, &self.second.uin, 100)
            .await?;
        let (output, _) = self.first.await_task("gz", &answer).await?;
        self.second_peering = text(&output, "uniqVpcPeerId")?;
        let state = self.peering_state(&self.second, "sh").await?;
        narrator.expect(
            "the request waits for consent",
            state == Some(0),
            &format!("state {}", state.unwrap_or(-1)),
        );
        self.expect_silence(
            narrator,
            "nothing crosses before consent",
            "host-gz",
            OTHER_HOST,
        )
        .await?;
        narrator
            .step("AcceptVpcPeeringConnectionEx by the other account, and a route on each side");
        let peering = &self.second_peering;
        let took = self
            .second
            .act("sh", "AcceptVpcPeeringConnectionEx", peering, &[])
            .await?;
        let state = self.peering_state(&self.first, "gz").await?;
        narrator.expect(
            "accepted, it is active",
            state == Some(1),
            &format!(
                "state {} after {} ms",
                state.unwrap_or(-1),
                took.as_millis()
            ),
        );
        self.first
            .create_route(&self.gz, &self.other.cidr, &self.second_peering)
            .await?;
        self.second
            .create_route(&self.other, &self.gz.cidr, &self.second_peering)
            .await?;
        self.expect_ping_soon(narrator, OTHER_HOST).await
    }

    /// Pings until an answer comes, and tells how long that took; `None` after 5 s.
    async fn first_answer(&self, to: Ipv4Addr) -> anyhow::Result<Option<Duration>> {
        let started = Instant::now();
        while started.elapsed() < Duration::from_secs(5) {
            if !self.ping("host-gz", to, 1).await?.rtts.is_empty() {
                return Ok(Some(started.elapsed()));
            }
        }
        Ok(None)
    }

    async fn expect_ping_soon(&self, narrator: &mut Narrator, to: Ipv4Addr) -> anyhow::Result<()> {
        self.first_answer(to).await?;
        let result = self.ping("host-gz", to, 3).await?;
        narrator.expect(
            &format!("{GZ_HOST} pings {to} across the peering"),
            result.is_complete(),
            &format!("{}/3 answered", result.rtts.len()),
        );
        Ok(())
    }

    async fn peering_state(&self, account: &Tenant, region: &str) -> anyhow::Result<Option<i64>> {
        let parameters = [("peeringConnectionId", self.second_peering.as_str())];
        let answer = account
            .client
            .call(region, "DescribeVpcPeeringConnections", &parameters)
            .await?;
        Ok(answer["data"][0]["state"].as_i64())
    }

    /// Delete: nothing passes, nothing is left.
    pub async fn ending(&mut self, narrator: &mut Narrator) -> anyhow::Result<()> {
        narrator.step("DeleteVpcPeeringConnectionEx of both peerings, one by each account");
        for (account, region, peering) in [
            (&self.first, "gz", &self.peering),
            (&self.second, "sh", &self.second_peering),
        ] {
            account
                .act(region, "DeleteVpcPeeringConnectionEx", peering, &[])
                .await?;
        }
        self.expect_silence(
            narrator,
            "after the delete nothing crosses",
            "host-gz",
            SH_HOST,
        )
        .await?;
        self.expect_silence(narrator, "nor to the other account", "host-gz", OTHER_HOST)
            .await?;
        let tables = self
            .first
            .client
            .call(
                "gz",
                "DescribeRouteTable",
                &[("vpcId", self.gz.vpc.as_str())],
            )
            .await?;
        let routes = tables["data"][0]["routeSet"].as_array().map_or(0, Vec::len);
        narrator.expect(
            "the routes to it are gone",
            routes == 1,
            &format!("{routes} left, Local among them"),
        );
        Ok(())
    }
}

/// Prints how to use a lab that is left running.
pub async fn explain_use(stage: &Stage) -> anyhow::Result<()> {
    let lab = &stage.lab;
    let forward = crate::lab::forward_to_host(lab).await?;
    println!("\nThe lab keeps running.");
    println!("  endpoint    https://{forward}/v2/index.php");
    println!("  CA          {}", lab.ca().display());
    for account in [&stage.first, &stage.second] {
        println!(
            "  account     {}  SecretId {}  SecretKey {}",
            account.uin, account.credentials.secret_id, account.credentials.secret_key
        );
    }
    let query = stage
        .first
        .client
        .query("gz", "DescribeVpcPeeringConnections", &[]);
    println!("\nThings to try:");
    println!(
        "  curl --cacert {} -H 'Host: {}' 'https://{forward}/v2/index.php?{query}'",
        lab.ca().display(),
        lab.https_address()
    );
    println!(
        "  peerway peering list --admin-socket {}",
        lab.admin_socket().display()
    );
    println!(
        "  peerway gateway status --control-socket {}",
        lab.gateway_socket(Region::Guangzhou).display()
    );
    println!(
        "  ip netns exec {} ping {SH_HOST}",
        lab.host("host-gz").name()
    );
    Ok(())
}
