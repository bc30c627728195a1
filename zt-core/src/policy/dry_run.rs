//! Rules and policies that are tried before they are in force.
//!
//! Beside the policy in force stand up to two others: the same with its `dry_run` rules as if they
//! were in force, and a [candidate](CompiledPolicy::with_candidate). For each request
//!
//! 1. the policy in force decides, and what it says is final: nothing here changes it, fails it or
//!    keeps it waiting, and a panic here ends here;
//! 2. then each of the others is asked once, with what is there already. One that would have to
//!    read a body, or to wait for facts, is not asked further: that is *unknown*, and counted;
//! 3. where it would have permitted what was denied, or the other way round, that is logged (target
//!    `zt::policy::dry_run`), counted by rule ([`DryRunReport`]), and noted in the record of the
//!    decision. That another rule would have said the same is no difference.
//!
//! It costs what another decision costs. Counts belong to the texts as they were loaded: they begin
//! anew when these change. At most 1,024 rules are told apart.

use std::{
    collections::BTreeMap,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::ready,
};

use serde::Serialize;

use super::compiled::{CompiledPolicy, Engine};
use crate::{
    authorize::{Access, Verdict},
    clock::Timestamp,
    decision::{Code, Denial},
    gate::{Later, Step},
};

/// What rules that are only tried would have decided otherwise, since they were loaded.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct DryRunReport {
    /// How often something was tried.
    pub tried: u64,
    /// How often nobody knows what it would have decided: a body would have had to be read, or
    /// facts to be fetched.
    pub unknown: u64,
    /// The differences, by rule.
    pub changes: Vec<DryRunChange>,
    /// Differences beyond the rules that are told apart.
    pub others: u64,
}

/// What one rule would have changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct DryRunChange {
    /// The version of the candidate that it stands in; `None` for a rule of the policy itself.
    pub candidate: Option<Arc<str>>,
    /// What it would have done.
    pub would: WouldHave,
    /// The rule; `None` where no rule permits any more.
    pub rule: Option<Arc<str>>,
    /// How often.
    pub count: u64,
    /// When last.
    pub last: Timestamp,
}

/// What would have been, had it been in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WouldHave {
    /// Denied what was permitted.
    Denied,
    /// Permitted what was denied.
    Permitted,
}

impl WouldHave {
    /// As it stands in records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Denied => "deny",
            Self::Permitted => "permit",
        }
    }
}

/// Rules that decide nothing, and what came of them.
pub(super) struct Tried {
    engine: Arc<Engine>,
    is_candidate: bool,
    tried: AtomicU64,
    unknown: AtomicU64,
    counts: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    /// How often, and when last, by what would have been and by which rule.
    changes: BTreeMap<(WouldHave, Rule), (u64, Timestamp)>,
    others: u64,
}

/// The rule; `None` where none permits any more.
type Rule = Option<Arc<str>>;

/// Most rules that are told apart.
const MOST: usize = 1024;

impl Tried {
    /// The rules of a policy, its dry-run ones among them.
    pub(super) fn rules(engine: Arc<Engine>) -> Self {
        Self::new(engine, false)
    }

    pub(super) fn candidate(engine: Arc<Engine>) -> Self {
        Self::new(engine, true)
    }

    fn new(engine: Arc<Engine>, is_candidate: bool) -> Self {
        Self {
            engine,
            is_candidate,
            tried: AtomicU64::new(0),
            unknown: AtomicU64::new(0),
            counts: Mutex::default(),
        }
    }

    pub(super) const fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// What it would have changed.
    fn change(&self, permitted: bool, access: &Access<'_>) -> Option<Change<'_>> {
        self.tried.fetch_add(1, Ordering::Relaxed);
        let asked = catch_unwind(AssertUnwindSafe(|| ask(&self.engine, access)));
        let Some(verdict) = asked.ok().flatten() else {
            self.unknown.fetch_add(1, Ordering::Relaxed);
            return None;
        };
        let would = match &verdict {
            Ok(Verdict::Permit(_)) => WouldHave::Permitted,
            _ => WouldHave::Denied,
        };
        if permitted == (would == WouldHave::Permitted) {
            return None;
        }
        let rule: Option<Arc<str>> = match verdict {
            Ok(Verdict::Permit(grounds)) => Some(grounds.into_rule()),
            Ok(Verdict::Deny(denial)) | Err(denial) => denial.rule().map(Into::into),
            Ok(Verdict::NotApplicable) => None,
        };
        self.count(would, rule.clone(), access.now());
        Some(Change {
            would,
            rule,
            tried: self,
        })
    }

    fn count(&self, would: WouldHave, rule: Option<Arc<str>>, now: Timestamp) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (would, rule);
        if counts.changes.len() >= MOST && !counts.changes.contains_key(&key) {
            counts.others = counts.others.saturating_add(1);
            return;
        }
        let (count, last) = counts.changes.entry(key).or_insert((0, now));
        *count = count.saturating_add(1);
        *last = now.max(*last);
    }
}

/// What the rules say with what is there; `None` where that is not enough.
fn ask(engine: &Arc<Engine>, access: &Access<'_>) -> Option<Result<Verdict, Denial>> {
    if access.body().is_none() && engine.needs_body(access).is_some() {
        return None;
    }
    match engine.decide(access) {
        Step::Now(Err(denial)) if denial.code() == Code::StackMisordered => None,
        Step::Now(verdict) => Some(verdict),
        // Not polled, so nothing is fetched.
        Step::Later(_) => None,
    }
}

/// Has the rest tried once `policy` has decided.
pub(super) fn beside(
    policy: &CompiledPolicy,
    step: Step<Verdict>,
    access: &Access<'_>,
) -> Step<Verdict> {
    match step {
        Step::Now(verdict) => {
            compare(policy, &verdict, access);
            Step::Now(verdict)
        }
        Step::Later(mut later) => {
            let policy = policy.clone();
            Step::Later(Later::poll_fn(move |task, parts, cx| {
                let verdict = ready!(later.poll(task, parts, cx));
                compare(&policy, &verdict, &Access::new(parts, cx));
                std::task::Poll::Ready(verdict)
            }))
        }
    }
}

fn compare(policy: &CompiledPolicy, verdict: &Result<Verdict, Denial>, access: &Access<'_>) {
    let permitted = matches!(verdict, Ok(Verdict::Permit(_)));
    let mut note: Option<String> = None;
    for tried in policy.tried() {
        let Some(change) = tried.change(permitted, access) else {
            continue;
        };
        change.log(access);
        note = Some(match note {
            Some(before) => format!("{before}; {change}"),
            None => change.to_string(),
        });
    }
    if let Some(note) = note {
        access.context().trail().tried(note);
    }
}

/// What would have been different for one request.
struct Change<'a> {
    would: WouldHave,
    rule: Option<Arc<str>>,
    tried: &'a Tried,
}

impl Change<'_> {
    fn log(&self, access: &Access<'_>) {
        let engine = &self.tried.engine;
        tracing::info!(
            target: "zt::policy::dry_run",
            request_id = %access.context().request_id(),
            would = self.would.as_str(),
            rule = self.rule.as_deref(),
            policy = &**engine.name.name(),
            version = &**engine.name.version(),
            candidate = self.tried.is_candidate,
            "would decide otherwise"
        );
    }
}

/// As it stands in records: `deny by no-strangers`, `candidate 8: permit by refunds`.
impl fmt::Display for Change<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.tried.is_candidate {
            write!(f, "candidate {}: ", self.tried.engine.name.version())?;
        }
        match &self.rule {
            Some(rule) => write!(f, "{} by {rule}", self.would.as_str()),
            None => write!(f, "{} by no rule", self.would.as_str()),
        }
    }
}

impl DryRunReport {
    pub(super) fn of<'a>(all: impl Iterator<Item = &'a Arc<Tried>>) -> Self {
        let mut report = Self::default();
        for one in all {
            report.tried += one.tried.load(Ordering::Relaxed);
            report.unknown += one.unknown.load(Ordering::Relaxed);
            let counts = one.counts.lock().unwrap_or_else(PoisonError::into_inner);
            report.others = report.others.saturating_add(counts.others);
            let version = one
                .is_candidate
                .then(|| Arc::clone(one.engine.name.version()));
            for ((would, rule), (count, last)) in &counts.changes {
                report.changes.push(DryRunChange {
                    candidate: version.clone(),
                    would: *would,
                    rule: rule.clone(),
                    count: *count,
                    last: *last,
                });
            }
        }
        report
    }
}

/// One a line.
impl fmt::Display for DryRunReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tried {}, unknown {}", self.tried, self.unknown)?;
        for change in &self.changes {
            f.write_str("\n")?;
            if let Some(version) = &change.candidate {
                write!(f, "candidate {version}: ")?;
            }
            let rule = change.rule.as_deref().unwrap_or("no rule");
            write!(f, "{} by {rule}: {}", change.would.as_str(), change.count)?;
        }
        match self.others {
            0 => Ok(()),
            others => write!(f, "\nothers: {others}"),
        }
    }
}

#[cfg(test)]
mod tests;
