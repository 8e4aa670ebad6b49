use proptest::prelude::*;

use super::pattern::matches_wildcard;
use super::*;

const OWNER: Uin = Uin(2_407_912_486);

fn statement(effect: Effect, actions: &[&str], resources: &[&str]) -> Statement {
    Statement {
        effect,
        actions: actions.iter().map(|text| text.parse().unwrap()).collect(),
        resources: resources.iter().map(|text| text.parse().unwrap()).collect(),
        conditions: Vec::new(),
    }
}

fn allow(actions: &[&str], resources: &[&str]) -> Statement {
    statement(Effect::Allow, actions, resources)
}

fn deny(actions: &[&str], resources: &[&str]) -> Statement {
    statement(Effect::Deny, actions, resources)
}

fn under(statement: Statement, operator: &str, key: &str, values: &[&str]) -> Statement {
    Statement {
        conditions: vec![condition(operator, key, values).unwrap()],
        ..statement
    }
}

fn condition(operator: &str, key: &str, values: &[&str]) -> Result<Condition, ConditionError> {
    let values = values.iter().map(|value| (*value).to_owned()).collect();
    Condition::new(operator.parse()?, key.parse()?, values)
}

fn resource(names: &[&str]) -> Resource {
    Resource {
        region: Some(Region::Guangzhou),
        account: OWNER,
        names: names.iter().map(|name| (*name).to_owned()).collect(),
    }
}

fn facts() -> Facts {
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    Facts::from([
        (
            ConditionKey::RequesterVpc,
            texts(&["vpc-aaaaaaaa", "gz_vpc_226"]),
        ),
        (
            ConditionKey::AccepterVpc,
            texts(&["vpc-bbbbbbbb", "sh_vpc_7"]),
        ),
        (
            ConditionKey::AccepterVpcRegion,
            texts(&["sh", "ap-shanghai"]),
        ),
        (ConditionKey::Region, texts(&["gz", "ap-guangzhou"])),
    ])
}

fn create() -> PolicyRequest {
    PolicyRequest {
        action: "name/vpc:CreateVpcPeeringConnectionEx".to_owned(),
        resources: vec![
            resource(&["vpc/vpc-aaaaaaaa", "vpc/gz_vpc_226"]),
            resource(&["pcx/*"]),
        ],
        facts: facts(),
    }
}

#[track_caller]
fn check(
    statements: &[Statement],
    request: &PolicyRequest,
    expected: Result<(), Option<&[usize]>>,
) {
    let policy = Policy {
        statements: statements.to_vec(),
    };
    let expected = match expected {
        Ok(()) => Decision::Allowed,
        Err(None) => Decision::ActionRefused,
        Err(Some(refused)) => Decision::ResourcesRefused(
            refused
                .iter()
                .map(|at| request.resources[*at].clone())
                .collect(),
        ),
    };
    assert_eq!(policy.decide(OWNER, request), expected, "{statements:#?}");
}

const VPC: &str = "qcs::vpc:gz:uin/2407912486:vpc/vpc-aaaaaaaa";
const PCX: &str = "qcs::vpc:::pcx/*";

#[test]
fn nothing_is_permitted_by_default() {
    check(&[], &create(), Err(None));
    check(&[deny(&["*"], &["*"])], &create(), Err(None));
    check(
        &[deny(&["name/vpc:DeleteVpc"], &["*"])],
        &create(),
        Err(None),
    );
    check(
        &[allow(&["name/vpc:Describe*"], &["*"])],
        &create(),
        Err(None),
    );
    check(&[allow(&[], &["*"])], &create(), Err(None));
    check(&[allow(&["*"], &[])], &create(), Err(Some(&[0, 1])));
    let nothing_named = PolicyRequest {
        resources: Vec::new(),
        ..create()
    };
    check(&[allow(&["*"], &["*"])], &nothing_named, Err(None));
}

#[test]
fn an_action_matches_by_name_and_wildcard() {
    for action in [
        "*",
        "name/vpc:*",
        "vpc:*",
        "name/vpc:Create*",
        "name/vpc:*PeeringConnection*",
        "name/vpc:CreateVpcPeeringConnectionEx",
        "name/vpc:createvpcpeeringconnectionex",
    ] {
        check(&[allow(&[action], &["*"])], &create(), Ok(()));
        check(
            &[allow(&["name/vpc:DeleteVpc", action], &["*"])],
            &create(),
            Ok(()),
        );
    }
    for action in [
        "name/vpc:CreateVpcPeeringConnection",
        "name/vpc:CreateVpcPeeringConnectionExx",
        "name/vpc:*Connection",
        "name/monitor:*",
    ] {
        check(&[allow(&[action], &["*"])], &create(), Err(None));
    }
}

#[test]
fn every_resource_has_to_be_permitted() {
    let action = &["name/vpc:*"];
    for (resources, expected) in [
        (&["*"][..], Ok(())),
        (&["qcs::vpc:::*"], Ok(())),
        (&["qcs::vpc:gz::*"], Ok(())),
        (&["qcs::vpc:ap-guangzhou:uin/2407912486:*"], Ok(())),
        (&[VPC, PCX], Ok(())),
        (&["qcs::vpc:::vpc/gz_vpc_226", PCX], Ok(())),
        (&["qcs::vpc:::vpc/vpc-a*", PCX], Ok(())),
        (&["qcs::vpc:*::vpc/*", PCX], Ok(())),
        (&[VPC], Err(Some(&[1][..]))),
        (&[PCX], Err(Some(&[0]))),
        (&[VPC, "qcs::vpc:::pcx/pcx-aaaaaaaa"], Err(Some(&[1]))),
        (&["qcs::vpc:sh::*"], Err(Some(&[0, 1]))),
        (&["qcs::vpc::uin/7:*"], Err(Some(&[0, 1]))),
        (&["qcs::vpc:::vpc/vpc-aaaaaaab", PCX], Err(Some(&[0]))),
    ] {
        check(&[allow(action, resources)], &create(), expected);
        // It makes no difference whether one statement permits them or several do.
        let each: Vec<Statement> = resources.iter().map(|one| allow(action, &[one])).collect();
        check(&each, &create(), expected);
    }
}

#[test]
fn a_denial_wins_in_any_order() {
    let everything = allow(&["*"], &["*"]);
    for (denial, expected) in [
        (deny(&["*"], &["*"]), None),
        (deny(&["name/vpc:Create*"], &["*"]), None),
        (deny(&["name/vpc:Create*"], &[VPC]), Some(&[0][..])),
        (deny(&["*"], &["qcs::vpc:::vpc/gz_vpc_226"]), Some(&[0])),
        (deny(&["*"], &["qcs::vpc:::pcx/*"]), Some(&[1])),
        (deny(&["*"], &["qcs::vpc:gz::*"]), Some(&[0, 1])),
    ] {
        check(
            &[everything.clone(), denial.clone()],
            &create(),
            Err(expected),
        );
        check(&[denial, everything.clone()], &create(), Err(expected));
    }
    for denial in [
        deny(&["name/vpc:Delete*"], &["*"]),
        deny(&["*"], &["qcs::vpc:sh::*"]),
        deny(
            &["*"],
            &["qcs::vpc:::vpc/vpc-cccccccc", "qcs::vpc:::pcx/pcx-aaaaaaaa"],
        ),
    ] {
        check(&[everything.clone(), denial], &create(), Ok(()));
    }
}

#[test]
fn lists_need_the_permission_for_everything() {
    let list = PolicyRequest {
        action: "name/vpc:DescribeVpcEx".to_owned(),
        resources: vec![Resource::all(OWNER, Some(Region::Guangzhou))],
        facts: Facts::new(),
    };
    check(&[allow(&["*"], &["*"])], &list, Ok(()));
    check(&[allow(&["*"], &["qcs::vpc:gz::*"])], &list, Ok(()));
    check(
        &[allow(&["*"], &["qcs::vpc:sh::*"])],
        &list,
        Err(Some(&[0])),
    );
    check(
        &[allow(&["*"], &["qcs::vpc:::vpc/*", PCX])],
        &list,
        Err(Some(&[0])),
    );
    let shown = list.resources[0].to_string();
    assert_eq!(shown, "qcs::vpc:gz:uin/2407912486:*");
}

#[test]
fn conditions_compare_every_spelling() {
    let key = "vpc:accepter_vpc";
    for (operator, key, values, holds) in [
        ("string_equal", key, &["vpc-bbbbbbbb"][..], true),
        ("string_equal", key, &["vpc-cccccccc", "sh_vpc_7"], true),
        ("string_equal", key, &["vpc-cccccccc"], false),
        ("string_not_equal", key, &["vpc-cccccccc"], true),
        ("string_not_equal", key, &["sh_vpc_7"], false),
        (
            "string_not_equal",
            key,
            &["vpc-cccccccc", "vpc-bbbbbbbb"],
            false,
        ),
        ("string_like", key, &["sh_vpc_*"], true),
        ("string_like", key, &["gz_*"], false),
        ("string_not_like", key, &["gz_*"], true),
        ("string_not_like", key, &["*"], false),
        (
            "string_equal",
            "vpc:accepter_vpc_region",
            &["ap-shanghai"],
            true,
        ),
        ("string_equal", "vpc:accepter_vpc_region", &["sh"], true),
        ("string_equal", "vpc:accepter_vpc_region", &["gz"], false),
        ("string_like", "vpc:region", &["ap-*"], true),
        // Nothing is known of these.
        ("string_equal", "vpc:requester_vpc_region", &["gz"], false),
        (
            "string_not_equal",
            "vpc:requester_vpc_region",
            &["gz"],
            false,
        ),
        (
            "string_equal_if_exist",
            "vpc:requester_vpc_region",
            &["gz"],
            true,
        ),
        (
            "string_not_equal_if_exist",
            "vpc:vpc",
            &["vpc-aaaaaaaa"],
            true,
        ),
        (
            "string_equal_if_exist",
            "vpc:requester_vpc",
            &["vpc-cccccccc"],
            false,
        ),
    ] {
        let condition = condition(operator, key, values).unwrap();
        assert_eq!(
            condition.holds(&facts()),
            holds,
            "{operator} {key} {values:?}"
        );
        assert_eq!(condition.operator().to_string(), operator);
    }
}

#[test]
fn a_statement_counts_only_when_its_conditions_hold() {
    let permitted = |values: &[&str]| {
        under(
            allow(&["*"], &["*"]),
            "string_equal",
            "vpc:accepter_vpc",
            values,
        )
    };
    check(&[permitted(&["sh_vpc_7"])], &create(), Ok(()));
    check(&[permitted(&["sh_vpc_8"])], &create(), Err(Some(&[0, 1])));
    let everything = allow(&["*"], &["*"]);
    let denied = |values: &[&str]| {
        under(
            deny(&["*"], &["*"]),
            "string_not_equal",
            "vpc:accepter_vpc_region",
            values,
        )
    };
    check(&[everything.clone(), denied(&["gz"])], &create(), Err(None));
    check(&[everything, denied(&["sh"])], &create(), Ok(()));
    let mut both = permitted(&["sh_vpc_7"]);
    both.conditions
        .push(condition("string_equal", "vpc:region", &["bj"]).unwrap());
    check(&[both], &create(), Err(Some(&[0, 1])));
}

#[test]
fn what_could_never_match_is_refused() {
    for text in [
        "",
        "Describe*",
        "name/vpc:",
        "name/vpc",
        "name/vpc:A b",
        "name/vpc:A:B",
    ] {
        assert!(text.parse::<ActionPattern>().is_err(), "{text}");
    }
    for text in ["name/cvm:*", "cvm:RunInstances", "name/*:*"] {
        let error = text.parse::<ActionPattern>().unwrap_err();
        assert!(matches!(error, PatternError::Service(_)), "{text}");
    }
    for text in [
        "",
        "vpc/vpc-aaaaaaaa",
        "qcs::vpc:gz:vpc/vpc-aaaaaaaa",
        "qcs:id/0:vpc:gz::vpc/*",
        "qcs::cvm:gz::instance/*",
        "qcs::vpc:mars::*",
        "qcs::vpc:gz:2407912486:*",
        "qcs::vpc:gz:uin/+1:*",
        "qcs::vpc:gz:uin/007:*",
        "qcs::vpc:gz:uin/:*",
        "qcs::vpc:gz::",
        "qcs::vpc:gz::vpc/",
        "qcs::vpc:gz::vpc",
        "qcs::vpc:gz::vpc/\u{e9}",
        "qcs::vpc:gz::vpc/a:b",
        &"x".repeat(300),
    ] {
        assert!(text.parse::<ResourcePattern>().is_err(), "{text}");
    }
    for (operator, key, values) in [
        ("string_equals", "vpc:region", &["gz"][..]),
        ("ip_equal", "vpc:region", &["gz"]),
        ("string_equal_if_exist_if_exist", "vpc:region", &["gz"]),
        ("string_equal", "qcs:ip", &["10.0.0.1"]),
        ("string_equal", "vpc:region", &[]),
        ("string_equal", "vpc:region", &["mars"]),
        ("string_equal", "vpc:region", &["g*"]),
        (
            "string_equal",
            "vpc:accepter_vpc",
            &["qcs::vpc:gz::vpc/vpc-aaaaaaaa"],
        ),
        ("string_equal", "vpc:accepter_vpc", &["vpc-aaaaaaaa", ""]),
    ] {
        assert!(
            condition(operator, key, values).is_err(),
            "{operator} {key} {values:?}"
        );
    }
}

/// The definition of a wildcard match, by trying everything.
fn matches_slowly(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern, text) {
        ([], []) => true,
        ([b'*', pattern @ ..], _) => {
            (0..=text.len()).any(|skipped| matches_slowly(pattern, &text[skipped..]))
        }
        ([one, pattern @ ..], [other, text @ ..]) => one == other && matches_slowly(pattern, text),
        _ => false,
    }
}

proptest! {
    #[test]
    fn wildcards_match_as_defined(pattern in "[ab*]{0,8}", text in "[ab]{0,10}") {
        let expected = matches_slowly(pattern.as_bytes(), text.as_bytes());
        prop_assert_eq!(matches_wildcard(&pattern, &text), expected);
    }

    #[test]
    fn patterns_read_back_as_they_print(text in "(qcs::vpc:(gz|ap-shanghai)?:(uin/[1-9]{1,12})?:[a-z]{1,3}/[a-z*]{1,4}|\\*)") {
        let pattern: ResourcePattern = text.parse().unwrap();
        prop_assert_eq!(pattern.to_string().parse::<ResourcePattern>().unwrap(), pattern);
    }
}
