//! Our own calls told from those of others.

use sgwarden::core::activity::{Own, Whose, parse};

use super::{ROLE, SESSION, at, message};

#[test]
fn a_call_is_ours_by_its_request_and_suspicious_by_its_role_alone() {
    let ours = parse(&message("20-revoke-by-permissions.json")).unwrap();
    let theirs = parse(&message("21-revoke-by-ids.json")).unwrap();
    let mut own = Own::default();
    assert_eq!(own.whose(&ours), Whose::Others);
    own.act_as(SESSION);
    assert_eq!(own.whose(&ours), Whose::OwnRole { same_session: true });
    assert_eq!(own.whose(&theirs), Whose::Others);
    own.sent(ours.request_id.as_deref().unwrap(), at(0));
    assert!(own.is_own(&ours));
    own.prune(at(1));
    assert_eq!(own.whose(&ours), Whose::OwnRole { same_session: true });
}

#[test]
fn a_role_is_the_same_with_its_path_and_without() {
    let ours = parse(&message("20-revoke-by-permissions.json")).unwrap();
    let mut own = Own::default();
    own.act_as(ROLE);
    assert_eq!(own.whose(&ours), Whose::OwnRole { same_session: false }, "no session of ours is known yet");
    own.session_name("sgwarden");
    assert_eq!(own.whose(&ours), Whose::OwnRole { same_session: true });
    let mut other = Own::default();
    other.act_as(&ROLE.replace("2109", "3109"));
    assert_eq!(other.whose(&ours), Whose::Others, "the same name in another account");
}

#[test]
fn a_user_may_be_us_too() {
    let ours = parse(&message("70-error-denied.json")).unwrap();
    let mut own = Own::default();
    own.act_as("arn:aws:iam::210987654321:user/ops/tomasz");
    assert_eq!(own.whose(&ours), Whose::OwnRole { same_session: true });
}

#[test]
fn requests_are_remembered_the_newest_first() {
    let mut own = Own::default();
    let mut event = parse(&message("10-authorize-console.json")).unwrap();
    for n in 0..100_010_i64 {
        own.sent(&n.to_string(), at(n));
    }
    own.sent("10", at(200_000));
    for (id, known) in [("0", false), ("9", false), ("10", true), ("11", true), ("100009", true)] {
        event.request_id = Some(id.into());
        assert_eq!(own.is_own(&event), known, "{id}");
    }
}
