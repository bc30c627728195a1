use super::*;

/// Whether a sanction against `target` strikes.
fn struck(target: SanctionTarget, who: Option<&Principal>, peer: Option<&PeerIdentity>) -> bool {
    let clock = clock();
    let sanctions = Sanctions::local(clock.clone());
    let imposed = sanctions.impose(sanction(target, SanctionAction::Revoke));
    imposed.now_or_never().unwrap().unwrap();
    match sanctions.check(who, peer, now(&clock)) {
        Ok(()) => false,
        Err(denial) => {
            assert_eq!(denial.code(), Code::CredentialRevoked);
            true
        }
    }
}

#[test]
fn whom_it_names_and_nobody_else() {
    use SanctionTarget::{Key, Session, Token, Workload};
    let ada = ada().finish();
    let cases = [
        (Token("t-1".into()), true),
        (Token("t-2".into()), false),
        (Token("s-1".into()), false),
        (Token("ada".into()), false),
        (Session("s-1".into()), true),
        (Session("t-1".into()), false),
        (Key("k-1".into()), true),
        (Key("t-1".into()), false),
        (Workload("ada".into()), true),
        (Workload("t-1".into()), false),
        (subject(None, "ada", 1000), true),
        (subject(None, "ada", 999), false),
        (subject(None, "ada", 1001), true),
        (subject(None, "eve", 1001), false),
        (subject(None, "t-1", 1001), false),
        (subject(Some("https://id.test"), "ada", 1000), true),
        (subject(Some("https://other.test"), "ada", 1000), false),
    ];
    for (target, expected) in cases {
        assert_eq!(
            struck(target.clone(), Some(&ada), None),
            expected,
            "{target:?}"
        );
    }
}

#[test]
fn a_credential_of_unknown_age() {
    let who = Principal::assertion(PrincipalKind::Service, "ada", AuthMethod::ServiceToken);
    assert!(struck(subject(None, "ada", 1), Some(&who.finish()), None));
}

#[test]
fn a_subject_whose_issuer_is_unknown_only_where_any_issuer_is_meant() {
    let who = Principal::assertion(PrincipalKind::User, "ada", AuthMethod::Jwt).finish();
    assert!(struck(subject(None, "ada", 1), Some(&who), None));
    assert!(!struck(subject(Some("i"), "ada", 1), Some(&who), None));
}

#[test]
fn a_workload_as_peer_or_as_subject() {
    let target = || SanctionTarget::Workload(ID.into());
    let ada = ada().finish();
    assert!(struck(target(), None, Some(&workload(ID))));
    assert!(struck(target(), Some(&ada), Some(&workload(ID))));
    assert!(!struck(
        target(),
        Some(&ada),
        Some(&workload("spiffe://example.test/other"))
    ));
    assert!(!struck(
        SanctionTarget::Token(ID.into()),
        None,
        Some(&workload(ID))
    ));
    let who = Principal::assertion(PrincipalKind::Service, ID, AuthMethod::Jwt).finish();
    assert!(struck(target(), Some(&who), None));
}

#[test]
fn nobody_in_particular_is_no_subject() {
    let nobody = Principal::anonymous();
    assert!(!struck(
        subject(None, "anonymous", u64::MAX),
        Some(&nobody),
        None
    ));
    assert!(!struck(
        SanctionTarget::Workload("anonymous".into()),
        Some(&nobody),
        None
    ));
}

#[test]
fn what_a_second_credential_proved() {
    let second = Principal::assertion(PrincipalKind::Service, "signer", AuthMethod::Signature)
        .key("signing key")
        .finish();
    let third = Principal::assertion(PrincipalKind::Service, "third", AuthMethod::Jwt)
        .token("t-3")
        .finish();
    let both = ada()
        .finish()
        .strengthened_by(&second.strengthened_by(&third));
    for target in [
        SanctionTarget::Token("t-1".into()),
        SanctionTarget::Key("signing key".into()),
        SanctionTarget::Token("t-3".into()),
        subject(None, "signer", 1),
    ] {
        assert!(struck(target.clone(), Some(&both), None), "{target:?}");
    }
    // One proof's issue time does not stand in for another's.
    assert!(!struck(subject(None, "ada", 999), Some(&both), None));
}

#[test]
fn a_workload_is_struck_with_the_proxy_that_speaks_for_it() {
    let clock = ManualClock::default();
    let behind = |proxy: &str| {
        let peer = PeerIdentity::assertion([8; 32], Timestamp::MAX, PeerSource::Forwarded);
        peer.spiffe_id("spiffe://example.test/batch")
            .via(Arc::new(workload(proxy)))
            .finish()
    };
    let target = || SanctionTarget::Workload(ID.into());
    assert!(struck(target(), None, Some(&behind(ID))));
    assert!(!struck(
        target(),
        None,
        Some(&behind("spiffe://example.test/other"))
    ));
    // What came over a proxy is good for no longer than the proxy.
    let end = clock.now().unwrap();
    let proxy = PeerIdentity::assertion([7; 32], end, PeerSource::Tls).finish();
    let peer = PeerIdentity::assertion([8; 32], Timestamp::MAX, PeerSource::Forwarded);
    assert_eq!(peer.via(Arc::new(proxy)).finish().not_after(), end);
}
