//! Under any cancellation.

use super::*;

/// Small, fast and repeatable.
struct Chance(Cell<u64>);

impl Chance {
    fn below(&self, bound: u64) -> u64 {
        // Xorshift64*.
        let mut state = self.0.get();
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        self.0.set(state);
        (state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % bound
    }
}

/// Gives way a few times, then answers, fails or panics.
fn unreliable(
    path: &str,
) -> impl Future<Output = std::io::Result<Response<Full<Bytes>>>> + Send + use<> {
    let way: u64 = path.rsplit('/').next().unwrap().parse().unwrap();
    async move {
        for _ in 0..way % 4 {
            tokio::task::yield_now().await;
        }
        match way / 4 % 8 {
            0 => panic!("as it is told"),
            1 => Err(std::io::Error::from_raw_os_error(EIO)),
            2 => Ok(Response::new(Full::new(Bytes::new()))),
            _ => Ok(answer().unwrap()),
        }
    }
}

async fn storm(options: Options, requests: u64) -> (Vec<Value>, crate::Health) {
    let (log, disk) = log_with(options);
    let service = Gate::new(
        tower::service_fn(|request: Request<String>| unreliable(request.uri().path())),
        chain(&log, Authorize::default()),
    );
    let workers = (1..=8).map(|seed| {
        let mut service = service.clone();
        tokio::spawn(async move {
            let chance = Chance(Cell::new(seed * 0x9E37_79B9));
            let mut left = Vec::new();
            for _ in 0..requests / 8 {
                let way = chance.below(64);
                let path = match chance.below(4) {
                    0 => "/forbidden".to_owned(),
                    _ => format!("/{way}"),
                };
                let method = match chance.below(2) {
                    0 => Method::GET,
                    _ => Method::POST,
                };
                let mut future = Box::pin(service.call(request(method, &path)));
                let patience = chance.below(8);
                let whole = chance.below(3) > 0;
                left.push(async move {
                    let mut polls = 0;
                    let outcome = std::future::poll_fn(|task| {
                        if !whole && polls == patience {
                            return Poll::Ready(None);
                        }
                        polls += 1;
                        future.as_mut().poll(task).map(Some)
                    })
                    .await;
                    // Dropped, or answered; an answer is read, or not.
                    if let Some(Ok(response)) = outcome
                        && patience > 2
                    {
                        let _ = read(response).await;
                    }
                });
                if left.len() == 64 {
                    futures_util::future::join_all(left.drain(..)).await;
                }
            }
            futures_util::future::join_all(left).await;
        })
    });
    for worker in workers.collect::<Vec<_>>() {
        worker.await.unwrap();
    }
    log.close().unwrap();
    (disk.records(), log.health())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn under_random_cancellation_every_request_has_one_decision_and_one_outcome() {
    const REQUESTS: u64 = 4000;
    std::panic::set_hook(Box::new(|_| {}));
    let (records, health) = storm(Options::default().denials_in_full(u32::MAX), REQUESTS).await;
    let _ = std::panic::take_hook();
    assert_eq!(records.len() as u64, REQUESTS * 2);
    assert_eq!((health.refused, health.rolled_up, health.lost), (0, 0, 0));
    let mut seen: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut ends: BTreeMap<&str, u64> = BTreeMap::new();
    for record in &records {
        let kind = record["kind"].as_str().unwrap();
        seen.entry(record["request_id"].as_str().unwrap())
            .or_default()
            .push(kind);
        if let Some(end) = record["end"].as_str() {
            *ends.entry(end).or_default() += 1;
        }
    }
    assert_eq!(seen.len() as u64, REQUESTS);
    for (request, kinds) in seen {
        assert_eq!(kinds, ["decision", "outcome"], "{request}");
    }
    // The storm was one.
    for end in ["complete", "abandoned", "failed"] {
        assert!(ends[end] > 100, "{ends:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_has_no_place_in_a_storm_is_counted_exactly() {
    const REQUESTS: u64 = 4000;
    let (records, health) = storm(Options::default().max_records(64), REQUESTS).await;
    let mut counted = 0;
    for record in &records {
        if record["kind"] != "rolled-up" {
            counted += 1;
            continue;
        }
        for name in ["undecided", "outcomes", "lost_decisions", "lost_outcomes"] {
            counted += record[name].as_u64().unwrap();
        }
        let denied = record["denied"].as_object().unwrap().values();
        counted += denied.map(|count| count.as_u64().unwrap()).sum::<u64>();
    }
    assert_eq!(counted, REQUESTS * 2);
    assert!(health.rolled_up > 0, "{health:?}");
}
