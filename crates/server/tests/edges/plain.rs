//! The plain peering actions as clients see them: no task to follow, the list tells the state.

use std::time::Duration;

use model::Region;
use serde_json::{Value, json};
use server::Dataplane;

use crate::bed::{Bed, eventually, first, second};
use crate::client::Caller;
use crate::double::Claims;

const LATE: Duration = Duration::from_secs(61);

impl Bed {
    async fn plain_create(&self, peer: &str) -> String {
        let parameters = [
            ("vpcId", "gz_vpc_226"),
            ("peerVpcId", peer),
            ("peerUin", "2407912486"),
            ("peeringConnectionName", "tses"),
        ];
        let answer = self
            .call("gz", "CreateVpcPeeringConnection", &parameters)
            .await;
        let id = answer["peeringConnectionId"].as_str().unwrap().to_owned();
        let whole = json!({
            "code": 0, "message": "", "codeDesc": "Success", "peeringConnectionId": id,
        });
        assert_eq!(answer, whole);
        id
    }

    /// Does something with a peering and expects an empty answer.
    async fn plain(&self, caller: &Caller, region: &str, verb: &str, peering: &str) {
        let action = format!("{verb}VpcPeeringConnection");
        let parameters = [("peeringConnectionId", peering)];
        let answer = self.call_as(caller, region, &action, &parameters).await;
        let empty = json!({"code": 0, "message": "", "codeDesc": "Success"});
        assert_eq!(answer, empty, "{verb}");
    }

    /// Calls and tells the codes of the refusal.
    async fn refused(
        &self,
        caller: &Caller,
        region: &str,
        action: &str,
        parameters: &[(&str, &str)],
    ) -> (i64, String) {
        let now = self.clock_secs();
        let client = self.client();
        let answer = client.call(caller, now, region, action, parameters).await;
        assert_ne!(answer["code"], 0, "{action}: {answer}");
        let code_desc = answer["codeDesc"].as_str().unwrap();
        (answer["code"].as_i64().unwrap(), code_desc.to_owned())
    }

    async fn listed(
        &self,
        caller: &Caller,
        region: &str,
        parameters: &[(&str, &str)],
    ) -> Vec<Value> {
        let action = "DescribeVpcPeeringConnections";
        let answer = self.call_as(caller, region, action, parameters).await;
        let data = answer["data"].as_array().unwrap().clone();
        assert_eq!(answer["totalCount"], data.len());
        data
    }

    /// The state that somebody sees, by number.
    async fn state(&self, caller: &Caller, region: &str, peering: &str) -> Option<u64> {
        let parameters = [("peeringConnectionId", peering)];
        let listed = self.listed(caller, region, &parameters).await;
        listed.first().map(|row| row["state"].as_u64().unwrap())
    }

    /// Gives the second account a VPC in gz, so that both meet in one region.
    async fn neighbour(&self) -> String {
        let parameters = [("vpcName", "near"), ("cidrBlock", "10.9.0.0/16")];
        let answer = self
            .call_as(&second(), "gz", "CreateVpc", &parameters)
            .await;
        answer["uniqVpcId"].as_str().unwrap().to_owned()
    }

    async fn request(&self, peer: &str) -> String {
        let parameters = [
            ("vpcId", "gz_vpc_226"),
            ("peerVpcId", peer),
            ("peerUin", "1000000002"),
            ("peeringConnectionName", "tses"),
        ];
        let answer = self
            .call("gz", "CreateVpcPeeringConnection", &parameters)
            .await;
        answer["peeringConnectionId"].as_str().unwrap().to_owned()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_plain_example_is_active_when_it_is_answered() {
    let bed = Bed::start(Dataplane::None).await;
    let id = bed.plain_create("gz_vpc_89").await;
    let listed = bed.listed(&first(), "gz", &[]).await;
    let [row] = &listed[..] else {
        panic!("{listed:?}")
    };
    assert_eq!(row["peeringConnectionId"], id);
    assert_eq!(row["state"], 1);
    assert_eq!(
        (&row["region"], &row["peerRegion"]),
        (&"gz".into(), &"gz".into())
    );
    // Unlimited.
    assert_eq!(row["bandwidth"], 0);
    let parameters = [
        ("peeringConnectionId", &*id),
        ("peeringConnectionName", "uuuuuuu"),
    ];
    let answer = bed
        .call("gz", "ModifyVpcPeeringConnection", &parameters)
        .await;
    assert!(answer.get("taskId").is_none());
    assert_eq!(
        bed.listed(&first(), "gz", &[]).await[0]["peeringConnectionName"],
        "uuuuuuu"
    );
    bed.plain(&first(), "gz", "Delete", &id).await;
    assert!(bed.listed(&first(), "gz", &[]).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_accounts_of_one_region_go_through_every_state() {
    let bed = Bed::start(Dataplane::None).await;
    let near = bed.neighbour().await;
    let both = || async {
        let states = [first(), second()].map(|caller| {
            let bed = &bed;
            async move {
                let listed = bed.listed(&caller, "gz", &[]).await;
                listed.first().map(|row| row["state"].as_u64().unwrap())
            }
        });
        let [one, other] = states;
        (one.await, other.await)
    };
    let id = bed.request(&near).await;
    assert_eq!(both().await, (Some(0), Some(0)));

    bed.plain(&second(), "gz", "Reject", &id).await;
    assert_eq!(both().await, (Some(3), None));
    bed.plain(&first(), "gz", "Delete", &id).await;
    assert_eq!(both().await, (None, None));

    let id = bed.request(&near).await;
    bed.clock.advance(Duration::from_secs(7 * 24 * 3600));
    eventually("the request expires", || async {
        bed.state(&first(), "gz", &id).await == Some(2)
    })
    .await;
    assert_eq!(both().await, (Some(2), Some(2)));
    bed.plain(&first(), "gz", "Enable", &id).await;
    bed.plain(&second(), "gz", "Accept", &id).await;
    assert_eq!(both().await, (Some(1), Some(1)));
    bed.plain(&second(), "gz", "Delete", &id).await;
    assert_eq!(both().await, (Some(4), None));
    bed.plain(&first(), "gz", "Delete", &id).await;
    assert_eq!(both().await, (None, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_states_strangers_and_other_kinds_have_their_codes() {
    let bed = Bed::start(Dataplane::None).await;
    let near = bed.neighbour().await;
    let id = bed.request(&near).await;
    let not_found = (4000, "InvalidPeeringConnection.NotFound".to_owned());
    let wrong_state = (5100, "InvalidPeeringConnection.StateError".to_owned());
    let own = [("peeringConnectionId", &*id)];
    let action = |verb: &str| format!("{verb}VpcPeeringConnection");
    for (caller, region, verb, expected) in [
        // The requester has not the role, the accepter's request has not the state.
        (first(), "gz", "Accept", &wrong_state),
        (first(), "gz", "Reject", &wrong_state),
        (second(), "gz", "Enable", &wrong_state),
        (first(), "gz", "Enable", &wrong_state),
        // The caller has no end in that region.
        (first(), "sh", "Delete", &not_found),
        (second(), "sh", "Accept", &not_found),
    ] {
        for suffix in ["", "Ex"] {
            let action = format!("{}{suffix}", action(verb));
            let found = bed.refused(&caller, region, &action, &own).await;
            assert_eq!(&found, expected, "{action} in {region}");
        }
    }
    let unknown = [("peeringConnectionId", "pcx-00000000")];
    let found = bed
        .refused(&first(), "gz", &action("Delete"), &unknown)
        .await;
    assert_eq!(found, not_found);

    // A peering between regions belongs to the other kind of action.
    let parameters = [
        ("vpcId", "gz_vpc_226"),
        ("peerVpcId", "sh_vpc_8"),
        ("peerUin", "1000000002"),
        ("peeringConnectionName", "far"),
    ];
    let far = bed
        .refused(&first(), "gz", &action("Create"), &parameters)
        .await;
    assert_eq!(far, (4000, "InvalidVpc.NotFound".to_owned()));
    let mut with_region = parameters.to_vec();
    with_region.extend([("peerRegion", "sh"), ("bandwidth", "20")]);
    bed.call("gz", "CreateVpcPeeringConnectionEx", &with_region)
        .await;
    let listed = bed.listed(&second(), "sh", &[]).await;
    let far = listed[0]["peeringConnectionId"].as_str().unwrap();
    for verb in ["Accept", "Reject", "Delete"] {
        let of_far = [("peeringConnectionId", far)];
        let found = bed.refused(&second(), "sh", &action(verb), &of_far).await;
        assert_eq!(found, not_found, "{verb}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_of_a_plain_creation_have_the_documented_names() {
    let bed = Bed::start(Dataplane::None).await;
    bed.plain_create("gz_vpc_89").await;
    let long = "x".repeat(61);
    for (vpc, peer, name, code_desc) in [
        (
            "gz_vpc_226",
            "gz_vpc_89",
            "",
            "InvalidPeeringConnectionName",
        ),
        (
            "gz_vpc_226",
            "gz_vpc_89",
            &*long,
            "InvalidPeeringConnectionName",
        ),
        (
            "gz_vpc_226",
            "gz_vpc_89",
            "twice",
            "PeeringConnectionVpcConflict",
        ),
        (
            "gz_vpc_226",
            "gz_vpc_226",
            "itself",
            "PeeringConnectionVpcConflict",
        ),
        ("gz_vpc_226", "sh_vpc_7", "far", "InvalidVpc.NotFound"),
        ("gz_vpc_1", "gz_vpc_89", "unknown", "InvalidVpc.NotFound"),
    ] {
        let parameters = [
            ("vpcId", vpc),
            ("peerVpcId", peer),
            ("peerUin", "2407912486"),
            ("peeringConnectionName", name),
        ];
        let found = bed
            .refused(&first(), "gz", "CreateVpcPeeringConnection", &parameters)
            .await;
        assert_eq!(found, (4000, code_desc.to_owned()), "{vpc} {peer}");
    }
    assert_eq!(bed.listed(&first(), "gz", &[]).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_order_and_parts_of_the_list() {
    let bed = Bed::start(Dataplane::None).await;
    let near = bed.neighbour().await;
    let active = bed.plain_create("gz_vpc_89").await;
    bed.clock.advance(Duration::from_secs(1));
    let pending = bed.request(&near).await;
    let ids = |parameters: Vec<(&'static str, String)>| {
        let bed = &bed;
        async move {
            let parameters: Vec<(&str, &str)> = parameters
                .iter()
                .map(|(name, value)| (*name, &**value))
                .collect();
            let rows = bed.listed(&first(), "gz", &parameters).await;
            let ids = rows
                .iter()
                .map(|row| row["peeringConnectionId"].as_str().unwrap().to_owned());
            ids.collect::<Vec<String>>()
        }
    };
    let both = [pending.clone(), active.clone()];
    let none: [String; 0] = [];
    let text = |value: &str| value.to_owned();
    assert_eq!(ids(vec![]).await, both);
    assert_eq!(ids(vec![("type", text("1"))]).await, both);
    assert_eq!(ids(vec![("type", text("2"))]).await, none);
    assert_eq!(ids(vec![("state", text("0"))]).await, both[..1]);
    assert_eq!(ids(vec![("vpcId", text("gz_vpc_226"))]).await, both);
    // It is the accepter of one of them.
    assert_eq!(ids(vec![("vpcId", text("gz_vpc_89"))]).await, none);
    assert_eq!(ids(vec![("peeringConnectionName", text("se"))]).await, both);
    assert_eq!(ids(vec![("peeringConnectionName", text("no"))]).await, none);
    assert_eq!(
        ids(vec![("peeringConnectionId", active.clone())]).await,
        both[1..]
    );
    assert_eq!(
        ids(vec![("peeringConnectionId", text("pcx-00000000"))]).await,
        none
    );
    let ascending = vec![
        ("orderField", text("createTime")),
        ("orderDirection", text("asc")),
    ];
    assert_eq!(ids(ascending).await, [active.clone(), pending.clone()]);

    // The count is of the matches, whatever the part.
    let parameters = [("limit", "1"), ("offset", "1")];
    let answer = bed
        .call("gz", "DescribeVpcPeeringConnections", &parameters)
        .await;
    assert_eq!(answer["totalCount"], 2);
    assert_eq!(answer["data"].as_array().unwrap().len(), 1);
    assert_eq!(answer["data"][0]["peeringConnectionId"], active);
    // The accepter lists it without naming a VPC of its own.
    assert_eq!(bed.listed(&second(), "gz", &[]).await.len(), 1);
    let action = "DescribeVpcPeeringConnections";
    for (name, value, expected) in [
        ("type", "3", (4000, "InvalidParameter")),
        ("limit", "51", (4000, "InvalidParameter")),
        ("vpcId", "gz_vpc_1", (4000, "InvalidVpc.NotFound")),
        (
            "peeringConnectionId",
            "pcx-?",
            (4000, "InvalidPeeringConnection.NotFound"),
        ),
    ] {
        let found = bed.refused(&first(), "gz", action, &[(name, value)]).await;
        assert_eq!((found.0, &*found.1), expected, "{name}={value}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_creation_that_fails_after_its_answer_is_listed_with_state_5() {
    let bed = Bed::start(Dataplane::Gateways).await;
    // No gateway has ever joined here, so it is known at once that none will come in time.
    let id = bed.plain_create("gz_vpc_89").await;
    eventually("the creation fails", || async {
        bed.state(&first(), "gz", &id).await == Some(5)
    })
    .await;
    assert!(
        bed.core()
            .catalog()
            .tasks()
            .all(|task| !task.is_announced())
    );
    let number = bed.core().catalog().tasks().next().unwrap().id.to_string();
    let asked = bed
        .refused(
            &first(),
            "gz",
            "DescribeVpcTaskResult",
            &[("taskId", &number)],
        )
        .await;
    assert_eq!(asked, (5000, "InvalidTaskId.NotFound".to_owned()));

    // It takes nothing: the same pair is joined once there is a gateway.
    let _gz = bed.gateway(Region::Guangzhou).await;
    let again = bed.plain_create("gz_vpc_89").await;
    eventually("the gateway carries it", || async {
        bed.core().catalog().running_tasks().count() == 0
    })
    .await;
    assert_eq!(bed.state(&first(), "gz", &again).await, Some(1));
    bed.plain(&first(), "gz", "Delete", &id).await;
    assert_eq!(bed.state(&first(), "gz", &id).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn work_behind_an_answer_goes_on_after_a_restart() {
    for is_late in [false, true] {
        let mut bed = Bed::start(Dataplane::Gateways).await;
        let mut gz = bed.gateway(Region::Guangzhou).await;
        gz.claims.send_replace(Claims {
            applies: false,
            crosses: false,
            ..Claims::GOOD
        });
        let id = bed.plain_create("gz_vpc_89").await;
        bed.stop().await;
        if is_late {
            bed.clock.advance(LATE);
        }
        bed.run().await;
        if !is_late {
            assert_eq!(bed.core().catalog().running_tasks().count(), 1);
        }
        gz.claims.send_replace(Claims::GOOD);
        gz.connect(bed.sync(), &bed.ca()).await;
        eventually("the work ends", || async {
            bed.core().catalog().running_tasks().count() == 0
        })
        .await;
        let expected = if is_late { 5 } else { 1 };
        assert_eq!(bed.state(&first(), "gz", &id).await, Some(expected));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_region_whose_gateway_was_removed_gets_until_the_deadline() {
    let bed = Bed::start(Dataplane::Gateways).await;
    let mut old = bed.gateway(Region::Guangzhou).await;
    old.disconnect().await;
    bed.admin()
        .gateway_remove(&old.id().to_string())
        .await
        .unwrap();

    let id = bed.plain_create("gz_vpc_89").await;
    let _new = bed.gateway(Region::Guangzhou).await;
    eventually("the new gateway carries it", || async {
        bed.core().catalog().running_tasks().count() == 0
    })
    .await;
    assert_eq!(bed.state(&first(), "gz", &id).await, Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_gateway_that_is_not_replaced_in_time_is_told_as_such() {
    let bed = Bed::start(Dataplane::Gateways).await;
    let mut old = bed.gateway(Region::Guangzhou).await;
    old.disconnect().await;
    bed.admin()
        .gateway_remove(&old.id().to_string())
        .await
        .unwrap();
    let parameters = [
        ("vpcId", "gz_vpc_226"),
        ("peerVpcId", "gz_vpc_89"),
        ("peerUin", "2407912486"),
        ("peeringConnectionName", "tses"),
        ("peerRegion", "gz"),
        ("bandwidth", "20"),
    ];
    let answer = bed
        .call("gz", "CreateVpcPeeringConnectionEx", &parameters)
        .await;
    let task = answer["taskId"].as_u64().unwrap();
    bed.clock.advance(LATE);
    let message = bed.end_of(task).await.unwrap_err();
    assert!(
        message.contains("region gz has no gateway since its last one was removed"),
        "{message}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_does_not_wait_for_work_behind_an_answer() {
    let bed = Bed::start(Dataplane::Gateways).await;
    let gz = bed.gateway(Region::Guangzhou).await;
    gz.claims.send_replace(Claims {
        applies: false,
        crosses: false,
        ..Claims::GOOD
    });
    let id = bed.plain_create("gz_vpc_89").await;
    // Other changes of terms have to wait, a new name has not.
    let terms = [("peeringConnectionId", &*id), ("bandwidth", "50")];
    let found = bed
        .refused(&first(), "gz", "ModifyVpcPeeringConnectionEx", &terms)
        .await;
    assert_eq!(found, (5100, "ActionLocked".to_owned()));
    let name = [
        ("peeringConnectionId", &*id),
        ("peeringConnectionName", "new"),
    ];
    bed.call("gz", "ModifyVpcPeeringConnection", &name).await;
    bed.plain(&first(), "gz", "Delete", &id).await;
    assert_eq!(bed.state(&first(), "gz", &id).await, None);
    bed.clock.advance(LATE);
    eventually("everything has ended", || async {
        bed.core().catalog().running_tasks().count() == 0
    })
    .await;
    assert_eq!(bed.state(&first(), "gz", &id).await, None);
    gz.claims.send_replace(Claims::GOOD);
    eventually("the gateway has confirmed", || async {
        bed.core().catalog().tombstones().count() == 0
    })
    .await;
}
