use std::{sync::Arc, time::Duration};

use serde::Deserialize;
use zt_core::{
    authorize::{Access, Policy, Verdict},
    clock::Timestamp,
    decision::{Challenge, Code, Denial},
    gate::Step,
    identity::{Principal, PrincipalKind},
};

use super::RequireError;
use crate::{
    http::endpoint,
    verify_jwt::{bearer, is_word},
};

/// How far the issuer's clock may be ahead of ours.
const LEEWAY: Duration = Duration::from_secs(30);

/// Asks how, and how long ago, the caller was authenticated (RFC 9470).
///
/// A [`Policy`]: it permits where the authentication is strong and fresh enough, and denies with
/// the challenge that says what would be.
///
/// ```
/// use std::time::Duration;
/// use zt_jwt::require::RequireStepUp;
///
/// let strong = RequireStepUp::acr_values(["phrh", "phr"])?.and_max_age(Duration::from_secs(600))?;
/// let from_file: RequireStepUp = serde_json::from_str(r#"{"max_age_secs": 300}"#)?;
/// # let _ = (strong, from_file);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "Asked")]
pub struct RequireStepUp(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    asked: Asked,
    answers: Answers,
}

/// As it is configured.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Asked {
    acr_values: Vec<Box<str>>,
    max_age_secs: Option<u64>,
    realm: Option<String>,
    resource_metadata: Option<String>,
}

/// Built once.
#[derive(Debug)]
struct Answers {
    rule: Arc<str>,
    missing: Denial,
    program: Denial,
    class: Denial,
    unknown_age: Denial,
    future: Denial,
    old: Denial,
}

impl RequireStepUp {
    /// The authentication context class (`acr`) is one of `values`, to the letter; the one that is
    /// liked best first, as it is asked for in that order.
    ///
    /// # Errors
    ///
    /// Where there is none, or one that a challenge could not name.
    pub fn acr_values<S: Into<Box<str>>>(
        values: impl IntoIterator<Item = S>,
    ) -> Result<Self, RequireError> {
        Self::new(Asked {
            acr_values: values.into_iter().map(Into::into).collect(),
            ..Asked::default()
        })
    }

    /// The caller authenticated in person (`auth_time`) no longer ago than `age`, in whole seconds.
    ///
    /// # Errors
    ///
    /// Where `age` is shorter than 30 seconds.
    pub fn max_age(age: Duration) -> Result<Self, RequireError> {
        Self::new(Asked {
            max_age_secs: Some(age.as_secs()),
            ..Asked::default()
        })
    }

    /// Asks for [`max_age`](Self::max_age) besides.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn and_max_age(self, age: Duration) -> Result<Self, RequireError> {
        self.change(|asked| asked.max_age_secs = Some(age.as_secs()))
    }

    /// The realm of the challenges (RFC 9110 section 11.5); `api` unless said otherwise.
    ///
    /// # Errors
    ///
    /// Where a challenge could not name it.
    pub fn realm(self, realm: impl Into<String>) -> Result<Self, RequireError> {
        self.change(|asked| asked.realm = Some(realm.into()))
    }

    /// Where clients read which authorization server to ask (RFC 9728 section 5.1).
    ///
    /// # Errors
    ///
    /// Where it is not an https address.
    pub fn resource_metadata(self, url: impl Into<String>) -> Result<Self, RequireError> {
        self.change(|asked| asked.resource_metadata = Some(url.into()))
    }

    fn change(&self, change: impl FnOnce(&mut Asked)) -> Result<Self, RequireError> {
        let mut asked = self.0.asked.clone();
        change(&mut asked);
        Self::new(asked)
    }

    fn new(asked: Asked) -> Result<Self, RequireError> {
        let answers = Answers::new(&asked)?;
        Ok(Self(Arc::new(Inner { asked, answers })))
    }

    pub(super) fn verdict(&self, access: &Access<'_>) -> Verdict {
        match self.refusal(access) {
            Some(denial) => Verdict::Deny(denial.clone()),
            None => Verdict::permit(Arc::clone(&self.0.answers.rule)),
        }
    }

    /// The first condition that does not hold.
    fn refusal(&self, access: &Access<'_>) -> Option<&Denial> {
        let Inner { asked, answers } = &*self.0;
        let Some(principal) = access.named() else {
            return Some(&answers.missing);
        };
        // A program authenticates in no other way when it is asked again.
        if principal.kind() != PrincipalKind::User {
            return Some(&answers.program);
        }
        if !asked.acr_values.is_empty() && !is_among(&asked.acr_values, principal) {
            return Some(&answers.class);
        }
        let max_age = Duration::from_secs(asked.max_age_secs?);
        let Some(at) = principal.authenticated_at() else {
            return Some(&answers.unknown_age);
        };
        answers.too_old(at, max_age, access.now())
    }
}

impl Answers {
    fn new(asked: &Asked) -> Result<Self, RequireError> {
        if asked.acr_values.is_empty() && asked.max_age_secs.is_none() {
            return Err(RequireError::Nothing);
        }
        // RFC 9470 section 3: `acr_values` is a list with blanks in between.
        if let Some(wrong) = asked.acr_values.iter().find(|acr| !is_word(acr)) {
            return Err(RequireError::Acr(wrong.to_string()));
        }
        if let Some(secs) = asked.max_age_secs.filter(|secs| *secs < LEEWAY.as_secs()) {
            return Err(RequireError::MaxAge(secs));
        }
        let base = asked.base()?;
        let acr_values = asked.acr_values.join(" ");
        let demand = |description| {
            let mut challenge = base
                .clone()
                .with("error", "insufficient_user_authentication")
                .with("error_description", description);
            if !acr_values.is_empty() {
                challenge = challenge.with("acr_values", &acr_values);
            }
            match asked.max_age_secs {
                Some(secs) => challenge.with("max_age", &secs.to_string()),
                None => challenge,
            }
        };
        let stronger = demand("a different authentication level is required");
        let fresher = demand("more recent authentication is required");
        let denial = |challenge: &Challenge, why: &'static str| {
            Denial::new(Code::StepUpRequired)
                .challenge(challenge.clone())
                .detail(why)
        };
        Ok(Self {
            rule: asked.rule().into(),
            missing: Denial::new(Code::CredentialMissing)
                .challenge(base.clone())
                .detail("nobody is named"),
            program: denial(&stronger, "a program cannot step up"),
            class: denial(&stronger, "`acr` is not one of those that are asked for"),
            unknown_age: denial(&fresher, "`auth_time` is missing"),
            future: denial(&fresher, "`auth_time` is still to come"),
            old: denial(&fresher, "`auth_time` is too long ago"),
        })
    }

    /// A clock that is ahead is forgiven 30 seconds; an authentication that is too old is forgiven
    /// nothing, since all that it costs is another one.
    fn too_old(&self, at: Timestamp, max_age: Duration, now: Timestamp) -> Option<&Denial> {
        if at > now + LEEWAY {
            return Some(&self.future);
        }
        (now.since(at) > max_age).then_some(&self.old)
    }
}

impl Asked {
    fn base(&self) -> Result<Challenge, RequireError> {
        let realm = self.realm.as_deref().unwrap_or("api");
        if realm.is_empty() || !realm.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            return Err(RequireError::Realm(realm.to_owned()));
        }
        if let Some(url) = &self.resource_metadata {
            endpoint(url, false).map_err(|_| RequireError::ResourceMetadata(url.clone()))?;
        }
        Ok(bearer(realm, self.resource_metadata.as_deref()))
    }

    fn rule(&self) -> String {
        let mut rule = String::from("step-up");
        for acr in &self.acr_values {
            rule.push_str(" acr=");
            rule.push_str(acr);
        }
        if let Some(secs) = self.max_age_secs {
            rule.push_str(&format!(" max_age={secs}"));
        }
        rule
    }
}

impl TryFrom<Asked> for RequireStepUp {
    type Error = RequireError;

    fn try_from(asked: Asked) -> Result<Self, RequireError> {
        Self::new(asked)
    }
}

fn is_among(values: &[Box<str>], principal: &Principal) -> bool {
    principal
        .context_class()
        .is_some_and(|class| values.iter().any(|value| **value == *class))
}

impl Policy for RequireStepUp {
    fn decide(&self, access: &Access<'_>) -> Step<Verdict> {
        Step::pass(self.verdict(access))
    }
}
