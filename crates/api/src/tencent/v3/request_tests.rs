//! Whole requests, as clients send them, from their bytes to commands.

use http::{HeaderName, HeaderValue};
use model::command::{
    Direction, Order, PeeringFilter, PeeringStateFilter, Reach, Reply, RouteSelector,
};
use model::{Bandwidth, DomainError, Uin};

use super::*;
use crate::tencent::v3::error::Fault;
use crate::tencent::v3::signature::Credential;

const ID: &str = "AKIDEXAMPLE0000000000000000000000000";
const KEY: &[u8] = b"SecretKeyExample0000000000000000";
const NOW: &str = "1700000000";
const CREATE: &str = r#"{"SourceVpcId":"vpc-aaaaaaaa","PeeringConnectionName":"example","DestinationVpcId":"vpc-bbbbbbbb","DestinationUin":"100000000001","DestinationRegion":"ap-shanghai"}"#;

/// A request in the making.
#[derive(Clone)]
struct Draft {
    method: Method,
    path: &'static str,
    query: String,
    host: &'static str,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Draft {
    fn json(action: &str, body: &str) -> Draft {
        Draft {
            method: Method::POST,
            path: "/",
            query: String::new(),
            host: "vpc.tencentcloudapi.com",
            headers: HeaderMap::new(),
            body: body.as_bytes().to_vec(),
        }
        .with("content-type", "application/json")
        .with("X-TC-Action", action)
        .with("X-TC-Version", "2017-03-12")
        .with("X-TC-Region", "ap-guangzhou")
        .with("X-TC-Timestamp", NOW)
    }

    fn with(mut self, name: &str, value: &str) -> Draft {
        let name: HeaderName = name.parse().unwrap();
        self.headers
            .insert(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        self
    }

    fn without(mut self, name: &str) -> Draft {
        self.headers.remove(name);
        self
    }

    fn signed(self) -> Draft {
        let is_get = self.method == Method::GET;
        let signed = Signed {
            method: self.method.as_str(),
            query: if is_get { &self.query } else { "" },
            host: self.host,
            headers: &self.headers,
            body: if is_get { b"" } else { &self.body },
            timestamp: NOW,
        };
        let credential = Credential {
            secret_id: ID,
            secret_key: KEY,
            service: "vpc",
        };
        let header = signature::sign(&signed, credential, "content-type;host").unwrap();
        self.with("Authorization", &header)
    }

    fn incoming(&self) -> Incoming<'_> {
        Incoming {
            method: &self.method,
            path: self.path,
            query: &self.query,
            host: self.host,
            headers: &self.headers,
            body: &self.body,
        }
    }

    fn parse(&self) -> Result<Parsed, Error> {
        let request = Request::read(self.incoming())?;
        assert_eq!(request.secret_id(), ID);
        assert_eq!(request.timestamp(), 1_700_000_000);
        request.verify(KEY)?;
        request.command(request.action()?, Uin(7), &Limits::default())
    }

    fn code(&self) -> &'static str {
        match self.parse() {
            Ok(parsed) => panic!("{:?} was accepted", parsed.command),
            Err(error) => {
                let request = Request::read(self.incoming()).ok();
                error.code(request.and_then(|request| request.action().ok()))
            }
        }
    }
}

fn code(action: &str, body: &str) -> &'static str {
    Draft::json(action, body).signed().code()
}

fn command(action: &str, body: &str) -> Command {
    Draft::json(action, body).signed().parse().unwrap().command
}

const V1_PARAMETERS: [(&str, &str); 9] = [
    ("Action", "DescribeVpcPeeringConnections"),
    ("Version", "2017-03-12"),
    ("Region", "ap-guangzhou"),
    ("Timestamp", NOW),
    ("Nonce", "11886"),
    ("SecretId", ID),
    ("Filters.0.Name", "peering-connection-name"),
    ("Filters.0.Values.0", "\u{7814}\u{53d1} a&b=c"),
    ("Limit", "20"),
];

/// A v1 request with a signature; `Offset=0` completes the parameters of the vectors.
fn v1(method: &Method, signature_method: Option<&str>, signature: &str) -> Draft {
    let mut parameters = Parameters::from_iter(V1_PARAMETERS);
    parameters.push("Offset", "0");
    if let Some(signature_method) = signature_method {
        parameters.push("SignatureMethod", signature_method);
    }
    parameters.push("Signature", signature);
    let form = parameters.to_form();
    let draft = Draft {
        method: method.clone(),
        headers: HeaderMap::new(),
        ..Draft::json("", "")
    };
    if *method == Method::GET {
        return Draft {
            query: form,
            body: Vec::new(),
            ..draft
        };
    }
    let draft = Draft {
        body: form.into_bytes(),
        ..draft
    };
    draft.with(
        "content-type",
        "application/x-www-form-urlencoded; charset=utf-8",
    )
}

#[test]
fn version_1_signatures_of_this_api_verify() {
    for (method, signature_method, signature) in [
        (
            Method::GET,
            Some("HmacSHA256"),
            "xnPyldbffXRA4vvHa+VDbM1ufOQt+dpcHJot7Jmp93g=",
        ),
        (
            Method::GET,
            Some("HmacSHA1"),
            "MDUO/UlrBeHE4g4HdAj2ZEHzNjU=",
        ),
        (Method::GET, None, "PyikJWzCx2X+fbo6VHU9Fral6aI="),
        (
            Method::POST,
            Some("HmacSHA256"),
            "+YoNaMwdT5h9CY+NGvLwqcn+tJKc73Qpy8aiqmRyvQk=",
        ),
        (
            Method::POST,
            Some("HmacSHA1"),
            "STF8SKqJtZguZg2r/qNuvy4Mn4s=",
        ),
        (Method::POST, None, "X8Flm6K07bjz13mwVUyLqaotpv0="),
    ] {
        let parsed = v1(&method, signature_method, signature).parse();
        let Ok(Parsed {
            command: Command::PeeringList(query),
            ..
        }) = parsed
        else {
            panic!("{method} {signature_method:?} was refused");
        };
        let name = "\u{7814}\u{53d1} a&b=c".to_owned();
        assert_eq!(query.filters, [PeeringFilter::Names(vec![name])]);
    }
    let published = Parameters::from_iter([
        ("Action", "DescribeInstances"),
        ("InstanceIds.0", "ins-09dx96dg"),
        ("Limit", "20"),
        ("Nonce", "11886"),
        ("Offset", "0"),
        ("Region", "ap-guangzhou"),
        ("SecretId", "AKIDz8krbsJ5yKBZQpn74WFkmLPx3EXAMPLE"),
        ("Timestamp", "1465185768"),
        ("Version", "2017-03-12"),
        ("Signature", "EliP9YW3pW28FpsEdkXt/+WcGeI="),
    ]);
    let query = published.to_form();
    let draft = Draft {
        method: Method::GET,
        host: "cvm.tencentcloudapi.com",
        headers: HeaderMap::new(),
        query,
        ..Draft::json("", "")
    };
    let request = Request::read(draft.incoming()).unwrap();
    assert_eq!(request.verify(b"Gu5t9xGARNpq86cd98joQYCN3EXAMPLE"), Ok(()));
}

#[test]
fn a_wrong_version_1_signature_is_refused_and_a_missing_one_as_well() {
    let wrong = v1(&Method::GET, None, "MDUO/UlrBeHE4g4HdAj2ZEHzNjU=");
    assert_eq!(wrong.code(), "AuthFailure.SignatureFailure");
    for draft in [
        v1(&Method::GET, None, ""),
        v1(&Method::POST, None, ""),
        Draft {
            query: String::new(),
            ..v1(&Method::GET, None, "x")
        },
        Draft::json("DescribeVpcPeeringConnections", "{}"),
    ] {
        let refused = Request::read(draft.incoming()).err().unwrap();
        assert_eq!(
            refused.code(None),
            "AuthFailure.InvalidAuthorization",
            "{refused}"
        );
    }
}

#[test]
fn a_path_in_front_is_signed_or_left_out() {
    let tc3 = Draft {
        path: "/prefix",
        ..Draft::json("DescribeVpcPeeringConnections", "{}")
    };
    assert!(tc3.signed().parse().is_ok());
    let mut parameters = Parameters::from_iter(V1_PARAMETERS);
    let signed = SignedRequest {
        method: tencent::Method::Get,
        host: "vpc.tencentcloudapi.com",
        path: "/prefix",
        parameters: &parameters,
    };
    let signature = tencent::sign(&signed, KEY);
    parameters.push("Signature", signature);
    let draft = Draft {
        method: Method::GET,
        path: "/prefix",
        query: parameters.to_form(),
        headers: HeaderMap::new(),
        ..Draft::json("", "")
    };
    assert!(draft.parse().is_ok());
    assert_eq!(
        Draft {
            path: "/other",
            ..draft
        }
        .code(),
        "AuthFailure.SignatureFailure"
    );
}

#[test]
fn every_encoding_of_a_signed_call_gives_the_same_command() {
    let json = Draft::json(
        "DescribeVpcPeeringConnections",
        r#"{"Filters": [{"Name": "state", "Values": ["ACTIVE", "PENDING"]}], "Offset": 0, "Limit": 5}"#,
    );
    let flattened = "Limit=5&Filters.0.Values.1=PENDING&Filters.0.Values.0=ACTIVE&Filters.0.Name=state&Offset=0";
    let form = "application/x-www-form-urlencoded";
    let get = Draft {
        method: Method::GET,
        query: flattened.to_owned(),
        body: Vec::new(),
        ..json.clone()
    };
    let post = Draft {
        body: flattened.as_bytes().to_vec(),
        ..json.clone()
    };
    let parts = "--b\r\nContent-Disposition: form-data; name=\"Limit\"\r\n\r\n5\r\n\
        --b\r\nContent-Disposition: form-data; name=\"Filters\"\r\nContent-Type: application/json\r\n\r\n\
        [{\"Name\": \"state\", \"Values\": [\"ACTIVE\", \"PENDING\"]}]\r\n--b--\r\n";
    let multipart = Draft {
        body: parts.as_bytes().to_vec(),
        ..json.clone()
    };
    let expected = json.clone().signed().parse().unwrap().command;
    for (what, draft) in [
        ("GET", get.with("content-type", form)),
        ("POST form", post.with("content-type", form)),
        (
            "multipart",
            multipart.with("content-type", "multipart/form-data; boundary=b"),
        ),
        (
            "JSON with charset",
            json.clone()
                .with("content-type", "application/json; charset=utf-8"),
        ),
        (
            "query of a POST",
            Draft {
                query: "Limit=9".to_owned(),
                ..json.clone()
            },
        ),
    ] {
        assert_eq!(draft.signed().parse().unwrap().command, expected, "{what}");
    }
    let other = json.with("content-type", "text/xml").signed();
    assert_eq!(other.code(), "InvalidRequest");
}

#[test]
fn header_names_have_any_case_and_extra_headers_do_no_harm() {
    let draft = Draft::json("DescribeVpcPeeringConnections", "")
        .with("X-Tc-Requestclient", "SDK_GO_1.3.166")
        .with("X-TC-TraceId", "8f0e")
        .with("X-TC-Language", "zh-CN")
        .with("X-Idempotency-Key", "x")
        .with("x-qcloud-user-id", "1")
        .signed();
    let request = Request::read(draft.incoming()).unwrap();
    assert_eq!(request.client(), Some("SDK_GO_1.3.166"));
    assert!(draft.parse().is_ok());
}

#[test]
fn checks_come_in_the_documented_order() {
    let whole = Draft::json("DescribeVpcPeeringConnections", r#"{"Limit": "x"}"#);
    let put = Draft {
        method: Method::PUT,
        ..whole.clone()
    };
    assert_eq!(put.signed().code(), "UnsupportedProtocol");
    let long = Draft {
        query: "a".repeat(LONGEST_QUERY + 1),
        ..whole.clone()
    };
    assert_eq!(long.signed().code(), "RequestSizeLimitExceeded");
    let large = Draft {
        body: vec![b' '; LONGEST_BODY + 1],
        ..whole.clone()
    };
    assert_eq!(large.signed().code(), "RequestSizeLimitExceeded");
    let skip = whole.clone().with("Authorization", "SKIP");
    assert_eq!(skip.code(), "AuthFailure.InvalidAuthorization");
    let untimed = whole.clone().signed().without("X-TC-Timestamp");
    assert_eq!(untimed.code(), "MissingParameter");
    let unversioned = whole.clone().without("X-TC-Version").signed();
    assert_eq!(unversioned.code(), "MissingParameter");
    let old = whole.clone().with("X-TC-Version", "2016-01-01").signed();
    assert_eq!(old.code(), "NoSuchVersion");
    let nameless = whole.clone().without("X-TC-Action").signed();
    assert_eq!(nameless.code(), "MissingParameter");
    let unknown = whole.clone().with("X-TC-Action", "DescribeMoon").signed();
    assert_eq!(unknown.code(), "InvalidAction");
    let nowhere = whole.clone().without("X-TC-Region").signed();
    assert_eq!(nowhere.code(), "MissingParameter");
    let elsewhere = whole.clone().with("X-TC-Region", "mars-olympus").signed();
    assert_eq!(elsewhere.code(), "UnsupportedRegion");
    assert_eq!(whole.clone().signed().code(), "InvalidParameter");
    let changed = Draft {
        body: b"{}".to_vec(),
        ..whole.signed()
    };
    assert_eq!(changed.code(), "AuthFailure.SignatureFailure");
}

#[test]
fn a_creation_says_what_clients_mean() {
    let Command::PeeringCreate(ask) = command("CreateVpcPeeringConnection", CREATE) else {
        panic!("another command");
    };
    assert_eq!(
        (ask.region, ask.peer_region),
        (Region::Guangzhou, Region::Shanghai)
    );
    assert_eq!(ask.peer_uin, Uin(100_000_000_001));
    assert_eq!(ask.bandwidth, Bandwidth::Unlimited);
    assert_eq!(ask.reply, Reply::Peering);
    let with = |members: &str| {
        let body = CREATE.replace('}', &format!(",{members}}}"));
        command("CreateVpcPeeringConnection", &body)
    };
    let bandwidth = |command| match command {
        Command::PeeringCreate(ask) => ask.bandwidth,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        bandwidth(with(r#""Bandwidth": 10"#)),
        Bandwidth::from_mbps(10)
    );
    assert_eq!(
        bandwidth(with(r#""Bandwidth": "10""#)),
        Bandwidth::from_mbps(10)
    );
    assert_eq!(bandwidth(with(r#""Bandwidth": 0"#)), Bandwidth::Unlimited);
    assert_eq!(
        bandwidth(with(r#""Bandwidth": null, "Type": null"#)),
        Bandwidth::Unlimited
    );
    // Inside one region a bandwidth is accepted and means nothing; short names are names as well.
    let inside = CREATE.replace("ap-shanghai\"", "gz\",\"Bandwidth\":20");
    assert_eq!(
        bandwidth(command("CreateVpcPeeringConnection", &inside)),
        Bandwidth::Unlimited
    );
}

#[test]
fn each_fault_of_a_creation_has_its_code() {
    let create = "CreateVpcPeeringConnection";
    for (from, to, expected) in [
        ("\"SourceVpcId\":\"vpc-aaaaaaaa\",", "", "MissingParameter"),
        ("vpc-aaaaaaaa", "", "InvalidParameterValue.Empty"),
        (
            "vpc-aaaaaaaa",
            "vpc-AAAAAAAA",
            "InvalidParameterValue.Malformed",
        ),
        (
            "vpc-aaaaaaaa",
            "gz_vpc_226",
            "InvalidParameterValue.Malformed",
        ),
        ("\"vpc-aaaaaaaa\"", "7", "InvalidParameter"),
        ("\"vpc-aaaaaaaa\"", "[\"vpc-aaaaaaaa\"]", "InvalidParameter"),
        ("\"example\"", "\"\"", "InvalidParameterValue.Empty"),
        (
            "\"100000000001\"",
            "\"me\"",
            "InvalidParameterValue.Malformed",
        ),
        ("\"100000000001\"", "100000000001", "InvalidParameter"),
        ("ap-shanghai", "ap-nowhere", "InvalidParameterValue"),
        ("vpc-bbbbbbbb", "vpc-aaaaaaaa", "InvalidParameterValue"),
        (
            "\"DestinationRegion\"",
            "\"destinationregion\"",
            "UnknownParameter.WithGuess",
        ),
        ("{", "{\"Moon\": 1,", "UnknownParameter"),
        ("{", "{\"Bandwith\": 1,", "UnknownParameter.WithGuess"),
        ("{", "{\"Bandwidth\": -1,", "InvalidParameterValue"),
        ("{", "{\"Bandwidth\": 100000,", "InvalidParameterValue"),
        ("{", "{\"Bandwidth\": 1.5,", "InvalidParameter"),
        ("{", "{\"Bandwidth\": \"ten\",", "InvalidParameter"),
        ("{", "{\"Bandwidth\": true,", "InvalidParameter"),
        ("{", "{\"Type\": \"VPC0\",", "InvalidParameterValue"),
        ("{", "{\"Type\": \"VPC_BM_PEER\",", "UnsupportedOperation"),
        ("{", "{\"QosLevel\": \"XX\",", "InvalidParameterValue"),
        ("{", "{\"ChargeType\": \"FREE\",", "InvalidParameterValue"),
        ("{", "{\"ClientToken\": \"a b\",", "InvalidParameterValue"),
        ("{", "[{", "InvalidParameter"),
    ] {
        assert_eq!(
            code(create, &CREATE.replacen(from, to, 1)),
            expected,
            "{from} -> {to}"
        );
    }
    let long = CREATE.replace("example", &"x".repeat(61));
    assert_eq!(code(create, &long), "InvalidParameterValue");
}

#[test]
fn actions_on_a_peering_are_for_every_peering_and_follow_no_task() {
    let body = r#"{"PeeringConnectionId": "pcx-0a1b2c3d"}"#;
    for action in [
        "AcceptVpcPeeringConnection",
        "DeleteVpcPeeringConnection",
        "EnableVpcPeeringConnection",
        "RejectVpcPeeringConnection",
    ] {
        let (Command::PeeringAccept(ask)
        | Command::PeeringDelete(ask)
        | Command::PeeringEnable(ask)
        | Command::PeeringReject(ask)) = command(action, body)
        else {
            panic!("{action} is another command");
        };
        assert_eq!((ask.reach, ask.reply), (Reach::Any, Reply::Peering));
        assert_eq!(code(action, "{}"), "MissingParameter");
        let wrong = r#"{"PeeringConnectionId": "pcx-1"}"#;
        assert_eq!(code(action, wrong), "InvalidParameterValue.Malformed");
    }
    assert_eq!(code("ModifyVpcPeeringConnection", body), "MissingParameter");
    let empty = r#"{"PeeringConnectionId": "pcx-0a1b2c3d", "PeeringConnectionName": ""}"#;
    assert_eq!(
        code("ModifyVpcPeeringConnection", empty),
        "InvalidParameterValue.Empty"
    );
}

#[test]
fn lists_of_peerings_have_filters_order_and_parts() {
    let describe = "DescribeVpcPeeringConnections";
    let Command::PeeringList(all) = command(describe, "") else {
        panic!("another command");
    };
    assert_eq!((all.paging.offset, all.paging.limit), (0, 20));
    assert_eq!(
        (all.order, all.paging.direction),
        (Order::CreateTime, Direction::Descending)
    );
    let body = r#"{"Filters": [{"Name": "state", "Values": ["ACTIVE", "FAILED"]}, {"Name": "vpc-id", "Values": ["vpc-aaaaaaaa"]}],
        "Offset": 40, "Limit": "100", "OrderField": "PeeringConnectionName", "OrderDirection": "ASC"}"#;
    let Command::PeeringList(part) = command(describe, body) else {
        panic!("another command");
    };
    let states = vec![PeeringStateFilter::Active, PeeringStateFilter::Failed];
    let ends = vec!["vpc-aaaaaaaa".parse().unwrap()];
    assert_eq!(
        part.filters,
        [PeeringFilter::States(states), PeeringFilter::Ends(ends)]
    );
    assert_eq!((part.paging.offset, part.paging.limit), (40, 100));
    assert_eq!(
        (part.order, part.paging.direction),
        (Order::Name, Direction::Ascending)
    );
    for (body, expected) in [
        (r#"{"Limit": 0}"#, "InvalidParameterValue.Range"),
        (r#"{"Limit": -1}"#, "InvalidParameterValue.Range"),
        (r#"{"Limit": 101}"#, "InvalidParameterValue.LimitExceeded"),
        (r#"{"Limit": 1e3}"#, "InvalidParameter"),
        (r#"{"Offset": -1}"#, "InvalidParameterValue.Range"),
        (r#"{"OrderField": "CreateTime"}"#, "InvalidParameterValue"),
        (r#"{"OrderDirection": "asc"}"#, "InvalidParameterValue"),
        (
            r#"{"PeeringConnectionIds": "pcx-0a1b2c3d"}"#,
            "InvalidParameter",
        ),
        (
            r#"{"PeeringConnectionIds": ["x"]}"#,
            "InvalidParameterValue.Malformed",
        ),
        (
            r#"{"PeeringConnectionIds": [], "Filters": []}"#,
            "InvalidParameter.Coexist",
        ),
        (
            r#"{"Filters": ["state"]}"#,
            "InvalidParameter.FilterNotDict",
        ),
        (r#"{"Filters": {"Name": "state"}}"#, "InvalidParameter"),
        (
            r#"{"Filters": [{"Name": "state", "Values": "ACTIVE"}]}"#,
            "InvalidParameter",
        ),
        (r#"{"Filters": [{"Name": "state"}]}"#, "MissingParameter"),
        (
            r#"{"Filters": [{"Name": "moon", "Values": ["x"]}]}"#,
            "InvalidParameter",
        ),
        (
            r#"{"Filters": [{"Name": "state", "Values": ["PENGDING"]}]}"#,
            "InvalidParameterValue",
        ),
        (
            r#"{"Filters": [{"Name": "vpc-id", "Values": ["x"]}]}"#,
            "InvalidParameterValue.Malformed",
        ),
        (r#"{"filters": []}"#, "UnknownParameter.WithGuess"),
    ] {
        assert_eq!(code(describe, body), expected, "{body}");
    }
}

#[test]
fn lists_whose_page_is_declared_as_text_take_numbers_as_well() {
    for action in ["DescribeVpcs", "DescribeSubnets"] {
        for body in [
            r#"{"Offset": "0", "Limit": "100"}"#,
            r#"{"Offset": 0, "Limit": 100}"#,
        ] {
            let (Command::VpcList(model::command::VpcQuery { paging, .. })
            | Command::SubnetList(model::command::SubnetQuery { paging, .. })) =
                command(action, body)
            else {
                panic!("another command");
            };
            assert_eq!(paging.limit, 100);
        }
        let filter = r#"{"Filters": [{"Name": "moon", "Values": ["x"]}]}"#;
        assert_eq!(code(action, filter), "InvalidParameter.FilterInvalidKey");
        let values = r#"{"Filters": [{"Name": "vpc-id", "Values": "x"}]}"#;
        assert_eq!(code(action, values), "InvalidParameter.FilterValuesNotList");
        let default = r#"{"Filters": [{"Name": "is-default", "Values": ["maybe"]}]}"#;
        assert_eq!(code(action, default), "InvalidParameterValue");
    }
}

#[test]
fn networks_are_made_as_clients_ask() {
    let terraform = r#"{"VpcName": "a", "CidrBlock": "10.0.0.0/12", "EnableMulticast": "false", "EnableRouteVpcPublish": false, "EnableRouteVpcPublishIpv6": false}"#;
    let Command::VpcCreate(ask) = command("CreateVpc", terraform) else {
        panic!("another command");
    };
    assert_eq!((ask.name.as_str(), ask.cidr.prefix_len()), ("a", 12));
    for (body, expected) in [
        (r#"{"VpcName": "a"}"#, "MissingParameter"),
        (
            r#"{"VpcName": "a", "CidrBlock": "10.0.0.1/16"}"#,
            "InvalidParameterValue",
        ),
        (
            r#"{"VpcName": "a", "CidrBlock": "10.0.0.0/16", "EnableMulticast": "True"}"#,
            "UnsupportedOperation.EnableMulticast",
        ),
        (
            r#"{"VpcName": "a", "CidrBlock": "10.0.0.0/16", "EnableMulticast": 1}"#,
            "InvalidParameter",
        ),
        (
            r#"{"VpcName": "a", "StackType": "IPv6Only"}"#,
            "UnsupportedOperation",
        ),
        (
            r#"{"VpcName": "a", "CidrBlock": "10.0.0.0/16", "Tags": [{"Value": "v"}]}"#,
            "MissingParameter",
        ),
        (
            r#"{"VpcName": "a", "CidrBlock": "10.0.0.0/16", "DnsServers": ["1","2","3","4","5"]}"#,
            "InvalidParameterValue.LimitExceeded",
        ),
        (
            r#"{"VpcName": "a", "CidrBlock": "10.0.0.0/16", "DnsServers": ["10.0.0.2", "x"]}"#,
            "InvalidParameterValue",
        ),
    ] {
        assert_eq!(code("CreateVpc", body), expected, "{body}");
    }
    let subnet = r#"{"VpcId": "vpc-aaaaaaaa", "SubnetName": "s", "CidrBlock": "10.0.1.0/24", "Zone": "ap-guangzhou-3"}"#;
    let Command::SubnetCreate(ask) = command("CreateSubnet", subnet) else {
        panic!("another command");
    };
    assert_eq!(ask.subnets[0].zone, model::Zone(100_003));
    for zone in [
        "ap-shanghai-3",
        "ap-guangzhou",
        "ap-guangzhou-0",
        "ap-guangzhou-03",
        "100003",
    ] {
        let body = subnet.replace("ap-guangzhou-3", zone);
        assert_eq!(
            code("CreateSubnet", &body),
            "InvalidParameterValue",
            "{zone}"
        );
    }
    let range = subnet.replace("10.0.1.0/24", "10.0.1.1/24");
    assert_eq!(
        code("CreateSubnet", &range),
        "InvalidParameterValue.SubnetRange"
    );
    let many = r#"{"VpcId": "vpc-aaaaaaaa", "Subnets": []}"#;
    assert_eq!(code("CreateSubnets", many), "InvalidParameterValue.Empty");
}

#[test]
fn routes_are_named_by_either_of_their_ids() {
    let create = r#"{"RouteTableId": "rtb-aaaaaaaa", "Routes": [{"DestinationCidrBlock": "10.1.2.3/16",
        "GatewayType": "PEERCONNECTION", "GatewayId": "pcx-0a1b2c3d", "Enabled": true, "RouteId": 0,
        "RouteDescription": "to them"}]}"#;
    let Command::RouteCreate(ask) = command("CreateRoutes", create) else {
        panic!("another command");
    };
    assert_eq!(ask.routes[0].destination, "10.1.0.0/16".parse().unwrap());
    assert_eq!((ask.vpc, ask.routes[0].is_enabled), (None, true));
    // One client sends the number alone.
    for (route, expected) in [
        (r#"{"RouteId": 7}"#, RouteSelector::Number(7)),
        (
            r#"{"RouteId": "7", "RouteItemId": ""}"#,
            RouteSelector::Number(7),
        ),
        (
            r#"{"RouteItemId": "rti-0a1b2c3d", "RouteId": 0}"#,
            RouteSelector::Id("rti-0a1b2c3d".parse().unwrap()),
        ),
    ] {
        let body = format!(r#"{{"RouteTableId": "rtb-aaaaaaaa", "Routes": [{route}]}}"#);
        let Command::RouteRemove(ask) = command("DeleteRoutes", &body) else {
            panic!("another command");
        };
        assert_eq!(ask.routes, [expected], "{route}");
    }
    for (action, body, expected) in [
        (
            "DeleteRoutes",
            r#"{"RouteTableId": "rtb-aaaaaaaa", "Routes": [{}]}"#,
            "MissingParameter",
        ),
        (
            "DeleteRoutes",
            r#"{"RouteTableId": "rtb-aaaaaaaa", "Routes": []}"#,
            "InvalidParameterValue.Empty",
        ),
        (
            "CreateRoutes",
            r#"{"RouteTableId": "rtb-aaaaaaaa", "Routes": [{"GatewayType": "NAT"}]}"#,
            "MissingParameter",
        ),
        (
            "EnableRoutes",
            r#"{"RouteTableId": "rtb-aaaaaaaa"}"#,
            "MissingParameter",
        ),
        (
            "EnableRoutes",
            r#"{"RouteTableId": "rtb-aaaaaaaa", "RouteIds": [1], "RouteItemIds": ["rti-0a1b2c3d"]}"#,
            "InvalidParameter.Coexist",
        ),
        (
            "DescribeRouteTables",
            r#"{"Filters": [{"Name": "next-hop-type", "Values": ["PEERCONNECTION"]}]}"#,
            "InvalidParameter.FilterMissParameter",
        ),
        (
            "DescribeVpcLimits",
            r#"{"LimitTypes": ["moons"]}"#,
            "InvalidParameterValue",
        ),
        (
            "ModifySubnetAttribute",
            r#"{"SubnetId": "subnet-aaaaaaaa", "EnableBroadcast": "true"}"#,
            "UnsupportedOperation",
        ),
    ] {
        assert_eq!(code(action, body), expected, "{action} {body}");
    }
    let other_hop = create.replace("PEERCONNECTION", "NAT");
    assert_eq!(
        code("CreateRoutes", &other_hop),
        "InvalidParameterValue.RouteNextHopInvalid"
    );
}

#[test]
fn a_value_that_the_domain_judges_is_the_domains_error() {
    let body = r#"{"VpcName": "a", "CidrBlock": "10.0.0.1/16"}"#;
    let error = Draft::json("CreateVpc", body)
        .signed()
        .parse()
        .err()
        .unwrap();
    assert!(
        matches!(error, Error::Domain(DomainError::VpcCidr(_))),
        "{error:?}"
    );
    let error = Error::value("x", Fault::NotAllowed, "y");
    assert_eq!(
        error.to_string(),
        "the value of parameter `x` is not allowed: y"
    );
}

#[test]
fn tags_come_with_what_is_made() {
    let body = r#"{"VpcName": "a", "CidrBlock": "10.0.0.0/16",
        "Tags": [{"Key": "city", "Value": "gz"}, {"Key": "empty"}]}"#;
    let Command::VpcCreate(ask) = command("CreateVpc", body) else {
        panic!("another command")
    };
    let pairs: Vec<_> = ask
        .tags
        .iter()
        .map(|tag| (&*tag.key, &*tag.value))
        .collect();
    assert_eq!(pairs, [("city", "gz"), ("empty", "")]);
}
