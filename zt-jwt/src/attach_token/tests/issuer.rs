//! Client credentials over sockets.

use std::collections::HashMap;

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{
        self, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
        UnparsedPublicKey,
    },
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde_json::Value;
use tower::{Layer, ServiceExt};
use zt_core::secret::Secret;

use super::*;
use crate::{Algorithm, HttpService, http::HttpError};

type Forms = Arc<Mutex<Vec<(HashMap<String, Vec<String>>, Option<String>)>>>;

fn fields(body: &[u8]) -> HashMap<String, Vec<String>> {
    let mut all: HashMap<_, Vec<_>> = HashMap::new();
    for (name, value) in form_urlencoded::parse(body) {
        all.entry(name.into_owned())
            .or_default()
            .push(value.into_owned());
    }
    all
}

/// A token endpoint that keeps what it was sent.
async fn issuer() -> (SocketAddr, Forms) {
    let forms = Forms::default();
    let keep = Arc::clone(&forms);
    let address = serve(move |request| {
        assert_eq!(request.method(), "POST");
        let kind = &request.headers()["content-type"];
        assert_eq!(kind, "application/x-www-form-urlencoded");
        let credential = request.headers().get("authorization");
        let credential = credential.map(|value| value.to_str().unwrap().to_owned());
        let mut forms = keep.lock().unwrap();
        forms.push((fields(request.body()), credential));
        let number = forms.len();
        json(format!(
            r#"{{"access_token":"issued-{number}","token_type":"Bearer","expires_in":600}}"#
        ))
    })
    .await;
    (address, forms)
}

fn basic(secret: &str) -> ClientAuthentication {
    ClientAuthentication::SecretBasic {
        secret: secret.into(),
    }
}

fn config(address: SocketAddr, authentication: ClientAuthentication) -> ClientCredentialsConfig {
    ClientCredentialsConfig::new(format!("http://{address}/token"), "billing", authentication)
}

fn source(config: ClientCredentialsConfig) -> ClientCredentials {
    ClientCredentials::new(config, HttpService::new(http_client())).unwrap()
}

#[tokio::test]
async fn a_secret_is_encoded_before_it_is_encoded() {
    let (address, forms) = issuer().await;
    let clock = ManualClock::default();
    let config = config(address, basic("s:/ä %"))
        .scope("orders:read")
        .scope("orders:write")
        .resource("https://orders.internal")
        .resource("https://payments.internal")
        .audience("orders");
    let token = source(config).fetch(&clock).await.unwrap();
    assert_eq!(token.bearer(), "Bearer issued-1");
    assert_eq!(
        token.expires_at(),
        Some(clock.now().unwrap() + 600 * SECOND)
    );

    let (form, credential) = forms.lock().unwrap().pop().unwrap();
    let credential = credential.unwrap();
    let pair = STANDARD
        .decode(credential.strip_prefix("Basic ").unwrap())
        .unwrap();
    assert_eq!(pair, b"billing:s%3A%2F%C3%A4+%25");
    assert_eq!(form["grant_type"], ["client_credentials"]);
    assert_eq!(form["scope"], ["orders:read orders:write"]);
    assert_eq!(
        form["resource"],
        ["https://orders.internal", "https://payments.internal"]
    );
    assert_eq!(form["audience"], ["orders"]);
    assert_eq!(form.len(), 4);
}

#[tokio::test]
async fn a_secret_may_stand_in_the_form() {
    let (address, forms) = issuer().await;
    let secret = Secret::from("s&c=r%t");
    let source = source(config(address, ClientAuthentication::SecretPost { secret }));
    source.fetch(&ManualClock::default()).await.unwrap();
    let (form, credential) = forms.lock().unwrap().pop().unwrap();
    assert_eq!(credential, None);
    assert_eq!(form["client_id"], ["billing"]);
    assert_eq!(form["client_secret"], ["s&c=r%t"]);
    assert_eq!(form["grant_type"], ["client_credentials"]);
}

fn pem(der: &[u8]) -> Secret {
    let text = STANDARD.encode(der);
    let lines: Vec<_> = text
        .as_bytes()
        .chunks(64)
        .map(String::from_utf8_lossy)
        .collect();
    let text = format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
        lines.join("\n")
    );
    Secret::new(text.into_bytes())
}

#[tokio::test]
async fn an_assertion_is_signed_fresh_each_time() {
    let random = SystemRandom::new();
    let p256 = &ECDSA_P256_SHA256_FIXED_SIGNING;
    let ec = EcdsaKeyPair::generate_pkcs8(p256, &random).unwrap();
    let ec_public = EcdsaKeyPair::from_pkcs8(p256, ec.as_ref()).unwrap();
    let ed = Ed25519KeyPair::generate_pkcs8v1(&random).unwrap();
    let ed_public = Ed25519KeyPair::from_pkcs8_maybe_unchecked(ed.as_ref()).unwrap();
    let cases = [
        (
            Algorithm::Es256,
            pem(ec.as_ref()),
            UnparsedPublicKey::new(
                &signature::ECDSA_P256_SHA256_FIXED as &dyn signature::VerificationAlgorithm,
                ec_public.public_key().as_ref().to_vec(),
            ),
        ),
        (
            Algorithm::EdDsa,
            Secret::new(ed.as_ref().to_vec()),
            UnparsedPublicKey::new(
                &signature::ED25519 as &dyn signature::VerificationAlgorithm,
                ed_public.public_key().as_ref().to_vec(),
            ),
        ),
    ];
    for (algorithm, key, public) in cases {
        let (address, forms) = issuer().await;
        let clock = ManualClock::default();
        let kid = Some("k1".to_owned());
        let authentication = ClientAuthentication::PrivateKeyJwt {
            algorithm,
            key,
            kid,
        };
        let config = config(address, authentication).assertion_audience("https://login.example");
        let source = source(config);
        for _ in 0..2 {
            source.fetch(&clock).await.unwrap();
        }
        let forms = forms.lock().unwrap();
        let mut ids = Vec::new();
        for (form, credential) in forms.iter() {
            assert_eq!(*credential, None);
            assert_eq!(
                form["client_assertion_type"],
                ["urn:ietf:params:oauth:client-assertion-type:jwt-bearer"]
            );
            assert_eq!(form["client_id"], ["billing"]);
            let assertion = &form["client_assertion"][0];
            let (signed, signature) = assertion.rsplit_once('.').unwrap();
            let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
            public.verify(signed.as_bytes(), &signature).unwrap();
            let (header, claims) = signed.split_once('.').unwrap();
            let read = |segment| -> Value {
                serde_json::from_slice(&URL_SAFE_NO_PAD.decode(segment).unwrap()).unwrap()
            };
            let (header, claims) = (read(header), read(claims));
            assert_eq!(header["alg"], algorithm.as_str());
            assert_eq!(header["kid"], "k1");
            assert_eq!(
                (&claims["iss"], &claims["sub"]),
                (&"billing".into(), &"billing".into())
            );
            assert_eq!(claims["aud"], "https://login.example");
            let now = clock.now().unwrap().as_secs();
            assert_eq!(
                (&claims["iat"], &claims["exp"]),
                (&now.into(), &(now + 60).into())
            );
            ids.push(claims["jti"].as_str().unwrap().to_owned());
        }
        assert_eq!(ids.len(), 2);
        assert_ne!(ids[0], ids[1]);
        assert_eq!(ids[0].len(), 22);
    }
}

#[tokio::test]
async fn without_randomness_no_assertion_is_made() {
    #[derive(Debug)]
    struct Broken;
    impl Entropy for Broken {
        fn fill(&self, _: &mut [u8]) -> Result<(), EntropyError> {
            Err(EntropyError)
        }
    }
    let (address, forms) = issuer().await;
    let ed = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
    let key = Secret::new(ed.as_ref().to_vec());
    let algorithm = Algorithm::EdDsa;
    let authentication = ClientAuthentication::PrivateKeyJwt {
        algorithm,
        key,
        kid: None,
    };
    let source = source(config(address, authentication)).with_entropy(Broken);
    let error = source.fetch(&ManualClock::default()).await.unwrap_err();
    assert!(matches!(error, SourceError::Entropy(_)));
    assert!(forms.lock().unwrap().is_empty());
}

#[tokio::test]
async fn an_issuer_that_misbehaves_gives_no_token() {
    let elsewhere = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&elsewhere);
    let other = serve(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
        json(r#"{"access_token":"stolen","token_type":"Bearer","expires_in":600}"#)
    })
    .await;
    let address = serve(move |request| match request.uri().path() {
        "/redirect" => Response::builder()
            .status(307)
            .header("location", format!("http://{other}/token"))
            .body(Full::default())
            .unwrap(),
        "/large" => json(" ".repeat(17 * 1024)),
        "/lifeless" => json(r#"{"access_token":"abc","token_type":"Bearer"}"#),
        _ => {
            let mut response = json(r#"{"error":"invalid_client","error_description":"hunter2"}"#);
            *response.status_mut() = http::StatusCode::UNAUTHORIZED;
            response
        }
    })
    .await;
    let clock = ManualClock::default();
    let ask = async |path: &str| {
        let config = ClientCredentialsConfig::new(
            format!("http://{address}{path}"),
            "billing",
            basic("hunter2"),
        );
        source(config).fetch(&clock).await.unwrap_err()
    };
    let error = ask("/redirect").await;
    assert!(
        matches!(error, SourceError::Http(HttpError::Redirect(_))),
        "{error}"
    );
    assert_eq!(elsewhere.load(Ordering::SeqCst), 0);
    let error = ask("/large").await;
    assert!(
        matches!(error, SourceError::Http(HttpError::TooLarge(_))),
        "{error}"
    );
    let error = ask("/lifeless").await;
    assert!(matches!(error, SourceError::Unusable(_)), "{error}");
    let error = ask("/no").await;
    let shown = format!("{error} {error:?}");
    assert!(
        shown.contains("invalid_client") && !shown.contains("hunter2"),
        "{shown}"
    );

    let lifeless = ClientCredentialsConfig::new(
        format!("http://{address}/lifeless"),
        "billing",
        basic("hunter2"),
    );
    let source = source(lifeless.assume_lifetime_seconds(60));
    let token = source.fetch(&clock).await.unwrap();
    assert_eq!(token.expires_at(), Some(clock.now().unwrap() + 60 * SECOND));
}

#[tokio::test]
async fn an_issuer_that_hangs_is_given_up() {
    // Accepts connections and never answers.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let clock = ManualClock::default();
    let source = source(config(address, basic("s")));
    let ask = tokio::spawn({
        let clock = clock.clone();
        async move { source.fetch(&clock).await }
    });
    let _connection = listener.accept().await.unwrap();
    clock.advance(5 * SECOND);
    let error = ask.await.unwrap().unwrap_err();
    assert!(
        matches!(error, SourceError::Http(HttpError::TooSlow(_))),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_calls_at_once_ask_the_issuer_once_and_carry_its_token() {
    let (issuer, forms) = issuer().await;
    let carried = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&carried);
    let orders = serve(move |request| {
        let token = request.headers().get("authorization");
        if token.is_some_and(|token| token == "Bearer issued-1") {
            count.fetch_add(1, Ordering::SeqCst);
        }
        Response::new(Full::default())
    })
    .await;
    let source = source(config(issuer, basic("s")));
    let tokens = Tokens::builder(source)
        .clock(ManualClock::default())
        .build()
        .unwrap();
    let only = Destinations::only([format!("http://{orders}")]).unwrap();
    let layer = AttachTokenLayer::new(tokens, only).unwrap();
    // All wait for the token at once; the calls then take turns, for the sake of file handles.
    let (http, turns) = (http_client(), Arc::new(Semaphore::new(32)));
    let client = layer.layer(tower::service_fn(move |request| {
        let (http, turns) = (http.clone(), Arc::clone(&turns));
        async move {
            let _turn = turns.acquire().await.unwrap();
            http.oneshot(request).await
        }
    }));
    let calls: Vec<_> = (0..1_000)
        .map(|_| {
            let client = client.clone();
            let request = Request::get(format!("http://{orders}/"));
            let request = request.body(Full::<Bytes>::default()).unwrap();
            tokio::spawn(async move { client.oneshot(request).await })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap().status(), 200);
    }
    assert_eq!(carried.load(Ordering::SeqCst), 1_000);
    assert_eq!(forms.lock().unwrap().len(), 1);
}

#[test]
fn a_configuration_that_makes_no_sense_is_refused() {
    let new = |config| ClientCredentials::new(config, HttpService::new(http_client())).map(drop);
    let at = |url: &str| ClientCredentialsConfig::new(url, "billing", basic("s"));
    let good = || at("https://login.example/token");
    assert_eq!(new(good()), Ok(()));
    for url in [
        "http://login.example/token",
        "https://a:hunter2@login.example/",
        "/token",
        "",
    ] {
        let error = new(at(url)).unwrap_err();
        assert_eq!(error, ConfigError::TokenEndpoint, "{url}");
        assert!(!error.to_string().contains("hunter2"));
    }
    for scope in ["", "a b", "a\"b", "a\\b", "ä"] {
        assert!(
            matches!(new(good().scope(scope)), Err(ConfigError::Scope(_))),
            "{scope}"
        );
    }
    for uri in [
        "",
        "orders",
        "/orders",
        "https://orders#x",
        "https://a b",
        "1https://a",
        "a:",
    ] {
        assert!(
            matches!(new(good().resource(uri)), Err(ConfigError::Resource(_))),
            "{uri}"
        );
    }
    assert_eq!(new(good().resource("urn:orders")), Ok(()));
    for id in ["", "bill\ning", "bïlling"] {
        let config = ClientCredentialsConfig::new("https://login.example", id, basic("s"));
        assert_eq!(new(config), Err(ConfigError::ClientId), "{id}");
    }
    let empty = ClientCredentialsConfig::new("https://login.example", "b", basic(""));
    assert_eq!(new(empty), Err(ConfigError::EmptySecret));
    assert!(matches!(
        new(good().deadline_seconds(0)),
        Err(ConfigError::OutOfBounds { .. })
    ));
    for (algorithm, expected) in [
        (Algorithm::Es256, ConfigError::PrivateKey),
        (Algorithm::EdDsa, ConfigError::PrivateKey),
        (Algorithm::Hs256, ConfigError::Algorithm(Algorithm::Hs256)),
    ] {
        let key = Secret::from("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----");
        let way = ClientAuthentication::PrivateKeyJwt {
            algorithm,
            key,
            kid: None,
        };
        let config = ClientCredentialsConfig::new("https://login.example", "b", way);
        assert_eq!(new(config), Err(expected));
    }
}

#[test]
fn configuration_takes_references_and_no_unknown_members() {
    let path = std::env::temp_dir().join(format!("zt-client-secret-{}", std::process::id()));
    std::fs::write(&path, "hunter2\n").unwrap();
    let secret = format!("file:{}", path.display());
    let read = |authentication: Value, more: Option<&str>| {
        let mut text = serde_json::json!({
            "token_endpoint": "https://login.example/token",
            "client_id": "billing",
            "authentication": authentication,
        });
        if let Some(name) = more {
            text[name] = 1.into();
        }
        serde_json::from_value::<ClientCredentialsConfig>(text)
    };
    let basic =
        |secret: &str| serde_json::json!({"method": "client_secret_basic", "secret": secret});
    let config = read(basic(&secret), None).unwrap();
    assert!(!format!("{config:?}").contains("hunter2"));
    assert!(!format!("{:?}", source(config)).contains("hunter2"));
    let key = serde_json::json!({"method": "private_key_jwt", "algorithm": "ES256", "key": secret});
    read(key, None).unwrap();
    let post = serde_json::json!({"method": "client_secret_post", "secret": secret});
    read(post, None).unwrap();

    let error = read(basic("hunter2"), None).unwrap_err().to_string();
    assert!(!error.contains("hunter2"), "{error}");
    assert!(read(basic(&secret), Some("scope")).is_err());
    let unknown = serde_json::json!({
        "method": "client_secret_basic", "secret": secret, "kid": "x",
    });
    assert!(read(unknown, None).is_err());
    let none = serde_json::json!({"method": "none"});
    assert!(read(none, None).is_err());
    std::fs::remove_file(path).unwrap();
}
