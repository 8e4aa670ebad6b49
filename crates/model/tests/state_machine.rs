//! Every state, every event, every actor; and who sees a peering in which state.
//!
//! The tables are exhaustive by construction: states and roles are matched without a catch-all, so a
//! new one does not compile without a row, and each row is an array with one letter per event.

use std::time::Duration;

use model::peering::{Actor, PeeringEvent, Transition, TransitionError};
use model::testing;
use model::{PeeringConnection, PeeringState, Region, Side, Uin, UnixMillis};

const NOW: UnixMillis = UnixMillis(1_000_000);
const DEADLINE: UnixMillis = UnixMillis(2_000_000);
const LIFETIME: Duration = Duration::from_secs(60);
const REASON: &str = "region sh: no gateway";

/// Names the variants of a type of `model`, and a value of each. A variant that is not named does
/// not compile, because `of` matches without a catch-all.
macro_rules! kinds {
    ($(#[$doc:meta])* $name:ident of $type:ty { $($kind:ident: $pattern:pat => $value:expr,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        enum $name { $($kind,)+ }

        impl $name {
            const ALL: [$name; [$($name::$kind,)+].len()] = [$($name::$kind,)+];

            fn of(value: &$type) -> $name {
                match value { $($pattern => $name::$kind,)+ }
            }

            fn value(self) -> $type {
                let value = match self { $($name::$kind => $value,)+ };
                assert_eq!($name::of(&value), self);
                value
            }
        }
    };
}

kinds! {
    /// The states, a pending one before and after its deadline.
    State of PeeringState {
        Pending: PeeringState::Pending { expires_at: UnixMillis(1_000_001..) } =>
            PeeringState::Pending { expires_at: UnixMillis(NOW.0 + 1) },
        Overdue: PeeringState::Pending { .. } => PeeringState::Pending { expires_at: NOW },
        Active: PeeringState::Active { .. } => PeeringState::Active { since: UnixMillis(0) },
        Expired: PeeringState::Expired { .. } => PeeringState::Expired { since: UnixMillis(0) },
        Rejected: PeeringState::Rejected { .. } => PeeringState::Rejected { since: UnixMillis(0) },
        Failed: PeeringState::Failed { .. } =>
            PeeringState::Failed { since: UnixMillis(0), reason: "no gateway".to_owned() },
        Isolated: PeeringState::Isolated { .. } => PeeringState::Isolated { since: UnixMillis(0) },
        DeletedByRequester: PeeringState::Deleted { by: Side::Requester, .. } =>
            PeeringState::Deleted { by: Side::Requester, since: UnixMillis(0) },
        DeletedByAccepter: PeeringState::Deleted { by: Side::Accepter, .. } =>
            PeeringState::Deleted { by: Side::Accepter, since: UnixMillis(0) },
    }
}

kinds! {
    /// The events, in the order of the letters of a row.
    Event of PeeringEvent {
        Accept: PeeringEvent::Accept => PeeringEvent::Accept,
        Reject: PeeringEvent::Reject => PeeringEvent::Reject,
        Rename: PeeringEvent::Rename => PeeringEvent::Rename,
        ChangeTerms: PeeringEvent::ChangeTerms => PeeringEvent::ChangeTerms,
        Enable: PeeringEvent::Enable => PeeringEvent::Enable,
        Delete: PeeringEvent::Delete => PeeringEvent::Delete,
        Expire: PeeringEvent::Expire => PeeringEvent::Expire,
        ActivationFailed: PeeringEvent::ActivationFailed { .. } =>
            PeeringEvent::ActivationFailed { expires_at: DEADLINE },
        CreationUndone: PeeringEvent::CreationUndone => PeeringEvent::CreationUndone,
        CreationFailed: PeeringEvent::CreationFailed { .. } =>
            PeeringEvent::CreationFailed { reason: REASON.to_owned() },
    }
}

/// Who causes an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Requester,
    Accepter,
    Stranger,
    /// Of both ends.
    Owner,
    System,
}

impl Role {
    const ALL: [Role; 5] = [
        Role::Requester,
        Role::Accepter,
        Role::Stranger,
        Role::Owner,
        Role::System,
    ];

    fn actor(self) -> Actor {
        match self {
            Role::Requester | Role::Owner => Actor::Account(Uin(1)),
            Role::Accepter => Actor::Account(Uin(2)),
            Role::Stranger => Actor::Account(Uin(3)),
            Role::System => Actor::System,
        }
    }

    fn accepter(self) -> u64 {
        if self == Role::Owner { 1 } else { 2 }
    }
}

/// What happens, one letter per event: the state that follows in upper case (A active, P pending, X
/// expired, R rejected, F failed, D deleted by the actor, G gone), `=` for no change, and the
/// refusals: n not found, r wrong role, s wrong state.
fn row(state: State, role: Role) -> &'static [u8; Event::ALL.len()] {
    // Accept, Reject, Rename, ChangeTerms, Enable, Delete; of the system only: Expire,
    // ActivationFailed, CreationUndone, CreationFailed.
    match (state, role) {
        (State::Pending, Role::Requester) => b"rr==sDnnnn",
        (State::Pending, Role::Accepter) => b"AR=rrDnnnn",
        (State::Pending, Role::Stranger) => b"nnnnnnnnnn",
        (State::Pending, Role::Owner) => b"AR==sGnnnn",
        (State::Pending, Role::System) => b"AR==sGssss",

        (State::Overdue, Role::Requester) => b"rr==sDnnnn",
        (State::Overdue, Role::Accepter) => b"ss=rrDnnnn",
        (State::Overdue, Role::Stranger) => b"nnnnnnnnnn",
        (State::Overdue, Role::Owner) => b"ss==sGnnnn",
        (State::Overdue, Role::System) => b"ss==sGXsss",

        (State::Active, Role::Requester) => b"rr==sDnnnn",
        (State::Active, Role::Accepter) => b"ss=rrDnnnn",
        (State::Active, Role::Stranger) => b"nnnnnnnnnn",
        (State::Active, Role::Owner) => b"ss==sGnnnn",
        (State::Active, Role::System) => b"ss==sGsPGF",

        (State::Expired, Role::Requester) => b"rr==PDnnnn",
        (State::Expired, Role::Accepter) => b"ss=rrDnnnn",
        (State::Expired, Role::Stranger) => b"nnnnnnnnnn",
        (State::Expired, Role::Owner) => b"ss==PGnnnn",
        (State::Expired, Role::System) => b"ss==PGssss",

        (State::Rejected, Role::Requester) => b"rrsssGnnnn",
        (State::Rejected, Role::Accepter) => b"nnnnnnnnnn",
        (State::Rejected, Role::Stranger) => b"nnnnnnnnnn",
        (State::Rejected, Role::Owner) => b"sssssGnnnn",
        (State::Rejected, Role::System) => b"sssssGssss",

        (State::Failed, Role::Requester) => b"rrsssGnnnn",
        (State::Failed, Role::Accepter) => b"nnnnnnnnnn",
        (State::Failed, Role::Stranger) => b"nnnnnnnnnn",
        (State::Failed, Role::Owner) => b"sssssGnnnn",
        (State::Failed, Role::System) => b"sssssGssss",

        (State::Isolated, Role::Requester) => b"rr==sDnnnn",
        (State::Isolated, Role::Accepter) => b"ss=rrDnnnn",
        (State::Isolated, Role::Stranger) => b"nnnnnnnnnn",
        (State::Isolated, Role::Owner) => b"ss==sGnnnn",
        (State::Isolated, Role::System) => b"ss==sGssss",

        (State::DeletedByRequester, Role::Requester) => b"nnnnnnnnnn",
        (State::DeletedByRequester, Role::Accepter) => b"sssrrGnnnn",
        (State::DeletedByRequester, Role::Stranger) => b"nnnnnnnnnn",
        (State::DeletedByRequester, Role::Owner) => b"nnnnnnnnnn",
        (State::DeletedByRequester, Role::System) => b"sssssGssss",

        (State::DeletedByAccepter, Role::Requester) => b"rrsssGnnnn",
        (State::DeletedByAccepter, Role::Accepter) => b"nnnnnnnnnn",
        (State::DeletedByAccepter, Role::Stranger) => b"nnnnnnnnnn",
        (State::DeletedByAccepter, Role::Owner) => b"nnnnnnnnnn",
        (State::DeletedByAccepter, Role::System) => b"sssssGssss",
    }
}

/// A peering of account 1 in Guangzhou with an account in Shanghai.
fn peering(accepter: u64, state: State) -> PeeringConnection {
    let from = testing::vpc(1, Region::Guangzhou, 1, "10.1.0.0/16");
    let to = testing::vpc(2, Region::Shanghai, accepter, "10.2.0.0/16");
    let peering = testing::peering(1, &from, &to, UnixMillis(0));
    let state = state.value();
    PeeringConnection { state, ..peering }
}

/// The side that an event is left to.
fn allowed(event: Event) -> Option<Side> {
    match event {
        Event::Accept | Event::Reject => Some(Side::Accepter),
        Event::Enable | Event::ChangeTerms => Some(Side::Requester),
        Event::Rename
        | Event::Delete
        | Event::Expire
        | Event::ActivationFailed
        | Event::CreationUndone
        | Event::CreationFailed => None,
    }
}

/// What the code does, as the letter of the table. The data of the state that follows is checked.
fn letter(peering: &PeeringConnection, event: Event, role: Role) -> char {
    match peering.transition(event.value(), role.actor(), NOW, LIFETIME) {
        Ok(Transition::Gone) => 'G',
        Ok(Transition::To(state)) if state == peering.state => '=',
        Ok(Transition::To(state)) => match state {
            PeeringState::Active { since } if since == NOW => 'A',
            PeeringState::Pending { expires_at } => {
                // Enabled, the wait starts again; after a failed acceptance it goes on.
                let expected = match event {
                    Event::Enable => NOW.after(LIFETIME),
                    _ => DEADLINE,
                };
                assert_eq!(expires_at, expected);
                'P'
            }
            PeeringState::Expired { since } if since == NOW => 'X',
            PeeringState::Rejected { since } if since == NOW => 'R',
            PeeringState::Failed { since, reason } if since == NOW && reason == REASON => 'F',
            PeeringState::Deleted { by, since } if since == NOW => {
                let expected = match role {
                    Role::Requester => Side::Requester,
                    Role::Accepter => Side::Accepter,
                    other => panic!("{other:?} leaves {by:?} as the one who deleted"),
                };
                assert_eq!(by, expected);
                'D'
            }
            other => panic!("{event:?} leads to {other:?}"),
        },
        Err(TransitionError::NotFound) => 'n',
        Err(TransitionError::WrongRole {
            allowed: side,
            event: told,
        }) => {
            assert_eq!((Some(side), told), (allowed(event), event.value()));
            'r'
        }
        Err(TransitionError::WrongState { state, event: told }) => {
            assert_eq!((state, told), (peering.state.name(), event.value()));
            's'
        }
    }
}

#[test]
fn every_event_by_everyone_in_every_state_leads_where_the_table_says() {
    for state in State::ALL {
        for role in Role::ALL {
            let peering = peering(role.accepter(), state);
            for (event, expected) in Event::ALL.into_iter().zip(row(state, role)) {
                assert_eq!(
                    letter(&peering, event, role),
                    char::from(*expected),
                    "{event:?} by {role:?} in {state:?}"
                );
            }
        }
    }
}

/// Who sees a peering: requester, accepter, stranger, and the owner where both are one account.
fn seen_by(state: State) -> [bool; 4] {
    match state {
        State::Pending | State::Overdue | State::Active | State::Expired | State::Isolated => {
            [true, true, false, true]
        }
        State::Rejected | State::Failed => [true, false, false, true],
        // Nobody is left to be told that the only account deleted it.
        State::DeletedByRequester => [false, true, false, false],
        State::DeletedByAccepter => [true, false, false, false],
    }
}

#[test]
fn who_sees_a_peering_follows_from_its_state_and_from_where_its_end_is() {
    for state in State::ALL {
        let (two, one) = (peering(2, state), peering(1, state));
        let [requester, accepter, stranger, owner] = seen_by(state);
        for (name, peering, account, gz, sh) in [
            ("requester", &two, 1, requester, false),
            ("accepter", &two, 2, false, accepter),
            ("stranger", &two, 3, stranger, stranger),
            // An account with both ends sees it from either.
            ("owner", &one, 1, owner, owner),
        ] {
            let account = Uin(account);
            assert_eq!(
                peering.is_visible_to(account),
                gz || sh,
                "{name}, {state:?}"
            );
            let seen = |region| peering.is_visible_in(account, region);
            assert_eq!(seen(Region::Guangzhou), gz, "{name} in gz, {state:?}");
            assert_eq!(seen(Region::Shanghai), sh, "{name} in sh, {state:?}");
            assert!(!seen(Region::Beijing), "{name} elsewhere, {state:?}");
        }
    }
}

#[test]
fn only_pending_and_active_peerings_are_counted() {
    for state in State::ALL {
        let expected = match state {
            State::Pending | State::Overdue | State::Active => true,
            State::Expired
            | State::Rejected
            | State::Failed
            | State::Isolated
            | State::DeletedByRequester
            | State::DeletedByAccepter => false,
        };
        assert_eq!(peering(2, state).is_open(), expected, "{state:?}");
    }
}
