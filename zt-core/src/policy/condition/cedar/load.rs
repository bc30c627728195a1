//! From texts to expressions that can be run: parsed, strictly validated, cut down to what a
//! request needs.

use std::{collections::BTreeSet, sync::Arc};

use cedar_policy::{
    ActionConstraint, Entities, EntityUid, Expression, Policy, PolicyId, PolicySet,
    ResourceConstraint, ValidationMode, Validator,
};
use cedar_policy_core::ast::{EntityUIDEntry, Expr};

use super::{
    body::Body,
    operations,
    place::Source,
    reads::{Reads, Runnable},
    schema::{self, Setting},
    vocabulary::Fact,
};
use crate::{
    identity::PrincipalKind,
    policy::{
        PolicyError,
        model::{Document, Effect, Operation, PathTemplate, Rule},
    },
};

/// The action of requests that are none of the operations.
const OTHER: &str = "other";
/// As of rules: permits and records name both.
const LONGEST_ID: usize = 256;
/// Cedar validates each whole policy for each operation, so both together are bounded.
const MOST_PAIRS: usize = 2_000_000;

/// The condition of a rule.
pub(super) struct When {
    pub(super) expression: Expr,
    pub(super) reads: Reads,
    /// Its place in the list of bodies.
    pub(super) body: Option<usize>,
    /// From which parameters are read: the first that matches.
    pub(super) templates: Vec<PathTemplate>,
}

/// Whole policies, sliced.
pub(super) struct Whole {
    /// By the places of operations, and last what is none of them.
    pub(super) slices: Vec<Slice>,
    /// The actions and the groups that they are in.
    pub(super) entities: Entities,
}

impl Whole {
    /// Of what is no operation the last.
    pub(super) fn slice(&self, operation: Option<usize>) -> Option<&Slice> {
        match operation {
            Some(place) => self.slices.get(place),
            None => self.slices.last(),
        }
    }
}

/// What can apply to one operation.
pub(super) struct Slice {
    pub(super) action: EntityUIDEntry,
    pub(super) resource: EntityUIDEntry,
    pub(super) body: Option<usize>,
    pub(super) forbids: Part,
    pub(super) permits: Part,
}

#[derive(Default)]
pub(super) struct Part {
    pub(super) policies: Vec<Arc<Sliced>>,
    pub(super) reads: Reads,
}

pub(super) struct Sliced {
    pub(super) id: Arc<str>,
    /// The only principals of whom it is asked.
    pub(super) kind: Option<PrincipalKind>,
    pub(super) expression: Expr,
}

/// Bodies that are declared, each once.
#[derive(Default)]
pub(super) struct Bodies {
    pub(super) all: Vec<Body>,
    most: usize,
}

impl Bodies {
    pub(super) const fn new(most: usize) -> Self {
        Self {
            all: Vec::new(),
            most,
        }
    }

    fn place(
        &mut self,
        fields: &Arc<crate::policy::model::BodyFields>,
    ) -> Result<Option<usize>, String> {
        if let Some(place) = self.all.iter().position(|body| body.is_of(fields)) {
            return Ok(Some(place));
        }
        let Some(body) = Body::of(fields, self.most)? else {
            return Ok(None);
        };
        self.all.push(body);
        Ok(Some(self.all.len() - 1))
    }
}

/// What reading a policy gathers.
pub(super) struct Load<'a> {
    pub(super) document: &'a Document,
    pub(super) bodies: Bodies,
    pub(super) has_grants: bool,
    pub(super) errors: Vec<PolicyError>,
}

/// Rules whose conditions are validated together.
struct Together<'a> {
    setting: Setting<'a>,
    policies: Vec<(PolicyId, Policy, Source<'a>)>,
}

impl<'a> Load<'a> {
    /// The conditions of rules, by their places.
    pub(super) fn whens(&mut self, rules: &'a [Rule]) -> Vec<Option<When>> {
        let mut together: Vec<Together<'a>> = Vec::new();
        let mut whens = Vec::with_capacity(rules.len());
        for (index, rule) in rules.iter().enumerate() {
            whens.push(self.when(index, rule, &mut together));
        }
        for Together { setting, policies } in together {
            let body = setting.body.and_then(|place| self.bodies.all.get(place));
            match schema::of_rules(&self.document.attributes, &setting, body) {
                Ok(schema) => self.validate(&schema, policies),
                Err(error) => self.fail(PolicyError::new(
                    &policies
                        .first()
                        .map(|(_, _, source)| source.origin.clone())
                        .unwrap_or_default(),
                    format!("what conditions may read cannot be said in Cedar: {error}"),
                )),
            }
        }
        whens
    }

    fn when(
        &mut self,
        index: usize,
        rule: &'a Rule,
        together: &mut Vec<Together<'a>>,
    ) -> Option<When> {
        let condition = rule.when.as_ref()?;
        // A line of its own, so that a comment at its end ends there.
        const BEFORE: &str = "permit(principal, action, resource) when {\n";
        let source = Source {
            origin: condition.origin.clone(),
            text: &condition.text,
            before: BEFORE.len(),
        };
        // What is no expression by itself could close the braces.
        if let Err(error) = condition.text.parse::<Expression>() {
            let bare = Source {
                before: 0,
                ..source.clone()
            };
            self.fail(bare.error(&error));
            return None;
        }
        let id = PolicyId::new(index.to_string());
        let policy =
            match Policy::parse(Some(id.clone()), format!("{BEFORE}{}\n}};", condition.text)) {
                Ok(policy) => policy,
                Err(error) => {
                    self.fail(source.error(&error));
                    return None;
                }
            };
        let body = match self.bodies.place(&condition.body) {
            Ok(body) => body,
            Err(why) => {
                self.fail(PolicyError::new(&condition.origin, why));
                return None;
            }
        };
        let groups: Vec<&str> = self.groups().collect();
        let runnable = match Runnable::of(&policy, &groups) {
            Ok(runnable) if runnable.reads.operation => {
                self.fail(PolicyError::new(
                    &condition.origin,
                    "`action` and `resource` are for whole Cedar policies",
                ).hint("the rule itself says for which requests it is; what it reads of them is in `context.request`"));
                return None;
            }
            Ok(runnable) => runnable,
            Err(why) => {
                self.fail(PolicyError::new(&condition.origin, why));
                return None;
            }
        };
        self.check_grants(&runnable.reads, &source);
        self.check_addresses(&policy, &source);
        let setting = Setting::of(rule, body);
        let templates = setting.templates.iter().copied().cloned().collect();
        match together
            .iter_mut()
            .find(|other| other.setting.is_same(&setting))
        {
            Some(other) => other.policies.push((id, policy, source)),
            None => together.push(Together {
                setting,
                policies: vec![(id, policy, source)],
            }),
        }
        Some(When {
            expression: runnable.expression,
            reads: runnable.reads,
            body,
            templates,
        })
    }

    /// Whole policies; none where the policy has no file of them.
    pub(super) fn whole(&mut self, rules: &[Rule]) -> Option<Whole> {
        if self.document.cedar.is_empty() {
            return None;
        }
        if let Some((before, operation)) = operations::same(&self.document.operations) {
            let why = format!(
                "a request can be both `{}` and `{}`, and Cedar policies are asked about one",
                operation.id, before.id
            );
            self.fail(
                PolicyError::new(&operation.origin, why)
                    .hint("let each request be one operation; groups say what they have in common"),
            );
            return None;
        }
        let bodies = self.bodies_of_operations()?;
        let schema = match schema::of_operations(self.document, &bodies, &self.bodies.all, OTHER) {
            Ok(schema) => schema,
            Err(error) => {
                self.fail(PolicyError::new(&self.first_file(), error));
                return None;
            }
        };
        let parsed = self.parse(rules);
        let operations = self.document.operations.len();
        if parsed.len().saturating_mul(operations) > MOST_PAIRS {
            let (policies, most) = (parsed.len(), MOST_PAIRS);
            let why = format!(
                "{policies} whole policies and {operations} operations are too many together"
            );
            let wrong = PolicyError::new(&self.first_file(), why);
            self.fail(wrong.hint(format!("the product of both is no more than {most}")));
            return None;
        }
        let policies: Vec<Policy> = parsed.iter().map(|(_, policy, _)| policy.clone()).collect();
        let groups: Vec<&str> = self
            .document
            .attributes
            .iter()
            .map(|group| &*group.name)
            .collect();
        let mut runnable = Vec::with_capacity(parsed.len());
        for (_, policy, source) in &parsed {
            self.check_routes(policy, source);
            self.check_scope(policy, source);
            self.check_addresses(policy, source);
            match Runnable::of(policy, &groups) {
                Ok(one) => {
                    self.check_grants(&one.reads, source);
                    runnable.push(one);
                }
                Err(why) => self.fail(PolicyError::new(&source.start(), why)),
            }
        }
        self.validate(&schema, parsed);
        if !self.errors.is_empty() {
            return None;
        }
        let compiled: Vec<Compiled> = policies.iter().zip(runnable).map(Compiled::of).collect();
        let entities = schema.action_entities().map_err(|error| error.to_string());
        let slices = self.slices(&compiled, &bodies);
        match slices.and_then(|slices| Ok((slices, entities?))) {
            Ok((slices, entities)) => Some(Whole { slices, entities }),
            Err(why) => {
                self.fail(PolicyError::new(&self.first_file(), why));
                None
            }
        }
    }

    fn bodies_of_operations(&mut self) -> Option<Vec<Option<usize>>> {
        let mut bodies = Vec::new();
        for operation in &self.document.operations {
            match self.bodies.place(&operation.body) {
                Ok(body) => bodies.push(body),
                Err(why) => {
                    self.fail(PolicyError::new(&operation.origin, why));
                    return None;
                }
            }
        }
        Some(bodies)
    }

    fn parse(&mut self, rules: &[Rule]) -> Vec<(PolicyId, Policy, Source<'a>)> {
        let mut ids: BTreeSet<String> = rules.iter().map(|rule| rule.id.to_string()).collect();
        let mut parsed = Vec::new();
        for file in &self.document.cedar {
            let whole = Source::of_file(&file.file, &file.text);
            let set = match file.text.parse::<PolicySet>() {
                Ok(set) => set,
                Err(error) => {
                    self.fail(whole.error(&error));
                    continue;
                }
            };
            if set.templates().next().is_some() {
                self.fail(PolicyError::new(&whole.origin, "templates are not read"));
            }
            let mut at = 0;
            for policy in set.policies() {
                let source = whole.clone().from(policy, &mut at);
                let Some(id) = policy.annotation("id").filter(|id| !id.is_empty()) else {
                    self.fail(
                        PolicyError::new(&source.start(), "a policy without an id")
                            .hint("`@id(\"..\")` before it is what permits and records call it"),
                    );
                    continue;
                };
                if id.len() > LONGEST_ID || id.chars().any(char::is_control) || id.trim() != id {
                    let rule = format!(
                        "at most {LONGEST_ID} bytes, no control characters, no space around it"
                    );
                    let wrong = PolicyError::new(&source.start(), "this is no id of a policy");
                    self.fail(wrong.hint(rule));
                    continue;
                }
                if !ids.insert(id.to_owned()) {
                    let why = format!("the id `{id}` is given twice");
                    self.fail(PolicyError::new(&source.start(), why));
                    continue;
                }
                let id = PolicyId::new(id);
                parsed.push((id.clone(), policy.new_id(id), source));
            }
        }
        parsed
    }

    /// Strictly; a warning is an error too.
    fn validate(
        &mut self,
        schema: &cedar_policy::Schema,
        policies: Vec<(PolicyId, Policy, Source<'a>)>,
    ) {
        let mut set = PolicySet::new();
        for (_, policy, source) in &policies {
            if let Err(error) = set.add(policy.clone()) {
                self.fail(PolicyError::new(&source.start(), error.to_string()));
            }
        }
        let found = Validator::new(schema.clone()).validate(&set, ValidationMode::Strict);
        let mut wrong: Vec<PolicyError> = Vec::new();
        let source = |id: &PolicyId| policies.iter().find(|(own, _, _)| own == id);
        for error in found.validation_errors() {
            wrong.extend(source(error.policy_id()).map(|(_, _, source)| source.error(error)));
        }
        for warning in found.validation_warnings() {
            wrong.extend(source(warning.policy_id()).map(|(_, _, source)| source.error(warning)));
        }
        if wrong.is_empty() && !found.validation_passed_without_warnings() {
            let origin = policies.first().map(|(_, _, source)| source.start());
            wrong.push(PolicyError::new(
                &origin.unwrap_or_default(),
                "it is not valid",
            ));
        }
        for error in wrong {
            self.fail(error);
        }
    }

    fn slices(
        &self,
        policies: &[Compiled],
        bodies: &[Option<usize>],
    ) -> Result<Vec<Slice>, String> {
        let none = &[][..];
        let operations = self
            .document
            .operations
            .iter()
            .zip(bodies)
            .map(|(operation, body)| {
                (
                    &*operation.id,
                    &*operation.groups,
                    operation.path.to_string(),
                    *body,
                )
            });
        operations
            .chain([(OTHER, none, OTHER.to_owned(), None)])
            .map(|(id, groups, route, body)| {
                let mut slice = Slice {
                    action: schema::entry("Action", id)?,
                    resource: schema::entry("Route", &route)?,
                    body,
                    forbids: Part::default(),
                    permits: Part::default(),
                };
                for policy in policies {
                    if !applies(&policy.action, id, groups) {
                        continue;
                    }
                    let part = match policy.effect {
                        Effect::Deny => &mut slice.forbids,
                        Effect::Allow => &mut slice.permits,
                    };
                    part.policies.push(Arc::clone(&policy.sliced));
                    part.reads.add(&policy.reads);
                }
                Ok(slice)
            })
            .collect()
    }

    /// A route that is none is a slip of the pen that no schema finds.
    fn check_routes(&mut self, policy: &Policy, source: &Source<'_>) {
        for literal in policy.entity_literals() {
            let id: &str = literal.id().as_ref();
            let known = |operation: &Operation| operation.path.to_string() == id;
            if literal.type_name().basename() == "Route"
                && id != OTHER
                && !self.document.operations.iter().any(known)
            {
                let why = format!("`{id}` is the path of no operation");
                self.fail(PolicyError::new(&source.start(), why));
            }
        }
    }

    /// One whose action and resource no request has together would never be asked.
    fn check_scope(&mut self, policy: &Policy, source: &Source<'_>) {
        let (ResourceConstraint::Eq(route)
        | ResourceConstraint::In(route)
        | ResourceConstraint::IsIn(_, route)) = policy.resource_constraint()
        else {
            return;
        };
        let (action, route): (_, &str) = (policy.action_constraint(), route.id().as_ref());
        let mut operations = self.document.operations.iter();
        let asked = (route == OTHER && applies(&action, OTHER, &[]))
            || operations.any(|operation| {
                operation.path.to_string() == route
                    && applies(&action, &operation.id, &operation.groups)
            });
        if !asked {
            let why = format!("no request of its action is of the resource `{route}`");
            let wrong = PolicyError::new(&source.start(), why);
            self.fail(wrong.hint("the resource of a request is the path of its operation"));
        }
    }

    fn check_grants(&mut self, reads: &Reads, source: &Source<'_>) {
        if reads.has(Fact::Grants) && !self.has_grants {
            self.fail(
                PolicyError::new(&source.start(), "nobody says who holds grants")
                    .hint("`PolicyOptions::grants`"),
            );
        }
    }

    fn groups(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.document.attributes.iter().map(|group| &*group.name)
    }

    fn first_file(&self) -> crate::policy::model::Origin {
        crate::policy::model::Origin {
            file: self.document.cedar.first().map_or_else(
                || Arc::clone(&self.document.name),
                |file| Arc::clone(&file.file),
            ),
            line: 0,
            column: 0,
        }
    }

    /// What one condition says in several rules is wrong once.
    pub(super) fn fail(&mut self, error: PolicyError) {
        if !self.errors.contains(&error) {
            self.errors.push(error);
        }
    }
}

/// A whole policy, before it is sliced.
struct Compiled {
    effect: Effect,
    action: ActionConstraint,
    reads: Reads,
    sliced: Arc<Sliced>,
}

impl Compiled {
    fn of((policy, runnable): (&Policy, Runnable)) -> Self {
        Self {
            effect: match policy.effect() {
                cedar_policy::Effect::Permit => Effect::Allow,
                cedar_policy::Effect::Forbid => Effect::Deny,
            },
            action: policy.action_constraint(),
            reads: runnable.reads,
            sliced: Arc::new(Sliced {
                id: AsRef::<str>::as_ref(policy.id()).into(),
                kind: runnable.kind,
                expression: runnable.expression,
            }),
        }
    }
}

/// Whether a policy about `action` is asked about the operation `id`.
fn applies(action: &ActionConstraint, id: &str, groups: &[Arc<str>]) -> bool {
    let is = |uid: &EntityUid| {
        let uid: &str = uid.id().as_ref();
        uid == id || groups.iter().any(|group| **group == *uid)
    };
    match action {
        ActionConstraint::Any => true,
        ActionConstraint::Eq(action) => is(action),
        ActionConstraint::In(actions) => actions.iter().any(is),
    }
}

impl<'a> Setting<'a> {
    fn of(rule: &'a Rule, body: Option<usize>) -> Self {
        Self {
            body,
            kinds: schema::kinds(&rule.clauses),
            templates: schema::templates(&rule.clauses),
        }
    }
}

/// The parameters of templates, with whether one of them does not have it.
pub(super) fn parameters<'a>(
    templates: &[&'a PathTemplate],
) -> std::collections::BTreeMap<&'a str, bool> {
    let names = templates
        .iter()
        .flat_map(|template| operations::names(template));
    names
        .map(|name| {
            let everywhere = templates
                .iter()
                .all(|template| operations::names(template).any(|own| own == name));
            (&**name, !everywhere)
        })
        .collect()
}
