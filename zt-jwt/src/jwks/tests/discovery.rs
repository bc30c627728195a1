//! Metadata that names where the keys are.

use super::{
    super::HttpKeys,
    server::{Server, status},
    *,
};
use crate::http::HttpError;

const OPENID: &str = "/.well-known/openid-configuration";
const OAUTH: &str = "/.well-known/oauth-authorization-server";

fn metadata(issuer: &str, jwks_uri: &str) -> String {
    format!(r#"{{"issuer":"{issuer}","scopes_supported":["openid"],"jwks_uri":"{jwks_uri}"}}"#)
}

async fn fetch(source: &HttpKeys, clock: &ManualClock) -> Result<Fetched, FetchError> {
    source.fetch(FetchRequest::new(clock.clone())).await
}

#[tokio::test]
async fn metadata_stands_where_both_standards_put_it() {
    for (path, openid, oauth) in [
        ("", OPENID.to_owned(), OAUTH.to_owned()),
        ("/", OPENID.to_owned(), OAUTH.to_owned()),
        ("/a", format!("/a{OPENID}"), format!("{OAUTH}/a")),
        ("/a/", format!("/a{OPENID}"), format!("{OAUTH}/a")),
        (
            "/a/b%20c",
            format!("/a/b%20c{OPENID}"),
            format!("{OAUTH}/a/b%20c"),
        ),
    ] {
        let server = Server::start().await;
        let clock = ManualClock::default();
        let issuer = server.url(path);
        let text = metadata(&issuer, &server.url("/keys"));
        server.ok("/keys", "", &set([jwk("a")]));

        server.ok(&openid, "", &text);
        let source = HttpKeys::oidc(&issuer, http()).unwrap();
        fetch(&source, &clock).await.unwrap();
        assert_eq!(server.count(), 2, "{path}");

        server.at(&openid, status("404 Not Found", "", ""));
        server.ok(&oauth, "", &text);
        let source = HttpKeys::oidc(&issuer, http()).unwrap();
        fetch(&source, &clock).await.unwrap();
        let seen = [&*openid, &*oauth, "/keys"].map(|path| server.seen(path).len());
        assert_eq!(seen, [2, 1, 2], "{path}");
        assert_eq!(server.count(), 5, "{path}");
    }
}

#[tokio::test]
async fn only_a_metadata_document_that_is_not_there_is_looked_for_elsewhere() {
    for code in ["500 Oh", "403 Forbidden", "301 Moved", "204 No Content"] {
        let server = Server::start().await;
        let issuer = server.url("");
        server.at(OPENID, status(code, "location: /elsewhere\r\n", ""));
        server.ok(OAUTH, "", &metadata(&issuer, &server.url("/keys")));
        let source = HttpKeys::oidc(&issuer, http()).unwrap();
        fetch(&source, &ManualClock::default()).await.unwrap_err();
        assert_eq!(server.count(), 1, "{code}");
    }
    let server = Server::start().await;
    let source = HttpKeys::oidc(&server.url(""), http()).unwrap();
    let error = fetch(&source, &ManualClock::default()).await.unwrap_err();
    assert!(matches!(
        error,
        FetchError::Http(HttpError::Status(http::StatusCode::NOT_FOUND))
    ));
    assert_eq!(server.count(), 2);
}

#[tokio::test]
async fn refuses_the_metadata_of_another_issuer() {
    let server = Server::start().await;
    let issuer = server.url("/a");
    let source = HttpKeys::oidc(&issuer, http()).unwrap();
    let keys = server.url("/keys");
    server.ok("/keys", "", &set([jwk("a")]));
    for other in [
        server.url("/a/"),
        server.url("/A"),
        server.url(""),
        server.url("/a").replace("http", "HTTP"),
        server.url("/b"),
        String::new(),
        "x".repeat(10_000),
    ] {
        server.ok(&format!("/a{OPENID}"), "", &metadata(&other, &keys));
        let error = fetch(&source, &ManualClock::default()).await.unwrap_err();
        let FetchError::OtherIssuer { found } = &error else {
            panic!("{other}: {error}")
        };
        assert!(other.starts_with(&**found) && found.len() <= 256);
    }
    assert_eq!(server.seen("/keys").len(), 0);
}

#[tokio::test]
async fn refuses_metadata_that_is_not_strict() {
    let server = Server::start().await;
    let issuer = server.url("");
    let source = HttpKeys::oidc(&issuer, http()).unwrap();
    let keys = server.url("/keys");
    server.ok("/keys", "", &set([jwk("a")]));
    let good = metadata(&issuer, &keys);
    for bad in [
        String::new(),
        "<html></html>".to_owned(),
        format!("[{good}]"),
        format!("{good}{good}"),
        format!(r#"{{"issuer":"{issuer}"}}"#),
        format!(r#"{{"jwks_uri":"{keys}"}}"#),
        format!(r#"{{"issuer":["{issuer}"],"jwks_uri":"{keys}"}}"#),
        format!(r#"{{"issuer":"{issuer}","jwks_uri":null}}"#),
        good.replace('{', r#"{"issuer":"https://evil.example","#),
        good.replace('{', r#"{"\u006awks_uri":"https://evil.example","#),
        good.replace('{', r#"{"x":{"y":1,"y":2},"#),
    ] {
        server.ok(OPENID, "", &bad);
        let error = fetch(&source, &ManualClock::default()).await.unwrap_err();
        assert!(
            matches!(error, FetchError::Http(HttpError::Unusable(_))),
            "{bad}: {error}"
        );
    }
    assert_eq!(server.seen("/keys").len(), 0);
    server.ok(OPENID, "", &good);
    fetch(&source, &ManualClock::default()).await.unwrap();
}

#[tokio::test]
async fn refuses_a_place_of_keys_that_may_not_be_asked() {
    let server = Server::start().await;
    let issuer = server.url("");
    let source = HttpKeys::oidc(&issuer, http()).unwrap();
    for bad in [
        "http://keys.example/",
        "https://user:password@keys.example/",
        "https://keys.example/#1",
        "/keys",
        "file:///etc/passwd",
        "ftp://localhost/keys",
        "",
    ] {
        server.ok(OPENID, "", &metadata(&issuer, bad));
        let error = fetch(&source, &ManualClock::default()).await.unwrap_err();
        assert!(
            matches!(error, FetchError::Http(HttpError::Unusable(_))),
            "{bad}: {error}"
        );
    }
}

/// An issuer out there does not get to name what listens here.
#[tokio::test]
async fn refuses_plain_http_from_an_issuer_with_https() {
    let server = Server::start().await;
    server.ok("/keys", "", &set([jwk("a")]));
    let keys = server.url("/keys");
    let issuer = "https://issuer.example";
    let client = http();
    let service = tower::service_fn(move |request: http::Request<Full<Bytes>>| {
        let (client, text) = (client.clone(), metadata(issuer, &keys));
        async move {
            if request.uri().host() == Some("issuer.example") {
                return Ok(http::Response::new(Full::new(Bytes::from(text))));
            }
            let clock = ManualClock::default();
            let sent = client.send(request, 1 << 20, SECOND, &clock);
            sent.await
                .map(|answer| http::Response::new(Full::new(answer.body)))
        }
    });
    let source = HttpKeys::oidc(issuer, HttpService::new(service)).unwrap();
    let error = fetch(&source, &ManualClock::default()).await.unwrap_err();
    assert!(error.to_string().contains("not https"), "{error}");
    assert_eq!(server.count(), 0);
}

#[test]
fn refuses_an_issuer_that_cannot_have_metadata() {
    for bad in [
        "http://issuer.example",
        "https://issuer.example?tenant=s3cret",
        "https://issuer.example/#a",
        "https://u:s3cret@issuer.example/",
        "issuer.example",
        "",
    ] {
        let error = HttpKeys::oidc(bad, http()).unwrap_err();
        assert!(!error.to_string().contains("s3cret"), "{error}");
    }
    for good in ["https://issuer.example", "https://issuer.example/a/"] {
        let source = HttpKeys::oidc(good, http()).unwrap();
        assert!(format!("{source:?}").contains(good));
    }
}

#[tokio::test]
async fn metadata_is_read_again_after_an_hour_and_after_a_failure() {
    let server = Server::start().await;
    let clock = ManualClock::default();
    let issuer = server.url("");
    server.ok(OPENID, "", &metadata(&issuer, &server.url("/keys")));
    server.ok("/keys", "", &set([jwk("a")]));
    server.ok("/moved", "", &set([jwk("b")]));
    let source = HttpKeys::oidc(&issuer, http()).unwrap();
    let keys = remote(source, RefreshSettings::default(), &clock);
    let seen = || [OPENID, "/keys", "/moved"].map(|path| server.seen(path).len());

    miss(&keys, &clock).await;
    clock.advance(HOUR - SECOND);
    miss(&keys, &clock).await;
    assert_eq!(seen(), [1, 2, 0]);
    server.ok(OPENID, "", &metadata(&issuer, &server.url("/moved")));
    clock.advance(10 * SECOND);
    miss(&keys, &clock).await;
    assert_eq!(seen(), [2, 2, 1]);
    assert!(knows(&keys, &clock, "b"));

    // The old place is gone, and the metadata is young: one failure, then the new place.
    server.at("/moved", status("410 Gone", "", ""));
    server.ok(OPENID, "", &metadata(&issuer, &server.url("/keys")));
    clock.advance(10 * SECOND);
    miss(&keys, &clock).await;
    assert_eq!((seen(), keys.status().failures), ([2, 2, 2], 1));
    clock.advance(10 * SECOND);
    miss(&keys, &clock).await;
    assert_eq!((seen(), keys.status().failures), ([3, 3, 2], 0));
    assert!(knows(&keys, &clock, "a"));

    // Metadata that is another's now: the keys stay, and the place that it named is not asked.
    server.ok(
        OPENID,
        "",
        &metadata("https://evil.example", &server.url("/moved")),
    );
    clock.advance(HOUR);
    miss(&keys, &clock).await;
    assert_eq!((seen(), keys.status().failures), ([4, 3, 2], 1));
    assert!(knows(&keys, &clock, "a"));
}
