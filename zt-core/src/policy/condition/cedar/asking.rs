//! One request, while it is asked about.

use std::sync::Arc;

use cedar_policy::{
    Context, Entities, EntityUid, EvalResult, EvaluationError, Expression, Request, eval_expression,
};

use super::{
    super::{Further, Said},
    Cedar,
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
    policy::{compiled::RuleIndex, facts::Facts},
};

/// What is asked, and what was read for it.
pub(super) struct Asking<'a> {
    cedar: &'a Cedar,
    access: &'a Access<'a>,
    facts: Facts<'a>,
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
        let path = self.facts.path;
        let mut templates = when.templates.iter();
        let template =
            templates.find(|template| when.reads.has(Fact::Parameters) && template.matches(path));
        let context = self.context(
            &when.reads,
            when.body,
            template.map(|template| operations::parameters(template, path).collect()),
        )?;
        let (action, resource) = cedar.rule.clone();
        let request = self.request(&when.reads, action, resource, context)?;
        holds(&request, &cedar.nothing, &when.expression)
    }

    fn whole(&mut self, allowed: bool) -> Result<Said, Denial> {
        let cedar = self.cedar;
        let Some(whole) = &cedar.whole else {
            return Ok(Said::Nothing);
        };
        let place = cedar.index.find(&self.facts);
        let Some(slice) = whole.slice(place) else {
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
        let path = self.facts.path;
        let operation = place
            .filter(|_| reads.has(Fact::Parameters))
            .and_then(|place| cedar.operations.get(place));
        let parameters =
            operation.map(|operation| operations::parameters(&operation.path, path).collect());
        let context = self.context(&reads, slice.body, parameters)?;
        let request = self.request(
            &reads,
            slice.action.clone(),
            slice.resource.clone(),
            context,
        )?;
        let first = |part: &Part| -> Result<Option<Arc<str>>, Denial> {
            let mut first = None;
            // All are asked: one that fails denies, whatever others say.
            for policy in &part.policies {
                let holds = holds(&request, &whole.entities, &policy.expression);
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
    pub(super) fn new(cedar: &'a Cedar, access: &'a Access<'a>, fetched: &'a Fetched) -> Self {
        Self {
            cedar,
            access,
            facts: Facts::of(access),
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
            let (group, attributes) = found.ok_or_else(|| failed("attributes were not fetched"))?;
            groups.push((&*group.declared.name, attributes));
        }
        let body = body.and_then(|(place, at)| {
            Some((&cedar.bodies.get(place)?.shape, &self.bodies.get(at)?.1))
        });
        let sources = Sources {
            facts: &self.facts,
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

    fn request(
        &self,
        reads: &Reads,
        action: EntityUid,
        resource: EntityUid,
        context: Context,
    ) -> Result<Request, Denial> {
        let principal = self.cedar.types.entity(&self.facts, reads)?;
        Request::new(principal, action, resource, context, None)
            .map_err(|_| failed("the request cannot be said in Cedar"))
    }
}

/// What Cedar says of an error can hold values of the request, so only its kind is told.
fn holds(request: &Request, entities: &Entities, expression: &Expression) -> Result<bool, Denial> {
    match eval_expression(request, entities, expression) {
        Ok(EvalResult::Bool(holds)) => Ok(holds),
        Ok(_) => Err(failed("it is neither true nor false")),
        Err(EvaluationError::IntegerOverflow(_)) => Err(failed("a number became too large")),
        Err(EvaluationError::FailedExtensionFunctionExecution(_)) => {
            Err(failed("an address, a number or a time cannot be read"))
        }
        Err(_) => Err(failed("it cannot be evaluated")),
    }
}

pub(super) fn failed(why: &'static str) -> Denial {
    Denial::new(Code::PolicyDenied).detail(format!("a condition failed: {why}"))
}
