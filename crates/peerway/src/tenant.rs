//! A tenant's side of the API: the few calls that make networks and peerings, as a client of the
//! vendor's service would send them. The demo and the system tests are such tenants.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde_json::Value;

use crate::client::{Credentials, V2Client};

/// How long to poll a task; the server ends every task sooner.
const TASK_TIMEOUT: Duration = Duration::from_secs(200);

/// An account with its key and a client that signs with it.
pub struct Tenant {
    /// The account number, as parameters carry it.
    pub uin: String,
    /// The key.
    pub credentials: Credentials,
    /// The client.
    pub client: V2Client,
}

/// A VPC with one subnet and its default route table.
#[derive(Debug, Clone)]
pub struct Network {
    /// The short region code.
    pub region: &'static str,
    /// The unified id.
    pub vpc: String,
    /// The legacy id.
    pub legacy_vpc: String,
    /// The default route table's id.
    pub route_table: String,
    /// The VPC's CIDR block.
    pub cidr: String,
    /// The subnet's CIDR block.
    pub subnet: String,
}

/// What to make a [`Network`] of: the VPC is the /16 and the subnet the /24 around the host address.
#[derive(Debug, Clone, Copy)]
pub struct NetworkSpec {
    /// The short region code.
    pub region: &'static str,
    /// The VPC's name.
    pub name: &'static str,
    /// An address of a host in it.
    pub host: Ipv4Addr,
}

/// A text field of an answer.
///
/// # Errors
/// When the field is absent or no text.
pub fn text(value: &Value, name: &str) -> anyhow::Result<String> {
    value[name]
        .as_str()
        .map(str::to_owned)
        .with_context(|| format!("no {name} in {value}"))
}

impl Tenant {
    /// Makes a VPC with one subnet.
    ///
    /// # Errors
    /// What the API refused.
    pub async fn create_network(&self, spec: NetworkSpec) -> anyhow::Result<Network> {
        let [a, b, c, _] = spec.host.octets();
        let (cidr, subnet) = (format!("{a}.{b}.0.0/16"), format!("{a}.{b}.{c}.0/24"));
        let zone = if spec.region == "gz" {
            "100001"
        } else {
            "200001"
        };
        let parameters = [
            ("vpcName", spec.name),
            ("cidrBlock", cidr.as_str()),
            ("subnetSet.0.subnetName", "subnet"),
            ("subnetSet.0.cidrBlock", subnet.as_str()),
            ("subnetSet.0.zoneId", zone),
        ];
        let answer = self
            .client
            .call(spec.region, "CreateVpc", &parameters)
            .await?;
        Ok(Network {
            region: spec.region,
            vpc: text(&answer, "unVpcId")?,
            legacy_vpc: text(&answer, "vpcId")?,
            route_table: text(&answer["routeTableSet"][0], "routeTableId")?,
            cidr,
            subnet,
        })
    }

    /// Waits for a task's end and returns its output, and how long it took.
    ///
    /// # Errors
    /// The task's message when it failed.
    pub async fn await_task(
        &self,
        region: &str,
        answer: &Value,
    ) -> anyhow::Result<(Value, Duration)> {
        let task = answer["taskId"]
            .as_u64()
            .context("no integer taskId")?
            .to_string();
        let started = Instant::now();
        while started.elapsed() < TASK_TIMEOUT {
            let result = self
                .client
                .call(region, "DescribeVpcTaskResult", &[("taskId", &task)])
                .await?;
            let output = &result["data"]["output"];
            match result["data"]["status"].as_i64() {
                Some(0) => return Ok((output.clone(), started.elapsed())),
                Some(1) => bail!("task {task} failed: {}", text(output, "errorMsg")?),
                _ => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
        bail!(
            "task {task} did not end within {} s",
            TASK_TIMEOUT.as_secs()
        )
    }

    /// Asks for a peering, exactly as the API's own example does.
    ///
    /// # Errors
    /// What the API refused.
    pub async fn create_peering(
        &self,
        from: &Network,
        to: &Network,
        peer_uin: &str,
        mbps: u32,
    ) -> anyhow::Result<Value> {
        let mbps = mbps.to_string();
        let parameters = [
            ("vpcId", from.legacy_vpc.as_str()),
            ("peerVpcId", to.legacy_vpc.as_str()),
            ("peerUin", peer_uin),
            ("peeringConnectionName", "tses"),
            ("peerRegion", to.region),
            ("bandwidth", &mbps),
        ];
        self.client
            .call(from.region, "CreateVpcPeeringConnectionEx", &parameters)
            .await
    }

    /// Makes a peering between two of the own VPCs, waits for it and routes both ways.
    ///
    /// # Errors
    /// What the API refused, or why the task failed.
    pub async fn peer_own(&self, a: &Network, b: &Network, mbps: u32) -> anyhow::Result<String> {
        let answer = self.create_peering(a, b, &self.uin, mbps).await?;
        let (output, _) = self.await_task(a.region, &answer).await?;
        let peering = text(&output, "uniqVpcPeerId")?;
        self.create_route(a, &b.cidr, &peering).await?;
        self.create_route(b, &a.cidr, &peering).await?;
        Ok(peering)
    }

    /// Adds a route to a peering to the default route table.
    ///
    /// # Errors
    /// What the API refused.
    pub async fn create_route(
        &self,
        network: &Network,
        destination: &str,
        peering: &str,
    ) -> anyhow::Result<()> {
        let parameters = [
            ("vpcId", network.vpc.as_str()),
            ("routeTableId", network.route_table.as_str()),
            ("routeSet.0.destinationCidrBlock", destination),
            ("routeSet.0.nextType", "4"),
            ("routeSet.0.nextHub", peering),
        ];
        self.client
            .call(network.region, "CreateRoute", &parameters)
            .await
            .map(drop)
    }

    /// Calls an asynchronous action on a peering and waits for its task.
    ///
    /// # Errors
    /// What the API refused, or why the task failed.
    pub async fn act(
        &self,
        region: &str,
        action: &str,
        peering: &str,
        more: &[(&str, &str)],
    ) -> anyhow::Result<Duration> {
        let mut parameters = vec![("peeringConnectionId", peering)];
        parameters.extend_from_slice(more);
        let answer = self.client.call(region, action, &parameters).await?;
        self.await_task(region, &answer).await.map(|(_, took)| took)
    }
}
