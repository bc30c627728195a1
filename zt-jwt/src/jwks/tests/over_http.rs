//! What a key endpoint can do to us.

use super::{
    super::{HttpKeys, Validator},
    server::{Reply, Server, status},
    *,
};

const KEYS: &str = "/keys";

async fn setup() -> (Server, ManualClock, RemoteKeys) {
    let server = Server::start().await;
    let clock = ManualClock::default();
    let source = HttpKeys::jwks(&server.url(KEYS), http()).unwrap();
    let keys = remote(source, RefreshSettings::default(), &clock);
    (server, clock, keys)
}

fn last_error(keys: &RemoteKeys) -> String {
    let error = keys.status().last_error;
    error.as_deref().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_set_is_fetched_with_what_it_is_asked_for() {
    let (server, clock, keys) = setup().await;
    server.ok(KEYS, "", &set([jwk("a"), jwk("b")]));
    assert!(!has_keys(&keys, &clock));
    assert_eq!(miss(&keys, &clock).await, "fetched");
    assert!(knows(&keys, &clock, "a") && knows(&keys, &clock, "b"));
    assert!(!knows(&keys, &clock, "c"));
    let [head] = &server.seen(KEYS)[..] else {
        panic!("one request")
    };
    assert!(head.contains("\r\naccept: application/jwk-set+json, application/json\r\n"));
    assert!(!head.contains("if-none-match"));
}

/// Each of these answers is a failure, says so, and leaves what was there before.
#[tokio::test]
async fn refuses_answers_that_are_no_set_and_keeps_the_last_good_one() {
    let many: Vec<_> = {
        let key = jwk("k");
        (0..10_000)
            .map(|n| key.replace(r#""kid":"k""#, &format!(r#""kid":"k{n}""#)))
            .collect()
    };
    let large = format!("{}{}", set([jwk("b")]), " ".repeat(10 << 20));
    let chunked = {
        let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000)).repeat(160);
        format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{chunk}0\r\n\r\n")
    };
    let html = "<!doctype html><title>Sign in</title>";
    let good = set([jwk("b")]);
    let json = "content-type: application/json\r\n";
    let cases = [
        (
            "html",
            status("200 OK", json, html),
            "not a JSON Web Key Set",
        ),
        (
            "nothing",
            status("200 OK", json, ""),
            "not a JSON Web Key Set",
        ),
        ("500", status("500 Oh", "", &good), "500"),
        ("404", status("404 Not Found", "", &good), "404"),
        ("203", status("203 Non-Authoritative", "", &good), "203"),
        ("206", status("206 Partial Content", "", &good), "206"),
        ("unasked", status("304 Not Modified", "", ""), "304"),
        (
            "10 MB",
            status("200 OK", "", &large),
            "more than 1048576 bytes",
        ),
        (
            "chunked",
            Reply::Bytes(chunked.into()),
            "more than 1048576 bytes",
        ),
        (
            "10,000 keys",
            status("200 OK", "", &set(&many[..3_000])),
            "more than 100 keys",
        ),
        (
            "10,000 keys and bytes",
            status("200 OK", "", &set(&many)),
            "more than 1048576 bytes",
        ),
        (
            "twice",
            status(
                "200 OK",
                "",
                &format!(r#"{{"keys":[],"keys":[{}]}}"#, jwk("b")),
            ),
            "twice",
        ),
        (
            "cut",
            Reply::Bytes(b"HTTP/1.1 200 OK\r\ncontent-length: 999\r\n\r\n{".into()),
            "",
        ),
        ("no http", Reply::Bytes(b"SSH-2.0-OpenSSH\r\n".into()), ""),
    ];
    for (name, reply, why) in cases {
        let (server, clock, keys) = setup().await;
        server.at(KEYS, reply.clone());
        assert_eq!(miss(&keys, &clock).await, "fetched", "{name}");
        assert!(!has_keys(&keys, &clock), "{name}");
        assert!(
            last_error(&keys).contains(why),
            "{name}: {}",
            last_error(&keys)
        );
        assert!(!last_error(&keys).is_empty(), "{name}");
        assert_eq!(miss(&keys, &clock).await, "unavailable", "{name}");

        server.ok(KEYS, "", &set([jwk("a")]));
        clock.advance(10 * SECOND);
        assert_eq!(miss(&keys, &clock).await, "fetched", "{name}");
        assert!(knows(&keys, &clock, "a"), "{name}");
        let before = keys.epoch();
        server.at(KEYS, reply);
        clock.advance(10 * SECOND);
        assert_eq!(miss(&keys, &clock).await, "fetched", "{name}");
        assert!(
            knows(&keys, &clock, "a") && !knows(&keys, &clock, "b"),
            "{name}"
        );
        assert_eq!(keys.epoch(), before, "{name}");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (server, clock, keys) = setup().await;
    let elsewhere = Server::start().await;
    elsewhere.ok(KEYS, "", &set([jwk("a")]));
    server.ok("/elsewhere", "", &set([jwk("a")]));
    for (code, target) in [
        ("301 Moved", elsewhere.url(KEYS)),
        ("302 Found", "/elsewhere".to_owned()),
        ("307 Temporary Redirect", server.url("/elsewhere")),
        ("308 Permanent Redirect", elsewhere.url(KEYS)),
    ] {
        server.at(KEYS, status(code, &format!("location: {target}\r\n"), ""));
        assert_eq!(miss(&keys, &clock).await, "fetched", "{code}");
        assert!(!has_keys(&keys, &clock), "{code}");
        assert!(last_error(&keys).contains("redirect"), "{code}");
        clock.advance(10 * SECOND);
    }
    assert_eq!((elsewhere.count(), server.seen("/elsewhere").len()), (0, 0));
    assert_eq!(server.count(), 4);
}

#[tokio::test]
async fn a_slow_endpoint_is_given_up_at_the_deadline() {
    for start in [
        "",
        "HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\n{\"keys\":",
    ] {
        let (server, clock, keys) = setup().await;
        server.at(KEYS, Reply::Stall(start.into()));
        let Missing::Fetching(done) = keys.missing(clock.monotonic()) else {
            panic!("nothing was fetched")
        };
        let done = tokio::spawn(done);
        until(|| server.count() == 1).await;
        clock.advance(Duration::from_millis(4_999));
        settle().await;
        assert!(!done.is_finished());
        clock.advance(Duration::from_millis(1));
        done.await.unwrap();
        assert!(
            last_error(&keys).contains("5000 ms"),
            "{}",
            last_error(&keys)
        );
        assert_eq!(miss(&keys, &clock).await, "unavailable");

        server.ok(KEYS, "", &set([jwk("a")]));
        clock.advance(10 * SECOND);
        assert_eq!(miss(&keys, &clock).await, "fetched");
        assert!(knows(&keys, &clock, "a"));
    }
}

#[tokio::test]
async fn nobody_there_is_a_failure_with_a_cause() {
    let (server, clock, keys) = setup().await;
    server.stop().await;
    assert_eq!(miss(&keys, &clock).await, "fetched");
    assert!(
        last_error(&keys)
            .to_lowercase()
            .contains("connection refused"),
        "{}",
        last_error(&keys)
    );
    assert!(matches!(
        keys.missing(clock.monotonic()),
        Missing::Unavailable { retry_after } if retry_after == 10 * SECOND
    ));
}

#[tokio::test]
async fn an_unchanged_set_is_confirmed_by_its_tag() {
    let (server, clock, keys) = setup().await;
    server.at(KEYS, Reply::Tagged(r#"W/"one""#, set([jwk("a")])));
    assert_eq!(miss(&keys, &clock).await, "fetched");
    let Current::Keys(first) = keys.current(clock.monotonic()) else {
        panic!("no keys")
    };
    for _ in 0..3 {
        clock.advance(23 * HOUR);
        assert_eq!(miss(&keys, &clock).await, "fetched");
        assert_eq!(keys.status().age, Some(Duration::ZERO));
    }
    let Current::Keys(last) = keys.current(clock.monotonic()) else {
        panic!("no keys")
    };
    assert!(std::ptr::eq::<KeySet>(&*first, &*last));
    assert_eq!((keys.epoch(), keys.status().last_error), (0, None));
    let seen = server.seen(KEYS);
    let tagged = |head: &String| head.contains("if-none-match: w/\"one\"\r\n");
    assert_eq!(
        seen.iter().map(tagged).collect::<Vec<_>>(),
        [false, true, true, true]
    );

    server.at(KEYS, Reply::Tagged(r#""two""#, set([jwk("b")])));
    clock.advance(HOUR);
    assert_eq!(miss(&keys, &clock).await, "fetched");
    assert!(knows(&keys, &clock, "b") && !knows(&keys, &clock, "a"));
    assert_eq!(keys.epoch(), 1);
}

#[tokio::test]
async fn the_tag_of_a_bad_answer_is_not_kept() {
    let (server, clock, keys) = setup().await;
    server.at(KEYS, Reply::Tagged(r#""good""#, set([jwk("a")])));
    miss(&keys, &clock).await;
    server.at(KEYS, Reply::Tagged(r#""bad""#, "<html>".into()));
    clock.advance(10 * SECOND);
    miss(&keys, &clock).await;
    clock.advance(10 * SECOND);
    miss(&keys, &clock).await;
    let seen = server.seen(KEYS);
    assert!(seen[2].contains("if-none-match: \"good\"\r\n"), "{seen:?}");
    assert!(knows(&keys, &clock, "a"));
    assert_eq!(keys.status().failures, 2);
}

#[tokio::test]
async fn a_tag_goes_to_the_place_that_gave_it_alone() {
    let server = Server::start().await;
    server.ok(KEYS, "", &set([jwk("a")]));
    let source = HttpKeys::jwks(&server.url(KEYS), http()).unwrap();
    for (place, sent) in [(server.url(KEYS), true), (server.url("/old"), false)] {
        let mut request = FetchRequest::new(ManualClock::default());
        request.known = Some(Validator::new(&place, b"\"t\""));
        source.fetch(request).await.unwrap();
        let heads = server.seen(KEYS);
        let head = heads.last().unwrap();
        assert_eq!(head.contains("if-none-match: \"t\"\r\n"), sent, "{place}");
    }
}

#[tokio::test]
async fn what_an_answer_says_of_its_freshness_is_heard() {
    let server = Server::start().await;
    let source = HttpKeys::jwks(&server.url(KEYS), http()).unwrap();
    for (headers, expected) in [
        ("", None),
        ("cache-control: public\r\n", None),
        ("cache-control: max-age=600\r\n", Some(600)),
        (
            "cache-control: public, Max-Age=\"600\" , must-revalidate\r\n",
            Some(600),
        ),
        ("cache-control: max-age=600\r\nage: 200\r\n", Some(400)),
        ("cache-control: max-age=600\r\nage: 900\r\n", Some(0)),
        ("cache-control: max-age=600\r\nage: x\r\n", Some(600)),
        (
            "cache-control: max-age=600\r\ncache-control: max-age=60\r\n",
            Some(60),
        ),
        ("cache-control: no-store, max-age=600\r\n", Some(0)),
        ("cache-control: max-age=600, no-cache\r\n", Some(0)),
        ("cache-control: max-age=-1\r\n", Some(0)),
        ("cache-control: max-age\r\n", Some(0)),
        ("cache-control: s-maxage=600\r\n", None),
        (
            "cache-control: max-age=99999999999999999999999\r\n",
            Some(1 << 31),
        ),
        ("expires: Thu, 01 Jan 2099 00:00:00 GMT\r\n", None),
    ] {
        server.ok(KEYS, headers, &set([jwk("a")]));
        let fetched = source.fetch(FetchRequest::new(ManualClock::default()));
        let Fetched::New { fresh_for, .. } = fetched.await.unwrap() else {
            panic!("unchanged")
        };
        assert_eq!(fresh_for, expected.map(Duration::from_secs), "{headers}");
    }
}

#[tokio::test]
async fn a_query_is_in_no_log() {
    let server = Server::start().await;
    let url = server.url("/keys?code=s3cret");
    let source = HttpKeys::jwks(&url, http()).unwrap();
    server.stop().await;
    let clock = ManualClock::default();
    let keys = remote(source, RefreshSettings::default(), &clock);
    miss(&keys, &clock).await;
    let told = format!("{keys:?} {}", last_error(&keys));
    assert!(told.contains("/keys") && !told.contains("s3cret"), "{told}");
}

#[test]
fn refuses_an_address_that_is_not_https() {
    for bad in [
        "http://issuer.example/keys",
        "issuer.example",
        "https://a@b/keys",
    ] {
        assert!(HttpKeys::jwks(bad, http()).is_err(), "{bad}");
    }
}

#[tokio::test]
async fn dead_for_an_hour_and_back() {
    let (server, clock, keys) = setup().await;
    let text = set([jwk("a")]);
    server.ok(KEYS, "", &text);
    let task = tokio::spawn(keys.keep_fresh());
    until(|| has_keys(&keys, &clock)).await;

    server.at(KEYS, status("503 Down", "", ""));
    clock.advance(600 * SECOND);
    until(|| keys.status().failures == 1).await;
    for failures in 2..=51 {
        clock.advance(60 * SECOND);
        until(|| keys.status().failures == failures).await;
        assert!(knows(&keys, &clock, "a"));
        assert_eq!(miss(&keys, &clock).await, "unavailable");
    }

    server.ok(KEYS, "", &text);
    clock.advance(60 * SECOND);
    until(|| keys.status().failures == 0).await;
    assert_eq!(keys.status().last_error, None);
    assert_eq!(keys.epoch(), 0);
    drop(keys);
    task.await.unwrap();
}

#[cfg(feature = "hyper-client")]
#[tokio::test]
async fn the_client_that_comes_with_the_feature_works_and_follows_nothing() {
    let http = match HttpService::hyper() {
        Ok(http) => http,
        Err(error) => {
            println!("skipped: {error}");
            return;
        }
    };
    let server = Server::start().await;
    let clock = ManualClock::default();
    let source = HttpKeys::jwks(&server.url(KEYS), http).unwrap();
    let keys = remote(source, RefreshSettings::default(), &clock);
    server.at(KEYS, status("302 Found", "location: /elsewhere\r\n", ""));
    server.ok("/elsewhere", "", &set([jwk("a")]));
    miss(&keys, &clock).await;
    assert!(!has_keys(&keys, &clock));
    server.ok(KEYS, "", &set([jwk("a")]));
    clock.advance(10 * SECOND);
    miss(&keys, &clock).await;
    assert!(knows(&keys, &clock, "a"));
    assert_eq!((server.count(), server.seen("/elsewhere").len()), (2, 0));
}
