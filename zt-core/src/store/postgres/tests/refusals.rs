use super::*;
use crate::state::{Cursor, Feed, FeedError, FeedLimits};

#[tokio::test]
async fn refuses_names_that_could_end_a_quotation() {
    for name in [
        "",
        "a\"b",
        "a'b",
        "a;drop",
        "a b",
        "A",
        "ä",
        "1a",
        "_a",
        "pg_zt",
        "a.b",
        "a\0",
        "a-b",
        "a{s}",
        &"a".repeat(41),
    ] {
        let config = PostgresConfig::new("postgres://localhost/x").schema(name);
        let refused = Postgres::open(config).await.unwrap_err();
        assert_eq!(refused, PostgresError::Name(name.into()), "{name:?}");
    }
    for name in ["a", "zt", "a_1", &"a".repeat(40)] {
        let config = PostgresConfig::new("postgres://localhost/x").schema(name);
        assert!(Postgres::open(config).await.is_ok(), "{name:?}");
    }
}

#[tokio::test]
async fn refuses_urls_that_cannot_be_read_and_servers_that_are_not_verified() {
    for (url, expected) in [
        ("", PostgresError::Url),
        ("localhost:5432", PostgresError::Url),
        ("postgres://h/x?sslmode=whatever", PostgresError::Url),
        ("postgres://db.example/x", PostgresError::Unverified),
        (
            "postgres://db.example/x?sslmode=disable",
            PostgresError::Unverified,
        ),
        (
            "postgres://db.example/x?sslmode=require",
            PostgresError::Unverified,
        ),
        (
            "postgres://db.example/x?sslmode=verify-ca",
            PostgresError::Unverified,
        ),
        ("postgres://localhost.example/x", PostgresError::Unverified),
    ] {
        let refused = Postgres::open(PostgresConfig::new(url)).await.unwrap_err();
        assert_eq!(refused, expected, "{url}");
    }
    for url in [
        "postgres://db.example/x?sslmode=verify-full",
        "postgres://localhost/x",
        "postgres://127.0.0.1/x",
        "postgres://[::1]/x",
        "postgres://u@%2Fvar%2Frun/x",
    ] {
        let opened = Postgres::open(PostgresConfig::new(url)).await;
        assert!(opened.is_ok(), "{url}: {opened:?}");
    }
    let anyone = PostgresConfig::new("postgres://db.example/x").insecure_unverified_server();
    assert!(Postgres::open(anyone).await.is_ok());
}

#[tokio::test]
async fn nothing_secret_is_shown() {
    let config = PostgresConfig::new("postgres://u:hunter2@localhost/x");
    let broken = PostgresConfig::new("postgres://u:hunter2@localhost:port/x");
    let refused = Postgres::open(broken).await.unwrap_err();
    let postgres = Postgres::open(config.clone()).await.unwrap();
    let store = PostgresStore::new(&postgres);
    let feed = PostgresFeed::new(&postgres);
    let shown = format!("{config:?} {refused:?} {refused} {postgres:?} {store:?} {feed:?}");
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn a_configuration_names_its_secret_and_nothing_unknown() {
    let read = serde_json::from_str::<PostgresConfig>;
    assert!(read(r#"{"url": "postgres://localhost/x"}"#).is_err());
    assert!(read(r#"{"url": "env:PATH", "scheme": "zt"}"#).is_err());
    assert!(read(r#"{"url": "env:PATH", "schema": "zt", "answer_millis": 200}"#).is_ok());
}

#[tokio::test]
async fn refuses_where_there_is_no_server_or_no_schema() {
    let nobody = PostgresConfig::new("postgres://x@%2Fnonexistent/x");
    let postgres = Postgres::open(nobody).await.unwrap();
    let refused = postgres.migrate().await.unwrap_err();
    assert!(
        matches!(refused, PostgresError::Unavailable(_)),
        "{refused:?}"
    );
    assert!(is_unavailable(PostgresStore::new(&postgres).get("a").await));

    let Some(server) = server() else {
        return;
    };
    let config = PostgresConfig::new(&server.url()).schema("never_made");
    let postgres = Postgres::open(config).await.unwrap();
    let store = PostgresStore::new(&postgres);
    let refused = store.get("a").await.unwrap_err();
    assert!(refused.to_string().contains("migrate"), "{refused}");
    assert!(is_unavailable(put(&store, "a", None).await));
    let feed = PostgresFeed::new(&postgres);
    assert!(matches!(
        feed.newest("t").await,
        Err(FeedError::Unavailable(_))
    ));
}

#[tokio::test]
async fn refuses_a_schema_that_is_somebody_elses_and_leaves_it_alone() {
    let Some(server) = server() else {
        return;
    };
    let make = "CREATE SCHEMA theirs; CREATE TABLE theirs.feed (a int); INSERT INTO theirs.feed VALUES (7);
        CREATE SCHEMA later; CREATE TABLE later.meta (format int); INSERT INTO later.meta VALUES (99);";
    administer(server, make).await.unwrap();
    let migrate = async |name: &str| {
        let config = PostgresConfig::new(&server.url()).schema(name);
        Postgres::open(config).await.unwrap().migrate().await
    };
    assert!(matches!(
        migrate("theirs").await,
        Err(PostgresError::Unavailable(_))
    ));
    assert_eq!(migrate("later").await, Err(PostgresError::Format(99)));
    let check = "DO $$ BEGIN
        ASSERT (SELECT a FROM theirs.feed) = 7;
        ASSERT to_regclass('theirs.entries') IS NULL;
    END $$";
    administer(server, check).await.unwrap();
}

#[tokio::test]
async fn a_full_store_refuses_and_forgets_nothing_that_lives() {
    let Some(postgres) = fresh().await else {
        return;
    };
    let store = PostgresStore::new(&postgres).with_max_entries(3);
    let end = SystemClock.now().unwrap() + Duration::from_millis(1500);
    put(&store, "a", None).await.unwrap();
    put(&store, "b", Some(end)).await.unwrap();
    let version = put(&store, "c", None).await.unwrap();
    assert_eq!(put(&store, "d", None).await, Err(StoreError::Full));
    let there = store.put_if("a", "y".into(), None, Expect::Absent).await;
    assert_eq!(there, Ok(Swap::Conflict));
    let changed = store
        .put_if("c", "y".into(), None, Expect::Version(version))
        .await;
    assert!(matches!(changed, Ok(Swap::Done(_))));
    sleep(1600).await;
    put(&store, "d", None).await.unwrap();
    assert_eq!(put(&store, "b", None).await, Err(StoreError::Full));
    assert!(store.get("a").await.unwrap().is_some());
    let version = store.get("d").await.unwrap().unwrap().version;
    assert_eq!(store.remove("d", version).await, Ok(Swap::Done(version)));
    put(&store, "b", None).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_expired_is_cleared_away_bit_by_bit() {
    let Some(postgres) = fresh().await else {
        return;
    };
    let store = PostgresStore::new(&postgres);
    let past = SystemClock.now().unwrap();
    for round in 0..200 {
        put(&store, &format!("{round}"), Some(past)).await.unwrap();
    }
    for round in 0..40 {
        put(&store, &format!("new {round}"), None).await.unwrap();
        sleep(2).await;
    }
    let schema = postgres.schema();
    let check = format!(
        "DO $$ BEGIN
            ASSERT (SELECT count(*) FROM {schema}.entries WHERE expires IS NOT NULL) < 64;
            ASSERT (SELECT count(*) FROM {schema}.entries) = (SELECT sum(entries) FROM {schema}.counts);
        END $$"
    );
    administer(server().unwrap(), &check).await.unwrap();
}

#[tokio::test]
async fn a_topic_is_bounded_in_bytes_and_entries() {
    let Some(postgres) = fresh().await else {
        return;
    };
    let publish = async |entries, bytes, payload: &'static str| {
        let feed = PostgresFeed::with_limits(&postgres, FeedLimits { entries, bytes });
        feed.publish("t", payload.into()).await
    };
    for payload in ["1234", "5678", "90"] {
        publish(100, 8, payload).await.unwrap();
    }
    let feed = PostgresFeed::new(&postgres);
    let next = async |from| feed.subscribe("t", Cursor(from)).next().await;
    assert_eq!(next(0).await, Err(FeedError::Lost));
    assert_eq!(next(1).await.unwrap().len(), 2);
    assert_eq!(publish(100, 8, "123456789").await, Err(FeedError::TooLarge));
    // A limit that became smaller holds from the next entry on.
    publish(0, 8, "1").await.unwrap();
    assert_eq!(next(2).await, Err(FeedError::Lost));
    assert_eq!(next(3).await.unwrap()[0].payload, "1");
    assert_eq!(next(5).await, Err(FeedError::Lost));
    assert_eq!(next(u64::MAX).await, Err(FeedError::Lost));
    // An entry that somebody took out is a gap.
    publish(100, 8, "2").await.unwrap();
    publish(100, 8, "3").await.unwrap();
    let schema = postgres.schema();
    let gap = format!("DELETE FROM {schema}.feed WHERE place = 5");
    administer(server().unwrap(), &gap).await.unwrap();
    assert_eq!(next(4).await, Err(FeedError::Lost));
}

#[tokio::test]
async fn refuses_a_server_that_is_read_only() {
    let Some(server) = server() else {
        return;
    };
    let postgres = fresh().await.unwrap();
    let make = "CREATE ROLE reader LOGIN SUPERUSER; ALTER ROLE reader SET default_transaction_read_only = on";
    administer(server, make).await.unwrap();
    let url = server.url().replace("postgres@", "reader@");
    let config = PostgresConfig::new(&url).schema(postgres.schema());
    let reader = Postgres::open(config).await.unwrap();
    let store = PostgresStore::new(&reader);
    let refused = put(&store, "a", None).await.unwrap_err();
    assert!(refused.to_string().contains("read-only"), "{refused}");
    let published = PostgresFeed::new(&reader).publish("t", "x".into()).await;
    assert!(matches!(published, Err(FeedError::Unavailable(_))));
}

#[tokio::test]
async fn what_a_role_prefers_does_not_weaken_a_session() {
    use sqlx::Row as _;
    let Some(server) = server() else {
        return;
    };
    let postgres = fresh().await.unwrap();
    let make = "CREATE ROLE careless LOGIN SUPERUSER;
        ALTER ROLE careless SET synchronous_commit = off;
        ALTER ROLE careless SET statement_timeout = 0;
        ALTER ROLE careless SET search_path = public;
        ALTER ROLE careless SET default_transaction_isolation = serializable";
    administer(server, make).await.unwrap();
    let url = server.url().replace("postgres@", "careless@");
    let config = PostgresConfig::new(&url).schema(postgres.schema());
    let careless = Postgres::open(config).await.unwrap();
    for (name, expected) in [
        ("synchronous_commit", "on"),
        ("statement_timeout", "1s"),
        ("search_path", "pg_catalog"),
        ("transaction_isolation", "read committed"),
    ] {
        let show = sqlx::query("SELECT current_setting($1)").bind(name);
        let rows = careless.ask(show).await.unwrap();
        assert_eq!(rows[0].get::<&str, _>(0), expected, "{name}");
    }
}
