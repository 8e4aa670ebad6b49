//! The plain actions beside the `Ex` ones, and the filter by what peerings lead to.

use super::*;
use crate::tencent::request;

fn parse(query: &str) -> Result<Command, ApiError> {
    let text = format!("Timestamp=1507645389&Nonce=59485&SecretId=AKID&Region=gz&{query}");
    let parameters = Parameters::from_query(&text, &Default::default()).unwrap();
    request::parse(&parameters, &Limits::default()).map(|parsed| parsed.command)
}

const CREATE: &str = "Action=CreateVpcPeeringConnection&vpcId=gz_vpc_226&peerVpcId=gz_vpc_89\
                      &peerUin=2407912486&peeringConnectionName=tses";

#[test]
fn the_documented_plain_example_stays_in_its_region_and_is_not_limited() {
    let region = Region::Guangzhou;
    let expected = PeeringCreate {
        tags: Vec::new(),
        region,
        vpc: "gz_vpc_226".parse().unwrap(),
        peer_region: region,
        peer_vpc: "gz_vpc_89".parse().unwrap(),
        peer_uin: Uin(2_407_912_486),
        name: "tses".into(),
        bandwidth: Bandwidth::Unlimited,
        charge_type: ChargeType::default(),
        qos_level: QosLevel::default(),
        reply: Reply::Peering,
    };
    assert_eq!(parse(CREATE), Ok(Command::PeeringCreate(expected.clone())));
    // What belongs to the other form is an unknown parameter here.
    let with_more = format!("{CREATE}&bandwidth=fast&peerRegion=mars&type=1");
    assert_eq!(parse(&with_more), Ok(Command::PeeringCreate(expected)));
    let bare_metal = parse(&format!("{CREATE}&type=2")).unwrap_err();
    assert!(matches!(bare_metal, ApiError::Invalid { name, .. } if name == "type"));
}

#[test]
fn every_required_parameter_of_a_plain_creation_is_named_when_it_is_missing() {
    for name in ["vpcId", "peerVpcId", "peerUin", "peeringConnectionName"] {
        let kept = CREATE
            .split('&')
            .filter(|pair| !pair.starts_with(&format!("{name}=")));
        let query: Vec<&str> = kept.collect();
        assert_eq!(parse(&query.join("&")), Err(ApiError::missing(name)));
    }
}

#[test]
fn plain_actions_reach_peerings_inside_a_region_and_are_done_when_answered() {
    let peering = "pcx-6gw5wvmk".parse().unwrap();
    let asked = |form: Form| PeeringAction {
        region: Region::Guangzhou,
        peering,
        reach: form.reach,
        reply: form.reply,
    };
    for (verb, command) in [
        (
            "Accept",
            Command::PeeringAccept as fn(PeeringAction) -> Command,
        ),
        ("Reject", Command::PeeringReject),
        ("Enable", Command::PeeringEnable),
        ("Delete", Command::PeeringDelete),
    ] {
        for (suffix, form) in [("", PLAIN), ("Ex", EX)] {
            let query =
                format!("Action={verb}VpcPeeringConnection{suffix}&peeringConnectionId={peering}");
            assert_eq!(parse(&query), Ok(command(asked(form))), "{query}");
        }
        let missing = parse(&format!("Action={verb}VpcPeeringConnection"));
        assert_eq!(missing, Err(ApiError::missing("peeringConnectionId")));
    }
    assert_eq!(
        (PLAIN.reach, PLAIN.reply),
        (Reach::SameRegion, Reply::Peering)
    );
    assert_eq!((EX.reach, EX.reply), (Reach::Any, Reply::Task));
}

#[test]
fn a_plain_change_is_a_new_name() {
    let base = "Action=ModifyVpcPeeringConnection&peeringConnectionId=pcx-krmzap90";
    let missing = parse(&format!("{base}&bandwidth=20"));
    assert_eq!(missing, Err(ApiError::missing("peeringConnectionName")));
    for name in ["uuuuuuu", ""] {
        let expected = PeeringModify {
            region: Region::Guangzhou,
            peering: "pcx-krmzap90".parse().unwrap(),
            name: Some(name.to_owned()),
            bandwidth: None,
            charge_type: None,
            reach: Reach::SameRegion,
            reply: Reply::Peering,
        };
        let query = format!("{base}&peeringConnectionName={name}&bandwidth=fast");
        assert_eq!(parse(&query), Ok(Command::PeeringModify(expected)));
    }
}

#[test]
fn a_list_can_be_limited_to_what_peerings_lead_to() {
    let network = |query: &str| {
        let query = format!("Action=DescribeVpcPeeringConnections{query}");
        match parse(&query)? {
            Command::PeeringList(query) => Ok(query.network),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(network(""), Ok(None));
    assert_eq!(network("&type="), Ok(None));
    assert_eq!(network("&type=1"), Ok(Some(NetworkKind::Vpc)));
    assert_eq!(network("&type=2"), Ok(Some(NetworkKind::BareMetal)));
    for value in ["0", "3", "01", "vpc"] {
        let error = network(&format!("&type={value}")).unwrap_err();
        assert!(matches!(error, ApiError::Invalid { name, .. } if name == "type"));
    }
}
