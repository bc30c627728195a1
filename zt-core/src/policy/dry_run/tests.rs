//! What is noted of rules that are only tried, and that they change nothing.

use std::sync::atomic::AtomicUsize;

use http::Request;

use super::*;
use crate::{
    authorize::{ActiveGrant, ActiveGrants, AuthorizeLayer, Policy},
    context::{SecurityContext, Stage},
    gate::{Check, Settings},
    identity::{AuthMethod, Principal, PrincipalKind},
    policy::PolicyOptions,
};

const ENFORCED: &str = r#"
policy = "shop"
version = "7"
[[rule]]
id = "read"
effect = "allow"
caller = { kind = "user" }
methods = ["GET"]
path = "/orders/{id}"
[[rule]]
id = "no-batch"
effect = "deny"
caller = { subject = "batch" }
path = "/{rest..}"
"#;

const TRIED: &str = r#"
[[rule]]
id = "no-secrets"
effect = "deny"
dry_run = true
path = "/orders/secret"
[[rule]]
id = "write"
effect = "allow"
dry_run = true
caller = { kind = "user" }
methods = ["POST"]
path = "/orders/{id}"
"#;

fn load(text: &str, options: &PolicyOptions) -> CompiledPolicy {
    CompiledPolicy::from_toml(text, options).unwrap_or_else(|errors| panic!("{errors}"))
}

fn with_tried() -> CompiledPolicy {
    load(&format!("{ENFORCED}{TRIED}"), &PolicyOptions::new())
}

/// What was decided, by which rule, and what was noted.
fn ask(policy: &CompiledPolicy, who: &str, method: &str, path: &str) -> (String, Option<String>) {
    let request = Request::builder().method(method).uri(path);
    let (parts, ()) = request.body(()).unwrap().into_parts();
    let mut cx = SecurityContext::open(&parts, &Settings::shared_default());
    let who = Principal::assertion(PrincipalKind::User, who.to_owned(), AuthMethod::Jwt);
    cx.set_principal(Arc::new(who.finish()));
    let verdict = match policy.decide(&Access::new(&parts, &cx)) {
        Step::Now(verdict) => verdict,
        Step::Later(_) => panic!("it waits"),
    };
    let said = match verdict {
        Ok(Verdict::Permit(grounds)) => format!("permit by {}", grounds.into_rule()),
        Ok(Verdict::Deny(denial)) | Err(denial) => {
            format!("deny by {}", denial.rule().unwrap_or("?"))
        }
        Ok(Verdict::NotApplicable) => "nothing".to_owned(),
    };
    (said, cx.trail().dry_run().map(str::to_owned))
}

#[test]
fn what_is_only_tried_changes_nothing_and_is_noted() {
    let enforced = load(ENFORCED, &PolicyOptions::new());
    let policy = with_tried();
    for (who, method, path, said, note) in [
        ("ada", "GET", "/orders/7", "permit by read", None),
        (
            "ada",
            "GET",
            "/orders/secret",
            "permit by read",
            Some("deny by no-secrets"),
        ),
        (
            "ada",
            "POST",
            "/orders/7",
            "nothing",
            Some("permit by write"),
        ),
        // Denied by another rule is denied all the same.
        ("ada", "POST", "/orders/secret", "nothing", None),
        ("batch", "GET", "/orders/secret", "deny by no-batch", None),
        ("batch", "POST", "/orders/7", "deny by no-batch", None),
        ("ada", "GET", "/elsewhere", "nothing", None),
    ] {
        let found = ask(&policy, who, method, path);
        assert_eq!(
            found,
            (said.to_owned(), note.map(str::to_owned)),
            "{who} {method} {path}"
        );
        assert_eq!(ask(&enforced, who, method, path), (said.to_owned(), None));
    }
    let report = policy.dry_run_report();
    assert_eq!((report.tried, report.unknown, report.others), (7, 0, 0));
    let counted: Vec<_> = report
        .changes
        .iter()
        .map(|change| (change.would, change.rule.as_deref().unwrap(), change.count))
        .collect();
    assert_eq!(
        counted,
        [
            (WouldHave::Denied, "no-secrets", 1),
            (WouldHave::Permitted, "write", 1)
        ]
    );
    assert_eq!(
        report.to_string(),
        "tried 7, unknown 0\ndeny by no-secrets: 1\npermit by write: 1"
    );
    assert_eq!(enforced.dry_run_report(), DryRunReport::default());
}

#[test]
fn a_candidate_is_tried_beside_rules_that_are_tried_too() {
    let candidate = ENFORCED
        .replace("version = \"7\"", "version = \"8\"")
        .replace("/orders/{id}", "/orders/7");
    let candidate = load(&candidate, &PolicyOptions::new());
    let policy = with_tried().with_candidate(&candidate);
    for (method, path, said, note) in [
        ("GET", "/orders/7", "permit by read", None),
        (
            "GET",
            "/orders/8",
            "permit by read",
            Some("candidate 8: deny by no rule"),
        ),
        (
            "GET",
            "/orders/secret",
            "permit by read",
            Some("deny by no-secrets; candidate 8: deny by no rule"),
        ),
        ("POST", "/orders/7", "nothing", Some("permit by write")),
    ] {
        let found = ask(&policy, "ada", method, path);
        assert_eq!(
            found,
            (said.to_owned(), note.map(str::to_owned)),
            "{method} {path}"
        );
    }
    let report = policy.dry_run_report();
    let of_candidate = |change: &&DryRunChange| change.candidate.is_some();
    let change = report.changes.iter().find(of_candidate).unwrap();
    assert_eq!(change.candidate.as_deref(), Some("8"));
    assert_eq!((change.rule.as_deref(), change.count), (None, 2));
    assert_eq!(report.tried, 8);
}

/// Cannot be asked.
#[derive(Debug)]
struct Explosive(AtomicUsize);

impl ActiveGrants for Explosive {
    fn active(&self, _: &Principal, _: &str, _: Timestamp) -> Result<Option<ActiveGrant>, Denial> {
        self.0.fetch_add(1, Ordering::SeqCst);
        panic!("on purpose")
    }

    fn scopes(&self, _: &Principal, _: Timestamp) -> Result<Vec<ActiveGrant>, Denial> {
        panic!("on purpose")
    }
}

#[test]
fn a_trial_that_panics_is_unknown_and_the_request_goes_on() {
    let grants = Arc::new(Explosive(AtomicUsize::new(0)));
    let options = PolicyOptions::new().grants(grants.clone());
    let text = format!(
        "{ENFORCED}\n[[rule]]\nid = \"granted\"\neffect = \"allow\"\ndry_run = true\n\
         caller = {{ kind = \"user\" }}\nmethods = [\"POST\"]\npath = \"/refunds\"\n\
         grant = \"refunds\"\n"
    );
    let policy = load(&text, &options);
    assert_eq!(
        ask(&policy, "ada", "POST", "/refunds"),
        ("nothing".to_owned(), None)
    );
    assert_eq!(grants.0.load(Ordering::SeqCst), 1);
    let report = policy.dry_run_report();
    assert_eq!((report.tried, report.unknown), (1, 1));
    assert!(report.changes.is_empty());
}

#[test]
fn no_more_rules_are_told_apart_than_there_is_room_for() {
    let tried = Tried::rules(Arc::clone(with_tried().engine()));
    for index in 0..1100 {
        for _ in 0..2 {
            let rule = Some(format!("rule {index}").into());
            tried.count(WouldHave::Denied, rule, Timestamp::from_secs(index));
        }
    }
    let report = DryRunReport::of([Arc::new(tried)].iter());
    assert_eq!((report.changes.len(), report.others), (1024, 2 * 76));
    assert!(report.changes.iter().all(|change| change.count == 2));
}

/// What decides later is compared when it has decided.
#[tokio::test]
async fn the_permit_of_a_layer_is_that_of_the_policy_in_force() {
    let policy = with_tried();
    let (mut parts, ()) = Request::get("/orders/secret")
        .body(())
        .unwrap()
        .into_parts();
    let mut cx = SecurityContext::open(&parts, &Settings::shared_default());
    let ada = Principal::assertion(PrincipalKind::User, "ada", AuthMethod::Jwt);
    cx.set_principal(Arc::new(ada.finish()));
    cx.enter(Stage::Authenticate, "test").unwrap();
    let layer = AuthorizeLayer::new(policy);
    match layer.check(&mut parts, &mut cx) {
        Step::Now(result) => result.unwrap(),
        Step::Later(_) => panic!("it waits"),
    }
    let permit = cx.permit().unwrap();
    assert_eq!(
        (permit.rule(), permit.policy(), permit.version()),
        ("read", Some("shop"), Some("7"))
    );
    assert_eq!(cx.trail().dry_run(), Some("deny by no-secrets"));
}

#[cfg(feature = "cedar")]
mod cedar {
    use std::collections::BTreeMap;

    use bytes::Bytes;

    use super::*;
    use crate::{
        authorize::{AttributeQuestion, AttributeResult, AttributeSource},
        body::CollectedBody,
        store::BoxFuture,
    };

    const OPERATION: &str = r#"
[operations.charge]
method = "POST"
path = "/charge"
body = { amount = "integer" }
[[rule]]
id = "charge"
effect = "allow"
caller = { kind = "user" }
operation = "charge"
"#;

    #[test]
    fn a_body_is_not_read_for_what_is_only_tried() {
        let text = format!(
            "policy = \"pay\"\n{OPERATION}\n[[rule]]\nid = \"small\"\neffect = \"deny\"\n\
             dry_run = true\noperation = \"charge\"\nwhen = \"context.body.amount > 10\"\n"
        );
        let policy = load(&text, &PolicyOptions::new());
        for (body, note, unknown) in [
            (None, None, 1),
            (Some("{\"amount\": 9}"), None, 1),
            (Some("{\"amount\": 11}"), Some("deny by small"), 1),
        ] {
            let request = Request::post("/charge").header("content-type", "application/json");
            let (parts, ()) = request.body(()).unwrap().into_parts();
            let mut cx = SecurityContext::open(&parts, &Settings::shared_default());
            let ada = Principal::assertion(PrincipalKind::User, "ada", AuthMethod::Jwt);
            cx.set_principal(Arc::new(ada.finish()));
            assert!(policy.needs_body(&Access::new(&parts, &cx)).is_none());
            cx.show_body(body.map(|text| CollectedBody::new(Bytes::from(text), None)));
            let step = policy.decide(&Access::new(&parts, &cx));
            assert!(matches!(step, Step::Now(Ok(Verdict::Permit(_)))));
            assert_eq!(cx.trail().dry_run(), note);
            assert_eq!(policy.dry_run_report().unknown, unknown);
        }
    }

    #[derive(Debug, Default)]
    struct Counted(Arc<AtomicUsize>);

    impl AttributeSource for Counted {
        fn attributes(&self, _: AttributeQuestion) -> BoxFuture<'static, AttributeResult> {
            self.0.fetch_add(1, Ordering::SeqCst);
            Box::pin(async { Ok(BTreeMap::new()) })
        }
    }

    #[test]
    fn no_source_is_asked_for_what_is_only_tried() {
        let text = format!(
            "policy = \"pay\"\n[attributes.device]\nmanaged = \"boolean\"\n{OPERATION}\n[[rule]]\n\
             id = \"managed\"\neffect = \"deny\"\ndry_run = true\noperation = \"charge\"\n\
             when = \"!context.device.managed\"\n"
        );
        let asked = Arc::new(AtomicUsize::new(0));
        let options = PolicyOptions::new().attributes("device", Counted(Arc::clone(&asked)));
        let policy = load(&text, &options);
        assert_eq!(
            ask(&policy, "ada", "POST", "/charge"),
            ("permit by charge".to_owned(), None)
        );
        assert_eq!(asked.load(Ordering::SeqCst), 0);
        assert_eq!(policy.dry_run_report().unknown, 1);
    }
}
