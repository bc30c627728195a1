use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;

use super::{RedbError, RedbFeed, RedbStore};
use crate::{
    clock::{Clock, ManualClock, SystemClock, Timestamp},
    state::{
        Cursor, Feed, FeedError, FeedLimits,
        feed_conformance::{self, Subject, Time},
    },
    store::{
        BoxFuture, Expect, Store, StoreError, Swap, Version, Versioned,
        conformance::{self, Harness},
        in_use_tests,
    },
};

/// A folder that goes away with its test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("zt-redb-{}-{next}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("store.redb")
    }

    async fn store(&self, clock: &ManualClock) -> RedbStore {
        RedbStore::open(self.file(), clock.clone()).await.unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

struct Redb {
    clock: ManualClock,
    folder: Folder,
    next: AtomicU64,
}

impl Redb {
    fn new() -> Self {
        Self {
            clock: ManualClock::default(),
            folder: Folder::new(),
            next: AtomicU64::new(0),
        }
    }
}

impl Harness for Redb {
    fn fresh(&self) -> BoxFuture<'_, Arc<dyn Store>> {
        Box::pin(async {
            let next = self.next.fetch_add(1, Ordering::Relaxed);
            let path = self.folder.0.join(format!("{next}"));
            let store = RedbStore::open(path, self.clock.clone()).await.unwrap();
            Arc::new(store) as Arc<dyn Store>
        })
    }

    fn now(&self) -> Timestamp {
        self.clock.now().unwrap()
    }

    fn pass(&self, span: Duration) -> BoxFuture<'_, ()> {
        self.clock.advance(span);
        Box::pin(std::future::ready(()))
    }
}

#[tokio::test]
async fn keeps_the_contract_on_one_thread() {
    conformance::run(&Redb::new()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn keeps_the_contract_on_many_threads() {
    conformance::run(&Redb::new()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_feed_conforms() {
    let folder = Folder::new();
    let limits = FeedLimits {
        entries: 200,
        bytes: 1 << 20,
    };
    let feed = RedbFeed::open(folder.file(), SystemClock).await.unwrap();
    feed_conformance::all(&Subject {
        feed: Arc::new(feed.with_limits(limits)),
        time: Time::Real,
        overflow: 201,
    })
    .await;
}

async fn put(
    store: &RedbStore,
    key: &str,
    expires: Option<Timestamp>,
) -> Result<Version, StoreError> {
    match store
        .put_if(key, Bytes::from_static(b"x"), expires, Expect::Absent)
        .await?
    {
        Swap::Done(version) => Ok(version),
        Swap::Conflict => panic!("{key} was there"),
    }
}

async fn get(store: &RedbStore, key: &str) -> Option<Versioned> {
    store.get(key).await.unwrap()
}

async fn refused(path: &Path) -> RedbError {
    RedbStore::open(path, SystemClock).await.unwrap_err()
}

#[tokio::test]
async fn refuses_a_file_that_somebody_has_open() {
    let folder = Folder::new();
    let store = folder.store(&ManualClock::default()).await;
    assert!(matches!(refused(&folder.file()).await, RedbError::InUse));
    let mut child = child("another_process_is_refused", &folder.file());
    assert!(child.wait().unwrap().success());
    drop(store);
    folder.store(&ManualClock::default()).await;
}

#[tokio::test]
async fn another_process_is_refused() {
    let Some(path) = std::env::var_os(CHILD) else {
        return;
    };
    assert!(matches!(refused(Path::new(&path)).await, RedbError::InUse));
}

#[tokio::test]
async fn refuses_a_file_that_is_damaged_or_something_else() {
    let folder = Folder::new();
    let store = folder.store(&ManualClock::default()).await;
    for index in 0..500 {
        put(&store, &format!("{index}"), None).await.unwrap();
    }
    drop(store);
    let whole = std::fs::read(folder.file()).unwrap();
    let path = folder.0.join("damaged");
    let mut cut = whole.clone();
    cut.truncate(whole.len() / 3);
    let mut head = whole.clone();
    head[..512].fill(0xff);
    // Every page from the fifth on, so that some hold entries.
    let mut pages = whole.clone();
    for page in pages.chunks_mut(4096).skip(5) {
        page[64..128].fill(0x55);
    }
    let text = "a configuration file, not a store\n"
        .repeat(1000)
        .into_bytes();
    for (what, bytes) in [
        ("cut", cut),
        ("head", head),
        ("pages", pages),
        ("text", text),
    ] {
        std::fs::write(&path, bytes).unwrap();
        let error = refused(&path).await;
        assert!(matches!(error, RedbError::Damaged(_)), "{what}: {error:?}");
    }
    let missing = refused(&folder.0.join("no/such/folder")).await;
    assert!(matches!(missing, RedbError::Io(_)), "{missing:?}");
    folder.store(&ManualClock::default()).await;
}

#[tokio::test]
async fn versions_go_on_over_restarts_and_removals() {
    let folder = Folder::new();
    let clock = ManualClock::default();
    let mut seen = BTreeSet::new();
    for _ in 0..3 {
        let store = folder.store(&clock).await;
        for key in ["a", "b"] {
            let version = put(&store, key, None).await.unwrap();
            assert!(
                seen.last().is_none_or(|last| *last < version),
                "{version:?}"
            );
            seen.insert(version);
            assert_eq!(
                store.remove(key, version).await.unwrap(),
                Swap::Done(version)
            );
        }
        // A write that is gone at once takes a version too.
        let past = clock.now().unwrap();
        seen.insert(put(&store, "a", Some(past)).await.unwrap());
    }
    assert_eq!(seen.len(), 9);
}

#[tokio::test]
async fn a_full_store_refuses_and_forgets_nothing_that_lives() {
    let folder = Folder::new();
    let clock = ManualClock::default();
    let end = clock.now().unwrap() + Duration::from_secs(10);
    let store = folder.store(&clock).await.with_max_entries(3);
    put(&store, "a", None).await.unwrap();
    put(&store, "b", Some(end)).await.unwrap();
    let version = put(&store, "c", None).await.unwrap();
    assert_eq!(put(&store, "d", None).await, Err(StoreError::Full));
    let changed = store
        .put_if("c", "y".into(), None, Expect::Version(version))
        .await;
    assert!(matches!(changed, Ok(Swap::Done(_))));
    clock.advance(Duration::from_secs(10));
    put(&store, "d", None).await.unwrap();
    assert!(get(&store, "a").await.is_some() && get(&store, "b").await.is_none());
}

#[tokio::test]
async fn what_has_expired_is_cleared_away_bit_by_bit() {
    let folder = Folder::new();
    let clock = ManualClock::default();
    let start = clock.now().unwrap();
    let store = folder.store(&clock).await.with_max_entries(101);
    for index in 0..100 {
        put(
            &store,
            &format!("{index}"),
            Some(start + Duration::from_secs(1)),
        )
        .await
        .unwrap();
    }
    clock.advance(Duration::from_secs(1));
    assert_eq!(get(&store, "7").await, None);
    for index in 0..4 {
        put(&store, &format!("new {index}"), None).await.unwrap();
    }
    // Nothing is left that could come back with the clock.
    clock.set_wall(start);
    assert_eq!(store.scan("", None, 1000).await.unwrap().len(), 4);
}

#[tokio::test]
async fn a_clock_that_cannot_answer_is_a_store_that_cannot() {
    let folder = Folder::new();
    let clock = ManualClock::default();
    let store = folder.store(&clock).await;
    let version = put(&store, "a", None).await.unwrap();
    clock.fail();
    assert!(matches!(
        store.get("a").await,
        Err(StoreError::Unavailable(_))
    ));
    assert!(matches!(
        store.scan("", None, 1).await,
        Err(StoreError::Unavailable(_))
    ));
    assert!(matches!(
        store.remove("a", version).await,
        Err(StoreError::Unavailable(_))
    ));
    assert!(matches!(
        put(&store, "b", None).await,
        Err(StoreError::Unavailable(_))
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn calls_that_are_given_up_leave_nothing_half_done() {
    let folder = Folder::new();
    let store = folder.store(&ManualClock::default()).await;
    for round in 0..200 {
        let key = format!("{round}");
        tokio::select! {
            biased;
            _ = store.put_if(&key, "x".into(), None, Expect::Absent) => {}
            () = tokio::task::yield_now() => {}
        }
    }
    let last = put(&store, "last", None).await.unwrap();
    let found = store.scan("", None, 1000).await.unwrap();
    let versions: BTreeSet<_> = found.iter().map(|(_, entry)| entry.version).collect();
    assert_eq!(versions.len(), found.len(), "a version was used twice");
    assert_eq!(versions.last(), Some(&last));
    assert_eq!(
        u64::try_from(found.len()),
        Ok(last.0),
        "a version without its entry"
    );
}

#[test]
fn a_runtime_that_ended_is_no_end_of_the_store() {
    let folder = Folder::new();
    let runtime = || {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .build()
            .unwrap()
    };
    let first = runtime();
    let store = first.block_on(folder.store(&ManualClock::default()));
    let busy = store.clone();
    first.spawn(async move {
        for index in 0.. {
            let _ = put(&busy, &format!("{index}"), None).await;
        }
    });
    first.shutdown_background();
    let version = runtime().block_on(put(&store, "after", None)).unwrap();
    assert!(version.0 > 0);
}

#[test]
fn debug_shows_no_contents() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let folder = Folder::new();
    let store = runtime.block_on(folder.store(&ManualClock::default()));
    runtime.block_on(put(&store, "key-7", None)).unwrap();
    let shown = format!("{store:?} {:?}", RedbFeed::within(&store));
    assert!(!shown.contains("key-7"), "{shown}");
}

#[tokio::test]
async fn the_feed_goes_on_after_a_restart() {
    let folder = Folder::new();
    let clock = ManualClock::default();
    let publish = async |feed: &RedbFeed, text: &'static str| {
        feed.publish("t", Bytes::from_static(text.as_bytes()))
            .await
            .unwrap()
    };
    let store = folder.store(&clock).await;
    let feed = RedbFeed::within(&store);
    let seen = publish(&feed, "a").await;
    publish(&feed, "b").await;
    drop((store, feed));

    let feed = RedbFeed::open(folder.file(), clock).await.unwrap();
    assert_eq!(feed.newest("t").await, Ok(Cursor(2)));
    assert_eq!(feed.newest("never").await, Ok(Cursor(0)));
    publish(&feed, "c").await;
    let batch = feed.subscribe("t", seen).next().await.unwrap();
    let texts: Vec<_> = batch.iter().map(|entry| entry.payload.as_ref()).collect();
    assert_eq!(texts, [b"b", b"c"]);
    assert_eq!(
        feed.subscribe("t", Cursor(4)).next().await,
        Err(FeedError::Lost)
    );
}

#[tokio::test]
async fn a_topic_is_bounded_in_bytes_and_entries() {
    let folder = Folder::new();
    let feed = RedbFeed::open(folder.file(), ManualClock::default())
        .await
        .unwrap();
    let small = |entries, bytes| feed.clone().with_limits(FeedLimits { entries, bytes });
    for payload in ["1234", "5678", "90"] {
        small(100, 8).publish("t", payload.into()).await.unwrap();
    }
    let next = async |from| feed.subscribe("t", Cursor(from)).next().await;
    assert_eq!(next(0).await, Err(FeedError::Lost));
    assert_eq!(next(1).await.unwrap().len(), 2);
    let large = small(100, 8).publish("t", "123456789".into()).await;
    assert_eq!(large, Err(FeedError::TooLarge));
    // A limit that became smaller holds from the next entry on.
    small(0, 8).publish("t", "1".into()).await.unwrap();
    assert_eq!(next(2).await, Err(FeedError::Lost));
    assert_eq!(next(3).await.unwrap()[0].payload, "1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_stands_on_a_store_and_a_feed_runs() {
    let folder = Folder::new();
    let store = RedbStore::open(folder.file(), SystemClock).await.unwrap();
    let feed = RedbFeed::within(&store);
    in_use_tests::replays_are_refused(Arc::new(store.clone())).await;
    let (store, feed) = (Arc::new(store), Arc::new(feed));
    in_use_tests::service_tokens_are_shared(store.clone(), feed.clone()).await;
    in_use_tests::grants_are_decided_once(store, feed).await;
}

const CHILD: &str = "ZT_REDB_CHILD";

/// This test binary, running one test on `path`.
fn child(test: &str, path: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args([
            &format!("store::redb::tests::{test}"),
            "--exact",
            "--nocapture",
        ])
        .env(CHILD, path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_kill_in_the_middle_of_writes() {
    let folder = Folder::new();
    let mut acknowledged = Vec::new();
    for round in 0..5 {
        let mut child = child("another_process_writes_until_it_is_killed", &folder.file());
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let lines = lines.map_while(Result::ok);
        // The last line may be cut.
        let mut lines = lines.filter(|line| line.starts_with("ack ") && line.ends_with('.'));
        acknowledged.extend(lines.by_ref().take(100 + 37 * round));
        child.kill().unwrap();
        child.wait().unwrap();
        acknowledged.extend(lines);
    }
    assert!(acknowledged.len() >= 500, "too few writes to tell");
    let store = folder.store(&ManualClock::default()).await;
    let mut versions = BTreeSet::new();
    for line in &acknowledged {
        let words: Vec<&str> = line.trim_end_matches('.').split(' ').collect();
        let version = Version(words[2].parse().unwrap());
        let found = get(&store, words[1]).await;
        assert_eq!(found.map(|found| found.version), Some(version), "{line}");
        assert!(versions.insert(version), "{line}: used twice");
    }
    let next = put(&store, "after", None).await.unwrap();
    assert!(versions.last().is_some_and(|last| *last < next));
    println!("{} acknowledged writes over five kills", acknowledged.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_process_writes_until_it_is_killed() {
    let Some(path) = std::env::var_os(CHILD) else {
        return;
    };
    let store = RedbStore::open(path, SystemClock).await.unwrap();
    let writers = (0..8).map(|writer| {
        let store = store.clone();
        tokio::spawn(async move {
            for index in 0.. {
                let key = format!("{}/{writer}/{index}", std::process::id());
                let version = put(&store, &key, None).await.unwrap();
                println!("ack {key} {}.", version.0);
            }
        })
    });
    futures_util::future::join_all(writers).await;
}
