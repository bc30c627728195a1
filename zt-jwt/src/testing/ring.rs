use std::{collections::BTreeMap, sync::Arc};

use serde_json::json;

use super::keys::{Lazy, TestKey, is_rsa};
use crate::algorithm::{Algorithm, Algorithms};

/// The keys of an issuer, one line of succession for each algorithm.
#[derive(Debug)]
pub(super) struct Ring {
    /// What good tokens are signed with unless said otherwise.
    pub(super) usual: Algorithm,
    /// Whose keys are published.
    published: Algorithms,
    /// Whether an RSA algorithm is published once it is used.
    grows: bool,
    generation: u32,
    lines: BTreeMap<Algorithm, Line>,
}

#[derive(Debug)]
struct Line {
    current: Arc<TestKey>,
    next: Option<Arc<TestKey>>,
    old: Vec<Arc<TestKey>>,
}

impl Ring {
    /// Every asymmetric algorithm; RSA, whose keys take long to make, once it is asked for.
    pub(super) fn new() -> Self {
        let published = Algorithms::ASYMMETRIC
            .iter()
            .filter(|algorithm| !is_rsa(*algorithm))
            .collect();
        Self::of(Algorithm::Es256, published, true)
    }

    /// These, of which the first is the usual one.
    pub(super) fn only(algorithms: &[Algorithm]) -> Self {
        let usual = *algorithms.first().expect("an issuer has an algorithm");
        let published = algorithms.iter().copied().collect::<Algorithms>();
        Self::of(usual, published.and(Algorithms::ASYMMETRIC), false)
    }

    fn of(usual: Algorithm, published: Algorithms, grows: bool) -> Self {
        let lines = generation(1)
            .map(|key| {
                let line = Line {
                    current: key.clone(),
                    next: None,
                    old: Vec::new(),
                };
                (key.algorithm, line)
            })
            .collect();
        Self {
            usual,
            published,
            grows,
            generation: 1,
            lines,
        }
    }

    /// The key that signs under `algorithm` now.
    pub(super) fn current(&mut self, algorithm: Algorithm) -> Arc<TestKey> {
        if self.grows && is_rsa(algorithm) {
            self.published = self.published.with(algorithm);
        }
        self.line(algorithm).current.clone()
    }

    /// The published keys as a JSON Web Key Set (RFC 7517 section 5), oldest first.
    pub(super) fn jwks(&self) -> serde_json::Value {
        let keys: Vec<_> = self
            .lines
            .iter()
            .filter(|(algorithm, _)| self.published.contains(**algorithm))
            .flat_map(|(_, line)| line.old.iter().chain([&line.current]).chain(&line.next))
            .map(|key| key.jwk())
            .collect();
        json!({ "keys": keys })
    }

    /// The algorithms whose keys are published.
    pub(super) const fn published(&self) -> Algorithms {
        self.published
    }

    pub(super) fn add_next(&mut self) {
        self.generation += 1;
        for key in generation(self.generation) {
            let algorithm = key.algorithm;
            self.line(algorithm).next = Some(key);
        }
    }

    pub(super) fn use_next(&mut self) {
        if self.lines.values().any(|line| line.next.is_none()) {
            self.add_next();
        }
        for line in self.lines.values_mut() {
            if let Some(next) = line.next.take() {
                line.old.push(std::mem::replace(&mut line.current, next));
            }
        }
    }

    pub(super) fn retire_old(&mut self) {
        for line in self.lines.values_mut() {
            line.old.clear();
        }
    }

    /// Other keys under the names of the current ones.
    pub(super) fn swap_current(&mut self) {
        let rsa = Lazy::default();
        for line in self.lines.values_mut() {
            let TestKey { kid, algorithm, .. } = line.current.as_ref();
            let pair = if is_rsa(*algorithm) {
                rsa.clone()
            } else {
                Lazy::default()
            };
            line.current = Arc::new(TestKey::new(kid.clone(), *algorithm, pair));
        }
    }

    fn line(&mut self, algorithm: Algorithm) -> &mut Line {
        self.lines.get_mut(&algorithm).unwrap_or_else(|| {
            panic!("`{algorithm}` has no key pair: it is for a secret that both sides know")
        })
    }
}

/// A key for each algorithm. Those of RSA are one key under several names.
fn generation(number: u32) -> impl Iterator<Item = Arc<TestKey>> {
    let rsa = Lazy::default();
    Algorithms::ASYMMETRIC.iter().map(move |algorithm| {
        let kid = format!("{}-{number}", algorithm.as_str().to_ascii_lowercase());
        let pair = if is_rsa(algorithm) {
            rsa.clone()
        } else {
            Lazy::default()
        };
        Arc::new(TestKey::new(kid, algorithm, pair))
    })
}
