use std::{fmt, sync::Arc, time::Duration};

use super::{
    VerifyWebhookLayer, WebhookError, WebhookFormat,
    keys::Keys,
    layer::{Inner, Tolerance},
};
use crate::{
    body::CollectLimits,
    decision::Challenge,
    identity::{AuthMethod, Principal, PrincipalKind},
    secret::Secret,
    signature::replay::ReplayMemory,
};

/// A [`VerifyWebhookLayer`] in the making.
#[must_use]
pub struct WebhookBuilder {
    format: WebhookFormat,
    secrets: Vec<Secret>,
    short_secrets: bool,
    subject: Arc<str>,
    scopes: Vec<Arc<str>>,
    roles: Vec<Arc<str>>,
    memory: Arc<dyn ReplayMemory>,
    tolerance: Option<Duration>,
    future_skew: Option<Duration>,
    replay_window: Option<Duration>,
    limits: CollectLimits,
}

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
/// For how long a webhook without timestamp is remembered: as long as one with, about.
const REPLAY_WINDOW: Duration = Duration::from_secs(600);
const LIMITS: CollectLimits = CollectLimits {
    bytes: 1024 * 1024,
    deadline: Duration::from_secs(10),
};

impl WebhookBuilder {
    pub(super) fn new(
        format: WebhookFormat,
        secret: &Secret,
        subject: &str,
        memory: Arc<dyn ReplayMemory>,
    ) -> Self {
        Self {
            format,
            secrets: vec![secret.clone()],
            short_secrets: false,
            subject: subject.into(),
            scopes: Vec::new(),
            roles: Vec::new(),
            memory,
            tolerance: None,
            future_skew: None,
            replay_window: None,
            limits: LIMITS,
        }
    }

    /// Also accepts what is signed with `secret`: the one before, or after, a rotation. There are
    /// at most four.
    pub fn also(mut self, secret: &Secret) -> Self {
        self.secrets.push(secret.clone());
        self
    }

    /// Accepts a secret of any length. Who has seen one delivery can try guesses against it as
    /// fast as their machines hash.
    pub const fn insecure_short_secret(mut self) -> Self {
        self.short_secrets = true;
        self
    }

    /// What the sender may do.
    pub fn scopes<S: Into<Arc<str>>>(mut self, scopes: impl IntoIterator<Item = S>) -> Self {
        self.scopes.extend(scopes.into_iter().map(Into::into));
        self
    }

    /// What the sender is.
    pub fn roles<S: Into<Arc<str>>>(mut self, roles: impl IntoIterator<Item = S>) -> Self {
        self.roles.extend(roles.into_iter().map(Into::into));
        self
    }

    /// How far the timestamp may be from now, before and after; 5 minutes by default, a second to
    /// an hour. The replay memory has to reach over twice this (or this and
    /// [`future_skew`](Self::future_skew)) and the read deadline.
    pub const fn tolerance(mut self, tolerance: Duration) -> Self {
        self.tolerance = Some(tolerance);
        self
    }

    /// How far ahead of now the timestamp may be, where that is not as far as behind; an hour at
    /// most. A memory of one process refuses everything for as long after its start.
    pub const fn future_skew(mut self, skew: Duration) -> Self {
        self.future_skew = Some(skew);
        self
    }

    /// For how long a webhook without a timestamp (GitHub's) is refused when it comes again; 10
    /// minutes by default. A redelivery that somebody asks for is refused as long. When it has
    /// passed, nothing tells a replay from a new webhook.
    pub const fn replay_window(mut self, window: Duration) -> Self {
        self.replay_window = Some(window);
        self
    }

    /// The most bytes of a body; 1 MiB by default. GitHub sends up to 25 MB.
    pub const fn max_body(mut self, bytes: usize) -> Self {
        self.limits.bytes = bytes;
        self
    }

    /// How long the whole body may take to arrive; 10 seconds by default.
    pub const fn read_deadline(mut self, deadline: Duration) -> Self {
        self.limits.deadline = deadline;
        self
    }

    /// The layer.
    ///
    /// # Errors
    ///
    /// Where a secret cannot be used, or a bound leaves nothing to accept.
    pub fn build(self) -> Result<VerifyWebhookLayer, WebhookError> {
        let keys = Keys::new(self.format, &self.secrets, self.short_secrets)?;
        if self.subject.is_empty() || self.subject.chars().any(char::is_control) {
            return Err(WebhookError::Subject);
        }
        if self.limits.bytes == 0 || self.limits.deadline.is_zero() {
            return Err(WebhookError::Body);
        }
        let tolerance = self.checked_tolerance()?;
        let replay_window = self.checked_window()?;
        let needed = tolerance.map_or(replay_window, |Tolerance { behind, ahead }| {
            behind + ahead + self.limits.deadline
        });
        if self.memory.window().is_some_and(|window| window < needed) {
            return Err(WebhookError::MemoryTooShort(needed));
        }
        if let (Some(Tolerance { ahead, .. }), Some(skew)) = (tolerance, self.memory.future_skew())
            && skew < ahead
        {
            return Err(WebhookError::MemorySkew(ahead));
        }
        let keyid: Arc<str> = format!("webhook/{}/{}", self.format, self.subject).into();
        let principal =
            Principal::assertion(PrincipalKind::Service, self.subject, AuthMethod::Signature)
                .issuer("webhooks")
                .key(Arc::clone(&keyid))
                .scopes(self.scopes)
                .roles(self.roles)
                .finish();
        Ok(VerifyWebhookLayer(Arc::new(Inner {
            format: self.format,
            keys,
            keyid,
            principal: Arc::new(principal),
            anonymous: Arc::new(Principal::anonymous()),
            memory: self.memory,
            tolerance,
            replay_window,
            limits: self.limits,
            challenge: Challenge::new("Signature").with("realm", self.format.as_str()),
        })))
    }

    fn checked_tolerance(&self) -> Result<Option<Tolerance>, WebhookError> {
        let Some(default) = self.format.default_tolerance() else {
            let said = self.tolerance.or(self.future_skew);
            return said.map_or(Ok(None), |_| Err(WebhookError::NoTimestamp(self.format)));
        };
        let behind = self.tolerance.unwrap_or(default);
        let ahead = self.future_skew.unwrap_or(behind);
        if !(SECOND..=HOUR).contains(&behind) || ahead > HOUR {
            return Err(WebhookError::Tolerance);
        }
        Ok(Some(Tolerance { behind, ahead }))
    }

    fn checked_window(&self) -> Result<Duration, WebhookError> {
        match (self.format.default_tolerance(), self.replay_window) {
            (Some(_), Some(_)) => Err(WebhookError::HasTimestamp(self.format)),
            (_, Some(window)) if window < SECOND => Err(WebhookError::ReplayWindow),
            (_, window) => Ok(window.unwrap_or(REPLAY_WINDOW)),
        }
    }
}

impl fmt::Debug for WebhookBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookBuilder")
            .field("format", &self.format)
            .field("subject", &self.subject)
            .field("secrets", &self.secrets.len())
            .finish_non_exhaustive()
    }
}
