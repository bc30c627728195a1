//! Two processes, one sanction.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, Command, Stdio},
    sync::{Arc, mpsc},
};

use zt_core::{
    clock::Timestamp,
    decision::{Code, Denial},
    identity::{AuthMethod, Principal, PrincipalKind},
    state::{MAX_VIEW_AGE, Sanction, SanctionAction, SanctionTarget, Sanctions},
    store::redis::RedisFeed,
};

use super::*;

/// Where the other process finds the server.
const URL: &str = "ZT_TEST_REDIS_URL";
/// What a line of its own begins with, among those of the test's frame.
const MARK: &str = "seen ";

async fn join(url: &str) -> Sanctions {
    let config = RedisConfig::new(url).unwrap();
    // Below the two seconds that sanctions give a store, for the machine may be busy.
    let client = RedisClient::connect(config.timeout(Duration::from_secs(1))).await;
    let client = client.unwrap();
    let store = RedisStore::open(&client, "zt").await.unwrap();
    let feed = RedisFeed::new(&client, "zt").unwrap();
    let sanctions = Sanctions::builder(SystemClock)
        .store(Arc::new(store))
        .feed(Arc::new(feed))
        .open()
        .await
        .unwrap();
    tokio::spawn(sanctions.follow());
    sanctions
}

fn holder(session: &str) -> Principal {
    Principal::assertion(PrincipalKind::User, "ada", AuthMethod::Jwt)
        .session(session)
        .finish()
}

/// What a caller in `session` is told: `ok`, or the code.
fn told(sanctions: &Sanctions, session: &str) -> &'static str {
    let now = SystemClock.now().unwrap();
    match sanctions.check(Some(&holder(session)), None, now) {
        Ok(()) => "ok",
        Err(denial) => Denial::code(&denial).as_str(),
    }
}

/// Process B: says each change of what the two sessions are told, and when.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the other process of the test below"]
async fn process_b() {
    let Ok(url) = std::env::var(URL) else {
        return;
    };
    let sanctions = join(&url).await;
    let mut before = ["", ""];
    loop {
        let now = ["struck", "other"].map(|session| told(&sanctions, session));
        if now != before {
            let at = SystemClock.now().unwrap().as_micros();
            let mut out = std::io::stdout().lock();
            if writeln!(out, "{MARK}{at} {} {}", now[0], now[1]).is_err() {
                return;
            }
            before = now;
        }
        pass(Duration::from_millis(1)).await;
    }
}

/// Process B, from outside.
struct Other {
    child: Child,
    lines: mpsc::Receiver<(Timestamp, String)>,
}

impl Other {
    fn start(url: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--ignored",
                "--exact",
                "--nocapture",
                "sanctions::process_b",
            ])
            .env(URL, url)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                // The frame's own line has no end yet when the first one of ours comes.
                let Some((_, line)) = line.split_once(MARK) else {
                    continue;
                };
                let (at, told) = line.split_once(' ').unwrap();
                let at = Timestamp::from_micros(at.parse().unwrap());
                if sender.send((at, told.to_owned())).is_err() {
                    return;
                }
            }
        });
        Self { child, lines }
    }

    /// When it said `told`, which must be the next thing that it says.
    fn says(&self, told: &str, within: Duration) -> Timestamp {
        let (at, said) = self.lines.recv_timeout(within).expect(told);
        assert_eq!(said, told);
        at
    }

    fn is_silent(&self, span: Duration) {
        if let Ok((_, said)) = self.lines.recv_timeout(span) {
            panic!("it says `{said}`");
        }
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn now() -> Timestamp {
    SystemClock.now().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_process_imposes_the_other_obeys_within_a_second() {
    let Some(mut server) = RedisServer::start(&DURABLE) else {
        return;
    };
    let second = Duration::from_secs(1);
    let sanctions = join(&server.url()).await;
    let other = Other::start(&server.url());
    other.says("ok ok", second * 10);
    let target = SanctionTarget::Session("struck".into());
    let revoke = || Sanction {
        target: target.clone(),
        action: SanctionAction::Revoke,
        reason: "lost".to_owned(),
        author: "root".into(),
        expires: None,
    };
    let mut took = Vec::new();
    for _ in 0..50 {
        let begun = now();
        sanctions.impose(revoke()).await.unwrap();
        let obeyed = other.says("credential-revoked ok", second);
        took.push(obeyed.since(begun));
        sanctions.lift(&target, "root", "found").await.unwrap();
        other.says("ok ok", second);
    }
    took.sort_unstable();
    println!(
        "obeyed after {:?} at the least, {:?} in the middle, {:?} at most, of {}",
        took[0],
        took[took.len() / 2],
        took[took.len() - 1],
        took.len()
    );
    assert!(took[took.len() - 1] < second);

    sanctions.impose(revoke()).await.unwrap();
    other.says("credential-revoked ok", second);
    server.kill();
    let killed = now();
    let both = "store-unavailable store-unavailable";
    let refused = other.says(both, MAX_VIEW_AGE + second).since(killed);
    println!("refused {refused:?} after the server was killed");
    assert!(refused > MAX_VIEW_AGE - second, "{refused:?}");
    assert!(
        refused <= MAX_VIEW_AGE + Duration::from_millis(100),
        "{refused:?}"
    );
    other.is_silent(second);

    server.restart();
    let back = now();
    let obeyed = other.says("credential-revoked ok", second * 3).since(back);
    println!("back {obeyed:?} after the server was");
    until(second * 3, async || told(&sanctions, "other") == "ok").await;
    sanctions.lift(&target, "root", "found").await.unwrap();
    other.says("ok ok", second);

    // A server that has lost everything pardons nobody.
    sanctions.impose(revoke()).await.unwrap();
    other.says("credential-revoked ok", second);
    assert_eq!(server.command(&["FLUSHALL"]), "OK");
    other.says(both, MAX_VIEW_AGE + second);
    other.is_silent(second * 2);
    assert_eq!(told(&sanctions, "struck"), Code::StoreUnavailable.as_str());
}
