//! Decoding, bounds and lenience.

use super::*;

fn query(text: &str) -> Result<Parameters, ParametersError> {
    Parameters::from_query(text, &ParameterLimits::default())
}

fn pairs(parameters: &Parameters) -> Vec<(&str, &str)> {
    parameters.pairs().collect()
}

// The shape that the vendor's Java SDK sends: a line break before the first delimiter, and parts
// with nothing but their disposition.
fn multipart(parameters: &[(&str, &str)]) -> (String, Vec<u8>) {
    let boundary = "---------------------------1a2b3c4d5e6f708";
    let mut body = String::new();
    for (name, value) in parameters {
        write!(
            body,
            "\r\n--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}"
        )
        .unwrap();
    }
    write!(body, "\r\n--{boundary}--\r\n").unwrap();
    let content_type = format!("multipart/form-data; boundary={boundary}");
    (content_type, body.into_bytes())
}

fn from_multipart(parameters: &[(&str, &str)]) -> Result<Parameters, ParametersError> {
    let (content_type, body) = multipart(parameters);
    Parameters::from_body(Some(&content_type), &body, &ParameterLimits::default())
}

#[test]
fn values_are_decoded_form_style() {
    let decoded = query("a=1+2&b=%E7%A4%BA%2B&c=&d&&=lost&e=x=y").unwrap();
    assert_eq!(
        pairs(&decoded),
        [
            ("a", "1 2"),
            ("b", "\u{793a}+"),
            ("c", ""),
            ("d", ""),
            ("e", "x=y")
        ]
    );
}

#[test]
fn broken_escapes_stay_as_they_are() {
    assert_eq!(query("a=100%&b=%zz%4").unwrap().get("a"), Some("100%"));
    assert_eq!(query("a=100%&b=%zz%4").unwrap().get("b"), Some("%zz%4"));
}

#[test]
fn text_that_is_not_utf8_is_refused_by_name() {
    assert_eq!(
        query("ok=1&vpcId=%FF"),
        Err(ParametersError::ValueEncoding {
            name: "vpcId".into()
        })
    );
    assert_eq!(
        query("ok=1&%FF=1"),
        Err(ParametersError::NameEncoding { position: 2 })
    );
}

#[test]
fn the_last_of_equal_names_wins_and_underscores_are_dots() {
    let decoded = query("type.0=1&type_0=2&vpcId=a&vpcId=b").unwrap();
    assert_eq!(decoded.get("type.0"), Some("2"));
    assert_eq!(decoded.get("type_0"), Some("2"));
    assert_eq!(decoded.get("vpcId"), Some("b"));
    assert_eq!(decoded.get("vpcid"), None);
    let effective: Vec<_> = decoded.effective().collect();
    assert_eq!(
        effective,
        [("type.0", "type_0", "2"), ("vpcId", "vpcId", "b")]
    );
}

#[test]
fn list_indexes_are_numbers_in_numeric_order() {
    let decoded = query("s.10.a=1&s.2.a=1&s.2.b=1&s.0=1&sx.5=1&s=1&s[7]=1").unwrap();
    assert_eq!(decoded.indexes("s"), Ok(vec![0, 2, 10]));
    assert_eq!(decoded.indexes("absent"), Ok(vec![]));
    for bad in ["s.x.a=1", "s.00=1", "s.=1", "s.-1=1", "s.4294967296=1"] {
        assert!(query(bad).unwrap().indexes("s").is_err(), "{bad}");
    }
}

#[test]
fn every_bound_has_its_error() {
    let limits = ParameterLimits {
        query_bytes: 40,
        body_bytes: 60,
        count: 2,
        name_bytes: 4,
        value_bytes: 5,
    };
    let query = |text: &str| Parameters::from_query(text, &limits);
    assert!(query("abcd=12345&b=%E7%A4%BA").is_ok());
    assert!(matches!(
        query(&"x".repeat(41)),
        Err(ParametersError::QueryTooLong { actual: 41, .. })
    ));
    assert!(matches!(
        query("a=1&b=2&c=3"),
        Err(ParametersError::TooMany { limit: 2 })
    ));
    assert!(matches!(
        query("abcde=1"),
        Err(ParametersError::NameTooLong { .. })
    ));
    assert_eq!(
        query("a=123456"),
        Err(ParametersError::ValueTooLong {
            name: "a".into(),
            limit: 5
        })
    );
    assert_eq!(
        Parameters::from_body(None, &[b'a'; 61], &limits),
        Err(ParametersError::BodyTooLong { limit: 60 })
    );
}

#[test]
fn a_long_name_is_cut_between_characters() {
    let name = "\u{793a}".repeat(100);
    let Err(ParametersError::NameTooLong { name, .. }) = query(&format!("{name}=1")) else {
        panic!("a name of 300 bytes was accepted");
    };
    assert_eq!(name.chars().count(), 21);
}

#[test]
fn a_body_is_a_form_unless_it_says_otherwise() {
    let limits = ParameterLimits::default();
    for content_type in [
        None,
        Some("application/x-www-form-urlencoded"),
        Some("Application/X-WWW-Form-Urlencoded; charset=UTF-8"),
    ] {
        let decoded = Parameters::from_body(content_type, b"a=1+2", &limits).unwrap();
        assert_eq!(decoded.get("a"), Some("1 2"), "{content_type:?}");
    }
    assert_eq!(
        Parameters::from_body(Some("application/json"), b"{}", &limits),
        Err(ParametersError::ContentType("application/json".into()))
    );
}

#[test]
fn the_multipart_form_of_the_java_sdk_is_read() {
    let sent = [
        ("Action", "CreateVpcPeeringConnectionEx"),
        ("peeringConnectionName", "\u{793a}\u{4f8b} a+b&c=d %41\r\nx"),
        ("empty", ""),
        ("Signature", "ae46CiQ6ll++eoSQVAT/zR8gztQ="),
    ];
    assert_eq!(pairs(&from_multipart(&sent).unwrap()), sent);
}

#[test]
fn multipart_files_and_nameless_parts_are_no_parameters() {
    let body = "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"x\"\r\n\r\n1\r\n\
                --b\r\nContent-Disposition: form-data\r\n\r\n2\r\n\
                --b\r\nContent-Disposition: form-data; name=\"a\"\r\nContent-Type: text/plain\r\n\r\n3\r\n--b--";
    let content_type = Some("multipart/form-data; boundary=b");
    let decoded =
        Parameters::from_body(content_type, body.as_bytes(), &ParameterLimits::default()).unwrap();
    assert_eq!(pairs(&decoded), [("a", "3")]);
}

#[test]
fn cut_multipart_bodies_are_refused() {
    let (content_type, body) = multipart(&[("a", "1"), ("b", "2")]);
    let limits = ParameterLimits::default();
    for end in 0..body.len() - 4 {
        let cut = Parameters::from_body(Some(&content_type), &body[..end], &limits);
        assert!(matches!(cut, Err(ParametersError::Multipart(_))), "{end}");
    }
    let no_boundary = Parameters::from_body(Some("multipart/form-data"), &body, &limits);
    assert!(matches!(no_boundary, Err(ParametersError::Multipart(_))));
}

#[test]
fn a_fingerprint_tells_requests_apart_but_not_repetitions() {
    let of = |text: &str| query(text).unwrap().fingerprint();
    let first = of("Action=x&Nonce=1&a.b=@v&Signature=s");
    assert_eq!(of("a_b=%40v&Nonce=1&Action=x&Signature=other"), first);
    for other in [
        "Action=x&Nonce=2&a.b=@v",
        "Action=x&Nonce=1&a.b=@w",
        "Action=x&Nonce=1&a.b=@v&c=",
        "Action=x&Nonce=1a.b&@v=",
        "Action=x&Nonce=1",
    ] {
        assert_ne!(of(other), first, "{other}");
    }
}

#[test]
fn debugging_shows_names_only() {
    let shown = format!("{:?}", query("Token=verysecret").unwrap());
    assert_eq!(shown, "[\"Token\"]");
}

#[test]
fn a_form_that_is_announced_as_json_is_read_as_a_form() {
    let read = |body: &str| {
        let content_type = Some("application/json");
        Parameters::from_body(content_type, body.as_bytes(), &ParameterLimits::default())
    };
    assert_eq!(
        pairs(&read("a=1&b=%7B%7D").unwrap()),
        [("a", "1"), ("b", "{}")]
    );
    for body in ["", "{}", " {\"Action\":\"X\"}", "[]", "\"Action=X\""] {
        assert!(
            matches!(read(body), Err(ParametersError::ContentType(_))),
            "{body}"
        );
    }
}
