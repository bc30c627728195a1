use std::{borrow::Cow, fmt, sync::Arc};

use super::{
    PolicyErrors, PolicyOptions, PolicyWarning,
    condition::{Conditions, Judgement},
    document,
    dry_run::{self, DryRunReport, Tried},
    facts::{self, Facts},
    matcher::{Found, Matcher},
    model::{Atom, Document, Effect, Operation, Otherwise, PathReading, Rule, SourceText, Text},
};
use crate::{
    authorize::{Access, Grounds, Policy, Verdict},
    body::CollectLimits,
    decision::{Code, Denial, PolicyName},
    gate::{Later, Step},
};

/// A policy that was loaded: immutable, cheap to clone.
#[derive(Clone)]
pub struct CompiledPolicy(Arc<Inner>);

struct Inner {
    document: Document,
    /// What is in force.
    engine: Arc<Engine>,
    /// What would be, if no rule were a dry run; only where one is.
    trial: Option<Arc<Tried>>,
    /// Another policy that is tried beside this one.
    candidate: Option<Arc<Tried>>,
}

/// Rules with everything that decides by them.
pub(crate) struct Engine {
    pub(crate) name: PolicyName,
    pub(crate) rules: Arc<[Rule]>,
    pub(crate) matcher: Matcher,
    pub(crate) conditions: Conditions,
    pub(crate) otherwise: Otherwise,
    pub(crate) paths: PathReading,
    /// Whether methods are told apart by their case alone; no rule of zt's own language does.
    small_methods: Box<[Text]>,
    /// Whether any condition can read a body; most policies have none that does.
    reads_bodies: bool,
}

/// The places of rules in the engine's list.
pub(crate) type RuleIndex = u32;

impl CompiledPolicy {
    /// The policy in `text`, which has the form that the [module](super) describes.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it, with lines. One that names further files has to be
    /// [read](Self::read).
    pub fn from_toml(text: &str, options: &PolicyOptions) -> Result<Self, PolicyErrors> {
        let main = SourceText {
            file: "policy.toml".into(),
            text: text.into(),
        };
        let none = |file: &str| Err(format!("`{file}` cannot be found from a text"));
        Self::compile(document::parse(&main, &none, options)?, options)
    }

    pub(crate) fn compile(
        document: Document,
        options: &PolicyOptions,
    ) -> Result<Self, PolicyErrors> {
        let engine = |with_trials: bool| -> Result<Arc<Engine>, PolicyErrors> {
            let rules: Arc<[Rule]> = document
                .rules
                .iter()
                .filter(|rule| with_trials || !rule.dry_run)
                .cloned()
                .collect();
            Ok(Arc::new(Engine {
                name: PolicyName::new(Arc::clone(&document.name), Arc::clone(&document.version)),
                matcher: Matcher::new(&rules),
                conditions: Conditions::new(&document, &rules, options)?,
                otherwise: document.otherwise,
                paths: document.paths,
                small_methods: small_methods(&rules),
                reads_bodies: reads_bodies(&document, &rules),
                rules,
            }))
        };
        let trials = document.rules.iter().any(|rule| rule.dry_run);
        Ok(Self(Arc::new(Inner {
            engine: engine(false)?,
            trial: match trials {
                true => Some(Arc::new(Tried::rules(engine(true)?))),
                false => None,
            },
            candidate: None,
            document,
        })))
    }

    /// This policy, with `candidate` tried beside it: for each request is noted what `candidate` would
    /// have decided otherwise, and it decides nothing. Rules of `candidate` that are a dry run
    /// themselves are left out.
    #[must_use]
    pub fn with_candidate(&self, candidate: &Self) -> Self {
        Self(Arc::new(Inner {
            document: self.0.document.clone(),
            engine: Arc::clone(&self.0.engine),
            trial: self.0.trial.clone(),
            candidate: Some(Arc::new(Tried::candidate(Arc::clone(candidate.engine())))),
        }))
    }

    /// What rules that are only tried, and a candidate, would have decided otherwise so far.
    #[must_use]
    pub fn dry_run_report(&self) -> DryRunReport {
        DryRunReport::of(self.tried())
    }

    pub(super) fn tried(&self) -> impl Iterator<Item = &Arc<Tried>> {
        self.0.trial.iter().chain(&self.0.candidate)
    }

    /// What permits and records call it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.document.name
    }

    /// Its version: what the file says, or else the beginning of the digest of its texts.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.0.document.version
    }

    /// What whoever loads it should know: policies that are left out, rules that say less than they
    /// seem to.
    pub fn warnings(&self) -> impl Iterator<Item = &PolicyWarning> {
        self.0.document.warnings.iter()
    }

    pub(crate) fn document(&self) -> &Document {
        &self.0.document
    }

    pub(crate) fn engine(&self) -> &Arc<Engine> {
        &self.0.engine
    }

    pub(crate) fn trial(&self) -> Option<&Arc<Engine>> {
        self.0.trial.as_ref().map(|tried| tried.engine())
    }
}

impl Policy for CompiledPolicy {
    fn decide(&self, access: &Access<'_>) -> Step<Verdict> {
        let step = self.0.engine.decide(access);
        if self.0.trial.is_none() && self.0.candidate.is_none() {
            return step;
        }
        dry_run::beside(self, step, access)
    }

    fn needs_body(&self, access: &Access<'_>) -> Option<CollectLimits> {
        self.0.engine.needs_body(access)
    }

    fn known_as(&self) -> Option<(Arc<str>, Arc<str>)> {
        let known = &self.0.engine.name;
        Some((Arc::clone(known.name()), Arc::clone(known.version())))
    }
}

impl Engine {
    /// The path that rules are compared with, and its usual spelling where it has another one; where path
    /// and method have one reading only.
    pub(crate) fn spellings<'a>(
        &self,
        access: &Access<'a>,
    ) -> Result<(Cow<'a, str>, Option<String>), Denial> {
        let method = access.method().as_str();
        if facts::has_small_letters(method)
            && !self.small_methods.iter().any(|text| text.is(method))
        {
            return Err(facts::malformed("the method has small letters"));
        }
        facts::spellings(access, self.paths)
    }

    /// What matches, once the request has one reading only.
    pub(crate) fn find(&self, access: &Access<'_>) -> Result<Found, Denial> {
        let (path, usual) = self.spellings(access)?;
        let host = match self.matcher.reads_host() {
            true => Some(facts::host(access)?),
            false => None,
        };
        let facts = Facts {
            host,
            usual: usual.as_deref(),
            ..Facts::with_path(access, &path)
        };
        let found = self.matcher.find(&facts);
        Ok(match facts.usual {
            None => found,
            Some(path) => {
                let usual = None;
                let facts = Facts {
                    path,
                    usual,
                    ..facts
                };
                found.or_denied(self.matcher.find(&facts), &self.rules)
            }
        })
    }

    /// 1. a denying rule that matches on its clauses alone denies;
    /// 2. where conditions matter, they are asked ([`Conditions::decide`]);
    /// 3. an allowing rule permits;
    /// 4. what is left is denied, or allowed where the policy says so by explicit option.
    pub(crate) fn decide(self: &Arc<Self>, access: &Access<'_>) -> Step<Verdict> {
        let found = match self.find(access) {
            Ok(found) => found,
            Err(denial) => return Step::Now(self.concluded(Err(denial), access)),
        };
        if let Some(rule) = found.deny {
            let rule = self.id(rule);
            return Step::pass(self.conclude(Judgement::Deny { rule }, access));
        }
        if let Some(step) = self.conditions.ask(&self.rules, &found, access) {
            return match step {
                Step::Now(judgement) => Step::Now(self.concluded(judgement, access)),
                Step::Later(mut later) => {
                    let engine = Arc::clone(self);
                    Step::Later(Later::poll_fn(move |task, parts, cx| {
                        let judgement = later.poll(task, parts, cx);
                        judgement
                            .map(|judgement| engine.concluded(judgement, &Access::new(parts, cx)))
                    }))
                }
            };
        }
        let judgement = match found.allow {
            Some(rule) => Judgement::Permit {
                rule: self.id(rule),
                held: Vec::new(),
            },
            None => Judgement::Silent,
        };
        Step::pass(self.conclude(judgement, access))
    }

    pub(crate) fn needs_body(&self, access: &Access<'_>) -> Option<CollectLimits> {
        if !self.reads_bodies {
            return None;
        }
        // What is refused needs no body.
        let found = self
            .find(access)
            .ok()
            .filter(|found| found.deny.is_none())?;
        self.conditions.needs_body(&self.rules, &found, access)
    }

    fn id(&self, rule: RuleIndex) -> Arc<str> {
        self.rules
            .get(rule as usize)
            .map_or_else(|| Arc::from("?"), |rule| Arc::clone(&rule.id))
    }

    /// What failed names the policy too, which one of several could not be told by otherwise.
    fn concluded(
        &self,
        judgement: Result<Judgement, Denial>,
        access: &Access<'_>,
    ) -> Result<Verdict, Denial> {
        match judgement {
            Ok(judgement) => Ok(self.conclude(judgement, access)),
            Err(denial) => Err(denial.of_policy(self.name.clone())),
        }
    }

    fn conclude(&self, judgement: Judgement, access: &Access<'_>) -> Verdict {
        match judgement {
            Judgement::Permit { rule, held } => {
                let mut grounds = Grounds::new(rule).of_policy(self.name.clone());
                for grant in &held {
                    grounds = grounds.until(grant.until);
                }
                Verdict::Permit(match self.conditions.standing(held, access) {
                    Some(standing) => grounds.standing_on(standing),
                    None => grounds,
                })
            }
            Judgement::Deny { rule } => Verdict::Deny(
                Denial::new(Code::PolicyDenied)
                    .by_rule(rule)
                    .of_policy(self.name.clone()),
            ),
            Judgement::Silent => match self.otherwise {
                Otherwise::Allow if !self.rules.iter().any(|rule| rule.effect == Effect::Allow) => {
                    Verdict::Permit(Grounds::new("no policy allows").of_policy(self.name.clone()))
                }
                _ => Verdict::NotApplicable,
            },
        }
    }
}

/// What rules say of methods with small letters in it.
fn small_methods(rules: &[Rule]) -> Box<[Text]> {
    let clauses = rules.iter().flat_map(|rule| &rule.clauses);
    let texts = clauses
        .flat_map(|clause| &clause.any)
        .filter_map(|atom| match atom {
            Atom::Method(text) => Some(text),
            _ => None,
        });
    let is_small = |text: &&Text| match text {
        Text::Exact(text) | Text::Prefix(text) | Text::Suffix(text) => {
            facts::has_small_letters(text)
        }
        _ => false,
    };
    texts.filter(is_small).cloned().collect()
}

/// Whether a condition of these rules, or a whole Cedar policy, can read a body.
fn reads_bodies(document: &Document, rules: &[Rule]) -> bool {
    let mut conditions = rules.iter().filter_map(|rule| rule.when.as_ref());
    let declared = |operation: &Operation| !operation.body.fields.is_empty();
    conditions.any(|condition| !condition.body.fields.is_empty())
        || (!document.cedar.is_empty() && document.operations.iter().any(declared))
}

impl fmt::Debug for CompiledPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CompiledPolicy")
            .field("name", &self.name())
            .field("version", &self.version())
            .field("rules", &self.0.document.rules.len())
            .field("otherwise", &self.0.document.otherwise)
            .finish_non_exhaustive()
    }
}
