use crate::headers::{Allowlist, Feature, PermissionsError, PermissionsPolicy, presets::DENY_ALL};

#[test]
fn what_is_no_feature_is_refused() {
    for name in [
        "",
        "Camera",
        "camera ",
        "a=b",
        "a,b",
        "1a",
        "caf\u{e9}",
        "*",
        "a_b",
    ] {
        assert!(
            matches!(Feature::custom(name), Err(PermissionsError::Feature(_))),
            "{name}"
        );
    }
    assert_eq!(Feature::custom("camera"), Ok(Feature::Camera));
    assert_eq!(Feature::custom("sync-xhr").unwrap().as_str(), "sync-xhr");
}

#[test]
fn what_is_no_origin_is_refused() {
    for origin in [
        "",
        "self",
        "a.example",
        "https://",
        "https://a.example/",
        "https://a.example/path",
        "https://a.example\"",
        "https://a.example https://b.example",
        "https://a.example:x",
        "https://a.example:70000",
        "https://*",
        "https://a.*.example",
        "https://user@a.example",
        "ftp://a.example",
    ] {
        assert!(
            matches!(
                Allowlist::NONE.and(origin),
                Err(PermissionsError::Origin(_))
            ),
            "{origin}"
        );
    }
    for origin in [
        "https://a.example",
        "http://localhost:3000",
        "https://*.a.example:8443",
    ] {
        assert!(Allowlist::NONE.and(origin).is_ok(), "{origin}");
    }
    assert_eq!(
        Allowlist::ANY.and("https://a.example"),
        Err(PermissionsError::NotAlone("*"))
    );
}

#[test]
fn a_feature_that_is_named_twice_is_refused() {
    let policy = PermissionsPolicy::builder()
        .allow(Feature::Camera, Allowlist::NONE)
        .allow(Feature::custom("camera").unwrap(), Allowlist::ANY)
        .build();
    assert_eq!(
        policy,
        Err(PermissionsError::Duplicate("camera".to_owned()))
    );
    assert_eq!(
        PermissionsPolicy::builder().build(),
        Err(PermissionsError::Empty)
    );
}

#[test]
fn policies_are_dictionaries() {
    let origin = "https://a.example";
    for (allowlist, expected) in [
        (Allowlist::NONE, "usb=()"),
        (Allowlist::SELF, "usb=(self)"),
        (Allowlist::ANY, "usb=*"),
        (
            Allowlist::NONE.and(origin).unwrap(),
            "usb=(\"https://a.example\")",
        ),
        (
            Allowlist::SELF
                .and(origin)
                .unwrap()
                .and("https://b.example")
                .unwrap(),
            "usb=(self \"https://a.example\" \"https://b.example\")",
        ),
    ] {
        let policy = PermissionsPolicy::builder()
            .allow(Feature::Usb, allowlist)
            .build()
            .unwrap();
        assert_eq!(policy.header_value(), expected);
    }
}

#[test]
fn the_presets_deny_every_feature() {
    let policy = PermissionsPolicy::builder().deny_others().build().unwrap();
    assert_eq!(policy.header_value(), DENY_ALL);

    let policy = PermissionsPolicy::builder()
        .allow(Feature::Camera, Allowlist::SELF)
        .deny_others()
        .build()
        .unwrap();
    let value = policy.header_value().to_str().unwrap();
    assert!(value.starts_with("camera=(self), accelerometer=()"));
    assert_eq!(value.matches("camera=").count(), 1);
    assert_eq!(value.matches("=()").count(), Feature::ALL.len() - 1);
}
