//! Against a server that the tests start.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use sqlx::{Connection as _, Executor as _, PgConnection};
use zt_core::{
    clock::{Clock, SystemClock},
    store::postgres::PostgresError as Database,
    testing::PostgresServer,
};

use super::*;
use crate::{
    follow::{
        FollowOptions, Follower, Halt,
        source::LogFiles,
        tests::{Scratch, checkpoint, log_of, sign, signing_key},
    },
    read::testing::{Memory, TestLog},
};

/// The server that the tests of this process share; it ends with the process.
fn server() -> Option<&'static PostgresServer> {
    static SERVER: OnceLock<Option<PostgresServer>> = OnceLock::new();
    SERVER.get_or_init(PostgresServer::start).as_ref()
}

fn fresh_schema() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Tables that nobody else uses, on the shared server.
async fn fresh() -> Option<Postgres> {
    Some(on(server()?, &fresh_schema()).await)
}

async fn on(server: &PostgresServer, schema: &str) -> Postgres {
    let config = PostgresConfig::new(&server.url()).schema(schema);
    let postgres = Postgres::new(config).unwrap();
    postgres.migrate().await.unwrap();
    postgres
}

/// Runs a script as the administrator would; `{s}` is the schema.
async fn administer(server: &PostgresServer, postgres: &Postgres, script: &str) {
    let script = script.replace("{s}", &postgres.0.schema);
    let mut connection = PgConnection::connect(&server.url()).await.unwrap();
    connection
        .execute(sqlx::AssertSqlSafe(script))
        .await
        .unwrap();
    connection.close().await.unwrap();
}

/// A follower that is as impatient as a test.
fn follow(disk: &Memory, postgres: &Postgres, cursors: &Scratch) -> Follower {
    let options = FollowOptions::new("postgres")
        .poll_every(Duration::from_millis(5))
        .retry(Duration::from_millis(5), Duration::from_millis(50));
    let source = Box::new(LogFiles::over(disk.clone()));
    Follower::follow(source, postgres.sink(), options, &cursors.0).unwrap()
}

/// Copies all of `log`.
async fn ship(log: &TestLog, postgres: &Postgres) {
    let cursors = Scratch::new();
    let follower = follow(&log.disk, postgres, &cursors);
    follower.delivered(log.tree.size()).await.unwrap();
    follower.shutdown().await;
}

fn log_named(origin: &str, count: u64) -> TestLog {
    let mut log = TestLog::new();
    log.origin = origin.to_owned();
    log.batch(count);
    sign(&log);
    log
}

async fn everything(postgres: &Postgres, filter: Filter) -> Vec<Copied> {
    let mut merged = postgres.fleet().merged(filter);
    let mut all = Vec::new();
    loop {
        let page = merged.next_page(7).await.unwrap();
        if page.is_empty() {
            return all;
        }
        all.extend(page);
    }
}

#[test]
fn refuses_a_server_elsewhere_that_need_not_prove_who_it_is() {
    let refused = |url: &str| Postgres::new(PostgresConfig::new(url)).unwrap_err();
    for mode in [
        "",
        "?sslmode=require",
        "?sslmode=verify-ca",
        "?sslmode=prefer",
    ] {
        let url = format!("postgres://zt@db.example/audit{mode}");
        assert_eq!(
            refused(&url),
            PostgresError::Database(Database::Unverified),
            "{url}"
        );
    }
    for url in ["mysql://zt@localhost/audit", "postgres", ""] {
        assert_eq!(
            refused(url),
            PostgresError::Database(Database::Url),
            "{url}"
        );
    }
    let named = |name: &str| PostgresConfig::new("postgres://zt@localhost/a").schema(name);
    for name in ["", "Zt", "pg_zt", "a\"b", "0a"] {
        let found = Postgres::new(named(name)).unwrap_err();
        assert!(
            matches!(found, PostgresError::Database(Database::Name(_))),
            "{name}"
        );
    }
    let good = "postgres://zt:hunter2@db.example/audit?sslmode=verify-full";
    let postgres = Postgres::new(PostgresConfig::new(good)).unwrap();
    assert!(!format!("{postgres:?}").contains("hunter2"));
    let scratch = Scratch::new();
    let file = scratch.0.join("url");
    std::fs::write(&file, good).unwrap();
    let config = serde_json::json!({"url": format!("file:{}", file.display())});
    let config: PostgresConfig = serde_json::from_value(config).unwrap();
    assert!(Postgres::new(config).is_ok());
    let unknown = serde_json::from_str::<PostgresConfig>(r#"{"url":"x","sslmode":"disable"}"#);
    assert!(unknown.is_err());
}

#[tokio::test]
async fn a_server_that_is_away_or_has_no_tables_is_asked_again() {
    let Some(server) = server() else { return };
    let config = PostgresConfig::new(&server.url()).schema(fresh_schema());
    let postgres = Postgres::new(config).unwrap();
    let log = log_of(3);
    let cursors = Scratch::new();
    let follower = follow(&log.disk, &postgres, &cursors);
    let health = follower.until(|health| health.failures > 1).await;
    let said = health.last_error.unwrap();
    assert!(
        said.ends_with("the tables are not there: migrate first"),
        "{said}"
    );
    postgres.migrate().await.unwrap();
    follower.delivered(3).await.unwrap();
    let away = Postgres::new(PostgresConfig::new("postgres://zt@%2Fnonexistent/a")).unwrap();
    let found = away.fleet().logs().await.unwrap_err();
    assert!(matches!(
        found,
        PostgresError::Database(Database::Unavailable(_))
    ));
}

#[tokio::test]
async fn many_may_migrate_at_once_and_a_later_format_is_refused() {
    let Some(server) = server() else { return };
    let schema = fresh_schema();
    let migrations: Vec<_> = (0..6)
        .map(|_| {
            let config = PostgresConfig::new(&server.url()).schema(&schema);
            let postgres = Postgres::new(config).unwrap();
            tokio::spawn(async move { postgres.migrate().await })
        })
        .collect();
    for migration in migrations {
        migration.await.unwrap().unwrap();
    }
    let postgres = on(server, &schema).await;
    administer(server, &postgres, "UPDATE {s}.zt_audit_meta SET format = 9").await;
    assert_eq!(postgres.migrate().await, Err(PostgresError::format(9)));
}

#[tokio::test]
async fn two_logs_are_copied_and_read_as_one() {
    let Some(postgres) = fresh().await else {
        return;
    };
    let mut one = log_named("shop/1", 600);
    one.roll().batch(30);
    sign(&one);
    let mut two = TestLog::new();
    two.origin = "shop/2".to_owned();
    // Half of its records have the times of the other's.
    two.micros += 500 * 1000;
    two.batch(20).record("alert", "").commit();
    sign(&two);
    ship(&one, &postgres).await;
    ship(&two, &postgres).await;

    let all = everything(&postgres, Filter::all()).await;
    assert_eq!(all.len(), 651);
    let keys: Vec<_> = all
        .iter()
        .map(|it| (it.time, it.origin.clone(), it.index))
        .collect();
    assert!(keys.is_sorted());
    assert!(keys.windows(2).all(|pair| pair[0] != pair[1]));
    let of_two = everything(&postgres, Filter::all().origins(["shop/2"])).await;
    assert_eq!(of_two.len(), 21);
    let alerts = everything(&postgres, Filter::all().kinds(["alert"])).await;
    assert_eq!((alerts.len(), alerts[0].index), (1, 20));
    let from = all[100].time;
    let until = all[300].time;
    let between = everything(&postgres, Filter::all().from(from).until(until)).await;
    let expected = all.iter().filter(|it| it.time >= from && it.time < until);
    assert!(between.iter().eq(expected));

    let mut fleet = postgres.fleet();
    let logs = fleet.logs().await.unwrap();
    let told: Vec<_> = logs
        .iter()
        .map(|it| (&*it.origin, it.first, it.next, it.records, it.holes()))
        .collect();
    assert_eq!(told, [("shop/1", 0, 630, 630, 0), ("shop/2", 0, 21, 21, 0)]);
    for log in [&one, &two] {
        let key = signing_key(&log.origin).verifier();
        let found = fleet.verify(&checkpoint(log), &key).await;
        assert_eq!(found, Ok(CopyFinding::Sound));
    }
}

#[tokio::test]
async fn what_comes_again_is_one_record() {
    let Some(postgres) = fresh().await else {
        return;
    };
    let mut log = log_of(700);
    ship(&log, &postgres).await;
    log.batch(9);
    sign(&log);
    // Another cursor: all of it comes again, and a little more.
    ship(&log, &postgres).await;
    let logs = postgres.fleet().logs().await.unwrap();
    assert_eq!((logs[0].records, logs[0].holes()), (709, 0));
}

#[tokio::test]
async fn other_bytes_in_a_records_place_are_a_conflict_and_stay() {
    let Some(postgres) = fresh().await else {
        return;
    };
    ship(&log_of(300), &postgres).await;
    let before = everything(&postgres, Filter::all()).await;
    // The same origin and another history, from record 299 on.
    let mut forked = TestLog::new();
    forked
        .batch(299)
        .record("admin", r#","action":"forged""#)
        .commit();
    sign(&forked);
    let cursors = Scratch::new();
    let follower = follow(&forked.disk, &postgres, &cursors);
    let expected = Halt::Conflict {
        origin: forked.origin.clone(),
        index: 299,
    };
    assert_eq!(follower.stopped().await, expected);
    assert_eq!(follower.health().conflicts, 1);
    assert_eq!(everything(&postgres, Filter::all()).await, before);
}

#[tokio::test]
async fn a_record_that_was_changed_or_removed_in_the_copy_is_named() {
    let Some(server) = server() else { return };
    let Some(postgres) = fresh().await else {
        return;
    };
    let log = log_of(1500);
    ship(&log, &postgres).await;
    let (signed, key) = (checkpoint(&log), signing_key(&log.origin).verifier());
    let mut fleet = postgres.fleet();
    assert_eq!(fleet.verify(&signed, &key).await, Ok(CopyFinding::Sound));
    let other = signing_key("another/log").verifier();
    let unsigned = fleet.verify(&signed, &other).await;
    assert!(matches!(unsigned, Err(PostgresError::Checkpoint(_))));

    const OPEN: &str = "ALTER TABLE {s}.zt_audit_records DISABLE TRIGGER append_only;";
    let script =
        format!("{OPEN} UPDATE {{s}}.zt_audit_records SET record = record || ' ' WHERE idx = 1234");
    administer(server, &postgres, &script).await;
    let found = fleet.verify(&signed, &key).await;
    assert_eq!(found, Ok(CopyFinding::Altered { index: 1234 }));
    let mut merged = fleet.merged(Filter::all());
    let read = loop {
        match merged.next_page(1000).await {
            Ok(page) => assert!(!page.is_empty(), "nothing was noticed"),
            Err(error) => break error,
        }
    };
    let expected = PostgresError::Altered {
        origin: log.origin.clone(),
        index: 1234,
    };
    assert_eq!(read, expected);
    // With a leaf that fits: the root tells.
    let script = format!(
        "{OPEN} UPDATE {{s}}.zt_audit_records SET leaf = sha256('\\x00'::bytea || record) \
         WHERE idx = 1234"
    );
    administer(server, &postgres, &script).await;
    let found = fleet.verify(&signed, &key).await;
    assert_eq!(found, Ok(CopyFinding::OtherHistory));
    let script = format!("{OPEN} DELETE FROM {{s}}.zt_audit_records WHERE idx = 77");
    administer(server, &postgres, &script).await;
    let found = fleet.verify(&signed, &key).await;
    assert_eq!(found, Ok(CopyFinding::Missing { index: 77 }));
    assert_eq!(fleet.logs().await.unwrap()[0].holes(), 1);
}

#[tokio::test]
async fn a_writer_needs_to_insert_and_select_and_may_do_no_more() {
    let Some(server) = server() else { return };
    let Some(owner) = fresh().await else { return };
    let schema = owner.0.schema.to_string();
    let script = format!(
        "create role writer_{schema} login; \
         grant usage on schema {schema} to writer_{schema}; \
         grant select, insert on {schema}.zt_audit_records, {schema}.zt_audit_checkpoints \
         to writer_{schema};"
    );
    administer(server, &owner, &script).await;
    let url = server
        .url()
        .replace("postgres@", &format!("writer_{schema}@"));
    let writer = Postgres::new(PostgresConfig::new(&url).schema(&schema)).unwrap();
    let log = log_of(40);
    ship(&log, &writer).await;
    // Again, with another cursor: comparing needs no more either.
    ship(&log, &writer).await;
    let sink = CheckpointSink::spawn(&writer, Duration::ZERO);
    sink.hook()(&checkpoint(&log));
    sink.shutdown().await.unwrap();
    assert_eq!(everything(&writer, Filter::all()).await.len(), 40);

    for (url, who) in [(&url, "the writer"), (&server.url(), "the owner")] {
        for table in ["zt_audit_records", "zt_audit_checkpoints"] {
            for forbidden in [
                "UPDATE {t} SET origin = ''",
                "DELETE FROM {t}",
                "TRUNCATE {t}",
            ] {
                let statement = forbidden.replace("{t}", &format!("{schema}.{table}"));
                let mut connection = PgConnection::connect(url).await.unwrap();
                let refused = connection.execute(sqlx::AssertSqlSafe(statement)).await;
                let code = refused.unwrap_err().into_database_error().unwrap();
                assert_eq!(code.code().as_deref(), Some("42501"), "{who}: {forbidden}");
            }
        }
    }
}

#[tokio::test]
async fn checkpoints_are_published_and_the_latest_and_largest_are_read() {
    let Some(postgres) = fresh().await else {
        return;
    };
    let (small, large) = (log_of(3), log_of(9));
    for log in [&large, &small] {
        let sink = CheckpointSink::spawn(&postgres, Duration::ZERO);
        sink.hook()(&checkpoint(log));
        // The same one again is one row.
        sink.hook()(&checkpoint(log));
        sink.shutdown().await.unwrap();
    }
    let found = postgres.fleet().checkpoints().await.unwrap();
    assert_eq!(found, [checkpoint(&small), checkpoint(&large)]);
}

#[tokio::test]
async fn a_checkpoint_that_cannot_be_published_is_told() {
    let away = Postgres::new(PostgresConfig::new("postgres://zt@%2Fnonexistent/a")).unwrap();
    let sink = CheckpointSink::spawn(&away, Duration::ZERO);
    assert_eq!(sink.failure(), None);
    sink.hook()(&checkpoint(&log_of(3)));
    let failure = sink.shutdown().await.unwrap_err();
    assert_eq!(failure.size, 3);
    assert!(matches!(
        failure.why,
        PostgresError::Database(Database::Unavailable(_))
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_hangs_holds_up_nobody_and_gets_everything_later() {
    let Some(server) = PostgresServer::start() else {
        return;
    };
    let config = PostgresConfig::new(&server.url())
        .answer_within(Duration::from_millis(300))
        .connect_within(Duration::from_millis(300));
    let postgres = Postgres::new(config).unwrap();
    postgres.migrate().await.unwrap();
    let mut log = log_of(3);
    let cursors = Scratch::new();
    let follower = follow(&log.disk, &postgres, &cursors);
    follower.delivered(3).await.unwrap();
    server.pause();
    log.batch(4);
    sign(&log);
    let health = follower.until(|health| health.failures > 2).await;
    assert_eq!((health.position, health.lag), (3, 4));
    server.resume();
    follower.delivered(7).await.unwrap();
    let logs = postgres.fleet().logs().await.unwrap();
    assert_eq!((logs[0].records, logs[0].holes()), (7, 0));
}

/// Kills the server again and again under two logs that grow, in the middle of batches.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn nothing_is_lost_and_nothing_doubled_over_kills_under_load() {
    let Some(mut server) = PostgresServer::with(&[]) else {
        return;
    };
    let postgres = on(&server, "zt").await;
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let cursors = [Scratch::new(), Scratch::new()];
    let mut writers = Vec::new();
    let mut followers = Vec::new();
    for (number, cursors) in cursors.iter().enumerate() {
        let log = log_named(&format!("shop/{number}"), 1);
        followers.push(follow(&log.disk, &postgres, cursors));
        let (mut log, stop) = (log, Arc::clone(&stop));
        writers.push(std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                log.batch(16);
                sign(&log);
                std::thread::sleep(Duration::from_millis(40));
            }
            log
        }));
    }
    for round in 0..4_u64 {
        SystemClock
            .sleep(Duration::from_millis(250 + 130 * round))
            .await;
        server.kill();
        SystemClock.sleep(Duration::from_millis(200)).await;
        server.restart();
    }
    stop.store(true, Ordering::Relaxed);
    let logs: Vec<_> = writers.into_iter().map(|it| it.join().unwrap()).collect();
    let mut fleet = postgres.fleet();
    let mut failures = false;
    for (log, follower) in logs.iter().zip(followers) {
        follower.delivered(log.tree.size()).await.unwrap();
        let health = follower.shutdown().await;
        failures |= health.last_error.is_some();
        let key = signing_key(&log.origin).verifier();
        let found = fleet.verify(&checkpoint(log), &key).await;
        assert_eq!(found, Ok(CopyFinding::Sound));
    }
    assert!(failures, "no kill was noticed");
    let copies = fleet.logs().await.unwrap();
    let sizes: Vec<_> = logs.iter().map(|log| log.tree.size()).collect();
    let copied: Vec<_> = copies.iter().map(|copy| copy.records).collect();
    assert_eq!(copied, sizes);
    assert!(
        sizes.iter().all(|size| *size > 1000),
        "too few to tell: {sizes:?}"
    );
    println!("{sizes:?} records of two logs over four kills, each once");
}

/// How long records took, by what the database did meanwhile: microseconds of `record` and until
/// durable.
#[derive(Default)]
struct Took(std::sync::Mutex<[Vec<(u64, u64)>; 2]>);

impl Took {
    fn add(&self, away: bool, enqueue: Duration, durable: Duration) {
        let micros = |span: Duration| u64::try_from(span.as_micros()).unwrap();
        self.0.lock().unwrap()[usize::from(away)].push((micros(enqueue), micros(durable)));
    }

    /// How many, p50 and p99 of both.
    fn told(&self, away: bool) -> (usize, [u64; 4]) {
        let all = self.0.lock().unwrap()[usize::from(away)].clone();
        let at = |of: fn(&(u64, u64)) -> u64, percent: usize| {
            let mut values: Vec<_> = all.iter().map(of).collect();
            values.sort_unstable();
            values[values.len() * percent / 100]
        };
        let quantiles = [
            at(|it| it.0, 50),
            at(|it| it.0, 99),
            at(|it| it.1, 50),
            at(|it| it.1, 99),
        ];
        (all.len(), quantiles)
    }
}

/// `ZT_OUTAGE_SECS=60` keeps the server away for a minute.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn permits_are_as_fast_while_the_server_is_away_and_the_copies_are_whole_later() {
    use std::sync::atomic::AtomicBool;

    use zt_core::state::Recorder as _;

    use crate::{AuditLog, Options, testing::permit};

    let Some(mut server) = PostgresServer::with(&[]) else {
        return;
    };
    let secs = std::env::var("ZT_OUTAGE_SECS").ok();
    let span = Duration::from_secs(secs.and_then(|secs| secs.parse().ok()).unwrap_or(3));
    let postgres = on(&server, "zt").await;
    let scratch = Scratch::new();
    let (stop, away) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicBool::new(false)),
    );
    let took = Arc::new(Took::default());
    let (mut logs, mut sinks, mut callers) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..2 {
        let folder = scratch.0.join(format!("audit-{number}"));
        let published = CheckpointSink::spawn(&postgres, Duration::from_millis(200));
        let options = Options::default().on_checkpoint(published.hook());
        let log = AuditLog::open(&folder, options).unwrap();
        let options = FollowOptions::new("postgres")
            .retry(Duration::from_millis(50), Duration::from_millis(500));
        sinks.push((
            Follower::spawn(&folder, postgres.sink(), options).unwrap(),
            published,
        ));
        for _ in 0..4 {
            let (log, stop, away, took) = (log.clone(), stop.clone(), away.clone(), took.clone());
            callers.push(tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let is_away = away.load(Ordering::Relaxed);
                    let event = permit();
                    let begun = SystemClock.monotonic();
                    let durable = log.record(event);
                    let taken = SystemClock.monotonic().saturating_sub(begun);
                    durable
                        .await
                        .expect("a permit is refused while a copy is late");
                    let whole = SystemClock.monotonic().saturating_sub(begun);
                    took.add(is_away, taken, whole);
                    SystemClock.sleep(Duration::from_millis(2)).await;
                }
            }));
        }
        logs.push(log);
    }
    SystemClock.sleep(span).await;
    away.store(true, Ordering::Relaxed);
    tokio::task::block_in_place(|| server.kill());
    SystemClock.sleep(span).await;
    away.store(false, Ordering::Relaxed);
    tokio::task::block_in_place(|| server.restart());
    SystemClock.sleep(Duration::from_secs(1)).await;
    stop.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await.unwrap();
    }

    let mut fleet = postgres.fleet();
    let mut sizes = Vec::new();
    for (log, (follower, published)) in logs.iter().zip(sinks) {
        log.close().unwrap();
        let signed = log.checkpoint().unwrap();
        let size = signed.checkpoint().size;
        follower.delivered(size).await.unwrap();
        let health = follower.shutdown().await;
        assert!(health.last_error.is_some(), "the outage was not noticed");
        assert_eq!((health.lag, health.missed, health.conflicts), (0, 0, 0));
        let found = fleet.verify(&signed, &log.verifier_key()).await;
        assert_eq!(found, Ok(CopyFinding::Sound));
        published.shutdown().await.unwrap();
        sizes.push((log.origin().to_owned(), size));
    }
    let copies = fleet.logs().await.unwrap();
    sizes.sort();
    let copied: Vec<_> = copies
        .iter()
        .map(|copy| (copy.origin.clone(), copy.records))
        .collect();
    assert_eq!(copied, sizes, "lost or doubled");
    let mut seen = Vec::new();
    for note in fleet.checkpoints().await.unwrap() {
        seen.push((note.checkpoint().origin.clone(), note.checkpoint().size));
    }
    seen.dedup();
    assert_eq!(seen, sizes, "the last checkpoints are in the second place");

    let ((up, there), (down, gone)) = (took.told(false), took.told(true));
    println!(
        "server there: {up} permits, enqueue p50/p99 {}/{} us, durable {}/{} us",
        there[0], there[1], there[2], there[3]
    );
    println!(
        "server away:  {down} permits, enqueue p50/p99 {}/{} us, durable {}/{} us",
        gone[0], gone[1], gone[2], gone[3]
    );
    // The middle, and generously: what is measured is the disk, and other tests use it too.
    assert!(
        gone[2] < there[2] * 4 + 20_000,
        "permits waited for the database"
    );
}
