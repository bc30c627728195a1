//! All rules of a file, in its order: what each is in the model, and which of them are in vain.

use std::{collections::HashMap, sync::Arc};

use toml::de::DeValue;

use super::{
    environment::Environments,
    roles::Permission,
    rule::{self, Context},
    source::Source,
    table::{Str, Value},
};
use crate::policy::{
    PolicyError, lint,
    model::{Clause, Effect, Rule},
};

/// A policy has no more rules.
const MOST_RULES: usize = 100_000;
/// What they take, together with the permissions of roles.
const MOST_PARTS: usize = 500_000;

/// Rules while they are collected.
#[derive(Default)]
pub(super) struct Rules {
    /// Where each id stands.
    ids: HashMap<Arc<str>, usize>,
    found: Vec<Found>,
}

struct Found {
    at: usize,
    /// Whether it is a role's permission.
    of_role: bool,
    parts: Vec<Rule>,
}

/// Where a rule stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// It is a role's permission.
    Role,
    Here,
    /// It is for another environment.
    Elsewhere,
}

impl Rules {
    /// What roles may, as rules.
    pub(super) fn permissions(
        &mut self,
        permissions: Vec<Permission<'_>>,
        environments: &Environments,
    ) {
        let callers = environments.callers(None, Effect::Allow);
        let ways = environments.ways(&callers, Effect::Allow);
        for permission in permissions {
            let id = &permission.written;
            let rule = Rule {
                id: permission.id.into(),
                effect: Effect::Allow,
                dry_run: false,
                clauses: permission.clauses,
                grant: None,
                when: None,
                origin: id.source.origin(id.at.start),
            };
            self.add(id, rule, ways.clone(), Place::Role);
        }
    }

    /// The list `[[rule]]`.
    pub(super) fn written(&mut self, list: Option<&Value<'_>>, context: &Context<'_, '_>) {
        let Some(list) = list else { return };
        if !matches!(list.value, DeValue::Array(_)) {
            return list
                .is_no("rule", "a list of tables: `[[rule]]`")
                .unwrap_or_default();
        }
        let list = list.list("rule").unwrap_or_default();
        if let Some(value) = list.get(MOST_RULES) {
            value.source.refuse(
                &value.at,
                format!("a policy has no more than {MOST_RULES} rules"),
            );
            return;
        }
        for value in &list {
            if let Some(read) = rule::read(value, context) {
                let place = if read.here {
                    Place::Here
                } else {
                    Place::Elsewhere
                };
                self.add(&read.id, read.rule, read.ways, place);
            }
        }
    }

    fn add(&mut self, written: &Str<'_>, rule: Rule, ways: Vec<Vec<Clause>>, place: Place) {
        if let Some(before) = self.ids.insert(Arc::clone(&rule.id), written.at.start) {
            let line = written.source.origin(before).line;
            written.refuse_with(
                format!("two rules have the id `{}`", rule.id),
                format!("the other one stands in line {line}"),
            );
        }
        if let Some(why) = lint::contradiction(&rule.clauses) {
            let message = format!("the rule `{}` can never match: {why}", rule.id);
            written.refuse_with(message, "leave it out, or say what is meant");
            return;
        }
        let parts: Vec<Rule> = ways
            .into_iter()
            .map(|way| [way, rule.clauses.clone()].concat())
            .filter(|clauses| lint::contradiction(clauses).is_none())
            .map(|clauses| Rule {
                clauses,
                ..rule.clone()
            })
            .collect();
        if parts.is_empty() {
            written.refuse_with(
                format!(
                    "the rule `{}` can never match: its environment, or an operation that is \
                     closer, leaves nothing of it",
                    rule.id
                ),
                "`caller.environment` is the own one where nothing is said; a request is the \
                 operation with the closest path",
            );
        }
        if place != Place::Elsewhere {
            self.found.push(Found {
                at: written.at.start,
                of_role: place == Place::Role,
                parts,
            });
        }
    }

    /// The rules in the order of the file.
    pub(super) fn finish(mut self, source: &Source<'_>) -> Vec<Rule> {
        self.found.sort_by_key(|found| found.at);
        let parts: usize = self.found.iter().map(|found| found.parts.len()).sum();
        if parts > MOST_PARTS {
            let message = "the rules are too many for what each takes";
            source.refuse_with(
                &(0..0),
                message,
                format!(
                    "more than {MOST_PARTS}; environments and overlapping operations multiply them"
                ),
            );
            return Vec::new();
        }
        let of_role: Vec<bool> = self
            .found
            .iter()
            .flat_map(|found| found.parts.iter().map(|_| found.of_role))
            .collect();
        let rules: Vec<Rule> = self
            .found
            .into_iter()
            .flat_map(|found| found.parts)
            .collect();
        let is_role = |at: usize| of_role.get(at) == Some(&true);
        for shadow in lint::shadowed(&rules, |one, two| is_role(one) && is_role(two)) {
            if let (Some(rule), Some(by)) = (rules.get(shadow.rule), rules.get(shadow.by)) {
                source.report(shadowed(rule, by));
            }
        }
        rules
    }
}

fn shadowed(rule: &Rule, by: &Rule) -> PolicyError {
    let effect = match by.effect {
        Effect::Deny => "denies",
        Effect::Allow => "allows",
    };
    let message = format!(
        "the rule `{}` never decides: `{}` {effect} everything that it matches",
        rule.id, by.id
    );
    let hint = match (by.effect, rule.effect) {
        (Effect::Deny, Effect::Allow) => "denying rules come first, wherever they stand",
        _ if !rule.is_unconditional() => "a rule without a grant or a condition comes first",
        _ => "it stands before this one",
    };
    PolicyError::new(&rule.origin, message).hint(format!("{hint}; line {}", by.origin.line))
}
