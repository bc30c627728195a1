//! Cedar: conditions of rules, and whole policies beside them.

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

use cedar_policy::{Entities, EntityUid};
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

/// Everything that is asked in Cedar.
pub(super) struct Cedar {
    whens: Vec<Option<When>>,
    whole: Option<Whole>,
    bodies: Vec<Body>,
    index: Operations,
    operations: Vec<Operation>,
    groups: Vec<Arc<Group>>,
    grants: Option<Arc<dyn ActiveGrants>>,
    types: Types,
    /// The action and the resource of conditions that have said their request themselves.
    rule: (EntityUid, EntityUid),
    nothing: Entities,
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
            let rule = schema::entity("Action", "request")?;
            Ok((types, rule, schema::entity("Route", "rule")?))
        });
        let names = names.map_err(|why| load.fail(PolicyError::new(&load.origin(), why)));
        PolicyErrors::check(load.errors)?;
        let (Ok((types, action, route)), false) = (names, nothing_asked) else {
            return Ok(None);
        };
        Ok(Some(Arc::new(Self {
            whens,
            whole,
            bodies: load.bodies.all,
            index: Operations::new(&document.operations),
            operations: document.operations.clone(),
            groups,
            grants: options.grants.clone(),
            types,
            rule: (action, route),
            nothing: Entities::empty(),
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

    /// Whether whole policies say anything about such a request.
    pub(super) fn matter(&self, found: &Found, facts: &Facts<'_>) -> bool {
        self.has_no_host(facts)
            || self.is_spelled_apart(facts)
            || self.slice(facts).is_some_and(|slice| {
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
        let facts = Facts::of(access);
        let (_, bodies) = self.wanted(rules, found, access, &facts, |reads, body, wanted| {
            if reads.has(Fact::Body) {
                wanted.1.extend(body);
            }
        });
        let bytes = bodies
            .iter()
            .filter_map(|place| self.bodies.get(*place))
            .map(|body| body.most)
            .max()?;
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
    ) -> Step<Judgement> {
        let facts = Facts::of(access);
        if self.has_no_host(&facts) {
            let why = "operations ask for the host, and the request does not say one";
            return Denial::new(Code::RequestMalformed).detail(why).into();
        }
        if self.is_spelled_apart(&facts) {
            let why = "the path is another operation in its usual spelling";
            return Denial::new(Code::RequestMalformed).detail(why).into();
        }
        let (groups, _) = self.wanted(rules, found, access, &facts, |reads, _, wanted| {
            wanted.0.extend(&reads.groups);
        });
        if groups.is_empty() {
            return Step::Now(self.judge(rules, found, access, &Fetched::new()));
        }
        let groups = groups
            .into_iter()
            .filter_map(|place| Some((place, Arc::clone(self.groups.get(place)?))))
            .collect();
        let question = self.question(&facts, access);
        let (deadline, clock) = (self.attribute_deadline, Arc::clone(&self.clock));
        // Nobody is asked before the answer is waited for: what is only tried never is.
        let fetched = async move { attributes::fetch(groups, &question, deadline, &clock).await };
        let (cedar, rules, found) = (Arc::clone(self), Arc::clone(rules), found.clone());
        Step::Later(Later::then(fetched, move |fetched, parts, cx| {
            cedar.judge(&rules, &found, &Access::new(parts, cx), &fetched?)
        }))
    }

    /// Gathers something of all that may be asked about a request; grants that are not held make
    /// their rules silent.
    fn wanted(
        &self,
        rules: &[Rule],
        found: &Found,
        access: &Access<'_>,
        facts: &Facts<'_>,
        add: impl Fn(&Reads, Option<usize>, &mut (BTreeSet<usize>, BTreeSet<usize>)),
    ) -> (BTreeSet<usize>, BTreeSet<usize>) {
        let mut wanted = Default::default();
        for (index, rule) in found.candidates(rules) {
            let silent = || matches!(held(self.grants.as_ref(), rule, access), Ok(None));
            if let Some(when) = self.when(index).filter(|_| !silent()) {
                add(&when.reads, when.body, &mut wanted);
            }
        }
        if let Some(slice) = self.slice(facts) {
            add(&slice.forbids.reads, slice.body, &mut wanted);
            if found.allow.is_none() {
                add(&slice.permits.reads, slice.body, &mut wanted);
            }
        }
        wanted
    }

    fn judge(
        &self,
        rules: &[Rule],
        found: &Found,
        access: &Access<'_>,
        fetched: &Fetched,
    ) -> Result<Judgement, Denial> {
        let mut asking = Asking::new(self, access, fetched);
        judge(self.grants.as_ref(), rules, found, access, &mut asking)
    }

    /// Whole policies about a host must not be slipped by with one that nobody can read.
    const fn has_no_host(&self, facts: &Facts<'_>) -> bool {
        self.whole.is_some() && self.index.reads_host && facts.host.is_none()
    }

    /// Nor whole policies about an operation with another spelling of its path.
    fn is_spelled_apart(&self, facts: &Facts<'_>) -> bool {
        self.whole.is_some()
            && usual_spelling(facts.path).is_some_and(|usual| {
                let path = usual.as_str();
                self.index.find(facts) != self.index.find(&Facts { path, ..*facts })
            })
    }

    fn when(&self, index: RuleIndex) -> Option<&When> {
        self.whens.get(index as usize)?.as_ref()
    }

    fn slice(&self, facts: &Facts<'_>) -> Option<&Slice> {
        let whole = self.whole.as_ref()?;
        whole.slice(self.index.find(facts))
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
            let wrong = PolicyError::new(&self.origin(), format!("there is no time zone `{name}`"));
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
