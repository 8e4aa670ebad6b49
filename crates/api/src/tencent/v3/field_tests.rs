//! The table's own consistency; how values are read is tested with whole requests.

use std::collections::BTreeSet;

use super::*;
use crate::tencent::v3::action;

#[test]
fn no_action_and_no_field_is_declared_twice() {
    let mut names = BTreeSet::new();
    for action in action::all() {
        assert!(
            names.insert((action.product.service(), action.name)),
            "{}",
            action.name
        );
        let fields: BTreeSet<_> = action.fields.iter().map(|field| field.name).collect();
        assert_eq!(fields.len(), action.fields.len(), "{}", action.name);
        assert!(!fields.contains("RequestId"), "{}", action.name);
    }
}

#[test]
fn creations_take_a_token_and_nothing_else_does() {
    for action in action::all() {
        let is_creation = action.name.starts_with("Create");
        assert_eq!(action.is_creation(), is_creation, "{}", action.name);
    }
}

#[test]
fn every_version_belongs_to_a_product_and_the_reverse() {
    let used: BTreeSet<_> = action::all()
        .map(|action| action.product.version())
        .collect();
    let known: BTreeSet<_> = action::VERSIONS.iter().copied().collect();
    assert_eq!(used, known);
}

#[test]
fn truth_values_have_any_case() {
    for (text, expected) in [("true", true), ("True", true), ("FALSE", false)] {
        let node = Node::Text(text.to_owned());
        let read = Kind::Boolean(Declared::Plain).read(node, "x");
        assert_eq!(read, Ok(Argument::Boolean(expected)));
    }
    let read = Kind::Boolean(Declared::AsText).read(Node::Text("1".to_owned()), "x");
    assert!(matches!(read, Err(Error::Type { .. })));
}

#[test]
fn an_empty_optional_text_counts_as_absent() {
    const FIELDS: &[Field] = &[optional("A", Kind::Text), optional("B", Kind::Name)];
    let object = |name: &str| Node::Object(vec![(name.to_owned(), Node::Text(String::new()))]);
    assert!(!Arguments::read(FIELDS, object("A"), "").unwrap().has("A"));
    let refused = Arguments::read(FIELDS, object("B"), "").unwrap_err();
    assert!(
        matches!(
            refused,
            Error::Value {
                fault: Fault::Empty,
                ..
            }
        ),
        "{refused:?}"
    );
}

/// The list of actions for people.
fn documented() -> String {
    let mut text = String::from("| product | version | action |\n|---|---|---|\n");
    for action in action::all() {
        let (service, version) = (action.product.service(), action.product.version());
        text.push_str(&format!("| {service} | {version} | {} |\n", action.name));
    }
    text
}

#[test]
fn the_documentation_lists_the_actions_that_there_are() {
    let page = include_str!("../../../../../docs/compatibility.md");
    let begin = "<!-- actions of API 3.0: begin -->\n";
    let listed = page.split_once(begin).unwrap().1;
    let listed = listed
        .split_once("<!-- actions of API 3.0: end -->")
        .unwrap()
        .0;
    let expected = documented();
    assert_eq!(
        listed, expected,
        "docs/compatibility.md has to list\n{expected}"
    );
}
