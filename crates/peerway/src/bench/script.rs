//! What the clients of the API ask for, each request signed for itself.

use std::io::Write as _;
use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail, ensure};
use api::tencent::parameters::Parameters;
use api::tencent::signature::{self, Method, SignedRequest};
use serde_json::Value;

use super::load::Script;
use super::seed::{Client, Pair};

/// Entries of a listed page.
const PAGE: usize = 20;

/// The names of what is asked, as reports give them.
pub(super) const LIST: &str = "DescribeVpcPeeringConnections";
/// Any page of the list.
pub(super) const LIST_ANY: &str = "DescribeVpcPeeringConnections, any page";
/// The first VPCs.
pub(super) const LIST_VPCS: &str = "DescribeVpcEx";
/// A new peering.
pub(super) const CREATE: &str = "CreateVpcPeeringConnectionEx";
/// How far a task is.
pub(super) const TASK: &str = "DescribeVpcTaskResult";
/// The end of a peering.
pub(super) const DELETE: &str = "DeleteVpcPeeringConnectionEx";

/// Signs the requests of one client.
pub(super) struct Signer {
    host: String,
    secret_id: String,
    secret_key: String,
    nonce: u64,
}

impl Signer {
    /// A signer whose nonces are its own among all with another number.
    pub(super) fn new(client: &Client, server: SocketAddr, number: usize) -> Signer {
        Signer {
            host: server.to_string(),
            secret_id: client.secret_id.clone(),
            secret_key: client.secret_key.clone(),
            nonce: (number as u64 + 1) << 40 | u64::from(rand::random::<u16>()) << 24,
        }
    }

    fn write(&mut self, action: &str, more: &[(&str, &str)], request: &mut Vec<u8>) {
        self.nonce += 1;
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        let mut parameters = Parameters::default();
        parameters.push("Action", action);
        parameters.push("Region", "gz");
        parameters.push("Timestamp", now.to_string());
        parameters.push("Nonce", self.nonce.to_string());
        parameters.push("SecretId", self.secret_id.as_str());
        parameters.push("SignatureMethod", "HmacSHA256");
        for (name, value) in more {
            parameters.push(*name, *value);
        }
        let signed = SignedRequest {
            method: Method::Get,
            host: &self.host,
            path: signature::PATH,
            parameters: &parameters,
        };
        let signature = signature::sign(&signed, self.secret_key.as_bytes());
        parameters.push("Signature", signature);
        write!(
            request,
            "GET {}?{} HTTP/1.1\r\nhost: {}\r\n\r\n",
            signature::PATH,
            parameters.to_form(),
            self.host
        )
        .expect("writing to a vector cannot fail");
    }
}

/// Checks that an answer has code 0.
fn check(body: &[u8]) -> anyhow::Result<()> {
    // Every answer begins like this; reading them whole would cost more than making them.
    if body.starts_with(b"{\"code\":0,") && body.ends_with(b"}") {
        return Ok(());
    }
    parse(body).map(drop)
}

fn parse(body: &[u8]) -> anyhow::Result<Value> {
    let answer: Value = serde_json::from_slice(body).context("an answer is no JSON")?;
    ensure!(answer["code"] == 0, "{answer}");
    Ok(answer)
}

/// Lists peerings for ever.
pub(super) struct Lister {
    signer: Signer,
    visible: usize,
    pages: Pages,
    is_checked: bool,
}

/// Lists the VPCs of its account for ever, whose answers keep no rows.
pub(super) struct VpcLister(pub(super) Signer);

impl Script for VpcLister {
    fn ask(&mut self, request: &mut Vec<u8>) -> Option<&'static str> {
        self.0.write(LIST_VPCS, &[("limit", "20")], request);
        Some(LIST_VPCS)
    }

    fn take(&mut self, body: &[u8]) -> anyhow::Result<()> {
        check(body)
    }
}

/// Which part of the list is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pages {
    /// The newest entries.
    First,
    /// Another part each time.
    Any,
}

impl Lister {
    /// A client that lists what its account sees.
    pub(super) fn new(signer: Signer, client: &Client, pages: Pages) -> Lister {
        Lister {
            signer,
            visible: client.visible,
            pages,
            is_checked: false,
        }
    }
}

impl Script for Lister {
    fn ask(&mut self, request: &mut Vec<u8>) -> Option<&'static str> {
        let last = self.visible.saturating_sub(PAGE);
        let (name, offset) = match self.pages {
            Pages::First => (LIST, 0),
            Pages::Any => (LIST_ANY, rand::random_range(0..=last)),
        };
        let (offset, limit) = (offset.to_string(), PAGE.to_string());
        let page = [("limit", limit.as_str()), ("offset", offset.as_str())];
        self.signer.write(LIST, &page, request);
        Some(name)
    }

    fn take(&mut self, body: &[u8]) -> anyhow::Result<()> {
        if self.is_checked {
            return check(body);
        }
        // The first answer is read whole: the others have the same form.
        let answer = parse(body)?;
        let listed = answer["data"].as_array().map_or(0, Vec::len);
        let total = answer["totalCount"].as_u64().unwrap_or(0);
        ensure!(
            listed == PAGE.min(self.visible) && total >= self.visible as u64,
            "{listed} of {total} peerings are listed, {} are there",
            self.visible
        );
        self.is_checked = true;
        Ok(())
    }
}

fn ask_create(signer: &mut Signer, uin: &str, pair: &Pair, request: &mut Vec<u8>) -> &'static str {
    let parameters = [
        ("vpcId", pair.requester.as_str()),
        ("peerVpcId", &pair.accepter),
        ("peerUin", uin),
        ("peeringConnectionName", "bench"),
        ("peerRegion", "sh"),
        ("bandwidth", "100"),
    ];
    signer.write(CREATE, &parameters, request);
    CREATE
}

fn task_of(body: &[u8]) -> anyhow::Result<u64> {
    let answer = parse(body)?;
    answer["taskId"].as_u64().context("no integer taskId")
}

/// The peering of a create that has succeeded.
fn peering_of(body: &[u8]) -> anyhow::Result<String> {
    let mut answer = parse(body)?;
    let data = &mut answer["data"];
    ensure!(data["status"] == 0, "the task has not succeeded: {data}");
    match data["output"]["uniqVpcPeerId"].take() {
        Value::String(peering) => Ok(peering),
        _ => bail!("the task's result does not name its peering"),
    }
}

/// Creates a peering for each of its pairs, and sends the numbers of the tasks when it is dropped.
pub(super) struct Creator {
    signer: Signer,
    uin: String,
    pairs: std::vec::IntoIter<Pair>,
    tasks: Vec<u64>,
    done: std::sync::mpsc::Sender<(usize, Vec<u64>)>,
    number: usize,
}

impl Creator {
    /// The client with a number.
    pub(super) fn new(
        signer: Signer,
        client: &Client,
        number: usize,
        done: std::sync::mpsc::Sender<(usize, Vec<u64>)>,
    ) -> Creator {
        Creator {
            signer,
            uin: client.uin.clone(),
            pairs: client.pairs.clone().into_iter(),
            tasks: Vec::new(),
            done,
            number,
        }
    }
}

impl Script for Creator {
    fn ask(&mut self, request: &mut Vec<u8>) -> Option<&'static str> {
        let pair = self.pairs.next()?;
        Some(ask_create(&mut self.signer, &self.uin, &pair, request))
    }

    fn take(&mut self, body: &[u8]) -> anyhow::Result<()> {
        self.tasks.push(task_of(body)?);
        Ok(())
    }
}

impl Drop for Creator {
    fn drop(&mut self) {
        // Nobody waits for them when the load failed.
        let _ = self
            .done
            .send((self.number, std::mem::take(&mut self.tasks)));
    }
}

/// What was answered last, and so what comes next, in the life of a peering.
enum Step {
    Begin,
    Created { task: u64 },
    Known { peering: String },
}

/// Deletes the peerings of creates.
pub(super) struct Deleter {
    signer: Signer,
    tasks: std::vec::IntoIter<u64>,
    step: Step,
}

impl Deleter {
    /// Deletes what these tasks created.
    pub(super) fn new(signer: Signer, tasks: Vec<u64>) -> Deleter {
        Deleter {
            signer,
            tasks: tasks.into_iter(),
            step: Step::Begin,
        }
    }
}

fn ask_next(signer: &mut Signer, step: &Step, request: &mut Vec<u8>) -> Option<&'static str> {
    match step {
        Step::Begin => None,
        Step::Created { task } => {
            signer.write(TASK, &[("taskId", &task.to_string())], request);
            Some(TASK)
        }
        Step::Known { peering } => {
            signer.write(DELETE, &[("peeringConnectionId", peering)], request);
            Some(DELETE)
        }
    }
}

fn step_after(step: &Step, body: &[u8]) -> anyhow::Result<Step> {
    match step {
        Step::Begin => Ok(Step::Created {
            task: task_of(body)?,
        }),
        Step::Created { .. } => Ok(Step::Known {
            peering: peering_of(body)?,
        }),
        Step::Known { .. } => check(body).map(|()| Step::Begin),
    }
}

impl Script for Deleter {
    fn ask(&mut self, request: &mut Vec<u8>) -> Option<&'static str> {
        if matches!(self.step, Step::Begin) {
            let task = self.tasks.next()?;
            self.step = Step::Created { task };
        }
        ask_next(&mut self.signer, &self.step, request)
    }

    fn take(&mut self, body: &[u8]) -> anyhow::Result<()> {
        let taken = step_after(&self.step, body);
        self.step = Step::Begin;
        self.step = taken?;
        Ok(())
    }

    fn can_end(&self) -> bool {
        false
    }
}

/// Creates, asks for the task and deletes, over and over, with one pair of VPCs of which the
/// requester's has all its other peerings.
pub(super) struct Story {
    signer: Signer,
    uin: String,
    pair: Pair,
    step: Step,
}

impl Story {
    /// The client at its star.
    pub(super) fn new(signer: Signer, client: &Client) -> Story {
        Story {
            signer,
            uin: client.uin.clone(),
            pair: client.star.clone(),
            step: Step::Begin,
        }
    }
}

impl Script for Story {
    fn ask(&mut self, request: &mut Vec<u8>) -> Option<&'static str> {
        ask_next(&mut self.signer, &self.step, request)
            .or_else(|| Some(ask_create(&mut self.signer, &self.uin, &self.pair, request)))
    }

    fn take(&mut self, body: &[u8]) -> anyhow::Result<()> {
        let taken = step_after(&self.step, body);
        self.step = Step::Begin;
        self.step = taken?;
        Ok(())
    }

    fn can_end(&self) -> bool {
        matches!(self.step, Step::Begin)
    }
}
