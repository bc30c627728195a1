//! What a plain reading of the rules finds, in their order: what the index is compared with.

use super::{Found, RuleIndex};
use crate::policy::{
    facts::Facts,
    model::{Effect, Rule},
};

/// Scans the rules.
pub(crate) fn naive(rules: &[Rule], facts: &Facts<'_>) -> Found {
    let matching = |effect: Effect, unconditional: bool| {
        (0..).zip(rules).filter(move |(_, rule)| {
            rule.effect == effect
                && rule.is_unconditional() == unconditional
                && rule
                    .clauses
                    .iter()
                    .all(|clause| clause.holds_for(effect, facts))
        })
    };
    let first = |effect| matching(effect, true).map(|(at, _)| at).next();
    if let Some(deny) = first(Effect::Deny) {
        return Found {
            deny: Some(deny),
            ..Found::default()
        };
    }
    let allow = first(Effect::Allow);
    let mut conditional: Vec<RuleIndex> = matching(Effect::Deny, false).map(|(at, _)| at).collect();
    if allow.is_none() {
        conditional.extend(matching(Effect::Allow, false).map(|(at, _)| at));
        conditional.sort_unstable();
    }
    Found {
        deny: None,
        allow,
        conditional,
    }
}
