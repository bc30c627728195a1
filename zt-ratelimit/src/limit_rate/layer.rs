use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use http::request::Parts;
use tower_layer::Layer;
use zt_core::{
    context::SecurityContext,
    gate::{Gate, Link, Root},
    stack::slots::{LimitsPeer, Spends},
};

use super::{
    ByKey, ByPeer, ByPrincipal, ByRequestKey, CountBy, Key, Quota, fields::Writer, table::Table,
};

/// What a [`LimitRateLayer`] makes of a service.
pub type LimitRate<S, B> = <LimitRateLayer<B> as Layer<S>>::Service;

/// Refuses requests of callers who have used up their quota; see the [module](super).
///
/// Clones count together, so one layer may stand before several services.
pub struct LimitRateLayer<B> {
    pub(super) limit: Arc<Limit>,
    pub(super) by: Arc<B>,
    pub(super) weight: Option<Arc<Weight>>,
    pub(super) headers: bool,
}

/// How much a request spends.
pub(super) type Weight = dyn Fn(&Parts, &SecurityContext) -> u32 + Send + Sync;

impl LimitRateLayer<ByPeer> {
    /// Counts by the client's address: the peer, or what a trusted proxy forwarded
    /// ([`Settings::with_proxies`](zt_core::gate::Settings::with_proxies)). IPv6 addresses count
    /// by network ([`Quota::ipv6_prefix`]).
    ///
    /// It stands before authentication, and applies to public routes too.
    #[must_use]
    pub fn by_peer(quota: Quota) -> Self {
        Self::new(quota, ByPeer)
    }
}

impl LimitRateLayer<ByPrincipal> {
    /// Counts by who asks: issuer, subject and tenant. Callers whom nobody named are counted by
    /// their address, apart from those who are named, so that no number of them crowds those out.
    ///
    /// It stands behind authentication. Public routes, where nobody is asked who they are, pass.
    #[must_use]
    pub fn by_principal(quota: Quota) -> Self {
        Self::new(quota, ByPrincipal)
    }
}

impl<F> LimitRateLayer<ByKey<F>>
where
    F: Fn(&Parts, &SecurityContext) -> Option<Key> + Send + Sync + 'static,
{
    /// Counts by what `key` makes of a request and its context; a request for which it gives
    /// nothing is refused. For a pool that several callers share, give all of them the same key.
    ///
    /// It stands behind authentication. Public routes pass.
    ///
    /// ```
    /// use std::time::Duration;
    /// use zt_ratelimit::{LimitRateLayer, Quota, limit_rate::Key};
    ///
    /// let by_tenant = LimitRateLayer::by_key(
    ///     Quota::new("tenant", 1000, Duration::from_secs(60)).unwrap(),
    ///     |_, cx| Some(Key::of(cx.principal()?.tenant()?)),
    /// );
    /// # let _ = by_tenant;
    /// ```
    #[must_use]
    pub fn by_key(quota: Quota, key: F) -> Self {
        Self::new(quota, ByKey(key))
    }
}

impl<F> LimitRateLayer<ByRequestKey<F>>
where
    F: Fn(&Parts, &SecurityContext) -> Option<Key> + Send + Sync + 'static,
{
    /// As [`by_key`](LimitRateLayer::by_key), before authentication and on public routes too.
    /// What it reads was verified by nobody: a caller who can choose its key has as many quotas
    /// as it likes, so count by something that bounds (the route, a host), or limit by peer
    /// besides.
    #[must_use]
    pub fn by_request_key(quota: Quota, key: F) -> Self {
        Self::new(quota, ByRequestKey(key))
    }
}

impl<B> LimitRateLayer<B> {
    fn new(quota: Quota, by: B) -> Self {
        Self {
            limit: Arc::new(Limit::new(quota)),
            by: Arc::new(by),
            weight: None,
            headers: true,
        }
    }

    /// How much of the quota a request spends; one, unless this is set. A request that weighs
    /// nothing is free. One that weighs more than the burst can never pass: it is refused without
    /// `Retry-After`.
    #[must_use]
    pub fn weight(
        mut self,
        weight: impl Fn(&Parts, &SecurityContext) -> u32 + Send + Sync + 'static,
    ) -> Self {
        self.weight = Some(Arc::new(weight));
        self
    }

    /// Answers do not say `RateLimit-Policy` and `RateLimit`, where the service's capacity is
    /// nobody's business. Refusals still say `Retry-After`.
    #[must_use]
    pub const fn without_headers(mut self) -> Self {
        self.headers = false;
        self
    }

    /// The quota.
    #[must_use]
    pub fn quota(&self) -> &Quota {
        &self.limit.quota
    }

    /// The bytes that the counters take: a figure that the quota decides, and that no request
    /// changes. A limit by principal takes them once more when the first anonymous request comes.
    #[must_use]
    pub fn counter_bytes(&self) -> usize {
        self.limit.named.bytes() + self.limit.anonymous.get().map_or(0, Table::bytes)
    }
}

impl<B> Clone for LimitRateLayer<B> {
    fn clone(&self) -> Self {
        Self {
            limit: Arc::clone(&self.limit),
            by: Arc::clone(&self.by),
            weight: self.weight.clone(),
            headers: self.headers,
        }
    }
}

impl<B: CountBy> fmt::Debug for LimitRateLayer<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LimitRateLayer")
            .field("by", &self.by)
            .field("quota", &self.limit.quota)
            .field("weighted", &self.weight.is_some())
            .field("headers", &self.headers)
            .finish_non_exhaustive()
    }
}

impl<S, B: CountBy> Layer<S> for LimitRateLayer<B> {
    type Service = Gate<S, Link<Root, Self>>;

    fn layer(&self, inner: S) -> Self::Service {
        Gate::new(inner, Link::first(self.clone()))
    }
}

impl LimitsPeer for LimitRateLayer<ByPeer> {}
impl<F> LimitsPeer for LimitRateLayer<ByRequestKey<F>> where ByRequestKey<F>: CountBy {}
impl Spends for LimitRateLayer<ByPrincipal> {}
impl<F> Spends for LimitRateLayer<ByKey<F>> where ByKey<F>: CountBy {}

/// What clones of a layer share.
pub(super) struct Limit {
    pub(super) quota: Quota,
    pub(super) writer: Arc<Writer>,
    named: Table,
    anonymous: OnceLock<Table>,
}

impl Limit {
    fn new(quota: Quota) -> Self {
        Self {
            writer: Arc::new(Writer::new(&quota)),
            named: Table::new(&quota),
            anonymous: OnceLock::new(),
            quota,
        }
    }

    pub(super) const fn named(&self) -> &Table {
        &self.named
    }

    /// Apart from the named, so that no number of strangers can fill their sets.
    pub(super) fn anonymous(&self) -> &Table {
        self.anonymous.get_or_init(|| Table::new(&self.quota))
    }
}
