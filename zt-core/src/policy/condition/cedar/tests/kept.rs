//! What is kept with a principal, and what is left out before Cedar is asked.

use super::*;
use crate::policy::condition::cedar::reads::Runnable;

fn ask(text: &str, who: &Principal) -> Result<String, Code> {
    let policy = policy(&when(text));
    request("GET", "/x/7").by(Some(who.clone())).answer(&policy)
}

#[test]
fn a_principal_that_was_asked_about_lends_no_proof_and_no_role_to_another() {
    let ada = ada().roles(["clerk"]).finish();
    let key = Principal::assertion(PrincipalKind::Service, "root", AuthMethod::Signature)
        .roles(["root"])
        .finish();
    let (signed, root) = (
        "principal.methods.contains(\"signature\")",
        "principal.roles.contains(\"root\")",
    );
    for _ in 0..2 {
        let both = ada.strengthened_by(&key);
        assert_eq!(ask(signed, &both).as_deref(), Ok("when"));
        assert_eq!(ask(signed, &ada), Err(Code::PolicyDenied));
        for who in [&ada, &both] {
            assert_eq!(ask(root, who), Err(Code::PolicyDenied));
            let own = "principal.roles == [\"clerk\"] && principal.scopes.isEmpty()";
            assert_eq!(ask(own, who).as_deref(), Ok("when"));
            let name = "principal == User::\"https://id.shop.example#ada\"";
            assert_eq!(ask(name, who).as_deref(), Ok("when"));
        }
        assert_eq!(ask(root, &key).as_deref(), Ok("when"));
        let more = ada.and_also(AuthMethod::Signature).roles(["root"]).finish();
        assert_eq!(ask(root, &more).as_deref(), Ok("when"));
    }
}

#[test]
fn an_issuer_with_a_hash_is_refused_each_time() {
    let who = Principal::assertion(PrincipalKind::User, "ada", AuthMethod::Jwt)
        .issuer("https://id.shop.example#")
        .roles(["clerk"])
        .finish();
    for _ in 0..2 {
        assert_eq!(
            ask("principal != User::\"#ada\"", &who),
            Err(Code::PolicyDenied)
        );
        let role = "principal.roles.contains(\"clerk\")";
        assert_eq!(ask(role, &who).as_deref(), Ok("when"));
    }
}

const TOML: &str = r#"
[operations.read]
path = "/{rest..}"
[cedar]
files = ["all.cedar"]
[[rule]]
id = "open"
effect = "allow"
path = "/open"
"#;

#[test]
fn a_policy_about_services_alone_neither_forbids_a_user_nor_fails_for_one() {
    for (forbids, services) in [
        ("context.time.hour * 9223372036854775807 > 7", "fails"),
        ("context.time.hour < 24", "nights"),
    ] {
        let text = format!(
            "@id(\"all\") permit(principal, action, resource);\n\
             @id(\"nights\") forbid(principal is Service, action, resource) when {{ {forbids} }};\n"
        );
        let policy = load(TOML, &text, &PolicyOptions::new()).unwrap();
        let by = |kind| {
            let who = Principal::assertion(kind, "x", AuthMethod::Jwt).finish();
            request("GET", "/x").by(Some(who)).ask(&policy)
        };
        assert_eq!(by(PrincipalKind::User).unwrap(), "all", "{services}");
        assert_eq!(
            request("GET", "/x").by(None).ask(&policy).unwrap(),
            "all",
            "{services}"
        );
        let denial = by(PrincipalKind::Service).unwrap_err();
        assert_eq!(denial.code(), Code::PolicyDenied, "{services}");
        assert_eq!(denial.rule(), Some("nights"), "{services}");
    }
}

#[test]
fn what_is_run_says_nothing_of_places_and_of_types_only_what_else_could_not_be_told() {
    let runnable = |head: &str| {
        let text = format!(
            "permit({head}, action, resource) when {{ context.body.a < -7 \
             && principal.roles.containsAny([\"x\"]) }} unless {{ context has peer.namespace }};"
        );
        Runnable::of(&text.parse().unwrap(), &[]).unwrap()
    };
    for (head, kind, identity) in [
        ("principal", None, false),
        ("principal is User", Some(PrincipalKind::User), false),
        ("principal is Service", Some(PrincipalKind::Service), false),
        (
            "principal is Anonymous",
            Some(PrincipalKind::Anonymous),
            false,
        ),
        ("principal == User::\"x\"", None, true),
        ("principal is User in User::\"x\"", None, true),
        ("principal is Robot", None, true),
    ] {
        let runnable = runnable(head);
        assert_eq!(runnable.kind, kind, "{head}");
        assert_eq!(runnable.reads.identity, identity, "{head}");
        let mut parts = runnable.expression.subexpressions();
        assert!(parts.all(|part| part.source_loc().is_none()), "{head}");
    }
}
