//! Random input for everything of API 3.0 that reads what others send. `PEERWAY_FUZZ_CASES=N` runs N
//! cases of each property; `./test --long` does so with many.
//!
//! Bytes alone rarely get past the first check, so bodies are put together from the parameters that
//! actions have and from values that one or another of them takes.

use std::time::{Duration, Instant};

use api::tencent::Limits;
use api::tencent::v3::action::{self, Action};
use api::tencent::v3::error::COMMON_CODES;
use api::tencent::v3::signature::{Credential, Signed, sign};
use api::tencent::v3::{Error, Incoming, Request, render_error};
use http::{HeaderMap, HeaderValue, Method};
use model::Uin;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

/// Cases of each property when nothing else is asked for.
const FEW: u32 = 64;

/// How long one case may take; it takes microseconds.
const SLOW: Duration = Duration::from_secs(2);

const HOST: &str = "127.0.0.1:8080";
const SECRET: &[u8] = b"SecretKeyExample0000000000000000";
const TIMESTAMP: &str = "1700000000";

fn config() -> ProptestConfig {
    let cases = std::env::var("PEERWAY_FUZZ_CASES").map_or(FEW, |text| {
        text.parse().expect("PEERWAY_FUZZ_CASES is a number")
    });
    ProptestConfig {
        cases,
        ..ProptestConfig::default()
    }
}

/// A request in parts.
#[derive(Debug, Clone)]
struct Parts {
    method: Method,
    query: String,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Parts {
    fn new(method: Method, content_type: &str) -> Parts {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", content_type.parse().unwrap());
        headers.insert("x-tc-timestamp", HeaderValue::from_static(TIMESTAMP));
        Parts {
            method,
            query: String::new(),
            headers,
            body: Vec::new(),
        }
    }

    fn signed(mut self) -> Parts {
        let signed = Signed {
            method: self.method.as_str(),
            query: &self.query,
            host: HOST,
            headers: &self.headers,
            body: &self.body,
            timestamp: TIMESTAMP,
        };
        let credential = Credential {
            secret_id: "AKIDEXAMPLE",
            secret_key: SECRET,
            service: "vpc",
        };
        let header = sign(&signed, credential, "content-type;host").unwrap();
        self.headers
            .insert("authorization", header.parse().unwrap());
        self
    }

    fn of(mut self, action: &Action, region: &str) -> Parts {
        let mut set = |name: &'static str, value: &str| {
            self.headers.insert(name, value.parse().unwrap());
        };
        set("x-tc-action", action.name);
        set("x-tc-version", action.product.version());
        set("x-tc-region", region);
        self
    }

    fn incoming(&self) -> Incoming<'_> {
        Incoming {
            method: &self.method,
            path: "/",
            query: &self.query,
            host: HOST,
            headers: &self.headers,
            body: &self.body,
        }
    }

    /// Takes the whole way; an error is one that the action may answer with.
    fn check(&self) -> Result<bool, TestCaseError> {
        let begun = Instant::now();
        let request = match Request::read(self.incoming()) {
            Ok(request) => request,
            Err(error) => {
                check_error(&error, None)?;
                return Ok(false);
            }
        };
        let verified = request.verify(SECRET);
        let _ = request.pairs();
        let outcome = match request.action() {
            Ok(action) => match request.command(action, Uin(1), &Limits::default()) {
                Ok(parsed) => {
                    let _ = request.client_token(Uin(1), &parsed);
                    Ok(())
                }
                Err(error) => check_error(&error, Some(action)),
            },
            Err(error) => check_error(&error, None),
        };
        prop_assert!(begun.elapsed() < SLOW, "it took {:?}", begun.elapsed());
        outcome.map(|()| verified.is_ok())
    }
}

fn check_error(error: &Error, action: Option<&Action>) -> Result<(), TestCaseError> {
    let code = error.code(action);
    let is_own = action.is_some_and(|action| action.errors.contains(&code));
    prop_assert!(is_own || COMMON_CODES.contains(&code), "{code}: {error}");
    prop_assert!(code != "InternalError", "{error}");
    let body = render_error(error, action, "id");
    let answer: Value = serde_json::from_slice(&body).unwrap();
    let message = answer["Response"]["Error"]["Message"].as_str().unwrap();
    // Answers repeat what was sent, but not all of a long text.
    prop_assert!(message.len() < 4096, "{} bytes", message.len());
    Ok(())
}

fn actions() -> impl Strategy<Value = &'static Action> {
    select(action::all().collect::<Vec<_>>())
}

fn texts() -> impl Strategy<Value = String> {
    prop_oneof![
        select(vec![
            "vpc-aaaaaaaa",
            "subnet-aaaaaaaa",
            "rtb-aaaaaaaa",
            "pcx-aaaaaaaa",
            "rti-aaaaaaaa",
            "vpc-",
            "ap-guangzhou",
            "ap-guangzhou-1",
            "gz",
            "10.0.0.0/16",
            "10.0.0.0/99",
            "0",
            "-1",
            "100",
            "101",
            "18446744073709551616",
            "true",
            "False",
            "PEERCONNECTION",
            "ACTIVE",
            "DESC",
            "state",
            "vpc-id",
            "tag:",
            "tag:x",
            "100000000001",
            "VPC_PEER",
            "AU",
            "appid-max-vpcs",
            "",
            "2c9d1c0e-5f0b-8b62-9a53-3b8a4a1a7a10",
        ])
        .prop_map(str::to_owned),
        ".{0,70}",
    ]
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        6 => texts().prop_map(Value::from),
        2 => any::<i64>().prop_map(Value::from),
        1 => any::<u64>().prop_map(Value::from),
        1 => any::<f64>().prop_map(|number| json!(number)),
        1 => any::<bool>().prop_map(Value::from),
        1 => Just(Value::Null),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let name = select(vec![
            "Name",
            "Values",
            "Key",
            "Value",
            "RouteId",
            "RouteItemId",
            "DestinationCidrBlock",
            "GatewayType",
            "GatewayId",
            "SubnetName",
            "CidrBlock",
            "Zone",
            "x",
        ]);
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((name, inner), 0..5).prop_map(|members| {
                let members = members.into_iter();
                Value::Object(
                    members
                        .map(|(name, value)| (name.to_owned(), value))
                        .collect(),
                )
            }),
        ]
    })
}

/// Parameters of an action, some of them not its own.
fn bodies() -> impl Strategy<Value = (&'static Action, Value)> {
    actions().prop_flat_map(|action| {
        let names: Vec<&str> = action.fields.iter().map(|field| field.name).collect();
        let name = match names.is_empty() {
            true => Just("X".to_owned()).boxed(),
            false => prop_oneof![
                9 => select(names).prop_map(str::to_owned),
                1 => "[A-Za-z.0-9]{1,12}",
            ]
            .boxed(),
        };
        let members = vec((name, values()), 0..8);
        let body =
            members.prop_map(|members| Value::Object(members.into_iter().collect::<Map<_, _>>()));
        (Just(action), body)
    })
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn every_body_is_read_or_refused((action, body) in bodies(), region in texts()) {
        let region: String = region.chars().filter(|c| (' '..='~').contains(c)).collect();
        let mut parts = Parts::new(Method::POST, "application/json");
        parts.body = body.to_string().into_bytes();
        let verified = parts.of(action, &region).signed().check()?;
        prop_assert!(verified, "what a client signs verifies");
    }

    #[test]
    fn every_damaged_body_is_read_or_refused(
        (action, body) in bodies(),
        place in any::<prop::sample::Index>(),
        damage in vec(any::<u8>(), 0..4),
    ) {
        let mut text = body.to_string().into_bytes();
        let place = place.index(text.len());
        text.splice(place.., damage);
        for kind in ["application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"] {
            let mut parts = Parts::new(Method::POST, kind);
            parts.body.clone_from(&text);
            parts.of(action, "ap-guangzhou").signed().check()?;
        }
    }

    #[test]
    fn every_query_is_read_or_refused(
        action in actions(),
        pairs in vec(("[A-Za-z]{1,9}(\\.[0-9A-Za-z]{1,5}){0,3}", texts()), 0..8),
        is_signed in any::<bool>(),
    ) {
        let mut parameters = api::tencent::Parameters::default();
        for (name, value) in &pairs {
            parameters.push(name.as_str(), value.as_str());
        }
        if !is_signed {
            for (name, value) in [
                ("Action", action.name), ("Version", action.product.version()), ("Timestamp", TIMESTAMP),
                ("Nonce", "1"), ("SecretId", "AKIDEXAMPLE"), ("Signature", "x"), ("Region", "gz"),
            ] {
                parameters.push(name, value);
            }
        }
        let mut parts = Parts::new(Method::GET, "application/x-www-form-urlencoded");
        parts.query = parameters.to_form();
        let parts = parts.of(action, "ap-guangzhou");
        match is_signed {
            true => prop_assert!(parts.signed().check()?, "what a client signs verifies"),
            false => prop_assert!(!parts.check()?, "no such signature"),
        }
    }

    #[test]
    fn every_authorization_is_read_or_refused(
        pieces in vec(select(vec![
            "TC3-HMAC-SHA256", " ", "Credential=", "AKIDEXAMPLE", "/2023-11-14/vpc/tc3_request", "/", ", ", ",",
            "SignedHeaders=", "content-type;host", ";", "Signature=", "00ff", "SKIP", "=", "\t",
        ]), 0..14),
        length in 0..80_usize,
    ) {
        let mut parts = Parts::new(Method::POST, "application/json");
        let text = format!("{}{}", pieces.concat(), "0".repeat(length));
        parts.headers.insert("authorization", text.parse().unwrap());
        parts.body = b"{}".to_vec();
        prop_assert!(!parts.check()?, "nobody signed it");
    }
}
