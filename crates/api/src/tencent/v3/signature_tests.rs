//! The published vectors, those of requests recorded from clients, and the negative space.

use http::{HeaderName, HeaderValue};

use super::*;

const KEY: Credential<'static> = Credential {
    secret_id: "AKIDEXAMPLE0000000000000000000000000",
    secret_key: b"SecretKeyExample0000000000000000",
    service: "vpc",
};

const CREATE: &[u8] = br#"{"SourceVpcId":"vpc-aaaaaaaa","PeeringConnectionName":"example","DestinationVpcId":"vpc-bbbbbbbb","DestinationUin":"100000000001","DestinationRegion":"ap-guangzhou"}"#;

const SDK: &str = "content-type;host";

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    let pair = |(name, value): &(&str, &str)| {
        (
            name.parse::<HeaderName>().unwrap(),
            value.parse::<HeaderValue>().unwrap(),
        )
    };
    pairs.iter().map(pair).collect()
}

fn json() -> HeaderMap {
    headers(&[("content-type", "application/json")])
}

fn create(headers: &HeaderMap) -> Signed<'_> {
    Signed {
        method: "POST",
        query: "",
        host: "vpc.tencentcloudapi.com",
        headers,
        body: CREATE,
        timestamp: "1700000000",
    }
}

/// Checks that a request is signed so, and that the signature verifies.
fn check(signed: &Signed<'_>, credential: Credential<'_>, names: &str, expected: &str) {
    let header = sign(signed, credential, names).unwrap();
    let authorization = Authorization::parse(&header).unwrap();
    assert_eq!(authorization.signature, expected);
    assert_eq!(
        verify(signed, &authorization, credential.secret_key),
        Ok(())
    );
}

fn header(service: &str, names: &str, signature: &str) -> String {
    let id = KEY.secret_id;
    format!(
        "TC3-HMAC-SHA256 Credential={id}/2023-11-14/{service}/tc3_request, SignedHeaders={names}, \
         Signature={signature}"
    )
}

fn verifies(signed: &Signed<'_>, header: &str) -> bool {
    let authorization = Authorization::parse(header).unwrap();
    verify(signed, &authorization, KEY.secret_key).is_ok()
}

#[test]
fn the_published_vectors_verify() {
    let credential = Credential {
        secret_id: "AKIDz8krbsJ5yKBZQpn74WFkmLPx3EXAMPLE",
        secret_key: b"Gu5t9xGARNpq86cd98joQYCN3EXAMPLE",
        service: "cvm",
    };
    let headers = headers(&[
        ("content-type", "application/json; charset=utf-8"),
        ("x-tc-action", "DescribeInstances"),
    ]);
    let signed = Signed {
        host: "cvm.tencentcloudapi.com",
        body: br#"{"Limit": 1, "Filters": [{"Values": ["\u672a\u547d\u540d"], "Name": "instance-name"}]}"#,
        timestamp: "1551113065",
        ..create(&headers)
    };
    assert_eq!(
        payload_hash(&signed),
        "35e9c5b0e3ae67532d3c9f17ead6c90222632e5b1ff7f6e89887f1398934f064"
    );
    check(
        &signed,
        credential,
        SDK,
        "72e494ea809ad7a8c8f7a4507b9bddcbaa8e581f516e8da2f66e2c5a96525168",
    );
    // With the action signed, whose value the documentation has in lower case.
    let documented = "TC3-HMAC-SHA256 Credential=AKIDz8krbsJ5yKBZQpn74WFkmLPx3EXAMPLE/2019-02-25/cvm/tc3_request, \
         SignedHeaders=content-type;host;x-tc-action, \
         Signature=644be983de9a8a3f00db8eadaba61467c3b429e2215758ba897b738ca469fd26";
    let authorization = Authorization::parse(documented).unwrap();
    assert_eq!(
        verify(&signed, &authorization, credential.secret_key),
        Ok(())
    );
}

#[test]
fn a_post_of_json_has_the_signature_of_the_sdks() {
    check(
        &create(&json()),
        KEY,
        SDK,
        "a5d9f2e21d1c897253535b1b7a0d77d88e25f33dd9a4cc292c134d2e06cf0b6a",
    );
}

#[test]
fn the_steps_of_the_key_are_as_published() {
    let step = |key: &[u8], text: &str| {
        hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes())
    };
    let date = step(b"TC3SecretKeyExample0000000000000000", "2023-11-14");
    assert_eq!(
        hex::encode(date),
        "5c30eeb674e45b0b3a699567be310534dcaa2a4674c65790f67d4ad2b6ea4b38"
    );
    let service = step(date.as_ref(), "vpc");
    assert_eq!(
        hex::encode(service),
        "ac09cc0b764bd802d78c9dde84ecbfe53d37c6c0041a79ec7ac48903defa1d0d"
    );
    let signing = step(service.as_ref(), "tc3_request");
    assert_eq!(
        hex::encode(signing),
        "5f3a83dac0f788d31cf5f2f492e476809b02270635dc410af27160246c4e1da3"
    );
}

#[test]
fn an_unsigned_payload_leaves_the_body_out() {
    let headers = headers(&[
        ("content-type", "application/json"),
        ("x-tc-content-sha256", "UNSIGNED-PAYLOAD"),
    ]);
    let signed = create(&headers);
    assert_eq!(
        payload_hash(&signed),
        "438d4109ef0d676b8c2c7ed13cdfcb418e494d53b843d4634ce3b1085f07bb96"
    );
    let signature = "eae422e0fc832c788057c81cec2ca3728386080e68f0c8340853ad0b0d2645e6";
    check(&signed, KEY, SDK, signature);
    let another_body = Signed {
        body: b"{}",
        ..signed
    };
    check(&another_body, KEY, SDK, signature);
}

#[test]
fn a_signed_action_may_be_in_lower_case_or_as_sent() {
    let headers = headers(&[
        ("content-type", "application/json"),
        ("x-tc-action", "CreateVpcPeeringConnection"),
    ]);
    let names = "content-type;host;x-tc-action";
    let lower = "6e82d54d163f9d2d1c6c4b0bd560b6d7f335b00f2db51112d52d67556b01a3b6";
    assert!(verifies(&create(&headers), &header("vpc", names, lower)));
    let kept = sign(&create(&headers), KEY, names).unwrap();
    assert_ne!(Authorization::parse(&kept).unwrap().signature, lower);
    assert!(verifies(&create(&headers), &kept));
}

#[test]
fn the_query_of_a_get_is_signed_as_it_was_sent() {
    let headers = headers(&[("content-type", "application/x-www-form-urlencoded")]);
    let signed = Signed {
        method: "GET",
        query: "Filters.0.Name=state&Filters.0.Values.0=ACTIVE&Filters.0.Values.1=PENDING&Limit=20&Offset=0",
        host: "127.0.0.1:8080",
        body: b"",
        ..create(&headers)
    };
    let signature = "04e7207b4d5c750000cce08403e2b83f80da82499042b94d164bbb5dc6b8a250";
    check(&signed, KEY, SDK, signature);
    let reordered = Signed {
        query: "Limit=20&Offset=0&Filters.0.Name=state&Filters.0.Values.0=ACTIVE&Filters.0.Values.1=PENDING",
        ..signed
    };
    assert!(!verifies(&reordered, &header("vpc", SDK, signature)));
    let escaped_otherwise = Signed {
        query: "Filters.0.Name=stat%65&Filters.0.Values.0=ACTIVE&Filters.0.Values.1=PENDING&Limit=20&Offset=0",
        ..signed
    };
    assert!(!verifies(
        &escaped_otherwise,
        &header("vpc", SDK, signature)
    ));
}

#[test]
fn the_node_sdk_signs_the_host_without_its_port_and_takes_its_first_label_for_the_service() {
    let headers = json();
    let signature = "9bbb9849fde0fab174dbedcc8c25790a149e9d001e4a708bbbe514df74be54b9";
    for host in ["127.0.0.1:8080", "127.0.0.1:1", "127.0.0.1"] {
        let signed = Signed {
            host,
            ..create(&headers)
        };
        assert!(verifies(&signed, &header("127", SDK, signature)), "{host}");
    }
    let other = Signed {
        host: "127.0.0.2:8080",
        ..create(&headers)
    };
    assert!(!verifies(&other, &header("127", SDK, signature)));
}

#[test]
fn a_host_that_is_a_url_or_a_service_with_a_port_is_signed_as_it_is() {
    let headers = json();
    for (host, service) in [
        ("http://127.0.0.1:8080", "vpc"),
        ("localhost:8080", "localhost:8080"),
        ("[::1]:8080", "vpc"),
    ] {
        let signed = Signed {
            host,
            ..create(&headers)
        };
        let header = sign(&signed, Credential { service, ..KEY }, SDK).unwrap();
        assert!(verifies(&signed, &header), "{host}");
    }
}

#[test]
fn a_content_type_with_a_charset_is_signed_with_it() {
    for content_type in [
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8",
    ] {
        let headers = headers(&[("content-type", content_type)]);
        let signed = create(&headers);
        assert!(verifies(&signed, &sign(&signed, KEY, SDK).unwrap()));
    }
    // As the documentation says, values in lower case.
    let (sent, signed) = (
        headers(&[("content-type", "application/json; charset=UTF-8")]),
        headers(&[("content-type", "application/json; charset=utf-8")]),
    );
    let header = sign(&create(&signed), KEY, SDK).unwrap();
    assert!(verifies(&create(&sent), &header));
}

#[test]
fn whatever_is_signed_cannot_be_changed() {
    let headers = json();
    let signed = create(&headers);
    let right = sign(&signed, KEY, SDK).unwrap();
    let other_type = self::headers(&[("content-type", "text/json")]);
    for (what, changed) in [
        (
            "body",
            Signed {
                body: b"{}",
                ..signed
            },
        ),
        (
            "method",
            Signed {
                method: "GET",
                ..signed
            },
        ),
        (
            "host",
            Signed {
                host: "vpc.example",
                ..signed
            },
        ),
        (
            "query",
            Signed {
                query: "a=b",
                ..signed
            },
        ),
        (
            "timestamp",
            Signed {
                timestamp: "1700000001",
                ..signed
            },
        ),
        (
            "content type",
            Signed {
                headers: &other_type,
                ..signed
            },
        ),
    ] {
        assert!(!verifies(&changed, &right), "{what}");
    }
    let wrong_key = Authorization::parse(&right).unwrap();
    assert!(verify(&signed, &wrong_key, b"another").is_err());
    let wrong_service = right.replace("/vpc/", "/cvm/");
    assert!(!verifies(&signed, &wrong_service));
    let in_capitals = {
        let signature = wrong_key.signature;
        right.replace(signature, &signature.to_uppercase())
    };
    assert!(!verifies(&signed, &in_capitals));
}

#[test]
fn the_date_of_the_credential_is_that_of_the_timestamp_in_utc() {
    let headers = json();
    let right = sign(&create(&headers), KEY, SDK).unwrap();
    let another_day = right.replace("2023-11-14", "2023-11-15");
    let authorization = Authorization::parse(&another_day).unwrap();
    let error = verify(&create(&headers), &authorization, KEY.secret_key).unwrap_err();
    assert!(matches!(error, SignatureError::Date { .. }), "{error}");
    for timestamp in ["", "x", "-", "99999999999999999999"] {
        let signed = Signed {
            timestamp,
            ..create(&headers)
        };
        assert!(!verifies(&signed, &right), "{timestamp}");
    }
}

#[test]
fn a_signed_header_that_did_not_arrive_is_named() {
    let names = "content-type;host;x-tc-region";
    let headers = json();
    let header = header("vpc", names, &"0".repeat(64));
    let authorization = Authorization::parse(&header).unwrap();
    let error = verify(&create(&headers), &authorization, KEY.secret_key);
    assert_eq!(error, Err(SignatureError::Header("x-tc-region".to_owned())));
}

#[test]
fn headers_of_another_form_are_refused() {
    let digest = "0".repeat(64);
    for text in [
        "",
        "SKIP",
        "Basic dXNlcjpwYXNz",
        "TC3-HMAC-SHA256",
        "TC3-HMAC-SHA256 ",
        "TC3-HMAC-SHA256 Credential=a/2023-11-14/vpc/tc3_request",
        "TC3-HMAC-SHA256 Credential=a/2023-11-14/vpc/tc3_request, SignedHeaders=content-type;host",
        "TC3-HMAC-SHA256 SignedHeaders=content-type;host, Signature=00",
        "TC3-HMAC-SHA256 Credential=a/2023-11-14/vpc, SignedHeaders=content-type;host, Signature=00",
        "TC3-HMAC-SHA256 Credential=/2023-11-14/vpc/tc3_request, SignedHeaders=content-type;host, Signature=00",
        "TC3-HMAC-SHA256 Credential=a/2023-11-14//tc3_request, SignedHeaders=content-type;host, Signature=00",
        "TC3-HMAC-SHA256 Credential=a/2023-11-14/vpc/tc3_request/x, SignedHeaders=content-type;host, Signature=00",
        "TC3-HMAC-SHA256 Credential=a/2023-11-14/vpc/aws4_request, SignedHeaders=content-type;host, Signature=00",
        "TC3-HMAC-SHA256 Credential=a/2023-11-14/vpc/tc3_request, SignedHeaders=host, Signature=00",
        "TC3-HMAC-SHA256 Credential=a/2023-11-14/vpc/tc3_request, SignedHeaders=content-type, Signature=00",
        "TC3-HMAC-SHA256 Credential=a/2023-11-14/vpc/tc3_request, SignedHeaders=Content-Type;Host, Signature=00",
        "TC3-HMAC-SHA256 Credential=a/2023-11-14/vpc/tc3_request, SignedHeaders=content-type;host, Signature=00, X=1",
        "TC3-HMAC-SHA256 Credential=a/2023-11-14/vpc/tc3_request, SignedHeaders=content-type;host, Signature=00, Signature=01",
        "TC3-HMAC-SHA256-X Credential=a/2023-11-14/vpc/tc3_request, SignedHeaders=content-type;host, Signature=00",
        "TC2-HMAC-SHA256 Credential=a/2023-11-14/vpc/tc3_request, SignedHeaders=content-type;host, Signature=00",
    ] {
        assert!(Authorization::parse(text).is_err(), "{text}");
    }
    let many = ["content-type;host"; 40].join(";");
    assert!(Authorization::parse(&header("vpc", &many, &digest)).is_err());
    // Without spaces after the commas it is as good.
    let tight = header("vpc", SDK, &digest).replace(", ", ",");
    assert!(Authorization::parse(&tight).is_ok());
}
