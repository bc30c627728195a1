use std::{
    net::SocketAddr,
    sync::{Arc, LazyLock},
    time::Duration,
};

use http::request::Parts;

use crate::{
    clock::{Clock, SystemClock, Timestamp},
    context::{ClaimedNames, TrustedProxies, peer_of},
    problem::{ProblemJson, Render},
    random::{Entropy, OsEntropy},
    state::Sanctions,
};

/// Finds the peer's address among a request's extensions; see [`Settings::with_peer`].
pub type PeerFinder = fn(&http::Extensions) -> Option<SocketAddr>;

/// What a gate and the contexts that it opens work with.
///
/// In a stack made by hand the outermost gate opens the context, so its settings hold for all.
#[derive(Debug, Clone)]
pub struct Settings {
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    render: Arc<dyn Render>,
    peer: Option<PeerFinder>,
    proxies: TrustedProxies,
    claimed: ClaimedNames,
    sanctions: Option<Sanctions>,
    observe_until: Option<Timestamp>,
    ready_early: bool,
    measures: bool,
}

static DEFAULT: LazyLock<Arc<Settings>> = LazyLock::new(|| Arc::new(Settings::default()));

impl Default for Settings {
    /// The system's clock and randomness, [`ProblemJson`], no trusted proxy.
    fn default() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            entropy: Arc::new(OsEntropy),
            render: Arc::new(ProblemJson::default()),
            peer: None,
            proxies: TrustedProxies::default(),
            claimed: ClaimedNames::default(),
            sanctions: None,
            observe_until: None,
            ready_early: false,
            measures: false,
        }
    }
}

impl Settings {
    /// The defaults, shared.
    #[must_use]
    pub fn shared_default() -> Arc<Self> {
        Arc::clone(&DEFAULT)
    }

    /// Another clock.
    #[must_use]
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Another source of randomness.
    #[must_use]
    pub fn with_entropy(mut self, entropy: impl Entropy) -> Self {
        self.entropy = Arc::new(entropy);
        self
    }

    /// Another rendering of denials.
    #[must_use]
    pub fn with_render(mut self, render: impl Render) -> Self {
        self.render = Arc::new(render);
        self
    }

    /// Where the server of the application puts the peer's address, for servers that use neither
    /// [`PeerAddr`](crate::context::PeerAddr) nor axum's `ConnectInfo`. tonic's own server does:
    ///
    /// ```text
    /// Settings::default().with_peer(|extensions| {
    ///     extensions.get::<tonic::transport::server::TcpConnectInfo>()?.remote_addr()
    /// })
    /// ```
    #[must_use]
    pub const fn with_peer(mut self, find: PeerFinder) -> Self {
        self.peer = Some(find);
        self
    }

    /// Proxies that may say where a request came from.
    #[must_use]
    pub fn with_proxies(mut self, proxies: TrustedProxies) -> Self {
        self.proxies = proxies;
        self
    }

    /// Which headers claim an identity.
    #[must_use]
    pub fn with_claimed_names(mut self, names: ClaimedNames) -> Self {
        self.claimed = names;
        self
    }

    /// Sanctions that end streams and leases while they run.
    #[must_use]
    pub fn with_sanctions(mut self, sanctions: Sanctions) -> Self {
        self.sanctions = Some(sanctions);
        self
    }

    /// Until `until`, checks that refuse are recorded and the request goes on. From then on they
    /// refuse. An audit log that cannot write, a clock that cannot answer and a misordered stack
    /// refuse all the same.
    #[must_use]
    pub const fn insecure_observe_only(mut self, until: Timestamp) -> Self {
        self.observe_until = Some(until);
        self
    }

    /// The gate reports ready at once and waits for the inner service after the checks, so that
    /// refusals do not wait behind an inner service that is full.
    #[must_use]
    pub const fn ready_early(mut self) -> Self {
        self.ready_early = true;
        self
    }

    /// Measures each check, for the audit record. Reading the clock costs as much as a check.
    #[must_use]
    pub const fn measuring(mut self) -> Self {
        self.measures = true;
        self
    }

    /// These settings, with `other`'s sanctions and observing date where these have none.
    pub(crate) fn inheriting(mut self, other: &Self) -> Self {
        // What `.sanctions(..)` named stands at the door and cuts streams alike.
        self.sanctions = other.sanctions.clone().or(self.sanctions);
        self.observe_until = self.observe_until.or(other.observe_until);
        self
    }

    /// The clock.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// The source of randomness.
    #[must_use]
    pub fn entropy(&self) -> &Arc<dyn Entropy> {
        &self.entropy
    }

    /// The renderer.
    #[must_use]
    pub fn render(&self) -> &Arc<dyn Render> {
        &self.render
    }

    pub(crate) fn peer_of(&self, parts: &Parts) -> Option<SocketAddr> {
        peer_of(parts).or_else(|| self.peer?(&parts.extensions))
    }

    /// The trusted proxies.
    #[must_use]
    pub const fn proxies(&self) -> &TrustedProxies {
        &self.proxies
    }

    /// The headers that claim an identity.
    #[must_use]
    pub const fn claimed_names(&self) -> &ClaimedNames {
        &self.claimed
    }

    /// The sanctions.
    #[must_use]
    pub const fn sanctions(&self) -> Option<&Sanctions> {
        self.sanctions.as_ref()
    }

    /// When observing turns into enforcing.
    #[must_use]
    pub const fn observe_until(&self) -> Option<Timestamp> {
        self.observe_until
    }

    pub(super) const fn is_ready_early(&self) -> bool {
        self.ready_early
    }

    pub(crate) const fn measures(&self) -> bool {
        self.measures
    }
}

/// How often a stream that waits looks whether it may go on; within a second of a sanction.
pub(crate) const LIVENESS_INTERVAL: Duration = Duration::from_millis(500);
