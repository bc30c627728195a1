//! One request, while it is asked about.

use std::sync::Arc;

use cedar_policy::Entities;
use cedar_policy_core::{
    ast::{Context, EntityUIDEntry, Expr, Literal, Request, SlotEnv, ValueKind},
    evaluator::{EvaluationError, Evaluator},
    extensions::Extensions,
};

use super::{
    super::{Further, Said},
    Cedar, Seen,
    attributes::Fetched,
    json::Fields,
    load::Part,
    operations,
    reads::Reads,
    values::Sources,
    vocabulary::Fact,
};
use crate::{
    authorize::{Access, ActiveGrant},
    decision::{Code, Denial},
    policy::compiled::RuleIndex,
};

/// What is asked, and what was read for it.
pub(super) struct Asking<'a> {
    cedar: &'a Cedar,
    access: &'a Access<'a>,
    seen: Seen<'a>,
    fetched: &'a Fetched,
    /// Bodies that were read, by their places: each is read once.
    bodies: Vec<(usize, Fields)>,
    /// Grants that were read.
    held: Vec<ActiveGrant>,
}

impl Further for Asking<'_> {
    fn when(&mut self, index: RuleIndex) -> Result<bool, Denial> {
        let cedar = self.cedar;
        let Some(when) = cedar.when(index) else {
            return Err(failed("it was not loaded"));
        };
        let path = self.seen.facts.path;
        let mut templates = when.templates.iter();
        let template =
            templates.find(|template| when.reads.has(Fact::Parameters) && template.matches(path));
        let context = self.context(
            &when.reads,
            when.body,
            template.map(|template| operations::parameters(template, path).collect()),
        )?;
        let (action, resource) = &cedar.rule;
        let run = self.run(&when.reads, action, resource, context, &cedar.nothing)?;
        run.holds(&when.expression)
    }

    fn whole(&mut self, allowed: bool) -> Result<Said, Denial> {
        let cedar = self.cedar;
        let Some(whole) = &cedar.whole else {
            return Ok(Said::Nothing);
        };
        let Some(slice) = whole.slice(self.seen.operation) else {
            return Err(failed("it was not loaded"));
        };
        let mut reads = slice.forbids.reads.clone();
        let permits = (!allowed).then_some(&slice.permits);
        if let Some(permits) = permits {
            reads.add(&permits.reads);
        }
        if slice.forbids.policies.is_empty() && permits.is_none_or(|part| part.policies.is_empty())
        {
            return Ok(Said::Nothing);
        }
        let path = self.seen.facts.path;
        let operation = self
            .seen
            .operation
            .filter(|_| reads.has(Fact::Parameters))
            .and_then(|place| cedar.operations.get(place));
        let parameters =
            operation.map(|operation| operations::parameters(&operation.path, path).collect());
        let context = self.context(&reads, slice.body, parameters)?;
        let (action, resource) = (&slice.action, &slice.resource);
        let run = self.run(&reads, action, resource, context, &whole.entities)?;
        let who = self.seen.facts.kind();
        let first = |part: &Part| -> Result<Option<Arc<str>>, Denial> {
            let mut first = None;
            // All are asked: one that fails denies, whatever others say.
            for policy in &part.policies {
                if policy.kind.is_some_and(|kind| kind != who) {
                    continue;
                }
                let holds = run.holds(&policy.expression);
                if holds.map_err(|denial| denial.by_rule(Arc::clone(&policy.id)))? {
                    first.get_or_insert(&policy.id);
                }
            }
            Ok(first.cloned())
        };
        if let Some(id) = first(&slice.forbids)? {
            return Ok(Said::Deny(id));
        }
        Ok(match permits.map(first).transpose()?.flatten() {
            Some(id) => Said::Permit(id),
            None => Said::Nothing,
        })
    }

    fn held(&self) -> &[ActiveGrant] {
        &self.held
    }
}

impl<'a> Asking<'a> {
    pub(super) const fn new(
        cedar: &'a Cedar,
        access: &'a Access<'a>,
        seen: Seen<'a>,
        fetched: &'a Fetched,
    ) -> Self {
        Self {
            cedar,
            access,
            seen,
            fetched,
            bodies: Vec::new(),
            held: Vec::new(),
        }
    }

    fn context(
        &mut self,
        reads: &Reads,
        body: Option<usize>,
        parameters: Option<Vec<(&'a Arc<str>, &'a str)>>,
    ) -> Result<Context, Denial> {
        let cedar = self.cedar;
        let body = match body.filter(|_| reads.has(Fact::Body)) {
            Some(place) => Some((place, self.read_body(place)?)),
            None => None,
        };
        let grants = if reads.has(Fact::Grants) {
            self.grants()?
        } else {
            Vec::new()
        };
        let mut groups = Vec::with_capacity(reads.groups.len());
        for place in &reads.groups {
            let found = cedar.groups.get(*place).zip(self.fetched.get(place));
            // A grant was approved since: whoever asks again is answered.
            let (group, attributes) = found.ok_or_else(|| {
                Denial::new(Code::StoreUnavailable)
                    .detail("attributes were not fetched for a grant that came to be meanwhile")
            })?;
            groups.push((&*group.declared.name, attributes));
        }
        let body = body.and_then(|(place, at)| {
            Some((&cedar.bodies.get(place)?.shape, &self.bodies.get(at)?.1))
        });
        let sources = Sources {
            facts: &self.seen.facts,
            access: self.access,
            zone: &cedar.zone,
            parameters: parameters.unwrap_or_default(),
            grants: &grants,
            body,
            groups,
        };
        sources.context(reads)
    }

    /// What a decision that grants speak for is worth ends with the first of them.
    fn grants(&mut self) -> Result<Vec<ActiveGrant>, Denial> {
        let Some(grants) = &self.cedar.grants else {
            return Err(failed("nobody says who holds grants"));
        };
        let Some(who) = self.access.named() else {
            return Ok(Vec::new());
        };
        let held = grants.scopes(who, self.access.now())?;
        for grant in &held {
            if !self.held.contains(grant) {
                self.held.push(grant.clone());
            }
        }
        Ok(held)
    }

    fn read_body(&mut self, place: usize) -> Result<usize, Denial> {
        if let Some(at) = self.bodies.iter().position(|(own, _)| *own == place) {
            return Ok(at);
        }
        let body = self.cedar.bodies.get(place);
        let fields = body
            .ok_or_else(|| failed("the body was not declared"))?
            .read(self.access)?;
        self.bodies.push((place, fields));
        Ok(self.bodies.len() - 1)
    }

    fn run<'e>(
        &self,
        reads: &Reads,
        action: &EntityUIDEntry,
        resource: &EntityUIDEntry,
        context: Context,
        entities: &'e Entities,
    ) -> Result<Run<'e>, Denial>
    where
        'a: 'e,
    {
        let principal = self.cedar.types.entity(&self.seen.facts, reads)?;
        let (action, resource) = (action.clone(), resource.clone());
        let request = Request::new_unchecked(principal, action, resource, Some(context));
        let extensions = Extensions::all_available();
        Ok(Run {
            evaluator: Evaluator::new(request, entities.as_ref(), extensions),
            slots: &self.cedar.slots,
        })
    }
}

/// Expressions are run one after the other against the same request.
struct Run<'e> {
    evaluator: Evaluator<'e>,
    /// None: templates are not loaded.
    slots: &'e SlotEnv,
}

impl Run<'_> {
    /// What Cedar says of an error can hold values of the request, so only its kind is told.
    fn holds(&self, expression: &Expr) -> Result<bool, Denial> {
        match self.evaluator.interpret(expression, self.slots) {
            Ok(value) => match value.value {
                ValueKind::Lit(Literal::Bool(holds)) => Ok(holds),
                _ => Err(failed("it is neither true nor false")),
            },
            Err(EvaluationError::IntegerOverflow(_)) => Err(failed("a number became too large")),
            Err(EvaluationError::FailedExtensionFunctionExecution(_)) => {
                Err(failed("an address, a number or a time cannot be read"))
            }
            Err(_) => Err(failed("it cannot be evaluated")),
        }
    }
}

pub(super) fn failed(why: &'static str) -> Denial {
    Denial::new(Code::PolicyDenied).detail(format!("a condition failed: {why}"))
}
