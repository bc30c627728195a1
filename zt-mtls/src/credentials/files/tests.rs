use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use rustls::crypto::aws_lc_rs::default_provider;
use tracing::{Event, Metadata, Subscriber, span};
use zt_core::clock::{Clock, ClockError, ManualClock, Sleep, Timestamp};

use super::{reload::first, *};
use crate::{
    testing::{TestCa, TestFolder, pem},
    verify::Refusal,
};

const DOMAIN: &str = "shop.example";

fn files(folder: &TestFolder) -> Files {
    Files::new(folder.path("tls.crt"), folder.path("tls.key"))
        .bundle(TrustDomain::parse(DOMAIN).unwrap(), folder.path("ca.crt"))
}

/// A certificate, its key, and the CA that signed it, in PEM.
struct Edition([Vec<u8>; 3]);

impl Edition {
    fn new() -> Self {
        let ca = TestCa::new(DOMAIN);
        let cert = ca.workload("/orders");
        Self([
            cert.chain_pem().into(),
            cert.key_pem().into(),
            pem("CERTIFICATE", ca.root()).into(),
        ])
    }

    fn files(&self) -> [(&str, &[u8]); 3] {
        let [cert, key, ca] = &self.0;
        [("tls.crt", cert), ("tls.key", key), ("ca.crt", ca)]
    }
}

/// Each edition has a CA of its own, so a certificate of one is refused by the CA of another, and has
/// not the key of another.
#[test]
fn a_hundred_swaps_give_neither_a_mixture_nor_an_error() {
    let mut folder = TestFolder::new();
    let editions: Vec<_> = (0..10).map(|_| Edition::new()).collect();
    folder.swap(&editions[0].files());
    let (begun, done) = (AtomicU64::new(0), AtomicBool::new(false));
    let files = files(&folder);
    let looks = thread::scope(|scope| {
        let loaders: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let clock = ManualClock::default();
                    let provider = default_provider();
                    let now = clock.now().unwrap();
                    let (mut known, mut changes) = (None, 0);
                    while !done.load(Ordering::Relaxed) {
                        begun.fetch_add(1, Ordering::Relaxed);
                        let Some(seen) = files.read(known.as_ref()).unwrap() else {
                            continue;
                        };
                        let material = files.material(&seen, &provider, now).unwrap();
                        material.by_own_trust(&provider, now).unwrap();
                        known = Some(seen.marks);
                        changes += 1;
                    }
                    changes
                })
            })
            .collect();
        for edition in editions.iter().cycle().skip(1).take(100) {
            // Not before somebody has begun to look, so that swaps fall into looks.
            let before = begun.load(Ordering::Relaxed);
            while begun.load(Ordering::Relaxed) == before
                && !loaders.iter().any(thread::ScopedJoinHandle::is_finished)
            {
                thread::yield_now();
            }
            folder.swap(&edition.files());
        }
        done.store(true, Ordering::Relaxed);
        let changes = loaders.into_iter().map(|loader| loader.join().unwrap());
        changes.sum::<u64>()
    });
    assert!(looks > 2, "{looks}");
}

/// What the test above would not see if its editions could be mixed.
#[test]
fn a_mixture_would_be_noticed() {
    let folder = TestFolder::new();
    let (one, other) = (Edition::new(), Edition::new());
    for (name, bytes) in one.files() {
        folder.put(name, bytes);
    }
    folder.put("ca.crt", &other.0[2]);
    let (files, provider) = (files(&folder), default_provider());
    let now = ManualClock::default().now().unwrap();
    let seen = files.read(None).unwrap().unwrap();
    let material = files.material(&seen, &provider, now).unwrap();
    let refusal = material.by_own_trust(&provider, now).unwrap_err();
    assert!(matches!(refusal, Refusal::Chain(_)), "{refusal}");
}

#[test]
fn what_is_odd_and_no_error_is_told_once() {
    let folder = TestFolder::new();
    let (one, other) = (Edition::new(), Edition::new());
    for (name, bytes) in one.files() {
        folder.put(name, bytes);
    }
    let told = Told::default();
    let _here = told.listen();
    let start = || {
        let clock = Arc::new(ManualClock::default());
        first(&files(&folder), Arc::new(default_provider()), clock).unwrap();
    };
    start();
    assert_eq!(told.take(), [""; 0]);

    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;

        let mode = |mode| std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(folder.path("tls.key"), mode(0o640)).unwrap();
        start();
        assert_eq!(told.take(), [""; 0], "a group is not others");
        std::fs::set_permissions(folder.path("tls.key"), mode(0o644)).unwrap();
        start();
        assert_eq!(told.take(), ["others may read the private key"]);
        folder.put("tls.key", &one.0[1]);
    }
    folder.put("ca.crt", &other.0[2]);
    start();
    let odd = "our own trust refuses our own certificate; is it of another domain?";
    assert_eq!(told.take(), [odd]);
}

#[tokio::test]
async fn a_failure_is_told_once_and_again_when_it_is_another() {
    let folder = TestFolder::new();
    let edition = Edition::new();
    for (name, bytes) in edition.files() {
        folder.put(name, bytes);
    }
    let clock = ManualClock::default();
    let provider = Arc::new(default_provider());
    let (credentials, reloader) = files(&folder).load_with(provider, clock).await.unwrap();
    let told = Told::default();
    let _here = told.listen();
    let failed = "credentials cannot be replaced; the last good ones stay";

    std::fs::remove_file(folder.path("tls.key")).unwrap();
    reloader.look_here().unwrap_err();
    assert_eq!(told.take(), [failed]);
    reloader.look_here().unwrap_err();
    assert_eq!(told.take(), [""; 0]);
    folder.put("tls.key", "no key");
    reloader.look_here().unwrap_err();
    assert_eq!(told.take(), [failed]);
    folder.put("tls.key", &edition.0[1]);
    assert_eq!(reloader.look_here(), Ok(Reload::Unchanged));
    assert_eq!(told.take(), [""; 0]);
    assert_eq!(credentials.status().last_error, None);
}

#[tokio::test]
async fn a_certificate_that_is_not_replaced_in_time_is_told_once() {
    let folder = TestFolder::new();
    let ca = TestCa::new(DOMAIN);
    let clock = ManualClock::default();
    let now = clock.now().unwrap();
    let mut params = crate::testing::svid_params("spiffe://shop.example/orders");
    crate::testing::valid(&mut params, now, now + Duration::from_secs(900));
    let cert = ca.issue(params);
    folder.put("tls.crt", cert.chain_pem());
    folder.put("tls.key", cert.key_pem());
    folder.put("ca.crt", pem("CERTIFICATE", ca.root()));
    let provider = Arc::new(default_provider());
    let loaded = files(&folder).load_with(provider, clock.clone()).await;
    let (_credentials, reloader) = loaded.unwrap();
    let told = Told::default();
    let _here = told.listen();
    clock.advance(Duration::from_secs(599));
    reloader.look_here().unwrap();
    assert_eq!(told.take(), [""; 0]);
    clock.advance(Duration::from_secs(1));
    reloader.look_here().unwrap();
    let late = "our own certificate is not replaced though it should be";
    assert_eq!(told.take(), [late]);
    reloader.look_here().unwrap();
    assert_eq!(told.take(), [""; 0]);
}

/// The warnings of a test's thread.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<String>>>);

impl Told {
    /// A line that another test's thread reaches for the first time at this moment may be taken for
    /// one that nobody listens to, and stay so: the lines are asked again.
    fn listen(&self) -> tracing::subscriber::DefaultGuard {
        let guard = tracing::subscriber::set_default(self.clone());
        tracing::callsite::rebuild_interest_cache();
        guard
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Subscriber for Told {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("zt_mtls") && *metadata.level() <= tracing::Level::WARN
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        struct Message(String);
        impl tracing::field::Visit for Message {
            fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                if field.name() == "message" {
                    self.0 = format!("{value:?}");
                }
            }
        }
        let mut message = Message(String::new());
        event.record(&mut message);
        self.0.lock().unwrap().push(message.0);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

/// A folder with a first edition.
fn filled() -> TestFolder {
    let folder = TestFolder::new();
    for (name, bytes) in Edition::new().files() {
        folder.put(name, bytes);
    }
    folder
}

/// A clock that panics when it is told to: so does whoever asks it.
#[derive(Debug, Clone)]
struct Breaks(ManualClock, Arc<AtomicBool>);

impl Clock for Breaks {
    fn now(&self) -> Result<Timestamp, ClockError> {
        assert!(!self.1.load(Ordering::SeqCst), "as it is told");
        self.0.now()
    }

    fn monotonic(&self) -> Duration {
        self.0.monotonic()
    }

    fn sleep(&self, span: Duration) -> Sleep {
        self.0.sleep(span)
    }
}

#[tokio::test]
async fn a_look_that_panics_is_told_and_is_not_the_last() {
    let folder = filled();
    let clock = Breaks(ManualClock::default(), Arc::default());
    let provider = Arc::new(default_provider());
    let loaded = files(&folder).load_with(provider, clock.clone()).await;
    let (credentials, reloader) = loaded.unwrap();
    for (name, bytes) in Edition::new().files() {
        folder.put(name, bytes);
    }
    clock.1.store(true, Ordering::SeqCst);
    let mut found = reloader.reload().await;
    if found == Ok(Reload::Settling) {
        found = reloader.reload().await;
    }
    assert_eq!(found, Err(FilesError::Died));
    assert!(credentials.status().last_error.is_some());
    clock.1.store(false, Ordering::SeqCst);
    while reloader.reload().await.unwrap() == Reload::Settling {}
    assert_eq!(credentials.load().generation(), 2);
    assert_eq!(credentials.status().last_error, None);
}

/// Requests may hold every thread that tokio has for what blocks; a list that revokes them comes all
/// the same.
#[test]
fn requests_that_hold_all_blocking_threads_keep_no_file_from_being_read() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .max_blocking_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let folder = filled();
    let (release, held) = std::sync::mpsc::channel::<()>();
    runtime.block_on(async {
        let (begun, begins) = tokio::sync::oneshot::channel();
        let blocked = tokio::task::spawn_blocking(move || {
            begun.send(()).unwrap();
            held.recv()
        });
        begins.await.unwrap();
        let (_credentials, reloader) = files(&folder).load().await.unwrap();
        assert_eq!(reloader.reload().await, Ok(Reload::Unchanged));
        drop(release);
        assert!(blocked.await.unwrap().is_err());
    });
}
