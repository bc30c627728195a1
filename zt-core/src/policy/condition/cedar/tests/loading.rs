use super::*;

fn of(text: &str) -> String {
    wrong(&when(text), "", &PolicyOptions::new())
}

#[test]
fn refuses_conditions_that_say_nothing_or_read_what_may_not_be_there() {
    let cases = [
        ("context.request.pth == \"/a\"", "pth"),
        ("context.body.amount < 3", "body"),
        ("context.mfa_age < 300", "mfa_age"),
        ("context.peer.spiffe_id == \"a\"", "peer"),
        ("context.client.address.isLoopback()", "address"),
        ("principal.subject == \"ada\"", "subject"),
        ("principal has isuer && principal.isuer == \"x\"", ""),
        ("principal is Usr", "Usr"),
        ("principal.roles == \"clerk\"", ""),
        ("context.request.params.name == \"a\"", "name"),
        ("context.device.managed", "device"),
        ("context.time.hour < \"6\"", "expected Long"),
        ("1 == 1.5", ""),
        ("context.time.hour", "expected Bool"),
        ("ip(\"300.0.0.1\") == ip(\"10.0.0.1\")", ""),
        ("false", "impossible"),
        ("context == {}", "say which part of `context`"),
        ("action == Action::\"request\"", "whole Cedar policies"),
        ("resource == Route::\"rule\"", "whole Cedar policies"),
        (
            "principal == User::\"ada\" && User::\"ada\".roles.isEmpty()",
            "`principal` and `context` alone",
        ),
        (
            "(if true then principal else principal).roles.isEmpty()",
            "`principal` and `context` alone",
        ),
        ("principal == ?principal", ""),
        // What closes the braces of the policy around it.
        ("true } unless { false", ""),
        (
            "true }; permit(principal, action, resource) when { true",
            "",
        ),
        ("", ""),
        ("// nothing", ""),
        ("true /* */", ""),
        ("\"аdmin\" == context.request.method", ""),
    ];
    for (text, names) in cases {
        let wrong = of(text);
        assert!(wrong.contains(names), "{text}: {wrong}");
        assert!(wrong.starts_with("policy.toml:5:"), "{text}: {wrong}");
    }
}

#[test]
fn an_error_is_named_where_it_stands() {
    for (text, place) in [
        ("true && context.request.pth == \"a\"", ":5:19"),
        ("true\n  && context.request.pth == \"a\"", ":6:6"),
        ("true &&\n && false", ":6:2"),
    ] {
        let wrong = of(text);
        assert!(
            wrong.starts_with(&format!("policy.toml{place}: ")),
            "{wrong}"
        );
    }
}

#[test]
fn one_condition_of_several_rules_is_wrong_once() {
    let toml = "[[rule]]\nid = \"a\"\neffect = \"allow\"\npaths = [\"/a\", \"/b\"]\nmethods = [\"GET\", \"POST\"]\nwhen = 'context.nothing'\n";
    let wrong = wrong(toml, "", &PolicyOptions::new());
    assert_eq!(wrong.lines().count(), 1, "{wrong}");
}

#[test]
fn what_a_rule_says_of_its_caller_is_known_to_its_condition() {
    let rule = |caller: &str, when: &str| {
        format!(
            "[[rule]]\nid = \"a\"\neffect = \"allow\"\npath = \"/a\"\n{caller}\nwhen = '{when}'\n"
        )
    };
    let none = PolicyOptions::new();
    let subject = "principal.subject == \"ada\"";
    for caller in [
        "caller = { kind = \"user\" }",
        "caller = { kind = [\"user\", \"service\"] }",
        "caller = { subject = \"a*\" }",
        "caller = { roles = \"clerk\" }",
    ] {
        if let Err(errors) = load(
            &rule(caller, subject).replace("roles = \"clerk\"", "tenant = \"t\""),
            "",
            &none,
        ) {
            panic!("{caller}: {errors}");
        }
    }
    for caller in [
        "",
        "caller = { kind = \"anonymous\" }",
        "caller = { networks = [\"10.0.0.0/8\"] }",
    ] {
        let wrong = wrong(&rule(caller, subject), "", &none);
        assert!(wrong.contains("subject"), "{caller}: {wrong}");
    }
}

#[test]
fn refuses_whole_policies_that_cannot_be_answered_for() {
    let toml = "[operations.charge]\nmethod = \"POST\"\npath = \"/charge\"\nbody = { amount = \"integer\" }\n\
                groups = [\"payments\"]\n[cedar]\nfiles = [\"shop.cedar\"]\n\
                [[rule]]\nid = \"charge\"\neffect = \"allow\"\npath = \"/a\"\n";
    let cases = [
        (
            "permit(principal, action, resource);",
            "a policy without an id",
        ),
        (
            "@id(\"\") permit(principal, action, resource);",
            "a policy without an id",
        ),
        (
            "@id(\"charge\") permit(principal, action, resource);",
            "given twice",
        ),
        (
            "@id(\"a\") permit(principal, action, resource); @id(\"a\") forbid(principal, action, resource);",
            "given twice",
        ),
        (
            "@id(\"a\") permit(principal == ?principal, action, resource);",
            "templates",
        ),
        (
            "@id(\"a\") permit(principal, action == Action::\"chrge\", resource);",
            "chrge",
        ),
        (
            "@id(\"a\") permit(principal, action in Action::\"refunds\", resource);",
            "refunds",
        ),
        (
            "@id(\"a\") permit(principal == Robot::\"a\", action, resource);",
            "Robot",
        ),
        (
            "@id(\"a\") permit(principal, action, resource == Route::\"/chrge\");",
            "the path of no operation",
        ),
        (
            "@id(\"a\") forbid(principal, action == Action::\"other\", resource == Route::\"/charge\");",
            "no request of its action",
        ),
        (
            "@id(\"a\") forbid(principal, action in Action::\"payments\", resource in Route::\"other\");",
            "no request of its action",
        ),
        (
            "@id(\"a\\u{1b}[2J\") permit(principal, action, resource);",
            "no id of a policy",
        ),
        (
            "@id(\"a\") permit(principal, action, resource) when { context.body.amount < 3 };",
            "body",
        ),
        (
            "@id(\"a\") permit(principal, action == Action::\"charge\", resource) when { context.body.amount < \"3\" };",
            "",
        ),
        (
            "@id(\"a\") forbid(principal, action, resource) when { context.mfa_age > 3 };",
            "mfa_age",
        ),
        (
            "@id(\"a\") permit(principal, action, resource) when { false };",
            "impossible",
        ),
        (
            "@id(\"a\") permit(principal, action, resource) when { context.grants.contains(\"a\") };",
            "who holds grants",
        ),
        ("@id(\"a\") permit(principal, action, resource", ""),
    ];
    for (cedar, names) in cases {
        let wrong = wrong(toml, &format!("\n  {cedar}"), &PolicyOptions::new());
        assert!(wrong.contains(names), "{cedar}: {wrong}");
        // A template is not a policy that could be found in the text.
        let line = if names == "templates" { 1 } else { 2 };
        assert!(
            wrong.starts_with(&format!("shop.cedar:{line}:")),
            "{cedar}: {wrong}"
        );
    }
}

#[test]
fn refuses_operations_of_which_one_would_never_be_asked_about() {
    let both = |a: &str, b: &str| {
        format!(
            "[operations.a]\npath = \"/x/{{id}}\"\n{a}\n[operations.b]\npath = \"/x/{{name}}\"\n{b}\n\
             [cedar]\nfiles = [\"a.cedar\"]\n\
             [[rule]]\nid = \"r\"\neffect = \"allow\"\npath = \"/r\"\n"
        )
    };
    let cedar = "@id(\"frozen\") forbid(principal, action == Action::\"b\", resource);";
    let none = PolicyOptions::new();
    for (a, b) in [
        ("methods = [\"GET\", \"POST\"]", "method = \"POST\""),
        (
            "methods = [\"GET\", \"POST\"]",
            "methods = [\"POST\", \"PUT\"]",
        ),
        ("hosts = [\"*.example\"]", "hosts = [\"*.pay.example\"]"),
        (
            "hosts = [\"a.example\", \"b.example\"]",
            "hosts = [\"b.example\"]",
        ),
    ] {
        let wrong = wrong(&both(a, b), cedar, &none);
        assert!(wrong.contains("both `b` and `a`"), "{a} {b}: {wrong}");
    }
    for (a, b) in [
        ("method = \"GET\"", "method = \"POST\""),
        ("", "method = \"POST\""),
        ("hosts = [\"*.example\"]", "hosts = [\"pay.example\"]"),
        ("hosts = [\"a.example\"]", "hosts = [\"b.example\"]"),
    ] {
        if let Err(errors) = load(&both(a, b), cedar, &none) {
            panic!("{a} {b}: {errors}");
        }
    }
}

#[test]
fn refuses_attributes_without_a_source_and_zones_that_are_none() {
    let toml = format!(
        "[attributes.device]\nmanaged = \"boolean\"\n{}",
        when("context.device.managed")
    );
    let wrong_ = wrong(&toml, "", &PolicyOptions::new());
    assert!(
        wrong_.contains("nobody says where the attributes `device` come from"),
        "{wrong_}"
    );
    let wrong_ = wrong(
        &format!(
            "time_zone = \"Europe/Wien\"\n{}",
            when("context.time.hour < 3")
        ),
        "",
        &PolicyOptions::new(),
    );
    assert!(
        wrong_.contains("policy.toml:1:13: there is no time zone `Europe/Wien`"),
        "{wrong_}"
    );
}

#[test]
fn refuses_an_address_that_is_never_read_so() {
    for (text, place, hint) in [
        (
            "context.client has address\n  && context.client.address == ip(\"::ffff:1.2.3.4\")",
            ":6:",
            "write `ip(\"1.2.3.4\")`",
        ),
        (
            "context.client has address && context.client.address.isInRange(ip(\"::FFFF:10.0.0.0/104\"))",
            ":5:",
            "write `ip(\"10.0.0.0/8\")`",
        ),
    ] {
        let toml_wrong = of(text);
        assert!(
            toml_wrong.starts_with(&format!("policy.toml{place}")),
            "{toml_wrong}"
        );
        assert!(toml_wrong.contains(hint), "{toml_wrong}");
        let toml = "[cedar]\nfiles = [\"shop.cedar\"]\n\
                    [[rule]]\nid = \"r\"\neffect = \"allow\"\npath = \"/r\"\n";
        let cedar = format!(
            "@id(\"a\") forbid(principal, action, resource) when {{ {} }};",
            text.replace('\n', " ")
        );
        let wrong = wrong(toml, &cedar, &PolicyOptions::new());
        assert!(
            wrong.starts_with("shop.cedar:1:") && wrong.contains(hint),
            "{wrong}"
        );
    }
    for other in ["2001:db8::1", "::1", "::/0", "10.0.0.0/8"] {
        let text = format!(
            "context.client has address && context.client.address.isInRange(ip(\"{other}\"))"
        );
        policy(&when(&text));
    }
}

#[test]
fn refuses_more_whole_policies_than_can_be_validated_for_so_many_operations() {
    let operations: String = (0..700)
        .map(|at| format!("[operations.o{at}]\npath = \"/o{at}\"\n"))
        .collect();
    let policies: String = (0..3_000)
        .map(|at| format!("@id(\"c{at}\") permit(principal, action, resource);\n"))
        .collect();
    let toml = format!("{operations}[cedar]\nfiles = [\"shop.cedar\"]\n");
    let wrong = wrong(&toml, &policies, &PolicyOptions::new());
    let why = "3000 whole policies and 700 operations are too many together";
    assert!(
        wrong.contains(why) && wrong.contains("no more than 2000000"),
        "{wrong}"
    );
}
