use super::*;

const ALL: &str = r#"{
    "version": "2.0",
    "statement": [
        {
            "effect": "allow",
            "action": ["name/vpc:CreateVpcPeeringConnectionEx", "vpc:Describe*"],
            "resource": [
                "qcs::vpc:ap-guangzhou:uin/2407912486:vpc/vpc-8e0ypm3z", "qcs::vpc:::pcx/*", "*"
            ],
            "condition": {
                "string_equal": {"vpc:accepter_vpc": ["vpc-1rt9p0ab", "sh_vpc_7"]},
                "string_not_like_if_exist": {"vpc:region": "ap-*"}
            }
        },
        {"effect": "deny", "action": "*", "resource": "*"}
    ]
}"#;

#[track_caller]
fn check(from: &str, to: &str, expected: &[&str]) {
    assert!(ALL.contains(from), "{from}");
    let error = parse_policy(&ALL.replacen(from, to, 1)).unwrap_err();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    for expected in expected {
        assert!(text.contains(expected), "{expected}: {text}");
    }
}

#[test]
fn a_policy_is_read_and_written() {
    let policy = parse_policy(ALL).unwrap();
    let written = policy_json(&policy);
    assert_eq!(
        written.to_string(),
        concat!(
            r#"{"statement":[{"action":["name/vpc:CreateVpcPeeringConnectionEx","name/vpc:Describe*"],"#,
            r#""condition":{"string_equal":{"vpc:accepter_vpc":["vpc-1rt9p0ab","sh_vpc_7"]},"#,
            r#""string_not_like_if_exist":{"vpc:region":["ap-*"]}},"effect":"allow","#,
            r#""resource":["qcs::vpc:gz:uin/2407912486:vpc/vpc-8e0ypm3z","qcs::vpc:::pcx/*","*"]},"#,
            r#"{"action":["*"],"effect":"deny","resource":["*"]}],"version":"2.0"}"#
        )
    );
    assert_eq!(parse_policy(&written.to_string()).unwrap(), policy);
}

#[test]
fn one_entry_stands_for_a_list_of_one() {
    let short = r#"{"version":"2.0","statement":
        {"effect":"allow","action":"vpc:*","resource":"*"}}"#;
    let long = r#"{"Version":"2.0","Statement":
        [{"Effect":"Allow","Action":["name/vpc:*"],"Resource":["*"],"Condition":{}}]}"#;
    assert_eq!(parse_policy(short).unwrap(), parse_policy(long).unwrap());
    let nothing = parse_policy(r#"{"version":"2.0","statement":[]}"#).unwrap();
    assert_eq!(nothing, Policy::default());
}

#[test]
fn what_is_not_understood_is_refused_by_name() {
    check("\"2.0\"", "\"1.0\"", &["version `1.0`"]);
    check("\"version\"", "\"revision\"", &["revision"]);
    check(
        "\"deny\"",
        "\"forbid\"",
        &["statement 1", "forbid", "allow"],
    );
    check("\"deny\",", "\"deny\", \"principal\": {},", &["principal"]);
    check("\"action\": \"*\",", "", &["action"]);
    check(
        "\"action\": \"*\"",
        "\"action\": []",
        &["statement 1", "action"],
    );
    check("\"action\": \"*\"", "\"action\": 7", &["7"]);
    check(
        "\"resource\": \"*\"",
        "\"resource\": [\"*\", null]",
        &["null"],
    );
    check(
        "vpc:Describe*",
        "cvm:Describe*",
        &["statement 0", "action", "cvm"],
    );
    check("::pcx/*", "::pcx", &["statement 0", "resource", "pcx"]);
    check("ap-guangzhou", "ap-moon", &["statement 0", "ap-moon"]);
    check(
        "string_equal",
        "ip_equal",
        &["statement 0", "condition", "ip_equal"],
    );
    check(
        "vpc:accepter_vpc",
        "qcs:ip",
        &["statement 0", "condition", "qcs:ip"],
    );
    check("sh_vpc_7", "moon", &["statement 0", "moon"]);
    check("\"ap-*\"", "{}", &["map"]);
    check("\"ap-*\"", "[]", &["statement 0", "vpc:region"]);
    check("{\n    \"version\"", "[\n    \"version\"", &["not valid"]);
}

#[test]
fn nothing_is_overwritten_by_a_second_mention() {
    check(
        "\"deny\",",
        "\"deny\", \"effect\": \"allow\",",
        &["duplicate", "effect"],
    );
    check(
        "\"string_equal\": {",
        "\"string_equal\": {\"vpc:accepter_vpc\": \"gz_vpc_1\", ",
        &["vpc:accepter_vpc", "twice"],
    );
    check(
        "string_not_like_if_exist",
        "string_equal",
        &["string_equal", "twice"],
    );
}

#[test]
fn a_policy_has_a_bound() {
    let long = format!("{ALL}{}", " ".repeat(LONGEST_POLICY));
    assert!(matches!(parse_policy(&long), Err(PolicyError::TooLong)));
    // Deep nesting neither overflows the stack nor is read.
    let deep = format!("{}{}", "[".repeat(8000), "]".repeat(8000));
    assert!(matches!(
        parse_policy(&deep),
        Err(PolicyError::Malformed(_))
    ));
}
