//! Random input for everything that reads what others send. `PEERWAY_FUZZ_CASES=N` runs N cases of
//! each property; `./test --long` does so with many.
//!
//! Bytes alone rarely get past the first check, so most inputs are put together from the pieces
//! that the readers look for, and from damage to what is well formed.

use std::time::{Duration, Instant};

use api::sync::{JoinString, Secret};
use api::tencent::action::ACTIONS;
use api::tencent::signature::{PATH, string_to_sign};
use api::tencent::{
    ApiError, Limits, Method, ParameterLimits, Parameters, SignedRequest, parse, parse_policy,
    policy_json, render_error, sign, verify,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::Value;

/// Cases of each property when nothing else is asked for.
const FEW: u32 = 64;

/// How long one case may take. It takes microseconds; without optimisation and on a busy machine
/// still far less than this.
const SLOW: Duration = Duration::from_secs(2);

fn config() -> ProptestConfig {
    let cases = std::env::var("PEERWAY_FUZZ_CASES").map_or(FEW, |text| {
        text.parse().expect("PEERWAY_FUZZ_CASES is a number")
    });
    ProptestConfig {
        cases,
        ..ProptestConfig::default()
    }
}

/// Runs a reader and holds it to its time.
fn timed<T>(read: impl FnOnce() -> T) -> T {
    let begun = Instant::now();
    let result = read();
    assert!(begun.elapsed() < SLOW, "it took {:?}", begun.elapsed());
    result
}

/// Bounds that random input reaches.
const TIGHT: ParameterLimits = ParameterLimits {
    query_bytes: 2000,
    body_bytes: 2000,
    count: 12,
    name_bytes: 24,
    value_bytes: 48,
};

fn check_bounds(parameters: &Parameters) {
    assert!(parameters.pairs().count() <= TIGHT.count);
    for (name, value) in parameters.pairs() {
        assert!(!name.is_empty() && name.len() <= TIGHT.name_bytes);
        assert!(value.len() <= TIGHT.value_bytes);
        assert!(parameters.get(name).is_some());
    }
    // Names are in order and each is there once.
    let names: Vec<&str> = parameters.effective().map(|(name, _, _)| name).collect();
    assert!(names.windows(2).all(|two| two[0] < two[1]), "{names:?}");
}

/// Bytes in which the pieces of an encoding are frequent.
fn soup(pieces: &'static [&'static [u8]], most: usize) -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        6 => select(pieces).prop_map(<[u8]>::to_vec),
        1 => vec(any::<u8>(), 0..6),
        1 => ".{0,4}".prop_map(String::into_bytes),
    ];
    vec(piece, 0..most).prop_map(|pieces| pieces.concat())
}

const FORM: &[&[u8]] = &[
    b"&",
    b"=",
    b"%",
    b"%4",
    b"%41",
    b"%zz",
    b"%00",
    b"%ff",
    b"%C3%A9",
    b"+",
    b"_",
    b".",
    b"@",
    b"Action",
    b"a.0",
    b"a_0",
    b"[0]",
    b";",
    b"#",
    b"\xff",
    b"\xc3",
    b"&a=1&a=2",
];

const MULTIPART: &[&[u8]] = &[
    b"--x",
    b"--x--",
    b"--",
    b"x",
    b"\r\n",
    b"\r\n\r\n",
    b"\n",
    b"\r",
    b"Content-Disposition: ",
    b"form-data",
    b"; name=\"a\"",
    b"; name=",
    b"; name=\"\"",
    b"; filename=\"f\"",
    b"\"",
    b"\\\"",
    b"Content-Type: text/plain",
    b"\r\n--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1",
    b":",
    b"\xff",
    b"\0",
];

const POLICY: &[&[u8]] = &[
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\"",
    b"\"version\":\"2.0\"",
    b"\"statement\":",
    b"\"effect\":\"allow\"",
    b"\"effect\":\"deny\"",
    b"\"action\":",
    b"\"name/vpc:*\"",
    b"\"*\"",
    b"\"resource\":",
    b"\"qcs::vpc:::pcx/*\"",
    b"\"condition\":",
    b"{\"string_equal\":{\"vpc:region\":\"gz\"}}",
    b"null",
    b"1e999",
    b"\\u0000",
    b"\xff",
];

/// Replaces parts of what was well formed.
fn damaged(mut bytes: Vec<u8>, damages: &[(Index, usize, Vec<u8>)]) -> Vec<u8> {
    for (at, length, with) in damages {
        if !bytes.is_empty() {
            let start = at.index(bytes.len());
            let end = (start + length).min(bytes.len());
            bytes.splice(start..end, with.iter().copied());
        }
    }
    bytes
}

fn damages() -> impl Strategy<Value = Vec<(Index, usize, Vec<u8>)>> {
    vec((any::<Index>(), 0usize..8, vec(any::<u8>(), 0..8)), 1..4)
}

fn as_multipart(pairs: &[(String, String)], boundary: &str) -> (String, Vec<u8>) {
    let mut body = String::new();
    for (name, value) in pairs {
        body.push_str(&format!(
            "\r\n--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}"
        ));
    }
    body.push_str(&format!("\r\n--{boundary}--\r\n"));
    (
        format!("multipart/form-data; boundary={boundary}"),
        body.into_bytes(),
    )
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn forms_round_trip(sent in vec(("[^\0]{1,20}", ".{0,40}"), 0..10)) {
        let parameters: Parameters = sent.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let text = parameters.to_form();
        let limits = ParameterLimits::default();
        prop_assert_eq!(timed(|| Parameters::from_query(&text, &limits)).unwrap(), parameters.clone());
        prop_assert_eq!(Parameters::from_body(None, text.as_bytes(), &limits).unwrap(), parameters);
    }

    #[test]
    fn any_bytes_are_a_form_or_an_error(body in soup(FORM, 60)) {
        if let Ok(parameters) = timed(|| Parameters::from_body(None, &body, &TIGHT)) {
            check_bounds(&parameters);
            let again = Parameters::from_query(&parameters.to_form(), &ParameterLimits::default());
            prop_assert_eq!(again.unwrap(), parameters);
        }
        if let Ok(query) = std::str::from_utf8(&body)
            && let Ok(parameters) = timed(|| Parameters::from_query(query, &TIGHT))
        {
            check_bounds(&parameters);
        }
    }

    #[test]
    fn multipart_forms_round_trip(
        // What a disposition can carry without an escape.
        sent in vec(("[a-zA-Z0-9._@ \u{4e00}-\u{4e20}]{1,20}", "[^\r]{0,40}"), 0..10),
        boundary in "[A-Za-z0-9'()+_,./:=?-]{0,40}[A-Za-z0-9]{20}",
    ) {
        let quoted = format!("\"{boundary}\"");
        let (_, body) = as_multipart(&sent, &boundary);
        let content_type = format!("multipart/form-data; boundary={quoted}");
        let decoded = timed(|| Parameters::from_body(Some(&content_type), &body, &ParameterLimits::default()));
        let expected: Parameters = sent.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        prop_assert_eq!(decoded.unwrap(), expected);
    }

    #[test]
    fn any_bytes_are_a_multipart_form_or_an_error(body in soup(MULTIPART, 60)) {
        let content_type = Some("multipart/form-data; boundary=x");
        if let Ok(parameters) = timed(|| Parameters::from_body(content_type, &body, &TIGHT)) {
            check_bounds(&parameters);
        }
    }

    #[test]
    fn damage_to_a_multipart_form_is_an_error_or_another_form(
        sent in vec(("[a-z.0-9]{1,10}", ".{0,20}"), 0..6), damages in damages(),
    ) {
        let (content_type, body) = as_multipart(&sent, "---------------------------1a2b3c4d5e6f708");
        let body = damaged(body, &damages);
        if let Ok(parameters) = timed(|| Parameters::from_body(Some(&content_type), &body, &TIGHT)) {
            check_bounds(&parameters);
        }
    }

    #[test]
    fn any_content_type_is_read_or_refused(
        text in "(multipart/form-data|application/json|application/x-www-form-urlencoded)?;? ?(boundary=)?.{0,40}",
        body in soup(MULTIPART, 12),
    ) {
        if let Ok(parameters) = timed(|| Parameters::from_body(Some(&text), &body, &TIGHT)) {
            check_bounds(&parameters);
        }
    }
}

/// Parameters as clients sign them, under every reading that is accepted.
fn signed_request(
    method: Method,
    host: &str,
    parameters: &Parameters,
    secret: &[u8],
) -> Result<(), api::tencent::SignatureError> {
    let request = SignedRequest {
        method,
        host,
        path: PATH,
        parameters,
    };
    verify(&request, secret)
}

/// Signs parameters and appends the signature.
fn with_signature(
    method: Method,
    host: &str,
    pairs: &[(String, String)],
    secret: &[u8],
) -> Parameters {
    let mut parameters: Parameters = pairs
        .iter()
        .map(|(n, v)| (n.as_str(), v.as_str()))
        .collect();
    let request = SignedRequest {
        method,
        host,
        path: PATH,
        parameters: &parameters,
    };
    let signature = sign(&request, secret);
    parameters.push("Signature", signature);
    parameters
}

fn methods() -> impl Strategy<Value = Method> {
    select(&[Method::Get, Method::Post][..])
}

fn digests() -> impl Strategy<Value = Option<&'static str>> {
    select(
        &[
            None,
            Some("HmacSHA1"),
            Some("HmacSHA256"),
            Some("hmacsha256"),
        ][..],
    )
}

/// What of a request its signature covers.
fn covered(method: Method, host: &str, parameters: &Parameters) -> String {
    let request = SignedRequest {
        method,
        host,
        path: PATH,
        parameters,
    };
    string_to_sign(&request)
}

/// The signature as the server reads it: a `+` may have become a space.
fn received_signature(parameters: &Parameters) -> Option<String> {
    let signature = parameters.get("Signature")?;
    Some(signature.trim_end().replace(' ', "+"))
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn what_is_signed_verifies(
        mut pairs in vec(("[A-Za-z._0-9]{1,8}", "@?.{0,12}"), 0..8), method in methods(),
        digest in digests(), secret in vec(any::<u8>(), 1..64),
        port in prop::option::of(1u16..),
    ) {
        pairs.retain(|(name, _)| name != "Signature" && name != "SignatureMethod");
        pairs.extend(digest.map(|digest| ("SignatureMethod".to_owned(), digest.to_owned())));
        let parameters = with_signature(method, "h.example", &pairs, &secret);
        let host = port.map_or("h.example".to_owned(), |port| format!("h.example:{port}"));
        // Over the wire as well.
        let received = Parameters::from_query(&parameters.to_form(), &ParameterLimits::default()).unwrap();
        prop_assert_eq!(timed(|| signed_request(method, &host, &received, &secret)), Ok(()));
    }

    #[test]
    fn any_changed_byte_breaks_the_signature(
        // Without the readings that differ between clients: `_` in names, `@` before values.
        mut pairs in vec(("[A-Za-z.0-9]{1,8}", "[^@]?.{0,12}"), 1..8), method in methods(),
        digest in digests(), at in any::<Index>(), byte in any::<u8>(),
    ) {
        pairs.retain(|(name, _)| name != "Signature" && name != "SignatureMethod");
        pairs.extend(digest.map(|digest| ("SignatureMethod".to_owned(), digest.to_owned())));
        let genuine = with_signature(method, "h", &pairs, b"secret");
        let mut form = genuine.to_form().into_bytes();
        let at = at.index(form.len());
        form[at] = byte;
        let Ok(changed) = Parameters::from_body(None, &form, &ParameterLimits::default()) else {
            return Ok(());
        };
        let unchanged = covered(method, "h", &changed) == covered(method, "h", &genuine)
            && received_signature(&changed) == received_signature(&genuine);
        let has_at = method == Method::Post && changed.pairs().any(|(_, value)| value.starts_with('@'));
        prop_assume!(!has_at);
        let result = timed(|| signed_request(method, "h", &changed, b"secret"));
        prop_assert_eq!(result.is_ok(), unchanged, "{}", String::from_utf8_lossy(&form));
    }

    #[test]
    fn another_method_host_or_secret_does_not_verify(
        pairs in vec(("[A-Za-z.0-9]{1,8}", ".{0,12}"), 0..6), digest in digests(),
        host in "[a-z]{1,10}", bit in 0usize..8, at in any::<Index>(),
    ) {
        let mut pairs = pairs;
        pairs.retain(|(name, _)| name != "Signature" && name != "SignatureMethod");
        pairs.extend(digest.map(|digest| ("SignatureMethod".to_owned(), digest.to_owned())));
        let secret = b"Gu5t9xGARNpq86cd98joQYCN3Cozk1qA".to_vec();
        let signed = with_signature(Method::Get, &host, &pairs, &secret);
        prop_assert!(signed_request(Method::Post, &host, &signed, &secret).is_err());
        let other_host = format!("{host}x");
        prop_assert!(signed_request(Method::Get, &other_host, &signed, &secret).is_err());
        let mut other = secret.clone();
        let place = at.index(other.len());
        other[place] ^= 1 << bit;
        prop_assert!(signed_request(Method::Get, &host, &signed, &other).is_err());
    }

    #[test]
    fn any_text_is_a_signature_or_an_error(
        signature in "([A-Za-z0-9+/]{4}){0,12}[A-Za-z0-9+/ ]{0,4}={0,3}|.{0,60}", digest in digests(),
    ) {
        let mut parameters: Parameters = [("Action", "X"), ("Signature", &signature)].into_iter().collect();
        if let Some(digest) = digest {
            parameters.push("SignatureMethod", digest);
        }
        prop_assert!(timed(|| signed_request(Method::Get, "h", &parameters, b"secret")).is_err());
    }
}

fn actions() -> impl Strategy<Value = &'static str> {
    select(ACTIONS.iter().map(|action| action.name).collect::<Vec<_>>())
}

/// Names of parameters: those that actions read, and others like them.
fn parameter_names() -> impl Strategy<Value = String> {
    let word = select(
        &[
            "vpcId",
            "peerVpcId",
            "peerUin",
            "peeringConnectionName",
            "peerRegion",
            "bandwidth",
            "type",
            "chargeType",
            "qosLevel",
            "peeringConnectionId",
            "taskId",
            "limit",
            "offset",
            "state",
            "orderField",
            "orderDirection",
            "cidrBlock",
            "vpcName",
            "subnetSet",
            "subnetId",
            "subnetName",
            "zoneIds",
            "routeTableId",
            "routeTableName",
            "routeSet",
            "namespace",
            "metricName",
            "dimensions",
            "period",
            "startTime",
            "endTime",
            "Region",
        ][..],
    );
    let tail = prop_oneof![
        4 => Just(String::new()),
        4 => (0u8..3, select(&["", ".subnetName", ".cidrBlock", ".zoneId", ".destinationCidrBlock",
            ".nextType", ".nextHub", ".description", ".name", ".value"][..]))
            .prop_map(|(index, field)| format!(".{index}{field}")),
        1 => "[._][0-9a-z*+-]{0,12}([._][a-z]{0,8}){0,3}",
    ];
    (word, tail).prop_map(|(word, tail)| format!("{word}{tail}"))
}

/// Values of parameters: those that are right somewhere, and others.
fn parameter_values() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => select(&[
            "gz_vpc_226", "vpc-8e0ypm3z", "sh_vpc_7", "pcx-6gw5wvmk", "subnet-5gu2jxf4", "gz_subnet_1",
            "rtb-4ahe1qy2", "gz_rtb_2", "gz", "ap-shanghai", "2407912486", "0", "1", "4", "20", "60", "100001",
            "10.1.0.0/16", "10.1.1.0/24", "0.0.0.0/0", "255.255.255.255/32", "createTime", "asc", "desc",
            "qce/pcx", "inbandwidth", "peeringConnectionId", "2027-01-15 08:00:00", "9999-12-31 23:59:59",
            "", "4294967296", "18446744073709551615", "18446744073709551616", "-1", "+1", "1.5",
        ][..]).prop_map(str::to_owned),
        1 => "[0-9]{1,25}",
        1 => "[0-9./:-]{0,24}",
        1 => ".{0,80}",
    ]
}

/// What a caller is told of an error: the envelope, in bounds.
fn check_error(error: &ApiError) {
    let body: Value = serde_json::from_slice(&render_error(error)).unwrap();
    let fields = body.as_object().unwrap();
    assert_eq!(fields.len(), 3, "{body}");
    assert!(fields["code"].as_i64().is_some_and(|code| code != 0));
    assert!(
        fields["codeDesc"]
            .as_str()
            .is_some_and(|text| !text.is_empty())
    );
    let message = fields["message"].as_str().unwrap();
    assert!(
        !message.is_empty() && message.chars().count() < 1000,
        "{message}"
    );
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_parameters_are_a_command_or_an_error(
        action in actions(), lower in any::<bool>(), region in prop::option::weighted(0.95, Just("gz")),
        pairs in vec((parameter_names(), parameter_values()), 0..14),
    ) {
        let action = if lower { action[..1].to_lowercase() + &action[1..] } else { action.to_owned() };
        let common = [("Action", action.as_str()), ("Timestamp", "1507645389"), ("Nonce", "59485"), ("SecretId", "AKID")];
        let mut parameters: Parameters = common.into_iter().collect();
        if let Some(region) = region {
            parameters.push("Region", region);
        }
        for (name, value) in pairs {
            parameters.push(name, value);
        }
        if let Err(error) = timed(|| parse(&parameters, &Limits::default())) {
            check_error(&error);
            prop_assert_ne!(error.code().0, 6000);
            prop_assert_ne!(error.code().0, 6100, "{}", action);
        }
    }

    #[test]
    fn any_common_parameters_are_read_or_an_error(
        pairs in vec((select(&["Action", "Region", "Timestamp", "Nonce", "SecretId", "SignatureMethod", "Token",
            "RequestClient", "Action.0"][..]), parameter_values()), 0..10),
    ) {
        let parameters: Parameters = pairs.into_iter().collect();
        if let Err(error) = timed(|| parse(&parameters, &Limits::default())) {
            check_error(&error);
        }
    }

    #[test]
    fn any_text_is_a_policy_or_an_error(text in soup(POLICY, 40)) {
        let text = String::from_utf8_lossy(&text);
        if let Ok(policy) = timed(|| parse_policy(&text)) {
            prop_assert_eq!(parse_policy(&policy_json(&policy).to_string()).unwrap(), policy);
        }
    }

    #[test]
    fn damage_to_a_policy_is_an_error_or_another_policy(damages in damages()) {
        let policy = br#"{"version":"2.0","statement":[{"effect":"allow","action":["name/vpc:Describe*","name/vpc:Create*"],"resource":"*"},{"effect":"deny","action":"*","resource":["qcs::vpc:gz:uin/1:vpc/vpc-8e0ypm3z"],"condition":{"string_not_equal":{"vpc:accepter_vpc_region":["gz","sh"]}}}]}"#;
        let text = damaged(policy.to_vec(), &damages);
        let text = String::from_utf8_lossy(&text);
        if let Ok(policy) = timed(|| parse_policy(&text)) {
            prop_assert_eq!(parse_policy(&policy_json(&policy).to_string()).unwrap(), policy);
        }
    }

    #[test]
    fn join_strings_round_trip(
        host in "[a-z0-9]([a-z0-9.-]{0,60}[a-z0-9])?", port in 1u16..,
        ca in any::<[u8; 32]>(), secret in vec(any::<u8>(), 16..=64), expiry in any::<u64>(),
    ) {
        let join = JoinString::new(format!("{host}:{port}"), ca, Secret::new(secret), expiry).unwrap();
        prop_assert_eq!(timed(|| join.to_string().parse::<JoinString>()), Ok(join));
    }

    #[test]
    fn any_text_is_a_join_string_or_an_error(
        expiry in any::<u64>(), damages in damages(), tail in "(pwj1_)?[A-Za-z0-9_=+/-]{0,200}",
    ) {
        let join = JoinString::new("h:1".to_owned(), [7; 32], Secret::new(vec![9; 32]), expiry).unwrap();
        let text = damaged(join.to_string().into_bytes(), &damages);
        for text in [String::from_utf8_lossy(&text).into_owned(), tail] {
            if let Ok(read) = timed(|| text.parse::<JoinString>()) {
                prop_assert_eq!(read.to_string().parse::<JoinString>(), Ok(read));
            }
        }
    }
}
