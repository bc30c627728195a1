//! Whether a process should get requests.

use std::{
    collections::BTreeMap,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use serde::Serialize;

/// What a probe found.
///
/// Its reason is fixed text, so that nothing private gets onto a health route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    /// All is well.
    Ready,
    /// Requests would be refused, and why.
    NotReady(&'static str),
}

/// A registry of named probes, for a health route; clones share it.
///
/// ```
/// use zt_core::{clock::ManualClock, state::{Live, Probe, Readiness}};
///
/// let readiness = Readiness::default();
/// let keys = Live::new(["k1"], ManualClock::default());
/// keys.register(&readiness, "keys");
/// assert_eq!(readiness.status().response().status(), 200);
///
/// readiness.register("disk", || Probe::NotReady("it is full"));
/// let status = readiness.status();
/// assert_eq!(status.response().status(), 503);
/// assert_eq!(
///     serde_json::to_string(&status)?,
///     r#"{"ready":false,"probes":{"disk":{"ready":false,"reason":"it is full"},"keys":{"ready":true}}}"#,
/// );
/// # Ok::<_, serde_json::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct Readiness(Arc<Mutex<BTreeMap<&'static str, Ask>>>);

type Ask = Arc<dyn Fn() -> Probe + Send + Sync>;

impl Readiness {
    /// Adds a probe; one of the same name is replaced. It is asked at each
    /// [`status`](Self::status), so it must be quick and must not wait.
    pub fn register(&self, name: &'static str, probe: impl Fn() -> Probe + Send + Sync + 'static) {
        self.lock().insert(name, Arc::new(probe));
    }

    /// Asks every probe. One that panics is not ready.
    #[must_use]
    pub fn status(&self) -> ReadinessStatus {
        // Not asked under the lock: a probe may register another one.
        let probes: Vec<_> = self
            .lock()
            .iter()
            .map(|(name, ask)| (*name, Arc::clone(ask)))
            .collect();
        let probes: BTreeMap<_, _> = probes
            .into_iter()
            .map(|(name, ask)| {
                let found = catch_unwind(AssertUnwindSafe(|| ask()));
                (
                    name,
                    found.unwrap_or(Probe::NotReady("the probe failed")).into(),
                )
            })
            .collect();
        ReadinessStatus {
            ready: probes.values().all(|probe: &ProbeStatus| probe.ready),
            probes,
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<&'static str, Ask>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.lock().keys()).finish()
    }
}

/// What all probes of a [`Readiness`] found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ReadinessStatus {
    /// Whether every probe is ready; so it is where there is none.
    pub ready: bool,
    /// Each probe.
    pub probes: BTreeMap<&'static str, ProbeStatus>,
}

/// What one probe found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ProbeStatus {
    /// Whether it is ready.
    pub ready: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
}

impl From<Probe> for ProbeStatus {
    fn from(probe: Probe) -> Self {
        match probe {
            Probe::Ready => Self {
                ready: true,
                reason: None,
            },
            Probe::NotReady(reason) => Self {
                ready: false,
                reason: Some(reason),
            },
        }
    }
}

impl ReadinessStatus {
    /// 200 where all is ready, 503 otherwise, with this status as JSON.
    #[must_use]
    pub fn response(&self) -> Response<Full<Bytes>> {
        // Names and fixed texts always are JSON; without them the status code still says it.
        let body = serde_json::to_vec(self).unwrap_or_default();
        let mut response = Response::new(Full::new(Bytes::from(body)));
        *response.status_mut() = if self.ready {
            StatusCode::OK
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        };
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http_body_util::BodyExt;

    use super::*;
    use crate::{clock::ManualClock, state::Live};

    #[tokio::test]
    async fn one_probe_that_is_not_ready_is_enough() {
        let readiness = Readiness::default();
        assert!(readiness.status().ready);
        readiness.register("a", || Probe::Ready);
        assert_eq!(readiness.status().response().status(), 200);

        readiness.register("b", || Probe::NotReady("down"));
        let response = readiness.status().response();
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()["content-type"], "application/json");
        assert_eq!(response.headers()["cache-control"], "no-store");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(
            body,
            r#"{"ready":false,"probes":{"a":{"ready":true},"b":{"ready":false,"reason":"down"}}}"#
        );

        readiness.register("b", || Probe::Ready);
        assert!(readiness.status().ready);
    }

    #[test]
    fn a_probe_that_panics_is_not_ready() {
        let readiness = Readiness::default();
        readiness.register("a", || panic!("oh"));
        let status = readiness.status();
        assert!(!status.ready);
        assert_eq!(status.probes["a"].reason, Some("the probe failed"));
    }

    #[test]
    fn a_live_value_shows_its_age_and_not_its_error() {
        let clock = ManualClock::default();
        let readiness = Readiness::default();
        let live = Live::with_max_age((), clock.clone(), Duration::from_secs(60));
        live.register(&readiness, "keys");
        live.failed("cannot reach https://user:password@example.test/");
        assert!(readiness.status().ready);
        clock.advance(Duration::from_secs(61));
        let status = serde_json::to_string(&readiness.status()).unwrap();
        assert!(
            status.contains("too old") && !status.contains("password"),
            "{status}"
        );
        live.swap(());
        assert!(readiness.status().ready);
        drop(live);
        assert!(!readiness.status().ready);
    }
}
