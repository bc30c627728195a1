use std::{fmt, sync::Arc};

use serde::Serialize;

use crate::{
    authorize::Verdict,
    clock::Timestamp,
    decision::{Code, Denial},
    policy::explain::words::line,
};

/// What a policy answers to a question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Answer {
    permitted: bool,
    rule: Option<Arc<str>>,
    policy: Arc<str>,
    version: Arc<str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Arc<str>>,
    #[serde(skip)]
    until: Option<Timestamp>,
}

impl Answer {
    pub(super) fn of(
        verdict: Result<Verdict, Denial>,
        now: Timestamp,
        policy: &Arc<str>,
        version: &Arc<str>,
    ) -> Self {
        let mut answer = Self {
            permitted: false,
            rule: None,
            policy: Arc::clone(policy),
            version: Arc::clone(version),
            code: None,
            reason: None,
            until: None,
        };
        let denial = match verdict {
            Ok(Verdict::Permit(grounds)) => {
                answer.until = grounds.ends();
                answer.rule = Some(grounds.into_rule());
                if answer.until.is_none_or(|end| end > now) {
                    answer.permitted = true;
                    return answer;
                }
                Denial::new(Code::PolicyDenied).detail("the grounds have ended")
            }
            Ok(Verdict::NotApplicable) => {
                Denial::new(Code::PolicyDenied).detail("no rule applies to the request")
            }
            Ok(Verdict::Deny(denial)) | Err(denial) => denial,
        };
        answer.rule = denial.rule().map(Arc::from).or(answer.rule);
        answer.code = Some(denial.code().as_str());
        answer.reason = denial.private_detail().map(Arc::from);
        answer
    }

    /// Whether the request may go on.
    #[must_use]
    pub const fn is_permitted(&self) -> bool {
        self.permitted
    }

    /// The rule that decided; none where no rule says anything, or none could.
    #[must_use]
    pub fn rule(&self) -> Option<&str> {
        self.rule.as_deref()
    }

    /// The policy's name.
    #[must_use]
    pub fn policy(&self) -> &str {
        &self.policy
    }

    /// The policy's version.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The code of the denial.
    #[must_use]
    pub const fn code(&self) -> Option<&'static str> {
        self.code
    }

    /// What the audit record would say beside the code.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    /// When the permit ends: with a grant.
    #[must_use]
    pub const fn until(&self) -> Option<Timestamp> {
        self.until
    }
}

/// `permitted by the rule ..`, on one line.
impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.permitted {
            "permitted"
        } else {
            "denied"
        })?;
        match &self.rule {
            Some(rule) => write!(f, " by the rule `{}`", line(rule))?,
            None if self.permitted => {}
            None => f.write_str(", by no rule")?,
        }
        if let Some(code) = self
            .code
            .filter(|code| *code != Code::PolicyDenied.as_str())
        {
            write!(f, " ({code})")?;
        }
        match &self.reason {
            Some(reason) => write!(f, ": {}", line(reason)),
            None => Ok(()),
        }
    }
}
