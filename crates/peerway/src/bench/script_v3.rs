//! What the clients of API 3.0 ask for: the same as those of the legacy API, signed with
//! TC3-HMAC-SHA256.

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::mpsc::Sender;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, ensure};
use api::tencent::v3::signature::{self, Credential, Signed};
use hyper::HeaderMap;
use hyper::header::HeaderValue;
use serde_json::{Value, json};

use super::load::Script;
use super::script::Pages;
use super::seed::{Client, Pair};

/// Entries of a listed page.
const PAGE: usize = 20;

/// The names of what is asked, as reports give them.
pub(super) const LIST: &str = "3.0 DescribeVpcPeeringConnections";
/// Any page of the list.
pub(super) const LIST_ANY: &str = "3.0 DescribeVpcPeeringConnections, any page";
/// The first VPCs.
pub(super) const LIST_VPCS: &str = "3.0 DescribeVpcs";
/// A new peering.
pub(super) const CREATE: &str = "3.0 CreateVpcPeeringConnection";
/// The end of a peering.
pub(super) const DELETE: &str = "3.0 DeleteVpcPeeringConnection";

const SIGNED_HEADERS: &str = "content-type;host";

/// Signs the requests of one client.
pub(super) struct Signer {
    host: String,
    secret_id: String,
    secret_key: String,
    headers: HeaderMap,
}

impl Signer {
    /// A signer for a client of a server.
    pub(super) fn new(client: &Client, server: SocketAddr) -> Signer {
        let mut headers = HeaderMap::new();
        let media_type = HeaderValue::from_static("application/json");
        headers.insert("content-type", media_type);
        Signer {
            host: server.to_string(),
            secret_id: client.secret_id.clone(),
            secret_key: client.secret_key.clone(),
            headers,
        }
    }

    fn write(&self, action: &str, body: &Value, request: &mut Vec<u8>) {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        let (timestamp, body) = (now.to_string(), body.to_string());
        let signed = Signed {
            method: "POST",
            query: "",
            host: &self.host,
            headers: &self.headers,
            body: body.as_bytes(),
            timestamp: &timestamp,
        };
        let credential = Credential {
            secret_id: &self.secret_id,
            secret_key: self.secret_key.as_bytes(),
            service: "vpc",
        };
        let authorization = signature::sign(&signed, credential, SIGNED_HEADERS)
            .expect("both headers are there and the time is a time");
        write!(
            request,
            "POST / HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\n\
             authorization: {authorization}\r\nx-tc-action: {action}\r\nx-tc-version: 2017-03-12\r\n\
             x-tc-region: ap-guangzhou\r\nx-tc-timestamp: {timestamp}\r\ncontent-length: {}\r\n\r\n{body}",
            self.host,
            body.len(),
        )
        .expect("writing to a vector cannot fail");
    }
}

/// Checks that an answer is no error.
fn check(body: &[u8]) -> anyhow::Result<()> {
    // Reading every answer whole would cost more than making it.
    if body.starts_with(b"{\"Response\":{") && !body.starts_with(b"{\"Response\":{\"Error\"") {
        return Ok(());
    }
    parse(body).map(drop)
}

fn parse(body: &[u8]) -> anyhow::Result<Value> {
    let mut answer: Value = serde_json::from_slice(body).context("an answer is no JSON")?;
    let response = answer["Response"].take();
    ensure!(response["Error"].is_null(), "{response}");
    Ok(response)
}

/// Lists peerings for ever.
pub(super) struct Lister {
    signer: Signer,
    visible: usize,
    pages: Pages,
    is_checked: bool,
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
        let page = json!({"Offset": offset, "Limit": PAGE});
        self.signer
            .write("DescribeVpcPeeringConnections", &page, request);
        Some(name)
    }

    fn take(&mut self, body: &[u8]) -> anyhow::Result<()> {
        if self.is_checked {
            return check(body);
        }
        // The first answer is read whole: the others have the same form.
        let answer = parse(body)?;
        let listed = answer["PeerConnectionSet"].as_array().map_or(0, Vec::len);
        let total = answer["TotalCount"].as_u64().unwrap_or(0);
        ensure!(
            listed == PAGE.min(self.visible) && total >= self.visible as u64,
            "{listed} of {total} peerings are listed, {} are there",
            self.visible
        );
        self.is_checked = true;
        Ok(())
    }
}

/// Lists the VPCs of its account for ever.
pub(super) struct VpcLister(pub(super) Signer);

impl Script for VpcLister {
    fn ask(&mut self, request: &mut Vec<u8>) -> Option<&'static str> {
        self.0
            .write("DescribeVpcs", &json!({"Limit": "20"}), request);
        Some(LIST_VPCS)
    }

    fn take(&mut self, body: &[u8]) -> anyhow::Result<()> {
        check(body)
    }
}

/// Creates a peering for each of its pairs, and sends their ids when it is dropped.
pub(super) struct Creator {
    signer: Signer,
    uin: String,
    pairs: std::vec::IntoIter<Pair>,
    made: Vec<String>,
    done: Sender<(usize, Vec<String>)>,
    number: usize,
}

impl Creator {
    /// The client with a number.
    pub(super) fn new(
        signer: Signer,
        client: &Client,
        number: usize,
        done: Sender<(usize, Vec<String>)>,
    ) -> Creator {
        Creator {
            signer,
            uin: client.uin.clone(),
            pairs: client.pairs.clone().into_iter(),
            made: Vec::new(),
            done,
            number,
        }
    }
}

impl Script for Creator {
    fn ask(&mut self, request: &mut Vec<u8>) -> Option<&'static str> {
        let pair = self.pairs.next()?;
        let body = json!({
            "SourceVpcId": pair.requester_id.to_string(),
            "DestinationVpcId": pair.accepter_id.to_string(),
            "DestinationUin": self.uin,
            "DestinationRegion": "ap-shanghai",
            "PeeringConnectionName": "bench",
            "Bandwidth": 100,
        });
        self.signer
            .write("CreateVpcPeeringConnection", &body, request);
        Some(CREATE)
    }

    fn take(&mut self, body: &[u8]) -> anyhow::Result<()> {
        match parse(body)?["PeeringConnectionId"].take() {
            Value::String(id) => {
                self.made.push(id);
                Ok(())
            }
            other => anyhow::bail!("no id of a peering but {other}"),
        }
    }
}

impl Drop for Creator {
    fn drop(&mut self) {
        // Nobody waits for them when the load failed.
        let _ = self
            .done
            .send((self.number, std::mem::take(&mut self.made)));
    }
}

/// Deletes peerings.
pub(super) struct Deleter {
    signer: Signer,
    peerings: std::vec::IntoIter<String>,
}

impl Deleter {
    /// Deletes these.
    pub(super) fn new(signer: Signer, peerings: Vec<String>) -> Deleter {
        Deleter {
            signer,
            peerings: peerings.into_iter(),
        }
    }
}

impl Script for Deleter {
    fn ask(&mut self, request: &mut Vec<u8>) -> Option<&'static str> {
        let body = json!({"PeeringConnectionId": self.peerings.next()?});
        self.signer
            .write("DeleteVpcPeeringConnection", &body, request);
        Some(DELETE)
    }

    fn take(&mut self, body: &[u8]) -> anyhow::Result<()> {
        check(body)
    }
}
