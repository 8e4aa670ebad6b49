//! Every state, every event, every actor.

use std::time::Duration;

use model::peering::{Actor, PeeringEvent, Transition, TransitionError};
use model::testing;
use model::{PeeringConnection, PeeringState, Region, Side, Uin, UnixMillis};

const NOW: UnixMillis = UnixMillis(1_000_000);
const DEADLINE: UnixMillis = UnixMillis(2_000_000);
const LIFETIME: Duration = Duration::from_secs(60);

/// The order of the letters in the tables below.
const EVENTS: [PeeringEvent; 8] = [
    PeeringEvent::Accept,
    PeeringEvent::Reject,
    PeeringEvent::Rename,
    PeeringEvent::ChangeTerms,
    PeeringEvent::Enable,
    PeeringEvent::Delete,
    PeeringEvent::Expire,
    PeeringEvent::ActivationFailed {
        expires_at: DEADLINE,
    },
];

const REQUESTER: Actor = Actor::Account(Uin(1));
const ACCEPTER: Actor = Actor::Account(Uin(2));
const STRANGER: Actor = Actor::Account(Uin(3));

fn states() -> [(&'static str, PeeringState); 9] {
    let since = UnixMillis(0);
    let deleted = |by| PeeringState::Deleted { by, since };
    let pending = |expires_at| PeeringState::Pending { expires_at };
    [
        ("pending", pending(UnixMillis(NOW.0 + 1))),
        ("overdue", pending(NOW)),
        ("active", PeeringState::Active { since }),
        ("expired", PeeringState::Expired { since }),
        ("rejected", PeeringState::Rejected { since }),
        (
            "failed",
            PeeringState::Failed {
                since,
                reason: "no gateway".to_owned(),
            },
        ),
        ("isolated", PeeringState::Isolated { since }),
        ("deleted by requester", deleted(Side::Requester)),
        ("deleted by accepter", deleted(Side::Accepter)),
    ]
}

fn peering(accepter: u64, state: PeeringState) -> PeeringConnection {
    let from = testing::vpc(1, Region::Guangzhou, 1, "10.1.0.0/16");
    let to = testing::vpc(2, Region::Shanghai, accepter, "10.2.0.0/16");
    let peering = testing::peering(1, &from, &to, UnixMillis(0));
    PeeringConnection { state, ..peering }
}

/// What happens, as one letter: the state that follows in upper case (A active, P pending, X
/// expired, R rejected, D deleted by the actor, G gone), `=` for no change, and the refusals: n not
/// found, r wrong role, s wrong state.
fn letter(peering: &PeeringConnection, event: PeeringEvent, actor: Actor) -> char {
    let allowed = |event| match event {
        PeeringEvent::Accept | PeeringEvent::Reject => Some(Side::Accepter),
        PeeringEvent::Enable | PeeringEvent::ChangeTerms => Some(Side::Requester),
        PeeringEvent::Rename
        | PeeringEvent::Delete
        | PeeringEvent::Expire
        | PeeringEvent::ActivationFailed { .. } => None,
    };
    match peering.transition(event, actor, NOW, LIFETIME) {
        Ok(Transition::Gone) => 'G',
        Ok(Transition::To(state)) if state == peering.state => '=',
        Ok(Transition::To(state)) => match state {
            PeeringState::Active { since } if since == NOW => 'A',
            PeeringState::Pending { expires_at } => {
                // Enabled, the wait starts again; after a failed acceptance it goes on.
                let expected = match event {
                    PeeringEvent::Enable => NOW.after(LIFETIME),
                    _ => DEADLINE,
                };
                assert_eq!(expires_at, expected);
                'P'
            }
            PeeringState::Expired { since } if since == NOW => 'X',
            PeeringState::Rejected { since } if since == NOW => 'R',
            PeeringState::Deleted { by, since } if since == NOW => {
                let expected = [(REQUESTER, Side::Requester), (ACCEPTER, Side::Accepter)];
                assert!(expected.contains(&(actor, by)));
                'D'
            }
            other => panic!("{event:?} leads to {other:?}"),
        },
        Err(TransitionError::NotFound) => 'n',
        Err(TransitionError::WrongRole {
            allowed: side,
            event: told,
        }) => {
            assert_eq!((Some(side), told), (allowed(event), event));
            'r'
        }
        Err(TransitionError::WrongState { state, event: told }) => {
            assert_eq!((state, told), (peering.state.name(), event));
            's'
        }
    }
}

fn row(accepter: u64, state: &PeeringState, actor: Actor) -> String {
    let peering = peering(accepter, state.clone());
    let letters = EVENTS.map(|event| letter(&peering, event, actor));
    letters.into_iter().collect()
}

#[test]
fn between_two_accounts_every_event_leads_where_the_table_says() {
    // Accept, Reject, Rename, ChangeTerms, Enable, Delete, Expire, ActivationFailed.
    let table = [
        ("pending", "rr==sDnn", "AR=rrDnn", "AR==sGss"),
        ("overdue", "rr==sDnn", "ss=rrDnn", "ss==sGXs"),
        ("active", "rr==sDnn", "ss=rrDnn", "ss==sGsP"),
        ("expired", "rr==PDnn", "ss=rrDnn", "ss==PGss"),
        ("rejected", "rrsssGnn", "nnnnnnnn", "sssssGss"),
        ("failed", "rrsssGnn", "nnnnnnnn", "sssssGss"),
        ("isolated", "rr==sDnn", "ss=rrDnn", "ss==sGss"),
        ("deleted by requester", "nnnnnnnn", "sssrrGnn", "sssssGss"),
        ("deleted by accepter", "rrsssGnn", "nnnnnnnn", "sssssGss"),
    ];
    for ((name, state), (expected, requester, accepter, system)) in states().iter().zip(table) {
        assert_eq!(*name, expected);
        assert_eq!(row(2, state, REQUESTER), requester, "{name}, requester");
        assert_eq!(row(2, state, ACCEPTER), accepter, "{name}, accepter");
        assert_eq!(row(2, state, Actor::System), system, "{name}, system");
        assert_eq!(row(2, state, STRANGER), "nnnnnnnn", "{name}, stranger");
    }
}

#[test]
fn inside_one_account_nobody_is_left_to_see_a_deleted_peering() {
    let table = [
        ("pending", "AR==sGnn"),
        ("overdue", "ss==sGnn"),
        ("active", "ss==sGnn"),
        ("expired", "ss==PGnn"),
        ("rejected", "sssssGnn"),
        ("failed", "sssssGnn"),
        ("isolated", "ss==sGnn"),
        ("deleted by requester", "nnnnnnnn"),
        ("deleted by accepter", "nnnnnnnn"),
    ];
    for ((name, state), (expected, owner)) in states().iter().zip(table) {
        assert_eq!(*name, expected);
        assert_eq!(row(1, state, REQUESTER), owner, "{name}, owner");
        assert_eq!(row(1, state, STRANGER), "nnnnnnnn", "{name}, stranger");
    }
}

#[test]
fn who_sees_a_peering_follows_from_its_state() {
    for (name, state) in states() {
        let peering = peering(2, state);
        let seen = [1, 2, 3].map(|uin| peering.is_visible_to(Uin(uin)));
        let expected = match name {
            "rejected" | "failed" | "deleted by accepter" => [true, false, false],
            "deleted by requester" => [false, true, false],
            _ => [true, true, false],
        };
        assert_eq!(seen, expected, "{name}");
    }
}
