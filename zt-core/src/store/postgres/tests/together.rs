//! Two processes over one database.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    sync::mpsc,
};

use super::*;
use crate::{
    decision::Code,
    identity::{AuthMethod, Principal, PrincipalKind},
    state::{MAX_VIEW_AGE, Sanction, SanctionAction, SanctionTarget, Sanctions},
};

const CHILD: &str = "ZT_POSTGRES_CHILD";
const SUBJECTS: usize = 30;

async fn sanctions(url: &str, schema: &str) -> Sanctions {
    let postgres = Postgres::open(PostgresConfig::new(url).schema(schema)).await;
    let postgres = postgres.unwrap();
    postgres.migrate().await.unwrap();
    let sanctions = Sanctions::builder(SystemClock)
        .store(Arc::new(PostgresStore::new(&postgres)))
        .feed(Arc::new(PostgresFeed::new(&postgres)))
        .open()
        .await
        .unwrap();
    tokio::spawn(sanctions.follow());
    sanctions
}

fn session(name: usize) -> SanctionTarget {
    SanctionTarget::Session(format!("s-{name}").into())
}

/// Prints what it decides about each session, whenever that changes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_process_follows() {
    let Ok(where_to) = std::env::var(CHILD) else {
        return;
    };
    let (url, schema) = where_to.split_once(' ').unwrap();
    let sanctions = sanctions(url, schema).await;
    let principals: Vec<Arc<Principal>> = (0..SUBJECTS)
        .map(|name| {
            Principal::assertion(PrincipalKind::User, "ada", AuthMethod::Jwt)
                .session(format!("s-{name}"))
                .finish()
                .into()
        })
        .collect();
    let mut decided = vec![String::new(); SUBJECTS];
    loop {
        for (name, principal) in principals.iter().enumerate() {
            let now = SystemClock.now().unwrap();
            let code = sanctions
                .check(Some(principal), None, now)
                .map_err(|denial| denial.code());
            let decision = format!("{code:?}");
            if decided[name] != decision {
                println!("decided {name} {} {decision}", now.as_micros());
                decided[name] = decision;
            }
        }
        sleep(1).await;
    }
}

/// What the other process decides, as it says so.
struct Other {
    child: std::process::Child,
    lines: mpsc::Receiver<(usize, Timestamp, String)>,
    decided: BTreeMap<usize, (String, Timestamp)>,
}

impl Other {
    fn start(url: &str, schema: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["store::postgres::tests::together::another_process_follows"])
            .args(["--exact", "--nocapture"])
            .env(CHILD, format!("{url} {schema}"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = mpsc::channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let Some((_, line)) = line.split_once("decided ") else {
                    continue;
                };
                let words: Vec<&str> = line.splitn(3, ' ').collect();
                let at = Timestamp::from_micros(words[1].parse().unwrap());
                let _ = sender.send((words[0].parse().unwrap(), at, words[2].to_owned()));
            }
        });
        Self {
            child,
            lines,
            decided: BTreeMap::new(),
        }
    }

    /// When it came to decide so about all of `names`.
    async fn decides(&mut self, names: std::ops::Range<usize>, decision: &str) -> Timestamp {
        let begun = SystemClock.monotonic();
        loop {
            for (name, at, decision) in self.lines.try_iter() {
                self.decided.insert(name, (decision, at));
            }
            let found = names.clone().map(|name| self.decided.get(&name));
            let found = found.map(|found| found.filter(|(said, _)| said == decision));
            if let Some(all) = found.collect::<Option<Vec<_>>>() {
                return all.into_iter().map(|(_, at)| *at).max().unwrap();
            }
            let waited = elapsed(begun);
            assert!(waited < Duration::from_secs(30), "{:?}", self.decided);
            sleep(1).await;
        }
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sanction_of_one_process_is_obeyed_by_the_other_within_a_second() {
    const PASSES: &str = "Ok(())";
    const REVOKED: &str = "Err(CredentialRevoked)";
    const UNAVAILABLE: &str = "Err(StoreUnavailable)";
    assert_eq!(format!("{:?}", Code::StoreUnavailable), "StoreUnavailable");
    let Some(mut server) = PostgresServer::start() else {
        return;
    };
    let sanctions = sanctions(&server.url(), "zt").await;
    let mut other = Other::start(&server.url(), "zt");
    other.decides(0..SUBJECTS, PASSES).await;

    let mut latencies = Vec::new();
    for name in 0..SUBJECTS - 1 {
        let begun = SystemClock.now().unwrap();
        sanctions
            .impose(Sanction {
                target: session(name),
                action: SanctionAction::Revoke,
                reason: "stolen".to_owned(),
                author: "root".into(),
                expires: None,
            })
            .await
            .unwrap();
        let obeyed = other.decides(name..name + 1, REVOKED).await;
        latencies.push(obeyed.since(begun));
        // Not in step with anybody's heartbeat.
        sleep(37).await;
    }
    latencies.sort_unstable();
    let (median, slowest) = (
        latencies[latencies.len() / 2],
        latencies[latencies.len() - 1],
    );
    println!("obeyed by another process after {median:?} (median), {slowest:?} (slowest)");
    assert!(slowest < Duration::from_secs(1), "{latencies:?}");

    // Nobody who could be struck passes once the view is too old, and no earlier.
    let killed = SystemClock.now().unwrap();
    server.kill();
    let refused = other.decides(0..SUBJECTS, UNAVAILABLE).await;
    let passed_for = refused.since(killed);
    println!("refused {passed_for:?} after the server was gone");
    assert!(
        passed_for > MAX_VIEW_AGE - Duration::from_secs(1),
        "{passed_for:?}"
    );
    assert!(
        passed_for < MAX_VIEW_AGE + Duration::from_millis(500),
        "{passed_for:?}"
    );

    server.restart();
    let restarted = SystemClock.now().unwrap();
    let back = other.decides(SUBJECTS - 1..SUBJECTS, PASSES).await;
    other.decides(0..SUBJECTS - 1, REVOKED).await;
    println!(
        "decides again {:?} after the server was back",
        back.since(restarted)
    );
    let lifted = SystemClock.now().unwrap();
    sanctions
        .lift(&session(0), "root", "a mistake")
        .await
        .unwrap();
    let passes = other.decides(0..1, PASSES).await;
    assert!(passes.since(lifted) < Duration::from_secs(1));
}
