//! Several instances over one store and one feed.

use super::*;
use crate::{
    clock::SystemClock,
    decision::Code,
    state::{Feed, HEARTBEAT, MAX_VIEW_AGE, MemoryFeed},
};

/// Two instances, of which both follow.
struct Shared {
    feed: MemoryFeed,
    clock: ManualClock,
    store: Arc<Flaky>,
    log: Arc<Log>,
    a: Grants,
    b: Grants,
}

async fn following(
    shared: (&Arc<Flaky>, &ManualClock, &Arc<Log>, &MemoryFeed),
    seed: u64,
) -> Grants {
    let (store, clock, log, feed) = shared;
    let options = GrantOptions::new(config())
        .recorder(Arc::clone(log) as Arc<dyn Recorder>)
        .feed(Arc::new(feed.clone()))
        .entropy(SeededEntropy::new(seed));
    let store = Arc::clone(store) as Arc<dyn Store>;
    Grants::open(store, clock.clone(), options).await.unwrap()
}

impl Shared {
    async fn new() -> Self {
        let clock = ManualClock::default();
        let feed = MemoryFeed::new(clock.clone());
        let store = Arc::new(Flaky::new(&clock));
        let log = Arc::new(Log::default());
        let parts = (&store, &clock, &log, &feed);
        let (a, b) = (following(parts, 1).await, following(parts, 2).await);
        tokio::spawn(a.clone().follow());
        tokio::spawn(b.clone().follow());
        settle().await;
        Self {
            feed,
            clock,
            store,
            log,
            a,
            b,
        }
    }

    async fn approved(&self) -> Grant {
        let asked = self
            .a
            .request(&ada(), "refunds.write", "x", HOUR)
            .await
            .unwrap();
        let grant = self.b.approve(&asked.id, &grace()).await.unwrap();
        settle().await;
        grant
    }

    fn ask(&self, grants: &Grants) -> Result<bool, Code> {
        let now = self.clock.now().unwrap();
        let active = grants.active(&ada(), "refunds.write", now);
        active
            .map(|it| it.is_some())
            .map_err(|denial| denial.code())
    }

    /// Time passes, and everybody gets their turn.
    async fn pass(&self, span: Duration) {
        let step = Duration::from_millis(100);
        let mut passed = Duration::ZERO;
        while passed < span {
            self.clock.advance(step);
            settle().await;
            passed += step;
        }
    }
}

#[tokio::test]
async fn instances_hear_of_each_other() {
    let shared = Shared::new().await;
    let grant = shared.approved().await;
    assert_eq!(
        (shared.ask(&shared.a), shared.ask(&shared.b)),
        (Ok(true), Ok(true))
    );
    shared.a.revoke(&grant.id, &ada(), "done").await.unwrap();
    settle().await;
    assert_eq!(
        (shared.ask(&shared.a), shared.ask(&shared.b)),
        (Ok(false), Ok(false))
    );
}

#[tokio::test]
async fn a_feed_that_is_down_grants_nothing() {
    let shared = Shared::new().await;
    let grant = shared.approved().await;
    shared.pass(MAX_VIEW_AGE * 3).await;
    assert_eq!(shared.ask(&shared.a), Ok(true));
    shared.feed.fail();
    shared.pass(MAX_VIEW_AGE + HEARTBEAT).await;
    for grants in [&shared.a, &shared.b] {
        assert_eq!(shared.ask(grants), Err(Code::StoreUnavailable));
        let now = shared.clock.now().unwrap();
        assert!(grants.scopes(&ada(), now).is_err());
        assert_eq!(grants.get(&grant.id), Err(GrantError::Stale));
        assert!(grants.list(&GrantFilter::default()).is_err());
        let asked = grants.request(&ada(), "refunds.write", "x", HOUR).await;
        assert_eq!(asked, Err(GrantError::Stale));
    }
    shared.feed.heal();
    shared.pass(HEARTBEAT * 3).await;
    assert_eq!(shared.ask(&shared.a), Ok(true));
}

#[tokio::test]
async fn a_store_that_is_down_grants_nothing() {
    let shared = Shared::new().await;
    let grant = shared.approved().await;
    shared.store.set_down(true);
    // The feed goes on beating: it alone cannot say what the store would.
    shared.pass(MAX_VIEW_AGE - HEARTBEAT * 2).await;
    assert_eq!(shared.ask(&shared.a), Ok(true));
    shared.pass(HEARTBEAT * 4).await;
    for grants in [&shared.a, &shared.b] {
        assert_eq!(shared.ask(grants), Err(Code::StoreUnavailable));
        for answer in [
            grants.approve(&grant.id, &grace()).await,
            grants.revoke(&grant.id, &ada(), "x").await,
        ] {
            assert!(matches!(answer, Err(GrantError::Store(_))), "{answer:?}");
        }
    }
    shared.store.set_down(false);
    shared.pass(HEARTBEAT * 3).await;
    assert_eq!(shared.ask(&shared.a), Ok(true));
}

#[tokio::test]
async fn nobody_who_follows_means_nothing_is_granted() {
    let clock = ManualClock::default();
    let feed = MemoryFeed::new(clock.clone());
    let (store, log) = (Arc::new(Flaky::new(&clock)), Arc::new(Log::default()));
    let grants = following((&store, &clock, &log, &feed), 1).await;
    let ask = || grants.active(&ada(), "refunds.write", clock.now().unwrap());
    clock.advance(MAX_VIEW_AGE);
    assert_eq!(ask().unwrap(), None);
    clock.advance(Duration::from_micros(1));
    assert_eq!(ask().unwrap_err().code(), Code::StoreUnavailable);
}

#[tokio::test]
async fn a_revocation_that_cannot_be_announced_says_so_and_is_announced_later() {
    let shared = Shared::new().await;
    let grant = shared.approved().await;
    shared.feed.fail();
    let revoked = shared.a.revoke(&grant.id, &ada(), "lost").await;
    assert!(
        matches!(revoked, Err(GrantError::Unannounced(_))),
        "{revoked:?}"
    );
    assert_eq!(shared.ask(&shared.a), Ok(false), "in force here");
    shared.feed.heal();
    shared.pass(Duration::from_secs(2)).await;
    assert_eq!(shared.ask(&shared.b), Ok(false), "and there");
}

#[tokio::test]
async fn news_that_are_no_keys_are_passed_over() {
    let shared = Shared::new().await;
    shared.approved().await;
    for payload in [
        &b"\xff"[..],
        b"",
        b"grant/probe",
        b"service-token/id/x",
        b"grant/id/",
    ] {
        let payload = Bytes::copy_from_slice(payload);
        shared.feed.publish("grants", payload).await.unwrap();
    }
    shared.pass(MAX_VIEW_AGE * 2).await;
    assert_eq!(shared.ask(&shared.b), Ok(true));
}

#[tokio::test]
async fn only_one_of_several_notes_an_end() {
    let shared = Shared::new().await;
    shared.approved().await;
    shared.pass(HOUR + HEARTBEAT * 4).await;
    assert_eq!(shared.log.count("expired"), 1);
    assert_eq!(shared.log.count("undone"), 0);
}

/// Many approve and reject at once, on several instances that share `store`: one is told yes, all
/// others that it is decided, and one event is on record.
pub(crate) async fn race(store: Arc<dyn Store>, copies: usize) {
    let log = Arc::new(Log::default());
    let open = async || {
        let options = GrantOptions::new(config()).recorder(Arc::clone(&log) as Arc<dyn Recorder>);
        Grants::open(Arc::clone(&store), SystemClock, options)
            .await
            .unwrap()
    };
    let instances = [open().await, open().await, open().await];
    let asked = instances[0]
        .request(&ada(), "refunds.write", "x", HOUR)
        .await
        .unwrap();
    let tries = (0..copies).map(|number| {
        let (grants, id) = (instances[number % 3].clone(), Arc::clone(&asked.id));
        let who = person(&format!("approver {number}"), &["grant.approve"]);
        tokio::spawn(async move {
            match number % 4 {
                0 => grants.reject(&id, &who, "no").await,
                _ => grants.approve(&id, &who).await,
            }
        })
    });
    let answers = futures_util::future::join_all(tries).await;
    let mut won = Vec::new();
    for answer in answers {
        match answer.unwrap() {
            Ok(grant) => won.push(grant),
            Err(GrantError::Decided { state }) => {
                assert!(matches!(state, GrantState::Approved | GrantState::Rejected));
            }
            Err(error) => panic!("{error:?}"),
        }
    }
    assert_eq!(won.len(), 1, "{won:?}");
    assert_eq!(log.count("approved") + log.count("rejected"), 1);
    let event = log.events().pop().unwrap();
    let decided = won[0].decided.as_ref().unwrap();
    assert_eq!(
        event.author,
        decided.by.as_ref().map(|by| Arc::clone(&by.subject))
    );
    assert_eq!(event.action, won[0].state.as_str());
    for grants in &instances {
        grants.refresh().await.unwrap();
        let now = SystemClock.now().unwrap();
        let active = grants.active(&ada(), "refunds.write", now).unwrap();
        assert_eq!(active.is_some(), won[0].state == GrantState::Approved);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_who_decide_one_does() {
    for _ in 0..10 {
        race(Arc::new(MemoryStore::new(SystemClock)), 24).await;
    }
}
