use bytes::Bytes as Value;

use super::*;
use crate::{
    secret::Secret,
    state::{AdminEvent, Durable, Event, Events, MemoryRecorder, RecordError, Recorder},
    store::{BoxFuture, Expect, StoreError, Swap, Version, Versioned},
};

const LEGACY: &str = "legacy-value-0123456789abcdef";

#[tokio::test]
async fn nothing_secret_rests_or_shows() {
    let pepper = "a pepper of at least 32 bytes, really";
    let peppers = Peppers::new(7, pepper.into()).unwrap();
    let recorder = Arc::new(MemoryRecorder::new(10));
    let config = ServiceTokenConfig::new("test").peppers(peppers.clone());
    let options = ServiceTokenOptions::new(config.clone()).recorder(recorder.clone());
    let world = World::with(options.clone()).await;
    let first = world.mint().await;
    let second = world.tokens.rotate(&first.id, "ada", HOUR).await.unwrap();
    let legacy = Secret::from(LEGACY);
    let imported = world
        .tokens
        .import_opaque(&legacy, world.request())
        .await
        .unwrap();

    let mut shown = format!(
        "{first:?} {second:?} {imported:?} {peppers:?} {config:?} {options:?} {:?} {:?} {:?} {:?}",
        world.tokens,
        VerifyServiceTokenLayer::new(world.tokens.clone()),
        parse(first.clear.expose().as_bytes()),
        recorder.events(),
    );
    shown += &serde_json::to_string(&world.tokens.list()).unwrap();
    for (key, found) in world.store.scan("", None, 100).await.unwrap() {
        shown += &key;
        shown += std::str::from_utf8(&found.value).unwrap();
    }
    for secret in [first.clear.expose(), second.clear.expose()] {
        assert!(!shown.contains(secret.get(22..65).unwrap()), "{shown}");
    }
    assert!(
        !shown.contains(LEGACY) && !shown.contains(pepper),
        "{shown}"
    );
    // What only the store may hold.
    let record = serde_json::to_string(&world.tokens.list()).unwrap();
    assert!(!record.contains("digest"), "{record}");
}

#[tokio::test]
async fn requests_that_cannot_be_used_are_refused() {
    let world = World::new().await;
    let ok = || world.request();
    let never = || MintRequest::new("billing", "export");
    let many = || (0..65).map(|index| format!("s{index}"));
    for (request, expected) in [
        (MintRequest::new("", "x").expires(Timestamp::MAX), "subject"),
        (
            MintRequest::new("x", "a\nb").expires(Timestamp::MAX),
            "name",
        ),
        (ok().tenant("a".repeat(257)), "tenant"),
        (ok().author("\0"), "author"),
        (ok().environment("Prod"), "environment"),
        (ok().environment("pro_d"), "environment"),
        (ok().scopes(["a b"]), "scopes"),
        (ok().scopes(["a\"b"]), "scopes"),
        (ok().scopes(many()), "scopes"),
        (ok().roles([""]), "roles"),
        (ok().methods([""; 0]), "methods"),
        (ok().methods(["get"]), "methods"),
        (ok().methods(["G T"]), "methods"),
        (ok().paths([""; 0]), "paths"),
        (ok().paths(["orders"]), "paths"),
        (ok().paths(["/a/../b"]), "paths"),
        (ok().networks([]), "networks"),
        (
            ok().networks(["::ffff:10.0.0.0/104".parse().unwrap()]),
            "networks",
        ),
        (never(), "expires"),
        (never().expires(world.now()), "expires"),
        (ok().insecure_never_expires(), "expires"),
    ] {
        let shown = format!("{request:?}");
        match world.tokens.mint(request).await {
            Err(TokenError::Invalid { field, .. }) => assert_eq!(field, expected, "{shown}"),
            other => panic!("{other:?} of {shown}"),
        }
    }
    assert!(world.tokens.is_empty());
    let endless = never().insecure_never_expires();
    let minted = world.tokens.mint(endless).await.unwrap();
    assert_eq!(
        world
            .present(minted.clear.expose())
            .await
            .passed()
            .expires_at(),
        None
    );
}

#[tokio::test]
async fn the_largest_token_fits_into_the_store() {
    let world = World::new().await;
    let long = |index: usize| format!("{index:0>256}");
    let request = world
        .request()
        .scopes((0..64).map(long))
        .roles((0..64).map(long))
        .paths((0..64).map(|index| format!("/{index:0>255}")))
        .tenant(long(0));
    world.tokens.mint(request).await.unwrap();
}

#[tokio::test]
async fn imported_values_are_good_and_can_be_moved_to_tokens_of_our_own() {
    let world = World::new().await;
    let import = |value: &str| {
        let (value, request) = (Secret::from(value), world.request());
        let tokens = world.tokens.clone();
        async move { tokens.import_opaque(&value, request).await }
    };
    let record = import(LEGACY).await.unwrap();
    assert!(record.opaque);
    let answer = world.present(LEGACY).await;
    assert_eq!(answer.passed().token(), Some(record.id.as_str()));
    assert_eq!(
        world.present(&LEGACY.to_uppercase()).await.refused(),
        Code::CredentialInvalid
    );
    assert_eq!(import(LEGACY).await, Err(TokenError::Exists));
    for value in [
        "too-short-0123456789abc",
        &"ab".repeat(20),
        &format!("{LEGACY}{}", "x".repeat(256)),
        &format!("{LEGACY} {LEGACY}"),
        &format!("ztk_{LEGACY}"),
    ] {
        let refused = import(value).await;
        assert!(
            matches!(refused, Err(TokenError::Invalid { .. })),
            "{value}"
        );
    }

    let new = world
        .tokens
        .rotate(&record.id, "ada", HOUR / 2)
        .await
        .unwrap();
    assert!(!new.record.opaque);
    world.present(new.clear.expose()).await.passed();
    world.present(LEGACY).await.passed();
    // The same after a restart.
    let other = world.other(ServiceTokenConfig::new("test")).await;
    for value in [LEGACY, new.clear.expose()] {
        ask(&other, &world.clock, with_token(value)).await.passed();
    }
    world.clock.advance(HOUR / 2);
    assert_eq!(
        world.present(LEGACY).await.refused(),
        Code::CredentialExpired
    );
    world
        .tokens
        .rotate(&record.id, "ada", Duration::ZERO)
        .await
        .unwrap();
    assert_eq!(
        world.present(LEGACY).await.refused(),
        Code::CredentialInvalid
    );
}

#[tokio::test]
async fn a_rotation_cuts_no_secret_off_unasked() {
    let world = World::new().await;
    let first = world.mint().await;
    let second = world
        .tokens
        .rotate(&first.id, "ada", HOUR / 4)
        .await
        .unwrap();
    assert_eq!(
        world.tokens.rotate(&first.id, "bob", HOUR / 4).await.err(),
        Some(TokenError::RotationUnderway {
            until: world.now() + HOUR / 4
        })
    );
    for secret in [&first, &second] {
        world.present(secret.clear.expose()).await.passed();
    }
    // Without overlap everything older ends at once.
    let third = world
        .tokens
        .rotate(&first.id, "ada", Duration::ZERO)
        .await
        .unwrap();
    for secret in [&first, &second] {
        let answer = world.present(secret.clear.expose()).await;
        assert_eq!(answer.refused(), Code::CredentialInvalid);
    }
    world.present(third.clear.expose()).await.passed();
    // When the overlap is over, the next one may begin.
    world
        .tokens
        .rotate(&first.id, "ada", HOUR / 4)
        .await
        .unwrap();
    world.clock.advance(HOUR / 4);
    world
        .tokens
        .rotate(&first.id, "ada", HOUR / 4)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_new_secret_is_newer_than_the_token() {
    let world = World::new().await;
    let first = world.mint().await;
    let made = world.now();
    world.clock.advance(HOUR / 4);
    let second = world
        .tokens
        .rotate(&first.id, "ada", HOUR / 4)
        .await
        .unwrap();
    // A sanction against everything that was issued before now strikes the old secret alone.
    let old = world.present(first.clear.expose()).await;
    assert_eq!(old.passed().issued_at(), Some(made));
    let new = world.present(second.clear.expose()).await;
    assert_eq!(new.passed().issued_at(), Some(world.now()));
}

#[tokio::test]
async fn what_is_over_cannot_be_rotated() {
    let world = World::new().await;
    let (a, b) = (world.mint().await, world.mint().await);
    world.tokens.revoke(&a.id, "ada", "lost").await.unwrap();
    let rotate = |id: &str| {
        let (tokens, id) = (world.tokens.clone(), id.to_owned());
        async move { tokens.rotate(&id, "ada", Duration::ZERO).await.err() }
    };
    assert_eq!(rotate(&a.id).await, Some(TokenError::Revoked));
    world.clock.advance(HOUR);
    assert_eq!(rotate(&b.id).await, Some(TokenError::Expired));
    assert_eq!(rotate("AAAAAAAAAAAA").await, Some(TokenError::Unknown));
    assert_eq!(rotate("no id").await, Some(TokenError::Unknown));
}

#[tokio::test]
async fn a_revocation_keeps_its_first_reason_and_outlives_a_restart() {
    let world = World::new().await;
    let minted = world.mint().await;
    world
        .tokens
        .revoke(&minted.id, "ada", "lost")
        .await
        .unwrap();
    world
        .tokens
        .revoke(&minted.id, "bob", "again")
        .await
        .unwrap();
    let record = world.tokens.get(&minted.id).unwrap();
    let revoked = record.revoked.unwrap();
    assert_eq!((&*revoked.author, &*revoked.reason), ("ada", "lost"));
    let other = world.other(ServiceTokenConfig::new("test")).await;
    let answer = ask(&other, &world.clock, with_token(minted.clear.expose())).await;
    assert_eq!(answer.refused(), Code::CredentialRevoked);
    // Its record goes when nobody needs to be told any more; it is refused all the same.
    world.clock.advance(HOUR + Duration::from_secs(30 * 86_400));
    world.tokens.refresh().await.unwrap();
    assert!(world.tokens.is_empty());
    assert_eq!(
        world.present(minted.clear.expose()).await.refused(),
        Code::CredentialInvalid
    );
}

#[tokio::test]
async fn a_restart_under_another_pepper_keeps_what_it_can_still_check() {
    let pepper = |byte: u8| Secret::new(vec![byte; 32]);
    let config = |peppers: Peppers| ServiceTokenConfig::new("test").peppers(peppers);
    let world = World::new().await;
    let plain = world.mint().await;
    let one = Peppers::new(1, pepper(1)).unwrap().also_without().unwrap();
    let first = world.other(config(one)).await;
    let peppered = first.mint(world.request()).await.unwrap();

    let two = Peppers::new(2, pepper(2)).unwrap();
    let both = two.clone().previous(1, pepper(1)).unwrap();
    for (peppers, expected) in [
        (both.clone().also_without().unwrap(), [true, true]),
        (both, [false, true]),
        (two.clone(), [false, false]),
        // The same version with another key is another pepper.
        (two.previous(1, pepper(3)).unwrap(), [false, false]),
    ] {
        let shown = format!("{peppers:?}");
        let tokens = world.other(config(peppers)).await;
        for (token, expected) in [&plain, &peppered].into_iter().zip(expected) {
            let answer = ask(&tokens, &world.clock, with_token(token.clear.expose())).await;
            assert_eq!(answer.status == 200, expected, "{shown}");
            if !expected {
                assert_eq!(answer.refused(), Code::CredentialInvalid);
            }
        }
        assert_eq!(tokens.len(), 2, "they are still listed");
    }
}

#[test]
fn peppers_that_protect_nothing_are_refused() {
    let pepper = || Secret::new(vec![1; 32]);
    let short = Peppers::new(1, Secret::new(vec![1; 31]));
    assert_eq!(short.err(), Some(ConfigError::PepperTooShort(1)));
    let twice = Peppers::new(1, pepper()).unwrap().previous(1, pepper());
    assert_eq!(twice.err(), Some(ConfigError::PepperTwice(1)));
    let many = (2..=5).try_fold(Peppers::new(1, pepper()).unwrap(), |peppers, version| {
        peppers.previous(version, pepper())
    });
    assert_eq!(many.err(), Some(ConfigError::TooManyPeppers));
}

#[tokio::test]
async fn configurations_that_cannot_be_used_are_refused() {
    for (config, expected) in [
        (
            ServiceTokenConfig::new("Production"),
            ConfigError::Environment("Production".to_owned()),
        ),
        (
            ServiceTokenConfig::new(""),
            ConfigError::Environment(String::new()),
        ),
        (
            ServiceTokenConfig::new("test").issuer(""),
            ConfigError::Issuer,
        ),
        (
            ServiceTokenConfig::new("test").max_tokens(0),
            ConfigError::NoTokens,
        ),
    ] {
        let clock = ManualClock::default();
        let store = Arc::new(MemoryStore::new(clock.clone()));
        let opened = ServiceTokens::open(store, clock, config).await;
        assert_eq!(opened.err(), Some(TokenError::Config(expected)));
    }
    for json in [
        "{}",
        r#"{"environment": "test", "sauce": "header"}"#,
        r#"{"environment": "test", "source": "cookie"}"#,
        r#"{"environment": "test", "peppers": {"current": {"version": 1, "secret": "hunter2"}}}"#,
    ] {
        assert!(
            serde_json::from_str::<ServiceTokenConfig>(json).is_err(),
            "{json}"
        );
    }
    let body = r#"{"subject": "x", "name": "y", "author": "root"}"#;
    assert!(serde_json::from_str::<MintRequest>(body).is_err());
}

#[tokio::test]
async fn the_number_of_tokens_is_bounded() {
    let world = World::with(ServiceTokenConfig::new("test").max_tokens(2)).await;
    let first = world.mint().await;
    world.mint().await;
    let third = world.tokens.mint(world.request()).await;
    assert_eq!(third.err(), Some(TokenError::Full));
    // Room comes back when records are gone.
    world.clock.advance(HOUR + Duration::from_secs(30 * 86_400));
    world.mint().await;
    assert!(world.tokens.get(&first.id).is_none());
}

#[tokio::test]
async fn a_registry_does_not_open_over_more_tokens_than_it_may_hold() {
    let world = World::new().await;
    for _ in 0..3 {
        world.mint().await;
    }
    let config = ServiceTokenConfig::new("test").max_tokens(2);
    let store = Arc::clone(&world.store);
    let opened = ServiceTokens::open(store, world.clock.clone(), config).await;
    assert_eq!(opened.err(), Some(TokenError::Full));
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_refused_and_harms_no_other() {
    let world = World::new().await;
    let (good, bad) = (world.mint().await, world.mint().await);
    let key = format!("service-token/id/{}", bad.id);
    let found = world.store.get(&key).await.unwrap().unwrap();
    let text = std::str::from_utf8(&found.value).unwrap();
    for value in [
        "{}".to_owned(),
        text.replace("\"format\":1", "\"format\":2"),
        text.replace(&bad.id, &good.id),
        text.replace("\"paths\":null", "\"paths\":[\"nonsense\"]"),
        text.replace("\"revoked\":null", "\"revoked\":null,\"more\":1"),
    ] {
        assert_ne!(value, text);
        let found = world.store.get(&key).await.unwrap().unwrap();
        let swap = world
            .store
            .put_if(
                &key,
                value.clone().into(),
                None,
                Expect::Version(found.version),
            )
            .await;
        assert!(matches!(swap, Ok(Swap::Done(_))));
        world.tokens.refresh().await.unwrap();
        let answer = world.present(bad.clear.expose()).await;
        assert_eq!(answer.refused(), Code::CredentialInvalid, "{value}");
        world.present(good.clear.expose()).await.passed();
    }
}

#[tokio::test]
async fn last_uses_are_told_to_the_store_by_the_minute() {
    let world = World::new().await;
    let (used, unused) = (world.mint().await, world.mint().await);
    assert_eq!(world.tokens.flush_last_used().await, Ok(0));
    world.clock.advance(Duration::from_secs(90));
    world.present(used.clear.expose()).await.passed();
    let wrong = world.present(&forged("test", &unused.id, b'x')).await;
    wrong.refused();
    assert_eq!(world.tokens.flush_last_used().await, Ok(1));
    assert_eq!(world.tokens.flush_last_used().await, Ok(0), "nothing new");
    world.clock.advance(Duration::from_secs(20));
    world.present(used.clear.expose()).await.passed();
    assert_eq!(
        world.tokens.flush_last_used().await,
        Ok(0),
        "the same minute"
    );

    let expected = Some(Timestamp::from_secs(world.now().as_secs() / 60 * 60));
    let other = world.other(ServiceTokenConfig::new("test")).await;
    for tokens in [&world.tokens, &other] {
        assert_eq!(tokens.get(&used.id).unwrap().last_used, expected);
        assert_eq!(tokens.get(&unused.id).unwrap().last_used, None);
    }
    assert_eq!(other.flush_last_used().await, Ok(0), "it is there already");
    // A change keeps what is known of the use.
    world.tokens.rotate(&used.id, "ada", HOUR).await.unwrap();
    assert_eq!(world.tokens.get(&used.id).unwrap().last_used, expected);
}

#[tokio::test]
async fn a_flush_of_last_uses_is_bounded() {
    let world = World::new().await;
    for _ in 0..300 {
        let minted = world.mint().await;
        world.present(minted.clear.expose()).await.passed();
    }
    assert_eq!(world.tokens.flush_last_used().await, Ok(256));
    assert_eq!(world.tokens.flush_last_used().await, Ok(44));
}

fn admin(event: &Event) -> &AdminEvent {
    match event {
        Event::Admin(event) => event,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn every_act_is_recorded() {
    let recorder = Arc::new(MemoryRecorder::new(10));
    let options = ServiceTokenOptions::new(ServiceTokenConfig::new("test"));
    let world = World::with(options.recorder(recorder.clone())).await;
    let minted = world.mint().await;
    world.tokens.rotate(&minted.id, "bob", HOUR).await.unwrap();
    world
        .tokens
        .revoke(&minted.id, "eve", "laptop lost")
        .await
        .unwrap();
    world
        .tokens
        .import_opaque(&LEGACY.into(), world.request())
        .await
        .unwrap();
    let events = recorder.events();
    let acts: Vec<(&str, Option<&str>)> = events
        .iter()
        .map(admin)
        .map(|event| (event.action, event.author.as_deref()))
        .collect();
    assert_eq!(
        acts,
        [
            ("service-token.mint", Some("ada")),
            ("service-token.rotate", Some("bob")),
            ("service-token.revoke", Some("eve")),
            ("service-token.import", Some("ada")),
        ]
    );
    assert_eq!(&*admin(&events[2]).object, minted.id);
    assert_eq!(admin(&events[2]).detail.as_deref(), Some("laptop lost"));
}

#[derive(Debug, Default)]
struct Failing(std::sync::atomic::AtomicBool);

impl Recorder for Failing {
    fn record(&self, _: Event) -> Durable {
        if self.0.load(std::sync::atomic::Ordering::Relaxed) {
            return Durable::done(Err(RecordError::Full));
        }
        Durable::done(Ok(()))
    }

    fn subscribe(&self, _: usize) -> Events {
        MemoryRecorder::new(1).subscribe(1)
    }
}

#[tokio::test]
async fn an_act_that_cannot_be_recorded_has_no_effect() {
    let recorder = Arc::new(Failing::default());
    let options = ServiceTokenOptions::new(ServiceTokenConfig::new("test"));
    let world = World::with(options.recorder(recorder.clone())).await;
    let minted = world.mint().await;
    let before = world.store.scan("", None, 100).await.unwrap();
    recorder.0.store(true, std::sync::atomic::Ordering::Relaxed);
    let failed = || Some(TokenError::Record(RecordError::Full));
    let tokens = &world.tokens;
    assert_eq!(tokens.mint(world.request()).await.err(), failed());
    assert_eq!(tokens.rotate(&minted.id, "ada", HOUR).await.err(), failed());
    assert_eq!(
        tokens.revoke(&minted.id, "ada", "lost").await.err(),
        failed()
    );
    let imported = tokens.import_opaque(&LEGACY.into(), world.request()).await;
    assert_eq!(imported.err(), failed());
    assert_eq!(world.store.scan("", None, 100).await.unwrap(), before);
    assert_eq!(tokens.len(), 1);
    world.present(minted.clear.expose()).await.passed();
}

/// A store that loses every race, or cannot write at all.
#[derive(Debug)]
struct Unlucky(MemoryStore, Option<StoreError>);

impl Store for Unlucky {
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Versioned>, StoreError>> {
        self.0.get(key)
    }

    fn put_if<'a>(
        &'a self,
        key: &'a str,
        value: Value,
        expires: Option<Timestamp>,
        expect: Expect,
    ) -> BoxFuture<'a, Result<Swap, StoreError>> {
        match (&self.1, expect) {
            (Some(error), _) => Box::pin(std::future::ready(Err(error.clone()))),
            (None, Expect::Version(_)) => Box::pin(std::future::ready(Ok(Swap::Conflict))),
            (None, Expect::Absent) => self.0.put_if(key, value, expires, expect),
        }
    }

    fn remove<'a>(
        &'a self,
        key: &'a str,
        version: Version,
    ) -> BoxFuture<'a, Result<Swap, StoreError>> {
        self.0.remove(key, version)
    }

    fn scan<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a str>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<(String, Versioned)>, StoreError>> {
        self.0.scan(prefix, after, limit)
    }
}

#[tokio::test]
async fn an_act_that_cannot_be_written_is_an_error_and_recorded_as_such() {
    for (error, expected) in [
        (None, TokenError::Contended),
        (Some(StoreError::Full), TokenError::Store(StoreError::Full)),
    ] {
        let clock = ManualClock::default();
        let memory = MemoryStore::new(clock.clone());
        let plain: Arc<dyn Store> = Arc::new(memory.clone());
        let config = || ServiceTokenConfig::new("test");
        let minted = ServiceTokens::open(plain, clock.clone(), config())
            .await
            .unwrap()
            .mint(MintRequest::new("a", "b").insecure_never_expires())
            .await
            .unwrap();
        let recorder = Arc::new(MemoryRecorder::new(10));
        let options = ServiceTokenOptions::new(config()).recorder(recorder.clone());
        let store = Arc::new(Unlucky(memory, error));
        let tokens = ServiceTokens::open(store, clock.clone(), options)
            .await
            .unwrap();
        let revoked = tokens.revoke(&minted.id, "ada", "lost").await;
        assert_eq!(revoked, Err(expected));
        let events = recorder.events();
        let details: Vec<_> = events
            .iter()
            .map(|it| admin(it).detail.clone().unwrap())
            .collect();
        assert_eq!(details[0], "lost");
        assert!(details[1].starts_with("not done: "), "{details:?}");
        ask(&tokens, &clock, with_token(minted.clear.expose()))
            .await
            .passed();
    }
}

#[tokio::test]
async fn without_time_or_randomness_nothing_is_made() {
    #[derive(Debug)]
    struct Dry;
    impl crate::random::Entropy for Dry {
        fn fill(&self, _: &mut [u8]) -> Result<(), crate::random::EntropyError> {
            Err(crate::random::EntropyError)
        }
    }
    let world = World::new().await;
    let options = ServiceTokenOptions::new(ServiceTokenConfig::new("test")).entropy(Dry);
    let store = Arc::clone(&world.store);
    let tokens = ServiceTokens::open(store, world.clock.clone(), options)
        .await
        .unwrap();
    let minted = tokens.mint(world.request()).await;
    assert_eq!(
        minted.err(),
        Some(TokenError::Entropy(crate::random::EntropyError))
    );
    let request = world.request();
    world.clock.fail();
    let minted = world.tokens.mint(request).await;
    assert!(matches!(minted, Err(TokenError::Clock(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_concurrent_rotations_one_happens() {
    let world = World::new().await;
    let other = world.other(ServiceTokenConfig::new("test")).await;
    for _ in 0..20 {
        let minted = world.mint().await;
        other.refresh().await.unwrap();
        let mut set = tokio::task::JoinSet::new();
        for task in 0..8 {
            let tokens = if task % 2 == 0 {
                world.tokens.clone()
            } else {
                other.clone()
            };
            let id = minted.id.clone();
            set.spawn(async move { tokens.rotate(&id, "ada", HOUR / 2).await });
        }
        let (done, refused): (Vec<_>, Vec<_>) =
            set.join_all().await.into_iter().partition(Result::is_ok);
        assert_eq!(done.len(), 1);
        assert!(
            refused
                .iter()
                .all(|it| matches!(it, Err(TokenError::RotationUnderway { .. })))
        );
        other.refresh().await.unwrap();
        world.tokens.refresh().await.unwrap();
        let new = done.into_iter().next().unwrap().unwrap();
        for tokens in [&world.tokens, &other] {
            for secret in [&minted, &new] {
                let answer = ask(tokens, &world.clock, with_token(secret.clear.expose()));
                answer.await.passed();
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_rotation_brings_a_revoked_token_back() {
    let world = World::new().await;
    let other = world.other(ServiceTokenConfig::new("test")).await;
    for _ in 0..20 {
        let minted = world.mint().await;
        other.refresh().await.unwrap();
        let mut set = tokio::task::JoinSet::new();
        for task in 0..8 {
            let tokens = if task % 2 == 0 {
                world.tokens.clone()
            } else {
                other.clone()
            };
            let id = minted.id.clone();
            set.spawn(async move {
                if task < 2 {
                    tokens.revoke(&id, "ada", "lost").await.unwrap();
                    return None;
                }
                let new = tokens.rotate(&id, "ada", Duration::ZERO).await.ok();
                tokens.refresh().await.unwrap();
                new
            });
        }
        let rotated: Vec<_> = set.join_all().await.into_iter().flatten().collect();
        // The one that revoked refuses at once, the other when it has heard.
        other.refresh().await.unwrap();
        for tokens in [&world.tokens, &other] {
            for secret in rotated.iter().chain([&minted]) {
                let asked = with_token(secret.clear.expose());
                ask(tokens, &world.clock, asked).await.refused();
            }
            assert!(tokens.get(&minted.id).unwrap().revoked.is_some());
        }
    }
}
