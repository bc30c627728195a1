use super::*;

const RULES: &str = r#"
[[rule]]
id = "refunds"
effect = "allow"
path = "/refunds/{id}"
grant = "refunds.write"

[[rule]]
id = "frozen"
effect = "deny"
path = "/refunds/frozen"
grant = "freeze"

[[rule]]
id = "frozen-open"
effect = "allow"
path = "/refunds/frozen"
"#;

fn with(holds: Holds) -> CompiledPolicy {
    let options = PolicyOptions::new().grants(Arc::new(holds));
    load(RULES, "", &options).unwrap_or_else(|errors| panic!("{errors}"))
}

#[test]
fn a_policy_that_asks_for_grants_is_not_loaded_where_nobody_tells_who_holds_them() {
    let wrong = wrong(RULES, "", &PolicyOptions::new());
    assert!(wrong.contains("nobody says who holds grants"), "{wrong}");
    assert!(wrong.starts_with("policy.toml:"), "{wrong}");
    assert_eq!(wrong.lines().count(), 2, "{wrong}");
}

#[test]
fn refuses_who_holds_no_grant_and_where_nobody_knows() {
    let cases = [
        (Ok(vec![]), Code::PolicyDenied),
        (Ok(vec![("refunds.read", 60)]), Code::PolicyDenied),
        (Err(Code::StoreUnavailable), Code::StoreUnavailable),
    ];
    for (holds, code) in cases {
        let policy = with(Holds(holds));
        assert_eq!(request("POST", "/refunds/7").answer(&policy), Err(code));
    }
    // What fails says where, also as one of several policies.
    let policy = with(Holds(Err(Code::StoreUnavailable)));
    let denial = request("POST", "/refunds/7").ask(&policy).unwrap_err();
    assert_eq!(
        (denial.rule(), denial.policy()),
        (Some("refunds"), Some("policy"))
    );
    // Nobody in particular holds none, whatever is said.
    let policy = with(Holds(Ok(vec![("refunds.write", 60)])));
    for who in [None, Some(Principal::anonymous())] {
        let asked = request("POST", "/refunds/7").by(who);
        assert_eq!(asked.answer(&policy), Err(Code::PolicyDenied));
    }
}

#[test]
fn what_a_grant_permits_ends_with_it() {
    let policy = with(Holds(Ok(vec![("refunds.write", 60)])));
    let asked = request("POST", "/refunds/7").made();
    let until = Timestamp::from_secs(NOW.as_secs() + 60);
    assert_eq!(
        permit(asked.judgement(&policy)),
        ("refunds".into(), Some(until))
    );
}

#[test]
fn a_grant_that_denies_comes_before_what_allows_and_denies_where_nobody_knows() {
    for (holds, answer) in [
        (Ok(vec![]), Ok("frozen-open".to_owned())),
        (Ok(vec![("freeze", 60)]), Err(Code::PolicyDenied)),
        (Err(Code::StoreUnavailable), Err(Code::StoreUnavailable)),
    ] {
        let policy = with(Holds(holds));
        assert_eq!(request("POST", "/refunds/frozen").answer(&policy), answer);
    }
}

#[cfg(not(feature = "cedar"))]
#[test]
fn conditions_in_cedar_are_refused_by_the_name_of_the_feature() {
    let when = "[[rule]]\nid = \"a\"\neffect = \"allow\"\npath = \"/a\"\nwhen = \"true\"\n";
    let file =
        "[cedar]\nfiles = [\"a.cedar\"]\n[[rule]]\nid = \"a\"\neffect = \"allow\"\npath = \"/a\"\n";
    for toml in [when, file] {
        let wrong = wrong(toml, "", &PolicyOptions::new());
        assert!(wrong.contains("the feature `cedar`"), "{wrong}");
    }
}
