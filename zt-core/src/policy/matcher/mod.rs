//! Which rules match a request, on their clauses alone.
//!
//! Rules are laid out in the order in which they decide, and each thing that rules ask gives a set of
//! them: those that ask nothing of it, and those to which this request says yes.
//!
//! - **Who asks** is answered once for each principal and once for each peer, and remembered with it
//!   ([`Memo`](crate::identity::Memo)); rules that ask the same share the answer, and names to the letter
//!   are looked up.
//! - **Path, method and host** are looked up, whatever the number of rules.
//!
//! What all sets have in common are the candidates. Clauses that no set stands for are asked of the
//! candidates one by one: paths as texts with `*` and Istio's templates, negated paths, methods and
//! hosts, headers, addresses, and clauses that ask of several sides at once.
//!
//! Nothing is allocated unless a rule with a condition matches, more than eight templates match one path,
//! a host is written with capitals, or the caller is new.
//!
//! `naive` says the same without any of this, and tests compare the two.

mod bits;
mod callers;
#[cfg(test)]
pub(super) mod naive;
mod names;
mod paths;
mod requests;

use std::{ops::ControlFlow, sync::Arc};

use smallvec::SmallVec;

#[cfg(test)]
pub(crate) use self::naive::naive;
use self::{
    bits::{Bit, Bits, Pair},
    callers::{Callers, CallersBuilder, Known},
    paths::{Matched, Paths, PathsBuilder},
    requests::{Hosts, HostsBuilder, Methods, MethodsBuilder},
};
use super::{
    compiled::RuleIndex,
    facts::Facts,
    model::{Atom, Clause, Effect, Rule, Side},
};
use crate::identity::Edition;

/// An index over rules.
#[derive(Debug)]
pub(crate) struct Matcher {
    /// Under which principals and peers remember what holds of them.
    edition: Edition,
    /// Places in the list of rules, in the order in which they decide.
    order: Box<[Candidate]>,
    ends: Ends,
    principals: Callers,
    peers: Callers,
    paths: Paths,
    methods: Methods,
    hosts: Hosts,
    reads_host: bool,
    /// Whether what is asked of candidates reads claims.
    kept_claims: bool,
}

/// A rule, and what is left to ask.
#[derive(Debug)]
struct Candidate {
    rule: RuleIndex,
    clauses: Box<[Clause]>,
}

/// Where in the order which rules end; behind the last are allowing ones with a condition.
#[derive(Debug, Clone, Copy)]
struct Ends {
    deny: Bit,
    conditional_deny: Bit,
    allow: Bit,
}

/// What was found: places in the list of rules that the matcher was made of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Found {
    /// The first denying rule that matches without a grant or a condition. Nothing else is looked
    /// for where there is one.
    pub deny: Option<RuleIndex>,
    /// The first allowing rule that matches without a grant or a condition.
    pub allow: Option<RuleIndex>,
    /// Rules that match but for their grant or condition, in order: denying ones, and allowing
    /// ones where `allow` is none.
    pub conditional: Vec<RuleIndex>,
}

impl Found {
    /// With the denying rules of `other`, which was found for another spelling of the same request.
    pub(crate) fn or_denied(mut self, other: Self, rules: &[Rule]) -> Self {
        self.deny = self.deny.into_iter().chain(other.deny).min();
        let denies = |at: &RuleIndex| {
            let rule = rules.get(*at as usize);
            rule.is_some_and(|rule| rule.effect == Effect::Deny)
        };
        let further = other.conditional.into_iter().filter(denies);
        self.conditional.extend(further);
        self.conditional.sort_unstable();
        self.conditional.dedup();
        self
    }
}

impl Matcher {
    pub(crate) fn new(rules: &Arc<[Rule]>) -> Self {
        let mut numbered: Vec<(RuleIndex, &Rule)> = (0..).zip(rules.iter()).collect();
        // Stable: within its class each rule keeps its place.
        numbered.sort_by_key(|(_, rule)| class(rule));
        let upto = |last: u8| {
            let within = numbered.partition_point(|(_, rule)| class(rule) <= last);
            Bit::try_from(within).unwrap_or(Bit::MAX)
        };
        let ends = Ends {
            deny: upto(0),
            conditional_deny: upto(1),
            allow: upto(2),
        };
        let mut principals = CallersBuilder::new(Side::Principal);
        let mut peers = CallersBuilder::new(Side::Peer);
        let mut paths = PathsBuilder::new();
        let mut methods = MethodsBuilder::default();
        let mut hosts = HostsBuilder::default();
        let mut order = Vec::with_capacity(numbered.len());
        for (bit, (rule, of)) in (0..).zip(&numbered) {
            let mut left: Vec<&Clause> = of.clauses.iter().collect();
            let mut all = |takes: &dyn Fn(&Clause) -> bool| -> Vec<Clause> {
                left.extract_if(.., |clause| takes(clause))
                    .cloned()
                    .collect()
            };
            principals.add(all(&|clause| principals.takes(clause)), bit);
            peers.add(all(&|clause| peers.takes(clause)), bit);
            // Of several that could be looked up the first is; the others are asked.
            let mut first = |takes: fn(&Clause) -> bool| {
                let at = left.iter().position(|clause| takes(clause))?;
                Some(left.remove(at))
            };
            paths.add(first(PathsBuilder::takes), bit);
            methods.add(first(MethodsBuilder::takes), bit);
            hosts.add(first(HostsBuilder::takes), bit);
            order.push(Candidate {
                rule: *rule,
                clauses: left.into_iter().cloned().collect(),
            });
        }
        let nobody = Facts::of_nobody();
        let atoms = || {
            rules
                .iter()
                .flat_map(|rule| &rule.clauses)
                .flat_map(|c| &c.any)
        };
        Self {
            edition: Edition::new(),
            ends,
            principals: principals.build(&nobody),
            peers: peers.build(&nobody),
            paths: paths.build(),
            methods: methods.build(),
            hosts: hosts.build(),
            reads_host: atoms().any(|atom| matches!(atom, Atom::Host(_))),
            kept_claims: order
                .iter()
                .flat_map(|candidate| &candidate.clauses)
                .any(callers::reads_claims),
            order: order.into(),
        }
    }

    /// Whether any rule asks for the host: then a request whose host is not known can be refused only.
    pub(crate) const fn reads_host(&self) -> bool {
        self.reads_host
    }

    pub(crate) fn find(&self, facts: &Facts<'_>) -> Found {
        let (edition, kept) = (&self.edition, self.kept_claims);
        let principal = facts
            .named()
            .filter(|_| kept || !self.principals.is_empty())
            .map(|who| who.memo());
        let peer = facts
            .peer
            .filter(|_| !self.peers.is_empty())
            .map(|peer| peer.memo());
        self.principals
            .read(principal, edition, facts, kept, |who| {
                self.peers.read(peer, edition, facts, false, |peer| {
                    self.search(who, peer, facts)
                })
            })
    }

    fn search(&self, who: &Known, peer: &Known, facts: &Facts<'_>) -> Found {
        let facts = &Facts {
            claims: who.claims(),
            ..*facts
        };
        let mut matched = Matched::new();
        matched.push(&self.paths.others);
        self.paths.find(facts.path, &mut matched);
        let none = Bits::none();
        let method = self.methods.find(facts.method);
        let host = facts.host.and_then(|host| self.hosts.find(host));
        let sides = [
            (self.peers.is_empty(), [&self.peers.others, &peer.bits]),
            (
                self.principals.is_empty(),
                [&self.principals.others, &who.bits],
            ),
            (
                self.hosts.is_empty(),
                [&self.hosts.others, host.unwrap_or(none)],
            ),
            (self.methods.is_empty(), [method, none]),
        ];
        // Of a side of which no rule asks anything nothing follows.
        let asked = sides.iter().filter(|(is_empty, _)| !is_empty);
        let pairs: SmallVec<[Pair<'_>; 4]> = asked.map(|(_, pair)| *pair).collect();
        let mut found = Found::default();
        bits::in_all(&matched, &pairs, |bit| {
            self.consider(bit, facts, &mut found)
        });
        if found.conditional.len() > 1 {
            found.conditional.sort_unstable();
        }
        found
    }

    /// Denying rules come first, then allowing ones; within each those without a condition.
    fn consider(&self, bit: Bit, facts: &Facts<'_>, found: &mut Found) -> ControlFlow<()> {
        let Some(candidate) = self.order.get(bit as usize) else {
            return ControlFlow::Break(());
        };
        let effect = match bit < self.ends.conditional_deny {
            true => Effect::Deny,
            false => Effect::Allow,
        };
        let mut clauses = candidate.clauses.iter();
        if !clauses.all(|clause| clause.holds_for(effect, facts)) {
            return ControlFlow::Continue(());
        }
        if bit < self.ends.deny {
            found.deny = Some(candidate.rule);
            return ControlFlow::Break(());
        }
        if bit >= self.ends.conditional_deny && bit < self.ends.allow {
            found.allow = Some(candidate.rule);
            return ControlFlow::Break(());
        }
        found.conditional.push(candidate.rule);
        ControlFlow::Continue(())
    }
}

const fn class(rule: &Rule) -> u8 {
    match (rule.effect, rule.is_unconditional()) {
        (Effect::Deny, true) => 0,
        (Effect::Deny, false) => 1,
        (Effect::Allow, true) => 2,
        (Effect::Allow, false) => 3,
    }
}

#[cfg(test)]
mod tests;
