//! Tables of cases: what a policy has to permit and to deny, checked in `cargo test` or by
//! `zt-policy check --tests`.
//!
//! # What it protects against
//!
//! A change of a policy that means more than was meant. Cases stand beside the policy, and whoever
//! changes it sees which of them no longer hold, and why: each failure prints its explanation.
//!
//! # As a file
//!
//! ```toml
//! [[case]]
//! name = "orders may charge"            # its line where nothing is said
//! allows = "orders-charge"              # by this rule; `true`: by whichever
//! request = "POST /charge"
//! workload = "spiffe://shop.example/orders"
//!
//! [[case]]
//! denies = true                         # or the rule that denies
//! request = "POST /charge"
//! workload = "spiffe://shop.example/admin"
//! ```
//!
//! Everything else is a [`Question`]. Keys that are not known are refused.

#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, fmt, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{CompiledPolicy, Explanation, Question};

/// Cases, and the policy that they are about.
///
/// ```
/// use zt_core::policy::{CompiledPolicy, PolicyOptions, PolicyTest, Question};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let policy = CompiledPolicy::from_toml(
///     r#"
///     [[rule]]
///     id = "orders-charge"
///     effect = "allow"
///     caller = { workload = "spiffe://shop.example/orders" }
///     methods = ["POST"]
///     path = "/charge"
///     "#,
///     &PolicyOptions::new(),
/// )?;
/// let charge = |workload: &str| Question::new("POST /charge").workload(workload);
/// PolicyTest::new(&policy)
///     .allows(charge("spiffe://shop.example/orders")).by("orders-charge")
///     .denies(charge("spiffe://shop.example/admin"))
///     .assert()
///     .await;
/// # Ok(()) }
/// ```
///
/// In a file, for [`cases`](Self::cases) and `zt-policy check --tests`, beside the keys of a
/// [`Question`]:
///
/// ```toml
/// [[case]]
/// name = "orders may charge"
/// allows = "orders-charge"              # by this rule; `true`: by whichever
/// request = "POST /charge"
/// workload = "spiffe://shop.example/orders"
///
/// [[case]]
/// denies = true                         # or the rule that denies
/// request = "POST /charge"
/// ```
#[derive(Debug, Clone)]
#[must_use = "nothing is asked before `run` or `assert`"]
pub struct PolicyTest {
    policy: CompiledPolicy,
    cases: Vec<Case>,
}

#[derive(Debug, Clone)]
struct Case {
    name: String,
    line: usize,
    permitted: bool,
    rule: Option<Arc<str>>,
    question: Question,
}

/// What came of the cases.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct TestReport {
    /// How many cases hold.
    pub passed: usize,
    /// Those that do not.
    pub failed: Vec<FailedCase>,
    /// Rules in force that decided no case.
    pub untested: Vec<Arc<str>>,
}

/// A case that does not hold.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct FailedCase {
    /// What it is called.
    pub name: String,
    /// Its line in the file of cases; 0 where it is from none.
    pub line: usize,
    /// What should have been.
    pub expected: String,
    /// What was, and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explanation: Option<Explanation>,
    /// Why it could not be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Why a file of cases is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct CasesError {
    line: usize,
    message: String,
}

impl CasesError {
    /// The line, from 1.
    #[must_use]
    pub const fn line(&self) -> usize {
        self.line
    }

    /// What is wrong.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl PolicyTest {
    /// No cases yet.
    pub fn new(policy: &CompiledPolicy) -> Self {
        Self {
            policy: policy.clone(),
            cases: Vec::new(),
        }
    }

    /// `question` has to be permitted.
    pub fn allows(self, question: Question) -> Self {
        self.case(true, question)
    }

    /// `question` has to be denied.
    pub fn denies(self, question: Question) -> Self {
        self.case(false, question)
    }

    fn case(mut self, permitted: bool, question: Question) -> Self {
        self.cases.push(Case {
            name: format!("case {}", self.cases.len() + 1),
            line: 0,
            permitted,
            rule: None,
            question,
        });
        self
    }

    /// The rule that has to decide the case before. Without a case before it says nothing.
    pub fn by(mut self, rule: impl Into<Arc<str>>) -> Self {
        if let Some(case) = self.cases.last_mut() {
            case.rule = Some(rule.into());
        }
        self
    }

    /// What the case before is called.
    pub fn named(mut self, name: impl Into<String>) -> Self {
        if let Some(case) = self.cases.last_mut() {
            case.name = name.into();
        }
        self
    }

    /// The cases in `text`, which has the form that the module describes.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong with it. A text without any case is wrong.
    pub fn cases(mut self, text: &str) -> Result<Self, CasesError> {
        self.cases.extend(read(text)?);
        Ok(self)
    }

    /// Asks all of them.
    pub async fn run(&self) -> TestReport {
        let mut report = TestReport {
            passed: 0,
            failed: Vec::new(),
            untested: Vec::new(),
        };
        let mut decided: BTreeSet<Arc<str>> = BTreeSet::new();
        for case in &self.cases {
            let explained = self.policy.explain(&case.question).await;
            if let Ok(explanation) = &explained {
                decided.extend(explanation.answer.rule().map(Arc::from));
                if case.holds(explanation) {
                    report.passed += 1;
                    continue;
                }
            }
            let (explanation, error) = match explained {
                Ok(explanation) => (Some(explanation), None),
                Err(error) => (None, Some(error.to_string())),
            };
            report.failed.push(FailedCase {
                name: case.name.clone(),
                line: case.line,
                expected: case.expected(),
                explanation,
                error,
            });
        }
        let mut seen = BTreeSet::new();
        let rules = self.policy.engine().rules.iter();
        report.untested = rules
            .map(|rule| Arc::clone(&rule.id))
            .filter(|id| !decided.contains(id) && seen.insert(Arc::clone(id)))
            .collect();
        report
    }

    /// Asks all of them.
    ///
    /// # Panics
    ///
    /// Where one does not hold, with the explanations of all that do not; and where there is none.
    #[expect(clippy::panic, reason = "it is for tests, which fail by panicking")]
    pub async fn assert(&self) {
        if self.cases.is_empty() {
            panic!("there is no case");
        }
        let report = self.run().await;
        if !report.failed.is_empty() {
            panic!("{report}");
        }
    }
}

impl Case {
    fn holds(&self, explanation: &Explanation) -> bool {
        let answer = &explanation.answer;
        let rule = self.rule.as_deref();
        answer.is_permitted() == self.permitted && (rule.is_none() || rule == answer.rule())
    }

    fn expected(&self) -> String {
        let expected = if self.permitted {
            "permitted"
        } else {
            "denied"
        };
        match &self.rule {
            Some(rule) => format!("{expected} by the rule `{rule}`"),
            None => expected.to_owned(),
        }
    }
}

fn read(text: &str) -> Result<Vec<Case>, CasesError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        #[serde(default)]
        case: Vec<toml::Spanned<toml::Table>>,
    }
    let line = |at: usize| {
        let before = text.get(..at).unwrap_or_default();
        before.matches('\n').count() + 1
    };
    let wrong = |line, message: String| CasesError { line, message };
    let file: File = toml::from_str(text).map_err(|error: toml::de::Error| {
        let at = error.span().map_or(1, |span| line(span.start));
        wrong(at, error.message().to_owned())
    })?;
    if file.case.is_empty() {
        return Err(wrong(1, "there is no `[[case]]`".to_owned()));
    }
    let one = |case: toml::Spanned<toml::Table>| {
        let at = line(case.span().start);
        case_of(case.into_inner(), at).map_err(|message| wrong(at, message))
    };
    file.case.into_iter().map(one).collect()
}

fn case_of(mut table: toml::Table, line: usize) -> Result<Case, String> {
    let name = match table.remove("name") {
        None => format!("line {line}"),
        Some(toml::Value::String(name)) => name,
        Some(_) => return Err("`name` is a text".to_owned()),
    };
    let (permitted, by) = match (table.remove("allows"), table.remove("denies")) {
        (Some(by), None) => (true, by),
        (None, Some(by)) => (false, by),
        _ => return Err(format!("`{name}` says either `allows` or `denies`")),
    };
    let rule = match by {
        toml::Value::Boolean(true) => None,
        toml::Value::String(rule) => Some(rule.into()),
        _ => return Err(format!("`{name}`: it is `true`, or the rule that decides")),
    };
    let question = table
        .try_into()
        .map_err(|error: toml::de::Error| format!("`{name}`: {}", error.message()))?;
    Ok(Case {
        name,
        line,
        permitted,
        rule,
        question,
    })
}

impl fmt::Display for TestReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.passed + self.failed.len();
        writeln!(f, "{} of {all} cases hold", self.passed)?;
        for case in &self.failed {
            let FailedCase { name, expected, .. } = case;
            writeln!(f, "`{name}` should be {expected}")?;
            if let Some(explanation) = &case.explanation {
                write!(f, "{explanation}")?;
            }
            if let Some(error) = &case.error {
                writeln!(f, "  could not be asked: {error}")?;
            }
        }
        Ok(())
    }
}
