use super::*;

fn peer() -> PeerIdentity {
    PeerIdentity::assertion([7; 32], Timestamp::MAX, PeerSource::Tls)
        .spiffe_id("spiffe://shop.example/ns/pay/sa/orders")
        .dns_names(["orders.pay"])
        .finish()
}

/// Everything that can be known is known.
fn full() -> Asking {
    let ada = ada()
        .roles(["clerk", "owner"])
        .scopes(["orders:read"])
        .tenant("acme")
        .session("s-1")
        .context_class("gold")
        .authenticated_at(Timestamp::from_secs(NOW.as_secs() - 600));
    request("POST", "/x/7")
        .header("host", "Pay.Shop.example:8443")
        .by(Some(ada.finish()))
        .over(peer())
        .from("10.1.2.3:4000")
}

/// As little as possible is known.
fn bare() -> Asking {
    request("POST", "/x/7").by(None)
}

const HOLD: &[&str] = &[
    "principal is User",
    "principal == User::\"https://id.shop.example#ada\"",
    "principal is User && principal.subject == \"ada\"",
    "principal has issuer && principal.issuer == \"https://id.shop.example\"",
    "principal has tenant && principal.tenant == \"acme\"",
    "principal has session && principal has acr && principal.acr == \"gold\"",
    "principal.roles.containsAll([\"clerk\", \"owner\"])",
    "principal.scopes.contains(\"orders:read\")",
    "principal.methods.contains(\"jwt\") && !principal.methods.contains(\"signature\")",
    "context has peer && context.peer has spiffe_id",
    "context has peer.spiffe_id && context.peer.spiffe_id like \"spiffe://shop.example/*\"",
    "context has peer.trust_domain && context.peer.trust_domain == \"shop.example\"",
    "context has peer.namespace && context.peer.namespace == \"pay\"",
    "context has peer.service_account && context.peer.service_account == \"orders\"",
    "context has peer && context.peer.dns_names == [\"orders.pay\"] && !context.peer.forwarded",
    "context.request.method == \"POST\" && context.request.path == \"/x/7\"",
    "context.request has host && context.request.host == \"pay.shop.example\"",
    "context.request.params.id == \"7\"",
    "context.client has address && context.client.address.isInRange(ip(\"10.0.0.0/8\"))",
    "context.time.now >= datetime(\"2026-11-23T10:00:00Z\")",
    "context.time.now <= datetime(\"2026-11-23T10:00:00Z\")",
    "context.time.hour == 10 && context.time.minute == 0",
    "context.time.minute_of_day == 600",
    "context.time.weekday == \"monday\" && context.time.date == \"2026-11-23\"",
    "context has mfa_age && context.mfa_age == 600",
    "if principal.roles.contains(\"owner\") then true else false",
    // A comment ends with its line.
    "context.time.hour == 10 // and nothing else",
];

#[test]
fn each_fact_of_the_vocabulary_is_the_request_s() {
    for text in HOLD {
        let policy = policy(&when(text));
        assert_eq!(full().answer(&policy).as_deref(), Ok("when"), "{text}");
        let not = super::super::super::tests::policy(&when(&format!("!(\n{text}\n)")));
        assert_eq!(full().answer(&not), Err(Code::PolicyDenied), "!({text})");
    }
}

#[test]
fn what_is_not_known_is_absent_and_nothing_fails_for_it() {
    for text in HOLD {
        let text = format!("!(\n{text}\n) || true");
        let policy = policy(&when(&text));
        assert_eq!(bare().answer(&policy).as_deref(), Ok("when"), "{text}");
    }
    for absent in [
        "context has peer",
        "context has mfa_age",
        "context.client has address",
        "context.request has host",
        "principal has subject",
        "principal.roles.contains(\"clerk\")",
        "principal is User",
    ] {
        let policy = policy(&when(&format!("!({absent})")));
        assert_eq!(bare().answer(&policy).as_deref(), Ok("when"), "{absent}");
    }
}

#[test]
fn two_issuers_never_make_one_caller() {
    let policy = policy(&when("principal == User::\"https://id.shop.example#ada\""));
    let by = |issuer: Option<&'static str>, subject: &'static str| {
        let who = Principal::assertion(PrincipalKind::User, subject, AuthMethod::Jwt);
        let who = match issuer {
            Some(issuer) => who.issuer(issuer),
            None => who,
        };
        request("GET", "/x/7")
            .by(Some(who.finish()))
            .answer(&policy)
    };
    assert_eq!(
        by(Some("https://id.shop.example"), "ada").as_deref(),
        Ok("when")
    );
    for (issuer, subject) in [
        (Some("https://evil.example"), "ada"),
        (None, "ada"),
        (None, "https://id.shop.example#ada"),
        (Some("https://id.shop.example#ada"), ""),
        (Some("https://id.shop.example#"), "ada"),
    ] {
        assert_eq!(
            by(issuer, subject),
            Err(Code::PolicyDenied),
            "{issuer:?} {subject}"
        );
    }
}

#[test]
fn a_condition_that_fails_denies_whatever_stands_behind_it() {
    let failing = "context.time.hour + 9223372036854775807 > 0";
    for (effect, code) in [("deny", Code::PolicyDenied), ("allow", Code::PolicyDenied)] {
        let toml = format!(
            "[[rule]]\nid = \"fails\"\neffect = \"{effect}\"\npath = \"/x/{{id}}\"\nwhen = '{failing}'\n\
             [[rule]]\nid = \"open\"\neffect = \"allow\"\npath = \"/x/{{id}}\"\nwhen = 'true || context.time.hour == 1'\n"
        );
        let policy = policy(&toml);
        let denial = request("GET", "/x/7").ask(&policy).unwrap_err();
        assert_eq!(
            (denial.code(), denial.rule()),
            (code, Some("fails")),
            "{effect}"
        );
        let detail = denial.private_detail().unwrap();
        assert!(detail.contains("a number became too large"), "{detail}");
    }
}

#[test]
fn denying_conditions_come_before_rules_that_allow_without_one() {
    let toml = "[[rule]]\nid = \"open\"\neffect = \"allow\"\npath = \"/x/{id}\"\n\
                [[rule]]\nid = \"night\"\neffect = \"deny\"\npath = \"/x/{id}\"\nwhen = 'context.time.hour < 6'\n";
    let policy = policy(toml);
    let at = |hour: u64| Timestamp::from_secs(NOW.as_secs() + hour * 3600);
    assert_eq!(
        request("GET", "/x/7").at(at(0)).answer(&policy).as_deref(),
        Ok("open")
    );
    assert_eq!(
        request("GET", "/x/7").at(at(15)).answer(&policy),
        Err(Code::PolicyDenied)
    );
}

#[test]
fn the_clock_on_the_wall_is_the_zone_s_when_it_is_changed() {
    let toml = |when: &str| format!("time_zone = \"Europe/Vienna\"\n{}", super::when(when));
    let shows = |secs: u64, hour: i64, minute: i64, date: &str| {
        let text = format!(
            "context.time.hour == {hour} && context.time.minute == {minute} && \
             context.time.minute_of_day == {} && context.time.date == \"{date}\"",
            hour * 60 + minute
        );
        let asked = request("GET", "/x/7").at(Timestamp::from_secs(secs));
        asked.answer(&policy(&toml(&text))).is_ok()
    };
    // 2026-03-29T01:00:00Z: 02:00 becomes 03:00.
    let spring = 1_774_746_000;
    assert!(shows(spring - 60, 1, 59, "2026-03-29"));
    assert!(shows(spring, 3, 0, "2026-03-29"));
    // 2026-10-25T01:00:00Z: 03:00 becomes 02:00, and is there a second time an hour later.
    let autumn = 1_792_890_000;
    assert!(shows(autumn - 60, 2, 59, "2026-10-25"));
    assert!(shows(autumn, 2, 0, "2026-10-25"));
    assert!(shows(autumn - 3600, 2, 0, "2026-10-25"));
    assert!(shows(autumn + 3600, 3, 0, "2026-10-25"));
    // Midnight in Vienna is not midnight in UTC.
    assert!(shows(autumn - 3 * 3600, 0, 0, "2026-10-25"));
}

#[test]
fn how_long_ago_a_caller_proved_itself_is_known_or_absent() {
    let policy = policy(&when("context has mfa_age && context.mfa_age <= 300"));
    let proved = |at: Option<u64>| {
        let who = match at {
            Some(at) => ada().authenticated_at(Timestamp::from_secs(at)),
            None => ada(),
        };
        request("GET", "/x/7")
            .by(Some(who.finish()))
            .answer(&policy)
    };
    let now = NOW.as_secs();
    assert_eq!(proved(Some(now)).as_deref(), Ok("when"));
    assert_eq!(proved(Some(now - 300)).as_deref(), Ok("when"));
    for refused in [
        None,
        Some(now - 301),
        Some(now + 1),
        Some(0),
        Some(u64::MAX),
    ] {
        assert_eq!(proved(refused), Err(Code::PolicyDenied), "{refused:?}");
    }
}

#[test]
fn what_reads_grants_ends_with_the_first_of_them() {
    let options =
        PolicyOptions::new().grants(std::sync::Arc::new(Holds(Ok(vec![("a", 600), ("b", 60)]))));
    let load = |when: &str| load(&super::when(when), "", &options).unwrap();
    let policy = load("context.grants.contains(\"a\")");
    let until = Some(NOW + Duration::from_secs(60));
    let judgement = request("GET", "/x/7").made().judgement(&policy);
    assert_eq!(permit(judgement), ("when".to_owned(), until));
    let policy = load("context.grants.contains(\"c\")");
    assert_eq!(
        request("GET", "/x/7").answer(&policy),
        Err(Code::PolicyDenied)
    );
    // Nobody in particular holds none.
    let policy = load("context.grants.isEmpty()");
    assert_eq!(bare().answer(&policy).as_deref(), Ok("when"));

    let down = PolicyOptions::new().grants(std::sync::Arc::new(Holds(Err(Code::StoreUnavailable))));
    let policy =
        super::super::super::tests::load(&when("context.grants.isEmpty()"), "", &down).unwrap();
    assert_eq!(
        request("GET", "/x/7").answer(&policy),
        Err(Code::StoreUnavailable)
    );
}

#[test]
fn a_host_that_nobody_can_read_does_not_slip_by_a_condition_that_denies_one() {
    let policy = policy(
        "[[rule]]\nid = \"open\"\neffect = \"allow\"\npath = \"/x\"\n\
         [[rule]]\nid = \"inside\"\neffect = \"deny\"\npath = \"/{rest..}\"\n\
         when = 'context.request has host && context.request.host == \"inside.example\"'\n",
    );
    let of = |hosts: &[&str]| {
        let asked = request("GET", "/x");
        let asked = hosts
            .iter()
            .fold(asked, |asked, host| asked.header("host", host));
        asked.answer(&policy)
    };
    assert_eq!(of(&["shop.example"]).as_deref(), Ok("open"));
    assert_eq!(of(&[]).as_deref(), Ok("open"));
    assert_eq!(of(&["Inside.example.:80"]), Err(Code::PolicyDenied));
    for unreadable in [
        &["inside.example", "inside.example"][..],
        &["inside.example/"],
        &[""],
    ] {
        assert_eq!(
            of(unreadable),
            Err(Code::RequestMalformed),
            "{unreadable:?}"
        );
    }
}

#[test]
fn a_segment_that_is_encoded_without_need_slips_by_no_condition() {
    const ANY: &str = "context.time.hour >= 0";
    const NONE: &str = "context.time.hour < 0";
    let rule = |effect: &str, when: &str| {
        format!(
            "[[rule]]\nid = \"{effect}\"\neffect = \"{effect}\"\npath = \"/users/{{id}}\"\nwhen = '{when}'\n"
        )
    };
    for (denied, allowed) in [
        ("context.request.params.id == \"@me\"", ANY),
        ("context.request.path == \"/users/@me\"", ANY),
        (NONE, "context.request.params.id != \"@me\""),
        (NONE, "context.request.path != \"/users/@me\""),
    ] {
        let policy = policy(&(rule("deny", denied) + &rule("allow", allowed)));
        for (path, passes) in [
            ("/users/@me", false),
            ("/users/%40me", false),
            ("/users/%40you", true),
            ("/users/caf%c3%a9", true),
        ] {
            let answer = request("GET", path).answer(&policy);
            assert_eq!(
                answer.is_ok(),
                passes,
                "{denied} {allowed} {path}: {answer:?}"
            );
        }
    }
    // And who is meant is who is compared.
    let own = policy(&rule(
        "allow",
        "principal is User && principal.subject == context.request.params.id",
    ));
    let who = Principal::assertion(PrincipalKind::User, "ada@shop.example", AuthMethod::Jwt);
    let who = Some(who.finish());
    for path in ["/users/ada@shop.example", "/users/ada%40shop.example"] {
        assert_eq!(
            request("GET", path).by(who.clone()).answer(&own).as_deref(),
            Ok("allow")
        );
    }
}
