//! What rules ask of a caller: answered once for each caller, and remembered with it.

use std::{collections::HashMap, hash::Hash, sync::Arc};

use serde_json::Value;

use super::bits::{Bit, Bits};
use crate::{
    identity::{Edition, Memo},
    policy::{
        facts::Facts,
        model::{Atom, Clause, Side, Text},
    },
};

/// What rules ask of one side of the caller: of the principal, or of the peer. Rules that ask the same
/// share an answer.
#[derive(Debug)]
pub(super) struct Callers {
    predicates: Box<[Predicate]>,
    /// Predicates that cannot hold unless the caller is called so.
    by_name: HashMap<Name, HashMap<Arc<str>, Vec<usize>>>,
    /// All others.
    unnamed: Vec<usize>,
    /// Rules that ask nothing of this side.
    pub(super) others: Bits,
    /// What holds of nobody.
    nobody: Known,
    /// Whether anything reads claims.
    claims: bool,
}

#[derive(Debug)]
struct Predicate {
    /// All have to hold.
    clauses: Vec<Clause>,
    rules: Vec<Bit>,
}

/// What is remembered of a caller.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) bits: Bits,
    /// Its claims, where clauses that are left for later read them.
    claims: Option<Value>,
}

impl Known {
    pub(super) const fn claims(&self) -> Option<&Value> {
        self.claims.as_ref()
    }
}

/// In what a caller is called something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Name {
    Issuer,
    Subject,
    Tenant,
    Role,
    Scope,
    Workload,
    TrustDomain,
}

impl Callers {
    /// Whether no rule asks anything of this side.
    pub(super) const fn is_empty(&self) -> bool {
        self.predicates.is_empty()
    }

    /// What holds of the caller with this memo; nobody has none. `facts` are those of this request, of
    /// which nothing is read but this side of the caller. `kept_claims` says whether claims are asked
    /// for again.
    pub(super) fn read<R>(
        &self,
        memo: Option<&Memo>,
        edition: &Edition,
        facts: &Facts<'_>,
        kept_claims: bool,
        read: impl FnOnce(&Known) -> R,
    ) -> R {
        match memo {
            None => read(&self.nobody),
            Some(memo) => memo.read(edition, || self.know(facts, kept_claims), read),
        }
    }

    fn know(&self, facts: &Facts<'_>, kept_claims: bool) -> Known {
        // Parsed here, once, and not by each atom.
        let claims = (self.claims || kept_claims)
            .then(|| facts.parsed_claims())
            .flatten();
        let bits = self.bits(&Facts {
            claims: claims.as_ref(),
            ..*facts
        });
        Known {
            bits,
            claims: claims.filter(|_| kept_claims),
        }
    }

    fn bits(&self, facts: &Facts<'_>) -> Bits {
        let held = self
            .asked(facts)
            .into_iter()
            .filter_map(|predicate| self.predicates.get(predicate))
            .filter(|predicate| predicate.clauses.iter().all(|clause| clause.holds(facts)));
        Bits::of(held.flat_map(|held| held.rules.iter().copied()).collect())
    }

    /// The predicates that can hold.
    fn asked(&self, facts: &Facts<'_>) -> Vec<usize> {
        let mut asked = self.unnamed.clone();
        for (name, values) in &self.by_name {
            name.each(facts, |value| {
                asked.extend(values.get(value).into_iter().flatten());
            });
        }
        asked.sort_unstable();
        asked.dedup();
        asked
    }

    #[cfg(test)]
    pub(super) fn asked_of(&self, facts: &Facts<'_>) -> usize {
        self.asked(facts).len()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.predicates.len()
    }
}

impl Name {
    /// What the atom asks the caller to be called, where it asks for one thing to the letter.
    fn of(atom: &Atom) -> Option<(Self, &Arc<str>)> {
        let (name, text) = match atom {
            Atom::Issuer(text) => (Self::Issuer, text),
            Atom::Subject(text) => (Self::Subject, text),
            Atom::Tenant(text) => (Self::Tenant, text),
            Atom::Role(text) => (Self::Role, text),
            Atom::Scope(text) => (Self::Scope, text),
            Atom::Workload(text) => (Self::Workload, text),
            Atom::TrustDomain(text) => (Self::TrustDomain, text),
            _ => return None,
        };
        match text {
            Text::Exact(text) => Some((name, text)),
            _ => None,
        }
    }

    /// Everything that the caller is called.
    fn each(self, facts: &Facts<'_>, mut called: impl FnMut(&str)) {
        let who = facts.named();
        let one = match self {
            Self::Issuer => who.and_then(|who| who.issuer()),
            Self::Subject => who.map(|who| who.subject()),
            Self::Tenant => who.and_then(|who| who.tenant()),
            Self::Workload => facts.workload(),
            Self::TrustDomain => facts.trust_domain(),
            Self::Role => {
                who.into_iter()
                    .flat_map(|who| who.roles())
                    .for_each(&mut called);
                None
            }
            Self::Scope => {
                who.into_iter()
                    .flat_map(|who| who.scopes())
                    .for_each(&mut called);
                None
            }
        };
        if let Some(name) = one {
            called(name);
        }
    }
}

/// Gathers what rules ask of one side.
#[derive(Debug)]
pub(super) struct CallersBuilder {
    side: Side,
    interned: HashMap<Vec<Clause>, usize>,
    predicates: Vec<Predicate>,
    others: Vec<Bit>,
}

impl CallersBuilder {
    pub(super) fn new(side: Side) -> Self {
        Self {
            side,
            interned: HashMap::new(),
            predicates: Vec::new(),
            others: Vec::new(),
        }
    }

    /// Whether the clause asks of this side, and of nothing else.
    pub(super) fn takes(&self, clause: &Clause) -> bool {
        !clause.any.is_empty() && clause.any.iter().all(|atom| atom.side() == self.side)
    }

    pub(super) fn add(&mut self, clauses: Vec<Clause>, bit: Bit) {
        if clauses.is_empty() {
            self.others.push(bit);
            return;
        }
        let fresh = self.predicates.len();
        let at = *self.interned.entry(clauses.clone()).or_insert(fresh);
        match self.predicates.get_mut(at) {
            Some(predicate) => predicate.rules.push(bit),
            None => self.predicates.push(Predicate {
                clauses,
                rules: vec![bit],
            }),
        }
    }

    pub(super) fn build(self, nobody: &Facts<'_>) -> Callers {
        let mut usual: HashMap<(Name, &Arc<str>), usize> = HashMap::new();
        for predicate in &self.predicates {
            for name in predicate.clauses.iter().filter_map(names).flatten() {
                *usual.entry(name).or_default() += 1;
            }
        }
        let mut by_name: HashMap<Name, HashMap<Arc<str>, Vec<usize>>> = HashMap::new();
        let mut unnamed = Vec::new();
        for (at, predicate) in self.predicates.iter().enumerate() {
            // By the clause whose names stand in the fewest predicates.
            let rarest = predicate
                .clauses
                .iter()
                .filter_map(names)
                .min_by_key(|names| {
                    let each = names.iter().filter_map(|name| usual.get(name));
                    each.sum::<usize>()
                });
            match rarest {
                Some(names) => {
                    for (name, text) in names {
                        let values = by_name.entry(name).or_default();
                        values.entry(Arc::clone(text)).or_default().push(at);
                    }
                }
                None => unnamed.push(at),
            }
        }
        let claims = self
            .predicates
            .iter()
            .flat_map(|predicate| &predicate.clauses)
            .any(reads_claims);
        let mut callers = Callers {
            predicates: self.predicates.into(),
            by_name,
            unnamed,
            others: Bits::of(self.others),
            nobody: Known::default(),
            claims,
        };
        callers.nobody.bits = callers.bits(nobody);
        callers
    }
}

/// The names of which the caller has to have one, where the clause says that and nothing else.
fn names(clause: &Clause) -> Option<Vec<(Name, &Arc<str>)>> {
    if clause.negated || clause.any.is_empty() {
        return None;
    }
    clause.any.iter().map(Name::of).collect()
}

pub(super) fn reads_claims(clause: &Clause) -> bool {
    let reads = |atom: &Atom| matches!(atom, Atom::Claim(..) | Atom::Istio(_));
    clause.any.iter().any(reads)
}
