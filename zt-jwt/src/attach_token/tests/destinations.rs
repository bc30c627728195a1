use http::{HeaderMap, Uri};

use super::*;

fn judge(to: &Destinations, uri: &str, hosts: &[&str]) -> Result<(), DestinationError> {
    let mut headers = HeaderMap::new();
    for host in hosts {
        headers.append("host", host.parse().unwrap());
    }
    to.judge(&uri.parse::<Uri>().unwrap(), &headers)
}

#[test]
fn a_token_goes_to_its_destinations_only() {
    use DestinationError::{Elsewhere, PlainHttp, Unclear};
    let to = Destinations::only([
        "https://orders.internal",
        "payments.internal:8443",
        "http://127.0.0.1:3000",
        "https://[2001:db8::1]/",
    ])
    .unwrap()
    .insecure_plain_http(["http://mesh.internal"])
    .unwrap();
    for (uri, expected) in [
        ("https://orders.internal/7?x=1", Ok(())),
        ("https://orders.internal:443/", Ok(())),
        ("HTTPS://ORDERS.Internal/", Ok(())),
        ("https://payments.internal:8443/", Ok(())),
        ("http://127.0.0.1:3000/", Ok(())),
        ("https://[2001:db8::1]/", Ok(())),
        ("http://mesh.internal/", Ok(())),
        ("http://mesh.internal:80/", Ok(())),
        ("https://orders.internal:8443/", Err(Elsewhere)),
        ("https://payments.internal/", Err(Elsewhere)),
        ("https://payments.internal:443/", Err(Elsewhere)),
        ("https://orders.internal.evil.example/", Err(Elsewhere)),
        ("https://evil-orders.internal/", Err(Elsewhere)),
        ("https://internal/", Err(Elsewhere)),
        ("https://orders.internal./", Err(Elsewhere)),
        ("https://evil.example/orders.internal", Err(Elsewhere)),
        (
            "https://evil.example/?https://orders.internal",
            Err(Elsewhere),
        ),
        ("https://127.0.0.1:3000/", Err(Elsewhere)),
        ("http://127.0.0.1:3001/", Err(Elsewhere)),
        ("http://localhost:3000/", Err(Elsewhere)),
        ("https://mesh.internal/", Err(Elsewhere)),
        ("http://orders.internal/", Err(Elsewhere)),
        ("http://orders.internal:443/", Err(PlainHttp)),
        ("ws://orders.internal:443/", Err(Elsewhere)),
        ("https://orders.internal@evil.example/", Err(Unclear)),
        ("https://user:password@orders.internal/", Err(Unclear)),
        ("https://orders.internal:99999/", Err(Unclear)),
        ("https://orders.internal:/", Err(Unclear)),
        ("/7", Err(Unclear)),
        ("*", Err(Unclear)),
        ("orders.internal:443", Err(Unclear)),
    ] {
        assert_eq!(judge(&to, uri, &[]), expected, "{uri}");
    }
}

#[test]
fn a_host_header_is_a_destination_as_well() {
    use DestinationError::{Elsewhere, Unclear};
    let to = Destinations::only(["https://orders.internal", "https://10.0.0.7"]).unwrap();
    for (hosts, expected) in [
        (&["orders.internal"][..], Ok(())),
        (&["Orders.Internal:443"], Ok(())),
        (&["evil.example"], Err(Elsewhere)),
        (&["orders.internal", "evil.example"], Err(Elsewhere)),
        (&["orders.internal:80"], Err(Elsewhere)),
        (&[""], Err(Unclear)),
        (&["orders.internal:+443"], Err(Unclear)),
        (&["orders.internal@evil.example"], Err(Unclear)),
        (&["orders.internal:443:80"], Err(Unclear)),
        (&["[::1"], Err(Unclear)),
        (&["[::1]x"], Err(Unclear)),
        (&["[orders.internal]"], Err(Unclear)),
    ] {
        assert_eq!(
            judge(&to, "https://10.0.0.7/", hosts),
            expected,
            "{hosts:?}"
        );
    }
}

#[test]
fn a_uri_without_host_goes_where_the_client_below_goes() {
    let to = Destinations::only(["https://orders.internal"]).unwrap();
    assert_eq!(judge(&to, "/7", &[]), Err(DestinationError::Unclear));
    assert!(matches!(
        to.clone().relative_to("https://evil.example"),
        Err(ConfigError::NotADestination(_))
    ));
    let to = to.relative_to("https://orders.internal").unwrap();
    assert_eq!(judge(&to, "/7", &[]), Ok(()));
    assert_eq!(judge(&to, "/7", &["orders.internal"]), Ok(()));
    assert_eq!(
        judge(&to, "/7", &["evil.example"]),
        Err(DestinationError::Elsewhere)
    );
    assert_eq!(
        judge(&to, "https://evil.example/7", &[]),
        Err(DestinationError::Elsewhere)
    );
    assert_eq!(
        judge(&to, "orders.internal:443", &[]),
        Err(DestinationError::Unclear)
    );
}

#[test]
fn any_host_still_means_https_or_this_machine() {
    let to = Destinations::insecure_any_host();
    for (uri, expected) in [
        ("https://anywhere.example:8443/", Ok(())),
        ("http://localhost:3000/", Ok(())),
        ("http://127.8.9.1/", Ok(())),
        ("http://[::1]:3000/", Ok(())),
        ("http://anywhere.example/", Err(DestinationError::PlainHttp)),
        (
            "http://localhost.example/",
            Err(DestinationError::PlainHttp),
        ),
        ("http://10.0.0.7/", Err(DestinationError::PlainHttp)),
    ] {
        assert_eq!(judge(&to, uri, &[]), expected, "{uri}");
    }
}

#[test]
fn what_is_no_origin_is_refused() {
    for bad in [
        "",
        "https://",
        "/",
        "*",
        "https://*",
        "https://*.internal",
        "https://a b",
        "ftp://a",
        "https://a/path",
        "https://a?x",
        "https://user@a",
        "https://a:",
        "https://a:0x1",
        "https://a:65536",
        "https://[::1",
        "::1",
        "https://[a]",
        "a://b://c",
        "https://ä.example",
    ] {
        let built = Destinations::only([bad]);
        assert!(matches!(built, Err(ConfigError::Origin(_))), "{bad}");
    }
    let plain = Destinations::only(["http://orders.internal"]);
    assert!(matches!(plain, Err(ConfigError::PlainHttp(_))));
    let nowhere = Destinations::only([""; 0]).unwrap();
    assert!(nowhere.clone().insecure_plain_http(["https://a"]).is_err());
    let layer = AttachTokenLayer::new(Issuer::new(Mode::Down), nowhere);
    assert!(matches!(layer, Err(ConfigError::NoDestination)));
    for bad in [
        "{}",
        r#"{"only": []}"#,
        r#"{"only": ["http://orders.internal"]}"#,
        r#"{"only": ["a"], "any": true}"#,
        r#"{"only": ["a"], "relative_to": "b"}"#,
    ] {
        assert!(serde_json::from_str::<Destinations>(bad).is_err(), "{bad}");
    }
    let good = r#"{"insecure_plain_http": ["http://a"], "relative_to": "http://a"}"#;
    serde_json::from_str::<Destinations>(good).unwrap();
}
