use std::{sync::Arc, time::Duration};

use http::HeaderName;

use super::{AuthoritySource, ConfigError};
use crate::{
    body::CollectLimits,
    signature::{
        Algorithm,
        base::{BaseError, Component, FieldLimits, FieldTypes, StructuredType, UrlScheme},
    },
};

/// What a signature has to cover and to say before it counts (RFC 9421 section 3.2.1): no verifier
/// is without one.
///
/// ```
/// use std::time::Duration;
/// use zt_core::signature::{base::Component, verify::SignaturePolicy};
///
/// let policy = SignaturePolicy::strict()
///     .covering(Component::field("idempotency-key")?)
///     .tag("orders")
///     .max_age(Duration::from_secs(30));
/// # let _ = policy;
/// # Ok::<_, zt_core::signature::base::BaseError>(())
/// ```
#[derive(Debug, Clone)]
pub struct SignaturePolicy {
    pub(super) components: Vec<Component>,
    pub(super) if_present: Vec<(HeaderName, Component)>,
    pub(super) tag: Option<Arc<str>>,
    pub(super) algorithms: Option<Vec<Algorithm>>,
    pub(super) max_age: Duration,
    pub(super) future_skew: Duration,
    pub(super) created: bool,
    pub(super) nonce: bool,
    pub(super) expires: bool,
    pub(super) unsigned_body: bool,
    pub(super) body: BodyMode,
    pub(super) scheme: UrlScheme,
    pub(super) authority: AuthoritySource,
    pub(super) types: FieldTypes,
    pub(super) limits: FieldLimits,
}

/// How a signed body is compared with its digest.
#[derive(Debug, Clone, Copy)]
pub(super) enum BodyMode {
    Buffer(CollectLimits),
    Stream,
}

impl SignaturePolicy {
    /// Covers `@method`, `@authority`, `@path` and `@query`, and `content-digest` where there is a
    /// body; says when it was made, at most 60 seconds ago or 5 ahead, by which key, and has a
    /// nonce. Bodies are read whole, up to 1 MiB within 10 seconds, before the handler is called.
    #[must_use]
    pub fn strict() -> Self {
        Self::insecure_covering_nothing()
            .covering(Component::METHOD)
            .covering(Component::AUTHORITY)
            .covering(Component::PATH)
            .covering(Component::QUERY)
    }

    /// As [`strict`](Self::strict), for a signature that covers `components`, whatever else it
    /// covers. The body is still to be digested and covered where there is one.
    ///
    /// # Errors
    ///
    /// Where there are none: a signature that covers nothing says nothing of the request.
    pub fn insecure_covering_only(
        components: impl IntoIterator<Item = Component>,
    ) -> Result<Self, ConfigError> {
        let policy = components
            .into_iter()
            .fold(Self::insecure_covering_nothing(), Self::covering);
        if policy.components.is_empty() {
            return Err(ConfigError::NothingCovered);
        }
        Ok(policy)
    }

    fn insecure_covering_nothing() -> Self {
        Self {
            components: Vec::new(),
            if_present: Vec::new(),
            tag: None,
            algorithms: None,
            max_age: Duration::from_secs(60),
            future_skew: Duration::from_secs(5),
            created: true,
            nonce: true,
            expires: false,
            unsigned_body: false,
            body: BodyMode::Buffer(CollectLimits {
                bytes: 1024 * 1024,
                deadline: Duration::from_secs(10),
            }),
            scheme: UrlScheme::Https,
            authority: AuthoritySource::default(),
            types: FieldTypes::default(),
            limits: FieldLimits::default(),
        }
    }

    /// Also covers `component`.
    #[must_use]
    pub fn covering(mut self, component: Component) -> Self {
        if !self.components.contains(&component) {
            self.components.push(component);
        }
        self
    }

    /// Also covers the field `name` of requests that have it, such as `content-type`, by which a
    /// handler decides how to read a body.
    ///
    /// # Errors
    ///
    /// Where the field cannot be covered.
    pub fn covering_if_present(mut self, name: HeaderName) -> Result<Self, BaseError> {
        let component = Component::field(name.as_str())?;
        self.if_present.push((name, component));
        Ok(self)
    }

    /// Only signatures with this `tag` count (RFC 9421 section 2.3); others are for somebody
    /// else. Without it every tag does.
    #[must_use]
    pub fn tag(mut self, tag: &str) -> Self {
        self.tag = Some(tag.into());
        self
    }

    /// Only keys for `algorithms` count. Without it every key that the resolver has does.
    #[must_use]
    pub fn algorithms(mut self, algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        self.algorithms = Some(algorithms.into_iter().collect());
        self
    }

    /// How long after it was made a signature counts; 60 seconds.
    #[must_use]
    pub const fn max_age(mut self, age: Duration) -> Self {
        self.max_age = age;
        self
    }

    /// How far a signer's clock may be ahead of this one; 5 seconds.
    #[must_use]
    pub const fn future_skew(mut self, skew: Duration) -> Self {
        self.future_skew = skew;
        self
    }

    /// Signatures say when they end (`expires`).
    #[must_use]
    pub const fn expiring(mut self) -> Self {
        self.expires = true;
        self
    }

    /// Signatures need not say when they were made. They count for as long as they say in
    /// `expires`, or for ever, and a repetition is seen only as long as the memory lasts.
    #[must_use]
    pub const fn insecure_without_created(mut self) -> Self {
        self.created = false;
        self
    }

    /// Signatures need no nonce. Two requests that are alike in all that is covered, within one
    /// second, are one request and its repetition, and the second is refused.
    #[must_use]
    pub const fn insecure_without_nonce(mut self) -> Self {
        self.nonce = false;
        self
    }

    /// A body that the signature does not cover is handed on. Whoever is in between can write what
    /// it likes.
    #[must_use]
    pub const fn insecure_unsigned_body(mut self) -> Self {
        self.unsigned_body = true;
        self
    }

    /// Bodies are read whole before the handler is called, up to `limits`.
    #[must_use]
    pub const fn buffer(mut self, limits: CollectLimits) -> Self {
        self.body = BodyMode::Buffer(limits);
        self
    }

    /// Bodies are hashed while the handler reads them, and their last piece is withheld until the
    /// digest matches. A handler that acts on the first pieces acts on what nobody has verified
    /// yet; if they turn out to be wrong, reading fails and `signature-invalid` takes the place of
    /// its answer.
    #[must_use]
    pub const fn stream(mut self) -> Self {
        self.body = BodyMode::Stream;
        self
    }

    /// The scheme of the URL that clients see: `https` unless said otherwise, since a proxy that
    /// terminates TLS hides it.
    #[must_use]
    pub const fn scheme(mut self, scheme: UrlScheme) -> Self {
        self.scheme = scheme;
        self
    }

    /// Where `@authority` is taken from; the request's own target and `Host` unless said otherwise.
    #[must_use]
    pub fn authority(mut self, source: AuthoritySource) -> Self {
        self.authority = source;
        self
    }

    /// The field `name` is structured, so that signatures may cover it with `;sf` and `;key`. Those
    /// of the RFCs are known.
    #[must_use]
    pub fn structured(mut self, name: HeaderName, kind: StructuredType) -> Self {
        self.types = self.types.with(name, kind);
        self
    }

    /// How much of the signature fields is read.
    #[must_use]
    pub const fn field_limits(mut self, limits: FieldLimits) -> Self {
        self.limits = limits;
        self
    }

    /// How long a message has to be remembered so that it cannot come twice.
    #[must_use]
    pub fn replay_window(&self) -> Duration {
        self.max_age.saturating_add(self.future_skew)
    }

    /// How far a signer's clock may be ahead.
    #[must_use]
    pub const fn skew(&self) -> Duration {
        self.future_skew
    }

    /// The components that clients are asked for where there is a body.
    pub(super) fn asked(&self) -> impl Iterator<Item = Component> {
        let digest = Component::CONTENT_DIGEST;
        let wanted = !self.unsigned_body && !self.components.contains(&digest);
        let further = self.if_present.iter();
        let further = further.map(|(_, component)| component.clone());
        let all = self.components.iter().cloned();
        all.chain(wanted.then_some(digest)).chain(further)
    }
}
