use std::{
    any::Any,
    fmt, iter,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use arc_swap::ArcSwapOption;

/// What was worked out about an identity, kept with it and dropped with it: no table grows with the
/// number of callers, and nothing has to be forgotten in time.
///
/// What is kept follows from the identity's facts alone. So it is never copied: a clone, whose facts
/// may be about to change, starts with an empty memo. It is no part of what the identity is. The facts of
/// a principal are its kind, name, rights and claims: not how often they were proved.
pub(crate) struct Memo(ArcSwapOption<Vec<Kept>>);

#[derive(Clone)]
struct Kept {
    edition: u64,
    value: Arc<dyn Any + Send + Sync>,
}

/// Who keeps something in memos. No two are the same, in the whole process and ever.
#[derive(Debug)]
pub(crate) struct Edition(u64);

impl Edition {
    pub(crate) fn new() -> Self {
        // One a load of a policy: no process lives to see 2^64 of them.
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// A policy, its trial and a candidate with its trial, while one of them is reloaded; and conditions, which
/// share one. The oldest goes first.
const EDITIONS: usize = 7;

impl Memo {
    pub(crate) const fn new() -> Self {
        Self(ArcSwapOption::const_empty())
    }

    /// What `edition` keeps here; `make` says what that is where it keeps nothing yet. Reading waits for
    /// nobody and counts nothing that other threads count.
    pub(crate) fn read<T, R>(
        &self,
        edition: &Edition,
        make: impl FnOnce() -> T,
        read: impl FnOnce(&T) -> R,
    ) -> R
    where
        T: Any + Send + Sync,
    {
        let kept = self.0.load();
        let found = kept
            .as_ref()
            .and_then(|kept| kept.iter().find(|kept| kept.edition == edition.0))
            .and_then(|kept| kept.value.downcast_ref::<T>());
        match found {
            Some(value) => read(value),
            None => {
                let value = Arc::new(make());
                self.keep(edition, Arc::clone(&value) as _);
                read(&value)
            }
        }
    }

    #[cold]
    fn keep(&self, edition: &Edition, value: Arc<dyn Any + Send + Sync>) {
        let newest = Kept {
            edition: edition.0,
            value,
        };
        self.0.rcu(|kept| {
            let others = kept.iter().flat_map(|kept| kept.iter());
            let others = others.filter(|kept| kept.edition != edition.0);
            let all = iter::once(&newest).chain(others).take(EDITIONS).cloned();
            Some(Arc::new(all.collect::<Vec<_>>()))
        });
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.0.load().as_ref().map_or(0, |kept| kept.len())
    }
}

/// Empty: see the type.
impl Clone for Memo {
    fn clone(&self) -> Self {
        Self::new()
    }
}

/// Says nothing.
impl fmt::Debug for Memo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Memo")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::Timestamp,
        identity::{AuthMethod, PeerIdentity, PeerSource, Principal, PrincipalKind},
    };

    fn ada() -> Principal {
        Principal::assertion(PrincipalKind::User, "ada", AuthMethod::Jwt).finish()
    }

    fn value(memo: &Memo, edition: &Edition, or: &str) -> String {
        memo.read(edition, || or.to_owned(), String::clone)
    }

    #[test]
    fn one_edition_never_reads_what_another_keeps() {
        let (memo, first, second) = (Memo::new(), Edition::new(), Edition::new());
        assert_eq!(value(&memo, &first, "a"), "a");
        assert_eq!(value(&memo, &second, "b"), "b");
        assert_eq!(value(&memo, &first, "c"), "a");
        assert_eq!(value(&memo, &second, "c"), "b");
        // Of another type there is nothing, whoever asks.
        assert_eq!(memo.read(&first, || 7_u32, |value| *value), 7);
    }

    #[test]
    fn it_keeps_a_few_editions_and_forgets_the_oldest() {
        let memo = Memo::new();
        let editions: Vec<Edition> = (0..100).map(|_| Edition::new()).collect();
        for edition in &editions {
            assert_eq!(value(&memo, edition, "old"), "old");
            assert!(memo.len() <= EDITIONS);
        }
        assert_eq!(value(&memo, &editions[99], "new"), "old");
        assert_eq!(value(&memo, &editions[93], "new"), "old");
        assert_eq!(value(&memo, &editions[92], "new"), "new");
    }

    #[test]
    fn principals_with_other_facts_have_empty_memos() {
        let edition = Edition::new();
        let ada = ada();
        assert_eq!(value(ada.memo(), &edition, "ada"), "ada");
        // The same principal.
        assert_eq!(value(ada.clone().memo(), &edition, "other"), "ada");
        for other in [
            ada.and_also(AuthMethod::Signature).roles(["root"]).finish(),
            ada.strengthened_by(&ada.clone())
                .and_also(AuthMethod::Signature)
                .roles(["root"])
                .finish(),
        ] {
            assert_eq!(value(other.memo(), &edition, "other"), "other");
        }
        assert_eq!(value(ada.memo(), &edition, "other"), "ada");
    }

    /// Further proofs change nothing that rules ask for, and are combined anew for each request.
    #[test]
    fn a_principal_with_further_proofs_remembers_with_the_one_that_it_was() {
        let edition = Edition::new();
        let (ada, root) = (ada(), {
            let root = Principal::assertion(PrincipalKind::Service, "root", AuthMethod::Signature);
            root.roles(["root"]).finish()
        });
        assert_eq!(value(root.memo(), &edition, "root"), "root");
        let both = ada.strengthened_by(&root);
        assert_eq!(value(both.memo(), &edition, "ada"), "ada");
        assert_eq!(value(ada.memo(), &edition, "other"), "ada");
        let more = both.strengthened_by(&ada).strengthened_by(&root);
        assert_eq!(value(more.memo(), &edition, "other"), "ada");
        assert_eq!(more.roles().count(), 0);
        for proof in more.further_proofs() {
            let kept = value(proof.memo(), &edition, "proof");
            assert!(kept == "proof" || proof.subject() == kept, "{kept}");
        }
    }

    #[test]
    fn peers_with_other_facts_have_empty_memos_and_are_compared_without() {
        let edition = Edition::new();
        let peer = PeerIdentity::assertion([7; 32], Timestamp::MAX, PeerSource::Tls).finish();
        let shown = format!("{peer:?}");
        assert_eq!(value(peer.memo(), &edition, "peer"), "peer");
        let copy = peer.clone();
        assert_eq!(value(copy.memo(), &edition, "copy"), "copy");
        assert_eq!(peer, copy);
        let fresh = PeerIdentity::assertion([7; 32], Timestamp::MAX, PeerSource::Tls).finish();
        assert_eq!(peer, fresh);
        assert_eq!(format!("{peer:?}"), shown);
        assert!(!shown.contains("emo"), "{shown}");
    }

    #[test]
    fn threads_that_ask_at_once_get_what_their_own_edition_keeps() {
        let memo = Memo::new();
        let editions: Vec<Edition> = (0..8).map(|_| Edition::new()).collect();
        std::thread::scope(|scope| {
            for (number, edition) in editions.iter().enumerate() {
                let memo = &memo;
                scope.spawn(move || {
                    for _ in 0..1_000 {
                        assert_eq!(memo.read(edition, || number, |value| *value), number);
                    }
                });
            }
        });
        assert!(memo.len() <= EDITIONS);
    }
}
