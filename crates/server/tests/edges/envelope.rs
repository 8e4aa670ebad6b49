//! The rules that every call is under: common parameters, signature, clock window, codes.

use std::time::Duration;

use api::tencent::Method;
use api::tencent::action::ACTIONS;
use api::tencent::signature::PATH;
use http::Request;
use server::Dataplane;

use crate::bed::{Bed, START, first};
use crate::client::{Answer, Caller, form};

type Pairs = Vec<(String, String)>;

fn describe(bed: &Bed, caller: &Caller) -> Pairs {
    caller.parameters(bed.clock_secs(), "gz", "DescribeVpcEx", &[])
}

fn replaced(pairs: &Pairs, name: &str, value: &str) -> Pairs {
    let others = pairs.iter().filter(|(other, _)| other != name).cloned();
    others
        .chain([(name.to_owned(), value.to_owned())])
        .collect()
}

fn without(pairs: &Pairs, name: &str) -> Pairs {
    pairs
        .iter()
        .filter(|(other, _)| other != name)
        .cloned()
        .collect()
}

#[track_caller]
fn check(answer: &Answer, code: i64, code_desc: &str, mentions: &str) {
    let body = answer.json();
    assert_eq!(answer.status, 200, "{body}");
    assert_eq!(
        answer.headers["content-type"],
        "application/json; charset=utf-8"
    );
    assert_eq!(body["code"], code, "{body}");
    assert_eq!(body["codeDesc"], code_desc, "{body}");
    let message = body["message"].as_str().unwrap();
    assert!(message.contains(mentions), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_and_malformed_common_parameters_are_named() {
    let bed = Bed::start(Dataplane::None).await;
    let (client, caller) = (bed.client(), first());
    let good = describe(&bed, &caller);
    for name in ["Action", "Timestamp", "Nonce", "SecretId", "Region"] {
        let signed = caller.sign(Method::Get, without(&good, name));
        let named = format!("[{name}]");
        check(&client.get(&signed).await, 4000, "InvalidParameter", &named);
    }
    check(
        &client.get(&good).await,
        4000,
        "InvalidParameter",
        "[Signature]",
    );
    for (name, value) in [
        ("Timestamp", "yesterday"),
        ("Timestamp", "-1"),
        ("Nonce", "1.5"),
        ("Region", "mars"),
    ] {
        let signed = caller.sign(Method::Get, replaced(&good, name, value));
        let named = format!("[{name}]");
        check(&client.get(&signed).await, 4000, "InvalidParameter", &named);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_signatures_and_unknown_keys_are_told_apart() {
    let bed = Bed::start(Dataplane::None).await;
    let client = bed.client();
    let (caller, good) = (first(), describe(&bed, &first()));

    let forger = Caller::new(&caller.secret_id, "notthekey");
    let signed = forger.sign(Method::Get, good.clone());
    check(
        &client.get(&signed).await,
        4100,
        "AuthFailure",
        "string to sign",
    );

    let signed = caller.sign(Method::Get, good.clone());
    let tampered = replaced(&signed, "Region", "sh");
    check(
        &client.get(&tampered).await,
        4100,
        "AuthFailure",
        "does not verify",
    );

    let garbled = replaced(&signed, "Signature", "!");
    check(&client.get(&garbled).await, 4100, "AuthFailure", "base64");

    let stranger = Caller::new("AKIDnobody", &caller.secret_key);
    let signed = stranger.sign(Method::Get, describe(&bed, &stranger));
    check(
        &client.get(&signed).await,
        4104,
        "SecretidNotExit",
        "SecretId",
    );

    let with_token = replaced(&good, "Token", "temporary");
    let signed = caller.sign(Method::Get, with_token);
    let answer = client.get(&signed).await;
    check(&answer, 4105, "InvalidRequest.TokenCheckFailed", "token");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clock_window_is_two_hours_both_ways() {
    let bed = Bed::start(Dataplane::None).await;
    let (client, caller) = (bed.client(), first());
    let sent = bed.clock_secs();
    let signed = caller.sign(Method::Get, describe(&bed, &caller));
    for (offset, code) in [(7200, 0), (7201, 4500), (-7200, 0), (-7201, 4500)] {
        bed.clock.set(model::UnixMillis((sent + offset) * 1000));
        let body = client.get(&signed).await.json();
        assert_eq!(body["code"], code, "{offset}: {body}");
    }
    bed.clock.set(START.after(Duration::from_secs(7201)));
    let code = "InvalidRequest.ReplayAttack";
    check(&client.get(&signed).await, 4500, code, "7200 s");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_action_is_told_to_callers_that_are_known() {
    let bed = Bed::start(Dataplane::None).await;
    let (client, caller) = (bed.client(), first());
    let unknown = caller.parameters(bed.clock_secs(), "gz", "MakeCoffee", &[]);
    check(
        &client.get(&unknown).await,
        4000,
        "InvalidParameter",
        "[Signature]",
    );
    let forged = replaced(&unknown, "Signature", "AAAAAAAAAAAAAAAAAAAAAAAAAAA=");
    check(&client.get(&forged).await, 4100, "AuthFailure", "");
    let signed = caller.sign(Method::Get, unknown);
    check(
        &client.get(&signed).await,
        6100,
        "InvalidAction.NotFound",
        "MakeCoffee",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn no_action_is_done_for_a_caller_who_is_not_known() {
    let bed = Bed::start(Dataplane::None).await;
    let client = bed.client();
    let forger = Caller::new(&first().secret_id, "notthekey");
    for action in ACTIONS {
        let unsigned = forger.parameters(bed.clock_secs(), "gz", action.name, &[]);
        let answer = client.get(&unsigned).await;
        check(&answer, 4000, "InvalidParameter", "[Signature]");
        let forged = forger.sign(Method::Get, unsigned);
        check(
            &client.get(&forged).await,
            4100,
            "AuthFailure",
            "does not verify",
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_of_the_action_are_checked_after_the_caller() {
    let bed = Bed::start(Dataplane::None).await;
    let (client, caller) = (bed.client(), first());
    let action = "CreateVpcPeeringConnectionEx";
    let pairs = caller.parameters(bed.clock_secs(), "gz", action, &[("vpcId", "gz_vpc_226")]);
    let signed = caller.sign(Method::Get, pairs);
    check(
        &client.get(&signed).await,
        4000,
        "InvalidParameter",
        "[peerVpcId]",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_sdk_that_signs_with_sha256_is_understood() {
    let bed = Bed::start(Dataplane::None).await;
    let caller = first();
    let pairs = replaced(&describe(&bed, &caller), "SignatureMethod", "HmacSHA256");
    let signed = caller.sign(Method::Get, pairs);
    check(&bed.client().get(&signed).await, 0, "Success", "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_posted_form_counts_and_its_query_string_does_not() {
    let bed = Bed::start(Dataplane::None).await;
    let caller = first();
    let signed = caller.sign(Method::Post, describe(&bed, &caller));
    let request = || {
        Request::post(format!("{PATH}?Action=MakeCoffee"))
            .header("content-type", "application/x-www-form-urlencoded")
    };
    let answer = bed.client().send(request(), form(&signed)).await;
    check(&answer, 0, "Success", "");
    let wrong_method = caller.sign(Method::Get, describe(&bed, &caller));
    let answer = bed.client().send(request(), form(&wrong_method)).await;
    check(&answer, 4100, "AuthFailure", "POST");
}

/// The vendor's Java SDK: the body starts with an empty line, parts have nothing but a name.
#[tokio::test(flavor = "multi_thread")]
async fn a_posted_multipart_form_is_understood() {
    let bed = Bed::start(Dataplane::None).await;
    let caller = first();
    let name = "\u{793a}\u{4f8b} a+b&c=d";
    let parameters = [("vpcName", name), ("cidrBlock", "10.1.0.0/16")];
    let pairs = caller.parameters(bed.clock_secs(), "gz", "CreateVpc", &parameters);
    let signed = caller.sign(Method::Post, pairs);
    let boundary = "---------------------------0123456789abcde";
    let mut body = String::new();
    for (name, value) in &signed {
        body.push_str(&format!(
            "\r\n--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}"
        ));
    }
    body.push_str(&format!("\r\n--{boundary}--\r\n"));
    let request = Request::post(PATH).header(
        "content-type",
        format!("multipart/form-data; boundary={boundary}"),
    );
    check(&bed.client().send(request, body).await, 0, "Success", "");
    let listed = bed.call("gz", "DescribeVpcEx", &[("vpcName", name)]).await;
    assert_eq!(listed["totalCount"], 1, "{listed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_and_methods_outside_the_bounds_are_refused_with_status_200() {
    let bed = Bed::start(Dataplane::None).await;
    let client = bed.client();
    let request =
        || Request::post(PATH).header("content-type", "application/x-www-form-urlencoded");
    let answer = client.send(request(), vec![b'a'; (1 << 20) + 1]).await;
    check(&answer, 4000, "InvalidParameter", "1048576");
    let json = Request::post(PATH).header("content-type", "application/json");
    check(
        &client.send(json, "{}").await,
        4000,
        "InvalidParameter",
        "application/json",
    );
    let put = Request::put(PATH);
    check(
        &client.send(put, "").await,
        4000,
        "InvalidParameter",
        "GET or POST",
    );
    let long = format!("{PATH}?Action={}", "a".repeat(40 << 10));
    check(
        &client.send(Request::get(long), "").await,
        4000,
        "InvalidParameter",
        "query",
    );
}
