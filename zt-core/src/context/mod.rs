//! What zt knows about one request: the [`SecurityContext`] that checks receive, and the
//! [`Trail`] of facts that guards share with it.
//!
//! The context opens once, before the first check, and holds the request's one `now`. The gate
//! puts it into the request's extensions right before the handler.

mod address;
mod authority;
mod claimed;
mod detached;
mod ids;
mod stage;
mod trail;

use std::{
    sync::{Arc, PoisonError, atomic::Ordering},
    time::Duration,
};

use http::{Uri, request::Parts};

pub(crate) use self::{
    address::peer_of,
    authority::{Authority, host_of},
};
pub use self::{
    address::{AddressSource, ClientAddress, ForwardedHeader, PeerAddr, TrustedProxies},
    claimed::{Claimed, ClaimedNames},
    ids::{RequestId, TraceParent},
    stage::Stage,
    trail::{HandlerRun, Trail},
};
use crate::{
    authenticate::ProveBody,
    body::CollectedBody,
    clock::Timestamp,
    decision::{Code, Denial, Permit},
    gate::{Lease, Settings, Standing, Watch},
    identity::{PeerIdentity, Principal},
    state::Route,
};

/// One per request; checks receive it as `&mut`, handlers find it in the extensions.
#[derive(Debug, Clone)]
pub struct SecurityContext {
    trail: Arc<Trail>,
    principal: Option<Arc<Principal>>,
    /// A bit for each stage that has begun. Kept here while a chain runs; the trail is told at its
    /// end.
    stages: u16,
    /// Whether there is no `now`, or the stack stands where it cannot.
    troubled: bool,
    measures: bool,
    effects: bool,
    /// How many gates have handed it on.
    outside: u8,
    /// What has to be seen of the body before the request goes on.
    owed: Owed,
    /// The body, where a policy had to see it. Boxed, because few requests have it.
    body: Option<Box<CollectedBody>>,
}

/// Proofs that need the body; more than one where several credentials are asked for.
pub(crate) type Owed = [Option<Arc<dyn ProveBody>>; 2];

impl SecurityContext {
    /// Opens the context of a request. Gates do this; call it to test a check by itself.
    #[must_use]
    pub fn open(parts: &Parts, settings: &Arc<Settings>) -> Self {
        Self::open_for(parts, settings, true)
    }

    /// Opens a context that nobody will keep longer than the request lasts: what it holds need
    /// not be copied.
    pub(crate) fn open_briefly(parts: &Parts, settings: &Arc<Settings>) -> Self {
        Self::open_for(parts, settings, false)
    }

    fn open_for(parts: &Parts, settings: &Arc<Settings>, kept: bool) -> Self {
        let (now, monotonic) = settings.clock().read();
        let troubled = now.is_err();
        let mut claimed = settings.claimed_names().capture(&parts.headers);
        if let Some(earlier) = parts.extensions.get::<Claimed>() {
            claimed = claimed.and(earlier);
        }
        let trail = Trail::open(
            parts,
            kept,
            Arc::clone(settings),
            now,
            monotonic,
            ClientAddress::from_peer(settings.peer_of(parts), parts, settings.proxies()),
            claimed,
        );
        Self {
            trail: Arc::new(trail),
            principal: None,
            stages: 0,
            troubled,
            measures: settings.measures(),
            effects: false,
            outside: 0,
            owed: Owed::default(),
            body: None,
        }
    }

    /// Opens the context of a request that came to a stack through another gate: headers and audit
    /// record have their turn, everything else refuses.
    pub(crate) fn open_misplaced(parts: &Parts, settings: &Arc<Settings>) -> Self {
        Self {
            stages: MISPLACED,
            troubled: true,
            ..Self::open(parts, settings)
        }
    }

    /// Whether a check of any stage has begun.
    pub(crate) const fn has_begun(&self) -> bool {
        self.stages & !MISPLACED != 0
    }

    /// Tells the trail which stages have begun.
    pub(crate) fn publish(&self) {
        self.trail.stages.fetch_or(self.stages, Ordering::AcqRel);
    }

    /// The copy that a gate further in gets.
    pub(crate) fn handed_on(&self) -> Self {
        Self {
            outside: self.outside.saturating_add(1),
            ..self.clone()
        }
    }

    /// How many gates there are further out that share it.
    pub(crate) const fn outside(&self) -> u8 {
        self.outside
    }

    pub(crate) const fn measures(&self) -> bool {
        self.measures
    }

    /// The facts, shared.
    #[must_use]
    pub const fn trail(&self) -> &Arc<Trail> {
        &self.trail
    }

    /// The target as the client sent it. `parts` are the request's as they are here, where a router
    /// that nests may have taken a prefix away.
    pub(crate) fn first_uri<'a>(&'a self, parts: &'a Parts) -> &'a Uri {
        let seen = self.trail.uri();
        match first_of_router(&parts.extensions) {
            // The context was opened inside the router, which has kept what it saw first.
            Some(original) if *seen == parts.uri => original,
            _ => seen,
        }
    }

    /// What the gate that opened the context was set to.
    #[must_use]
    pub fn settings(&self) -> &Arc<Settings> {
        self.trail.settings()
    }

    /// The request's one `now`.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.trail.opened_at()
    }

    /// The monotonic clock at that moment; rates count on it.
    #[must_use]
    pub fn monotonic(&self) -> Duration {
        self.trail.opened_monotonic()
    }

    /// The request's id.
    #[must_use]
    pub fn request_id(&self) -> RequestId {
        self.trail.request_id()
    }

    /// Where the request comes from.
    #[must_use]
    pub fn client(&self) -> &ClientAddress {
        self.trail.client()
    }

    /// The workload on the connection.
    #[must_use]
    pub fn peer(&self) -> Option<&Arc<PeerIdentity>> {
        self.trail.peer()
    }

    /// Who asks, once that was proved.
    #[must_use]
    pub const fn principal(&self) -> Option<&Arc<Principal>> {
        self.principal.as_ref()
    }

    /// Says who asks. An authenticator that adds to a principal passes one made with
    /// [`Principal::and_also`].
    pub fn set_principal(&mut self, principal: Arc<Principal>) {
        *self
            .trail
            .principal
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&principal));
        self.principal = Some(principal);
    }

    /// Says that the authenticator's proof holds only with the body as `proof` wants it. What is
    /// owed and not verified by the end of the chain refuses the request.
    ///
    /// # Errors
    ///
    /// `stack-misordered` where two proofs wait for the body already.
    pub fn owe_body(&mut self, proof: Arc<dyn ProveBody>) -> Result<(), Denial> {
        match self.owed.iter_mut().find(|place| place.is_none()) {
            Some(place) => *place = Some(proof),
            None => return Err(Denial::misordered("more than two proofs need the body")),
        }
        Ok(())
    }

    /// Whether a proof waits for the body.
    pub(crate) const fn owes_body(&self) -> bool {
        self.owed[0].is_some()
    }

    /// Takes over what is owed.
    pub(crate) fn take_owed(&mut self) -> Owed {
        std::mem::take(&mut self.owed)
    }

    /// The body, where a policy asked to see it: see
    /// [`Policy::needs_body`](crate::authorize::Policy::needs_body).
    #[must_use]
    pub fn body(&self) -> Option<&CollectedBody> {
        self.body.as_deref()
    }

    /// Shows `body` to the policy. It is dropped again once the policy has decided.
    pub fn show_body(&mut self, body: Option<CollectedBody>) {
        self.body = body.map(Box::new);
    }

    /// The evidence that authorization ran.
    #[must_use]
    pub fn permit(&self) -> Option<&Permit> {
        self.trail.permit()
    }

    /// Records the permit.
    ///
    /// # Errors
    ///
    /// `stack-misordered` where there is one already: one request is authorized once.
    pub fn set_permit(&mut self, permit: Permit) -> Result<(), Denial> {
        self.trail
            .permit
            .set(permit)
            .map_err(|_| Denial::misordered("authorization ran twice"))
    }

    /// Says that the request may go on only as long as `standing` is there: the answer is cut when it
    /// ends, and within a second of its being taken away.
    pub fn stand_on(&self, standing: Arc<dyn Standing>) {
        self.trail.stand_on(standing);
    }

    /// The route, once `ValidateRequest` has resolved it.
    #[must_use]
    pub fn route(&self) -> Option<&Route> {
        self.trail.route()
    }

    /// Records the route; the first one stays.
    pub fn set_route(&mut self, route: Route) {
        let _ = self.trail.route.set(route);
    }

    /// Whether the route was declared public: no credential and no authorization is asked for.
    #[must_use]
    pub fn is_public(&self) -> bool {
        self.trail.route().is_some_and(Route::is_public)
    }

    /// Asks that a check of `stage` has run before.
    ///
    /// # Errors
    ///
    /// `stack-misordered`, with a detail that names both.
    pub fn require(&self, stage: Stage, by: &'static str) -> Result<(), Denial> {
        if self.stages & stage.bit() != 0 {
            return Ok(());
        }
        Err(Denial::misordered(format!(
            "{by} needs {} before it, and there was none",
            stage.name()
        )))
    }

    /// Notes that a check of `stage` begins.
    ///
    /// # Errors
    ///
    /// `stack-misordered` where a check of a later stage ran before, or the stack stands where it
    /// cannot; `clock-unavailable` where the
    /// request has no `now`, as soon as headers and audit record are in place.
    #[inline(always)]
    pub(crate) fn enter(&mut self, stage: Stage, name: &'static str) -> Result<(), Denial> {
        if stage != Stage::Anywhere {
            let seen = self.stages;
            self.stages = seen | stage.bit();
            if seen >= stage.bit() << 1 {
                return Err(misordered(stage, name));
            }
        }
        if self.troubled && stage > Stage::Record {
            return Err(self.trouble());
        }
        Ok(())
    }

    #[cold]
    fn trouble(&self) -> Denial {
        match self.trail.opened_at {
            Err(error) => Denial::new(Code::ClockUnavailable).detail(error.to_string()),
            Ok(_) => Denial::misordered(
                "a stack stands behind another gate, whose settings would hold: put its checks \
                 into the stack",
            ),
        }
    }

    /// Lets a denial pass where the stack was told to observe only, and notes it.
    pub(crate) fn waive(&self, denial: Denial) -> Result<(), Denial> {
        self.trail.waive(denial)
    }

    /// Whether the stack lets this denial pass.
    pub(crate) fn would_waive(&self, denial: &Denial) -> bool {
        self.trail.would_waive(denial)
    }

    /// Whether the stack observes only, at this request's `now`.
    #[must_use]
    pub fn is_observing(&self) -> bool {
        self.trail.is_observing()
    }

    /// Says that serving the request has effects, whatever its method: it spends money, say, or its
    /// body is a stream. The audit record is then durable before the handler is called.
    pub const fn set_effects(&mut self) {
        self.effects = true;
    }

    /// Whether serving the request has effects that its method does not tell.
    #[must_use]
    pub const fn has_effects(&self) -> bool {
        self.effects
    }

    /// The watch over the response's stream, once a request, where anything can end it.
    pub(crate) fn watch(&self) -> Option<Watch> {
        // On a public route a workload on the connection can be sanctioned all the same.
        let struck = self.peer().is_some() && self.settings().sanctions().is_some();
        // A gate further in may have asked who calls.
        let named = self.principal.is_some() || self.trail.principal().is_some();
        if !named && self.permit().is_none() && !struck {
            return None;
        }
        (Lease::is_limited(self) && self.trail.take_watch())
            .then(|| Watch::since(Lease::of(self), self.now(), self.monotonic()))
    }

    /// The right to go on, for a handler that upgrades its connection.
    #[must_use]
    pub fn lease(&self) -> Lease {
        Lease::of(self)
    }

    pub(crate) fn time(&self, name: &'static str, took: Duration) {
        self.trail
            .timings
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((name, took));
    }
}

#[cfg(feature = "axum")]
fn first_of_router(extensions: &http::Extensions) -> Option<&Uri> {
    let original: &axum::extract::OriginalUri = extensions.get()?;
    Some(&original.0)
}

#[cfg(not(feature = "axum"))]
const fn first_of_router(_: &http::Extensions) -> Option<&Uri> {
    None
}

/// The bit of no stage: the stack stands where it cannot.
const MISPLACED: u16 = 1;

#[cold]
fn misordered(stage: Stage, name: &'static str) -> Denial {
    Denial::misordered(format!(
        "{name} belongs to {} and ran after a later stage",
        stage.name()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    fn context(settings: Settings) -> SecurityContext {
        let (parts, ()) = http::Request::new(()).into_parts();
        SecurityContext::open(&parts, &Arc::new(settings))
    }

    #[test]
    fn a_peer_is_found_where_the_server_puts_it() {
        #[derive(Clone)]
        struct Elsewhere(std::net::SocketAddr);

        let settings = Settings::default()
            .with_peer(|extensions| extensions.get::<Elsewhere>().map(|found| found.0));
        let request = http::Request::builder().extension(Elsewhere(([192, 0, 2, 7], 80).into()));
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let cx = SecurityContext::open(&parts, &Arc::new(settings));
        assert_eq!(cx.client().client(), Some([192, 0, 2, 7].into()));
    }

    #[test]
    fn what_is_kept_of_a_request_does_not_keep_its_whole_head_in_memory() {
        use std::sync::atomic::AtomicBool;

        use bytes::Bytes;
        use http::{HeaderValue, Uri};

        /// A server's read buffer, of which targets and values are slices.
        struct Buffer(Vec<u8>, Arc<AtomicBool>);

        impl AsRef<[u8]> for Buffer {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }

        impl Drop for Buffer {
            fn drop(&mut self) {
                self.1.store(true, Ordering::SeqCst);
            }
        }

        for target in [
            "/orders?x=1",
            "/",
            "*",
            "http://example.test:81/orders?x=1",
            "example.test:443",
        ] {
            let gone = Arc::new(AtomicBool::new(false));
            let mut text = target.as_bytes().to_vec();
            text.extend_from_slice(b"agent/1root");
            text.resize(400_000, b'x');
            let buffer = Bytes::from_owner(Buffer(text, Arc::clone(&gone)));
            let value = |from, to| {
                let at = target.len();
                HeaderValue::from_maybe_shared(buffer.slice(at + from..at + to)).unwrap()
            };
            let mut request = http::Request::new(());
            let uri = Uri::from_maybe_shared(buffer.slice(..target.len())).unwrap();
            *request.uri_mut() = uri;
            let headers = request.headers_mut();
            headers.insert("user-agent", value(0, 7));
            let mut claim = value(7, 11);
            claim.set_sensitive(true);
            headers.insert("x-forwarded-user", claim);
            headers.insert("cookie", value(11, 300_000));
            let (parts, ()) = request.into_parts();
            let cx = SecurityContext::open(&parts, &Arc::new(Settings::default()));
            drop((parts, buffer));
            assert!(gone.load(Ordering::SeqCst), "{target}");
            let trail = cx.trail();
            assert_eq!(*trail.uri(), target.parse::<Uri>().unwrap());
            assert_eq!(trail.user_agent().unwrap(), "agent/1");
            let mut claims = trail.claimed().all("x-forwarded-user");
            let claim = claims.next().unwrap();
            assert_eq!(claim, "root");
            assert!(claim.is_sensitive());
        }
    }

    #[test]
    fn what_a_layer_further_out_stripped_is_claimed_too() {
        let names = ClaimedNames::none().with("client-cert").with("x-user");
        let mut headers = http::HeaderMap::new();
        headers.append("client_cert", "a".parse().unwrap());
        headers.append("client-cert", "b".parse().unwrap());
        headers.append("x-user", "c".parse().unwrap());
        headers.append("x-groups", "d".parse().unwrap());
        let stripped = names.capture(&headers);
        let mut request = http::Request::new(());
        request.extensions_mut().insert(stripped);
        // Somebody in between has put another one in its place.
        let there = request.headers_mut();
        there.append("x-user", "e".parse().unwrap());
        there.append("x-groups", "f".parse().unwrap());
        let (parts, ()) = request.into_parts();
        let cx = SecurityContext::open(&parts, &Arc::new(Settings::default()));
        let claimed = cx.trail().claimed();
        for (name, values) in [
            ("client_cert", &["a"][..]),
            ("client-cert", &["b"]),
            ("x-user", &["e"]),
            ("x-groups", &["f"]),
        ] {
            let found: Vec<_> = claimed.all(name).collect();
            assert_eq!(found, values, "{name}");
        }
    }

    #[test]
    fn a_stage_cannot_follow_a_later_one() {
        let mut cx = context(Settings::default());
        cx.enter(Stage::Headers, "a").unwrap();
        cx.enter(Stage::Authenticate, "b").unwrap();
        cx.enter(Stage::Anywhere, "c").unwrap();
        cx.enter(Stage::Authenticate, "d").unwrap();
        assert_eq!(
            cx.enter(Stage::Validate, "e").unwrap_err().code(),
            Code::StackMisordered
        );
    }

    #[test]
    fn a_clock_that_cannot_answer_refuses_once_the_record_is_open() {
        let clock = ManualClock::default();
        clock.fail();
        let mut cx = context(Settings::default().with_clock(clock));
        cx.enter(Stage::Headers, "a").unwrap();
        cx.enter(Stage::Record, "b").unwrap();
        assert_eq!(
            cx.enter(Stage::Validate, "c").unwrap_err().code(),
            Code::ClockUnavailable
        );
        assert_eq!(
            cx.enter(Stage::Anywhere, "d").unwrap_err().code(),
            Code::ClockUnavailable
        );
    }

    #[test]
    fn observing_ends_at_its_date() {
        let clock = ManualClock::default();
        let until = crate::clock::Clock::now(&clock).unwrap() + Duration::from_secs(60);
        let settings = || {
            Settings::default()
                .with_clock(clock.clone())
                .insecure_observe_only(until)
        };
        assert!(context(settings()).waive(Code::PolicyDenied.into()).is_ok());
        assert!(
            context(settings())
                .waive(Code::AuditUnavailable.into())
                .is_err()
        );
        clock.advance(Duration::from_secs(60));
        assert!(
            context(settings())
                .waive(Code::PolicyDenied.into())
                .is_err()
        );
    }
}
