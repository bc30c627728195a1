//! Cedar: conditions of rules, and whole policies beside them.

mod addresses;
mod asking;
mod attributes;
mod body;
mod json;
mod load;
mod operations;
mod place;
mod reads;
mod schema;
#[cfg(test)]
mod tests;
mod time;
mod values;
mod vocabulary;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use cedar_policy::Entities;
use cedar_policy_core::ast::{EntityUIDEntry, SlotEnv};
use jiff::tz::TimeZone;

use self::{
    asking::Asking,
    attributes::{Fetched, Group},
    body::Body,
    load::{Bodies, Load, Part, Slice, When, Whole},
    operations::Operations,
    reads::Reads,
    values::Types,
    vocabulary::Fact,
};
use super::{Candidates, Judgement, held, judge};
use crate::{
    authorize::{Access, ActiveGrants, AttributeQuestion},
    body::CollectLimits,
    clock::Clock,
    decision::{Code, Denial},
    gate::{Later, Step},
    policy::{
        PolicyError, PolicyErrors, PolicyOptions,
        compiled::RuleIndex,
        facts::{Facts, usual_spelling},
        matcher::Found,
        model::{Document, Operation, Origin, Rule},
    },
};

/// A request, and what whole policies ask about first; looked up once.
#[derive(Clone, Copy)]
pub(super) struct Seen<'a> {
    facts: Facts<'a>,
    /// The place of its operation.
    operation: Option<usize>,
    /// Whether it is another operation in the usual spelling of its path.
    is_spelled_apart: bool,
}

/// Everything that is asked in Cedar.
pub(super) struct Cedar {
    whens: Vec<Option<When>>,
    whole: Option<Whole>,
    bodies: Vec<Body>,
    index: Operations,
    operations: Vec<Operation>,
    /// Whether anything asks for the host.
    reads_host: bool,
    groups: Vec<Arc<Group>>,
    grants: Option<Arc<dyn ActiveGrants>>,
    types: Types,
    /// The action and the resource of conditions that have said their request themselves.
    rule: (EntityUIDEntry, EntityUIDEntry),
    nothing: Entities,
    slots: SlotEnv,
    zone: TimeZone,
    clock: Arc<dyn Clock>,
    attribute_deadline: Duration,
    body_deadline: Duration,
}

impl Cedar {
    /// `None` where nothing is asked in Cedar.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it.
    pub(super) fn new(
        document: &Document,
        rules: &[Rule],
        options: &PolicyOptions,
    ) -> Result<Option<Arc<Self>>, PolicyErrors> {
        let nothing_asked =
            document.cedar.is_empty() && rules.iter().all(|rule| rule.when.is_none());
        let mut load = Load {
            document,
            bodies: Bodies::new(options.max_body),
            has_grants: options.grants.is_some(),
            errors: Vec::new(),
        };
        let zone = load.zone();
        let groups = load.sources(options);
        let whens = load.whens(rules);
        let whole = load.whole(rules);
        let names = Types::new().and_then(|types| {
            let rule = schema::entry("Action", "request")?;
            Ok((types, rule, schema::entry("Route", "rule")?))
        });
        let names = names.map_err(|why| load.fail(PolicyError::new(&load.origin(), why)));
        PolicyErrors::check(load.errors)?;
        let (Ok((types, action, route)), false) = (names, nothing_asked) else {
            return Ok(None);
        };
        let index = Operations::new(&document.operations);
        let slices = whole.iter().flat_map(|whole| &whole.slices);
        let reads_host = slices
            .flat_map(|slice| [&slice.forbids.reads, &slice.permits.reads])
            .chain(whens.iter().flatten().map(|when| &when.reads))
            .any(|reads| reads.has(Fact::Host));
        Ok(Some(Arc::new(Self {
            reads_host: reads_host || index.reads_host,
            whens,
            whole,
            bodies: load.bodies.all,
            index,
            operations: document.operations.clone(),
            groups,
            grants: options.grants.clone(),
            types,
            rule: (action, route),
            nothing: Entities::empty(),
            slots: SlotEnv::new(),
            zone,
            clock: Arc::clone(&options.clock),
            attribute_deadline: options.attribute_deadline,
            body_deadline: options.body_deadline,
        })))
    }

    pub(super) const fn grants(&self) -> Option<&Arc<dyn ActiveGrants>> {
        self.grants.as_ref()
    }

    pub(super) const fn has_whole(&self) -> bool {
        self.whole.is_some()
    }

    pub(super) fn see<'a>(&self, access: &Access<'a>) -> Seen<'a> {
        let facts = match self.reads_host {
            true => Facts::of(access),
            false => Facts::with_path(access, access.original_uri().path()),
        };
        let mut seen = Seen {
            facts,
            operation: None,
            is_spelled_apart: false,
        };
        if self.whole.is_some() {
            seen.operation = self.index.find(&facts);
            seen.is_spelled_apart = usual_spelling(facts.path).is_some_and(|usual| {
                let path = usual.as_str();
                seen.operation != self.index.find(&Facts { path, ..facts })
            });
        }
        seen
    }

    /// Whether whole policies say anything about such a request.
    pub(super) fn matter(&self, found: &Found, seen: &Seen<'_>) -> bool {
        self.has_no_host(seen)
            || seen.is_spelled_apart
            || self.slice(seen).is_some_and(|slice| {
                let asks = |part: &Part| !part.policies.is_empty();
                asks(&slice.forbids) || (found.allow.is_none() && asks(&slice.permits))
            })
    }

    pub(super) fn needs_body(
        &self,
        rules: &[Rule],
        found: &Found,
        access: &Access<'_>,
    ) -> Option<CollectLimits> {
        let seen = self.see(access);
        // Held or not: a grant may be approved while the body arrives. Nobody in particular never holds one.
        let silent = |rule: &Rule| rule.grant.is_some() && access.named().is_none();
        let mut bytes = None;
        self.each_wanted(rules, found, &seen, silent, |reads, body| {
            if reads.has(Fact::Body) {
                let body = body.and_then(|place| self.bodies.get(place));
                bytes = bytes.max(body.map(|body| body.most));
            }
        });
        let bytes = bytes?;
        Some(CollectLimits {
            bytes,
            deadline: self.body_deadline,
        })
    }

    pub(super) fn decide(
        self: &Arc<Self>,
        rules: &Arc<[Rule]>,
        found: &Found,
        access: &Access<'_>,
        seen: &Seen<'_>,
    ) -> Step<Judgement> {
        if self.has_no_host(seen) {
            let why = "operations ask for the host, and the request does not say one";
            return Denial::new(Code::RequestMalformed).detail(why).into();
        }
        if seen.is_spelled_apart {
            let why = "the path is another operation in its usual spelling";
            return Denial::new(Code::RequestMalformed).detail(why).into();
        }
        let mut groups = BTreeSet::new();
        if !self.groups.is_empty() {
            let silent = |rule: &Rule| matches!(held(self.grants.as_ref(), rule, access), Ok(None));
            self.each_wanted(rules, found, seen, silent, |reads, _| {
                groups.extend(&reads.groups);
            });
        }
        if groups.is_empty() {
            return Step::Now(self.judge(rules, found, access, seen, &Fetched::new()));
        }
        let groups = groups
            .into_iter()
            .filter_map(|place| Some((place, Arc::clone(self.groups.get(place)?))))
            .collect();
        let usual = usual_spelling(seen.facts.path);
        let question = self.question(&seen.facts.spelled(usual.as_deref()), access);
        let (deadline, clock) = (self.attribute_deadline, Arc::clone(&self.clock));
        // Nobody is asked before the answer is waited for: what is only tried never is.
        let fetched = async move { attributes::fetch(groups, &question, deadline, &clock).await };
        let (cedar, rules, found) = (Arc::clone(self), Arc::clone(rules), found.clone());
        Step::Later(Later::then(fetched, move |fetched, parts, cx| {
            let access = &Access::new(parts, cx);
            cedar.judge(&rules, &found, access, &cedar.see(access), &fetched?)
        }))
    }

    /// What each part reads that may be asked about a request, with the place of its body, but for rules
    /// that are `silent`.
    fn each_wanted(
        &self,
        rules: &[Rule],
        found: &Found,
        seen: &Seen<'_>,
        silent: impl Fn(&Rule) -> bool,
        mut wanted: impl FnMut(&Reads, Option<usize>),
    ) {
        for (index, rule) in found.candidates(rules) {
            if let Some(when) = self.when(index).filter(|_| !silent(rule)) {
                wanted(&when.reads, when.body);
            }
        }
        if let Some(slice) = self.slice(seen) {
            wanted(&slice.forbids.reads, slice.body);
            if found.allow.is_none() {
                wanted(&slice.permits.reads, slice.body);
            }
        }
    }

    /// What conditions and sources read of the path is in its usual spelling, or a stranger would choose
    /// which one they are asked about.
    fn judge(
        &self,
        rules: &[Rule],
        found: &Found,
        access: &Access<'_>,
        seen: &Seen<'_>,
        fetched: &Fetched,
    ) -> Result<Judgement, Denial> {
        let usual = usual_spelling(seen.facts.path);
        let seen = Seen {
            facts: seen.facts.spelled(usual.as_deref()),
            ..*seen
        };
        let mut asking = Asking::new(self, access, seen, fetched);
        judge(self.grants.as_ref(), rules, found, access, &mut asking)
    }

    /// Whole policies about a host must not be slipped by with one that nobody can read, nor those about
    /// an operation with another spelling of its path.
    const fn has_no_host(&self, seen: &Seen<'_>) -> bool {
        self.whole.is_some() && self.index.reads_host && seen.facts.host.is_none()
    }

    fn when(&self, index: RuleIndex) -> Option<&When> {
        self.whens.get(index as usize)?.as_ref()
    }

    fn slice(&self, seen: &Seen<'_>) -> Option<&Slice> {
        self.whole.as_ref()?.slice(seen.operation)
    }

    fn question(&self, facts: &Facts<'_>, access: &Access<'_>) -> AttributeQuestion {
        let mut question =
            AttributeQuestion::new(access.now(), facts.method.clone(), facts.path.into());
        if let Some(operation) = self.operation(facts) {
            question.operation = Some(Arc::clone(&operation.id));
            question.parameters = operations::parameters(&operation.path, facts.path)
                .map(|(name, value)| (Arc::clone(name), value.into()))
                .collect();
        }
        question.principal = access.principal().cloned();
        question.peer = access.peer().cloned();
        question.client = facts.client;
        question
    }

    fn operation(&self, facts: &Facts<'_>) -> Option<&Operation> {
        self.operations.get(self.index.find(facts)?)
    }
}

impl Load<'_> {
    fn origin(&self) -> Origin {
        Origin {
            file: Arc::clone(&self.document.name),
            ..Origin::default()
        }
    }

    fn zone(&mut self) -> TimeZone {
        let Some(name) = &self.document.time_zone else {
            return TimeZone::UTC;
        };
        TimeZone::get(name).unwrap_or_else(|_| {
            let wrong = PolicyError::new(
                &self.document.time_zone_origin,
                format!("there is no time zone `{name}`"),
            );
            self.fail(wrong.hint("a name of the IANA database, as `Europe/Vienna`"));
            TimeZone::UTC
        })
    }

    fn sources(&mut self, options: &PolicyOptions) -> Vec<Arc<Group>> {
        let mut groups = Vec::new();
        for group in &self.document.attributes {
            let twice = self
                .document
                .attributes
                .iter()
                .filter(|other| other.name == group.name);
            let why = if vocabulary::is_taken(&group.name) {
                format!("`{}` is a part of every context", group.name)
            } else if twice.count() > 1 {
                format!("the attributes `{}` are there twice", group.name)
            } else if let Some(source) = options.attributes.get(&group.name) {
                groups.push(Arc::new(Group {
                    declared: group.clone(),
                    source: Arc::clone(source),
                }));
                continue;
            } else {
                format!(
                    "nobody says where the attributes `{}` come from",
                    group.name
                )
            };
            self.fail(PolicyError::new(&group.origin, why));
        }
        groups
    }
}
