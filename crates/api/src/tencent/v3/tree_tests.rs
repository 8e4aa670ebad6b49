//! The three encodings, and what is no tree.

use proptest::prelude::*;

use super::*;
use crate::tencent::parameters::ParameterLimits;

fn text(value: &str) -> Node {
    Node::Text(value.to_owned())
}

fn object(members: impl IntoIterator<Item = (&'static str, Node)>) -> Node {
    let named = |(name, node): (&str, Node)| (name.to_owned(), node);
    Node::Object(members.into_iter().map(named).collect())
}

fn form(query: &str) -> Result<Node, TreeError> {
    let parameters = Parameters::from_query(query, &ParameterLimits::default()).unwrap();
    from_form(action_pairs(&parameters, &["Action"]))
}

fn filters() -> Node {
    let filter = object([
        ("Name", text("state")),
        ("Values", Node::List(vec![text("ACTIVE"), text("PENDING")])),
    ]);
    object([("Filters", Node::List(vec![filter]))])
}

#[test]
fn all_encodings_give_one_tree() {
    let json = br#"{"Filters": [{"Name": "state", "Values": ["ACTIVE", "PENDING"]}]}"#;
    assert_eq!(from_json(json), Ok(filters()));
    // One client's order is by hash, so a list arrives with its second item first.
    let flattened =
        "Filters.0.Values.1=PENDING&Filters.0.Name=state&Action=X&Filters.0.Values.0=ACTIVE";
    assert_eq!(form(flattened), Ok(filters()));
    let body = "--b\r\nContent-Disposition: form-data; name=\"Filters\"\r\n\
        Content-Type: application/json\r\n\r\n\
        [{\"Name\": \"state\", \"Values\": [\"ACTIVE\", \"PENDING\"]}]\r\n--b--\r\n";
    let multipart = from_multipart("multipart/form-data; boundary=b", body.as_bytes());
    assert_eq!(multipart, Ok(filters()));
}

#[test]
fn more_than_ten_items_keep_the_order_of_their_numbers() {
    let pairs: Vec<(String, String)> = (0..12)
        .map(|n| (format!("Ids.{n}"), n.to_string()))
        .collect();
    let sorted_as_text = pairs.iter().map(|(name, value)| (&**name, &**value)).rev();
    let items = (0..12).map(|n: u32| text(&n.to_string())).collect();
    assert_eq!(
        from_form(sorted_as_text),
        Ok(object([("Ids", Node::List(items))]))
    );
    // Gaps are closed, as they are in version 2.
    assert_eq!(
        form("Ids.7=b&Ids.2=a"),
        Ok(object([("Ids", Node::List(vec![text("a"), text("b")]))]))
    );
}

#[test]
fn a_tree_is_flattened_into_the_names_of_a_form() {
    let mut pairs = Vec::new();
    let body = br#"{"A": [{"B": 1, "C": [true, "x"]}], "D": null, "E": "y"}"#;
    flatten(&from_json(body).unwrap(), "", &mut pairs);
    let expected = [
        ("A.0.B", "1"),
        ("A.0.C.0", "true"),
        ("A.0.C.1", "x"),
        ("E", "y"),
    ];
    assert_eq!(
        pairs,
        expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
    );
}

#[test]
fn an_empty_body_is_an_empty_object() {
    for body in ["", "  ", "{}", " {} \n"] {
        assert_eq!(from_json(body.as_bytes()), Ok(object([])), "{body:?}");
    }
}

#[test]
fn json_types_are_kept_apart() {
    let body = r#"{"a": 1, "b": "1", "c": 1.0, "d": true, "e": null, "f": 1e3, "g": 18446744073709551615, "h": -1, "i": "\u7814\ud83d\ude00"}"#;
    let expected = object([
        ("a", Node::Integer(1)),
        ("b", text("1")),
        ("c", Node::Number),
        ("d", Node::Boolean(true)),
        ("e", Node::Null),
        ("f", Node::Number),
        ("g", Node::Number),
        ("h", Node::Integer(-1)),
        ("i", text("\u{7814}\u{1f600}")),
    ]);
    assert_eq!(from_json(body.as_bytes()), Ok(expected));
}

#[test]
fn what_is_no_object_is_refused() {
    for body in ["[]", "1", "\"x\"", "null", "true"] {
        assert_eq!(
            from_json(body.as_bytes()),
            Err(TreeError::NoObject),
            "{body}"
        );
    }
    for body in [
        "{",
        "{\"a\":}",
        "{} x",
        "{\"a\":1,}",
        "a=b",
        "{\"a\": \"\\ud800\"}",
        "\u{feff}{}",
    ] {
        let refused = from_json(body.as_bytes());
        assert!(
            matches!(refused, Err(TreeError::Json(_))),
            "{body}: {refused:?}"
        );
    }
    assert!(matches!(
        from_json(b"{\"a\": \"\xff\"}"),
        Err(TreeError::Encoding)
    ));
}

#[test]
fn depth_and_number_are_bounded() {
    let nested = |levels| format!("{{\"a\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
    assert!(from_json(nested(MOST_LEVELS - 1).as_bytes()).is_ok());
    assert_eq!(
        from_json(nested(MOST_LEVELS).as_bytes()),
        Err(TreeError::Depth)
    );
    assert_eq!(from_json(nested(100_000).as_bytes()), Err(TreeError::Depth));
    let wide = format!("{{\"a\":[{}0]}}", "0,".repeat(MOST_NODES));
    assert_eq!(from_json(wide.as_bytes()), Err(TreeError::TooMany));
    let members: Vec<String> = (0..1000).map(|n| format!("\"{n}\":0")).collect();
    let large = format!("{{{}}}", members.join(","));
    assert_eq!(from_json(large.as_bytes()), Err(TreeError::TooMany));
    let deep = "a.".repeat(60);
    assert_eq!(form(&format!("{deep}a=1")), Err(TreeError::Depth));
}

#[test]
fn contradictions_are_named() {
    let twice = TreeError::Shape("A".to_owned());
    assert_eq!(from_json(br#"{"A": 1, "A": 2}"#), Err(twice));
    for query in ["A=1&A.0=2", "A.0=2&A=1", "A.0.B=1&A.0=2"] {
        assert!(matches!(form(query), Err(TreeError::Shape(_))), "{query}");
    }
}

#[test]
fn broken_multipart_bodies_are_refused() {
    let kind = "multipart/form-data; boundary=b";
    for (content_type, body) in [
        ("multipart/form-data", "--b--\r\n"),
        (
            kind,
            "--b\r\nContent-Disposition: form-data; name=\"A\"\r\n\r\nx",
        ),
        (
            kind,
            "--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n",
        ),
        (kind, "no parts at all"),
    ] {
        let refused = from_multipart(content_type, body.as_bytes());
        assert!(
            matches!(refused, Err(TreeError::Multipart(_))),
            "{body}: {refused:?}"
        );
    }
}

proptest! {
    #[test]
    fn no_body_panics(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = from_json(&body);
        let _ = from_multipart("multipart/form-data; boundary=b", &body);
    }

    #[test]
    fn no_form_panics(pairs in proptest::collection::vec(("[A.0-9_]{0,12}", ".{0,4}"), 0..20)) {
        let _ = from_form(pairs.iter().map(|(name, value)| (&**name, &**value)));
    }
}
