//! Whatever is done to it, it answers as the store in memory does.

use std::collections::HashMap;

use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use zt_core::store::{MemoryStore, Versioned};

use super::*;

#[derive(Debug, Clone)]
enum Act {
    Get(usize),
    /// The nth latest version of its key is expected; none where there are not as many.
    Put(usize, Vec<u8>, Option<bool>, usize),
    Remove(usize, usize),
    Scan(usize, Option<usize>, usize),
}

/// Names that are prefixes of one another, and those that an order or a pattern could get wrong.
const KEYS: [&str; 10] = ["", "a", "a/", "a/b", "a b", "B", "a{", "ä", "[a", "z"];

fn act() -> impl Strategy<Value = Act> {
    let key = 0..KEYS.len();
    let value = prop::collection::vec(any::<u8>(), 0..20);
    prop_oneof![
        key.clone().prop_map(Act::Get),
        // For ever, for an hour, or ended already.
        (key.clone(), value, any::<Option<bool>>(), 0..4_usize)
            .prop_map(|(key, value, ends, nth)| Act::Put(key, value, ends, nth)),
        (key.clone(), 1..4_usize).prop_map(|(key, nth)| Act::Remove(key, nth)),
        (key.clone(), prop::option::of(key), 0..5_usize)
            .prop_map(|(prefix, after, limit)| Act::Scan(prefix, after, limit)),
    ]
}

/// Both stores, and the versions that each has given, the latest last.
struct Pair {
    real: RedisStore,
    model: MemoryStore,
    given: HashMap<usize, Vec<(Version, Version)>>,
}

impl Pair {
    fn given(&self, key: usize, nth: usize) -> Option<(Version, Version)> {
        let given = self.given.get(&key)?;
        given.get(given.len().checked_sub(nth)?).copied()
    }

    /// What both have, where it is the same but for the versions, which must belong together.
    fn same(&self, key: usize, real: &Option<Versioned>, model: &Option<Versioned>) {
        assert_eq!(real.is_some(), model.is_some(), "{real:?} and {model:?}");
        let (Some(real), Some(model)) = (real, model) else {
            return;
        };
        assert_eq!((&real.value, real.expires), (&model.value, model.expires));
        let pair = (real.version, model.version);
        assert!(self.given[&key].contains(&pair), "another edition");
    }

    async fn act(&mut self, act: &Act) {
        match act {
            Act::Get(key) => {
                let real = self.real.get(KEYS[*key]).await.unwrap();
                let model = self.model.get(KEYS[*key]).await.unwrap();
                self.same(*key, &real, &model);
            }
            Act::Put(key, value, ends, nth) => {
                let expect = match nth {
                    0 => Some((Expect::Absent, Expect::Absent)),
                    nth => self
                        .given(*key, *nth)
                        .map(|(real, model)| (Expect::Version(real), Expect::Version(model))),
                };
                let Some((real, model)) = expect else { return };
                let now = SystemClock.now().unwrap();
                let hour = Duration::from_secs(3600);
                let end = ends.map(|over| match over {
                    true => now.saturating_sub(hour),
                    false => now + hour,
                });
                let value = Bytes::copy_from_slice(value);
                let real = self.real.put_if(KEYS[*key], value.clone(), end, real).await;
                let model = self.model.put_if(KEYS[*key], value, end, model).await;
                match (real.unwrap(), model.unwrap()) {
                    (Swap::Done(real), Swap::Done(model)) => {
                        let given = self.given.entry(*key).or_default();
                        assert!(given.iter().all(|(old, _)| *old != real), "used twice");
                        given.push((real, model));
                    }
                    (real, model) => assert_eq!(real, model),
                }
            }
            Act::Remove(key, nth) => {
                let Some((real, model)) = self.given(*key, *nth) else {
                    return;
                };
                let removed = self.real.remove(KEYS[*key], real).await.unwrap();
                let expected = self.model.remove(KEYS[*key], model).await.unwrap();
                match expected {
                    Swap::Done(_) => assert_eq!(removed, Swap::Done(real)),
                    Swap::Conflict => assert_eq!(removed, Swap::Conflict),
                }
            }
            Act::Scan(prefix, after, limit) => {
                let (prefix, after) = (KEYS[*prefix], after.map(|after| KEYS[after]));
                let real = self.real.scan(prefix, after, *limit).await.unwrap();
                let model = self.model.scan(prefix, after, *limit).await.unwrap();
                let names = |page: &[(String, Versioned)]| {
                    let names = page.iter().map(|(key, _)| key.clone());
                    names.collect::<Vec<_>>()
                };
                assert_eq!(names(&real), names(&model));
                for ((key, real), (_, model)) in real.into_iter().zip(model) {
                    let key = KEYS.iter().position(|name| *name == key).unwrap();
                    self.same(key, &Some(real), &Some(model));
                }
            }
        }
    }
}

#[test]
fn it_answers_as_the_store_in_memory_does() {
    let Some(server) = RedisServer::start(&[]) else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let client = runtime.block_on(client(&server));
    let mut runner = TestRunner::new(Config {
        cases: 200,
        failure_persistence: None,
        ..Config::default()
    });
    let count = std::cell::Cell::new(0);
    let acts = prop::collection::vec(act(), 1..60);
    let outcome = runner.run(&acts, |acts| {
        count.set(count.get() + 1);
        runtime.block_on(async {
            let name = format!("m{}", count.get());
            let mut pair = Pair {
                real: RedisStore::open(&client, &name).await.unwrap(),
                model: MemoryStore::new(SystemClock),
                given: HashMap::new(),
            };
            for act in &acts {
                pair.act(act).await;
            }
        });
        Ok(())
    });
    outcome.unwrap();
}
