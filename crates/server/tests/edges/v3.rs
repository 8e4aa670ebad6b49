//! API 3.0 as clients meet it on the wire, and who may call what.

use api::tencent::v3::field::{Field, Kind};
use api::tencent::v3::signature::{Credential, Signed, sign};
use api::tencent::v3::{Action, action};
use http::{HeaderMap, HeaderValue, Request};
use serde_json::{Map, Value, json};
use server::Dataplane;
use server::admin::{KeyChange, KeyRequest, KeyView};

use crate::bed::{Bed, SECRET_ID, SECRET_KEY, first};
use crate::client::{Answer, Caller, HOST, form};

const OWNER: u64 = 2_407_912_486;

/// A call in the making.
pub struct Call<'a> {
    action: &'a str,
    pub version: &'a str,
    body: Vec<u8>,
    content_type: &'static str,
    timestamp: i64,
    path: &'static str,
    pub region: &'static str,
    /// The host that is signed, when it is another than the one that is sent.
    signed_host: &'static str,
    pub more: Vec<(&'static str, &'static str)>,
}

impl<'a> Call<'a> {
    pub fn new(bed: &Bed, action: &'a str, body: &Value) -> Call<'a> {
        Call {
            action,
            version: "2017-03-12",
            body: body.to_string().into_bytes(),
            content_type: "application/json",
            timestamp: bed.clock_secs(),
            path: "/",
            region: "ap-guangzhou",
            signed_host: HOST,
            more: Vec::new(),
        }
    }

    pub async fn send(&self, bed: &Bed, caller: Option<&Caller>) -> Answer {
        let timestamp = self.timestamp.to_string();
        let mut headers = HeaderMap::new();
        let mut set = |name: &'static str, value: &str| {
            headers.insert(name, HeaderValue::from_str(value).unwrap());
        };
        set("content-type", self.content_type);
        set("x-tc-action", self.action);
        set("x-tc-version", self.version);
        set("x-tc-region", self.region);
        set("x-tc-timestamp", &timestamp);
        for (name, value) in &self.more {
            set(name, value);
        }
        if let Some(caller) = caller {
            let signed = Signed {
                method: "POST",
                query: "",
                host: self.signed_host,
                headers: &headers,
                body: &self.body,
                timestamp: &timestamp,
            };
            let credential = Credential {
                secret_id: &caller.secret_id,
                secret_key: caller.secret_key.as_bytes(),
                service: "vpc",
            };
            let header = sign(&signed, credential, "content-type;host").unwrap();
            headers.insert("authorization", header.parse().unwrap());
        }
        let mut request = Request::post(self.path);
        request.headers_mut().unwrap().extend(headers);
        bed.client().send(request, self.body.clone()).await
    }
}

pub async fn call(bed: &Bed, action: &str, body: &Value) -> Value {
    Call::new(bed, action, body)
        .send(bed, Some(&first()))
        .await
        .json()
}

pub fn code(answer: &Value) -> &str {
    answer["Response"]["Error"]["Code"].as_str().unwrap_or("")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_has_status_200_the_exact_content_type_and_a_request_id() {
    let bed = Bed::start(Dataplane::None).await;
    let caller = first();
    let mut ids = Vec::new();
    for (action, signer, expected) in [
        ("DescribeVpcs", Some(&caller), ""),
        ("DescribeVpcs", None, "AuthFailure.InvalidAuthorization"),
        ("DescribeMoon", Some(&caller), "InvalidAction"),
    ] {
        let mut sent = Call::new(&bed, action, &json!({}));
        sent.more.push(("x-tc-traceid", "8f0e-trace"));
        let answer = sent.send(&bed, signer).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.headers["content-type"], "application/json");
        assert_eq!(answer.headers["x-tc-traceid"], "8f0e-trace");
        let body = answer.json();
        assert_eq!(code(&body), expected, "{body}");
        assert_eq!(body.as_object().unwrap().len(), 1, "{body}");
        ids.push(body["Response"]["RequestId"].as_str().unwrap().to_owned());
    }
    ids.dedup();
    assert_eq!(ids.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_client_sends_has_its_code() {
    let bed = Bed::start(Dataplane::None).await;
    for method in ["PUT", "DELETE", "PATCH"] {
        let request = Request::builder().method(method).uri("/");
        let answer = bed.client().send(request, "").await;
        assert_eq!(answer.status, 200);
        assert_eq!(code(&answer.json()), "UnsupportedProtocol", "{method}");
    }
    let asked = json!({});
    let broken = |content_type, body: &[u8]| Call {
        content_type,
        body: body.to_vec(),
        ..Call::new(&bed, "DescribeVpcs", &asked)
    };
    for (sent, expected) in [
        (
            broken("multipart/form-data; boundary=b", b"--c\r\n"),
            "InvalidRequest",
        ),
        (broken("text/plain", b"{}"), "InvalidRequest"),
        (broken("application/json", b"{"), "InvalidParameter"),
        (
            broken("application/json", b"{\"Limit\": \"\xff\"}"),
            "InvalidParameterValue.NotUtf8EncodingError",
        ),
        (
            broken("application/x-www-form-urlencoded", b"Limit=%FF"),
            "InvalidParameterValue.NotUtf8EncodingError",
        ),
    ] {
        let answer = sent.send(&bed, Some(&first())).await.json();
        assert_eq!(code(&answer), expected, "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn equal_signatures_are_two_requests() {
    let bed = Bed::start(Dataplane::None).await;
    let body = json!({"VpcName": "twin", "CidrBlock": "10.50.0.0/16"});
    let mut sent = Call::new(&bed, "CreateVpc", &body);
    sent.more.push(("x-tc-content-sha256", "UNSIGNED-PAYLOAD"));
    let first_id = sent.send(&bed, Some(&first())).await.json();
    let second_id = sent.send(&bed, Some(&first())).await.json();
    let id = |answer: &Value| {
        answer["Response"]["Vpc"]["VpcId"]
            .as_str()
            .map(str::to_owned)
    };
    assert!(id(&first_id).is_some() && id(&second_id).is_some());
    assert_ne!(id(&first_id), id(&second_id));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timestamp_may_be_five_minutes_off() {
    let bed = Bed::start(Dataplane::None).await;
    for (offset, expected) in [
        (300, ""),
        (-300, ""),
        (301, "AuthFailure.SignatureExpire"),
        (-301, "AuthFailure.SignatureExpire"),
    ] {
        let mut sent = Call::new(&bed, "DescribeVpcs", &json!({}));
        sent.timestamp += offset;
        let answer = sent.send(&bed, Some(&first())).await.json();
        assert_eq!(code(&answer), expected, "{offset}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dialect_follows_from_path_and_version() {
    let bed = Bed::start(Dataplane::None).await;
    for path in ["/", "/v2/index.php", "/some/prefix"] {
        let mut sent = Call::new(&bed, "DescribeVpcs", &json!({}));
        sent.path = path;
        let answer = sent.send(&bed, Some(&first())).await.json();
        assert_eq!(answer["Response"]["TotalCount"], 2, "{path}: {answer}");
    }
    // Later clients that are pointed at the legacy API send a version there as well.
    for more in [&[][..], &[("Version", "2017-03-12")]] {
        let parameters = first().parameters(bed.clock_secs(), "gz", "DescribeVpcEx", more);
        let signed = first().sign(api::tencent::Method::Get, parameters);
        let target = format!("/v2/index.php?{}", form(&signed));
        let legacy = bed.client().send(Request::get(target), "").await.json();
        assert_eq!(legacy["totalCount"], 2, "{legacy}");
    }
    let nothing = bed.client().send(Request::get("/some/prefix"), "").await;
    assert_eq!(nothing.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_dialect_makes_the_other_manages() {
    let bed = Bed::start(Dataplane::None).await;
    let vpcs = call(&bed, "DescribeVpcs", &json!({})).await;
    let vpcs = vpcs["Response"]["VpcSet"].as_array().unwrap().clone();
    let body = json!({
        "SourceVpcId": vpcs[0]["VpcId"], "DestinationVpcId": vpcs[1]["VpcId"],
        "DestinationUin": OWNER.to_string(), "DestinationRegion": "ap-guangzhou",
        "PeeringConnectionName": "made in 3.0"
    });
    let made = call(&bed, "CreateVpcPeeringConnection", &body).await;
    let id = made["Response"]["PeeringConnectionId"].as_str().unwrap();
    let legacy = [
        ("peeringConnectionId", id),
        ("peeringConnectionName", "changed in 2"),
    ];
    bed.call("gz", "ModifyVpcPeeringConnection", &legacy).await;
    let asked = json!({"PeeringConnectionIds": [id]});
    let seen = call(&bed, "DescribeVpcPeeringConnections", &asked).await;
    let seen = &seen["Response"]["PeerConnectionSet"][0];
    assert_eq!(seen["PeeringConnectionName"], "changed in 2");
    bed.call("gz", "DeleteVpcPeeringConnection", &legacy[..1])
        .await;
    let gone = call(&bed, "DescribeVpcPeeringConnections", &asked).await;
    assert_eq!(gone["Response"]["TotalCount"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_checks_everything_and_changes_nothing() {
    let bed = Bed::start(Dataplane::None).await;
    for (cidr, expected) in [
        ("10.50.0.0/16", "DryRunOperation"),
        ("8.8.0.0/16", "InvalidParameterValue"),
    ] {
        let body = json!({"VpcName": "dry", "CidrBlock": cidr});
        let mut sent = Call::new(&bed, "CreateVpc", &body);
        sent.more.push(("x-peerway-dryrun", "true"));
        let answer = sent.send(&bed, Some(&first())).await.json();
        assert_eq!(code(&answer), expected, "{answer}");
    }
    // In the legacy dialect as well.
    for (cidr, expected) in [
        ("10.50.0.0/16", "DryRunOperation"),
        ("8.8.0.0/16", "InvalidVpcCidr"),
    ] {
        let parameters = [("vpcName", "dry"), ("cidrBlock", cidr)];
        let parameters = first().parameters(bed.clock_secs(), "gz", "CreateVpc", &parameters);
        let signed = first().sign(api::tencent::Method::Get, parameters);
        let target = format!("/v2/index.php?{}", form(&signed));
        let request = Request::get(target).header("x-peerway-dryrun", "true");
        let answer = bed.client().send(request, "").await.json();
        assert_eq!(answer["codeDesc"], expected, "{answer}");
    }
    let listed = call(&bed, "DescribeVpcs", &json!({})).await;
    assert_eq!(listed["Response"]["TotalCount"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_no_host_is_signed_as_it_is() {
    let bed = Bed::start(Dataplane::None).await;
    // The client of these tests sends one host; signing another must not pass.
    let mut sent = Call::new(&bed, "DescribeVpcs", &json!({}));
    sent.signed_host = "vpc.tencentcloudapi.com";
    let answer = sent.send(&bed, Some(&first())).await.json();
    assert_eq!(code(&answer), "AuthFailure.SignatureFailure");
}

fn sample(kind: &Kind) -> Value {
    match kind {
        Kind::Text => json!("10.99.0.0/16"),
        Kind::Name => json!("name"),
        Kind::Id(prefix) => json!(format!("{prefix}00000000")),
        Kind::Word(words) => json!(words[0]),
        Kind::Integer { least, .. } => json!(least),
        Kind::Limit(_) | Kind::Offset(_) => json!(1),
        Kind::Boolean(_) => json!(false),
        Kind::List { of, .. } => json!([sample(of)]),
        Kind::Object(fields) => body_of(fields),
        Kind::Filters(_) => json!([]),
        Kind::ClientToken => json!("token"),
    }
}

/// A body with what is required.
pub fn body_of(fields: &[Field]) -> Value {
    let required = fields.iter().filter(|field| field.required);
    let members: Map<String, Value> = required
        .map(|field| (field.name.to_owned(), sample(&field.kind)))
        .collect();
    Value::Object(members)
}

async fn ask(bed: &Bed, action: &Action, caller: Option<&Caller>) -> Value {
    let mut sent = Call::new(bed, action.name, &body_of(action.fields));
    sent.version = action.product.version();
    sent.send(bed, caller).await.json()
}

async fn key(bed: &Bed, read_only: bool) -> KeyView {
    let ask = KeyRequest {
        uin: OWNER,
        read_only,
        ..KeyRequest::default()
    };
    bed.admin().key_create(&ask).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_action_needs_a_key_that_may_be_used() {
    let bed = Bed::start(Dataplane::None).await;
    let read_only = key(&bed, true).await;
    let read_only = Caller::new(&read_only.secret_id, &read_only.secret_key);
    let disabled = key(&bed, false).await;
    let change = KeyChange {
        secret_id: disabled.secret_id.clone(),
        enabled: Some(false),
        read_only: None,
    };
    bed.admin().key_change(&change).await.unwrap();
    let disabled = Caller::new(&disabled.secret_id, &disabled.secret_key);
    let forged = Caller::new(SECRET_ID, "another secret");
    assert_ne!(forged.secret_key, SECRET_KEY);
    let unknown = Caller::new("AKIDnobody", SECRET_KEY);
    for action in action::all() {
        for (what, caller, expected) in [
            ("no key", None, "AuthFailure.InvalidAuthorization"),
            ("forged", Some(&forged), "AuthFailure.SignatureFailure"),
            ("unknown", Some(&unknown), "AuthFailure.SecretIdNotFound"),
            ("disabled", Some(&disabled), "AuthFailure.SecretIdNotFound"),
        ] {
            let answer = ask(&bed, action, caller).await;
            assert_eq!(code(&answer), expected, "{}, {what}: {answer}", action.name);
        }
        let answer = ask(&bed, action, Some(&read_only)).await;
        let is_refused = code(&answer) == "AuthFailure.UnauthorizedOperation";
        let may_write = action.is_write() && ["tag", "vpc"].contains(&action.product.service());
        // What is wrong with the parameters is told before what the key may do.
        let is_judged = !matches!(
            code(&answer).split('.').next(),
            Some("InvalidParameterValue" | "MissingParameter" | "UnsupportedOperation")
        );
        assert_eq!(
            is_refused,
            may_write && is_judged,
            "{}: {answer}",
            action.name
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vpc_is_extended_and_each_way_it_cannot_be_has_its_code() {
    let bed = Bed::start(Dataplane::None).await;
    let made = call(
        &bed,
        "CreateVpc",
        &json!({"VpcName": "wide", "CidrBlock": "10.60.0.0/16"}),
    )
    .await;
    let vpc = made["Response"]["Vpc"]["VpcId"].clone();
    let ask = async |action: &str, more: Value| {
        let mut body = more;
        body["VpcId"] = vpc.clone();
        call(&bed, action, &body).await
    };
    let create =
        async |blocks: Value| ask("CreateAssistantCidr", json!({"CidrBlocks": blocks})).await;
    let set = |answer: &Value| -> Vec<String> {
        let blocks = answer["Response"]["AssistantCidrSet"].as_array().unwrap();
        let block = |one: &Value| one["CidrBlock"].as_str().unwrap().to_owned();
        blocks.iter().map(block).collect()
    };
    let added = create(json!(["172.16.0.0/16", "10.61.0.0/24"])).await;
    assert_eq!(set(&added), ["172.16.0.0/16", "10.61.0.0/24"], "{added}");
    let subnet = json!({"SubnetName": "s", "CidrBlock": "172.16.1.0/24", "Zone": "ap-guangzhou-1"});
    let subnet = ask("CreateSubnet", subnet).await;
    let subnet = subnet["Response"]["Subnet"]["SubnetId"].clone();
    let seen = call(&bed, "DescribeVpcs", &json!({"VpcIds": [vpc]})).await;
    let shown = &seen["Response"]["VpcSet"][0]["AssistantCidrSet"][0];
    assert_eq!(shown["SubnetSet"][0]["SubnetId"], subnet, "{seen}");

    let many: Vec<String> = (0..101).map(|n| format!("10.62.{n}.0/24")).collect();
    for (action, body, expected) in [
        ("Create", json!({"CidrBlocks": []}), "InvalidParameterValue"),
        (
            "Create",
            json!({"CidrBlocks": "10.62.0.0/16"}),
            "InvalidParameter",
        ),
        ("Create", json!({}), "MissingParameter"),
        (
            "Create",
            json!({"CidrBlocks": many}),
            "InvalidParameterValue.LimitExceeded",
        ),
        (
            "Create",
            json!({"CidrBlocks": ["10.62.0.0"]}),
            "InvalidParameterValue.SubnetRange",
        ),
        (
            "Create",
            json!({"CidrBlocks": ["10.62.0.1/24"]}),
            "InvalidParameterValue.SubnetRange",
        ),
        (
            "Create",
            json!({"CidrBlocks": ["8.8.8.0/24"]}),
            "InvalidParameterValue.SubnetRange",
        ),
        (
            "Create",
            json!({"CidrBlocks": ["10.60.9.0/24"]}),
            "InvalidParameterValue.VpcCidrConflict",
        ),
        (
            "Create",
            json!({"CidrBlocks": ["172.16.0.0/12"]}),
            "InvalidParameterValue.SubnetOverlapAssistCidr",
        ),
        (
            "Create",
            json!({"CidrBlocks": ["10.62.0.0/24", "10.62.0.0/24"]}),
            "InvalidParameterValue.Duplicate",
        ),
        (
            "Create",
            json!({"CidrBlocks": ["10.62.0.0/24", "10.63.0.0/24", "10.64.0.0/24", "10.65.0.0/24"]}),
            "LimitExceeded",
        ),
        (
            "Delete",
            json!({"CidrBlocks": ["172.16.0.0/16"]}),
            "ResourceInUse",
        ),
        (
            "Delete",
            json!({"CidrBlocks": ["10.99.0.0/24"]}),
            "ResourceNotFound",
        ),
        (
            "Delete",
            json!({"CidrBlocks": ["10.60.0.0/16"]}),
            "ResourceNotFound",
        ),
        ("Modify", json!({}), "MissingParameter"),
        (
            "Modify",
            json!({"OldCidrBlocks": ["172.16.0.0/16"]}),
            "ResourceInUse",
        ),
        ("Check", json!({"NewCidrBlocks": []}), "MissingParameter"),
        (
            "Check",
            json!({"OldCidrBlocks": ["10.99.0.0/24"]}),
            "ResourceNotFound",
        ),
    ] {
        let answer = ask(&format!("{action}AssistantCidr"), body.clone()).await;
        assert_eq!(code(&answer), expected, "{action} {body}: {answer}");
    }

    let checked = ask(
        "CheckAssistantCidr",
        json!({"NewCidrBlocks": ["10.60.1.0/24"]}),
    )
    .await;
    let conflict = json!([{"ConflictSourceId": vpc, "SourceItem": "10.60.1.0/24", "ConflictItemSet": [
        {"ConflictId": vpc, "DestinationItem": "10.60.0.0/16", "ConfilctId": vpc}
    ]}]);
    assert_eq!(
        checked["Response"]["ConflictSourceSet"], conflict,
        "{checked}"
    );
    let swap = json!({"OldCidrBlocks": ["10.61.0.0/24"], "NewCidrBlocks": ["10.61.0.0/16"]});
    let free = ask("CheckAssistantCidr", swap.clone()).await;
    assert_eq!(free["Response"]["ConflictSourceSet"], json!([]), "{free}");
    let swapped = ask("ModifyAssistantCidr", swap).await;
    assert_eq!(set(&swapped), ["10.61.0.0/16"], "{swapped}");

    let describe = async |body: Value| call(&bed, "DescribeAssistantCidr", &body).await;
    let all = describe(json!({"VpcIds": [vpc]})).await;
    assert_eq!(set(&all), ["172.16.0.0/16", "10.61.0.0/16"]);
    let filter = json!([{"Name": "vpc-id", "Values": [vpc]}]);
    let part = describe(json!({"Filters": filter, "Offset": 1, "Limit": 1})).await;
    assert_eq!(
        (set(&part), &part["Response"]["TotalCount"]),
        (vec!["10.61.0.0/16".to_owned()], &json!(2))
    );
    for (body, expected) in [
        (
            json!({"VpcIds": [vpc], "Filters": filter}),
            "InvalidParameter.Coexist",
        ),
        (
            json!({"Filters": [{"Name": "vpc-name", "Values": ["x"]}]}),
            "InvalidParameter",
        ),
        (
            json!({"VpcIds": ["vpc-1"]}),
            "InvalidParameterValue.Malformed",
        ),
        (json!({"VpcIds": ["vpc-00000000"]}), "ResourceNotFound"),
        (json!({"Limit": 0}), "InvalidParameterValue.Range"),
        (json!({"Limit": 101}), "InvalidParameterValue"),
        (json!({"Offset": -1}), "InvalidParameterValue.Range"),
    ] {
        let answer = describe(body.clone()).await;
        assert_eq!(code(&answer), expected, "{body}: {answer}");
    }
    let limits = json!({"LimitTypes": ["vpc-max-assistant_cidrs"]});
    let limits = call(&bed, "DescribeVpcLimits", &limits).await;
    assert_eq!(
        limits["Response"]["VpcLimitSet"][0]["LimitValue"], 5,
        "{limits}"
    );

    call(&bed, "DeleteSubnet", &json!({"SubnetId": subnet})).await;
    let deleted = ask(
        "DeleteAssistantCidr",
        json!({"CidrBlocks": ["172.16.0.0/16", "10.61.0.0/16"]}),
    )
    .await;
    assert_eq!(code(&deleted), "", "{deleted}");
    assert_eq!(
        describe(json!({"VpcIds": [vpc]})).await["Response"]["TotalCount"],
        0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_leads_to_something_that_the_peer_has() {
    let bed = Bed::start(Dataplane::None).await;
    let vpcs = call(&bed, "DescribeVpcs", &json!({})).await;
    let vpcs = vpcs["Response"]["VpcSet"].as_array().unwrap().clone();
    let of = |cidr: &str| vpcs.iter().find(|vpc| vpc["CidrBlock"] == cidr).unwrap();
    let (web, data) = (of("10.226.0.0/16"), of("10.89.0.0/16"));
    let peering = json!({
        "SourceVpcId": web["VpcId"], "DestinationVpcId": data["VpcId"],
        "DestinationUin": OWNER.to_string(), "DestinationRegion": "ap-guangzhou",
        "PeeringConnectionName": "p",
    });
    let peering = call(&bed, "CreateVpcPeeringConnection", &peering).await;
    let peering = &peering["Response"]["PeeringConnectionId"];
    let filter = json!({"Filters": [{"Name": "vpc-id", "Values": [web["VpcId"]]}]});
    let tables = call(&bed, "DescribeRouteTables", &filter).await;
    let table = &tables["Response"]["RouteTableSet"][0]["RouteTableId"];
    for (destination, expected) in [
        ("10.90.0.0/16", "InvalidParameterValue.CidrNotInPeerVpc"),
        ("10.226.1.0/24", "InvalidParameterValue.VpcCidrConflict"),
        ("10.89.1.0/24", ""),
        ("10.89.0.0/16", ""),
        ("10.0.0.0/8", ""),
    ] {
        let route = json!({
            "DestinationCidrBlock": destination, "GatewayType": "PEERCONNECTION",
            "GatewayId": peering,
        });
        let asked = json!({"RouteTableId": table, "Routes": [route]});
        let answer = call(&bed, "CreateRoutes", &asked).await;
        assert_eq!(code(&answer), expected, "{destination}: {answer}");
    }
    // The legacy API takes any destination.
    let legacy = [
        ("vpcId", "gz_vpc_226"),
        ("routeTableId", "gz_rtb_1"),
        ("routeSet.0.destinationCidrBlock", "10.91.0.0/16"),
        ("routeSet.0.nextType", "4"),
        ("routeSet.0.nextHub", peering.as_str().unwrap()),
    ];
    let table = tables["Response"]["RouteTableSet"][0]["RouteTableId"]
        .as_str()
        .unwrap();
    let legacy = legacy.map(|(name, value)| match name {
        "routeTableId" => (name, table),
        _ => (name, value),
    });
    bed.call("gz", "CreateRoute", &legacy).await;
}
