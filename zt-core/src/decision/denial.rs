use std::{borrow::Cow, fmt, sync::Arc, time::Duration};

use http::{HeaderName, HeaderValue, StatusCode};

use super::{Challenge, Code, PolicyName};

/// An answer, not an error: why a request does not go on.
///
/// It has a public half (code, status, challenges, one fixed sentence) and a private half, the
/// detail and the rule that denied, that only the audit record sees. The public half holds nothing that came with the
/// request, so nothing secret can slip into it. Cheap to clone.
///
/// ```
/// use std::time::Duration;
/// use zt_core::decision::{Code, Denial};
///
/// let denial = Denial::new(Code::RateLimited).retry_after(Duration::from_millis(1200));
/// assert_eq!(denial.status(), 429);
/// assert_eq!(denial.retry_after_secs(), Some(2));
/// ```
#[derive(Clone)]
pub struct Denial(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    code: Code,
    status: StatusCode,
    sentence: &'static str,
    challenges: Vec<Challenge>,
    retry_after: Option<Duration>,
    headers: Vec<(HeaderName, HeaderValue)>,
    policies: Vec<Arc<str>>,
    fields: Vec<&'static str>,
    detail: Option<Cow<'static, str>>,
    rule: Option<Arc<str>>,
    policy: Option<PolicyName>,
}

impl Denial {
    /// A denial with the code's own status and sentence.
    #[must_use]
    pub fn new(code: Code) -> Self {
        Self(Arc::new(Inner {
            code,
            status: code.status(),
            sentence: code.sentence(),
            challenges: Vec::new(),
            retry_after: None,
            headers: Vec::new(),
            policies: Vec::new(),
            fields: Vec::new(),
            detail: None,
            rule: None,
            policy: None,
        }))
    }

    /// `stack-misordered`, with what the person who built the stack needs to know. The caller is
    /// told nothing of it.
    #[must_use]
    pub fn misordered(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::StackMisordered).detail(detail)
    }

    fn edit(mut self, change: impl FnOnce(&mut Inner)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }

    /// For the audit record alone.
    #[must_use]
    pub fn detail(self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.edit(|inner| inner.detail = Some(detail.into()))
    }

    /// Names the rule that denied, for the audit record alone: what denies is nothing that callers
    /// should learn by trying.
    #[must_use]
    pub fn by_rule(self, rule: impl Into<Arc<str>>) -> Self {
        self.edit(|inner| inner.rule = Some(rule.into()))
    }

    /// Names the policy that denied and its version, for the audit record alone. Without a
    /// [rule](Self::by_rule) nothing in the policy permitted.
    #[must_use]
    pub fn by_policy(self, name: impl Into<Arc<str>>, version: impl Into<Arc<str>>) -> Self {
        self.of_policy(PolicyName::new(name, version))
    }

    pub(crate) fn of_policy(self, policy: PolicyName) -> Self {
        self.edit(|inner| inner.policy = Some(policy))
    }

    /// Another sentence for the caller than the code's own.
    #[must_use]
    pub fn sentence(self, sentence: &'static str) -> Self {
        self.edit(|inner| inner.sentence = sentence)
    }

    /// Another status than the code's own: 402 where waiting cannot help.
    #[must_use]
    pub fn with_status(self, status: StatusCode) -> Self {
        self.edit(|inner| inner.status = status)
    }

    /// Adds a `WWW-Authenticate` challenge.
    #[must_use]
    pub fn challenge(self, challenge: Challenge) -> Self {
        self.edit(|inner| inner.challenges.push(challenge))
    }

    /// When to try again.
    #[must_use]
    pub fn retry_after(self, wait: Duration) -> Self {
        self.edit(|inner| inner.retry_after = Some(wait))
    }

    /// Adds a response header.
    #[must_use]
    pub fn header(self, name: HeaderName, value: HeaderValue) -> Self {
        self.edit(|inner| inner.headers.push((name, value)))
    }

    /// Names the configured policy that was violated (`violated-policies` in the answer).
    #[must_use]
    pub fn violates(self, policy: impl Into<Arc<str>>) -> Self {
        self.edit(|inner| inner.policies.push(policy.into()))
    }

    /// Names a field of the schema that the request breaks (`fields` in the answer).
    #[must_use]
    pub fn field(self, field: &'static str) -> Self {
        self.edit(|inner| inner.fields.push(field))
    }

    /// The stable word.
    #[must_use]
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// What the caller is told.
    #[must_use]
    pub fn public_sentence(&self) -> &'static str {
        self.0.sentence
    }

    /// The challenges; a 401 without any is answered with `Bearer`.
    #[must_use]
    pub fn challenges(&self) -> &[Challenge] {
        &self.0.challenges
    }

    /// Whole seconds for `Retry-After`, rounded up and never zero. A 503 has one second where
    /// nobody said otherwise.
    #[must_use]
    pub fn retry_after_secs(&self) -> Option<u64> {
        let unavailable = self.status() == StatusCode::SERVICE_UNAVAILABLE;
        let wait = self
            .0
            .retry_after
            .or(unavailable.then_some(Duration::from_secs(1)))?;
        let partial = u64::from(wait.subsec_nanos() > 0);
        Some(wait.as_secs().saturating_add(partial).max(1))
    }

    /// Headers that the answer carries besides.
    #[must_use]
    pub fn headers(&self) -> &[(HeaderName, HeaderValue)] {
        &self.0.headers
    }

    /// The violated policies' names.
    #[must_use]
    pub fn violated_policies(&self) -> &[Arc<str>] {
        &self.0.policies
    }

    /// The names of the fields that are not valid.
    #[must_use]
    pub fn fields(&self) -> &[&'static str] {
        &self.0.fields
    }

    /// What only the audit record may show.
    #[must_use]
    pub fn private_detail(&self) -> Option<&str> {
        self.0.detail.as_deref()
    }

    /// The rule that denied; only the audit record may show it.
    #[must_use]
    pub fn rule(&self) -> Option<&str> {
        self.0.rule.as_deref()
    }

    /// The policy that denied; only the audit record may show it.
    #[must_use]
    pub fn policy(&self) -> Option<&str> {
        self.0.policy.as_ref().map(|policy| &**policy.name())
    }

    /// That policy's version.
    #[must_use]
    pub fn version(&self) -> Option<&str> {
        self.0.policy.as_ref().map(|policy| &**policy.version())
    }
}

impl From<Code> for Denial {
    fn from(code: Code) -> Self {
        Self::new(code)
    }
}

/// Code and status; the detail stays private.
impl fmt::Debug for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Denial({} {})", self.0.code, self.0.status.as_u16())
    }
}

/// The public sentence.
impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.sentence)
    }
}

impl std::error::Error for Denial {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_rounded_up_and_never_zero() {
        let after = |millis| {
            Denial::new(Code::RateLimited)
                .retry_after(Duration::from_millis(millis))
                .retry_after_secs()
        };
        assert_eq!(
            [after(0), after(1), after(1000), after(1001)],
            [Some(1), Some(1), Some(1), Some(2)]
        );
        assert_eq!(Denial::new(Code::RateLimited).retry_after_secs(), None);
        assert_eq!(
            Denial::new(Code::KeysUnavailable).retry_after_secs(),
            Some(1)
        );
    }

    #[test]
    fn the_detail_is_not_shown() {
        let denial = Denial::new(Code::CredentialInvalid).detail("kid 7 of 9");
        assert!(!format!("{denial:?} {denial}").contains("kid"));
        assert_eq!(denial.private_detail(), Some("kid 7 of 9"));
    }

    #[tokio::test]
    async fn the_rule_that_denied_is_not_shown() {
        use http_body_util::BodyExt;

        use crate::{
            context::RequestId,
            problem::{Asked, ProblemJson, Render},
        };

        let denial = Denial::new(Code::PolicyDenied)
            .by_rule("no-strangers")
            .by_policy("shop", "v7.1");
        assert_eq!(denial.rule(), Some("no-strangers"));
        assert_eq!(
            (denial.policy(), denial.version()),
            (Some("shop"), Some("v7.1"))
        );
        for grpc in [false, true] {
            let asked = Asked::new(RequestId::from_u128(7), grpc);
            let answer = ProblemJson::default().render(&denial, asked);
            let head = format!("{:?} {denial:?} {denial}", answer.headers());
            let body = answer.into_body().collect().await.unwrap().to_bytes();
            let all = head + std::str::from_utf8(&body).unwrap();
            for private in ["strangers", "shop", "v7.1"] {
                assert!(!all.contains(private), "{all}");
            }
            assert!(all.contains("policy-denied"), "{all}");
        }
    }
}
