//! The suite that every store of counters passes, over a real server.

use std::sync::atomic::{AtomicU64, Ordering};

use zt_core::store::BoxFuture;

use super::*;
use crate::counter::conformance::{self, Harness};

/// One server, whose clock is moved, and a namespace for each case.
struct Redis {
    server: RedisServer,
    cases: AtomicU64,
    ahead: AtomicU64,
}

impl Redis {
    fn ahead(&self) -> Duration {
        Duration::from_micros(self.ahead.load(Ordering::SeqCst))
    }
}

impl Harness for Redis {
    fn fresh(&self) -> BoxFuture<'_, Arc<dyn CounterStore>> {
        Box::pin(async {
            let case = self.cases.fetch_add(1, Ordering::SeqCst);
            shift_in(&self.server, &format!("case-{case}"), self.ahead());
            let options = options(&self.server)
                .namespace(&format!("case-{case}"))
                .and_then(|options| options.longest_hold(Duration::from_secs(300 * 86_400)))
                .unwrap();
            RedisCounters::initialise(options.clone(), 1).await.unwrap();
            let counters = RedisCounters::connect(options, 1).await.unwrap();
            Arc::new(counters) as Arc<dyn CounterStore>
        })
    }

    fn now(&self) -> Moment {
        let mut now = now();
        now.wall = now.wall + self.ahead();
        now.monotonic += self.ahead();
        now
    }

    fn pass(&self, span: Duration) -> BoxFuture<'_, ()> {
        let span = u64::try_from(span.as_micros()).unwrap();
        self.ahead.fetch_add(span, Ordering::SeqCst);
        // Only the case that runs now counts.
        let last = self.cases.load(Ordering::SeqCst) - 1;
        shift_in(&self.server, &format!("case-{last}"), self.ahead());
        Box::pin(std::future::ready(()))
    }

    fn unit(&self) -> Duration {
        Duration::from_secs(60)
    }

    fn grace(&self) -> Duration {
        Duration::from_secs(3600)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counters_in_redis_pass() {
    let Some(server) = RedisServer::start(&[]) else {
        return;
    };
    let (cases, ahead) = (AtomicU64::new(0), AtomicU64::new(0));
    conformance::run(&Redis {
        server,
        cases,
        ahead,
    })
    .await;
}
