use super::*;

const TOML: &str = r#"
[operations.charge]
method = "POST"
path = "/charge"
hosts = ["pay.shop.example"]
body = { amount = "integer" }
groups = ["payments"]

[operations.refund]
method = "POST"
path = "/refunds/{id}"
groups = ["payments"]

[operations.read]
methods = ["GET"]
path = "/{rest..}"

[cedar]
files = ["shop.cedar"]

[[rule]]
id = "open"
effect = "allow"
path = "/open"
"#;

const CEDAR: &str = r#"
@id("small")
permit(principal, action == Action::"charge", resource)
when { context.body.amount < 10000 };

@id("clerks")
permit(principal is User, action in [Action::"refund", Action::"read"], resource)
when { principal.roles.contains("clerk") };

@id("route")
permit(principal, action, resource == Route::"/refunds/{id}")
when { context has request.params.id && context.request.params.id == "42" };

@id("tainted")
forbid(principal, action in Action::"payments", resource)
when { principal.roles.contains("tainted") }
unless { principal.roles.contains("cleared") };

@id("nights")
forbid(principal, action, resource)
when { context.time.hour < 6 };
"#;

fn shop() -> crate::policy::CompiledPolicy {
    load(TOML, CEDAR, &PolicyOptions::new()).unwrap_or_else(|errors| panic!("{errors}"))
}

fn with_roles(asked: Asking, roles: &[&'static str]) -> Asking {
    asked.by(Some(ada().roles(roles.iter().copied()).finish()))
}

fn charge(amount: i64) -> Asking {
    request("POST", "/charge")
        .header("host", "pay.shop.example")
        .json(format!("{{\"amount\":{amount}}}"))
}

fn elsewhere(method: &str, path: &str) -> Asking {
    request(method, path).header("host", "shop.example")
}

#[test]
fn whole_policies_permit_and_forbid_and_are_named() {
    let policy = shop();
    assert_eq!(charge(9999).answer(&policy).as_deref(), Ok("small"));
    assert_eq!(charge(10000).answer(&policy), Err(Code::PolicyDenied));
    let refund = |roles| with_roles(elsewhere("POST", "/refunds/7"), roles).ask(&policy);
    assert_eq!(refund(&["clerk"]).unwrap(), "clerks");
    assert_eq!(refund(&["clerk", "tainted", "cleared"]).unwrap(), "clerks");
    let denial = refund(&["clerk", "tainted"]).unwrap_err();
    assert_eq!(denial.rule(), Some("tainted"));
    assert!(refund(&[]).is_err());
    assert_eq!(
        elsewhere("POST", "/refunds/42").answer(&policy).as_deref(),
        Ok("route")
    );
    let read = |method| with_roles(elsewhere(method, "/refunds/7"), &["clerk"]).answer(&policy);
    assert_eq!(read("GET").as_deref(), Ok("clerks"));
    assert_eq!(read("HEAD").as_deref(), Ok("clerks"));
    assert_eq!(read("DELETE"), Err(Code::PolicyDenied));
    // Not the operation's host, so not the operation, and a body is not looked at.
    let other = elsewhere("POST", "/charge").json("{\"amount\":1}");
    assert_eq!(other.answer(&policy), Err(Code::PolicyDenied));
    // No host at all could be any.
    assert_eq!(
        request("POST", "/charge").answer(&policy),
        Err(Code::RequestMalformed)
    );
}

#[test]
fn a_forbid_comes_before_rules_that_allow_also_where_a_request_is_no_operation() {
    let policy = shop();
    let night = Timestamp::from_secs(NOW.as_secs() + 17 * 3600);
    let open = |now| elsewhere("POST", "/open").at(now).ask(&policy);
    assert_eq!(open(NOW).unwrap(), "open");
    assert_eq!(open(night).unwrap_err().rule(), Some("nights"));
}

#[test]
fn one_that_fails_denies_whatever_others_say() {
    for (effect, rule) in [("forbid", "fails"), ("permit", "fails")] {
        let cedar = format!(
            "@id(\"fine\") permit(principal, action == Action::\"refund\", resource);\n\
             @id(\"fails\") {effect}(principal, action == Action::\"refund\", resource)\n\
             when {{ context.time.hour + 9223372036854775807 > 0 }};"
        );
        let policy = load(TOML, &cedar, &PolicyOptions::new()).unwrap();
        let denial = elsewhere("POST", "/refunds/7").ask(&policy).unwrap_err();
        assert_eq!(
            (denial.code(), denial.rule()),
            (Code::PolicyDenied, Some(rule)),
            "{effect}"
        );
        // What it does not apply to it does not touch.
        assert_eq!(
            elsewhere("POST", "/open").answer(&policy).as_deref(),
            Ok("open")
        );
    }
}

#[test]
fn what_an_error_says_holds_nothing_of_the_request() {
    let toml = TOML.replace(
        "amount = \"integer\"",
        "amount = \"integer\", from = \"text\"",
    );
    let cedar = "@id(\"a\") permit(principal, action == Action::\"charge\", resource) when { ip(context.body.from).isLoopback() };";
    let Ok(policy) = load(&toml, cedar, &PolicyOptions::new()) else {
        return; // Refused when it is loaded, which is better still.
    };
    let asked = request("POST", "/charge").header("host", "pay.shop.example");
    let denial = asked
        .json(r#"{"amount":1,"from":"s3cret"}"#)
        .ask(&policy)
        .unwrap_err();
    assert!(!format!("{denial:?} {:?}", denial.private_detail()).contains("s3cret"));
}

#[test]
fn a_body_is_needed_where_a_policy_of_the_operation_reads_it() {
    let policy = shop();
    assert!(charge(1).made().needs_body(&policy));
    for asked in [
        elsewhere("POST", "/refunds/7"),
        elsewhere("GET", "/charge"),
        elsewhere("POST", "/x"),
    ] {
        assert!(!asked.made().needs_body(&policy));
    }
    // A rule that allows leaves nothing to permit, and no forbid reads it.
    let toml =
        format!("{TOML}\n[[rule]]\nid = \"all\"\neffect = \"allow\"\noperation = \"charge\"\n");
    let policy = load(&toml, CEDAR, &PolicyOptions::new()).unwrap();
    assert!(!charge(1).made().needs_body(&policy));
    assert_eq!(charge(99999).answer(&policy).as_deref(), Ok("all"));
}
