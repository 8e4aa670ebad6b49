//! Published and derived vectors, and each reading that clients use.

use super::*;

const SECRET_ID: &str = "AKIDz8krbsJ5yKBZQpn74WFkmLPx3gnPhESA";
const SECRET_KEY: &[u8] = b"Gu5t9xGARNpq86cd98joQYCN3Cozk1qA";

fn request<'a>(method: Method, host: &'a str, parameters: &'a Parameters) -> SignedRequest<'a> {
    SignedRequest {
        method,
        host,
        path: PATH,
        parameters,
    }
}

fn signed(method: Method, host: &str, parameters: &Parameters) -> String {
    sign(&request(method, host, parameters), SECRET_KEY)
}

fn with(parameters: &Parameters, name: &str, value: &str) -> Parameters {
    let mut parameters = parameters.clone();
    parameters.push(name, value);
    parameters
}

fn describe_instances(secret_id: &str, signature_method: &str) -> Parameters {
    Parameters::from_iter([
        ("Action", "DescribeInstances"),
        ("InstanceIds.0", "ins-09dx96dg"),
        ("Nonce", "11886"),
        ("Region", "ap-guangzhou"),
        ("SecretId", secret_id),
        ("SignatureMethod", signature_method),
        ("Timestamp", "1465185768"),
    ])
}

fn own(action: &'static str, region: &'static str) -> Parameters {
    Parameters::from_iter([
        ("Action", action),
        ("Region", region),
        ("Timestamp", "1507645389"),
        ("Nonce", "59485"),
        ("SecretId", SECRET_ID),
    ])
}

fn create_peering() -> Parameters {
    let mut parameters = own("CreateVpcPeeringConnectionEx", "sh");
    for (name, value) in [
        ("vpcId", "gz_vpc_226"),
        ("peerVpcId", "gz_vpc_89"),
        ("peerUin", "2407912486"),
        ("peeringConnectionName", "tses"),
        ("peerRegion", "gz"),
        ("bandwidth", "20"),
    ] {
        parameters.push(name, value);
    }
    parameters
}

#[test]
fn the_official_vectors_verify() {
    let host = "cvm.api.qcloud.com";
    for (signature_method, expected) in [
        ("HmacSHA256", "0EEm/HtGRr/VJXTAD9tYMth1Bzm3lLHz5RCDv1GdM8s="),
        ("HmacSHA1", "nPVnY6njQmwQ8ciqbPl5Qe+Oru4="),
    ] {
        let parameters = describe_instances(SECRET_ID, signature_method);
        assert_eq!(signed(Method::Get, host, &parameters), expected);
        let parameters = with(&parameters, "Signature", expected);
        assert_eq!(
            verify(&request(Method::Get, host, &parameters), SECRET_KEY),
            Ok(())
        );
    }
}

// One edition of the signature page masks the SecretId but kept the results of the unmasked one.
#[test]
fn the_masked_page_does_not_verify() {
    let host = "cvm.api.qcloud.com";
    let masked = "AKID**********BZQpn74WFkmLPx3gnPhESA";
    for (signature_method, printed, computed) in [
        (
            "HmacSHA256",
            "0EEm/HtGRr/VJXTAD9tYMth1Bzm3lLHz5RCDv1GdM8s=",
            "RMwgP9NK7V5v17PsZgC+tH176dwBGaIg+CGKjtHFWGk=",
        ),
        (
            "HmacSHA1",
            "nPVnY6njQmwQ8ciqbPl5Qe+Oru4=",
            "2VyFEYwgi2iku1HO2NK2hNqFqgs=",
        ),
    ] {
        let parameters = describe_instances(masked, signature_method);
        assert_eq!(signed(Method::Get, host, &parameters), computed);
        let parameters = with(&parameters, "Signature", printed);
        assert!(matches!(
            verify(&request(Method::Get, host, &parameters), SECRET_KEY),
            Err(SignatureError::Mismatch { .. })
        ));
    }
}

#[test]
fn the_vectors_of_the_python_sdk_verify() {
    for (method, signature_method, expected) in [
        (Method::Post, "HmacSHA1", "p3n+pxBqF5JGZtDSxoVn5tGngf0="),
        (Method::Get, "HmacSHA1", "5HAq1BOKNLEE2/uauWnp6Zv9Z3c="),
        (
            Method::Post,
            "HmacSHA256",
            "B2T37FRSP6Fk0/q/cdfrTE0p3zX5ooB/2BPWZUFpsj4=",
        ),
    ] {
        let parameters = Parameters::from_iter([
            ("Action", "DescribeInstances"),
            ("Nonce", "1290303896666895346"),
            ("Region", "ap-guangzhou"),
            ("SecretId", "secretIdFoo"),
            ("SignatureMethod", signature_method),
            ("Timestamp", "1512393162"),
            ("Version", "2017-03-12"),
        ]);
        let request = request(method, "cvm.api.qcloud.com", &parameters);
        assert_eq!(sign(&request, b"secretKeyBar"), expected);
    }
}

#[test]
fn the_vectors_for_this_service_verify() {
    for (method, signature_method, expected) in [
        (Method::Get, None, "ae46CiQ6ll++eoSQVAT/zR8gztQ="),
        (
            Method::Get,
            Some("HmacSHA256"),
            "tSEv+kfj1FsgaYM7GzOHVlVLXV/JOT7HLfMdnBjGxTA=",
        ),
        (Method::Post, None, "KuU/UXXQZxFWVjfILKLRTpzpszo="),
        (
            Method::Post,
            Some("HmacSHA256"),
            "NgriSBuwVXaJAt6kW10Rd+76M0mePVtGsS1fCarUgBE=",
        ),
    ] {
        let mut parameters = create_peering();
        if let Some(signature_method) = signature_method {
            parameters.push("SignatureMethod", signature_method);
        }
        assert_eq!(signed(method, CANONICAL_HOST, &parameters), expected);
        let parameters = with(&parameters, "Signature", expected);
        assert_eq!(
            verify(&request(method, "127.0.0.1:8443", &parameters), SECRET_KEY),
            Ok(())
        );
    }
    assert_eq!(
        string_to_sign(&request(Method::Get, CANONICAL_HOST, &create_peering())),
        "GETvpc.api.qcloud.com/v2/index.php?Action=CreateVpcPeeringConnectionEx&Nonce=59485\
         &Region=sh&SecretId=AKIDz8krbsJ5yKBZQpn74WFkmLPx3gnPhESA&Timestamp=1507645389\
         &bandwidth=20&peerRegion=gz&peerUin=2407912486&peerVpcId=gz_vpc_89\
         &peeringConnectionName=tses&vpcId=gz_vpc_226"
    );
}

#[test]
fn the_vector_with_a_list_verifies() {
    let mut parameters = own("CreateRoute", "ap-guangzhou");
    for (name, value) in [
        ("vpcId", "vpc-amhnnao5"),
        ("routeTableId", "rtb-4ahe1qy2"),
        ("routeSet.0.destinationCidrBlock", "10.1.0.0/16"),
        ("routeSet.0.nextType", "4"),
        ("routeSet.0.nextHub", "pcx-6gw5wvmk"),
        ("SignatureMethod", "HmacSHA256"),
    ] {
        parameters.push(name, value);
    }
    assert_eq!(
        signed(Method::Get, CANONICAL_HOST, &parameters),
        "L93BXzLBfPXYBg/zz6uz5AAxTaEGOfaO6xBIWJpHIdU="
    );
}

#[test]
fn the_vector_with_special_characters_verifies_from_its_body() {
    let body = "Action=ModifyVpcPeeringConnectionEx&Region=gz&Timestamp=1507645389&Nonce=59485\
        &SecretId=AKIDz8krbsJ5yKBZQpn74WFkmLPx3gnPhESA&peeringConnectionId=pcx-krmzap90\
        &peeringConnectionName=%E7%A4%BA%E4%BE%8B+a%2Bb%26c%3Dd\
        &Signature=IjSuFr0kcTGjkvTC1MHUlTeQWeg%3D";
    let parameters = Parameters::from_body(None, body.as_bytes(), &Default::default()).unwrap();
    let request = request(Method::Post, CANONICAL_HOST, &parameters);
    assert_eq!(verify(&request, SECRET_KEY), Ok(()));
}

#[test]
fn a_plus_that_became_a_space_is_tolerated() {
    let parameters = with(
        &create_peering(),
        "Signature",
        "ae46CiQ6ll  eoSQVAT/zR8gztQ=",
    );
    let request = request(Method::Get, CANONICAL_HOST, &parameters);
    assert_eq!(verify(&request, SECRET_KEY), Ok(()));
}

#[test]
fn only_the_exact_name_selects_sha256() {
    for value in [None, Some(""), Some("hmacsha256"), Some("HmacSHA512")] {
        assert_eq!(
            SignatureMethod::from_parameter(value),
            SignatureMethod::HmacSha1
        );
    }
}

#[test]
fn the_host_may_be_as_received_without_port_or_the_vendors() {
    let parameters = create_peering();
    for (host_header, signed_host, accepted) in [
        ("api.example.net:8443", "api.example.net:8443", true),
        ("api.example.net:8443", "api.example.net", true),
        ("api.example.net:8443", CANONICAL_HOST, true),
        ("[::1]:8443", "[::1]", true),
        ("api.example.net:8443", "other.example.net", false),
        ("api.example.net", "api.example.net:8443", false),
    ] {
        let signature = signed(Method::Get, signed_host, &parameters);
        let parameters = with(&parameters, "Signature", &signature);
        let verified = verify(&request(Method::Get, host_header, &parameters), SECRET_KEY);
        assert_eq!(verified.is_ok(), accepted, "{host_header} {signed_host}");
    }
}

#[test]
fn values_that_start_with_at_count_or_not_in_a_post_only() {
    let plain = own("ModifyVpcPeeringConnectionEx", "gz");
    let named = with(&plain, "peeringConnectionName", "@x");
    for (method, covered, accepted) in [
        (Method::Post, &plain, true),
        (Method::Post, &named, true),
        (Method::Get, &named, true),
        (Method::Get, &plain, false),
    ] {
        let signature = signed(method, CANONICAL_HOST, covered);
        let sent = with(&named, "Signature", &signature);
        let verified = verify(&request(method, CANONICAL_HOST, &sent), SECRET_KEY);
        assert_eq!(verified.is_ok(), accepted, "{method:?}");
    }
}

#[test]
fn names_may_be_sorted_before_or_after_the_replacement() {
    // `a_b` sorts after `aZb` and `a.b` before it.
    let sent = with(&with(&own("X", "gz"), "a_b", "1"), "aZb", "2");
    let base = "GETvpc.api.qcloud.com/v2/index.php?Action=X&Nonce=59485&Region=gz\
        &SecretId=AKIDz8krbsJ5yKBZQpn74WFkmLPx3gnPhESA&Timestamp=1507645389";
    for tail in ["&a.b=1&aZb=2", "&aZb=2&a.b=1"] {
        let key = SignatureMethod::HmacSha1.key(SECRET_KEY);
        let tag = hmac::sign(&key, format!("{base}{tail}").as_bytes());
        let sent = with(&sent, "Signature", &STANDARD.encode(tag.as_ref()));
        assert_eq!(
            verify(&request(Method::Get, CANONICAL_HOST, &sent), SECRET_KEY),
            Ok(()),
            "{tail}"
        );
    }
}

#[test]
fn missing_and_unreadable_signatures_have_their_own_errors() {
    let parameters = create_peering();
    let check = |parameters: &Parameters| {
        verify(
            &request(Method::Get, CANONICAL_HOST, parameters),
            SECRET_KEY,
        )
    };
    assert_eq!(check(&parameters), Err(SignatureError::Missing));
    for text in ["*", "YWJ", "ae46CiQ6ll++eoSQVAT/zR8gztQ"] {
        let parameters = with(&parameters, "Signature", text);
        assert_eq!(check(&parameters), Err(SignatureError::Encoding), "{text}");
    }
    for (text, actual) in [("", 0), ("YWJj", 3)] {
        let parameters = with(&parameters, "Signature", text);
        let expected = SignatureError::Length {
            digest: "SHA1",
            expected: 20,
            actual,
        };
        assert_eq!(check(&parameters), Err(expected), "{text}");
    }
}
