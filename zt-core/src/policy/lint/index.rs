//! Which rules may match everything that another one matches: by one thing that each of them asks
//! for, so that not every rule is compared with every other one.

use std::{collections::HashMap, sync::Arc};

use super::relation::trust_domain_of;
use crate::policy::model::{Atom, Clause, PathPattern, PathTemplate, Rule, Segment, Text};

/// Unconditional rules in force, each under one of its clauses.
pub(super) struct Index<'r> {
    exact: HashMap<&'r Atom, Vec<usize>>,
    paths: Paths<'r>,
    /// Rules without a clause that could be looked up.
    wide: Vec<usize>,
}

impl<'r> Index<'r> {
    pub(super) fn new(rules: &'r [Rule]) -> Self {
        let shadowing = || {
            let rules = rules.iter().enumerate();
            rules.filter(|(_, rule)| rule.is_unconditional() && !rule.dry_run)
        };
        let mut often: HashMap<&Atom, usize> = HashMap::new();
        for (_, rule) in shadowing() {
            for atom in keys(rule).flat_map(|clause| &clause.any) {
                *often.entry(atom).or_default() += 1;
            }
        }
        let rarity = |clause: &&Clause| -> usize {
            clause.any.iter().filter_map(|atom| often.get(atom)).sum()
        };
        let mut index = Self {
            exact: HashMap::new(),
            paths: Paths::default(),
            wide: Vec::new(),
        };
        for (at, rule) in shadowing() {
            let Some(clause) = keys(rule).min_by_key(rarity) else {
                index.wide.push(at);
                continue;
            };
            for atom in &clause.any {
                match atom {
                    Atom::Path(PathPattern::Template(path)) => index.paths.insert(path, at),
                    atom => index.exact.entry(atom).or_default().push(at),
                }
            }
        }
        index
    }

    /// Every rule that covers `rule` is among them; some more than once.
    pub(super) fn candidates<'c>(
        &self,
        rule: &'c Rule,
    ) -> impl Iterator<Item = usize> + use<'_, 'r, 'c> {
        let mut found = Vec::new();
        // Each atom of a clause has to be covered, so the first one tells.
        let positive = rule.clauses.iter().filter(|clause| !clause.negated);
        let first = |clause: &'c Clause| -> Option<&'c Atom> {
            let mut atoms = clause.any.iter();
            atoms.find(|atom| **atom != Atom::Always(false))
        };
        for atom in positive.filter_map(first) {
            found.extend(self.exact.get(atom).into_iter().flatten());
            match atom {
                Atom::Path(PathPattern::Template(path)) => self.paths.covering(path, &mut found),
                Atom::Workload(text) => {
                    let domain =
                        trust_domain_of(text).map(|name| Atom::TrustDomain(Text::exact(name)));
                    let named = domain.and_then(|domain| self.exact.get(&domain));
                    found.extend(named.into_iter().flatten());
                }
                _ => {}
            }
        }
        found.sort_unstable();
        found.dedup();
        self.wide.iter().copied().chain(found)
    }
}

/// Clauses of which each atom is covered only by an equal one, or by a template.
fn keys(rule: &Rule) -> impl Iterator<Item = &Clause> {
    rule.clauses
        .iter()
        .filter(|clause| !clause.negated && clause.any.iter().all(is_key))
}

fn is_key(atom: &Atom) -> bool {
    match atom {
        Atom::Kind(_) | Atom::Path(PathPattern::Template(_)) => true,
        Atom::Issuer(text)
        | Atom::Subject(text)
        | Atom::Tenant(text)
        | Atom::Role(text)
        | Atom::Scope(text)
        | Atom::Claim(_, text)
        | Atom::Workload(text)
        | Atom::TrustDomain(text)
        | Atom::Method(text) => matches!(text, Text::Exact(_)),
        _ => false,
    }
}

/// Templates, by their segments.
struct Paths<'r>(Vec<Node<'r>>);

#[derive(Default)]
struct Node<'r> {
    literals: HashMap<&'r Arc<str>, usize>,
    parameter: Option<usize>,
    /// Rules whose template ends here, and those that take the rest.
    ends: Vec<usize>,
    rests: Vec<usize>,
}

impl Default for Paths<'_> {
    fn default() -> Self {
        Self(vec![Node::default()])
    }
}

impl<'r> Paths<'r> {
    fn insert(&mut self, path: &'r PathTemplate, rule: usize) {
        let mut place = 0;
        for segment in &path.segments {
            let next = self.0.len();
            let Some(node) = self.0.get_mut(place) else {
                return;
            };
            place = match segment {
                Segment::Literal(text) => *node.literals.entry(text).or_insert(next),
                Segment::Parameter(_) => *node.parameter.get_or_insert(next),
            };
            if place == next {
                self.0.push(Node::default());
            }
        }
        if let Some(node) = self.0.get_mut(place) {
            match path.rest {
                None => node.ends.push(rule),
                Some(_) => node.rests.push(rule),
            }
        }
    }

    fn covering(&self, path: &PathTemplate, found: &mut Vec<usize>) {
        let mut open = vec![(0, path.segments.as_slice())];
        while let Some((place, segments)) = open.pop() {
            let Some(node) = self.0.get(place) else {
                continue;
            };
            found.extend(&node.rests);
            let Some((segment, segments)) = segments.split_first() else {
                found.extend(&node.ends);
                continue;
            };
            if let Segment::Literal(text) = segment {
                open.extend(node.literals.get(text).map(|place| (*place, segments)));
            }
            open.extend(node.parameter.map(|place| (place, segments)));
        }
    }
}
