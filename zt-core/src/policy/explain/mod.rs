//! Explanations: which rules matched a request, which decided, and which nearly did and why not.
//!
//! # What it protects against
//!
//! Guessing. Who was denied and should not have been reads which rule came nearest and what of it
//! does not hold, instead of widening another one.
//!
//! # What an explanation says
//!
//! 1. the policy's answer, and the rule that gave it;
//! 2. every other rule that matched, in the order of the file;
//! 3. the rules that nearly did, nearest first: what is nearest misses the fewest things, and of two
//!    that miss as many the one of which more holds. Each with what misses, in words, in the order
//!    in which the rule says it. Ten of them are shown, and how many others there are;
//! 4. where a policy has rules in dry run, what would be answered if they were in force.
//!
//! Grants and conditions are asked one by one, of the rules whose clauses all hold.
//!
//! # What it does not show
//!
//! Values of claims, headers and bodies, and scopes and roles that the rule does not name. Names,
//! addresses, the path and the workload are shown: they are what rules are about. Why something could
//! not be answered is told as the audit record tells it.

#[cfg(test)]
mod tests;
pub(super) mod words;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, btree_map::Entry},
    fmt,
    sync::Arc,
};

use serde::Serialize;

use super::{
    Answer, CompiledPolicy, Question, QuestionError,
    compiled::{Engine, RuleIndex},
    facts::Facts,
    model::{Effect, Rule},
    question::Asked,
};

/// So many rules that nearly matched are shown.
const NEAREST: usize = 10;

/// Why a policy answers what it does. Readable in a terminal (`Display`), and as JSON (`Serialize`).
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Explanation {
    /// What was asked: method and target.
    pub request: Arc<str>,
    /// The answer.
    pub answer: Answer,
    /// What it would be if rules in dry run were in force, where there are any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trial: Option<Answer>,
    /// The rules that matched, then those that nearly did.
    pub rules: Vec<RuleExplanation>,
    /// How many rules did not match and are not shown.
    pub others: usize,
}

/// What became of one rule.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct RuleExplanation {
    /// The rule.
    pub id: Arc<str>,
    /// `allow` or `deny`.
    pub effect: &'static str,
    /// It is tried, and decides nothing.
    pub dry_run: bool,
    /// The file that it stands in.
    pub file: Arc<str>,
    /// Its line there.
    pub line: usize,
    /// Whether it matched.
    pub outcome: Outcome,
    /// What misses, in words. Empty where it matched.
    pub misses: Vec<String>,
    #[serde(skip)]
    held: usize,
}

/// What became of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Outcome {
    /// It gave the answer.
    Decided,
    /// It matched, and another one decided.
    Matched,
    /// Something of it does not hold.
    Missed,
}

impl CompiledPolicy {
    /// Asks, and tells why the answer is what it is.
    ///
    /// # Errors
    ///
    /// As [`ask`](Self::ask).
    pub async fn explain(&self, question: &Question) -> Result<Explanation, QuestionError> {
        let answer = self.ask(question).await?;
        let attributes = &self.document().attributes;
        let trial = match self.trial() {
            Some(engine) => Some(Asked::of(question, attributes)?.of_engine(engine).await),
            None => None,
        };
        // With the rules in dry run, which are explained too.
        let engine = self.trial().unwrap_or_else(|| self.engine());
        let mut asked = Asked::of(question, attributes)?;
        let misses = asked.misses(engine).await;
        let (rules, others) = sorted(&engine.rules, misses, &answer);
        Ok(Explanation {
            request: Arc::clone(&question.request),
            answer,
            trial,
            rules,
            others,
        })
    }
}

impl Asked {
    /// What misses of each rule; nothing at all where no rule is looked at.
    async fn misses(&mut self, engine: &Arc<Engine>) -> Vec<(Vec<String>, usize)> {
        let mut found = {
            let access = self.access();
            let Ok((path, usual)) = engine.spellings(&access) else {
                return Vec::new();
            };
            let facts = Facts {
                host: access.host(),
                ..Facts::with_path(&access, &path)
            };
            let facts = Facts {
                usual: usual.as_deref(),
                ..facts
            };
            let usual = usual.as_deref().map(|path| Facts {
                path,
                usual: None,
                ..facts
            });
            let of = |rule: &Rule| {
                let denied = |facts| rule.clauses.iter().all(|clause| clause.holds(facts));
                if rule.effect == Effect::Deny && usual.as_ref().is_some_and(denied) {
                    return (Vec::new(), rule.clauses.len());
                }
                let clauses = rule.clauses.iter();
                let missed = clauses.filter(|clause| !clause.holds_for(rule.effect, &facts));
                let misses: Vec<String> =
                    missed.map(|clause| words::miss(clause, &facts)).collect();
                let held = rule.clauses.len() - misses.len();
                (misses, held)
            };
            engine.rules.iter().map(of).collect::<Vec<_>>()
        };
        for ((index, rule), (misses, held)) in (0..).zip(engine.rules.iter()).zip(&mut found) {
            if !misses.is_empty() {
                continue;
            }
            if let Some(scope) = &rule.grant {
                match self.alone(engine, index, |rule| rule.when = None).await {
                    Ok(true) => *held += 1,
                    Ok(false) => misses.push(format!("the grant `{scope}` is not held")),
                    Err(why) => misses.push(format!("the grant `{scope}`: {why}")),
                }
            }
            if let Some(when) = &rule.when {
                match self.alone(engine, index, |rule| rule.grant = None).await {
                    Ok(true) => *held += 1,
                    Ok(false) => {
                        misses.push(format!("when `{}` is false", words::line(&when.text)))
                    }
                    Err(why) => {
                        misses.push(format!("when `{}`: {why}", words::line(&when.text)));
                    }
                }
            }
        }
        found
    }

    /// Whether what `change` leaves of a rule's grant and condition holds.
    async fn alone(
        &mut self,
        engine: &Arc<Engine>,
        index: RuleIndex,
        change: impl FnOnce(&mut Rule),
    ) -> Result<bool, String> {
        let mut rules: Vec<Rule> = engine.rules.to_vec();
        let id: Arc<str> = "the rule that is explained".into();
        if let Some(rule) = rules.get_mut(index as usize) {
            change(rule);
            // A denying rule is asked before anything else is.
            rule.effect = Effect::Deny;
            rule.id = Arc::clone(&id);
        }
        self.holds(engine, &rules.into(), index, &id).await
    }
}

/// Those that matched in the order of the file, then those that nearly did. Of the rules that are one
/// in the file the nearest counts.
fn sorted(
    rules: &[Rule],
    misses: Vec<(Vec<String>, usize)>,
    answer: &Answer,
) -> (Vec<RuleExplanation>, usize) {
    let near = |rule: &RuleExplanation| (rule.misses.len(), Reverse(rule.held));
    let mut by_id: BTreeMap<&Arc<str>, RuleExplanation> = BTreeMap::new();
    for (rule, (misses, held)) in rules.iter().zip(misses) {
        let decided = answer.rule() == Some(&*rule.id) && !rule.dry_run;
        let explained = RuleExplanation {
            id: Arc::clone(&rule.id),
            effect: words::effect(rule.effect),
            dry_run: rule.dry_run,
            file: Arc::clone(&rule.origin.file),
            line: rule.origin.line,
            outcome: match (decided, misses.is_empty()) {
                // Also where it decided because it could not be answered.
                (true, _) => Outcome::Decided,
                (false, true) => Outcome::Matched,
                (false, false) => Outcome::Missed,
            },
            misses,
            held,
        };
        match by_id.entry(&rule.id) {
            Entry::Vacant(entry) => {
                entry.insert(explained);
            }
            Entry::Occupied(mut entry) if near(&explained) < near(entry.get()) => {
                entry.insert(explained);
            }
            Entry::Occupied(_) => {}
        }
    }
    let mut rules: Vec<RuleExplanation> = by_id.into_values().collect();
    rules.sort_by_key(|rule| {
        let order = match rule.outcome {
            Outcome::Decided => (0, 0, Reverse(0)),
            Outcome::Matched => (1, 0, Reverse(0)),
            Outcome::Missed => (2, rule.misses.len(), Reverse(rule.held)),
        };
        (order, rule.line)
    });
    let matched = rules.partition_point(|rule| rule.outcome != Outcome::Missed);
    let others = rules.len().saturating_sub(matched + NEAREST);
    rules.truncate(matched + NEAREST);
    (rules, others)
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", words::line(&self.request), self.answer)?;
        if let Some(trial) = &self.trial {
            writeln!(f, "with the rules in dry run: {trial}")?;
        }
        for rule in &self.rules {
            let became = match (rule.outcome, rule.dry_run) {
                (Outcome::Decided, _) => "decided",
                (Outcome::Matched, false) => "matched, and another one decided",
                (Outcome::Matched, true) => "matched, and is a dry run",
                (Outcome::Missed, false) => "did not match",
                (Outcome::Missed, true) => "did not match, and is a dry run",
            };
            let RuleExplanation {
                id,
                effect,
                file,
                line,
                ..
            } = rule;
            let id = words::line(id);
            writeln!(f, "  {effect} `{id}` ({file}:{line}) {became}")?;
            for miss in &rule.misses {
                writeln!(f, "    - {miss}")?;
            }
        }
        match self.others {
            0 => Ok(()),
            1 => writeln!(f, "  1 other rule is further off"),
            others => writeln!(f, "  {others} other rules are further off"),
        }
    }
}
