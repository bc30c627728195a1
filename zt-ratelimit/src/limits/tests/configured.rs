use zt_core::identity::{AuthMethod, Principal, PrincipalKind};

use super::*;

fn read(text: &str) -> Result<Policy, String> {
    toml::from_str(text).map_err(|error| error.to_string())
}

fn key_level(limits: &str) -> Result<Policy, String> {
    read(&format!(
        "currency = \"USD\"\n[[level]]\nname = \"key\"\n{limits}\n"
    ))
}

#[test]
fn refuses_limits_that_cannot_be_and_says_which() {
    for (limits, limit, why) in [
        (
            r#"budgets = [{ name = "a", amount = "-5", window = "day" }]"#,
            "a",
            "amount",
        ),
        (
            r#"budgets = [{ name = "a", amount = "5 USD", window = "day" }]"#,
            "a",
            "currency",
        ),
        (
            r#"budgets = [{ name = "a", amount = "10000000", window = "day" }]"#,
            "a",
            "2^53",
        ),
        (
            r#"budgets = [{ name = "a", amount = "5", window = "year" }]"#,
            "a",
            "window",
        ),
        (
            r#"budgets = [{ name = "a", amount = "5", window = "day", zone = "Mars" }]"#,
            "a",
            "zone",
        ),
        (
            r#"budgets = [{ name = "a", amount = "5", window = "day", reset_hour = 24 }]"#,
            "a",
            "hour",
        ),
        (
            r#"budgets = [{ name = "a", amount = "5", window = "6h", zone = "UTC" }]"#,
            "a",
            "zone",
        ),
        (
            r#"budgets = [{ name = "a", amount = "5", window = "total", reset_hour = 6 }]"#,
            "a",
            "hour",
        ),
        (
            r#"budgets = [{ name = "a", amount = "5", window = "day", week_start = "monday" }]"#,
            "a",
            "week",
        ),
        (
            r#"budgets = [{ name = "a", amount = "5", window = "week", week_start = "sun" }]"#,
            "a",
            "week",
        ),
        (
            r#"budgets = [{ name = "a", amount = "5", window = "day", thresholds = [80, 50] }]"#,
            "a",
            "rise",
        ),
        (
            r#"rates = [{ name = "b", requests = 0, period_secs = 60 }]"#,
            "b",
            "no requests",
        ),
        (
            r#"rates = [{ name = "b", requests = 1, period_secs = 0 }]"#,
            "b",
            "period",
        ),
        (
            r#"rates = [{ name = "b", requests = 1, period_secs = 60, burst = 0 }]"#,
            "b",
            "burst",
        ),
        (
            r#"concurrency = [{ name = "c", permits = 0 }]"#,
            "c",
            "permits",
        ),
        (
            r#"concurrency = [{ name = "c", permits = 1 }, { name = "c", permits = 2 }]"#,
            "c",
            "twice",
        ),
    ] {
        let error = key_level(limits).unwrap_err();
        assert!(error.contains(&format!("the limit `{limit}`")), "{error}");
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn refuses_what_it_does_not_know() {
    let good = r#"rates = [{ name = "b", requests = 1, period_secs = 60 }]"#;
    assert!(key_level(good).is_ok());
    for limits in [
        r#"rates = [{ name = "b", requests = 1, period_secs = 60, per = "key" }]"#,
        r#"rate = [{ name = "b", requests = 1, period_secs = 60 }]"#,
        r#"budgets = [{ name = "a", amount = 5, window = "day" }]"#,
        r#"budgets = [{ name = "a", amount = "5" }]"#,
        "",
    ] {
        assert!(key_level(limits).is_err(), "{limits}");
    }
    for text in [
        "",
        "level = []",
        "currency = \"DOLLAR\"\n[[level]]\nname = \"key\"\nrates = [{ name = \"b\", requests = 1, period_secs = 60 }]",
        "[[level]]\nname = \"key\"\nbudgets = [{ name = \"a\", amount = \"5\", window = \"day\" }]",
        "[[level]]\nname = \"key\"\nconcurrency = [{ name = \"c\", permits = 1 }]\n[[tier]]\nname = \"t\"\nlevel = [{ name = \"team\" }]",
        "[[level]]\nname = \"key\"\nconcurrency = [{ name = \"c\", permits = 1 }]\n[[tier]]\nname = \"t\"\nlevel = []\nkinds = [\"robot\"]",
        "[[level]]\nname = \"key\"\nconcurrency = [{ name = \"c\", permits = 1 }]\n[[tier]]\nname = \"default\"\nlevel = []",
        "[[level]]\nname = \"key\"\nconcurrency = [{ name = \"c\", permits = 1 }]\n[[level]]\nname = \"key\"",
    ] {
        assert!(read(text).is_err(), "{text}");
    }
}

#[test]
fn every_setting_is_taken() {
    let policy = key_level(
        r#"
        budgets = [
            { name = "week", amount = "5.5", window = "week", week_start = "sunday", zone = "Asia/Tokyo", reset_hour = 9, thresholds = [10] },
            { name = "rolling", amount = "1", window = "90s", shadow = true },
            { name = "prepaid", amount = "100", window = "total", thresholds = [] },
        ]
        rates = [{ name = "rate", requests = 60, period_secs = 60, burst = 5 }]
        concurrency = [{ name = "parallel", permits = 3 }]
        "#,
    )
    .unwrap();
    let window = Window::week("sunday").unwrap().zone("Asia/Tokyo").unwrap();
    let week = Limit::budget("week", cost("5.5 USD"), window.reset_hour(9).unwrap())
        .unwrap()
        .thresholds(&[10])
        .unwrap();
    let prepaid = budget("prepaid", "100 USD", "total")
        .thresholds(&[])
        .unwrap();
    let rate = Limit::rate("rate", 60, MINUTE).unwrap().burst(5).unwrap();
    let expected = [
        week,
        budget("rolling", "1 USD", "90s").shadow(),
        prepaid,
        rate,
        Limit::concurrency("parallel", 3).unwrap(),
    ];
    let tier = policy.find(None).unwrap();
    assert!(tier.limits().map(|(limit, _)| &**limit).eq(&expected));
}

#[test]
fn json_is_the_same() {
    let policy: Policy = serde_json::from_str(
        r#"{"currency": "EUR", "level": [
            {"name": "key", "budgets": [{"name": "a", "amount": "5", "window": "day"}]}
        ]}"#,
    )
    .unwrap();
    assert_eq!(policy.currency(), Some(crate::cost::Currency::EUR));
}

#[test]
fn a_caller_belongs_to_the_first_tier_that_matches() {
    let level = r#"level = [{ name = "key", concurrency = [{ name = "c", permits = 9 }] }]"#;
    let policy = read(&format!(
        r#"
        level = [{{ name = "key", concurrency = [{{ name = "c", permits = 1 }}] }}]
        [[tier]]
        name = "gold-service"
        roles = ["gold", "platinum"]
        kinds = ["service"]
        {level}
        [[tier]]
        name = "gold"
        roles = ["gold"]
        {level}
        [[tier]]
        name = "acme"
        tenants = ["acme"]
        {level}
        [[tier]]
        name = "plan"
        claims = {{ plan = "large", region = "eu" }}
        {level}
        [[tier]]
        name = "by-name"
        {level}
        "#
    ))
    .unwrap();
    let who = |kind| Principal::assertion(kind, "x", AuthMethod::Jwt);
    let (user, service) = (PrincipalKind::User, PrincipalKind::Service);
    for (principal, tier) in [
        (Principal::anonymous(), "default"),
        (who(user).finish(), "default"),
        (who(user).roles(["gold"]).finish(), "gold"),
        (who(user).roles(["platinum"]).finish(), "default"),
        (who(service).roles(["platinum"]).finish(), "gold-service"),
        (who(service).finish(), "default"),
        (who(user).tenant("acme").finish(), "acme"),
        (who(user).claims(r#"{"plan": "large"}"#).finish(), "default"),
        (
            who(user)
                .claims(r#"{"plan": "large", "region": ["us", "eu"]}"#)
                .finish(),
            "plan",
        ),
        (
            who(user)
                .claims(r#"{"plan": "large", "region": "europe"}"#)
                .finish(),
            "default",
        ),
        (who(user).claims("not json").finish(), "default"),
        (who(user).claims("[1]").finish(), "default"),
    ] {
        assert_eq!(&**policy.tier_of(&principal).name(), tier, "{principal:?}");
    }
    assert!(policy.find(Some("by-name")).unwrap().members().is_none());
}
