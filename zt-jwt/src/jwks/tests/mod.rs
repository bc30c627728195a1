//! Key endpoints that behave and that do not, on loopback; the clock is moved by hand.

mod attacks;
mod background;
mod discovery;
mod logs;
mod missing;
mod over_http;
mod server;
mod settings;
mod snapshot;
mod timing;

use std::{
    future::poll_fn,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
    time::Duration,
};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http_body_util::Full;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use zt_core::clock::{Clock, ManualClock};

use super::{
    Current, FetchError, FetchRequest, Fetched, KeySource, Missing, RefreshSettings, RemoteKeys,
};
use crate::{
    algorithm::{Algorithm, Algorithms},
    http::HttpService,
    key::{Found, KeySet},
};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);

/// A fresh key as it stands in a set.
fn jwk(kid: &str) -> String {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let point = pair.public_key().as_ref();
    let (x, y) = point[1..].split_at(32);
    let [x, y] = [x, y].map(|half| URL_SAFE_NO_PAD.encode(half));
    format!(r#"{{"kty":"EC","crv":"P-256","alg":"ES256","kid":"{kid}","x":"{x}","y":"{y}"}}"#)
}

fn set<S: AsRef<str>>(keys: impl IntoIterator<Item = S>) -> String {
    let keys: Vec<_> = keys
        .into_iter()
        .map(|key| key.as_ref().to_owned())
        .collect();
    format!(r#"{{"keys":[{}]}}"#, keys.join(","))
}

/// A client that follows nothing.
fn http() -> HttpService {
    HttpService::new(Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>())
}

fn remote(source: impl KeySource, settings: RefreshSettings, clock: &ManualClock) -> RemoteKeys {
    RemoteKeys::new(
        Arc::new(source),
        Algorithms::ASYMMETRIC,
        settings,
        Arc::new(clock.clone()),
    )
}

/// Whether a token that names `kid` would find its key now.
fn knows(keys: &RemoteKeys, clock: &ManualClock, kid: &str) -> bool {
    match keys.current(clock.monotonic()) {
        Current::Keys(set) => matches!(set.find(Some(kid), Algorithm::Es256), Found::Key(_)),
        Current::None => false,
    }
}

fn has_keys(keys: &RemoteKeys, clock: &ManualClock) -> bool {
    matches!(keys.current(clock.monotonic()), Current::Keys(_))
}

/// A miss, and what came of it: whether it waited.
async fn miss(keys: &RemoteKeys, clock: &ManualClock) -> &'static str {
    match keys.missing(clock.monotonic()) {
        Missing::Unknown => "unknown",
        Missing::Unavailable { .. } => "unavailable",
        Missing::Crowded => "crowded",
        Missing::Fetching(done) => {
            done.await;
            "fetched"
        }
    }
}

/// Lets every other task run until `holds`; a test that waits for ever has failed.
async fn until(mut holds: impl FnMut() -> bool) {
    poll_fn(|task| {
        if holds() {
            return Poll::Ready(());
        }
        task.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Lets every other task go as far as it can without the outside.
async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

/// A source that says what it is told to, and counts.
#[derive(Debug, Clone, Default)]
struct Scripted(Arc<Script>);

#[derive(Debug, Default)]
struct Script {
    answer: Mutex<Answer>,
    asked: AtomicUsize,
    last: Mutex<Option<FetchRequest>>,
}

#[derive(Debug, Clone, Default)]
enum Answer {
    Set(String, Option<Duration>),
    Unchanged,
    #[default]
    Error,
    Hang,
    Panic,
}

impl Scripted {
    fn new(answer: Answer) -> Self {
        let source = Self::default();
        source.says(answer);
        source
    }

    fn says(&self, answer: Answer) {
        *self.0.answer.lock().unwrap() = answer;
    }

    fn asked(&self) -> usize {
        self.0.asked.load(Ordering::SeqCst)
    }
}

impl KeySource for Scripted {
    fn fetch(&self, request: FetchRequest) -> BoxFuture<'_, Result<Fetched, FetchError>> {
        self.0.asked.fetch_add(1, Ordering::SeqCst);
        *self.0.last.lock().unwrap() = Some(request);
        let answer = self.0.answer.lock().unwrap().clone();
        Box::pin(async move {
            match answer {
                Answer::Set(body, fresh_for) => Ok(Fetched::New {
                    body: body.into(),
                    validator: None,
                    fresh_for,
                }),
                Answer::Unchanged => Ok(Fetched::Unchanged { fresh_for: None }),
                Answer::Error => Err(FetchError::Other("no".into())),
                Answer::Hang => std::future::pending().await,
                Answer::Panic => panic!("a source that panics"),
            }
        })
    }
}
