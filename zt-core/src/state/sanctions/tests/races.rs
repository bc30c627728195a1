use super::{
    super::view::{View, changes::Change},
    *,
};

fn view() -> View {
    View::new(10)
}

fn impose(view: &View, sanction: Sanction) -> Change {
    let key = sanction.key();
    let place = view.reserve(&key, Timestamp::EPOCH).unwrap();
    view.impose(sanction, Timestamp::EPOCH, place);
    view.change(&key).unwrap()
}

#[test]
fn what_was_read_before_a_change_here_is_read_again() {
    let view = view();
    let key = revoke("t").key();
    let since = view.since(&key);
    let change = impose(&view, revoke("t"));
    assert!(!view.told(&change, None));
    // The store was asked before it had the sanction.
    assert_eq!(view.adopt(&key, since, None, Timestamp::EPOCH), Ok(false));
    assert!(view.get(&key).is_some());
    let since = view.since(&key);
    assert_eq!(view.adopt(&key, since, None, Timestamp::EPOCH), Ok(true));
    assert!(view.get(&key).is_none());
}

#[test]
fn news_of_a_place_that_is_being_told_is_looked_up_afterwards() {
    let view = view();
    let key = revoke("t").key();
    let change = impose(&view, revoke("t"));
    let since = view.since(&key);
    assert_eq!(view.adopt(&key, since, None, Timestamp::EPOCH), Ok(true));
    assert!(view.get(&key).is_some(), "it strikes until it is lifted");
    assert!(view.told(&change, Some(Arc::new(revoke("t")))));
}

#[test]
fn who_tells_an_older_change_does_not_tell_the_newer_one() {
    let view = view();
    let older = impose(&view, revoke("t"));
    let newer = impose(&view, revoke("t"));
    assert!(!view.told(&older, Some(Arc::new(revoke("t")))));
    assert_eq!(view.untold().len(), 1);
    view.told(&newer, Some(Arc::new(revoke("t"))));
    assert!(view.untold().is_empty());
}

#[test]
fn reading_the_whole_store_keeps_what_it_cannot_have_yet() {
    let view = view();
    let told = impose(&view, revoke("old"));
    view.told(&told, None);
    let untold = impose(&view, revoke("untold"));
    let generation = view.generation();
    let new = impose(&view, revoke("new"));
    view.told(&new, None);
    view.adopt_all(Vec::new(), generation, Timestamp::EPOCH)
        .unwrap();
    assert!(view.get(&revoke("old").key()).is_none());
    assert!(view.get(&revoke("untold").key()).is_some());
    assert!(view.get(&revoke("new").key()).is_some());
    // It still is the same change to whoever is telling it.
    assert!(view.told(&untold, Some(Arc::new(revoke("untold")))));
    assert!(view.untold().is_empty());
}

/// Whatever happens at the same time, in the end all views are what the store is.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn processes_come_to_agree() {
    const TOKENS: [&str; 3] = ["a", "b", "c"];
    for round in 0..20 {
        let cluster = Cluster::with_limits(FeedLimits {
            entries: 16,
            bytes: 10_000,
        });
        let all = [
            cluster.join().await,
            cluster.join().await,
            cluster.join().await,
        ];
        let acting: Vec<_> = (0..6_usize)
            .map(|actor| {
                let sanctions = all[actor % 3].clone();
                let (store, feed) = (cluster.store.clone(), cluster.feed.clone());
                tokio::spawn(async move {
                    for act in 0..40_usize {
                        let chosen = actor * 7 + act * 13 + round;
                        let token = TOKENS[chosen % 3];
                        let target = SanctionTarget::Token(token.into());
                        // Errors are part of it.
                        let _ = match chosen % 11 {
                            0..6 => sanctions.impose(revoke(token)).await,
                            6..9 => sanctions.lift(&target, "root", "x").await,
                            9 => {
                                store.fail(act % 2 == 0);
                                Ok(())
                            }
                            _ => {
                                if act % 2 == 0 {
                                    feed.fail();
                                } else {
                                    feed.heal();
                                }
                                Ok(())
                            }
                        };
                        tokio::task::yield_now().await;
                    }
                })
            })
            .collect();
        for actor in acting {
            actor.await.unwrap();
        }
        cluster.store.fail(false);
        cluster.feed.heal();
        for _ in 0..40 {
            cluster.clock.advance(Duration::from_millis(250));
            // The tasks run on other threads.
            SystemClock.sleep(Duration::from_millis(1)).await;
            settle().await;
        }
        let stored: std::collections::BTreeSet<String> = cluster
            .store
            .values
            .lock()
            .unwrap()
            .keys()
            .cloned()
            .collect();
        for sanctions in &all {
            assert!(sanctions.age() < MAX_VIEW_AGE);
            let seen = sanctions
                .list()
                .iter()
                .map(|one| one.key().to_string())
                .collect();
            assert_eq!(stored, seen, "round {round}");
        }
    }
}
