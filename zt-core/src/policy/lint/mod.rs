//! Rules that can never match, and rules that never decide because others always do.
//!
//! **A rule is unreachable** where two things that it says exclude each other: a workload of another
//! trust domain, a role of somebody anonymous, no choice at all.
//!
//! **A rule is shadowed** where one other rule matches everything that it matches, and comes first
//! whenever both do: an unconditional denying rule before every allowing and every conditional denying
//! one, wherever it stands; an unconditional allowing rule before every conditional allowing one; and
//! of unconditional rules of the same effect the earlier one. A dry run shadows nothing.
//!
//! Both are told only where it is certain: what is called shadowed never decides. Not found are rules
//! that several others shadow together, and whatever takes more than [`MOST_COMPARISONS`] looks.
//! Permissions of roles do not shadow one another: a table of who may do what names what overlaps, and
//! a review reads it so.

mod index;
mod relation;
#[cfg(test)]
mod tests;

use self::index::Index;
pub(crate) use self::relation::{contradiction, overlap};
use super::model::{Atom, Effect, Rule};

/// Rules are compared with no more others, all together.
const MOST_COMPARISONS: usize = 4_000_000;

/// So much of what is little work counts as one.
const EASY: usize = 64;

/// A rule, by its place, and the one that always comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shadow {
    pub(crate) rule: usize,
    pub(crate) by: usize,
}

/// Rules that never decide. Rules that follow one another with one id are parts of one: it is shadowed
/// where each part is. `are_alike` tells of which pairs nothing is to be said.
pub(crate) fn shadowed(rules: &[Rule], are_alike: impl Fn(usize, usize) -> bool) -> Vec<Shadow> {
    let index = Index::new(rules);
    let mut left = MOST_COMPARISONS;
    let mut found = Vec::new();
    let mut at = 0;
    for parts in rules.chunk_by(|a, b| a.id == b.id && a.origin == b.origin) {
        let own = at..at + parts.len();
        at = own.end;
        if left == 0 {
            break;
        }
        let mut shadows = own.clone().zip(parts).map(|(place, part)| {
            let mut candidates = index.candidates(part);
            left = left.saturating_sub(candidates.size_hint().0 / EASY);
            let by = candidates.find(|by| {
                let Some(other) = rules.get(*by) else {
                    return false;
                };
                if own.contains(by) || left == 0 {
                    return false;
                }
                let pairs = atoms(other).saturating_mul(atoms(part));
                left = left.saturating_sub(1 + pairs / EASY);
                comes_first(*by, other, place, part)
                    && !are_alike(*by, place)
                    && relation::covers(other, part)
            });
            by.map(|by| Shadow { rule: place, by })
        });
        let first = shadows.next().flatten();
        if first.is_some() && shadows.all(|shadow| shadow.is_some()) {
            found.extend(first);
        }
    }
    found
}

fn atoms(rule: &Rule) -> usize {
    let clauses = rule.clauses.iter();
    clauses
        .map(|clause| clause.any.iter().map(weight).sum::<usize>())
        .sum()
}

fn weight(atom: &Atom) -> usize {
    match atom {
        Atom::Client(networks) | Atom::Connection(networks) => networks.written.len(),
        _ => 1,
    }
}

/// Whether `other` decides before `rule` wherever both match.
fn comes_first(by: usize, other: &Rule, place: usize, rule: &Rule) -> bool {
    if other.dry_run || !other.is_unconditional() {
        return false;
    }
    match (other.effect, rule.effect) {
        (Effect::Deny, Effect::Allow) => true,
        (Effect::Allow, Effect::Deny) => false,
        _ => by < place || !rule.is_unconditional(),
    }
}
