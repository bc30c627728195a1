//! What is remembered of callers, and what it takes to ask about a new one.

use super::*;
use crate::{
    clock::Timestamp,
    identity::{AuthMethod, PeerIdentity, PeerSource, Principal, PrincipalKind},
};

fn workload(name: &str) -> PeerIdentity {
    PeerIdentity::assertion([1; 32], Timestamp::MAX, PeerSource::Tls)
        .spiffe_id(format!("spiffe://shop.example/{name}"))
        .finish()
}

fn is_workload(name: &str) -> Atom {
    Atom::Workload(Text::exact(format!("spiffe://shop.example/{name}")))
}

#[test]
fn what_one_policy_remembers_is_not_read_by_another() {
    let peer = workload("orders");
    let (orders, _) = matcher(vec![allow(0, [is_workload("orders")])]);
    let (payments, _) = matcher(vec![allow(0, [is_workload("payments")])]);
    let facts = Facts {
        peer: Some(&peer),
        ..on("/")
    };
    for _ in 0..3 {
        assert_eq!(orders.find(&facts).allow, Some(0));
        assert_eq!(payments.find(&facts).allow, None);
    }
}

#[test]
fn a_policy_that_was_dropped_leaves_nothing_for_the_next_one() {
    let peer = workload("orders");
    let facts = Facts {
        peer: Some(&peer),
        ..on("/")
    };
    for round in 0..50 {
        let name = ["orders", "payments"][round % 2];
        let (matcher, _) = matcher(vec![allow(0, [is_workload(name)])]);
        assert_eq!(matcher.find(&facts).allow.is_some(), name == "orders");
        drop(matcher);
    }
}

#[test]
fn a_principal_that_gains_a_role_is_asked_again() {
    let (matcher, _) = matcher(vec![allow(0, [Atom::Role(Text::exact("owner"))])]);
    let ada = Principal::assertion(PrincipalKind::User, "ada", AuthMethod::Jwt).finish();
    let of = |who| Facts {
        principal: Some(who),
        ..on("/")
    };
    assert_eq!(matcher.find(&of(&ada)).allow, None);
    let owner = ada.and_also(AuthMethod::Jwt).roles(["owner"]).finish();
    assert_eq!(matcher.find(&of(&owner)).allow, Some(0));
    assert_eq!(matcher.find(&of(&ada)).allow, None);
}

#[test]
fn nobody_and_the_anonymous_are_the_same() {
    let (matcher, _) = matcher(vec![
        allow(0, [Atom::Subject(Text::Present)]),
        allow(1, [Atom::Kind(PrincipalKind::Anonymous)]),
    ]);
    let anonymous = Principal::anonymous();
    assert_eq!(matcher.find(&on("/")).allow, Some(1));
    let facts = Facts {
        principal: Some(&anonymous),
        ..on("/")
    };
    assert_eq!(matcher.find(&facts).allow, Some(1));
}

#[test]
fn rules_that_ask_the_same_share_an_answer_and_names_are_looked_up() {
    let few: Vec<Rule> = (0..10_000)
        .map(|at| allow(at, [is_workload(&format!("w{}", at % 20))]))
        .collect();
    let (matcher, _) = matcher(few);
    assert_eq!(
        matcher.peers.asked_of(&Facts {
            peer: Some(&workload("w7")),
            ..on("/")
        }),
        1
    );
    assert_eq!(matcher.peers.len(), 20);

    let (distinct, _) = super::matcher(
        (0..10_000)
            .map(|at| {
                let issuer = Atom::Issuer(Text::exact("https://id.shop.example"));
                allow(at, [issuer, Atom::Subject(Text::exact(format!("s{at}")))])
            })
            .collect(),
    );
    let who = Principal::assertion(PrincipalKind::User, "s77", AuthMethod::Jwt)
        .issuer("https://id.shop.example")
        .finish();
    let facts = Facts {
        principal: Some(&who),
        ..on("/")
    };
    assert_eq!(distinct.principals.len(), 10_000);
    // By the subject, although all name the issuer too.
    assert_eq!(distinct.principals.asked_of(&facts), 1);
    assert_eq!(distinct.find(&facts).allow, Some(77));
}

/// A token and a signature, combined anew for each request.
#[test]
fn a_caller_of_several_credentials_is_asked_once_and_for_its_own_rights() {
    let (matcher, _) = matcher(vec![
        allow(0, [Atom::Role(Text::exact("root"))]),
        allow(1, [Atom::Subject(Text::exact("ada"))]),
    ]);
    let ada = Principal::assertion(PrincipalKind::User, "ada", AuthMethod::Jwt).finish();
    let root = Principal::assertion(PrincipalKind::Service, "root", AuthMethod::Signature)
        .roles(["root"])
        .finish();
    let allowed = |who: &Principal| {
        let facts = Facts {
            principal: Some(who),
            ..on("/")
        };
        matcher.find(&facts).allow
    };
    for _ in 0..2 {
        assert_eq!(allowed(&ada.strengthened_by(&root)), Some(1));
        assert_eq!(allowed(&root.strengthened_by(&ada)), Some(0));
        assert_eq!(allowed(&ada), Some(1));
        assert_eq!(allowed(&root), Some(0));
        let more = ada.strengthened_by(&root).and_also(AuthMethod::Jwt);
        assert_eq!(allowed(&more.roles(["root"]).finish()), Some(0));
    }
}
